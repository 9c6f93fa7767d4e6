"""A counter where stored value is sold and taken: members, cards, and the books as they stand in the database."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from uuid import UUID

from server.membership.models import NewMember
from server.membership.stored_value.models import Card, PostingReceipt
from server.membership.wording import standard_consents
from server.services import Services
from server.storage.pool import Database
from tests.server.conftest import SYSTEM

_keys = count(1)


def key() -> str:
    """A new idempotency key."""
    return f"k{next(_keys)}"


def enrol(services: Services, phone: str = "13800138000") -> UUID:
    consents = standard_consents("zh", marketing=False)
    return services.membership.enrol(SYSTEM, NewMember("张伟", phone, "S01", consents)).member_id


def card_of(services: Services, member_id: UUID | None = None, store: str = "S01") -> Card:
    return services.value_cards.open(SYSTEM, store, key(), member_id=member_id)


def top_up(services: Services, card: Card, amount: str, store: str = "S01") -> PostingReceipt:
    return services.stored_value.top_up(SYSTEM, card.card_id, store, Decimal(amount), key(), tender="cash")


def spend(services: Services, card: Card, amount: str, store: str = "S01") -> PostingReceipt:
    return services.stored_value.spend(SYSTEM, card.card_id, store, Decimal(amount), key())


def on(services: Services, card: Card) -> tuple[str, str]:
    """Principal and bonus on a card."""
    found = services.stored_value.card(SYSTEM, card.card_id)
    return str(found.principal), str(found.bonus)


def accounts(db: Database) -> dict[tuple[object, ...], Decimal]:
    """What the entries of each account of a store sum to, by kind, store and other store."""
    with db.read() as conn:
        rows = conn.execute(
            """
            SELECT a.kind, a.store_id, a.other_store, sum(e.amount)
            FROM value_account a JOIN value_entry e USING (account_id)
            WHERE a.lot_id IS NULL GROUP BY 1, 2, 3 HAVING sum(e.amount) <> 0
            """
        ).fetchall()
    return {tuple(part for part in row[:3] if part is not None): row[3] for row in rows}


def assert_books_balance(db: Database) -> None:
    """Every posting sums to zero, every balance is its entries' sum, and none lies below nothing."""
    with db.read() as conn:
        crooked: Sequence[object] = conn.execute(
            "SELECT posting_id FROM value_entry GROUP BY posting_id HAVING sum(amount) <> 0"
        ).fetchall()
        wrong: Sequence[object] = conn.execute(
            """
            SELECT a.account_id
            FROM value_account a LEFT JOIN value_entry e USING (account_id)
            WHERE a.lot_id IS NOT NULL
            GROUP BY a.account_id
            HAVING a.balance <> coalesce(sum(e.amount), 0) OR a.balance < 0
            """
        ).fetchall()
    assert not crooked
    assert not wrong
