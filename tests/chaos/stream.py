"""What a box of the chaos tests counts: all of it follows from a seed, so that what must arrive is known. Pure.

Record `n` of a box is the same whoever makes it and however often. So a box that was killed may count again what never
reached its disk, as people go on walking in, and the end is known all the same: records 1 to `length`, each once.
Now and then a record names a line nobody registered: it must become a dead letter and take no neighbour with it.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from wire.messages import Coverage, Crossing, Record, Tag

#: A line nobody registered.
STRANGER: Final = "nobody-registered-this"
_DIRECTIONS: Final[tuple[Literal["in", "out"], ...]] = ("in", "out")
_TAGS: Final[tuple[tuple[Tag, ...], ...]] = ((), (), (), ("child",), ("staff",))
_EVERY_COVERAGE: Final = 11
_EVERY_STRANGER: Final = 53

#: Line or camera, direction or "watched", and the minute (UTC); None where only the sum over all minutes is certain.
Key = tuple[str, str, datetime | None]


class Stream(msgspec.Struct, frozen=True):
    """One box's records.

    Attributes:
        stores: from which record on it stands in which store.
        base: the hour (UTC) they are dated within begins here.
        length: how many there are.
    """

    seed: int
    device: str
    stores: tuple[tuple[int, str], ...]
    base: datetime
    length: int

    def store_of(self, number: int) -> str:
        """Where the box stood when it counted record `number`."""
        return next(store for first, store in reversed(self.stores) if first <= number)

    def moved(self, first: int, store: str) -> "Stream":
        """The same box, in another store from record `first` on."""
        return msgspec.structs.replace(self, stores=(*self.stores, (first, store)))

    def record(self, number: int) -> Crossing | Coverage:
        """Record `number` (from 1), dated; its sequence number is any."""
        draw = random.Random(f"{self.seed}/{self.device}/{number}")
        camera = camera_of(self.store_of(number), self.device)
        if number % _EVERY_COVERAGE == 0:
            minute = self.base + timedelta(minutes=number // _EVERY_COVERAGE)
            return Coverage(seq=1, minute=minute, camera=camera, seconds=draw.randrange(601) / 10, frames=600)
        minutes = number * 60 // (self.length + 1)
        # Well within its minute: what is dated by the box's uptime is off by a little.
        at = self.base + timedelta(minutes=minutes, seconds=draw.uniform(15, 45))
        line = draw.choice(lines_of(self.store_of(number), self.device))
        return Crossing(
            seq=1,
            at=at,
            camera=camera,
            line=STRANGER if number % _EVERY_STRANGER == 7 else line,
            direction=draw.choice(_DIRECTIONS),
            track=number,
            confidence=0.5,
            group=draw.choice([None, number, 1]),
            tags=draw.choice(_TAGS),
        )

    def expected(self, numbers: Iterable[int]) -> Counter[Key]:
        """What these records add up to."""
        found: Counter[Key] = Counter()
        for number in numbers:
            found.update(dict(sums(self.record(number))))
        return found


def sums(record: Record) -> Iterator[tuple[Key, int]]:
    """What a record adds: people by line, direction and minute; tenths of a second watched by camera and minute."""
    match record:
        case Crossing():
            yield (record.line, record.direction, minute_of(record.at)), 1
        case Coverage():
            yield (record.camera, "watched", minute_of(record.minute)), round(record.seconds * 10)
        case _:
            for part in record.crossings:
                yield (part.line, part.direction, part.start.astimezone(UTC)), part.count
            for seen in record.coverage:
                yield (seen.camera, "watched", seen.start.astimezone(UTC)), round(seen.seconds * 10)


def minute_of(at: datetime) -> datetime:
    """The minute (UTC) `at` lies in."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def camera_of(store: str, device: str) -> str:
    """The camera a box has in a store."""
    return f"{store}-{device}-C"


def lines_of(store: str, device: str) -> tuple[str, str]:
    """The lines a box counts at in a store."""
    return f"{store}-{device}-L1", f"{store}-{device}-L2"
