"""Stored value's part in a member's rights: what is told of it, and what an erasure does with it.

Principal is the member's own money, so nobody with principal left is erased: it is paid out first, and the refusal
says how much is on which card. What bonus is left then lapses by a posting, the cards' numbers end, and the postings
stay: books have to be kept, and they name a member who has no name any more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from server.access.models import Scope
from server.events.models import JSON
from server.membership.idempotency import request_hash
from server.membership.rights import Erased, Kept, Section, Words
from server.membership.stored_value import entries, ledger_repository, repository
from server.membership.stored_value.ledger_repository import NewPosting
from server.membership.stored_value.models import NOTHING, CardRow
from server.membership.stored_value.receipts import masked
from server.membership.stored_value.service import bonus_parts
from server.storage.pool import Connection

_CARDS: Mapping[str, Words] = {
    "card": {"zh": "卡号", "en": "card"},
    "opened_at": {"zh": "开卡时间", "en": "opened at"},
    "store": {"zh": "开卡门店", "en": "store"},
    "state": {"zh": "状态", "en": "state"},
    "currency": {"zh": "币种", "en": "currency"},
    "principal": {"zh": "本金", "en": "principal"},
    "bonus": {"zh": "赠金", "en": "bonus"},
}
_POSTINGS: Mapping[str, Words] = {
    "at": {"zh": "时间", "en": "time"},
    "card": {"zh": "卡号", "en": "card"},
    "kind": {"zh": "类型", "en": "kind"},
    "store": {"zh": "门店", "en": "store"},
    "currency": {"zh": "币种", "en": "currency"},
    "principal": {"zh": "本金", "en": "principal"},
    "bonus": {"zh": "赠金", "en": "bonus"},
    "receipt": {"zh": "小票号", "en": "receipt"},
    "reason": {"zh": "原因", "en": "reason"},
}


class StoredValueRights:
    """See `server.membership.rights.RightsPart`."""

    @property
    def name(self) -> str:
        """In receipts of erasure."""
        return "stored_value"

    def export(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """The member's cards and everything posted on them."""
        cards: list[Mapping[str, JSON]] = []
        posted: list[Mapping[str, JSON]] = []
        for card in repository.cards_of(conn, scope, members):
            principal, bonus = _left(conn, scope, card)
            cards.append(
                {
                    "card": card.card_no or "",
                    "opened_at": card.opened_at.isoformat(),
                    "store": card.store_id,
                    "state": card.state,
                    "currency": card.currency,
                    "principal": str(principal),
                    "bonus": str(bonus),
                }
            )
            posted += [
                {
                    "at": row.at.isoformat(),
                    "card": masked(card.card_no),
                    "kind": row.kind,
                    "store": row.store_id,
                    "currency": row.currency,
                    "principal": str(row.principal),
                    "bonus": str(row.bonus),
                    "receipt": row.receipt_no or "",
                    "reason": row.reason,
                }
                for row in ledger_repository.lines(conn, scope, card.card_id)
            ]
        return [
            Section("stored_value_cards", {"zh": "储值卡", "en": "Stored value cards"}, _CARDS, cards),
            Section("stored_value_postings", {"zh": "储值流水", "en": "Stored value postings"}, _POSTINGS, posted),
        ]

    def holds(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Sequence[str]:
        """Each card with principal left."""
        found = []
        for card in repository.cards_of(conn, scope, members):
            principal, _ = _left(conn, scope, card)
            if principal:
                found.append(
                    f"{principal} {card.currency} of the member's own money are on card {masked(card.card_no)}: "
                    "pay them out first"
                )
        return found

    def balances(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """Principal by currency, and what all entries of the member's postings sum to, which is nothing."""
        sums: dict[str, Decimal] = defaultdict(lambda: NOTHING)
        total = NOTHING
        for card in repository.cards_of(conn, scope, members):
            sums[f"principal {card.currency}"] += _left(conn, scope, card)[0]
            total += ledger_repository.sum_of_entries(conn, scope, card.card_id)
        return {**{key: str(value) for key, value in sorted(sums.items())}, "entries": str(total)}

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], at: datetime) -> Erased:
        """Let bonus lapse, end numbers, close cards; postings stay."""
        numbers, postings = 0, 0
        for found in repository.cards_of(conn, scope, members):
            card = repository.lock_card(conn, scope, found.card_id)
            if card is None or card.state == "closed":
                continue
            if _left(conn, scope, card)[1]:
                _lapse(conn, scope, card, at)
            numbers += card.card_no is not None
            repository.end_number(conn, scope, card.card_id, at)
            repository.set_state(conn, scope, card.card_id, "closed", "")
            postings += len(ledger_repository.lines(conn, scope, card.card_id))
        kept = {"postings": Kept(postings, "books have to be kept; they name the member by number alone")}
        return Erased({"card numbers": numbers}, kept if postings else {})

    def left(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Numbers that work still."""
        return {"card numbers": repository.live_numbers(conn, scope, members)}


def _left(conn: Connection, scope: Scope, card: CardRow) -> tuple[Decimal, Decimal]:
    lots = ledger_repository.lots(conn, scope, card.card_id)
    return sum((lot.principal_left for lot in lots), NOTHING), sum((lot.bonus_left for lot in lots), NOTHING)


def _lapse(conn: Connection, scope: Scope, card: CardRow, at: datetime) -> None:
    asked = request_hash(["lapse", {"card": str(card.card_id), "erased": True}])
    new = NewPosting(
        kind="lapse",
        card_id=card.card_id,
        member_id=card.member_id,
        store_id=card.store_id,
        currency=card.currency,
        key=f"erasure-{card.card_id}",
        request_hash=asked,
        bearer="seller",
        reason="the holder's data were erased",
    )
    posting_id = ledger_repository.insert_posting(conn, new, scope.actor, at)
    if posting_id is not None:
        made = entries.merged(entries.lapse(bonus_parts(conn, scope, card)))
        ledger_repository.insert_entries(conn, posting_id, card.currency, made)
