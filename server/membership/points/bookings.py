"""What a ledger of points is made of: lots, what moves between them, and the entries that say why. Pure.

Apart from `purse`, which decides what may happen, so that whoever only reads or writes these need not know the rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.membership.points.models import EntryKind

#: The lot that stands for what is owed.
OWED: Final = 0


@dataclass(slots=True)
class Lot:
    """What was earned together and expires together; the columns of points_lot."""

    lot_id: int
    root_lot: int | None
    member_id: UUID
    earned_by: UUID
    store_id: str | None
    receipt_no: str | None
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None
    points: int
    remaining: int
    lapsed: int
    is_pending: bool

    @property
    def root(self) -> int:
        """The lot it was first made as."""
        return self.lot_id if self.root_lot is None else self.root_lot


@dataclass(slots=True)
class Movement:
    """Points into a lot, or (less than nothing) out of it."""

    lot_id: int
    points: int = 0
    pending: int = 0
    absorbed: int = 0


@dataclass(frozen=True, slots=True)
class Booking:
    """An entry to be added to the ledger, with its movements."""

    entry_id: int
    member_id: UUID
    kind: EntryKind
    points: int
    pending: int
    balance: int
    at: datetime
    key: str
    content: bytes
    store_id: str | None
    receipt_no: str | None
    refers_to: int | None
    actor: str
    reason: str | None
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """What an entry says beyond its points."""

    kind: EntryKind
    key: str
    at: datetime
    actor: str
    content: bytes = b""
    store_id: str | None = None
    receipt_no: str | None = None
    refers_to: int | None = None
    reason: str | None = None


class Moves:
    """Movements of one entry, by lot."""

    def __init__(self) -> None:
        self._by_lot: dict[int, Movement] = {}

    def add(self, lot: Lot, *, points: int = 0, pending: int = 0, absorbed: int = 0) -> None:
        """Add to a lot's."""
        self._add(lot.lot_id, points, pending, absorbed)

    def owe(self, points: int) -> None:
        """Less is owed; or, less than nothing, more."""
        self._add(OWED, points, 0, 0)

    def sums(self) -> tuple[Movement, ...]:
        """One movement a lot."""
        return tuple(self._by_lot.values())

    def _add(self, lot_id: int, points: int, pending: int, absorbed: int) -> None:
        found = self._by_lot.setdefault(lot_id, Movement(lot_id))
        found.points += points
        found.pending += pending
        found.absorbed += absorbed


def in_turn(lots: Iterable[Lot]) -> list[Lot]:
    """Those that can be spent from: what expires first goes first, what never does last, alike by age."""
    return sorted(
        (each for each in lots if each.remaining and not each.is_pending),
        key=lambda each: (each.expires_at is None, each.expires_at or each.earned_at, each.earned_at, each.lot_id),
    )
