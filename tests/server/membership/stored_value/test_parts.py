"""Which money goes first, in whole cents: no cent made, none lost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.membership.stored_value.models import (
    BonusRule,
    Lot,
    NotEnough,
    OverCap,
    Part,
    SpendOrder,
    ValueSettings,
)
from server.membership.stored_value.parts import (
    bonus_of,
    check_cap,
    deal,
    give_back,
    money,
    pay_out,
    spend,
    summed,
    with_part,
)

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
D = Decimal
cents = st.integers(0, 100_000).map(lambda number: D(number) / 100)


def lot(number: int, principal: str, bonus: str = "0", *, store: str = "S01", days: float = 0) -> Lot:
    return Lot(number, number, store, NOW - timedelta(days=days), D(principal), D(bonus), D(principal), D(bonus))


@st.composite
def lots(draw: st.DrawFn) -> list[Lot]:
    drawn = draw(st.lists(st.tuples(cents, cents, st.floats(0, 20)), min_size=1, max_size=5))
    return [lot(place, str(one), str(other), days=days) for place, (one, other, days) in enumerate(drawn, start=1)]


def on(found: list[Lot]) -> Decimal:
    return sum((each.principal_left + each.bonus_left for each in found), D(0))


def is_cooling(found: Lot) -> bool:
    return found.sold_at + timedelta(days=7) > NOW


def taken(found: list[Lot], made: list[Part]) -> list[Lot]:
    by_lot = {part.lot_id: part for part in made}
    return [with_part(each, by_lot[each.lot_id]) if each.lot_id in by_lot else each for each in found]


@given(st.lists(cents, min_size=1, max_size=8), st.fractions(0, 1))
def test_an_amount_is_dealt_out_to_the_cent_and_nobody_gets_more_than_their_weight(
    weights: list[Decimal], share: object
) -> None:
    total = sum(weights, D(0))
    amount = D(int(float(share) * float(total) * 100)) / 100  # type: ignore[arg-type]
    amount = min(amount, total)
    found = deal(amount, weights)
    assert sum(found, D(0)) == amount
    for each, weight in zip(found, weights, strict=True):
        assert 0 <= each <= weight
        assert total == 0 or abs(each - amount * weight / total) < D("0.01")


def test_more_than_the_weights_can_not_be_dealt_out() -> None:
    with pytest.raises(ValueError, match="dealt out"):
        deal(D("1.01"), [D(1)])


@given(lots(), cents, st.sampled_from(["proportional", "principal_first", "bonus_first"]))
def test_a_purchase_takes_just_its_amount_or_nothing(found: list[Lot], amount: Decimal, order: SpendOrder) -> None:
    if amount > on(found):
        with pytest.raises(NotEnough):
            spend(found, amount, order, "CNY")
        return
    made = spend(found, amount, order, "CNY")
    assert -sum(summed(made), D(0)) == amount
    left = taken(found, made)
    assert all(each.principal_left >= 0 and each.bonus_left >= 0 for each in left)
    if order == "principal_first" and any(part.bonus for part in made):
        assert not any(each.principal_left for each in left)
    if order == "bonus_first" and any(part.principal for part in made):
        assert not any(each.bonus_left for each in left)


@pytest.mark.parametrize(
    ("order", "amount", "expected"),
    [
        # 1,000 + 200 first, then 100 + 0: in proportion, the oldest top-up first.
        ("proportional", "120", [(1, "-100.00", "-20.00")]),
        ("proportional", "1230", [(1, "-1000.00", "-200.00"), (2, "-30.00", "0.00")]),
        ("proportional", "0.01", [(1, "0.00", "-0.01")]),
        ("principal_first", "1050", [(1, "-1000.00", "0.00"), (2, "-50.00", "0.00")]),
        ("principal_first", "1150", [(1, "-1000.00", "-50.00"), (2, "-100.00", "0.00")]),
        ("bonus_first", "150", [(1, "0.00", "-150.00")]),
        ("bonus_first", "250", [(1, "-50.00", "-200.00")]),
    ],
)
def test_the_order_of_spending_is_as_stated(order: SpendOrder, amount: str, expected: object) -> None:
    made = spend([lot(1, "1000", "200"), lot(2, "100")], D(amount), order, "CNY")
    found = [
        (part.lot_id, str(part.principal.quantize(D("0.01"))), str(part.bonus.quantize(D("0.01")))) for part in made
    ]
    assert [(a, b.replace("-0.00", "0.00"), c.replace("-0.00", "0.00")) for a, b, c in found] == expected


@given(
    lots(), st.lists(cents, min_size=1, max_size=6), st.sampled_from(["proportional", "principal_first", "bonus_first"])
)
def test_returns_give_back_the_parts_that_paid_and_never_more(
    found: list[Lot], amounts: list[Decimal], order: SpendOrder
) -> None:
    paid = on(found)
    spent = spend(found, paid, order, "CNY")
    earlier: list[Part] = []
    left = paid
    for amount in amounts:
        if amount > left:
            with pytest.raises(InvalidInput):
                give_back(spent, earlier, amount, "CNY")
            continue
        earlier += give_back(spent, earlier, amount, "CNY")
        left -= amount
    earlier += give_back(spent, earlier, left, "CNY")
    restored = taken(found, spent)
    for part in earlier:
        assert part.principal >= 0
        assert part.bonus >= 0
        restored = taken(restored, [part])
    assert restored == found


@given(lots(), cents)
def test_a_pay_out_gives_principal_alone_and_takes_the_bonus_along(found: list[Lot], amount: Decimal) -> None:
    there = sum((each.principal_left for each in found), D(0))
    settings = ValueSettings("CNY", late_fee_percent=D("2.5"))
    if amount > there or not there:
        with pytest.raises(NotEnough):
            pay_out(found, amount, settings, NOW)
        return
    paid, cooling = pay_out(found, amount, settings, NOW)
    assert sum((each.principal for each in paid), D(0)) == amount
    for each in paid:
        assert 0 <= each.fee <= each.principal
        assert 0 <= each.bonus <= each.lot.bonus_left
        share = each.lot.bonus_left * each.principal / each.lot.principal_left
        assert share <= each.bonus < share + D("0.01")
        assert (each.fee == 0) or not is_cooling(each.lot)
    assert cooling == all(is_cooling(each.lot) for each in paid)


def test_the_last_paid_in_goes_out_first_and_the_days_are_counted_by_top_up() -> None:
    old, new = lot(1, "100", "10", days=7), lot(2, "50", "5", days=6.9)
    paid, cooling = pay_out([old, new], D(50), ValueSettings("CNY"), NOW)
    assert [(each.lot.lot_id, each.principal, each.bonus) for each in paid] == [(2, D(50), D(5))]
    assert cooling
    paid, cooling = pay_out([old, new], D(80), ValueSettings("CNY", late_fee_percent=D(10)), NOW)
    assert [(each.lot.lot_id, each.principal, each.bonus, each.fee) for each in paid] == [
        (2, D(50), D(5), D(0)),
        (1, D(30), D(3), D(3)),
    ]
    assert not cooling


def rule(from_amount: str, amount: str = "0", percent: str = "0", **more: object) -> BonusRule:
    fields: dict[str, object] = {
        "rule_id": 1,
        "currency": "CNY",
        "store_ids": None,
        "valid_from": NOW - timedelta(days=1),
        "valid_until": None,
        "made_by": "hq",
        "made_at": NOW,
        "ended_at": None,
        **more,
    }
    return BonusRule(from_amount=D(from_amount), amount=D(amount), percent=D(percent), **fields)  # type: ignore[arg-type]


def test_of_the_rules_a_top_up_reaches_the_best_one_counts_alone() -> None:
    rules = [
        rule("100", "10"),
        rule("500", percent="15"),
        rule("500", "60", store_ids=["S02"]),
        rule("500", "999", ended_at=NOW),
        rule("500", "998", valid_from=NOW + timedelta(seconds=1)),
        rule("500", "997", valid_until=NOW),
    ]
    given = [
        bonus_of(D(amount), rules, store, NOW)
        for amount, store in (
            ("99.99", "S01"),
            ("100", "S01"),
            ("500", "S01"),
            ("333.33", "S01"),
            ("500", "S02"),
            ("500.55", "S02"),
        )
    ]
    assert given == [D(0), D(10), D(75), D(10), D(75), D("75.08")]


def test_caps_are_those_of_the_card_and_count_bonus_as_set() -> None:
    china = ValueSettings.default("CNY")
    assert (china.cap_registered, china.cap_unregistered, china.cooling_off_days) == (D(5000), D(1000), 7)
    assert ValueSettings.default("EUR").cap_registered is None
    there = [lot(1, "4000", "500")]
    check_cap(china, there, D(500), D(0), registered=True)
    with pytest.raises(OverCap, match=r"5000\.01.*at most 5000"):
        check_cap(china, there, D("500.01"), D(0), registered=True)
    with pytest.raises(OverCap) as refused:
        check_cap(china, [], D(1000), D(1), registered=False)
    assert "register the card" in (refused.value.remedy or "")
    assert refused.value.detail == {"cap": "1000", "balance": "0.00"}
    aside = ValueSettings("CNY", cap_registered=D(5000), cap_counts_bonus=False)
    check_cap(aside, there, D(1000), D(900), registered=True)


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity", "1e12", "1e999999"])
def test_what_is_no_amount_of_money_is_refused(amount: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        money(D(amount))
    assert refused.value.field == "amount"
    assert refused.value.remedy
