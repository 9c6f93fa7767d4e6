"""What no disk took when a box stopped or was killed: whoever starts next states it, to the number and once."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.link.word import Report, Word
from edge.models import Crossing
from edge.outbox import Outbox
from edge.outbox.unwritten import Unwritten
from tests.edge.outbox.counted import count, drain, tracks
from tests.edge.outbox.test_damage import fill, small_disk
from tests.fixtures.edge_time import FakeClock

__all__ = ["small_disk"]


def opened(path: Path, clock: FakeClock) -> Outbox:
    return Outbox(path, clock, commit_every_s=3600, max_batch=5000, buffer_limit=100)


def troubled(path: Path, clock: FakeClock, number: int) -> Outbox:
    """An outbox with five records on a disk that is full now, and so many in memory."""
    outbox = opened(path, clock)
    count(outbox, clock, 5)
    assert outbox.flush()
    fill(path.parent)
    count(outbox, clock, number, first=100)
    assert not outbox.flush()
    return outbox


def lost_at_the_next_starts(path: Path, clock: FakeClock) -> list[int]:
    found = []
    for _ in range(3):
        outbox = opened(path, clock)
        found.append(outbox.lost)
        outbox.close()
    return found


def test_on_a_full_disk_the_next_start_states_what_was_in_memory_once(small_disk: Path) -> None:
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    outbox = troubled(path, clock, 7)
    assert outbox.lost == 0
    outbox.close()
    assert outbox.lost == 7
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [7, 7, 7]


def test_the_last_word_of_a_box_on_a_full_disk_says_it_already(small_disk: Path) -> None:
    clock = FakeClock()
    outbox = troubled(small_disk / "outbox.sqlite", clock, 7)
    word = Word("door-1", "", outbox, clock, Report)
    assert word.now(online=True, problem="", certificate="").lost == 0
    outbox.last_word()
    last = word.now(online=False, problem="", certificate="")
    assert last.lost == 7
    assert "7 records were never written to disk and are lost" in last.problem
    outbox.close()
    assert outbox.lost == 7


def test_where_the_disk_takes_all_the_last_word_loses_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = opened(tmp_path / "outbox.sqlite", clock)
    count(outbox, clock, 5)
    outbox.last_word()
    assert (outbox.lost, outbox.pending, outbox.problem) == (0, 5, "")
    outbox.close()
    assert lost_at_the_next_starts(tmp_path / "outbox.sqlite", clock) == [0, 0, 0]


def test_a_disk_that_has_room_again_lost_nothing(small_disk: Path) -> None:
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    outbox = troubled(path, clock, 7)
    (small_disk / "filling").unlink()
    assert outbox.flush()
    assert tracks(drain(outbox)) == [1, 2, 3, 4, 5, *range(100, 107)]
    outbox.close()
    assert lost_at_the_next_starts(path, clock) == [0, 0, 0]


def test_who_starts_on_a_disk_that_is_still_full_forgets_nothing_of_before(small_disk: Path) -> None:
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    troubled(path, clock, 7).close()
    outbox = opened(path, clock)
    assert outbox.lost == 7
    count(outbox, clock, 3)
    assert not outbox.flush()
    outbox.close()
    assert outbox.lost == 10
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [10, 10, 10]


def test_who_starts_on_a_disk_that_can_only_be_read_says_what_was_lost_before(small_disk: Path) -> None:
    """Or the count would fall for a while, as if something had been found again."""
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    troubled(path, clock, 7).close()
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [7, 7, 7]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    outbox = opened(path, clock)
    assert "takes no records" in outbox.problem
    assert outbox.lost == 7
    count(outbox, clock, 3)
    assert not outbox.flush()
    assert outbox.lost == 7
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert outbox.flush()
    assert (outbox.lost, outbox.pending) == (7, 8)
    outbox.close()


def test_what_memory_had_no_room_for_is_among_them(small_disk: Path) -> None:
    """Records without a date can't be summed, so the bound of a hundred costs some."""
    path, clock = small_disk / "outbox.sqlite", FakeClock(trusted=False)
    outbox = troubled(path, clock, 150)
    assert (outbox.lost, outbox.pending) == (50, 105)
    outbox.close()
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [150, 150, 150]


def test_what_the_next_start_counts_again_is_not_lost(small_disk: Path) -> None:
    """A recording is read from where its marks say; nothing of it is both lost and counted."""
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    outbox = troubled(path, clock, 7)
    crossing = Crossing("L1", "in", 900, 0, 0.0, 0.9, 900)
    outbox.append_crossing("C1", crossing, clock.now(), counted_again=True)
    outbox.append_coverage("C1", clock.now(), seconds=60, frames=600, state="ok", marks={"film": 60})
    assert not outbox.flush()
    outbox.last_word()
    assert (outbox.pending, outbox.lost) == (14, 7)
    outbox.close()
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [7, 7, 7]


# -- killed; a child whose files may not grow plays the full disk, so that this is tried everywhere


def full_and_killed(path: Path, when: str) -> None:
    """Count while the disk takes nothing, and be killed at once, or just after it took them again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clock = FakeClock()
    outbox = Outbox(path, clock, commit_every_s=3600, max_batch=5000)
    count(outbox, clock, 10)
    assert outbox.flush()
    largest = max(each.stat().st_size for each in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    count(outbox, clock, 3000, first=11)
    assert not outbox.flush()
    if when == "written":
        Unwritten.settle = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outbox.flush()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("when", "lost", "held"), [("at once", 3000, 10), ("written", 0, 3010)])
def test_killed_while_the_disk_took_nothing_or_just_after_it_did(
    tmp_path: Path, when: str, lost: int, held: int
) -> None:
    path = tmp_path / "outbox.sqlite"
    script = (
        "import sys\nimport tests.edge.outbox.test_unwritten as t\nt.full_and_killed(t.Path(sys.argv[1]), sys.argv[2])"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(path), when], check=False, timeout=60, capture_output=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    outbox = opened(path, FakeClock())
    assert (outbox.lost, outbox.pending) == (lost, held)
    outbox.close()
    assert lost_at_the_next_starts(path, FakeClock()) == [lost] * 3


# -- the file itself


@pytest.mark.parametrize("content", [b"", b"7", b"7 x", b"-7 5", b"7 5 3", b"\xff" * 64, b"9" * 63 + b"\n"])
def test_what_is_no_number_of_ours_is_none(tmp_path: Path, content: bytes) -> None:
    path, clock = tmp_path / "outbox.sqlite", FakeClock()
    path.with_name("outbox.sqlite.unwritten").write_bytes(content)
    assert lost_at_the_next_starts(path, clock) == [0, 0, 0]


def test_a_disk_that_does_not_even_take_the_number_costs_no_more_than_that(small_disk: Path) -> None:
    path, clock = small_disk / "outbox.sqlite", FakeClock()
    outbox = troubled(path, clock, 7)
    path.with_name("outbox.sqlite.unwritten").unlink()
    count(outbox, clock, 2, first=200)
    assert not outbox.flush()
    assert outbox.pending == 14
    outbox.close()
    assert outbox.lost == 9
    (small_disk / "filling").unlink()
    assert lost_at_the_next_starts(path, clock) == [0, 0, 0]
