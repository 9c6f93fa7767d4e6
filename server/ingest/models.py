"""What passes between the worker, the rules of ingest and its SQL."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from wire import topics
from wire.messages import Ack, Refusal, Reply, Rewind

#: Class of a person, by rank: the first tag found decides.
CLASSES: Final = ("staff", "child", "adult")
#: States of a camera by rank: of two for one quarter hour the later in this list is kept, in whatever order they come.
STATES: Final = ("ok", "dark", "covered", "stalled", "frozen", "offline")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One batch as it came in.

    Attributes:
        device: who sent it, as the broker knows (from the topic), not as the payload says.
        payload: the bytes.
        received_at: server's clock (UTC).
    """

    device: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device is told after the commit."""

    device: str
    reply: Reply

    @property
    def channel(self) -> topics.Channel:
        """Where it is said."""
        match self.reply:
            case Ack():
                return topics.Channel.ACK
            case Rewind():
                return topics.Channel.REWIND
            case Refusal():
                return topics.Channel.REFUSAL


@dataclass(frozen=True, slots=True)
class Device:
    """A registered box."""

    device_id: str
    revoked_at: datetime | None


@dataclass(slots=True)
class Cursor:
    """How far an epoch is committed; locked while it is held.

    Attributes:
        last_at: the time of the last record that told one.
        skew_ms: how far its box's clock is known to be ahead of ours.
    """

    device_id: str
    epoch: str
    store_id: str
    seq: int
    last_at: datetime | None = None
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """Which store each line and camera belongs to."""

    lines: dict[str, str] = field(default_factory=dict)
    cameras: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from; written beside every row, so that each can be traced and none is applied twice."""

    store_id: str
    device_id: str
    epoch: str
    received_at: datetime


CoverageRow = tuple[datetime, str, str, Decimal, int, str, bool, str, str, int, datetime]
TallyRow = tuple[datetime, str, str, str, int, int, str]
#: device, epoch, seq, store, code, reason, payload, received, and the time it speaks of (start, end) where it tells
DeadLetterRow = tuple[str, str, int | None, str, str, str, str, datetime, datetime | None, datetime | None]
#: device, epoch, store, from, to, noticed, and between when they lay (earliest None where nothing came before)
LostRow = tuple[str, str, str, int, int, datetime, datetime | None, datetime]
#: store, quarter, line, direction, class
TrafficKey = tuple[str, datetime, str, str, str]
#: store, quarter, camera
CoverageKey = tuple[str, datetime, str]


@dataclass(slots=True)
class Traffic:
    """What is added to one row of the roll-up."""

    count: int = 0
    groups: int = 0


@dataclass(slots=True)
class Watched:
    """What is added to one camera's quarter hour: tenths of a second in each of its minutes, and how many came late."""

    tenths: list[int] = field(default_factory=lambda: [0] * 15)
    state: str = "ok"
    late: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record put aside, with what was sent.

    Attributes:
        seq: its (last) number within the epoch.
        code, reason: why it was not booked, as of the last try.
        starts_at, ends_at: the time it speaks of (UTC); None where it no longer tells.
        tries: how often somebody tried to book it.
        settled_by: who booked or dropped it; empty while it is open.
    """

    dead_letter_id: int
    device_id: str
    epoch: str
    seq: int | None
    store_id: str
    code: str
    reason: str
    payload: str
    received_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    tries: int
    retried_at: datetime | None
    dropped_at: datetime | None
    settled_by: str
    drop_reason: str

    @property
    def is_open(self) -> bool:
        """Whether it was neither booked nor dropped."""
        return self.retried_at is None and self.dropped_at is None


#: booked: all of it; in_part: some of a tally, the rest is a new letter; still_bad: nothing, `reason` says why;
#: settled: somebody booked or dropped it before.
RetryOutcome = Literal["booked", "in_part", "still_bad", "settled"]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a letter that was tried again."""

    dead_letter_id: int
    outcome: RetryOutcome
    reason: str = ""


def class_of(tags: tuple[str, ...]) -> str:
    """`staff` before `child` before `adult`."""
    for name in CLASSES[:-1]:
        if name in tags:
            return name
    return CLASSES[-1]


def worse(one: str, other: str) -> str:
    """The state of higher rank."""
    return max(one, other, key=STATES.index)
