"""A shop, its network, its centre and its fate, for hypothesis to play with: any interleaving of what can happen.

The box is the real one from the disk to the wire: outbox, lanes and uplink, of which only the thread is ours to move.
The network keeps, repeats, reorders and drops what it likes, both ways; the centre refuses, loses commits, is asked
twice at once, and may come back from a backup; a power cut leaves exactly what is on the disk. Whatever happened: what
reached the disk is booked once, or, where the disk's quota took it and the centre lost it after, said to be lost.

Which centre it is, a model of the contract or the real ingest on a real database, is the subclass's to say.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.backoff import Backoff
from edge.link.transport import Closed, Opened, Received, Settled, Sink
from edge.models import Crossing
from edge.outbox import Outbox
from edge.uplink import Uplink
from tests.chaos.stream import Key, minute_of
from tests.edge.outbox.centre import FATES, Books, Centre, Fate
from tests.fixtures.edge_time import NOON, FakeClock
from wire import messages
from wire.messages import Ack, Batch, Refusal, Reply, Rewind
from wire.topics import Channel

DEVICE = "door-1"
STORES = ("S01", "S02")
QUOTA = 64 * 1024 * 1024
_CHANNEL_OF: dict[type, Channel] = {Ack: Channel.ACK, Rewind: Channel.REWIND, Refusal: Channel.REFUSAL}
_AT_ONCE = Backoff(0.0, 0.0, lambda: 0.0)
#: Later than any pause of the uplink's.
_LATER_S = 1000.0


class Air:
    """A way to the centre that keeps what is sent for the machine to do with as it likes."""

    certificate = ""

    def __init__(self) -> None:
        self.connection = 0
        self.sent: list[bytes] = []
        self._open = False
        self._token = 0

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:
        """See `Transport.open`."""
        self.connection, self._open = connection, True

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:
        """See `Transport.send`."""
        if not self._open:
            raise ConnectionError("not connected")
        if channel is Channel.BATCH:
            self.sent.append(payload)
        self._token += 1
        return self._token

    def close(self) -> None:
        """See `Transport.close`."""
        self._open = False

    abort = close


class Shop(RuleBasedStateMachine):
    """One box and its centre."""

    centre: ClassVar[Centre]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.generation = 0
        self.clock = FakeClock()
        self.centre.begin()
        self.store = STORES[0]
        self.minute = 0
        self.track = 0
        #: What was appended and is in memory; what reached the disk; and how many records either is.
        self.buffered, self.durable = Counter[Key](), Counter[Key]()
        self.in_memory = self.on_disk = 0
        self.squeezed = self.gone_is_known = False
        self.outgoing: list[bytes] = []
        self.incoming: list[Reply] = []
        self.contents: dict[tuple[str, int], bytes] = {}
        #: The furthest acknowledgement given, by epoch, since the centre last lost anything.
        self.acked: Counter[str] = Counter()
        self.start()

    @property
    def path(self) -> Path:
        return self.folder / str(self.generation) / "outbox.sqlite"

    def start(self) -> None:
        """A new process: it knows what the disk knows."""
        self.outbox = Outbox(self.path, self.clock, commit_every_s=3600, max_batch=4, quota_bytes=QUOTA)
        self.air = Air()
        self.uplink = Uplink(
            self.outbox,
            self.air,
            self.clock,
            device=DEVICE,
            flush_after_s=0.0,
            max_batch=4,
            backoff=_AT_ONCE,
            refusal_backoff=_AT_ONCE,
        )

    # -- the shop --------------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 12), direction=st.sampled_from(["in", "out"]), pause=st.integers(0, 200))
    def people(self, number: int, direction: Literal["in", "out"], pause: int) -> None:
        for _ in range(number):
            self.clock.seconds += pause / number
            self.track += 1
            now = self.clock.now()
            # Of what was counted before the clock was set only the sum is certain.
            line, minute = (f"{self.store}-L1", minute_of(now.at)) if now.at else (f"{self.store}-U", None)
            self.outbox.append_crossing(
                f"{self.store}-C1", Crossing(line, direction, self.track, 0, 0.0, 0.9, self.track), now
            )
            self.buffered[line, direction, minute] += 1
            self.in_memory += 1

    @precondition(lambda self: self.clock.trusted)
    @rule(seconds=st.sampled_from([60.0, 41.3, 0.0]))
    def a_minute_watched(self, seconds: float) -> None:
        self.minute += 1
        at = NOON + timedelta(days=1, minutes=self.minute)
        camera = f"{self.store}-C1"
        self.outbox.append_coverage(
            camera, type(self.clock.now())(0.0, at), seconds=seconds, frames=9, state="ok" if seconds == 60 else "dark"
        )
        self.buffered[camera, "watched", at] += round(seconds * 10)
        self.in_memory += 1

    @rule()
    def commit(self) -> None:
        assert self.outbox.flush()
        self.reached_the_disk()

    def reached_the_disk(self) -> None:
        """The uplink commits, too, where it begins an epoch."""
        if not len(self.outbox._buffer):
            self.durable.update(self.buffered)
            self.on_disk += self.in_memory
            self.buffered.clear()
            self.in_memory = 0

    @rule(reboot=st.booleans(), trusted=st.booleans())
    def power_cut(self, reboot: bool, trusted: bool) -> None:
        """What is on the disk now is all there is; the new process knows nothing else."""
        before = self.path.parent
        self.generation += 1
        shutil.copytree(before, self.path.parent, ignore=shutil.ignore_patterns("*-shm"))
        self.outbox.close()
        shutil.rmtree(before)
        self.buffered.clear()
        self.in_memory = 0
        if reboot:
            zero = NOON + timedelta(days=2, hours=3 * self.generation)
            self.clock = FakeClock(trusted=trusted, boot_id=f"boot-{self.generation}", zero=zero)
        self.start()

    @rule()
    def the_time_is_told(self) -> None:
        self.clock.trusted = True

    @rule()
    def squeeze(self) -> None:
        """The quota is reached while batches are on their way: all that may be folded is, all insurance is given up."""
        self.squeezed = True
        self.commit()
        self.serve(late=False)
        self.outbox.set_quota(1)
        self.commit()
        self.outbox.set_quota(QUOTA)

    @rule()
    def move(self) -> None:
        """The box is carried to the other store, with whatever it still has of this one."""
        self.store = STORES[1 - STORES.index(self.store)]
        self.centre.move(self.store)

    # -- the network and the centre --------------------------------------------------------------------------------

    @rule(late=st.booleans())
    def serve(self, late: bool) -> None:
        """The uplink does what is due: connects, sends, and, where nobody answered for long, sends again."""
        now = time.monotonic() + (_LATER_S if late else 0.0)
        self.uplink._step(now)
        if self.uplink._link.state == "opening":
            self.uplink._handle(Opened(self.air.connection, "air"))
            self.uplink._step(now)
        for token in list(self.uplink._link.tokens):
            self.uplink._handle(Settled(self.air.connection, token, ""))
        self.reached_the_disk()
        for payload in self.air.sent:
            self.note(messages.decode(payload, Batch))
        self.outgoing += self.air.sent
        self.air.sent.clear()

    def note(self, batch: Batch) -> None:
        assert len(batch.records) <= 4
        for record in batch.records:
            for seq in range(messages.first_seq(record), record.seq + 1):
                content = messages.encode(record)
                assert self.contents.setdefault((batch.epoch, seq), content) == content, "a number with two contents"

    @rule(data=st.data(), number=st.integers(1, 3), keep=st.booleans(), fate=st.sampled_from(FATES))
    def deliver(self, data: st.DataObject, number: int, keep: bool, fate: Fate) -> None:
        """Some of what is under way, in any order; what is kept comes once more, as over another way."""
        group = []
        for _ in range(min(number, len(self.outgoing))):
            place = data.draw(st.integers(0, len(self.outgoing) - 1))
            group.append(self.outgoing[place] if keep else self.outgoing.pop(place))
        if group:
            self.incoming += self.ask(group, fate)

    def ask(self, group: Sequence[bytes], fate: Fate) -> list[Reply]:
        replies = self.centre.take(group, fate)
        for reply in replies:
            if isinstance(reply, Ack):
                self.acked[reply.epoch] = max(self.acked[reply.epoch], reply.seq)
        return replies

    @rule(data=st.data(), code=st.sampled_from(["not_writable", "unknown_device"]))
    def refuse(self, data: st.DataObject, code: str) -> None:
        if self.outgoing:
            batch = messages.decode(self.outgoing.pop(data.draw(st.integers(0, len(self.outgoing) - 1))), Batch)
            self.incoming.append(Refusal(code=code, reason="no", epoch=batch.epoch, first_seq=batch.first_seq))

    @rule(data=st.data(), keep=st.booleans())
    def answer(self, data: st.DataObject, keep: bool) -> None:
        if self.incoming:
            place = data.draw(st.integers(0, len(self.incoming) - 1))
            self.hear(self.incoming[place] if keep else self.incoming.pop(place))

    def hear(self, reply: Reply) -> None:
        payload = messages.encode(reply)
        self.uplink._handle(Received(self.air.connection, _CHANNEL_OF[type(reply)], payload))
        self.reached_the_disk()

    @rule()
    def line_breaks(self) -> None:
        self.uplink._handle(Closed(self.air.connection, "cut"))

    @rule()
    def network_forgets(self) -> None:
        self.outgoing.clear()
        self.incoming.clear()

    @rule()
    def back_up(self) -> None:
        self.centre.back_up()

    @rule()
    def restore(self) -> None:
        """As at the last backup. What the centre lost and the box gave up for room is nowhere any more."""
        self.centre.restore()
        self.gone_is_known = self.gone_is_known or self.squeezed
        # Acknowledgements of what it no longer has are still under way.
        self.acked.clear()

    # -- what must be true -----------------------------------------------------------------------------------------

    @invariant()
    def the_box_lost_nothing(self) -> None:
        assert self.outbox.lost == 0

    @precondition(lambda self: not self.gone_is_known)
    @rule()
    def everything_is_somewhere(self) -> None:
        """Each number that reached the disk is booked, once, or still on the disk."""
        books, store = self.centre.books(), self.outbox._file.store
        self.check(books)
        assert store is not None
        assert not any(books.lost.values())
        numbered = 0
        for row in store.epochs():
            held = store.records(row.ordinal, 0, 1_000_000)
            there = {seq for each in held for seq in range(each.from_seq, each.seq + 1)}
            missing = set(range(1, row.last_seq + 1)) - there - set(books.numbers.get(row.epoch, ()))
            assert not missing, f"of epoch {row.epoch}, acknowledged to {self.acked[row.epoch]}: {sorted(missing)}"
            numbered += row.last_seq
        assert numbered == self.on_disk

    def check(self, books: Books) -> None:
        for epoch, seq in self.acked.items():
            assert books.cursors.get(epoch, 0) >= seq, f"epoch {epoch} went back from what was acknowledged"
        for epoch, numbers in books.numbers.items():
            assert max(numbers.values(), default=1) == 1, f"twice in epoch {epoch}: {numbers.most_common(3)}"
            lost = books.lost.get(epoch, set())
            assert not lost & set(numbers), f"booked, and said to be lost, in epoch {epoch}"
            assert set(numbers) | lost == set(range(1, books.cursors[epoch] + 1)), f"without a trace in epoch {epoch}"

    def teardown(self) -> None:
        """Over a network that works everything arrives: a finished epoch shows by a probe what the centre lost of it,
        the live one by its next record.
        """
        self.clock.trusted = True
        for _ in range(2):
            self.people(1, "in", 1)
            self.commit()
            self.outbox.probe()
            self.line_breaks()
            self.network_forgets()
            self.deliver_all()
        books = self.centre.books()
        self.check(books)
        assert self.outbox.pending == 0
        booked, lost = (sum(map(len, each.values())) for each in (books.numbers, books.lost))
        assert booked + lost == self.on_disk
        assert not lost or self.gone_is_known
        self.compare(books, some_are_lost=bool(lost))
        self.outbox.close()
        shutil.rmtree(self.folder)

    def deliver_all(self) -> None:
        for _ in range(10_000):
            self.serve(late=True)
            if not self.outgoing:
                return
            for reply in self.ask([self.outgoing.pop(0)], "committed"):
                self.hear(reply)
        raise AssertionError("it never comes to an end")

    def compare(self, books: Books, *, some_are_lost: bool) -> None:
        """Each line, direction and minute; a quarter hour where only that is known any more."""
        quarters = {(name, kind, _quarter(at)) for name, kind, at in books.in_quarters if at is not None}

        def coarse(counts: Counter[Key]) -> Counter[Key]:
            found: Counter[Key] = Counter()
            for (name, kind, at), number in counts.items():
                wide = None if at is None or name.endswith("-U") else at
                if wide is not None and (name, kind, _quarter(wide)) in quarters:
                    wide = _quarter(wide)
                found[name, kind, wide] += number
            return +found

        mine, its = coarse(self.durable), coarse(books.sums)
        assert its <= mine if some_are_lost else its == mine


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15)
