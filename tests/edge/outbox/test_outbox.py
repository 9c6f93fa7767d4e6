"""The outbox where hypothesis can't take it: commits, epochs, dates, quota, time that passes."""

import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from edge.outbox import Outbox, OutboxError
from edge.outbox.batch import Held
from edge.outbox.folding import fold
from tests.edge.outbox.counted import count, drain, tracks
from tests.fixtures.edge_time import NOON, FakeClock
from tests.fixtures.wait import wait_until
from wire import messages
from wire.messages import Coverage, CrossingSum, Tally

HOUR = timedelta(hours=1)


class TestCommit:
    def test_only_what_is_on_disk_is_sent(self, outbox: Outbox, clock: FakeClock) -> None:
        count(outbox, clock, 3)
        assert outbox.next_batch("live") is None
        outbox.flush()
        held = outbox.next_batch("live")
        assert held is not None
        assert [each.seq for each in held.records] == [1, 2, 3]

    def test_appends_are_gathered_into_one_commit(self, path: Path, clock: FakeClock) -> None:
        commits = []
        outbox = Outbox(path, clock, commit_every_s=0.3)
        outbox.on_commit = lambda: commits.append(outbox.pending)
        outbox.start()
        for _ in range(50):
            count(outbox, clock, 1)
        wait_until(lambda: commits, what="the commit")
        outbox.close()
        assert commits == [50]

    def test_no_delay_commits_each(self, path: Path, clock: FakeClock) -> None:
        outbox = Outbox(path, clock, commit_every_s=0)
        count(outbox, clock, 1)
        assert outbox.next_batch("live") is not None
        outbox.close()

    def test_many_threads_lose_nothing(self, path: Path, clock: FakeClock) -> None:
        outbox = Outbox(path, clock, commit_every_s=0.01, max_batch=5000)
        outbox.start()
        threads = [
            threading.Thread(target=count, args=(outbox, clock, 500), kwargs={"first": 1000 * place})
            for place in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outbox.flush()
        assert sorted(tracks(drain(outbox))) == sorted(1000 * place + n for place in range(4) for n in range(500))
        outbox.close()

    def test_survives_the_death_of_its_process(self, path: Path, clock: FakeClock) -> None:
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from edge.outbox import Outbox\n"
            "from tests.edge.outbox.counted import count\n"
            "from tests.fixtures.edge_time import FakeClock\n"
            "clock = FakeClock()\n"
            "box = Outbox(Path(sys.argv[1]), clock, commit_every_s=3600)\n"
            "count(box, clock, 5)\n"
            "box.flush()\n"
            "count(box, clock, 5, first=100)\n"
            "os._exit(9)\n"
        )
        died = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
        assert died.returncode == 9
        outbox = Outbox(path, clock)
        assert outbox.pending == 5
        assert tracks(drain(outbox)) == [1, 2, 3, 4, 5]
        outbox.close()


class TestEpochs:
    def test_every_start_is_a_new_epoch_and_old_records_keep_theirs(self, path: Path, clock: FakeClock) -> None:
        first = Outbox(path, clock, commit_every_s=0)
        count(first, clock, 2)
        born = first.epoch
        first.close()
        second = Outbox(path, clock, commit_every_s=0)
        count(second, clock, 1, first=9)
        held = second.next_batch("backlog")
        assert isinstance(held, Held)
        assert (held.epoch, len(held.records)) == (born, 2)
        live = second.next_batch("live")
        assert live is not None
        assert live.epoch == second.epoch != born
        assert live.records[0].seq == 1
        second.close()

    def test_a_second_agent_is_refused(self, outbox: Outbox, path: Path, clock: FakeClock) -> None:
        with pytest.raises(OutboxError, match="another agent"):
            Outbox(path, clock)

    def test_an_old_ack_after_a_rewind_skips_nothing(self, outbox: Outbox, clock: FakeClock) -> None:
        count(outbox, clock, 10)
        outbox.flush()
        drain(outbox)
        epoch = outbox.epoch or ""
        assert outbox.rewind(epoch, 3)
        outbox.acknowledge(epoch, 10)
        assert outbox.pending == 8
        held = outbox.next_batch("live")
        assert held is not None
        assert held.records[0].seq == 3

    def test_an_ack_never_goes_back(self, outbox: Outbox, clock: FakeClock) -> None:
        count(outbox, clock, 5)
        outbox.flush()
        drain(outbox)
        assert not outbox.acknowledge(outbox.epoch or "", 2)
        assert outbox.pending == 0


