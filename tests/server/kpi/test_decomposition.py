"""Why sales moved: effects that add up to the cent whatever the numbers, and only like beside like."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput
from server.kpi.answers.decomposition import Effects, Pair, decompose, divisia, effects, side_of
from server.kpi.answers.grouping import Group
from server.kpi.answers.question import DayRange, StoreFilter
from server.kpi.models import Facts
from tests.server.kpi.chain import SYSTEM, Chain

MONDAY, NEXT_MONDAY = date(2026, 11, 9), date(2026, 11, 16)
CENT = Decimal("0.01")

cents = st.integers(0, 10**11).map(lambda n: Decimal(n).scaleb(-2))
counts = st.one_of(st.just(0), st.integers(0, 50), st.integers(0, 10**7))


@st.composite
def sold(draw: st.DrawFn) -> Facts:
    """Any facts that a store can have, watched and with the tills there."""
    transactions, gross = draw(counts), draw(cents)
    matched = draw(st.integers(0, transactions))
    return Facts(
        open_quarters=8,
        camera_quarters=8,
        due_ms=100,
        observed_ms=100,
        required_ms=90,
        till_quarters=8,
        transactions=transactions,
        gross_sales=gross if transactions else Decimal(0),
        refunds=draw(cents),
        matched_transactions=matched,
        matched_visitors=draw(counts),
        member_transactions=draw(st.integers(0, transactions)),
    )


def pair(before: Facts, now: Facts, store_id: str = "S01") -> Pair:
    groups = [Group((store_id,), facts, None, 7, frozenset({"CNY"})) for facts in (before, now)]
    return Pair(store_id, "CNY", groups[0], groups[1], Decimal(1), Decimal(1))


@given(sold(), sold())
def test_effects_add_up_to_the_change_in_net_sales_whatever_the_numbers(before: Facts, now: Facts) -> None:
    found = effects(side_of(before), side_of(now))
    assert found.total == now.net_sales - before.net_sales
    for effect in (found.traffic, found.conversion, found.atv, found.refunds):
        assert effect == effect.quantize(CENT)


@given(sold(), sold())
def test_the_way_back_undoes_the_way_there(before: Facts, now: Facts) -> None:
    there, back = effects(side_of(before), side_of(now)), effects(side_of(now), side_of(before))
    assert (there.traffic, there.conversion, there.atv) == (-back.traffic, -back.conversion, -back.atv)


@given(st.lists(st.tuples(sold(), sold()), max_size=6))
def test_the_chain_is_the_sum_of_its_stores_and_nothing_is_lost(stores: list[tuple[Facts, Facts]]) -> None:
    pairs = [pair(before, now, f"S{number:02}") for number, (before, now) in enumerate(stores)]
    changes, left_out, chain = decompose(iter(pairs))
    assert len(changes) + len(left_out) == len(stores)
    whole = sum((now.net_sales - before.net_sales for before, now in stores), Decimal(0))
    assert sum((each.change + each.left_out_change for each in chain), Decimal(0)) == whole
    for each in chain:
        assert each.effects.total == each.change == each.now.net_sales - each.before.net_sales
        assert each.effects.traffic == sum((store.effects.traffic for store in changes), Decimal(0))


def test_one_factor_alone_has_the_whole_effect() -> None:
    def facts(visitors: int, buyers: int, gross: str) -> Facts:
        return Facts(
            transactions=buyers, matched_transactions=buyers, matched_visitors=visitors, gross_sales=Decimal(gross)
        )

    base = side_of(facts(100, 20, "400.00"))
    traffic = effects(base, side_of(facts(150, 30, "600.00")))
    assert traffic == Effects(traffic=Decimal("200.00"))
    conversion = effects(base, side_of(facts(100, 30, "600.00")))
    assert conversion == Effects(conversion=Decimal("200.00"))
    atv = effects(base, side_of(facts(100, 20, "600.00")))
    assert atv == Effects(atv=Decimal("200.00"))


def test_worked_out_by_hand() -> None:
    """From 100 x 0.2 x 20.00 = 400.00 to 120 x 0.25 x 18.00 = 540.00.

    L = 140 / ln(1.35) = 140 / 0.300104592450338 = 466.504024…; traffic L ln(1.2) = 466.504024 x 0.182321556793955 =
    85.05373…; conversion L ln(1.25) = 466.504024 x 0.223143551314210 = 104.09736…; ATV what is left of 140.00.
    """
    found = divisia([Decimal(100), Decimal("0.2"), Decimal(20)], [Decimal(120), Decimal("0.25"), Decimal(18)], *_gross)
    assert found == [Decimal("85.05"), Decimal("104.10"), Decimal("-49.15")]


_gross = (Decimal("400.00"), Decimal("540.00"))


@pytest.mark.parametrize(
    ("before", "now", "product", "expected"),
    [
        # Nobody came before: it is all traffic. Nobody bought: all conversion. Nothing cost anything: all ATV.
        (("0", "0", "0"), ("10", "0.5", "2"), ("0", "10"), ("10", "0", "0")),
        (("10", "0", "0"), ("20", "0.5", "2"), ("0", "20"), ("0", "20", "0")),
        (("10", "0.5", "0"), ("10", "0.5", "2"), ("0", "10"), ("0", "0", "10")),
        (("10", "0.5", "2"), ("10", "0", "0"), ("10", "0"), ("0", "-10", "0")),
        (("10", "0", "0"), ("0", "0", "0"), ("0", "0"), ("0", "0", "0")),
        # As much as before, made of other things.
        (("10", "0.5", "2"), ("20", "0.25", "2"), ("10", "10"), ("6.93", "-6.93", "0")),
    ],
)
def test_zeros_and_standstill(
    before: tuple[str, ...], now: tuple[str, ...], product: tuple[str, str], expected: tuple[str, ...]
) -> None:
    found = divisia([*map(Decimal, before)], [*map(Decimal, now)], *map(Decimal, product))
    assert found == [*map(Decimal, expected)]


def two_weeks(shops: Chain) -> None:
    """Mondays a week apart. S01 is like for like; S02 was not watched, S03 sold nothing, S04 was not there before."""
    for store in ("S01", "S02", "S03", "S04"):
        shops.store(store, region="east" if store < "S03" else "west")
    for store, day, visitors, sales in (
        ("S01", 9, 20, ["10.00"] * 4),
        ("S01", 16, 30, ["10.00"] * 9),
        ("S02", 9, 20, ["5.00"]),
        ("S02", 16, 20, ["7.00"]),
        ("S03", 9, 20, ["5.00"]),
        ("S03", 16, 20, []),
        ("S04", 16, 20, ["5.00"]),
    ):
        if (store, day) != ("S02", 16):
            shops.watch(store, f"2026-11-{day:02} 10:00", f"2026-11-{day:02} 12:00")
        shops.cross(store, f"2026-11-{day:02} 10:30", visitors)
        for gross in sales:
            shops.sell(store, f"2026-11-{day:02} 11:15", gross)
        shops.kpi.recompute(store, date(2026, 11, day))
    shops.sell("S01", "2026-11-16 11:40", "3.00", kind="refund")
    shops.kpi.recompute("S01", NEXT_MONDAY)
    shops.forget_marks()


def test_only_like_beside_like_and_who_was_left_out(shops: Chain) -> None:
    two_weeks(shops)
    found = shops.kpi.decomposition(SYSTEM, day_from=NEXT_MONDAY, day_to=NEXT_MONDAY, compare="last_week")
    assert (found.compared_from, found.compared_to, found.pending) == (MONDAY, MONDAY, 0)
    (store,) = found.stores
    # 20 x 0.2 x 10.00 = 40.00 to 30 x 0.3 x 10.00 = 90.00: L = 50 / ln 2.25 = 61.6578…; x ln 1.5 = 25.00 each.
    assert (store.store_id, store.change) == ("S01", Decimal("47.00"))
    assert store.effects == Effects(Decimal("25.00"), Decimal("25.00"), Decimal("0.00"), Decimal("-3.00"))
    assert (store.now.visitors, store.now.conversion, store.now.atv) == tuple(map(Decimal, ("30", "0.3", "10")))
    assert [(each.store_id, each.reason, each.period, each.change) for each in found.left_out] == [
        ("S02", "coverage_below_threshold", "now", Decimal("2.00")),
        ("S03", "no_receipts", "now", Decimal("-5.00")),
        ("S04", "no_data", "before", Decimal("5.00")),
    ]
    (chain,) = found.chain
    assert (chain.stores, chain.left_out, chain.left_out_change) == (1, 3, Decimal("2.00"))
    assert chain.effects == store.effects


def test_a_store_that_was_open_for_a_part_of_the_time_is_left_out(shops: Chain) -> None:
    shops.store("S01")
    days = [MONDAY + timedelta(days=n) for n in range(14)]
    for day in days[5:]:
        shops.watch("S01", f"{day} 10:00", f"{day} 12:00")
        shops.cross("S01", f"{day} 10:30", 10)
        shops.sell("S01", f"{day} 11:15", "10.00")
        shops.kpi.recompute("S01", day)
    shops.forget_marks()
    found = shops.kpi.decomposition(SYSTEM, day_from=days[7], day_to=days[13], compare="last_week")
    assert [(each.reason, each.period) for each in found.left_out] == [("open_partly", "before")]


def test_days_that_were_chosen_and_stores_of_a_region(shops: Chain) -> None:
    two_weeks(shops)
    chosen = DayRange(NEXT_MONDAY)
    found = shops.kpi.decomposition(
        SYSTEM, day_from=MONDAY, day_to=MONDAY, compare=chosen, where=StoreFilter(regions=["east"])
    )
    assert (found.compared_from, found.compared_to) == (NEXT_MONDAY, NEXT_MONDAY)
    assert [each.change for each in found.stores] == [Decimal("-47.00")]
    assert [each.store_id for each in found.left_out] == ["S02"]


def test_today_is_compared_as_far_as_it_has_come(shops: Chain) -> None:
    two_weeks(shops)
    with shops.db.transaction() as conn:
        conn.execute("DELETE FROM store_day WHERE day = '2026-11-16'")  # made when the whole day was known
    shops.now = datetime.fromisoformat("2026-11-16T11:10+08:00")
    found = shops.kpi.decomposition(SYSTEM, day_from=NEXT_MONDAY, day_to=NEXT_MONDAY, compare="last_week")
    # At ten past eleven nobody had bought anything, on either Monday.
    assert {each.change for each in found.left_out} == {Decimal(0)}


def test_a_manager_is_told_of_their_own_stores(shops: Chain) -> None:
    two_weeks(shops)
    manager = Scope("u", "manager", frozenset({"S02"}))
    days: dict[str, Any] = {"day_from": NEXT_MONDAY, "day_to": NEXT_MONDAY}
    found = shops.kpi.decomposition(manager, **days, compare="last_week")
    assert [each.store_id for each in found.left_out] == ["S02"]
    with pytest.raises(Forbidden):
        shops.kpi.decomposition(manager, **days, compare="last_week", where=StoreFilter(["S01"]))
    with pytest.raises(InvalidInput):
        shops.kpi.decomposition(manager, **days, compare=DayRange(NEXT_MONDAY, MONDAY))
