"""Reports over stores and days: sums over sums, today on the spot, like beside like, and only one's own stores."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboards.hq.state import COLUMNS
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.answers.decomposition import NEEDS
from server.kpi.answers.question import DayRange
from server.kpi.figures.registry import KPIS
from server.kpi.models import Report
from tests.server.kpi.chain import SYSTEM, Chain

MONDAY = date(2026, 11, 16)
TUESDAY = date(2026, 11, 17)


def two_stores(shops: Chain) -> None:
    """Two stores, two days, all watched, visitors at 10:30 and sales at 11:15.

    | store        | Monday                       | Tuesday                |
    |--------------|------------------------------|------------------------|
    | S01 (east)   | 40 visitors; 4 sales of 10.00 | 10 visitors; 5 of 2.00 |
    | S02 (west)   | 100 visitors; 1 of 50.00      | no receipts, 20 visitors |
    """
    shops.store("S01", region="east")
    shops.store("S02", region="west")
    for store, day, visitors, sales in (
        ("S01", 16, 40, ["10.00"] * 4),
        ("S01", 17, 10, ["2.00"] * 5),
        ("S02", 16, 100, ["50.00"]),
        ("S02", 17, 20, []),
    ):
        shops.watch(store, f"2026-11-{day} 10:00", f"2026-11-{day} 12:00")
        shops.cross(store, f"2026-11-{day} 10:30", visitors)
        for gross in sales:
            shops.sell(store, f"2026-11-{day} 11:15", gross)
        shops.kpi.recompute(store, date(2026, 11, day))
    shops.forget_marks()


def told(report: Report, slug: str) -> dict[str, object]:
    return {row.key: row.values[slug].value for row in report.rows}


def both_days(shops: Chain, group_by: str, *kpis: str) -> Report:
    return shops.kpi.report(SYSTEM, kpis=kpis or ("conversion",), day_from=MONDAY, day_to=TUESDAY, group_by=group_by)


def test_ratios_roll_up_as_sums_over_sums(shops: Chain) -> None:
    two_stores(shops)
    by_store = both_days(shops, "store", "conversion", "atv", "visitors", "sales_per_visitor")
    # S01: 9 of 50 (the mean of 10% and 50% would be 30%). S02: Tuesday's 20 have no tills beside them: 1 of 100.
    assert told(by_store, "conversion") == {"S01": Decimal("0.18"), "S02": Decimal("0.01")}
    assert told(by_store, "visitors") == {"S01": 50, "S02": 120}
    # S01: 50.00 / 9 = 5.5555…; S02: 50.00 / 1
    assert told(by_store, "atv") == {"S01": Decimal("5.56"), "S02": Decimal("50.00")}
    # 10 of 150; 100.00 / 150 = 0.6666…
    assert by_store.total.values["conversion"].value == Decimal("0.066667")
    assert by_store.total.values["sales_per_visitor"].value == Decimal("0.67")
    assert by_store.total.values["visitors"].value == 170
    assert by_store.total.periods == 4


def test_every_grouping_has_the_same_total(shops: Chain) -> None:
    two_stores(shops)
    kpis = tuple(slug for slug in KPIS if slug not in ("occupancy", "power_hours"))
    groupings = ("chain", "store", "region", "day", "week", "month", "weekday", "hour", "hour_of_day", "store,day")
    totals = [both_days(shops, by, *kpis).total.values for by in groupings]
    assert all(found == totals[0] for found in totals)


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("chain", [""]),
        ("store", ["S01", "S02"]),
        ("region", ["east", "west"]),
        ("day", ["2026-11-16", "2026-11-17"]),
        ("week", ["2026-W47"]),
        ("month", ["2026-11"]),
        ("weekday", ["0", "1"]),
        ("hour_of_day", ["10", "11"]),
        # 10:00 and 11:00 in Shanghai.
        ("hour", ["2026-11-16T02:00Z", "2026-11-16T03:00Z", "2026-11-17T02:00Z", "2026-11-17T03:00Z"]),
        ("region,day", ["east/2026-11-16", "east/2026-11-17", "west/2026-11-16", "west/2026-11-17"]),
    ],
)
def test_groups(shops: Chain, group_by: str, keys: list[str]) -> None:
    two_stores(shops)
    kept = both_days(shops, group_by, "visitors", "conversion", "coverage", "net_sales")
    assert [row.key for row in kept.rows] == keys
    # The same from facts on the spot: with every hour marked, no kept row is read.
    with shops.db.transaction() as conn:
        conn.execute("UPDATE store_day SET entries = 0")
        conn.execute("UPDATE store_hour SET entries = 0")
        conn.execute("INSERT INTO dirty_mark (store_id, hour, reason) SELECT store_id, hour, 'test' FROM store_hour")
    spot = both_days(shops, group_by, "visitors", "conversion", "coverage", "net_sales")
    assert spot.rows == kept.rows
    assert spot.total == kept.total


def test_no_receipts_is_not_no_sales(shops: Chain) -> None:
    two_stores(shops)
    rows = {row.key: row for row in both_days(shops, "store,day", "conversion", "net_sales", "visitors").rows}
    tuesday = rows["S02/2026-11-17"].values
    assert tuesday["conversion"].withheld == tuesday["net_sales"].withheld == "no_receipts"
    assert tuesday["visitors"].value == 20


def test_occupancy_does_not_add_up(shops: Chain) -> None:
    two_stores(shops)
    report = both_days(shops, "store,day", "occupancy")
    # Nobody ever leaves: up to ten left over are put up with, and still inside at the end; more are not believed.
    assert [(row.values["occupancy"].value, row.values["occupancy"].withheld) for row in report.rows] == [
        (None, "drift_too_large"),
        (10, None),
        (None, "drift_too_large"),
        (None, "drift_too_large"),
    ]
    assert report.total.values["occupancy"].withheld == "not_additive"


def test_power_hours(shops: Chain) -> None:
    """Visitors 10:30 on Monday 40 and Tuesday 10 in S01; 40% of 50 is 20: Monday at ten alone holds it."""
    two_stores(shops)
    shops.cross("S01", "2026-11-17 11:30", 15)
    report = both_days(shops, "store", "power_hours")
    assert report.rows[0].values["power_hours"].value == 1
    assert report.rows[0].values["power_hours"].detail == {"0 10": "40"}
    # Both stores, 185 visitors: Monday at ten has 140 of the 74 it takes.
    assert report.total.values["power_hours"].detail == {"0 10": "140"}
    by_day = both_days(shops, "day", "power_hours")
    assert by_day.rows[0].values["power_hours"].withheld == "not_additive"


def test_amounts_in_two_currencies_are_no_amount(shops: Chain) -> None:
    shops.store("S01")
    shops.store("B01", timezone="Europe/Berlin", currency="EUR")
    for store in ("S01", "B01"):
        shops.sell(store, "2026-11-16 11:00", "10.00")
        shops.sell(store, "2026-11-16 11:00", "20.00")
    report = both_days(shops, "store", "net_sales", "transactions")
    assert {row.key: row.values["net_sales"].unit for row in report.rows} == {"B01": "EUR", "S01": "CNY"}
    total = report.total.values
    assert (total["net_sales"].value, total["net_sales"].withheld) == (None, "mixed_currencies")
    assert total["transactions"].value == 4


def test_a_marked_day_is_answered_anew_before_any_job_ran(shops: Chain) -> None:
    two_stores(shops)
    shops.cross("S01", "2026-11-16 10:30", 10)
    assert told(both_days(shops, "store", "visitors"), "visitors") == {"S01": 60, "S02": 120}
    assert both_days(shops, "store", "visitors").pending == 0


def test_today_is_up_to_now_and_its_dead_camera_shows(shops: Chain) -> None:
    """The camera stops at 10:30 and no facts come any more; the kept row of 10:31 must not stand at 11:30."""
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-16 10:31:30")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 10:30")
    shops.cross("S01", "2026-11-16 10:10", 10)
    shops.sell("S01", "2026-11-16 10:10", "5.00")
    shops.kpi.recompute("S01", MONDAY)
    shops.forget_marks()
    fresh = shops.kpi.report(SYSTEM, kpis=["conversion"], day_from=MONDAY, day_to=MONDAY)
    assert fresh.total.values["conversion"].value == Decimal("0.1")
    shops.now = shops.at("S01", "2026-11-16 11:31:30")
    # 30 of 90 minutes.
    later = shops.kpi.report(SYSTEM, kpis=["conversion", "visitors"], day_from=MONDAY, day_to=MONDAY)
    assert later.total.values["conversion"].withheld == "coverage_below_threshold"
    assert later.total.coverage == pytest.approx(1 / 3)
    assert later.total.values["visitors"].value == 10


def test_compared_with_the_week_before(shops: Chain) -> None:
    two_stores(shops)
    report = shops.kpi.report(
        SYSTEM,
        kpis=["visitors"],
        day_from=MONDAY + timedelta(days=7),
        day_to=TUESDAY + timedelta(days=7),
        group_by="day",
        compare="last_week",
    )
    assert (report.compared_from, report.compared_to) == (MONDAY, TUESDAY)
    # No rows of this week are known at all, so there is no row to stand beside; the total still compares.
    assert report.rows == ()
    assert report.total.values["visitors"].withheld == "no_data"
    assert report.total.compare is not None
    assert report.total.compare["visitors"].value == 170
    shops.cross("S01", "2026-11-23 10:00", 7)
    report = shops.kpi.report(
        SYSTEM,
        kpis=["visitors"],
        day_from=MONDAY + timedelta(7),
        day_to=TUESDAY + timedelta(7),
        group_by="store,day",
        compare="last_week",
    )
    (row,) = report.rows
    assert (row.key, row.values["visitors"].value) == ("S01/2026-11-23", 7)
    assert row.compare is not None
    assert row.compare["visitors"].value == 40


def test_today_is_compared_up_to_the_same_minute(shops: Chain) -> None:
    """Monday the 23rd at 10:50: of Monday the 16th only what was before 10:50, to the second, and no Tuesday."""
    two_stores(shops)
    shops.cross("S01", "2026-11-16 10:49:59", 1)
    shops.cross("S01", "2026-11-16 10:50:01", 1000)
    shops.cross("S01", "2026-11-23 10:05", 30)
    shops.now = shops.at("S01", "2026-11-23 10:50")
    report = shops.kpi.report(
        SYSTEM,
        kpis=["visitors", "transactions"],
        day_from=MONDAY + timedelta(days=7),
        day_to=TUESDAY + timedelta(days=7),
        store_ids=["S01"],
        compare="last_week",
    )
    assert report.total.values["visitors"].value == 30
    assert report.total.compare is not None
    assert report.total.compare["visitors"].value == 41
    # The sales of that Monday came at 11:15.
    assert report.total.compare["transactions"].value is None


def test_a_scope_sees_its_own_stores_only(shops: Chain) -> None:
    two_stores(shops)
    manager = Scope(user_id="u", role="manager", stores=frozenset({"S01"}))
    own = shops.kpi.report(manager, kpis=["visitors"], day_from=MONDAY, day_to=TUESDAY, group_by="store")
    assert told(own, "visitors") == {"S01": 50}
    assert own.store_ids == ("S01",)
    for ask in (
        lambda: shops.kpi.report(manager, kpis=["visitors"], day_from=MONDAY, day_to=MONDAY, store_ids=["S02"]),
        lambda: shops.kpi.day(manager, "S02", MONDAY),
        lambda: shops.kpi.live(manager, "S02"),
    ):
        with pytest.raises(Forbidden):
            ask()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kpis": []}, "kpi"),
        ({"kpis": ["footfall"]}, "kpi"),
        ({"group_by": "colour"}, "group_by"),
        ({"day_from": TUESDAY, "day_to": MONDAY}, "to"),
        ({"day_from": date(2000, 1, 1)}, "to"),
        # A year before the first would be compared with.
        ({"day_from": date(1, 1, 1), "day_to": date(1, 1, 2), "compare": "last_year"}, "from"),
    ],
)
def test_what_can_not_be_answered_is_refused(shops: Chain, changes: dict[str, object], field: str) -> None:
    asked: dict[str, object] = {"kpis": ["visitors"], "day_from": MONDAY, "day_to": TUESDAY, **changes}
    with pytest.raises(InvalidInput) as refused:
        shops.kpi.report(SYSTEM, **asked)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_store_there_is_not(shops: Chain) -> None:
    with pytest.raises(NotFound):
        shops.kpi.report(SYSTEM, kpis=["visitors"], day_from=MONDAY, day_to=MONDAY, store_ids=["S99"])


def test_recent_days_are_each_stores_own(shops: Chain) -> None:
    """Sunday noon in Shanghai is Saturday evening in New York, so yesterday is Saturday there and Friday here."""
    shops.now = datetime(2026, 11, 22, 4, tzinfo=UTC)
    shops.store("S01")
    shops.store("N01", timezone="America/New_York")
    shops.store("E01")
    for store, day, visitors in (
        *(("S01", 14, 20), ("S01", 21, 40), ("S01", 22, 3)),
        *(("N01", 13, 9), ("N01", 20, 7), ("N01", 21, 5)),
    ):
        shops.watch(store, f"2026-11-{day} 10:00", f"2026-11-{day} 12:00")
        shops.cross(store, f"2026-11-{day} 10:30", visitors)
        shops.kpi.recompute(store, date(2026, 11, day))
    shops.forget_marks()
    yesterday = shops.kpi.recent(SYSTEM, kpis=["visitors"], days=1, back=1, compare="last_week")
    assert told(yesterday, "visitors") == {"E01": None, "N01": 7, "S01": 40}
    compared = {row.key: row.compare["visitors"].value for row in yesterday.rows if row.compare}
    assert compared == {"E01": None, "N01": 9, "S01": 20}
    assert (yesterday.day_from, yesterday.day_to) == (date(2026, 11, 20), date(2026, 11, 21))
    assert (yesterday.compared_from, yesterday.compared_to) == (date(2026, 11, 13), date(2026, 11, 14))
    assert yesterday.total.values["visitors"].value == 47
    assert yesterday.total.compare is not None
    assert yesterday.total.compare["visitors"].value == 29
    assert yesterday.total.periods == 2
    today = shops.kpi.recent(SYSTEM, kpis=["visitors"], days=1, back=0, group_by="chain")
    assert told(today, "visitors") == {"": 8}
    week = shops.kpi.recent(SYSTEM, kpis=["visitors", "power_hours"], days=8, back=1, group_by="chain")
    assert told(week, "visitors") == {"": 76}
    assert "10" in str(week.total.values["power_hours"].detail)


def test_a_store_without_a_row_has_a_line_that_says_so(shops: Chain) -> None:
    two_stores(shops)
    shops.store("S03")
    report = both_days(shops, "store", "visitors", "conversion")
    assert told(report, "visitors") == {"S01": 50, "S02": 120, "S03": None}
    empty = report.rows[-1]
    assert {value.withheld for value in empty.values.values()} == {"no_data"}
    assert (empty.coverage, empty.periods) == (None, 0)
    assert report.total.values["visitors"].value == 170


def test_quarter_hours_add_up_to_the_day(shops: Chain) -> None:
    two_stores(shops)
    kpis = ("visitors", "net_sales", "coverage")
    by_quarter = both_days(shops, "quarter", *kpis)
    # 10:00 to 12:00 in Shanghai.
    assert [row.key for row in by_quarter.rows][:3] == ["2026-11-16T02:00Z", "2026-11-16T02:15Z", "2026-11-16T02:30Z"]
    assert len(by_quarter.rows) == 16
    assert told(by_quarter, "visitors")["2026-11-16T02:30Z"] == 140
    assert by_quarter.total.values == both_days(shops, "chain", *kpis).total.values
    both = told(both_days(shops, "hour_of_day,quarter", "visitors"), "visitors")
    assert both["10/2026-11-16T02:45Z"] == 0
    assert both["11/2026-11-16T03:00Z"] == 0
    beside = shops.kpi.report(
        SYSTEM, kpis=["visitors"], day_from=TUESDAY, day_to=TUESDAY, group_by="quarter", compare=DayRange(MONDAY)
    )
    visitors = {row.key: (row.values["visitors"].value, (row.compare or {})["visitors"].value) for row in beside.rows}
    assert visitors["2026-11-17T02:30Z"] == (30, 140)


def test_too_many_days_by_quarter_hour_are_refused(shops: Chain) -> None:
    shops.store("S01")
    with pytest.raises(InvalidInput, match="by quarter hour"):
        shops.kpi.report(
            SYSTEM, kpis=["visitors"], day_from=MONDAY, day_to=MONDAY + timedelta(days=100), group_by="quarter"
        )


def test_any_days_can_be_compared_with(shops: Chain) -> None:
    two_stores(shops)
    days: dict[str, Any] = {"day_from": TUESDAY, "day_to": TUESDAY}
    report = shops.kpi.report(SYSTEM, kpis=["visitors"], **days, group_by="day", compare=DayRange(MONDAY))
    assert (report.compared_from, report.compared_to) == (MONDAY, MONDAY)
    # Under the day it stands beside.
    assert [(row.key, (row.compare or {})["visitors"].value) for row in report.rows] == [("2026-11-17", 140)]
    longer = shops.kpi.report(SYSTEM, kpis=["visitors"], **days, compare=DayRange(MONDAY, TUESDAY))
    assert (longer.total.compare or {})["visitors"].value == 170
    # Days that have not been: today is theirs, up to now.
    shops.now = datetime(2026, 11, 17, 2, 40, tzinfo=UTC)
    ahead = shops.kpi.report(
        SYSTEM, kpis=["visitors"], day_from=MONDAY, day_to=MONDAY, compare=DayRange(TUESDAY, TUESDAY)
    )
    assert (ahead.total.compare or {})["visitors"].value == 30


def test_stores_are_chosen_by_region_format_and_tags(shops: Chain) -> None:
    two_stores(shops)
    with shops.db.transaction() as conn:
        conn.execute("UPDATE store_label SET format = 'outlet', tags = '{mall, metro}' WHERE store_id = 'S01'")
        conn.execute("UPDATE store_label SET tags = '{metro}' WHERE store_id = 'S02'")

    def chosen(**where: Any) -> list[str]:
        where |= {"day_from": MONDAY, "day_to": TUESDAY}
        found = shops.kpi.report(SYSTEM, kpis=["visitors"], group_by="store", **where)
        visitors = {"S01": 50, "S02": 120}
        assert (found.total.values["visitors"].value or 0) == sum(visitors[key] for key in found.store_ids)
        return [row.key for row in found.rows]

    assert chosen() == chosen(tags=["metro"]) == ["S01", "S02"]
    assert chosen(regions=["west"]) == ["S02"]
    assert chosen(formats=["outlet"]) == chosen(tags=["metro", "mall"]) == ["S01"]
    assert chosen(regions=["west"], formats=["outlet"]) == []


def test_what_hq_asks_for_is_read_from_the_index_alone(shops: Chain) -> None:
    needs = {need for slug, _, _ in COLUMNS for need in KPIS[slug].needs} | NEEDS
    with shops.db.read() as conn:
        held = {
            name
            for (name,) in conn.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'store_day_report'::regclass AND attnum > 0"
            )
        }
    assert needs <= held
