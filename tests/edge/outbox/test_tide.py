"""What went with a file that can't be read any more is bounded in numbers, or known if the file still tells it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outbox import Outbox
from edge.outbox.tide import Tide
from tests.edge.outbox.counted import count, drain
from tests.fixtures.edge_time import FakeClock

RUINED = b"this is no database at all" * 100


@given(st.lists(st.integers(-400, 900), max_size=60))
def test_the_bound_is_never_below_the_truth_and_seldom_written(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("tide")
    tide, owed, told = Tide(folder / "outbox.sqlite"), 0, None
    written = 0
    for step in steps:
        if step > 0:
            tide.rise(owed + step)
            owed += step
        else:
            owed = max(0, owed + step)
            tide.ebb(owed)
        before, told = told, Tide(folder / "outbox.sqlite").told()
        written += told != before
        assert owed == 0 if told is None else owed <= told <= owed + 1000
    assert written <= 1 + sum(abs(step) for step in steps) // 200
    tide.settle(owed)
    assert Tide(folder / "outbox.sqlite").told() == owed


def ruin(path: Path) -> None:
    path.write_bytes(RUINED)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("acknowledged", "says"),
    [(False, "at most 7 unsent records were in it"), (True, "no unsent records were in it")],
)
def test_after_an_orderly_end_the_number_is_exact(tmp_path: Path, acknowledged: bool, says: str) -> None:
    path, clock = tmp_path / "outbox.sqlite", FakeClock()
    first = Outbox(path, clock, commit_every_s=0)
    count(first, clock, 7)
    if acknowledged:
        drain(first)
    first.close()
    ruin(path)
    second = Outbox(path, clock, commit_every_s=0)
    assert says in second.problem
    second.close()


def test_after_a_power_cut_there_is_a_bound(tmp_path: Path) -> None:
    path, clock = tmp_path / "outbox.sqlite", FakeClock()
    first = Outbox(path, clock, commit_every_s=0)
    count(first, clock, 7)
    copy = tmp_path / "after" / "outbox.sqlite"
    copy.parent.mkdir()
    (copy.parent / "outbox.sqlite.owed").write_bytes((tmp_path / "outbox.sqlite.owed").read_bytes())
    first.close()
    copy.write_bytes(RUINED)
    second = Outbox(copy, clock, commit_every_s=0)
    assert "at most 201 unsent records were in it" in second.problem
    count(second, clock, 2)
    assert second.pending == 2
    second.close()


@pytest.mark.parametrize("content", [b"", b"-3", b"many", b"\xff", b"9" * 40])
def test_a_bound_that_can_not_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outbox.sqlite.owed").write_bytes(content)
    assert Tide(tmp_path / "outbox.sqlite").told() is None
    ruin(tmp_path / "outbox.sqlite")
    outbox = Outbox(tmp_path / "outbox.sqlite", FakeClock(), commit_every_s=0)
    assert "an unknown number of unsent records" in outbox.problem
    outbox.close()
