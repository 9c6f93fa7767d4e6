"""A server installs no OpenCV: nothing of the server may need what only a box has."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_IMPORT_ALL = """
import importlib, pkgutil, sys
import server
names = [found.name for found in pkgutil.walk_packages(server.__path__, "server.")]
for name in names:
    importlib.import_module(name)
print(len(names))
print(*sorted({"cv2", "numpy", "lap", "onnxruntime", "edge", "torch", "ultralytics"} & set(sys.modules)))
"""


def test_importing_all_of_the_server_pulls_in_nothing_of_the_box() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    count, found = done.stdout.splitlines()[-2:]
    assert int(count) > 20
    assert found == ""
