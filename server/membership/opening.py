"""What members brought along from another system: opening balances, booked once, in the ledger like all else.

A balance typed into a column is a balance nobody can explain. So it is an entry of its own kind, with the old system's
number as its key: an import that is run again books nothing twice.
"""

from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.membership import import_repository
from server.membership.points import repository
from server.membership.points.bookings import Why
from server.membership.points.service import digest, rules_at, tell
from server.storage.pool import Connection, Database

#: More than any honest balance: a column of phone numbers mistaken for one is noticed.
MOST_POINTS: Final = 10_000_000


class GivesTier(Protocol):
    """Puts members into a tier by hand."""

    def give(self, scope: Scope, member_id: UUID, tier: str, reason: str) -> object:
        """From now on, with what that tier's rules say of its end."""

    def known(self, scope: Scope) -> frozenset[str]:
        """The tiers there are."""


class OpeningBalances:
    """Books opening balances.

    Args:
        tiers: where tiers are given; None where there are none, and a file that has tiers is refused.
    """

    def __init__(self, db: Database, tiers: GivesTier | None = None, clock: Clock = utc_now) -> None:
        self._db = db
        self._tiers = tiers
        self._clock = clock

    def tiers(self, scope: Scope) -> frozenset[str]:
        """The tiers that can be given; none where none can."""
        return frozenset() if self._tiers is None else self._tiers.known(scope)

    def points_brought(self, conn: Connection, key: str) -> bool:
        """Whether a file's points were booked before under this key."""
        return repository.known_key(conn, f"opening:{key}") is not None

    def points(
        self, scope: Scope, member_id: UUID, points: int, key: str, store_id: str, expire: datetime | None = None
    ) -> bool:
        """Book what a member had; False when it was booked before under this key.

        Args:
            expire: when they expire (aware); as the rules say of points got today when left out.

        Raises:
            InvalidInput: less than nothing, or more than can be.
        """
        check_points(points)
        if not points:
            return False
        now = self._clock()
        content = digest("opening", member_id, points)
        with self._db.transaction() as conn:
            purse = repository.hold(conn, [member_id])[member_id]
            if self.points_brought(conn, key):
                return False
            repository.load_lots(conn, [purse])
            purse.settle(now)
            why = Why("opening", f"opening:{key}", now, scope.actor, content, store_id=store_id, reason="brought along")
            lot = purse.new_lot(now, now, expire or rules_at(conn, now).expires_at(now), store_id=store_id)
            booking = purse.add(why, points, lot)
            repository.write(conn, [purse])
            detail: dict[str, object] = {"entry_id": booking.entry_id, "points": points}
            audit.record(
                conn, now, scope.actor, "points.opened", subject=str(member_id), store_id=store_id, detail=detail
            )
            tell(conn, booking, "points.opened")
        return True

    def tier(self, scope: Scope, member_id: UUID, tier: str) -> bool:
        """Put a member into the tier they had; False when that was done before and they have moved since: what they
        reached in the meantime, or lost, is theirs."""
        if self._tiers is None:
            return True
        with self._db.read() as conn:
            was_given, now_in = import_repository.tier_brought(conn, member_id, tier)
        if was_given or now_in == tier:
            is_left = was_given and now_in != tier
        else:
            self._tiers.give(scope, member_id, tier, "brought along")
            is_left = False
        if not was_given:
            with self._db.transaction() as conn:
                import_repository.note_tier(conn, member_id, tier, self._clock())
        return not is_left


def check_points(points: int) -> None:
    """An opening balance that can be.

    Raises:
        InvalidInput: for the field ``points``.
    """
    if not 0 <= points <= MOST_POINTS:
        raise InvalidInput(
            f"{points} points can't be", field="points", remedy=f"use whole points, 0 to {MOST_POINTS:,}"
        )
