"""Why a value is withheld, and what stands behind it all the same. No database."""

from decimal import Decimal

import pytest

from server.kpi.figures.registry import KPIS
from server.kpi.models import DayFacts, Period
from server.stores.calendar import DayRule, StoreCalendar
from tests.server.kpi.small_day import EVER, all_watched, at, day, sold, traffic, value, withheld


@pytest.mark.parametrize(
    ("slug", "code", "found"),
    [
        ("conversion", None, day(traffic("10:00", 10), None, [sold("10:00", "5")])),
        (
            "conversion",
            "coverage_below_threshold",
            day(traffic("10:00", 10), all_watched()[:7], [sold("10:00", "5")]),
        ),
        (
            "sales_per_visitor",
            "coverage_below_threshold",
            day(traffic("10:00", 9), all_watched()[:7], [sold("10:00", "5")]),
        ),
        ("visitors", None, day(traffic("10:00", 10), all_watched()[:1])),
        ("conversion", "no_visitors", day((), None, [sold("10:00", "5")])),
        ("conversion", "no_receipts", day(traffic("10:00", 10))),
        ("transactions", "no_receipts", day(traffic("10:00", 10))),
        ("net_sales", "no_receipts", day(traffic("10:00", 10))),
        ("atv", "no_transactions", day((), None, [sold("10:00", received=1)])),
        ("conversion", "no_cameras", day((), (), [sold("10:00", "5")], cameras=())),
        ("entries", "no_cameras", day(cameras=())),
        ("coverage", "no_cameras", day(cameras=())),
        ("occupancy", "no_cameras", day(cameras=())),
        ("passers_by", "no_cameras", day()),
        ("entries", "closed", day(calendar=StoreCalendar([DayRule(EVER, "UTC")]))),
        ("conversion", "closed", day(calendar=StoreCalendar([DayRule(EVER, "UTC")]), receipts=[sold("10:00", "5")])),
        ("transactions", None, day(calendar=StoreCalendar([DayRule(EVER, "UTC")]), receipts=[sold("10:00", "5")])),
        ("transactions", "closed", day(calendar=StoreCalendar([DayRule(EVER, "UTC")]))),
        ("conversion", "too_early", day(as_of=at("10:01"))),
        ("coverage", "too_early", day(as_of=at("10:01"))),
        ("entries", None, day(as_of=at("10:01"))),
        ("conversion", "closed", day(as_of=at("09:00"))),
        ("occupancy", "drift_too_large", day(traffic("10:00", 10, 21))),
        ("occupancy", None, day(traffic("10:00", 10, 20))),
    ],
)
def test_why_a_value_is_withheld(slug: str, code: str | None, found: DayFacts) -> None:
    assert withheld(found, slug) == code
    assert (value(found, slug) is None) == (code is not None)


def test_the_figures_stand_behind_a_withheld_value() -> None:
    found = day(traffic("10:00", 10), all_watched()[:7], [sold("10:00", "5")])
    conversion = KPIS["conversion"].of(Period(found.facts))
    assert (conversion.numerator, conversion.denominator) == (1, 10)
    assert conversion.coverage == 0.875
    assert conversion.threshold == pytest.approx(0.9)
    assert conversion.low is conversion.high is None


def test_a_threshold_of_nothing_asks_for_nothing() -> None:
    found = day(traffic("10:00", 4), [], [sold("10:00", "5")], threshold="0")
    assert value(found, "conversion") == Decimal("0.25")


def test_more_transactions_than_visitors_is_said_as_it_is() -> None:
    found = day(traffic("10:00", 2), None, [sold("10:00", "5", "6", "7")])
    conversion = KPIS["conversion"].of(Period(found.facts))
    assert conversion.value == Decimal("1.5")
    assert conversion.high is not None
    assert conversion.high > Decimal("1.5")
