"""Codes that can be read out, and what a coupon gives on a basket or why not; no database."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.membership.coupons import codes, definitions
from server.membership.coupons.models import BasketLine, Definition, Taken
from server.membership.coupons.occasions import due_year
from server.membership.coupons.quoting import quote, validity
from tests.server.membership.coupons.counter import NOON, basket, kept, promise, some_coupon

D = Decimal
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXY"


@given(st.integers(0, 12), st.sampled_from(LETTERS))
def test_a_code_misheard_in_one_place_is_no_code(place: int, letter: str) -> None:
    code = codes.new_code()
    assert codes.read(code) == code
    assume(code[place] != letter)
    assert codes.read(code[:place] + letter + code[place + 1 :]) is None


@given(st.integers(0, 10))
def test_neighbours_that_change_places_are_found(place: int) -> None:
    code = codes.new_code()
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert (codes.read(swapped) is None) == (swapped != code)


def test_a_code_is_read_as_people_write_it() -> None:
    code = codes.new_code()
    assert codes.read(codes.spoken(code)) == code
    assert codes.read(f"  {code.lower()[:5]} {code.lower()[5:]} ") == code
    like = code.replace("0", "O").replace("1", "l")
    assert codes.read(like) == code
    for bad in ("", "A", code[:-1], code + "A", "*" * 13):
        assert codes.read(bad) is None
    assert len({codes.new_code() for _ in range(200)}) == 200


GOODS = (BasketLine("A", D("80.00"), D(2), "shoes"), BasketLine("B", D("45.55"), D(1), "socks"))


@pytest.mark.parametrize(
    ("promised", "discount", "spent"),
    [
        ({"value": D(20)}, "20.00", "125.55"),
        ({"value": D(200)}, "125.55", "125.55"),
        ({"value": D(50), "sku_groups": ["socks"]}, "45.55", "45.55"),
        ({"kind": "percent", "value": D(15)}, "18.83", "125.55"),
        ({"kind": "percent", "value": D(15), "most_off": D(10)}, "10", "125.55"),
        ({"kind": "percent", "value": D(100)}, "125.55", "125.55"),
        ({"kind": "gift", "value": D(0), "gift_sku": "A"}, "40.00", "125.55"),
        ({"minimum_spend": D("125.55")}, "20.00", "125.55"),
    ],
)
def test_what_a_coupon_gives(promised: dict[str, object], discount: str, spent: str) -> None:
    found = quote(some_coupon(), kept(**promised), basket(*GOODS), NOON)
    assert found.refusal is None
    assert (found.discount, found.spent) == (D(discount), D(spent))


@pytest.mark.parametrize(
    ("coupon", "promised", "refusal"),
    [
        ({"state": "redeemed"}, {}, "redeemed"),
        ({"state": "voided"}, {}, "voided"),
        ({"state": "expired"}, {}, "expired"),
        ({"valid_until": NOON}, {}, "expired"),
        ({"valid_from": NOON + timedelta(seconds=1)}, {}, "not_yet"),
        ({}, {"store_ids": ["S02"]}, "other_store"),
        ({}, {"currency": "EUR"}, "other_currency"),
        ({}, {"sku_groups": ["hats"]}, "no_such_goods"),
        ({}, {"minimum_spend": D("125.56")}, "too_little"),
        ({}, {"minimum_spend": D("45.56"), "sku_groups": ["socks"]}, "too_little"),
        ({}, {"kind": "gift", "value": D(0), "gift_sku": "C"}, "gift_missing"),
    ],
)
def test_why_a_coupon_gives_nothing(coupon: dict[str, object], promised: dict[str, object], refusal: str) -> None:
    found = quote(some_coupon(**coupon), kept(**promised), basket(*GOODS), NOON)
    assert (found.refusal, found.discount) == (refusal, D(0))
    assert found.told
    assert found.missing == (D("0.01") if refusal == "too_little" else None)


def test_a_members_coupon_is_for_that_member_however_often_merged() -> None:
    one, merged = uuid4(), uuid4()
    coupon, bought = some_coupon(member_id=merged), basket(*GOODS, member=one)
    assert quote(coupon, kept(), bought, NOON, family=[one]).refusal == "other_member"
    assert quote(coupon, kept(), bought, NOON, family=[one, merged]).refusal is None
    assert quote(coupon, kept(), basket(*GOODS), NOON).refusal is None


@pytest.mark.parametrize(
    ("stacking", "beside", "refusal"),
    [
        ("alone", "any", "alone"),
        ("any", "alone", "alone"),
        ("others", "others", "same_again"),
        ("any", "any", None),
    ],
)
def test_what_may_be_used_beside_what(stacking: str, beside: str, refusal: str | None) -> None:
    found = quote(
        some_coupon(), kept(stacking=stacking), basket(*GOODS), NOON, beside=[Taken(kept(stacking=beside), D(5))]
    )
    assert found.refusal == refusal


cents = st.integers(0, 10**7).map(lambda number: D(number) / 100)


@given(
    st.lists(st.tuples(cents, st.sampled_from(["shoes", "socks", None])), min_size=1, max_size=6),
    st.sampled_from(["amount", "percent"]),
    st.integers(1, 10_000).map(lambda number: D(number) / 100),
    cents,
)
def test_no_coupon_takes_off_more_than_its_goods_cost(
    lines: list[tuple[Decimal, str | None]], kind: str, value: Decimal, minimum: Decimal
) -> None:
    goods = [BasketLine("A", amount, D(1), group) for amount, group in lines]
    promised = kept(kind=kind, value=value, minimum_spend=minimum, sku_groups=["shoes"])
    found = quote(some_coupon(), promised, basket(*goods), NOON)
    spent = sum((amount for amount, group in lines if group == "shoes"), D(0))
    assert 0 <= found.discount <= spent
    assert found.discount == found.discount.quantize(D("0.01"))
    if found.refusal is None:
        assert spent >= minimum


@given(
    st.lists(st.tuples(cents, st.sampled_from(["shoes", "socks", None])), min_size=1, max_size=6),
    st.lists(
        st.tuples(
            st.sampled_from(["amount", "percent", "gift"]),
            st.integers(1, 10_000).map(lambda number: D(number) / 100),
            st.sampled_from([None, ["shoes"], ["socks", "shoes"]]),
        ),
        max_size=5,
    ),
)
def test_coupons_of_one_receipt_take_off_no_more_than_is_paid(
    lines: list[tuple[Decimal, str | None]], promises: list[tuple[str, Decimal, list[str] | None]]
) -> None:
    goods = basket(*(BasketLine(f"G{place}", amount, D(1), group) for place, (amount, group) in enumerate(lines)))
    taken: list[Taken] = []
    for kind, value, groups in promises:
        gift = {"gift_sku": "G0", "value": D(0)} if kind == "gift" else {"value": value}
        promised = kept(kind=kind, sku_groups=groups, stacking="any", **gift)
        found = quote(some_coupon(), promised, goods, NOON, beside=taken)
        assert found.discount >= 0
        if found.refusal is None:
            taken.append(Taken(promised, found.discount))
    for group in ("shoes", "socks"):
        own = sum((amount for amount, each in lines if each == group), D(0))
        # A gift is free with goods of a group; it needn't be of that group itself.
        off = [
            each.discount for each in taken if each.definition.sku_groups == [group] and not each.definition.gift_sku
        ]
        assert sum(off) <= own
    assert sum(each.discount for each in taken) <= sum(amount for amount, _ in lines)


def test_a_second_coupon_is_reckoned_on_what_the_first_left() -> None:
    def after(first: Definition, off: str, **promised: object) -> tuple[str, str | None]:
        coupons = [Taken(first, D(off))]
        found = quote(some_coupon(), kept(stacking="any", **promised), basket(*GOODS), NOON, beside=coupons)
        return str(found.discount), found.refusal

    whole, shoes = kept(stacking="any"), kept(stacking="any", sku_groups=["shoes"])
    assert after(whole, "100.00", value=D(70)) == ("25.55", None)
    assert after(whole, "25.55", kind="percent", value=D(60)) == ("60.00", None)
    # What was taken off the shoes is none of the socks' business; off all, each bears its part.
    assert after(shoes, "80.00", value=D(70), sku_groups=["socks"]) == ("45.55", None)
    assert after(shoes, "80.00", value=D(70), sku_groups=["shoes"]) == ("0.00", "nothing_left")
    assert after(whole, "125.55", kind="percent", value=D(1)) == ("0.00", "nothing_left")
    assert after(shoes, "60.00", kind="gift", value=D(0), gift_sku="A") == ("20.00", None)


def test_what_a_division_leaves_behind_is_no_cent_that_stays_to_be_paid() -> None:
    goods = tuple(
        BasketLine(sku, D(amount), D(1), None) for sku, amount in (("A", "170.96"), ("B", "184.94"), ("C", "68.33"))
    )
    found = quote(
        some_coupon(), kept(stacking="any", value=D(300)), basket(*goods), NOON, beside=[Taken(kept(), D(140))]
    )
    assert found.discount == D("284.23")


def test_a_coupon_holds_to_the_earlier_of_its_ends() -> None:
    start, day = NOON - timedelta(days=10), timedelta(days=1)
    assert validity(kept(valid_from=start, valid_days=7), NOON) == (NOON, NOON + 7 * day)
    until = {"valid_from": start, "valid_until": NOON + 3 * day}
    assert validity(kept(**until, valid_days=7), NOON) == (NOON, NOON + 3 * day)
    assert validity(kept(**until, valid_days=None), NOON) == (NOON, NOON + 3 * day)
    later = NOON + 2 * day
    assert validity(kept(valid_from=later, valid_days=7), NOON) == (later, later + 7 * day)


@pytest.mark.parametrize(
    ("born", "today", "days", "year"),
    [
        ("1990-05-17", "2026-05-17", 0, 2026),
        ("1990-05-17", "2026-05-16", 0, None),
        ("1990-05-17", "2026-05-10", 7, 2026),
        ("1990-05-17", "2026-05-20", 0, 2026),
        ("1990-05-17", "2026-05-21", 7, None),
        ("1990-01-02", "2026-12-30", 7, 2027),
        ("1990-12-31", "2026-01-01", 0, 2025),
        ("2000-02-29", "2026-02-28", 0, 2026),
        ("2000-02-29", "2028-02-28", 0, None),
    ],
)
def test_when_a_birthdays_coupon_is_due(born: str, today: str, days: int, year: int | None) -> None:
    assert due_year(date.fromisoformat(born), date.fromisoformat(today), days) == year


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": {}}, "title"),
        ({"title": {"fr": "vingt"}}, "title"),
        ({"kind": "free"}, "kind"),
        ({"currency": "yuan"}, "currency"),
        ({"value": D(0)}, "value"),
        ({"value": D("0.001")}, "value"),
        ({"kind": "percent", "value": D(101)}, "value"),
        ({"most_off": D(5)}, "most_off"),
        ({"kind": "gift"}, "gift_sku"),
        ({"gift_sku": "A"}, "gift_sku"),
        ({"valid_days": None}, "valid_until"),
        ({"valid_days": 0}, "valid_days"),
        ({"most_in_all": 0}, "most_in_all"),
        ({"store_ids": []}, "store_ids"),
        ({"issue_on": "tier_up"}, "tiers"),
        ({"issue_on": "win_back"}, "days"),
        ({"issue_on": "christmas"}, "issue_on"),
        ({"minimum_spend": D(-1)}, "minimum_spend"),
    ],
)
def test_a_definition_that_can_not_be_is_refused_by_field(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        definitions.check(promise(**wrong))
    assert refused.value.field == field
    assert refused.value.remedy
