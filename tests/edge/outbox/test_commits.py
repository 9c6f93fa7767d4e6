"""How often a box syncs its disk: at most once a second at a busy door, without sending what is not on disk.

Counted over a clock in the test's hand: outbox and uplink at their defaults, as the agent puts them together, for ten
minutes of a door; every commit of the file that changed something, and every other sync the outbox asks for.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.clock import Moment
from edge.link.transport import Event, Opened, Received, Settled, Sink
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import OutboxSettings
from edge.uplink import Uplink
from tests.fixtures.edge_time import FakeClock
from wire import messages
from wire.messages import Ack, Batch
from wire.topics import Channel

STEP_S = 0.05
DEFAULTS = OutboxSettings(path="outbox.sqlite")


@dataclass
class Door:
    """A box at a door, and a server that answers after `answers_s` seconds."""

    path: Path
    rate: float
    answers_s: float = 0.2
    commit_every_s: float = DEFAULTS.commit_every_s
    flush_after_s: float = DEFAULTS.flush_after_s
    now: float = 1000.0
    certificate: str = ""
    commits: list[float] = field(default_factory=list)
    sent: list[tuple[float, Batch]] = field(default_factory=list)
    appended: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.outbox = Outbox(
            self.path,
            self.clock,
            commit_every_s=self.commit_every_s,
            max_batch=DEFAULTS.max_batch,
            monotonic=lambda: self.now,
        )
        self.uplink = Uplink(
            self.outbox,
            self,
            self.clock,
            device="door-1",
            flush_after_s=self.flush_after_s,
            max_batch=DEFAULTS.max_batch,
            resend_after_s=DEFAULTS.resend_after_s,
        )
        self._answers: list[tuple[float, Event]] = []
        self._serve_at = 0.0
        store = self.outbox._file.store
        assert store is not None
        self._db = store._db
        self._changes = self._db.total_changes
        self._db.set_trace_callback(self._traced)

    def _traced(self, statement: str) -> None:
        if statement == "COMMIT" and self._db.total_changes > self._changes:
            self._changes = self._db.total_changes
            self.commits.append(self.now)

    # -- the way to the server

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:
        assert will
        self._connection = connection
        sink(Opened(connection, "driven"))

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:
        assert retain == (channel is Channel.STATUS)
        token = len(self.sent) + 1
        self._answers.append((self.now, Settled(self._connection, token, "")))
        if channel is Channel.BATCH:
            assert expires_s
            batch = messages.decode(payload, Batch)
            self.sent.append((self.now, batch))
            self.on_disk(batch)
            ack = Ack(epoch=batch.epoch, seq=batch.last_seq, nonce=batch.nonce)
            answer = Received(self._connection, Channel.ACK, messages.encode(ack))
            self._answers.append((self.now + self.answers_s, answer))
        return token

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def on_disk(self, batch: Batch) -> None:
        """Only what is on disk is sent, and that it is sent stands there before."""
        assert not self._db.in_transaction
        [found] = self._db.execute("SELECT sent_through, last_seq FROM epoch WHERE epoch = ?", (batch.epoch,))
        assert batch.last_seq <= found[0] <= found[1]
        [held] = self._db.execute(
            "SELECT count(*) FROM record JOIN epoch ON epoch.ordinal = record.epoch"
            " WHERE epoch.epoch = ? AND seq BETWEEN ? AND ?",
            (batch.epoch, batch.first_seq, batch.last_seq),
        )
        assert held[0] == len(batch.records)

    # -- time

    def run(self, seconds: float) -> None:
        rng = random.Random(7)
        end, next_at = self.now + seconds, self.now
        while self.now < end:
            while next_at <= self.now:
                self._cross()
                next_at += rng.expovariate(self.rate)
            oldest = self.outbox._buffer.wait(0.0)
            if oldest is not None and oldest + self.commit_every_s <= self.now:
                assert self.outbox.flush()
            self._turn()
            self.now += STEP_S
            self.clock.seconds += STEP_S

    def _cross(self) -> None:
        self.appended.append(self.now)
        number = len(self.appended)
        when = Moment(self.clock.seconds, self.clock.now().at)
        self.outbox.append_crossing("C1", Crossing("L1", "in", number, 0, 0.0, 0.9, number), when)

    def _turn(self) -> None:
        """What the uplink's thread does until nothing is due."""
        due = [event for at, event in self._answers if at <= self.now]
        self._answers = [(at, event) for at, event in self._answers if at > self.now]
        for event in due:
            self.uplink._handle(event)
        # A commit wakes it, and so does an event; otherwise it sleeps until something is due.
        self.uplink._step(self.now)
        while (came := self.uplink._next_event(0.0)) is not None:
            self.uplink._handle(came)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Every sync that is not SQLite's own."""
    found: list[int] = []

    def counting(real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(descriptor: int) -> None:
            found.append(descriptor)
            real(descriptor)

        return sync

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, counting(getattr(os, name)))
    return iter([found])


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0])
def test_a_busy_door_syncs_its_disk_at_most_once_a_second(
    tmp_path: Path, syncs: Iterator[list[int]], rate: float
) -> None:
    [others] = syncs
    door = Door(tmp_path / "outbox.sqlite", rate)
    door.run(5)
    # At its very first commit a boot is dated, once.
    for counted in (door.commits, door.sent, others):
        counted.clear()
    door.run(600)
    gaps = [later - earlier for earlier, later in zip(door.commits, door.commits[1:], strict=False)]
    assert min(gaps) >= DEFAULTS.commit_every_s - STEP_S
    assert len(door.commits) + len(others) <= 600
    # And nothing was bought by waiting: what is counted is on its way as soon as before, and no later.
    assert len(door.sent) > 600 / (DEFAULTS.flush_after_s + 1.5 + 1 / rate)
    assert door.outbox.pending < rate * 20 + 20
    for at, batch in door.sent:
        oldest = door.appended[batch.records[0].track - 1]  # type: ignore[union-attr]
        assert at - oldest <= DEFAULTS.flush_after_s + DEFAULTS.commit_every_s + 2 * STEP_S
    door.outbox.close()


