"""Money on cards, over a real database: paid in, spent, given back, paid out, brought in, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Conflict, DoorlineError, Forbidden, InvalidInput
from server.membership.stored_value.models import KeyReused, NotEnough, OverCap, PostingReceipt, ValueSettings
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.stored_value.counter import (
    accounts,
    assert_books_balance,
    card_of,
    enrol,
    key,
    on,
    spend,
    top_up,
)

D = Decimal
ScopeOf = Callable[[str], Scope]


def test_a_top_up_a_purchase_and_its_return_are_postings_with_receipts(shop: Services, clock: TurnedClock) -> None:
    card = card_of(shop, enrol(shop))
    paid_in = top_up(shop, card, "1000")
    assert (paid_in.principal, paid_in.bonus, paid_in.paid) == (D(1000), D(200), D(1000))
    assert (paid_in.kind, paid_in.at, paid_in.actor, paid_in.tender) == ("top_up", clock.now, "tests", "cash")
    bought = spend(shop, card, "120")
    assert (bought.amount, bought.principal, bought.bonus) == (D(-120), D(-100), D(-20))
    assert (bought.principal_after, bought.bonus_after, bought.paid) == (D(900), D(180), D(0))
    half = shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", D(60), key())
    assert (half.principal, half.bonus, half.refers_to) == (D(50), D(10), bought.posting_id)
    rest = shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", None, key())
    assert rest.amount == D(60)
    assert on(shop, card) == ("1000.00", "200.00")
    for amount in (D("0.01"), None):
        with pytest.raises(DoorlineError):
            shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", amount, key())
    with pytest.raises(InvalidInput, match="no purchase"):
        shop.stored_value.give_back(SYSTEM, card.card_id, paid_in.posting_id, "S01", None, key())
    statement = shop.stored_value.statement(SYSTEM, card.card_id)
    assert statement == [rest, half, bought, paid_in]
    assert shop.stored_value.receipt(SYSTEM, half.posting_id) == half
    assert_books_balance(shop.db)
    assert accounts(shop.db) == {("cash", "S01"): D(-1000), ("bonus_cost", "S01"): D(-200)}


def test_the_same_request_again_gets_the_same_receipt_and_another_is_refused(shop: Services) -> None:
    card, other = card_of(shop, enrol(shop)), card_of(shop)
    value = shop.stored_value
    first = value.top_up(SYSTEM, card.card_id, "S01", D(500), "till-1")
    assert value.top_up(SYSTEM, card.card_id, "S01", D("500.00"), " till-1 ") == first
    others: list[Callable[[], object]] = [
        lambda: value.top_up(SYSTEM, card.card_id, "S01", D(501), "till-1"),
        lambda: value.top_up(SYSTEM, other.card_id, "S01", D(500), "till-1"),
        lambda: value.spend(SYSTEM, card.card_id, "S01", D(500), "till-1"),
    ]
    for again in others:
        with pytest.raises(KeyReused) as refused:
            again()
        assert refused.value.detail == {"posting_id": str(first.posting_id)}
    # Keys are a store's own.
    assert value.top_up(SYSTEM, card.card_id, "S02", D(500), "till-1").posting_id != first.posting_id
    for bad in ("", "  ", "k" * 101, "a\x00b"):
        with pytest.raises(InvalidInput) as wrong:
            value.spend(SYSTEM, card.card_id, "S01", D(1), bad)
        assert wrong.value.field == "idempotency_key"
    opened = shop.value_cards.open(SYSTEM, "S01", "open-1")
    assert shop.value_cards.open(SYSTEM, "S01", "open-1") == opened
    with pytest.raises(Conflict):
        shop.value_cards.open(SYSTEM, "S01", "open-1", member_id=card.member_id)


def test_less_than_is_wanted_takes_nothing_and_caps_hold(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "800")
    with pytest.raises(NotEnough) as refused:
        spend(shop, card, "960.01")
    assert refused.value.detail == {"balance": "960.00"}
    with pytest.raises(OverCap):
        top_up(shop, card, "41")
    shop.value_cards.register(SYSTEM, card.card_id, "S01", enrol(shop))
    top_up(shop, card, "41")
    settings = shop.value_rules.settings(SYSTEM, "CNY")
    shop.value_rules.set(SYSTEM, replace(settings, cap_registered=D(1001)))
    with pytest.raises(OverCap):
        top_up(shop, card, "1")
    # What was on it goes back on it whatever the cap has become.
    bought = spend(shop, card, "1")
    shop.value_rules.set(SYSTEM, replace(settings, cap_registered=D(5)))
    shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", None, key())
    assert on(shop, card) == ("841.00", "160.00")


def test_principal_is_paid_out_on_demand_in_the_days_of_cooling_off_and_by_a_manager_later(
    shop: Services, scope_of: ScopeOf, clock: TurnedClock
) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "1000")
    spend(shop, card, "600")
    shop.value_rules.set(SYSTEM, ValueSettings("CNY", late_fee_percent=D(5)))

    def pay_out(who: str, amount: str | None, reason: str = "") -> PostingReceipt:
        wanted = None if amount is None else D(amount)
        return shop.stored_value.pay_out(scope_of(who), card.card_id, "S01", wanted, key(), reason=reason)

    first = pay_out("desk", "100")
    assert (first.principal, first.bonus, first.fee, first.paid) == (D(-100), D(-20), D(0), D(-100))
    clock.turn(days=7)
    with pytest.raises(Forbidden, match="cooling off"):
        pay_out("desk", "100")
    with pytest.raises(InvalidInput, match="reason"):
        pay_out("manager", "100")
    late = pay_out("manager", None, "moves away")
    assert (late.principal, late.bonus, late.fee, late.paid) == (D(-400), D(-80), D(20), D(-380))
    assert on(shop, card) == ("0.00", "0.00")
    with pytest.raises(NotEnough):
        pay_out("manager", None, "again")
    assert_books_balance(shop.db)
    assert accounts(shop.db) == {
        ("cash", "S01"): D(-520),
        ("sales", "S01"): D(600),
        ("fees", "S01"): D(20),
        ("bonus_cost", "S01"): D(-100),
    }


def test_a_balance_of_an_old_system_is_brought_in_without_touching_a_till(shop: Services) -> None:
    card = card_of(shop)
    made = shop.stored_value.bring_in(SYSTEM, card.card_id, "S01", D(3000), D("12.5"), key(), "from the old till")
    assert (made.principal, made.bonus, made.paid) == (D(3000), D("12.5"), D(0))
    assert accounts(shop.db) == {("opening", "S01"): D("-3012.50")}
    lapsed = shop.stored_value.lapse(SYSTEM, card.card_id, "S01", key(), "promotion is over")
    assert (lapsed.principal, lapsed.bonus) == (D(0), D("-12.50"))
