"""The outbox's promises under any interleaving of append, commit, send, ack, rewind, restore, fold and power cut.

Hypothesis plays shop, network, server and fate. The network keeps, repeats, reorders and drops what it likes, both
ways; the server commits by the contract and may come back from a backup; a power cut leaves exactly what is on the
disk. In the end, over a network that works, the server must have what reached the disk: each count once.
"""

import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.models import Crossing
from edge.outbox import Outbox
from edge.outbox.epochs import LANES
from edge.outbox.folding import start_of
from tests.fixtures.edge_time import NOON, FakeClock
from wire import messages
from wire.messages import Ack, Batch, Coverage, Reply, Rewind, Tally

QUOTA = 64 * 1024 * 1024
Key = tuple[str, str, object]


class Server:
    """Cursor and rows, by the contract; what it holds can be set back."""

    def __init__(self) -> None:
        self.cursor: dict[str, int] = {}
        self.rows: dict[tuple[str, int], messages.Record] = {}

    def take(self, batch: Batch) -> Reply:
        cursor = self.cursor.get(batch.epoch, 0)
        if batch.first_seq > cursor + 1:
            # Only an epoch of which nothing lower is held may begin late, and here that would be a loss.
            assert batch.oldest <= cursor + 1, "the box no longer holds what the server never had"
            return Rewind(epoch=batch.epoch, seq=cursor + 1)
        for record in batch.records:
            if record.seq > cursor:
                assert messages.first_seq(record) > cursor, "a tally reaches below what was sent before"
                self.rows[batch.epoch, record.seq] = record
        self.cursor[batch.epoch] = max(cursor, batch.last_seq)
        return Ack(epoch=batch.epoch, seq=self.cursor[batch.epoch])

    def counts(self) -> Counter[Key]:
        """Crossings by line, direction and quarter hour; tenths of seconds watched by camera and quarter hour."""
        found: Counter[Key] = Counter()
        for record in self.rows.values():
            if isinstance(record, Tally):
                for each in record.crossings:
                    found[each.line, each.direction, when(each.line, each.start)] += each.count
                for part in record.coverage:
                    found[part.camera, "watched", start_of(part.start, 900)] += round(part.seconds * 10)
            elif isinstance(record, Coverage):
                found[record.camera, "watched", start_of(record.minute, 900)] += round(record.seconds * 10)
            else:
                found[record.line, record.direction, when(record.line, record.at)] += 1
        return found


def when(line: str, at: object) -> object:
    """The quarter hour, except of what was counted before the clock was set: only that it counts is certain."""
    return None if line == "undated" else start_of(at, 900)  # type: ignore[arg-type]


