"""Every KPI of one store's day, worked out on paper from the table in `chain.by_hand`, equal to the cent."""

from datetime import date
from decimal import Decimal

import pytest

from server.kpi.figures.registry import KPIS
from server.kpi.models import KpiValue
from tests.server.kpi.chain import SYSTEM, Chain, by_hand

MONDAY = date(2026, 11, 16)

EXPECTED = {
    # In at the doors between 10:00 and 12:00: 10+1 + 8 + 6+2 + 5 + 4 + 3 + 2 + 1 = 42, one of them staff.
    "entries": 42,
    "visitors": 41,
    # 2 + 5 + 9 + 4 + 6 + 3 + 4 + 5 = 38; the 3 and 1 after closing are no exits of opening hours.
    "exits": 38,
    # Inside at the end, of all crossings: 3 + 42 in, 38 + 3 + 1 out = 3.
    "occupancy": 3,
    # 100, 50.50, 20.25, 200, 80, 12.10, 9.90, 40; not the voided one, nor online, pick-up and refund.
    "transactions": 8,
    "gross_sales": Decimal("512.75"),
    "refunds": Decimal("30.00"),
    "net_sales": Decimal("482.75"),
    # 512.75 / 8 = 64.09375
    "atv": Decimal("64.09"),
    # 2 + 1 + 3 + 4 + 1 + 1 + 1 + 1 = 14 units; 14 / 8
    "upt": Decimal("1.750"),
    # 11:30 was watched for 10 of 15 minutes, less than 90%: its 2 visitors and its 80.00 fall out. 13:00 is an hour
    # after closing: its 40.00 falls out. 12:10 is to someone who came before closing: it stays. 6 / 39 = 0.153846…
    "conversion": Decimal("0.153846"),
    # Groups of 10:00-11:30 and 11:45, staff aside: 7 + 5 + 3+1 + 5 + 4 + 2 + 1 = 28. 6 / 28 = 0.2142857…
    "group_conversion": Decimal("0.214286"),
    # 100 + 50.50 + 20.25 + 200 + 12.10 + 9.90 = 392.75; 392.75 / 39 = 10.07051…
    "sales_per_visitor": Decimal("10.07"),
    # 2 of 8; 300 / 512.75 = 0.5850804…
    "member_share": Decimal("0.250000"),
    "member_sales_share": Decimal("0.585080"),
    # 115 of 120 minutes.
    "coverage": Decimal("0.958333"),
}


def day_values(shops: Chain, *slugs: str) -> dict[str, KpiValue]:
    report = shops.kpi.report(
        SYSTEM, kpis=slugs or tuple(KPIS), day_from=MONDAY, day_to=MONDAY, store_ids=["S01"], group_by="store"
    )
    assert report.pending == 0
    (row,) = report.rows
    return dict(row.values)


def test_every_kpi_of_a_day(shops: Chain) -> None:
    by_hand(shops)
    shops.kpi.recompute("S01", MONDAY)
    shops.forget_marks()
    values = day_values(shops)
    assert {slug: values[slug].value for slug in EXPECTED} == EXPECTED
    assert {slug: values[slug].withheld for slug in EXPECTED} == dict.fromkeys(EXPECTED)
    assert values["net_sales"].unit == values["atv"].unit == "CNY"
    assert values["conversion"].coverage == pytest.approx(115 / 120)
    assert values["net_sales"].coverage is None


def test_the_figures_behind_a_ratio(shops: Chain) -> None:
    by_hand(shops)
    values = day_values(shops, "conversion", "sales_per_visitor", "atv", "coverage")
    assert (values["conversion"].numerator, values["conversion"].denominator) == (6, 39)
    assert values["conversion"].threshold == pytest.approx(0.9)
    assert (values["sales_per_visitor"].numerator, values["sales_per_visitor"].denominator) == (Decimal("392.75"), 39)
    assert (values["atv"].numerator, values["atv"].denominator) == (Decimal("512.75"), 8)
    assert (values["coverage"].numerator, values["coverage"].denominator) == (6900, 7200)


