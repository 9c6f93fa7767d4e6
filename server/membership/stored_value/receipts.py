"""Cards and receipts as they are shown, read from the ledger each time, so that they can't differ from the books."""

from dataclasses import asdict
from uuid import UUID

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.stored_value import ledger_repository, parts, repository
from server.membership.stored_value.models import NOTHING, Card, CardRow, PostingReceipt, PostingRow
from server.storage.pool import Connection


def known_card(card: CardRow | None) -> CardRow:
    """The card that was looked for.

    Raises:
        NotFound: there is none.
    """
    if card is None:
        raise NotFound("there is no such card", field="card_id", remedy="find the card by its number first")
    return card


def is_own(scope: Scope, card: CardRow) -> bool:
    """Whether the scope's stores keep a card: one of them opened it, or its holder's home is there."""
    return scope.allows(card.store_id) or (card.home_store is not None and scope.allows(card.home_store))


def keeps(scope: Scope, card: CardRow) -> bool:
    """Whether a scope may read a card's whole number: people of the stores that keep it, who replace it when lost.

    No till, which has to be shown it; and of a card of nobody, which is whoever's has the number, headquarters alone.
    """
    return scope.stores is None or (scope.role != "till" and card.member_id is not None and is_own(scope, card))


def require_own(scope: Scope, card: CardRow) -> None:
    """Refuse what the stores that keep a card may do alone.

    Raises:
        Forbidden: the card is another store's, and so is its holder.
    """
    if not is_own(scope, card):
        raise Forbidden(
            "this card is of another store, and so is its holder",
            field="card_id",
            remedy="ask the store that opened it, the holder's own, or headquarters",
        )


def to_be_shown() -> InvalidInput:
    """What a request is refused with that takes the card itself."""
    return InvalidInput("the card has to be shown", field="card_no", remedy="send the card's whole number")


def shown(conn: Connection, scope: Scope, row: CardRow, *, whole: bool = False) -> Card:
    """A card with what is on it.

    Args:
        whole: its number was shown, or is new: nothing is given away by telling it.
    """
    lots = ledger_repository.lots(conn, scope, row.card_id)
    principal = sum((lot.principal_left for lot in lots), NOTHING)
    bonus = sum((lot.bonus_left for lot in lots), NOTHING)
    fields = asdict(row)
    for inner in ("opened_by", "home_store"):
        fields.pop(inner)
    if not whole and not keeps(scope, row):
        fields["card_no"] = masked(row.card_no) or None
    return Card(**fields, principal=principal, bonus=bonus, balance=principal + bonus, lots=lots)


def posting_of(conn: Connection, scope: Scope, card_id: UUID | None, posting_id: int) -> PostingRow:
    """A posting of a card that was found under the scope; or, where none is named, in one of the scope's stores.

    Raises:
        NotFound: there is none the caller may know of.
    """
    found = ledger_repository.postings(conn, scope, card_id, posting_id, 1)
    if not found or found[0].card_id is None:
        raise NotFound(f"there is no posting {posting_id}", field="posting_id", remedy="see the card's statement")
    return found[0]


def receipt_of(conn: Connection, scope: Scope, row: PostingRow) -> PostingReceipt:
    """The receipt of a posting: what the ledger says it did, and what was on the card then."""
    card_id = row.card_id
    assert card_id is not None, "only a settlement has no card, and it has no receipt"  # noqa: S101
    made = ledger_repository.parts(conn, scope, row.posting_id)
    principal, bonus = parts.summed(made)
    money = ledger_repository.money(conn, scope, row.posting_id)
    after = ledger_repository.after(conn, scope, card_id, row.posting_id)
    return PostingReceipt(
        posting_id=row.posting_id,
        kind=row.kind,
        card_id=card_id,
        card_no=masked(repository.number_of(conn, scope, card_id)),
        member_id=row.member_id,
        store_id=row.store_id,
        currency=row.currency,
        at=row.at,
        actor=row.actor,
        amount=principal + bonus,
        principal=principal,
        bonus=bonus,
        fee=money.fee,
        paid=money.cash,
        principal_after=after.principal,
        bonus_after=after.bonus,
        refers_to=row.refers_to,
        receipt_no=row.receipt_no,
        tender=row.tender,
        reason=row.reason,
        parts=made,
    )


def masked(card_no: str | None) -> str:
    """A card's number as receipts show it: the last four digits. A whole one is as good as the card."""
    return "" if card_no is None else f"**** {card_no[-4:]}"
