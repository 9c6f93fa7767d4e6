"""The schedules that every change has to survive; `make chaos` runs as many more as there is time for."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disk import mounts_here
from tests.chaos.plan import KINDS, make_plan
from tests.chaos.schedule import run
from tests.fixtures import skips
from tests.fixtures.broker import require_mosquitto

#: In a row, so that every kind of fault is among them.
SEEDS = range(8)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the database's user can enter, too."""
    made = Path(tempfile.mkdtemp(prefix="doorline-chaos-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether disks are file systems of their own."""
    found = mounts_here(tmp_path_factory.mktemp("mounts"))
    if not found:
        skips.missing["file systems of one's own (power cuts and full disks are imitated)"] = (
            "run as root where loop devices are"
        )
    return found


def test_every_kind_of_fault_is_tried() -> None:
    assert {fault.kind for seed in SEEDS for fault in make_plan(seed).faults} == set(KINDS)


# A schedule is over in twenty seconds; a machine busy with other things may take minutes to start its processes.
@pytest.mark.timeout(900)
@pytest.mark.mosquitto
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_is_there_twice(seed: int, folder: Path, mounts: bool) -> None:
    require_mosquitto()
    outcome = run(seed, folder, mounts=mounts)
    assert not outcome.wrong, f"\n{outcome}"
