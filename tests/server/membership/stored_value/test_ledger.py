"""The books themselves: they leave a trace, nobody cooks them, and many hands at once make one posting."""

import threading
from decimal import Decimal

import psycopg
import pytest

from server import events
from server.membership.stored_value.models import NotEnough, PostingReceipt
from server.services import Services
from tests.server.conftest import SYSTEM
from tests.server.membership.stored_value.counter import assert_books_balance, card_of, enrol, on, spend, top_up

D = Decimal
NEW_POSTING = (
    "INSERT INTO value_posting (kind, card_id, store_id, currency, idempotency_key, request_hash, bonus_borne_by,"
    " actor, at)"
)
COPIED = "kind, card_id, store_id, currency, 'new', '', 'seller', 'x', now()"


def test_everything_leaves_a_trace_and_an_event_without_a_number(shop: Services) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "100")
    spend(shop, card, "12")
    with shop.db.transaction() as conn:
        told = events.take(conn, "tests", ["value.topped_up", "value.spent"], 10)
        trail = conn.execute("SELECT action FROM audit WHERE action LIKE 'value.%' ORDER BY audit_id").fetchall()
    assert [(event.kind, event.store_id, event.body["principal"], event.body["bonus"]) for event in told] == [
        ("value.topped_up", "S01", "100.00", "20.00"),
        ("value.spent", "S01", "-10.00", "-2.00"),
    ]
    assert not any(str(card.card_no) in str(event) for event in told)
    assert [row[0] for row in trail] == ["value.bonus_rule", "value.open", "value.top_up", "value.spend"]


COOKED = [
    "UPDATE value_posting SET reason = 'x'",
    "DELETE FROM value_posting",
    "UPDATE value_entry SET amount = amount + 1",
    "DELETE FROM value_entry",
    "TRUNCATE value_entry",
    "TRUNCATE value_posting CASCADE",
    "UPDATE value_lot SET principal = 1",
    "UPDATE value_account SET balance = balance + 1",
    "INSERT INTO value_account (kind, currency, store_id, balance) VALUES ('cash', 'CNY', 'S02', 5)",
    # Yesterday's posting takes no more entries, not even ones that sum to zero.
    "INSERT INTO value_entry SELECT posting_id, 90 + line, account_id, 0 FROM value_entry",
    # One-sided, and one of nothing at all.
    f"{NEW_POSTING} SELECT {COPIED} FROM value_posting",
    (
        f"WITH p AS ({NEW_POSTING} SELECT {COPIED} FROM value_posting RETURNING posting_id)"
        " INSERT INTO value_entry SELECT p.posting_id, 1, a.account_id, 5 FROM p, value_account a LIMIT 1"
    ),
]


def test_the_database_itself_refuses_to_cook_the_books(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    for statement in COOKED:
        with pytest.raises(psycopg.IntegrityError), shop.db.transaction() as conn:
            conn.execute(statement.encode())
        assert on(shop, card) == ("50.00", "0.00"), statement
    assert_books_balance(shop.db)


def test_of_many_desks_that_spend_the_last_of_a_card_at_once_one_succeeds(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    together, done, refused = threading.Barrier(6), list[PostingReceipt](), list[NotEnough]()

    def desk(store: str) -> None:
        together.wait(20)
        try:
            done.append(spend(shop, card, "30", store))
        except NotEnough as error:
            refused.append(error)

    desks = [threading.Thread(target=desk, args=(store,)) for store in ("S01", "S02") * 3]
    for each in desks:
        each.start()
    for each in desks:
        each.join(30)
    assert (len(done), len(refused)) == (1, 5)
    assert on(shop, card) == ("20.00", "0.00")


def test_one_request_sent_by_many_at_once_is_one_posting(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    together, done = threading.Barrier(6), list[PostingReceipt]()

    def till() -> None:
        together.wait(20)
        done.append(shop.stored_value.spend(SYSTEM, card.card_id, "S01", D(30), "once"))

    tills = [threading.Thread(target=till) for _ in range(6)]
    for each in tills:
        each.start()
    for each in tills:
        each.join(30)
    assert len(done) == 6
    assert len({receipt.posting_id for receipt in done}) == 1
    assert on(shop, card) == ("20.00", "0.00")
