"""Between stores: who sold a card's money, who served its holder, and what one owes the other for it.

What is owed stands in the ledger from the moment of the purchase, because it is part of the same posting; the report
adds it up and a settlement posts the payment. So a report can be asked for any period, and what is open doesn't depend
on it.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from server import events
from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.events.models import NewEvent
from server.membership.idempotency import checked_key, request_hash
from server.membership.stored_value import entries, ledger_repository, parts, repository, settlement_repository
from server.membership.stored_value.ledger_repository import NewPosting
from server.membership.stored_value.models import KeyReused, Liability, NotEnough, SettlementRow
from server.membership.stored_value.posting import same_request
from server.storage.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment between stores, as posted; `owed_after` is what is open still, from payer to payee."""

    posting_id: int
    payer: str
    payee: str
    currency: str
    amount: Decimal
    at: datetime
    actor: str
    owed_after: Decimal


class Settlement:
    """What stores owe each other, and what the chain owes its holders."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def report(self, scope: Scope, start: datetime, end: datetime) -> list[SettlementRow]:
        """Who sold and who served, of every pair of which one is the caller's; a store with itself, too.

        Args:
            start, end: of the period (aware); the end is the first moment after it.

        Raises:
            InvalidInput: a period without an offset, or that ends before it begins.
        """
        scope.require_role("admin", "hq", "region", "manager")
        if start.tzinfo is None or end.tzinfo is None or end <= start:
            raise InvalidInput("this is no period", field="to", remedy="give two times with offset, the earlier first")
        with self._db.read() as conn:
            return settlement_repository.settlement(conn, scope, start, end)

    def liability(self, scope: Scope) -> list[Liability]:
        """What is owed to holders of cards, by the store that sold it."""
        scope.require_role("admin", "hq", "region", "manager")
        with self._db.read() as conn:
            return settlement_repository.liabilities(conn, scope)

    def settle(self, scope: Scope, payer: str, payee: str, currency: str, amount: Decimal, key: str) -> Settled:
        """Note that one store paid another what it owed, or part of it.

        Args:
            key: idempotency key, the payer's own; the same request again is answered alike.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
            NotFound: no such store.
            NotEnough: less is owed; `detail` says how much.
            KeyReused: the key stands for another request.
        """
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        paid, checked = parts.money(amount), checked_key(key)
        asked = request_hash(["settle", {"payee": payee, "currency": currency, "amount": str(paid)}])
        now = self._clock()
        with self._db.transaction() as conn:
            for store_id in sorted((payer, payee)):
                if repository.store_currency(conn, scope, store_id) is None:
                    raise NotFound(f"there is no store {store_id!r}", field="payer", remedy="check the ids")
            settlement_repository.lock_pair(conn, payer, payee)
            before = ledger_repository.posting_of_key(conn, scope, payer, checked)
            if before is not None:
                row = same_request(before, asked)
                return self._settled(conn, scope, row.posting_id, payer, payee, currency, paid, row.at, row.actor)
            there = settlement_repository.owed(conn, scope, payer, payee, currency)
            if paid > there:
                raise NotEnough(paid, max(there, Decimal(0)), currency)
            new = NewPosting("settle", None, None, payer, currency, checked, asked, "seller")
            posting_id = ledger_repository.insert_posting(conn, new, scope.actor, now)
            if posting_id is None:
                raise KeyReused(checked, 0)
            ledger_repository.insert_entries(
                conn, posting_id, currency, entries.merged(entries.settle(payer, payee, paid))
            )
            detail: dict[str, object] = {"posting": posting_id, "to": payee, "amount": str(paid), "currency": currency}
            audit.record(conn, now, scope.actor, "value.settle", subject=payer, store_id=payer, detail=detail)
            events.record(
                conn,
                NewEvent(
                    "value.settled",
                    payer,
                    f"{payer}/{payee}",
                    {"posting_id": posting_id, "payee": payee, "currency": currency, "amount": str(paid)},
                ),
            )
            return self._settled(conn, scope, posting_id, payer, payee, currency, paid, now, scope.actor)

    def _settled(
        self,
        conn: Connection,
        scope: Scope,
        posting_id: int,
        payer: str,
        payee: str,
        currency: str,
        amount: Decimal,
        at: datetime,
        actor: str,
    ) -> Settled:
        left = settlement_repository.owed(conn, scope, payer, payee, currency)
        return Settled(posting_id, payer, payee, currency, amount, at, actor, left)