class Shop(RuleBasedStateMachine):
    """One box and its server."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.generation = 0
        self.clock = FakeClock()
        self.server = Server()
        self.backup: tuple[dict[str, int], dict[tuple[str, int], messages.Record]] | None = None
        self.insured = True
        self.minute = 0
        self.track = 0
        self.buffered: Counter[Key] = Counter()
        self.durable: Counter[Key] = Counter()
        self.outgoing: list[Batch] = []
        self.incoming: list[Reply] = []
        self.contents: dict[tuple[str, int], bytes] = {}
        self.open()

    @property
    def path(self) -> Path:
        return self.folder / str(self.generation) / "outbox.sqlite"

    def open(self) -> None:
        self.outbox = Outbox(self.path, self.clock, commit_every_s=3600, max_batch=4, quota_bytes=QUOTA)

    # -- the shop --------------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 12), direction=st.sampled_from(["in", "out"]), pause=st.integers(0, 400))
    def people(self, number: int, direction: str, pause: int) -> None:
        for _ in range(number):
            self.clock.seconds += pause / number
            self.track += 1
            line = "door" if self.clock.trusted else "undated"
            crossing = Crossing(line, direction, self.track, 0, 0.0, 0.9, self.track)  # type: ignore[arg-type]
            now = self.clock.now()
            self.outbox.append_crossing("C1", crossing, now)
            self.buffered[line, direction, when(line, now.at)] += 1

    @precondition(lambda self: self.clock.trusted)
    @rule(seconds=st.sampled_from([60.0, 41.3, 0.0]))
    def a_minute_watched(self, seconds: float) -> None:
        self.minute += 1
        at = NOON + timedelta(days=1, minutes=self.minute)
        moment = type(self.clock.now())(0.0, at)
        self.outbox.append_coverage("C1", moment, seconds=seconds, frames=9, state="ok")
        self.buffered["C1", "watched", start_of(at, 900)] += round(seconds * 10)

    @rule()
    def commit(self) -> None:
        assert self.outbox.flush()
        self.durable.update(self.buffered)
        self.buffered.clear()

    @rule()
    def new_epoch(self) -> None:
        self.outbox.begin_epoch()
        self.durable.update(self.buffered)
        self.buffered.clear()

    @rule(reboot=st.booleans(), trusted=st.booleans())
    def power_cut(self, reboot: bool, trusted: bool) -> None:
        """What is on the disk now is all there is; the new process knows nothing else."""
        before = self.path.parent
        self.generation += 1
        shutil.copytree(before, self.path.parent, ignore=shutil.ignore_patterns("*-shm"))
        self.outbox.close()
        self.buffered.clear()
        if reboot:
            zero = NOON + timedelta(days=2 + self.generation)
            self.clock = FakeClock(trusted=trusted, boot_id=f"boot-{self.generation}", zero=zero)
        self.open()

    @rule()
    def the_time_is_told(self) -> None:
        self.clock.trusted = True

    @rule(lane=st.sampled_from(LANES))
    def squeeze(self, lane: str) -> None:
        """The quota is reached while a batch is on its way: all that may be folded is."""
        self.insured = False
        self.commit()
        self.send(lane)
        self.outbox.set_quota(1)
        self.commit()
        self.outbox.set_quota(QUOTA)
        self.send(lane)

    # -- the network and the server --------------------------------------------------------------------------------

    @rule(lane=st.sampled_from(LANES))
    def send(self, lane: str) -> None:
        held = self.outbox.next_batch(lane)  # type: ignore[arg-type]
        if held is None:
            return
        batch = messages.make_batch(
            device="door-1", epoch=held.epoch, oldest=held.oldest, sent_at=NOON, records=held.records
        )
        assert len(batch.records) <= 4
        for record in batch.records:
            for seq in range(messages.first_seq(record), record.seq + 1):
                content = messages.encode(record)
                assert self.contents.setdefault((batch.epoch, seq), content) == content, "a number with two contents"
        self.outgoing.append(batch)

    @rule(data=st.data(), keep=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool) -> None:
        if self.outgoing:
            place = data.draw(st.integers(0, len(self.outgoing) - 1))
            batch = self.outgoing[place] if keep else self.outgoing.pop(place)
            self.incoming.append(self.server.take(batch))

    @rule(data=st.data(), keep=st.booleans())
    def answer(self, data: st.DataObject, keep: bool) -> None:
        if self.incoming:
            place = data.draw(st.integers(0, len(self.incoming) - 1))
            self.hear(self.incoming[place] if keep else self.incoming.pop(place))

    @rule()
    def network_forgets(self) -> None:
        self.outgoing.clear()
        self.incoming.clear()

    @rule()
    def back_up(self) -> None:
        self.backup = (dict(self.server.cursor), dict(self.server.rows))

    @precondition(lambda self: self.backup is not None and self.insured)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self.server.cursor, self.server.rows = dict(self.backup[0]), dict(self.backup[1])

    def hear(self, reply: Reply) -> None:
        if isinstance(reply, Ack):
            self.outbox.acknowledge(reply.epoch, reply.seq)
        elif isinstance(reply, Rewind):
            self.outbox.rewind(reply.epoch, reply.seq)

    @invariant()
    def nothing_is_lost_or_wrong(self) -> None:
        assert self.outbox.lost == 0

    def teardown(self) -> None:
        """Over a network that works everything arrives: a finished epoch shows by a probe what the server lost of it,
        the live one by its next record.
        """
        self.clock.trusted = True
        for _ in range(2):
            self.people(1, "in", 1)
            self.commit()
            self.outbox.probe()
            for _ in range(10_000):
                held = [each for each in map(self.outbox.next_batch, LANES) if each is not None]
                if not held:
                    break
                for each in held:
                    batch = messages.make_batch(
                        device="d", epoch=each.epoch, oldest=each.oldest, sent_at=NOON, records=each.records
                    )
                    self.hear(self.server.take(batch))
        assert self.outbox.pending == 0
        assert self.server.counts() == +self.durable
        self.outbox.close()
        shutil.rmtree(self.folder)


Shop.TestCase.settings = settings(max_examples=40, stateful_step_count=30, suppress_health_check=list(HealthCheck))
TestShop = Shop.TestCase
