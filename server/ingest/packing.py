"""Rows of `crossing` in the binary form COPY takes, made while they are booked.

Handing each value of each row to the driver cost more than all the database does with the row, though most values are
the same for hundreds of rows: a box's name, its epoch, a line. Here what rows have in common is packed once, and a row
is one call that puts its few numbers between. The form is PostgreSQL's own (COPY, "Binary Format"): of each row the
number of its fields, and before each field its length.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from server.ingest.models import Origin

#: The columns in the order in which a row is packed.
COLUMNS: Final = (
    *("at", "seq", "store_id", "camera_id", "line_id", "direction", "class", "opens_group", "track", "confidence"),
    *("tags", "undated", "device_id", "epoch", "received_at"),
)
SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TEXT_OID: Final = 25
_LENGTH: Final = struct.Struct(">i")

#: Packs one row: microseconds since 2000 (UTC), seq, whether it opens a group, track, confidence.
Pack = Callable[[int, int, bool, int, float], bytes]


class Packer:
    """Packs the crossings of one origin."""

    def __init__(self, origin: Origin) -> None:
        self._store_id = origin.store_id
        self._origin = b"".join(
            (_text(origin.device_id), _text(origin.epoch), _field(struct.pack(">q", micros(origin.received_at))))
        )

    def way(self, camera: str, line: str, direction: str, kind: str, tags: tuple[str, ...], undated: bool) -> Pack:
        """What packs the rows that have all this in common.

        Args:
            kind: class of the person.
            undated: whether the time is a guess.
        """
        middle = _texts_of(self._store_id, camera, line, direction, kind)
        tail = _told(tags, undated) + self._origin
        pack = _row(len(middle), len(tail))

        def packed(at: int, seq: int, opens_group: bool, track: int, confidence: float) -> bytes:
            return pack(15, 8, at, 8, seq, middle, 1, opens_group, 8, track, 4, confidence, tail)

        return packed


def micros(at: datetime) -> int:
    """Microseconds since 2000 (UTC), as PostgreSQL keeps a time."""
    since = at - _BEGIN
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(1024)
def _row(middle: int, tail: int) -> Callable[..., bytes]:
    """A row with so many bytes in common in its middle and at its end.

    Number of fields; length and value of `at` and of `seq`; the middle; length and value of `opens_group`, `track` and
    `confidence`; the end.
    """
    return struct.Struct(f">hiqiq{middle}si?iqif{tail}s").pack


@lru_cache(4096)
def _texts_of(*values: str) -> bytes:
    return b"".join(map(_text, values))


@lru_cache(128)
def _told(tags: tuple[str, ...], undated: bool) -> bytes:
    return _field(_texts(tags)) + _field(b"\1" if undated else b"\0")


def _text(value: str) -> bytes:
    return _field(value.encode())


def _field(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _texts(texts: Sequence[str]) -> bytes:
    """A one-dimensional text[] as `array_recv` reads it; without elements it has no dimension."""
    head = struct.pack(">iii", 1 if texts else 0, 0, _TEXT_OID)
    return head + struct.pack(">ii", len(texts), 1) + b"".join(map(_text, texts)) if texts else head
