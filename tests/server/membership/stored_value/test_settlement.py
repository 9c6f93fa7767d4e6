"""Between the stores of a chain: who sold owes who served, and what all of them owe on cards."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Forbidden
from server.membership.stored_value.models import BonusBearer, NotEnough, ValueSettings
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.stored_value.counter import (
    accounts,
    assert_books_balance,
    card_of,
    enrol,
    key,
    spend,
    top_up,
)

D = Decimal
ScopeOf = Callable[[str], Scope]


@pytest.mark.parametrize(
    ("bearer", "owed", "cost"),
    [("seller", "180", {"S01": "-194"}), ("server", "155", {"S01": "-169", "S02": "-25"})],
)
def test_who_sold_owes_who_served_until_it_is_settled(
    shop: Services, scope_of: ScopeOf, clock: TurnedClock, bearer: BonusBearer, owed: str, cost: dict[str, str]
) -> None:
    settings = replace(ValueSettings.default("CNY"), bonus_borne_by=bearer)
    shop.value_rules.set(SYSTEM, settings)
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "1000")
    spend(shop, card, "60")
    bought = spend(shop, card, "240", "S02")
    shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S02", D(90), key())
    shop.stored_value.pay_out(SYSTEM, card.card_id, "S02", D(30), key())
    start, end = clock.now, clock.now.replace(hour=23)
    report = {(row.sold_by, row.served_by): row for row in shop.settlement.report(SYSTEM, start, end)}
    own, across = report[("S01", "S01")], report[("S01", "S02")]
    assert (own.principal, own.bonus, own.owed) == (D(50), D(10), D(0))
    assert (across.principal, across.bonus, across.paid_out, across.owed) == (D(125), D(25), D(30), D(owed))
    assert [row.owed for row in shop.settlement.report(scope_of("manager"), end, end.replace(minute=59))] == [D(owed)]
    with pytest.raises(NotEnough):
        shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(owed) + D("0.01"), key())
    with pytest.raises(NotEnough):
        shop.settlement.settle(SYSTEM, "S02", "S01", "CNY", D("0.01"), key())
    settled = shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(100), "november")
    assert shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(100), "november").posting_id == settled.posting_id
    assert settled.owed_after == D(owed) - 100
    shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", settled.owed_after, key())
    assert_books_balance(shop.db)
    books = accounts(shop.db)
    assert not {("debt", "S01", "S02"), ("claim", "S02", "S01")} & books.keys()
    # 30 of principal took 6 of bonus along: 200 - 6 were given for good, by one store or by where they were spent.
    borne = {account[1]: amount for account, amount in books.items() if account[0] == "bonus_cost"}
    assert borne == {store: D(amount) for store, amount in cost.items()}
    with pytest.raises(Forbidden):
        shop.settlement.settle(scope_of("manager"), "S01", "S02", "CNY", D(1), key())


def test_the_chain_knows_what_it_owes(shop: Services, scope_of: ScopeOf) -> None:
    first, second = card_of(shop), card_of(shop)
    top_up(shop, first, "500")
    top_up(shop, second, "50", "S02")
    spend(shop, first, "60", "S02")
    found = [(row.store_id, row.cards, row.principal, row.bonus) for row in shop.settlement.liability(SYSTEM)]
    assert found == [("S01", 1, D(450), D(90)), ("S02", 1, D(50), D(0))]
    assert [row.store_id for row in shop.settlement.liability(scope_of("manager"))] == ["S01"]