def test_sales_per_visitor_is_conversion_times_the_matched_atv(shops: Chain) -> None:
    by_hand(shops)
    facts = shops.kpi.day(SYSTEM, "S01", MONDAY).facts
    matched_atv = facts.matched_sales / facts.matched_transactions
    conversion = Decimal(facts.matched_transactions) / facts.matched_visitors
    assert conversion * matched_atv == pytest.approx(facts.matched_sales / facts.matched_visitors)


def test_where_every_quarter_is_matched_it_is_conversion_times_atv(shops: Chain) -> None:
    shops.store("S01")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 12:00")
    shops.cross("S01", "2026-11-16 10:00", 8)
    shops.sell("S01", "2026-11-16 10:20", "30.00")
    shops.sell("S01", "2026-11-16 11:20", "50.00")
    values = day_values(shops, "conversion", "atv", "sales_per_visitor")
    # 2 / 8 = 25%; 80 / 2 = 40.00; 80 / 8 = 10.00 = 25% of 40.00
    assert [values[slug].value for slug in ("conversion", "atv", "sales_per_visitor")] == [
        Decimal("0.25"),
        Decimal("40.00"),
        Decimal("10.00"),
    ]


def test_intervals_hold_the_value_and_match_the_formulas(shops: Chain) -> None:
    by_hand(shops)
    values = day_values(shops)
    for slug, value in values.items():
        if value.low is not None and value.high is not None and value.value is not None:
            assert value.low <= value.value <= value.high, slug
    # Wilson for 6 of 39, z = 1.96: middle (6 + 1.9207)/(39 + 3.8415) = 0.18488, half width
    # 1.96/42.8415 * sqrt(6 * 33/39 + 0.96036) = 0.11241
    assert float(values["conversion"].low or 0) == pytest.approx(0.18488 - 0.11241, abs=2e-5)
    assert float(values["conversion"].high or 0) == pytest.approx(0.18488 + 0.11241, abs=2e-5)


def test_the_hours_of_the_day(shops: Chain) -> None:
    by_hand(shops)
    shops.kpi.recompute("S01", MONDAY)
    shops.forget_marks()
    report = shops.kpi.report(
        SYSTEM,
        kpis=["visitors", "transactions", "net_sales", "conversion", "occupancy"],
        day_from=MONDAY,
        day_to=MONDAY,
        group_by="hour_of_day",
    )
    got = {
        row.key: tuple(row.values[slug].value for slug in ("visitors", "transactions", "net_sales", "occupancy"))
        for row in report.rows
    }
    assert got == {
        # Three staff before opening: nobody is a visitor, and three are inside.
        "09": (None, None, None, 3),
        # 10 + 8 + 8 + 5; 100 + 50.50 + 20.25; 3 + 11 + 8 + 8 + 5 in, 20 out.
        "10": (31, 3, Decimal("170.75"), 15),
        # 4 + 3 + 2 + 1; 200 + 80 + 12.10 - 30; 10 in, 18 out.
        "11": (10, 3, Decimal("262.10"), 7),
        "12": (None, 1, Decimal("9.90"), 4),
        "13": (None, 1, Decimal("40.00"), 3),
    }
    # 10:00-11:00: 3 of 31. 11:00-12:00: 200, 12.10 and the 9.90 of 12:10, of 4 + 3 + 1 visitors.
    conversion = {row.key: row.values["conversion"] for row in report.rows}
    assert (conversion["10"].numerator, conversion["10"].denominator) == (3, 31)
    assert (conversion["11"].numerator, conversion["11"].denominator) == (3, 8)
    # 55 of 60 minutes are watched, above the threshold: given.
    assert conversion["11"].value == Decimal("0.375")
    assert conversion["12"].withheld == "closed"


def test_a_report_by_hour_is_keyed_by_the_utc_start(shops: Chain) -> None:
    by_hand(shops)
    report = shops.kpi.report(SYSTEM, kpis=["entries"], day_from=MONDAY, day_to=MONDAY, group_by="store,hour")
    # 10:00 in Shanghai is 02:00 UTC.
    assert [row.labels for row in report.rows if row.values["entries"].value] == [
        {"store": "S01", "hour": "2026-11-16T02:00Z"},
        {"store": "S01", "hour": "2026-11-16T03:00Z"},
    ]
