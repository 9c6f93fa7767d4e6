"""Dates for records that were counted before the box knew the time. Pure.

A box without a clock battery boots in the past. Its records carry seconds since boot; when the boot's beginning becomes
known they are dated by it. A boot that ended before anyone told it the time is dated by what surrounds it, and says so
with bounds, so that the server can book its counts without believing their minute.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from edge.clock import FLOOR
from edge.outbox.folding import start_of
from wire.messages import Bounds, Coverage, Crossing, Record, Tally

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Microseconds since 1970 (UTC)."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    """The time (UTC) that `micros` came from."""
    return _EPOCH + timedelta(microseconds=value)


def placeholder(uptime: float) -> datetime:
    """What stands where a date will be: never sent, and recognisable as no date at all."""
    return _EPOCH + timedelta(seconds=uptime)


def dated(record: Record, zero: datetime, uptime: float) -> Record:
    """The record with its date.

    Args:
        zero: UTC at uptime zero of its boot.
        uptime: when it happened; for coverage, where its minute began by a clock that knew no minutes.
    """
    return _at(record, zero + timedelta(seconds=uptime), None)


def bounded(record: Record, floor: datetime | None, ceiling: datetime, uptime: float, last: float) -> Record:
    """The record of a boot that never knew the time, with the bounds of its date.

    The estimate is the latest: boxes mostly come back at once, and a long time off lies before the boot as often.

    Args:
        floor: UTC before which the boot can't have begun, where known.
        ceiling: UTC by which it had ended (the next boot's beginning).
        uptime: when it happened.
        last: the highest uptime known of that boot.
    """
    latest = ceiling - timedelta(seconds=max(0.0, last - uptime))
    earliest = min((floor or FLOOR) + timedelta(seconds=uptime), latest)
    return _at(record, latest, Bounds(earliest=earliest, latest=latest))


def _at(record: Record, at: datetime, bounds: Bounds | None) -> Record:
    if isinstance(record, Crossing):
        return replace(record, at=at, bounds=bounds)
    if isinstance(record, Coverage):
        # Minutes counted from boot lie across the real ones: the nearest maps them one to one.
        return replace(record, minute=start_of(at + timedelta(seconds=30), 60), bounds=bounds)
    raise TypeError(f"a {type(record).__name__} has no single date")


def stands_for(record: Record) -> int:
    """How many records it is."""
    return record.seq - record.from_seq + 1 if isinstance(record, Tally) else 1


def renumbered(record: Record, after: int) -> Record:
    """The record with the numbers that follow `after`."""
    if isinstance(record, Tally):
        return replace(record, from_seq=after + 1, seq=after + stands_for(record))
    return replace(record, seq=after + 1)
