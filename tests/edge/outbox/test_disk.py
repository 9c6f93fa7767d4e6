"""The outbox on a disk that is full, damaged or not there: what memory holds is not lost, and the rest is told."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from edge.outbox import Outbox
from tests.edge.outbox.counted import count, drain, tracks
from tests.fixtures.edge_time import FakeClock
from tests.fixtures.wait import wait_until
from wire.messages import Tally


def test_a_damaged_file_is_kept_and_counting_goes_on(path: Path, clock: FakeClock) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all" * 100)
    outbox = Outbox(path, clock, commit_every_s=0)
    assert "damaged" in outbox.problem
    assert [each.name for each in path.parent.glob("*.corrupt-*")]
    count(outbox, clock, 2)
    assert tracks(drain(outbox)) == [1, 2]
    outbox.close()


def test_damage_while_running_is_counted_and_corrected_by_a_late_ack(path: Path, clock: FakeClock) -> None:
    outbox = Outbox(path, clock, commit_every_s=3600, max_batch=3)
    count(outbox, clock, 8)
    outbox.flush()
    held = outbox.next_batch("live")
    assert held is not None
    store = outbox._file.store
    assert store is not None
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    store._db.execute("PRAGMA shrink_memory")
    count(outbox, clock, 4, first=100)
    wait_until(outbox.flush, what="the new file to take records")
    assert outbox.lost == 8
    assert "8 unsent" in outbox.problem
    outbox.acknowledge(held.epoch, held.records[-1].seq)
    assert outbox.lost == 5
    assert tracks(drain(outbox)) == [100, 101, 102, 103]
    outbox.close()


def test_a_disk_that_is_full_costs_nothing_once_it_has_room(path: Path) -> None:
    """A child whose files may not grow plays the full disk; it is the operating system that refuses the write."""
    script = (
        "import sys\nfrom pathlib import Path\n"
        "import tests.edge.outbox.test_disk as t\nt.full_disk(Path(sys.argv[1]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=False, timeout=60, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_without_a_disk_memory_is_bounded_by_sums_and_no_count_is_lost(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    outbox = Outbox(tmp_path / "box" / "outbox.sqlite", clock, commit_every_s=3600, buffer_limit=100)
    assert "disk" in outbox.problem
    for part in range(10):
        count(outbox, clock, 100, first=1 + 100 * part, pause=1.0)
        assert not outbox.flush()
    assert outbox.pending == 1000
    (tmp_path / "box").unlink()
    assert outbox.flush()
    assert outbox.problem == ""
    records = drain(outbox)
    folded = sum(each.count for record in records if isinstance(record, Tally) for each in record.crossings)
    assert len(tracks(records)) + folded == 1000
    assert outbox.lost == 0
    outbox.close()


def test_what_no_disk_took_is_stated_in_numbers(tmp_path: Path) -> None:
    clock = FakeClock(trusted=False)
    (tmp_path / "box").write_text("a file where the folder should be")
    outbox = Outbox(tmp_path / "box" / "outbox.sqlite", clock, commit_every_s=3600, buffer_limit=100)
    count(outbox, clock, 150)
    outbox.flush()
    # Undated records can't be summed by minute, so here the bound costs some.
    assert outbox.lost == 50
    assert outbox.pending == 100
    outbox.close()
    assert outbox.lost == 150


def full_disk(path: Path) -> None:
    """Runs in a process of its own, whose files are then not allowed to grow."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clock = FakeClock()
    outbox = Outbox(path, clock, commit_every_s=3600, max_batch=5000)
    count(outbox, clock, 10)
    assert outbox.flush()
    largest = max(each.stat().st_size for each in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    count(outbox, clock, 3000, first=11)
    assert not outbox.flush()
    assert "takes no records" in outbox.problem, outbox.problem
    assert outbox.pending == 3010
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert outbox.flush()
    assert outbox.problem == ""
    assert tracks(drain(outbox)) == list(range(1, 3011))
    assert outbox.lost == 0
    outbox.close()
