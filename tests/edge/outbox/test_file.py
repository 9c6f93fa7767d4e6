"""The outbox's file when things go wrong that no shop sees in a year: each of these once lost or invented a number."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.outbox import file as outbox_file
from edge.outbox.buffer import Buffer
from edge.outbox.care import drop_oldest_acked
from edge.outbox.records import coverage_record
from edge.outbox.store import Store
from tests.edge.outbox.counted import count, drain, tracks
from tests.fixtures.edge_time import NOON, FakeClock
from tests.fixtures.wait import wait_until
from wire import messages
from wire.messages import Coverage, Tally


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a folder that is there: some of these tests make the file before the outbox does."""
    return tmp_path / "outbox.sqlite"


def scribble(outbox: Outbox, seq: int) -> None:
    """One record of the live epoch is not what was written."""
    assert outbox._file.store is not None
    outbox._file.store._db.execute("UPDATE record SET body = x'00' WHERE seq = ?", (seq,))


def test_what_was_lost_is_added_up_once_however_often_the_file_is_tried(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_losses = Store(path)
    with_losses.set_meta("lost", 5)
    with_losses.close()
    with monkeypatch.context() as full:
        full.setattr(Store, "add_epoch", _no_room)
        outbox = Outbox(path, clock, commit_every_s=3600)
        for _ in range(3):
            assert not outbox.flush()
    assert outbox.flush()
    assert outbox.lost == 5
    outbox.close()


def _no_room(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_damaged_file_that_cannot_be_moved_is_counted_once_it_is(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Outbox(path, clock, commit_every_s=3600)
    count(first, clock, 4)
    first.flush()
    first.close()

    def damaged(store: Store) -> list[object]:
        raise sqlite3.DatabaseError("database disk image is malformed")

    def stuck(path: Path, lost: int) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(outbox_file, "is_corrupt", lambda error: "malformed" in str(error))
    with monkeypatch.context() as broken:
        broken.setattr(Store, "epochs", damaged)
        broken.setattr(outbox_file, "put_aside", stuck)
        outbox = Outbox(path, clock, commit_every_s=3600)
        assert not outbox.flush()
        assert outbox.lost == 0
        broken.setattr(outbox_file, "put_aside", _move_away)
        broken.setattr(Store, "epochs", lambda store: [])
        # It can be read after all: nothing was given up meanwhile.
        assert outbox.flush()
    assert outbox.lost == 0
    outbox.close()
    again = Outbox(path, clock)
    assert again.pending == 4
    again.close()


def _move_away(path: Path) -> Path:
    raise AssertionError("there is no reason to")


def test_a_record_that_cannot_be_read_holds_up_neither_dates_nor_room(path: Path, clock: FakeClock) -> None:
    clock.trusted = False
    outbox = Outbox(path, clock, commit_every_s=0.01, max_batch=10)
    outbox.start()
    count(outbox, clock, 3)
    wait_until(lambda: outbox._file.epochs.owed == 3, what="the commit")
    scribble(outbox, 2)
    clock.trusted = True
    count(outbox, clock, 1, first=4)
    wait_until(lambda: outbox._file.epochs.owed == 4, what="the thread to go on")
    outbox.flush()
    records = drain(outbox)
    assert tracks(records) == [1, 3, 4]
    assert records[1] == Tally(from_seq=2, seq=2)
    assert outbox.lost == 1
    outbox.close()


def test_a_record_that_cannot_be_read_is_not_folded(outbox: Outbox, clock: FakeClock) -> None:
    count(outbox, clock, 7)
    outbox.flush()
    scribble(outbox, 4)
    outbox.set_quota(1)
    outbox.flush()
    records = drain(outbox)
    assert [(messages.first_seq(each), each.seq) for each in records] == [(1, 3), (4, 4), (5, 7)]
    assert outbox.lost == 1


def test_an_unexpected_error_does_not_end_the_thread_that_writes(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(path, clock, commit_every_s=0)
    monkeypatch.setattr("edge.outbox.writing.RETRY_S", 0.01)
    monkeypatch.setattr("edge.outbox.writing.TEND_S", 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "add_records", _surprise)
        outbox._buffer.add(coverage_record("C1", clock.now(), seconds=60, frames=1, state="ok"), None)
        outbox.start()
        wait_until(lambda: "surprise" in outbox.problem, what="the problem to be said")
    wait_until(lambda: outbox._file.epochs.owed == 1, what="the record to reach the disk")
    assert outbox.problem == ""
    outbox.close()


def _surprise(*_: object) -> None:
    raise RuntimeError("surprise")


def test_nothing_that_is_owed_again_is_given_up_for_room(path: Path, clock: FakeClock) -> None:
    """The disk that could not note a rewind still says that the server has it all."""
    outbox = Outbox(path, clock, commit_every_s=3600)
    count(outbox, clock, 4)
    outbox.flush()
    drain(outbox)
    store, [row] = outbox._file.store, outbox._file.epochs.rows
    assert store is not None
    row.acked = 1
    assert not drop_oldest_acked(store, outbox._file.epochs.insured)
    assert len(store.records(row.ordinal, 0, 10)) == 4
    outbox.close()


def test_what_went_for_room_is_stated_by_the_last_record_of_its_run(path: Path, clock: FakeClock) -> None:
    """A server set back to a backup asks for what is no more; the record that was kept says since when there is any."""
    first = Outbox(path, clock, commit_every_s=0, max_batch=5)
    count(first, clock, 12)
    drain(first)
    epoch = first.epoch or ""
    first.close()
    second = Outbox(path, clock, commit_every_s=0, max_batch=5, quota_bytes=1)
    second.flush()
    second.probe()
    probed = second.next_batch("backlog")
    assert probed is not None
    assert (probed.epoch, probed.oldest, tracks([*probed.records])) == (epoch, 12, [12])
    assert second.rewind(epoch, 4)
    assert second.next_batch("backlog") == probed
    assert second.acknowledge(epoch, 12)
    assert (second.pending, second.lost) == (0, 0)
    second.close()
    # Its days are over in the end, as everybody's.
    clock.seconds += 8 * 86400
    third = Outbox(path, clock)
    third.flush()
    assert third._file.epochs.find(epoch) is None
    third.close()


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_held_no_more_when_it_is_asked_for_again_is_stated_once(
    path: Path, clock: FakeClock, finished: bool
) -> None:
    outbox = Outbox(path, clock, commit_every_s=0, keep_acked=timedelta(0), max_batch=5)
    count(outbox, clock, 12)
    drain(outbox)
    epoch = outbox.epoch or ""
    if finished:
        outbox.begin_epoch()
    assert outbox._file.store is not None
    outbox._file.store.purge(1, 12)
    assert outbox.rewind(epoch, 4)
    [nothing] = drain(outbox)
    # By us, and so its numbers are not missed by the server as well.
    assert nothing == Tally(from_seq=4, seq=12)
    assert (outbox.pending, outbox.lost) == (0, 9)
    outbox.close()
    again = Outbox(path, clock)
    assert again.lost == 9
    again.close()


def test_a_look_whether_the_server_has_it_still_is_no_loss_when_its_record_has_had_its_days(
    path: Path, clock: FakeClock
) -> None:
    outbox = Outbox(path, clock, commit_every_s=0, max_batch=5)
    count(outbox, clock, 3)
    drain(outbox)
    outbox.begin_epoch()
    outbox.probe()
    assert outbox._file.store is not None
    outbox._file.store.purge(1, 3)
    assert outbox.next_batch("backlog") is None
    assert (outbox.pending, outbox.lost) == (0, 0)
    outbox.close()


def test_what_is_acknowledged_before_the_clock_is_set_is_kept_its_days_all_the_same(path: Path) -> None:
    before = FakeClock(boot_id="before", zero=NOON + timedelta(days=36500))
    outbox = Outbox(path, before, commit_every_s=0)
    count(outbox, before, 2)
    epoch = outbox.epoch or ""
    outbox.close()
    unset = FakeClock(boot_id="unset", trusted=False)
    outbox = Outbox(path, unset, commit_every_s=0)
    assert tracks(drain(outbox)) == [1, 2]
    outbox.close()
    later = FakeClock(boot_id="later", zero=NOON + timedelta(days=36501))
    for days in (0, 6, 8):
        later.seconds += days * 86400
        outbox = Outbox(path, later)
        outbox.flush()
        held = outbox._file.epochs.find(epoch)
        outbox.close()
        later.seconds -= days * 86400
        assert (held is None) is (days > 7)


def test_an_epoch_whose_owed_records_are_gone_does_not_stand_before_the_others(path: Path, clock: FakeClock) -> None:
    first = Outbox(path, clock, commit_every_s=0, max_batch=2)
    count(first, clock, 4)
    held = first.next_batch("live")
    assert held is not None
    first.acknowledge(held.epoch, 2)
    assert first._file.store is not None
    first._file.store._db.execute("DELETE FROM record WHERE seq > 2")
    first.close()
    second = Outbox(path, clock, commit_every_s=0)
    count(second, clock, 1, first=9)
    second.begin_epoch()
    assert drain(second)[0] == Tally(from_seq=3, seq=4)
    assert second.lost == 2
    count(second, clock, 1, first=10)
    assert tracks(drain(second)) == [10]
    second.close()


def test_a_closed_outbox_stays_closed(path: Path, clock: FakeClock) -> None:
    outbox = Outbox(path, clock, commit_every_s=0)
    outbox.close()
    count(outbox, clock, 1)
    assert outbox.pending == 1
    Outbox(path, clock).close()


def test_a_week_without_a_disk_makes_no_record_that_a_server_would_refuse(clock: FakeClock) -> None:
    buffer = Buffer(5_000)
    lost = 0
    minutes = 7 * 1440
    for minute in range(minutes):
        for camera in range(5):
            at = type(clock.now())(0.0, NOON + timedelta(minutes=minute))
            buffer.add(coverage_record(f"C{camera}", at, seconds=60, frames=600, state="ok"), None)
        lost += buffer.shrink()
    drafts = buffer.peek()
    assert lost == 0
    assert len(buffer) == 5 * minutes
    assert len(drafts) <= 5_000
    watched = 0.0
    for draft in drafts:
        record = draft.record
        assert len(messages.encode(record)) < messages.MAX_PAYLOAD // 2
        watched += record.seconds if isinstance(record, Coverage) else 0.0
        watched += sum(part.seconds for part in record.coverage) if isinstance(record, Tally) else 0.0
    assert watched == pytest.approx(5 * minutes * 60)
