"""How a posting is made: under the card's lock, once to a key, with its trace and its event, all in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server import events
from server.access import audit
from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput, NotFound
from server.events.models import NewEvent
from server.membership.idempotency import checked_key, request_hash
from server.membership.stored_value import entries, ledger_repository, repository
from server.membership.stored_value.ledger_repository import NewPosting
from server.membership.stored_value.models import (
    CardNotUsable,
    CardRow,
    KeyReused,
    NewEntry,
    PostingKind,
    PostingReceipt,
    PostingRow,
    ValueSettings,
)
from server.membership.stored_value.receipts import known_card, posting_of, receipt_of
from server.membership.stored_value.repository import SERVERS
from server.storage.pool import Connection, Database

#: Kinds of postings as events name them.
_TOLD: Final[dict[PostingKind, str]] = {
    "top_up": "topped_up",
    "opening": "brought_in",
    "spend": "spent",
    "return": "given_back",
    "pay_out": "paid_out",
    "lapse": "lapsed",
    "settle": "settled",
}

Make = Callable[[Connection, CardRow, ValueSettings, datetime, "Posting"], None]


class Posting:
    """A posting being made: its row is there, and whatever it writes is one transaction with it."""

    def __init__(self, conn: Connection, new: NewPosting, posting_id: int) -> None:
        self._conn = conn
        self.new = new
        self.posting_id = posting_id

    def write(self, made: Sequence[NewEntry]) -> None:
        """Write its entries, one to an account."""
        ledger_repository.insert_entries(self._conn, self.posting_id, self.new.currency, entries.merged(made))


class Poster:
    """Makes postings on cards."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def post(
        self,
        scope: Scope,
        kind: PostingKind,
        card_id: UUID,
        store_id: str,
        key: str,
        request: Mapping[str, object],
        make: Make,
        *,
        shown: str | None = None,
        refers_to: int | None = None,
        receipt_no: str | None = None,
        tender: str = "",
        reason: str = "",
    ) -> PostingReceipt:
        """One posting under the card's lock, or the receipt of the one its key stands for.

        Args:
            shown: the card's whole number, if it was shown; it has to be the card's.
            refers_to: an earlier posting; the store where that was made may post this one.
            request: what tells it from another request under the same key.
            make: writes the entries; what it raises takes the posting back.
        """
        scope.require_role(*SERVERS)
        scope.require(store_id)
        checked = checked_key(key)
        asked = request_hash([kind, {**request, "card": str(card_id)}])
        now = self._clock()
        with self._db.transaction() as conn:
            card = shown_card(conn, scope, card_id, shown, posting_id=refers_to)
            before = ledger_repository.posting_of_key(conn, scope, store_id, checked)
            if before is not None:
                return receipt_of(conn, scope, same_request(before, asked))
            _same_currency(card, repository.store_currency(conn, scope, store_id), store_id)
            settings = repository.setting(conn, card.currency)
            new = NewPosting(
                kind=kind,
                card_id=card_id,
                member_id=card.member_id,
                store_id=store_id,
                currency=card.currency,
                key=checked,
                request_hash=asked,
                bearer=settings.bonus_borne_by,
                refers_to=refers_to,
                receipt_no=receipt_no,
                tender=tender,
                reason=reason,
            )
            posting_id = ledger_repository.insert_posting(conn, new, scope.actor, now)
            if posting_id is None:
                # Under this key another card was posted to, between the look and now.
                row = ledger_repository.posting_of_key(conn, scope, store_id, checked)
                raise KeyReused(checked, 0 if row is None else row.posting_id)
            make(conn, card, settings, now, Posting(conn, new, posting_id))
            receipt = receipt_of(conn, scope, posting_of(conn, scope, card_id, posting_id))
            audit.record(
                conn,
                now,
                scope.actor,
                f"value.{kind}",
                subject=str(card_id),
                store_id=store_id,
                detail={"posting": posting_id, "principal": str(receipt.principal), "bonus": str(receipt.bonus)},
            )
            events.record(conn, posted(receipt))
            return receipt


def shown_card(
    conn: Connection, scope: Scope, card_id: UUID, shown: str | None, *, posting_id: int | None = None
) -> CardRow:
    """A card, held until the transaction ends, that is known to the scope or whose number is shown.

    Raises:
        NotFound: there is none the caller may know of, or the number isn't this card's.
        CardNotUsable: the number was replaced, as that of a lost card.
    """
    plain = None if shown is None else digits_of(shown)
    return as_shown(
        conn, scope, repository.lock_card(conn, scope, card_id, shown=plain, posting_id=posting_id), card_id, plain
    )


def as_shown(conn: Connection, scope: Scope, card: CardRow | None, card_id: UUID, number: str | None) -> CardRow:
    """A card that was looked for, if the number that was shown with it, if any, is its own.

    Raises:
        NotFound, CardNotUsable: as `shown_card`.
    """
    if number is not None and (card is None or card.card_no != number):
        if repository.card_of_ended_number(conn, scope, number) == card_id:
            raise CardNotUsable("this card was replaced by another", field="card_no", remedy="ask for the new card")
        raise NotFound("this is not the card's number", field="card_no", remedy="type all 16 digits of this card")
    return known_card(card)


def digits_of(number: str) -> str:
    """A number as it is kept, without the blanks it is printed with."""
    return "".join(number.split())


def same_request(before: PostingRow, asked: bytes) -> PostingRow:
    """The posting a key stands for.

    Raises:
        KeyReused: it was asked for differently.
    """
    if before.request_hash != asked:
        raise KeyReused(before.idempotency_key, before.posting_id)
    return before


def posted(receipt: PostingReceipt) -> NewEvent:
    """A posting as it is told to others: amounts and ids, no card number."""
    return NewEvent(
        f"value.{_TOLD[receipt.kind]}",
        receipt.store_id,
        str(receipt.card_id),
        {
            "posting_id": receipt.posting_id,
            "member_id": None if receipt.member_id is None else str(receipt.member_id),
            "currency": receipt.currency,
            "principal": str(receipt.principal),
            "bonus": str(receipt.bonus),
            "receipt_no": receipt.receipt_no,
        },
    )


def _same_currency(card: CardRow, currency: str | None, store_id: str) -> None:
    if currency is None:
        raise NotFound(f"there is no store {store_id!r}", field="store_id", remedy="check the id")
    if currency != card.currency:
        raise InvalidInput(
            f"the card is in {card.currency} and store {store_id!r} sells in {currency}",
            field="currency",
            remedy=f"use a card in {currency}",
        )
