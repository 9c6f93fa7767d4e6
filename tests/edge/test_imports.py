"""A box installs `doorline[edge]` alone: nothing it imports may want the server's libraries, or the server."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge

FORBIDDEN = ("fastapi", "psycopg", "pydantic", "server", "dashboards", "structlog", "amqtt", "sqlalchemy")
#: Extra packages of their own stand behind these; importing them is what the extra is for.
OPTIONAL = {"edge.detectors.yolo", "edge.detectors.onnx"}


def modules() -> list[str]:
    found = [each.name for each in pkgutil.walk_packages(edge.__path__, "edge.")]
    return ["edge", *(name for name in found if name not in OPTIONAL), "cli.main", "cli.edge"]


def loaded_by(names: list[str], root: Path) -> set[str]:
    script = "import sys\n" + "".join(f"import {name}\n" for name in names) + "print('\\n'.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True, timeout=120
    )
    return {name.partition(".")[0] for name in ran.stdout.split()}


def test_nothing_of_the_server_is_imported_by_a_box(repository_root: Path) -> None:
    names = modules()
    assert "edge.agent" in names
    assert "edge.uplink" in names
    loaded = loaded_by(names, repository_root)
    assert "paho" in loaded
    assert not loaded & set(FORBIDDEN)


@pytest.mark.parametrize("name", ["cli.edge"])
def test_help_imports_no_camera(name: str, repository_root: Path) -> None:
    assert not loaded_by([name], repository_root) & {"cv2", "numpy", "paho", *FORBIDDEN}


def test_what_changes_a_configuration_is_loaded_only_to_change_one(repository_root: Path) -> None:
    reading = ["cli.main", "cli.edge", "cli.calibrate", "edge.agent", "edge.config"]
    assert "tomlkit" not in loaded_by(reading, repository_root)
    assert "tomlkit" in loaded_by(["edge.tomledit"], repository_root)