@pytest.mark.parametrize("answers_s", [4.9, 12.0])
def test_a_server_that_is_slow_to_answer_costs_no_sync_more(tmp_path: Path, answers_s: float) -> None:
    door = Door(tmp_path / "outbox.sqlite", 3.0, answers_s=answers_s)
    door.run(5)
    door.commits.clear()
    door.run(120)
    gaps = [later - earlier for earlier, later in zip(door.commits, door.commits[1:], strict=False)]
    assert min(gaps) >= DEFAULTS.commit_every_s - STEP_S
    assert len(door.sent) > 120 / (answers_s + DEFAULTS.flush_after_s + 1.5)
    door.outbox.close()


def test_at_a_quiet_door_nothing_waits_for_a_commit_that_does_not_come(tmp_path: Path) -> None:
    door = Door(tmp_path / "outbox.sqlite", 1 / 60)
    door.run(1200)
    assert len(door.sent) >= 10
    for at, batch in door.sent:
        oldest = door.appended[batch.records[0].track - 1]  # type: ignore[union-attr]
        assert at - oldest <= DEFAULTS.flush_after_s + 2 * STEP_S
    door.outbox.close()


def test_sent_after_half_a_second_it_is_noted_in_the_very_commit_that_keeps_it(tmp_path: Path) -> None:
    door = Door(tmp_path / "outbox.sqlite", 0.2, commit_every_s=0.5, flush_after_s=0.5)
    door.run(300)
    assert len(door.sent) >= 30
    for at, batch in door.sent:
        oldest = door.appended[batch.records[0].track - 1]  # type: ignore[union-attr]
        assert at - oldest <= 0.5 + 2 * STEP_S
    door.outbox.close()


def test_what_was_acknowledged_is_on_disk_with_the_next_commit_and_at_the_end(tmp_path: Path) -> None:
    door = Door(tmp_path / "outbox.sqlite", 3.0)
    door.run(60)
    door.outbox.close()
    again = Outbox(tmp_path / "outbox.sqlite", FakeClock(boot_id="boot-b"))
    [before] = [row for row in again._file.epochs.rows if row.last_seq]
    assert before.acked == max(batch.last_seq for at, batch in door.sent if at + door.answers_s < door.now)
    assert again.pending == before.last_seq - before.acked
    assert before.acked > 100
    again.close()
