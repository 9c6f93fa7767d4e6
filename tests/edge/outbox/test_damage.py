"""A damaged file that still tells how many were in it: said to the number, whatever comes between.

A disk may be full just then, and a box may be killed between putting the file aside and writing down what it held.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.outbox import Outbox
from edge.outbox.store import Store
from tests.edge.outbox.counted import count
from tests.fixtures.edge_time import FakeClock


def opened_and_killed(path: Path, name: str, number: int) -> None:
    """Open the outbox, and be killed when a method of its store is called for that time. For a child process."""
    method: Callable[..., Any] = getattr(Store, name)
    calls = 0

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args)

    setattr(Store, name, counted)
    Outbox(path, FakeClock())


def damaged_with(path: Path, clock: FakeClock, number: int) -> None:
    """An outbox that nobody can read the records of, though it still tells how many they are."""
    outbox = Outbox(path, clock, commit_every_s=0)
    count(outbox, clock, number)
    outbox.close()
    with closing(sqlite3.connect(path)) as db:
        root = int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()[0])
        size = int(db.execute("PRAGMA page_size").fetchone()[0])
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))


@pytest.mark.parametrize(("name", "number"), [("__init__", 2), ("add_epoch", 1)], ids=["no file yet", "no epoch yet"])
def test_killed_between_putting_it_aside_and_writing_down_what_was_in_it(
    tmp_path: Path, name: str, number: int
) -> None:
    path, clock = tmp_path / "outbox.sqlite", FakeClock()
    damaged_with(path, clock, 7)
    script = "import sys\nimport tests.edge.outbox.test_damage as t\n"
    script += "t.opened_and_killed(t.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))\n"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path), name, str(number)], check=False, timeout=60, capture_output=True
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    for _ in range(2):  # whoever comes next knows it, and adds nothing to it
        outbox = Outbox(path, clock, commit_every_s=0)
        assert outbox.lost == 7
        outbox.close()
    damaged_with(path, clock, 4)
    for _ in range(2):
        outbox = Outbox(path, clock, commit_every_s=0)
        assert outbox.lost == 11
        outbox.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk: Path) -> None:
    """Leave no room on it."""
    with pytest.raises(OSError, match="No space left"):
        (disk / "filling").write_bytes(bytes(2 << 20))


def test_on_a_full_disk_it_still_tells_what_was_in_it(small_disk: Path) -> None:
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    damaged_with(path, clock, 7)
    fill(small_disk)
    outbox = Outbox(path, clock, commit_every_s=0)
    assert outbox.lost == 7
    assert "7 unsent records were in it" in outbox.problem
    outbox.close()
