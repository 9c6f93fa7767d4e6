"""Stored value that members brought along from another system: put on a card of their own, once.

The trap is the file that is sent again after a correction, or with another home said for it: money given twice is given
away. Keys of stored value are a store's own, so the store is always the one where the member was enrolled, whatever the
file says now; the key is the old system's number.
"""

from decimal import Decimal
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.membership.stored_value import ledger_repository, parts, repository
from server.membership.stored_value.cards import ValueCards
from server.membership.stored_value.models import OverCap
from server.membership.stored_value.service import StoredValueService
from server.storage.pool import Connection, Database

_REASON: Final = "brought along"


class OpeningValue:
    """Brings stored value in."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._cards = ValueCards(db, clock)
        self._value = StoredValueService(db, clock)

    def check(self, conn: Connection, scope: Scope, store_id: str, principal: Decimal, bonus: Decimal) -> str:
        """Whether so much may be on a member's card in a store's currency; which that is.

        Raises:
            InvalidInput: for ``principal``, more than may be; for ``store``, one that isn't the caller's.
        """
        currency = repository.store_currency(conn, scope, store_id)
        if currency is None:
            raise InvalidInput(f"{store_id!r} is none of your stores", field="store", remedy="use the store's id")
        try:
            parts.check_cap(repository.setting(conn, currency), (), principal, bonus, registered=True)
        except OverCap as over:
            raise InvalidInput(
                over.message, field="principal", remedy="pay out what is too much, or raise the cap in the rules"
            ) from over
        return currency

    def was_brought(self, conn: Connection, scope: Scope, store_id: str, key: str) -> bool:
        """Whether a file brought it in before under this key."""
        before = ledger_repository.posting_of_key(conn, scope, store_id, _key(key))
        return before is not None and before.kind == "opening"

    def bring_in(
        self, scope: Scope, member_id: UUID, store_id: str, principal: Decimal, bonus: Decimal, key: str
    ) -> str | None:
        """Put on a new card of the member what they had, in the store's currency; None when that was done before.

        Args:
            store_id: where the member was enrolled.
            key: the old system's number, or the member's id.

        Raises:
            InvalidInput: as `check`.
            Conflict, KeyReused: the key stands for something else there.
        """
        with self._db.read() as conn:
            if self.was_brought(conn, scope, store_id, key):
                return None
            currency = self.check(conn, scope, store_id, principal, bonus)
        # A process that died between the two finds its card again by the key.
        card = self._cards.open(scope, store_id, _key(key), member_id=member_id)
        self._value.bring_in(scope, card.card_id, store_id, principal, bonus, _key(key), _REASON)
        return currency


def _key(key: str) -> str:
    return f"import:{key}"
