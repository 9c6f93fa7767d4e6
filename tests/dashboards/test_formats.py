"""How numbers, money, shares and dates are written in both languages."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dashboards.formats import NOTHING, Delta, Formats
from dashboards.i18n import LANGUAGES
from server.access.models import Locale

ZH, EN = Formats("zh"), Formats("en")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234, "1,234"), (1234567, "1,234,567"), (-5, "-5"), (None, NOTHING)],
)
def test_counts_are_grouped(value: int | None, text: str) -> None:
    assert EN.number(value) == text
    assert ZH.number(value) == text


@pytest.mark.parametrize(("share", "text"), [("0.21449", "21.4%"), ("0.2145", "21.5%"), ("1", "100.0%"), ("0", "0.0%")])
def test_shares_are_rounded_half_up(share: str, text: str) -> None:
    assert EN.percent(Decimal(share)) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("99.5", "CNY", "¥99.50"),
        ("1234.5", "CNY", "¥1,235"),
        ("-12", "EUR", "-€12.00"),
        ("-0.001", "CNY", "¥0.00"),
        ("7", "CHF", "CHF 7.00"),
    ],
)
def test_money_has_its_sign_and_cents_only_where_they_matter(amount: str, currency: str, text: str) -> None:
    assert ZH.money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("now", "before", "delta"),
    [
        (110, 100, Delta("up", "+10.0%")),
        (90, 100, Delta("down", "-10.0%")),
        (100, 100, Delta("flat", "0%")),
        (1000, 100, Delta("up", "+900%")),
        (5, 0, None),
        # A day of refunds only: from minus fifty to a hundred is no fall of three hundred per cent.
        (100, -50, None),
        (None, 5, None),
        (5, None, None),
    ],
)
def test_a_change_needs_something_to_compare_with(now: int | None, before: int | None, delta: Delta | None) -> None:
    assert EN.change(now, before) == delta


def test_shares_change_by_points() -> None:
    assert EN.points(Decimal("0.22"), Decimal("0.20")) == Delta("up", "+2.0 pp")
    assert ZH.points(Decimal("0.20"), Decimal("0.22")) == Delta("down", "-2.0 百分点")


@pytest.mark.parametrize(("locale", "text"), [("zh", "2026年11月21日 星期六"), ("en", "Saturday 21 November 2026")])
def test_whole_dates(locale: Locale, text: str) -> None:
    assert Formats(locale).long_day(date(2026, 11, 21)) == text


def test_times_are_the_stores_own() -> None:
    at = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
    assert EN.clock(at, "Asia/Shanghai") == "02:30"
    assert EN.clock(at, "Asia/Kathmandu") == "00:15"
    assert ZH.local_day(at, "Asia/Shanghai") == "2026-11-22"


def test_the_week_of_every_language_begins_as_that_of_the_reports() -> None:
    """Reports, opening hours and power hours list a week from Monday on, which is the first day of every language."""
    assert {each: Formats(each).babel.first_week_day for each in LANGUAGES} == dict.fromkeys(LANGUAGES, 0)
