"""An outbox of a box that was just set up: its clock is right, and its folder is not there yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.fixtures.edge_time import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box" / "outbox.sqlite"


@pytest.fixture
def outbox(path: Path, clock: FakeClock) -> Iterator[Outbox]:
    """It commits when it is told to, and hands out ten at a time."""
    box = Outbox(path, clock, commit_every_s=3600, max_batch=10)
    yield box
    box.close()
