"""What a sale earns and what refunds leave of it, as a table of situations and as a property."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.membership.points import rules as rules_of
from server.membership.points.earning import Bought, Line, Standing, earned, kept, left, lost_unlinked
from server.membership.points.rules import GroupRule, Promotion, Rules, in_force

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
ONE = Rules(rates={"CNY": Decimal(1)})
NOBODY = Standing()


def bought(*lines: tuple[str, str, str], gross: str | None = None, **more: Any) -> Bought:
    amounts = [Decimal(amount) for _, _, amount in lines]
    total = Decimal(gross) if gross is not None else sum(amounts, Decimal(0))
    items = tuple(Line(sku, group, Decimal(amount)) for sku, group, amount in lines)
    return Bought("S01", more.pop("channel", "till"), NOON, more.pop("currency", "CNY"), total, lines=items, **more)


def promotion(**more: Any) -> Promotion:
    return Promotion(name="p", starts=NOON - timedelta(days=1), ends=NOON + timedelta(days=1), **more)


@pytest.mark.parametrize(
    ("rules", "sale", "standing", "points"),
    [
        (ONE, bought(("a", "", "99.99")), NOBODY, 99),
        (ONE, bought(gross="99.99"), NOBODY, 99),
        (ONE, bought(("a", "", "10"), currency="EUR"), NOBODY, 0),
        (Rules(), bought(("a", "", "10")), NOBODY, 0),
        (Rules(rates={"CNY": Decimal("0.1")}), bought(("a", "", "0.10"), ("b", "", "9.90")), NOBODY, 1),
        (ONE, bought(("a", "", "10")), Standing("gold", Decimal("1.5")), 15),
        (Rules(rates=ONE.rates, channels=("till",)), bought(("a", "", "10"), channel="online"), NOBODY, 0),
        (Rules(rates=ONE.rates, basis="net"), bought(("a", "", "113"), net=Decimal(100)), NOBODY, 100),
        (Rules(rates=ONE.rates, basis="net"), bought(("a", "", "113")), NOBODY, 113),
        (ONE, bought(("a", "", "-10"), ("b", "", "4"), gross="0"), NOBODY, 0),
    ],
)
def test_a_sale_earns_by_its_currency_tier_channel_and_tax(
    rules: Rules, sale: Bought, standing: Standing, points: int
) -> None:
    assert earned(sale, rules, standing) == points


def test_groups_and_promotions_bear_on_their_own_lines() -> None:
    rules = Rules(
        rates=ONE.rates,
        groups=(GroupRule(factor=Decimal(0), groups=("gift",)), GroupRule(factor=Decimal(3), skus=("T*",))),
        promotions=(
            promotion(factor=Decimal(2), groups=("shoes",)),
            promotion(factor=Decimal(5), tiers=("gold",)),
            promotion(bonus=100, min_spend=Decimal(200)),
        ),
    )
    sale = bought(("g1", "gift", "500"), ("T7", "", "10"), ("s", "shoes", "20"))
    assert earned(sale, rules, NOBODY) == 0 + 30 + 40
    assert earned(sale, rules, Standing("gold")) == 5 * (30 + 20)
    # The gift card earns nothing and doesn't count for the bonus.
    assert earned(bought(("g1", "gift", "500"), ("s", "shoes", "199")), rules, NOBODY) == 2 * 199
    assert earned(bought(("x", "", "200")), rules, NOBODY) == 300
    # 200 yen are not 200 yuan.
    for currency, points in (("CNY", 300), ("JPY", 200)):
        only = Rules(rates=ONE.rates, promotions=(promotion(bonus=100, min_spend=Decimal(200), currency=currency),))
        assert earned(bought(("x", "", "200")), only, NOBODY) == points


def test_a_refund_takes_back_what_its_own_lines_had_earned() -> None:
    rules = Rules(rates=ONE.rates, groups=(GroupRule(factor=Decimal(3), skus=("triple",)),))
    sale = bought(("triple", "", "100"), ("plain", "", "900"))
    assert earned(sale, rules, NOBODY) == 1200
    assert left(sale, [bought(("triple", "", "100"))], rules, NOBODY) == 900
    assert left(sale, [bought(("plain", "", "900"))], rules, NOBODY) == 300
    assert left(sale, [bought(gross="100")], rules, NOBODY) == 1080
    assert left(sale, [bought(("unknown", "", "100"))], rules, NOBODY) == 1080
    assert left(sale, [bought(gross="1000")], rules, NOBODY) == 0
    assert left(sale, [bought(gross="5000")], rules, NOBODY) == 0
    assert kept(sale, [bought(gross="100"), bought(gross="5000")]) == 0
    assert lost_unlinked(bought(("triple", "", "10")), rules, Standing("gold", Decimal(2))) == 60


def test_a_bonus_goes_back_in_proportion() -> None:
    rules = Rules(rates=ONE.rates, promotions=(promotion(bonus=50, min_spend=Decimal(100)),))
    sale = bought(("a", "", "60"), ("b", "", "40"))
    assert earned(sale, rules, NOBODY) == 150
    assert left(sale, [bought(("b", "", "40"))], rules, NOBODY) == 90


_amounts = st.decimals(min_value="0.01", max_value="500", places=2)
_skus = st.sampled_from(["a", "b", "c", "triple"])
_lines = st.lists(st.tuples(_skus, _amounts), max_size=4)


def _of(lines: list[tuple[str, Decimal]]) -> Bought:
    return bought(*((sku, "", str(amount)) for sku, amount in lines))


@given(_lines.filter(bool), st.lists(_lines, max_size=5), st.permutations(range(5)))
def test_refunds_only_ever_take_in_any_order_and_never_more_than_was_earned(
    sold: list[tuple[str, Decimal]], returned: list[list[tuple[str, Decimal]]], order: list[int]
) -> None:
    rules = Rules(rates={"CNY": Decimal("0.7")}, groups=(GroupRule(factor=Decimal(3), skus=("triple",)),))
    sale, refunds = _of(sold), [_of(lines) for lines in returned]
    stands = [left(sale, refunds[:taken], rules, NOBODY) for taken in range(len(refunds) + 1)]
    assert stands[0] == earned(sale, rules, NOBODY)
    assert stands == sorted(stands, reverse=True)
    assert stands[-1] >= 0
    shuffled = [refunds[place] for place in order if place < len(refunds)]
    assert left(sale, shuffled, rules, NOBODY) == stands[-1]
    if sum((refund.gross for refund in refunds), Decimal(0)) >= sale.gross:
        assert stands[-1] == 0


def test_what_is_kept_earns_what_it_would_have_earned_alone() -> None:
    rules = Rules(rates=ONE.rates, groups=(GroupRule(factor=Decimal(3), skus=("triple",)),))
    both = bought(("triple", "", "33.33"), ("plain", "", "66.67"))
    for one, other in (("triple", "33.33"), ("plain", "66.67")), (("plain", "66.67"), ("triple", "33.33")):
        rest = left(both, [bought((one[0], "", one[1]))], rules, NOBODY)
        assert rest == earned(bought((other[0], "", other[1])), rules, NOBODY)


@pytest.mark.parametrize(
    ("sold", "months", "at_month_end", "expires"),
    [
        (datetime(2026, 1, 31, 10, tzinfo=UTC), 1, False, datetime(2026, 2, 28, 10, tzinfo=UTC)),
        (datetime(2024, 2, 29, 10, tzinfo=UTC), 12, False, datetime(2025, 2, 28, 10, tzinfo=UTC)),
        # The end of November in Shanghai.
        (datetime(2025, 11, 30, 15, 59, tzinfo=UTC), 12, True, datetime(2026, 11, 30, 16, tzinfo=UTC)),
        (datetime(2025, 11, 30, 16, 1, tzinfo=UTC), 12, True, datetime(2026, 12, 31, 16, tzinfo=UTC)),
    ],
)
def test_points_expire_months_later(sold: datetime, months: int, at_month_end: bool, expires: datetime) -> None:
    zone = "Asia/Shanghai" if at_month_end else "UTC"
    rules = Rules(expires_months=months, at_month_end=at_month_end, timezone=zone)
    assert rules.expires_at(sold) == expires


def test_points_never_expire_before_they_could_be_spent() -> None:
    rules = Rules(expires_months=1, return_days=60)
    assert rules.expires_at(NOON) == NOON + timedelta(days=61)
    assert Rules().expires_at(NOON) is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "rules"),
        ('{"rate": {}}', "rules"),
        ('{"rates": {"cny": "1"}}', "rates"),
        ('{"rates": {"CNY": "-1"}}', "rates.CNY"),
        ('{"rates": {"CNY": "NaN"}}', "rates.CNY"),
        ('{"rates": {"CNY": "0.0000001"}}', "rates.CNY"),
        ('{"value": {"X": "1"}}', "value"),
        ('{"groups": [{"factor": "2"}]}', "groups[0]"),
        ('{"groups": [{"factor": "x", "skus": ["a"]}]}', "groups[0].factor"),
        ('{"step": 100, "least": 150}', "least"),
        ('{"timezone": "Mars/Olympus"}', "timezone"),
        ('{"return_days": 400}', "return_days"),
        (
            '{"promotions": [{"name": "p", "starts": "2026-01-02T00:00:00Z", "ends": "2026-01-01T00:00:00Z"}]}',
            "promotions[0].ends",
        ),
        (
            '{"promotions": [{"name": "p", "starts": "2026-01-02T00:00:00", "ends": "2026-01-03T00:00:00Z"}]}',
            "promotions[0].starts",
        ),
        (
            '{"promotions": [{"name": "p", "starts": "2026-01-02T00:00:00Z", "ends": "2026-01-03T00:00:00Z"}]}',
            "promotions[0]",
        ),
    ],
)
def test_rules_that_can_not_be_meant_are_refused_by_field(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rules_of.read(text)
    assert refused.value.field == field
    assert refused.value.remedy


def test_rules_come_back_as_they_were_written() -> None:
    rules = Rules(
        rates={"CNY": Decimal("0.1")}, groups=(GroupRule(factor=Decimal("0.5"), groups=("g",)),), expires_months=12
    )
    assert rules_of.read(rules_of.written(rules)) == rules


def test_the_version_in_force_is_the_latest_that_has_begun() -> None:
    versions = [(NOON, 1, ONE), (NOON + timedelta(days=1), 2, Rules())]
    assert in_force(versions, NOON - timedelta(seconds=1)) == (0, rules_of.NO_RULES)
    assert in_force(versions, NOON) == (1, ONE)
    assert in_force(versions, NOON + timedelta(days=1))[0] == 2
