"""The rules of the money on cards; every change is one posting, made under the card's lock.

The traps are three. A till that got no answer asks again: so everything carries an idempotency key, and the same
request gets the same receipt while another under that key is refused. Two desks spend the last of a card at once: so a
card is locked before it is read, and the database would refuse the second even then. And a member may be merged while
paying: so money belongs to the card and never moves with its holder.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.idempotency import checked_reason
from server.membership.stored_value import entries, ledger_repository, parts, repository
from server.membership.stored_value.models import (
    NOTHING,
    Card,
    CardNotUsable,
    CardRow,
    NotEnough,
    Part,
    PostingReceipt,
    ValueSettings,
)
from server.membership.stored_value.posting import Poster, Posting, as_shown, digits_of
from server.membership.stored_value.receipts import known_card, posting_of, receipt_of, require_own, shown, to_be_shown
from server.membership.stored_value.repository import SERVERS
from server.storage.pool import Connection, Database

#: Who may pay out after the days of cooling off, or bring in balances of an old system.
_LATE: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
_HQ: Final[tuple[Role, ...]] = ("admin", "hq")
_MOST_RECEIPTS: Final = 500
#: When what is brought in was sold, if nobody says: so long ago that no days of cooling off run.
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


class StoredValueService:
    """What is done with a card at a desk or a till."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._poster = Poster(db, clock)

    # -- looking

    def card(self, scope: Scope, card_id: UUID, *, card_no: str | None = None) -> Card:
        """A card and what is on it.

        Args:
            card_no: its whole number, as it is shown; a card that is known in none of the caller's stores, nor its
                holder, has to be.

        Raises:
            NotFound: there is none the caller may know of, or the number isn't the card's.
            CardNotUsable: the number was replaced, as that of a lost card.
        """
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            plain = None if card_no is None else digits_of(card_no)
            row = repository.card(conn, scope, card_id, shown=plain)
            return shown(conn, scope, as_shown(conn, scope, row, card_id, plain), whole=card_no is not None)

    def of_member(self, scope: Scope, member_id: UUID, *, member_card: str | None = None) -> list[Card]:
        """The cards of a member, oldest first.

        Args:
            member_card: the number of the member's own card, where the member stands at the counter and is of no store
                of the caller's.

        Raises:
            NotFound: there is no such member the caller may know of.
        """
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            rows = repository.cards_of_member(conn, scope, member_id, member_card)
            if rows is None:
                raise NotFound(f"there is no member {member_id}", field="member_id", remedy="find the member first")
            return [shown(conn, scope, row) for row in rows]

    def receipt(self, scope: Scope, posting_id: int) -> PostingReceipt:
        """The receipt of a posting made in one of the caller's stores.

        Raises:
            NotFound: there is none the caller may know of.
        """
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            return receipt_of(conn, scope, posting_of(conn, scope, None, posting_id))

    def statement(self, scope: Scope, card_id: UUID, limit: int = 50) -> list[PostingReceipt]:
        """The receipts of a card, newest first."""
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            known_card(repository.card(conn, scope, card_id))
            rows = ledger_repository.postings(conn, scope, card_id, None, min(limit, _MOST_RECEIPTS))
            return [receipt_of(conn, scope, row) for row in rows]

    # -- money

    def top_up(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        amount: Decimal,
        key: str,
        *,
        tender: str = "",
        card_no: str | None = None,
    ) -> PostingReceipt:
        """Pay money in; what the rules give on top comes with it as bonus.

        Args:
            card_no: the card's whole number, as it is shown; a card that is known in none of the caller's stores, nor
                its holder, has to be.
            amount: in the card's currency, which must be the store's.
            key: idempotency key, the store's own; the same request again gets the same receipt.
            tender: how it was paid, such as ``cash``.

        Raises:
            Forbidden: the store is not the caller's.
            NotFound: no such card the caller may know of, the number isn't the card's, or no such store.
            InvalidInput: no amount of money, another currency, no key.
            OverCap: more than may be on one card.
            CardNotUsable: frozen or closed.
            KeyReused: the key stands for another request.
        """
        principal = parts.money(amount)

        def make(conn: Connection, card: CardRow, settings: ValueSettings, now: datetime, posting: Posting) -> None:
            _usable(card)
            bonus = parts.bonus_of(principal, repository.bonus_rules(conn, card.currency), store_id, now)
            lots = ledger_repository.lots(conn, scope, card_id)
            parts.check_cap(settings, lots, principal, bonus, registered=card.member_id is not None)
            lot_id = ledger_repository.insert_lot(conn, card_id, posting.posting_id, store_id, now, principal, bonus)
            posting.write(entries.top_up(lot_id, store_id, principal, bonus))

        request = {"amount": str(principal), "tender": tender}
        return self._poster.post(scope, "top_up", card_id, store_id, key, request, make, shown=card_no, tender=tender)

    def bring_in(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        principal: Decimal,
        bonus: Decimal,
        key: str,
        reason: str,
        sold_at: datetime | None = None,
    ) -> PostingReceipt:
        """Put on a card what was on it in another system; no till took money for it, and no cap refuses it.

        Args:
            sold_at: when it was topped up there (aware); None: long ago, so that no desk pays it out as just bought.

        Raises:
            Forbidden: unless admin or HQ asks.
            InvalidInput, NotFound, CardNotUsable, KeyReused: as `top_up`, and when no reason is given, or it would have
                been sold in the future.
        """
        scope.require_role(*_HQ)
        brought = NOTHING if principal == 0 else parts.money(principal, "principal")
        given = NOTHING if bonus == 0 else parts.money(bonus, "bonus")
        if not brought and not given:
            raise InvalidInput("there is nothing to bring in", field="principal", remedy="give principal or bonus")
        why = checked_reason(reason)
        sold = _LONG_AGO if sold_at is None else sold_at

        def make(conn: Connection, card: CardRow, _settings: ValueSettings, now: datetime, posting: Posting) -> None:
            _usable(card)
            if sold > now:
                raise InvalidInput("that is in the future", field="sold_at", remedy="say when it was topped up")
            lot_id = ledger_repository.insert_lot(conn, card_id, posting.posting_id, store_id, sold, brought, given)
            posting.write(entries.opening(lot_id, store_id, brought, given))

        request = {"principal": str(brought), "bonus": str(given), "reason": why}
        if sold_at is not None:
            request["sold_at"] = sold_at.astimezone(UTC).isoformat()
        return self._poster.post(scope, "opening", card_id, store_id, key, request, make, reason=why)

    def spend(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        amount: Decimal,
        key: str,
        *,
        receipt_no: str | None = None,
        card_no: str | None = None,
    ) -> PostingReceipt:
        """Pay with the card; principal and bonus go in the order that is set, and the receipt says which went.

        A till, which knows nobody, has to be shown the card, and so has everybody a card of nobody. People at a desk
        may choose a registered card of a member who is known there.

        Args:
            receipt_no: of the till's sale that it pays for.
            card_no: the card's whole number, as it is shown.

        Raises:
            InvalidInput: the card has to be shown.
            NotEnough: less is on the card; nothing is taken.
            Forbidden, NotFound, InvalidInput, CardNotUsable, KeyReused: as `top_up`.
        """
        wanted = parts.money(amount)
        if card_no is None and scope.role == "till":
            scope.require(store_id)
            raise to_be_shown()

        def make(conn: Connection, card: CardRow, settings: ValueSettings, _now: datetime, posting: Posting) -> None:
            if card_no is None and scope.stores is not None and card.member_id is None:
                raise to_be_shown()
            _usable(card)
            lots = ledger_repository.lots(conn, scope, card_id)
            taken = parts.spend(lots, wanted, settings.spend_order, card.currency)
            posting.write(entries.purchase(taken, store_id, settings.bonus_borne_by))

        request = {"amount": str(wanted), "receipt_no": receipt_no}
        return self._poster.post(
            scope, "spend", card_id, store_id, key, request, make, shown=card_no, receipt_no=receipt_no
        )

    def give_back(
        self,
        scope: Scope,
        card_id: UUID,
        posting_id: int,
        store_id: str,
        amount: Decimal | None,
        key: str,
        *,
        reason: str = "",
    ) -> PostingReceipt:
        """Give back what was paid for goods that are taken back: to the same principal and bonus, in proportion.

        The store where it was paid may, and whoever knows the card.

        A frozen card takes it, and a cap doesn't refuse it: it was on the card before.

        Args:
            posting_id: of the purchase, on this card.
            amount: of the purchase; None: all that is not given back yet.

        Raises:
            InvalidInput: more than is left of the purchase, or it is no purchase.
            Forbidden, NotFound, CardNotUsable, KeyReused: as `top_up`.
        """
        wanted = None if amount is None else parts.money(amount)
        scope.require_role(*SERVERS)
        scope.require(store_id)
        with self._db.read() as conn:
            known_card(repository.card(conn, scope, card_id, posting_id=posting_id))
            purchase = posting_of(conn, scope, card_id, posting_id)
        if purchase.kind != "spend":
            raise InvalidInput(
                f"posting {posting_id} is no purchase", field="posting_id", remedy="name the posting that paid"
            )

        def make(conn: Connection, card: CardRow, _settings: ValueSettings, _now: datetime, posting: Posting) -> None:
            if card.state == "closed":
                raise _not_usable(card)
            spent = ledger_repository.parts(conn, scope, posting_id)
            earlier = ledger_repository.returned(conn, scope, posting_id)
            left = -sum(parts.summed(spent), NOTHING) - sum(parts.summed(earlier), NOTHING)
            if not left:
                raise NotEnough(wanted or NOTHING, left, card.currency)
            given = parts.give_back(spent, earlier, left if wanted is None else wanted, card.currency)
            posting.write(entries.purchase(given, store_id, purchase.bonus_borne_by))

        request = {"amount": None if wanted is None else str(wanted), "of": posting_id}
        return self._poster.post(
            scope, "return", card_id, store_id, key, request, make, refers_to=posting_id, reason=reason.strip()
        )

    def pay_out(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        amount: Decimal | None,
        key: str,
        *,
        tender: str = "",
        reason: str = "",
    ) -> PostingReceipt:
        """Pay principal out to the holder; the bonus it brought is withdrawn in proportion.

        In the stores that keep the card: where it was opened, or its holder's home is; elsewhere headquarters may.
        Within the days of cooling off anybody at the desk may, without reason or fee; later a manager, with a reason
        and less the fee that is set (none by default).

        Args:
            amount: of principal; None: all of it.

        Raises:
            NotEnough: less principal is on the card.
            Forbidden: the card is another store's; or after the days of cooling off, when it is not a manager.
            NotFound, InvalidInput, CardNotUsable, KeyReused: as `top_up`.
        """
        scope.require_role("admin", "hq", "region", "manager", "desk")
        wanted = None if amount is None else parts.money(amount)

        def make(conn: Connection, card: CardRow, settings: ValueSettings, now: datetime, posting: Posting) -> None:
            require_own(scope, card)
            _usable(card)
            paid, cooling = parts.pay_out(ledger_repository.lots(conn, scope, card_id), wanted, settings, now)
            if not cooling:
                if not scope.has_role(*_LATE):
                    raise Forbidden(
                        "some of it was paid in before the days of cooling off",
                        field="amount",
                        remedy=f"ask a manager, or pay out what was paid in within {settings.cooling_off_days} days",
                    )
                checked_reason(reason)
            posting.write(entries.pay_out(paid, store_id))

        request = {"amount": None if wanted is None else str(wanted), "tender": tender}
        return self._poster.post(
            scope, "pay_out", card_id, store_id, key, request, make, tender=tender, reason=reason.strip()
        )

    def lapse(self, scope: Scope, card_id: UUID, store_id: str, key: str, reason: str) -> PostingReceipt:
        """Withdraw all bonus of a card, such as before its holder's data are erased. Principal never lapses.

        Raises:
            NotEnough: there is none.
            Forbidden: unless admin or HQ asks.
        """
        scope.require_role(*_HQ)
        why = checked_reason(reason)

        def make(conn: Connection, card: CardRow, _settings: ValueSettings, _now: datetime, posting: Posting) -> None:
            posting.write(entries.lapse(bonus_parts(conn, scope, card)))

        return self._poster.post(scope, "lapse", card_id, store_id, key, {"reason": why}, make, reason=why)


def bonus_parts(conn: Connection, scope: Scope, card: CardRow) -> list[Part]:
    """All bonus of a card, to be withdrawn.

    Raises:
        NotEnough: there is none.
    """
    left = [lot for lot in ledger_repository.lots(conn, scope, card.card_id) if lot.bonus_left]
    if not left:
        raise NotEnough(NOTHING, NOTHING, card.currency)
    return [Part(lot.lot_id, lot.store_id, NOTHING, -lot.bonus_left) for lot in left]


def _usable(card: CardRow) -> None:
    if card.state != "active":
        raise _not_usable(card)


def _not_usable(card: CardRow) -> CardNotUsable:
    remedy = "thaw it, or replace it if it was lost" if card.state == "frozen" else "open another card"
    why = f": {card.state_why}" if card.state_why else ""
    return CardNotUsable(f"the card is {card.state}{why}", field="card_id", remedy=remedy)
