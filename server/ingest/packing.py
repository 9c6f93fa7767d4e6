"""Rows of `crossing` in the binary form COPY takes, made while they are booked.

Handing each value of each row to the driver cost more than all the database does with the row, though most values are
the same for hundreds of rows: a box's name, its epoch, a line. Here what rows have in common is packed once, and a row
is two numbers packed and four pieces put together. The form is PostgreSQL's own (COPY, "Binary Format"): of each row
the number of its fields, and before each field its length.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from server.ingest.models import CrossingRow, Origin
from wire.messages import Crossing

#: The columns in the order in which `Packer` packs them.
COLUMNS: Final = (
    *("at", "seq", "store_id", "camera_id", "line_id", "direction", "class", "opens_group", "track", "confidence"),
    *("tags", "undated", "device_id", "epoch", "received_at"),
)
SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TEXT_OID: Final = 25
#: Number of fields; length and value of `at` and of `seq`.
_HEAD: Final = struct.Struct(">hiqiq")
#: Length and value of `opens_group`, `track` and `confidence`.
_MIDDLE: Final = struct.Struct(">i?iqif")
_LENGTH: Final = struct.Struct(">i")


class Packer:
    """Packs the crossings of one origin.

    Args:
        origin: where they come from.
        places: what was packed before of lines and the like; shared among the packers of one transaction.
    """

    def __init__(self, origin: Origin, places: dict[tuple[str, ...], bytes]) -> None:
        self._origin = origin
        self._places = places
        self._tails: dict[tuple[tuple[str, ...], bool], bytes] = {}

    def pack(self, crossing: Crossing, at: datetime, kind: str) -> bytes:
        """One row.

        Args:
            crossing: what was sent.
            at: when it is booked (aware, UTC).
            kind: class of the person.
        """
        place = (self._origin.store_id, crossing.camera, crossing.line, crossing.direction, kind)
        middle = self._places.get(place)
        if middle is None:
            middle = self._places[place] = b"".join(map(_text, place))
        key = (crossing.tags, crossing.bounds is not None)
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = _tail(*key, self._origin)
        return (
            _HEAD.pack(15, 8, _micros(at), 8, crossing.seq)
            + middle
            + _MIDDLE.pack(1, crossing.opens_group, 8, crossing.track, 4, crossing.confidence)
            + tail
        )


def packed(rows: Iterable[CrossingRow]) -> list[bytes]:
    """The same of rows that were made otherwise; slower."""
    made: list[bytes] = []
    for row in rows:
        at, store, camera, line, direction, kind, opens, track, confidence, tags, undated, device, epoch, seq, came = (
            row
        )
        made.append(
            _HEAD.pack(15, 8, _micros(at), 8, seq)
            + b"".join(map(_text, (store, camera, line, direction, kind)))
            + _MIDDLE.pack(1, opens, 8, track, 4, confidence)
            + _tail(tuple(tags), undated, Origin(store, device, epoch, came))
        )
    return made


def _tail(tags: Sequence[str], undated: bool, origin: Origin) -> bytes:
    parts = (
        _field(_texts(tags)),
        _field(b"\1" if undated else b"\0"),
        _text(origin.device_id),
        _text(origin.epoch),
        _field(struct.pack(">q", _micros(origin.received_at))),
    )
    return b"".join(parts)


def _text(value: str) -> bytes:
    return _field(value.encode())


def _field(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _texts(texts: Sequence[str]) -> bytes:
    """A one-dimensional text[] as `array_recv` reads it; without elements it has no dimension."""
    head = struct.pack(">iii", 1 if texts else 0, 0, _TEXT_OID)
    return head + struct.pack(">ii", len(texts), 1) + b"".join(map(_text, texts)) if texts else head


def _micros(at: datetime) -> int:
    """Microseconds since 2000 (UTC)."""
    since = at - _BEGIN
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