class TestKeeping:
    def test_acknowledged_records_stay_for_a_restored_server_and_then_go(self, path: Path, clock: FakeClock) -> None:
        outbox = Outbox(path, clock, commit_every_s=0, keep_acked=timedelta(days=7))
        count(outbox, clock, 4)
        drain(outbox)
        epoch = outbox.epoch or ""
        outbox.close()
        clock.seconds += 6 * 86400
        outbox = Outbox(path, clock)
        outbox.flush()
        outbox.rewind(epoch, 1)
        assert tracks(drain(outbox)) == [1, 2, 3, 4]
        outbox.close()
        clock.seconds += 8 * 86400
        outbox = Outbox(path, clock)
        outbox.flush()
        assert not outbox.rewind(epoch, 1)
        outbox.close()

    def test_a_clock_that_is_not_trusted_purges_nothing(self, path: Path, clock: FakeClock) -> None:
        outbox = Outbox(path, clock, commit_every_s=0)
        count(outbox, clock, 2)
        drain(outbox)
        epoch = outbox.epoch or ""
        outbox.close()
        clock.seconds += 30 * 86400
        clock.trusted = False
        outbox = Outbox(path, clock)
        outbox.flush()
        assert outbox.rewind(epoch, 1)
        outbox.close()

    def test_over_the_quota_sums_take_the_place_of_records(self, path: Path, clock: FakeClock) -> None:
        quota = 800_000
        outbox = Outbox(path, clock, commit_every_s=3600, max_batch=5000, quota_bytes=quota)
        for part in range(20):
            count(outbox, clock, 500, first=1 + part * 500, pause=3.0)
            outbox.flush()
        records = drain(outbox)
        sums = [each for record in records if isinstance(record, Tally) for each in record.crossings]
        assert len(tracks(records)) + sum(each.count for each in sums) == 10_000
        assert sum(each.count for each in sums) > 5_000
        assert [each for record in records if isinstance(record, Tally) for each in range(record.from_seq, record.seq)]
        assert path.stat().st_size < 3 * quota
        # The newest keep their detail.
        assert tracks(records)[-1] == 10_000
        outbox.close()

    def test_nothing_that_was_sent_is_folded(self, path: Path, clock: FakeClock) -> None:
        outbox = Outbox(path, clock, commit_every_s=3600, max_batch=100)
        count(outbox, clock, 300)
        outbox.flush()
        sent = outbox.next_batch("live")
        outbox.set_quota(1)
        outbox.flush()
        assert outbox.next_batch("live") == sent
        assert sent is not None
        outbox.acknowledge(sent.epoch, sent.records[-1].seq)
        rest = outbox.next_batch("live")
        assert rest is not None
        assert isinstance(rest.records[0], Tally)
        assert (rest.records[0].from_seq, rest.records[0].seq) == (101, 300)
        outbox.close()


class TestDates:
    def test_what_was_counted_before_the_clock_was_set_waits_and_is_dated(
        self, outbox: Outbox, clock: FakeClock
    ) -> None:
        clock.trusted = False
        count(outbox, clock, 2, pause=10)
        outbox.append_coverage("C1", clock.now(), seconds=60, frames=5, state="ok")
        outbox.flush()
        assert outbox.next_batch("live") is None
        assert "clock" in outbox.problem
        clock.trusted = True
        outbox.flush()
        first, second, minute = drain(outbox)
        assert isinstance(first, messages.Crossing)
        assert isinstance(second, messages.Crossing)
        assert (first.at, second.at) == (NOON + timedelta(seconds=10), NOON + timedelta(seconds=20))
        assert first.bounds is None
        assert isinstance(minute, Coverage)
        assert minute.minute == NOON
        assert outbox.problem == ""

    def test_a_boot_that_never_knew_the_time_is_sent_with_bounds(self, path: Path) -> None:
        known = FakeClock(boot_id="known")
        outbox = Outbox(path, known, commit_every_s=0)
        count(outbox, known, 1)
        outbox.close()
        lost = FakeClock(boot_id="lost", trusted=False)
        outbox = Outbox(path, lost, commit_every_s=0)
        count(outbox, lost, 2, first=2, pause=60)
        outbox.close()
        later = FakeClock(boot_id="later", zero=NOON + HOUR)
        outbox = Outbox(path, later)
        outbox.flush()
        _, first, second = drain(outbox)
        assert isinstance(first, messages.Crossing)
        assert isinstance(second, messages.Crossing)
        assert first.bounds is not None
        assert second.bounds is not None
        # Not before the last time known, plus its uptime; not after the next boot began.
        assert first.bounds.earliest == NOON + timedelta(seconds=160)
        assert second.bounds.latest == NOON + HOUR
        assert second.at - first.at == timedelta(seconds=60)
        outbox.close()


class TestFolding:
    def test_minutes_are_capped_before_they_are_added_to_a_quarter(self) -> None:
        minutes = [
            Coverage(seq=1, minute=NOON, camera="C1", seconds=50, frames=5, state="offline"),
            Coverage(seq=2, minute=NOON, camera="C1", seconds=40, frames=5, state="ok"),
            Coverage(seq=3, minute=NOON + timedelta(minutes=1), camera="C1", seconds=30, frames=5, state="dark"),
        ]
        [quarter] = fold(minutes, 900).coverage
        assert quarter.seconds == 90
        assert quarter.frames == 15
        assert quarter.state == "dark"

    def test_sums_by_line_direction_tags_and_minute(self) -> None:
        crossing = messages.Crossing(seq=1, at=NOON, camera="C1", line="L1", direction="in", track=7, group=7)
        others = [
            messages.Crossing(seq=2, at=NOON, camera="C1", line="L1", direction="in", track=8, group=7),
            messages.Crossing(seq=3, at=NOON, camera="C1", line="L1", direction="in", track=9, tags=("staff",)),
            messages.Crossing(seq=4, at=NOON + HOUR, camera="C1", line="L1", direction="out", track=9),
        ]
        tally = fold([crossing, *others], 60)
        assert (tally.from_seq, tally.seq) == (1, 4)

        def total(found: CrossingSum) -> tuple[str, tuple[str, ...], int, int]:
            return (found.direction, found.tags, found.count, found.groups)

        assert [total(each) for each in tally.crossings] == [
            ("in", (), 2, 1),
            # Whoever is in no group that is known is one alone, here as on the server.
            ("in", ("staff",), 1, 1),
            ("out", (), 1, 1),
        ]

    def test_sqlite_is_set_up_to_survive_a_power_cut(self, outbox: Outbox) -> None:
        assert outbox._file.store is not None
        db: sqlite3.Connection = outbox._file.store._db
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
