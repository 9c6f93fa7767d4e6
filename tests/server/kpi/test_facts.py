"""The rules of a day's facts, each in the smallest day that shows it. No database: the rows are given."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DayInputs, DaySettings, build
from server.kpi.days.watching import CameraRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import DayFacts, Facts, Period
from server.stores.calendar import QUARTER, DayRule, OpeningSpan, StoreCalendar, WeeklyHours
from tests.server.kpi.small_day import DAY, DOOR, EVER, NEXT_WEEK, all_watched, at, day, sold, traffic, value, watched

# -- opening hours


def test_entries_are_within_opening_hours_and_occupancy_is_not() -> None:
    found = day([*traffic("09:45", 4), *traffic("10:00", 3, 1), *traffic("11:45", 2, 5), *traffic("12:00", 1, 3)])
    assert (found.facts.entries, found.facts.exits) == (5, 6)
    assert (found.facts.all_in, found.facts.all_out) == (10, 9)
    assert found.occupancy.now == 1


def test_a_store_open_past_midnight_counts_the_night_to_the_evening() -> None:
    bar = StoreCalendar(
        [DayRule(EVER, "UTC")], [WeeklyHours(EVER, tuple(OpeningSpan(day, time(22), time(2)) for day in range(7)))]
    )
    after_midnight = [TrafficRow("S", DAY, at("01:45") + timedelta(days=1), "door", "in", "adult", 7, 7)]
    found = day([*traffic("23:45", 2), *after_midnight], coverage=[], calendar=bar)
    assert found.facts.entries == 9
    assert found.facts.due_ms == 4 * 3_600_000
    assert {hour.local.hour for hour in found.hours if hour.is_open} == {22, 23, 0, 1}


def test_a_night_of_25_hours_is_due_25_hours() -> None:
    """Berlin, the business day of 24 October 2026, open around the clock: 100 quarter hours."""
    around = StoreCalendar(
        [DayRule(EVER, "Europe/Berlin")],
        [WeeklyHours(EVER, tuple(OpeningSpan(day, time(0), time(0)) for day in range(7)))],
    )
    autumn = date(2026, 10, 24)
    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]  # 02:30 CEST and 02:30 CET
    found = build(
        DayInputs(
            store_id="S",
            day=autumn,
            calendar=around,
            as_of=NEXT_WEEK,
            settings=DaySettings(threshold=Decimal("0.9")),
            traffic=[TrafficRow("S", autumn, quarter, "door", "in", "adult", 1, 1) for quarter in twice],
            coverage=[],
            cameras=[DOOR],
            receipts=[],
            weights={},
        )
    )
    assert found.facts.open_quarters == 100
    assert found.facts.due_ms == 25 * 3_600_000
    assert [(hour.local.hour, hour.facts.entries) for hour in found.hours if hour.facts.entries] == [(2, 1), (2, 1)]


# -- classes, kinds


def test_staff_are_no_visitors_and_open_no_buying_group() -> None:
    found = day([*traffic("10:00", 6), *traffic("10:00", 2, crossing_class="staff")])
    assert (found.facts.entries, found.facts.staff_entries, found.facts.visitors) == (8, 2, 6)
    assert found.facts.groups == 6


def test_children_are_visitors() -> None:
    found = day([*traffic("10:00", 3), *traffic("10:00", 2, crossing_class="child")]).facts
    assert (found.visitors, found.child_entries) == (5, 2)


def test_passers_by_go_both_ways_and_are_nobodys_entries() -> None:
    street = CameraRow("S", "C2", datetime(2026, 1, 1, tzinfo=UTC), None, at_door=False, at_street=True)
    found = day(
        [*traffic("10:00", 30, 20, kind="street"), *traffic("10:00", 5), *traffic("09:00", 9, kind="street")],
        coverage=[*all_watched(), *all_watched("C2")],
        cameras=[DOOR, street],
    )
    assert (found.facts.passers_by, found.facts.entries) == (50, 5)
    assert value(found, "capture_rate") == Decimal("0.1")
    # The street camera is no part of the doors' coverage.
    assert found.facts.due_ms == 7_200_000


def test_capture_leaves_out_quarters_in_which_the_street_was_not_seen() -> None:
    street = CameraRow("S", "C2", datetime(2026, 1, 1, tzinfo=UTC), None, at_door=False, at_street=True)
    found = day(
        [*traffic("10:00", 30, kind="street"), *traffic("10:00", 6), *traffic("11:00", 10)],
        coverage=[*all_watched(), watched("10:00", camera="C2")],
        cameras=[DOOR, street],
    )
    assert (found.facts.capture_entries, found.facts.capture_passers_by) == (6, 30)


# -- matching


@pytest.mark.parametrize(
    ("seconds", "matched"), [((60.0,) * 13 + (30.0, 0.0), 1), ((60.0,) * 13 + (29.9, 0.0), 0)], ids=["at 90%", "below"]
)
def test_a_quarter_is_observed_from_the_threshold_on(seconds: tuple[float, ...], matched: int) -> None:
    """90% of 900 s is 810 s: 13 minutes and 30 seconds."""
    coverage = [watched("10:00", seconds)]
    found = day(traffic("10:00", 10), coverage, [sold("10:00", "5")], threshold="0.9").facts
    assert found.matched_quarters == matched
    assert (found.matched_visitors, found.matched_transactions) == (10 * matched, matched)


@pytest.mark.parametrize(
    ("quarter", "matched"),
    [("09:45", 0), ("10:00", 1), ("11:45", 1), ("12:00", 1), ("12:15", 1), ("12:30", 0), ("20:00", 0)],
)
def test_a_sale_just_after_closing_is_to_someone_who_came_before(quarter: str, matched: int) -> None:
    found = day(traffic("11:45", 4), None, [sold(quarter, "5")]).facts
    assert (found.transactions, found.matched_transactions) == (1, matched)


def test_a_till_that_rang_nothing_valid_still_spoke() -> None:
    """One voided receipt: the tills were on and sold nothing."""
    found = day(traffic("10:00", 10), None, [sold("10:00", received=1)])
    assert value(found, "transactions") == 0
    assert value(found, "conversion") == 0


# -- occupancy


def test_occupancy_is_never_below_zero_and_says_what_was_missed() -> None:
    # 2 in, then 5 out: three had been missed. Then 4 in: four are inside, not one.
    found = day([*traffic("10:00", 2), *traffic("10:15", 0, 5), *traffic("10:30", 4)], as_of=at("11:00"))
    assert [quarter.occupancy.now for quarter in found.quarters[-4:]] == [2, 0, 4, 4]
    assert (found.occupancy.now, found.occupancy.drift, found.occupancy.peak) == (4, 3, 4)


def test_who_never_left_is_drift_once_the_day_is_over() -> None:
    found = day([*traffic("10:00", 5), *traffic("11:00", 0, 3)])
    assert (found.occupancy.now, found.occupancy.drift, found.occupancy.peak) == (2, 2, 5)


def test_each_day_begins_at_zero() -> None:
    yesterday = day([*traffic("10:00", 5)])
    today = day([*traffic("10:00", 1)])
    assert (yesterday.occupancy.now, today.occupancy.now) == (5, 1)


# -- adding up


quarters = st.sampled_from([f"{hour:02d}:{minute:02d}" for hour in range(8, 14) for minute in (0, 15, 30, 45)])
rows = st.lists(
    st.builds(
        lambda quarter, direction, crossing_class, count: TrafficRow(
            "S", DAY, at(quarter), "door", direction, crossing_class, count, count // 2
        ),
        quarters,
        st.sampled_from(["in", "out"]),
        st.sampled_from(["adult", "child", "staff"]),
        st.integers(0, 20),
    ),
    max_size=30,
)
sales = st.dictionaries(
    quarters, st.lists(st.decimals("0.01", "999.99", places=2).map(str), min_size=1, max_size=3), max_size=8
).map(lambda found: [sold(quarter, *totals) for quarter, totals in found.items()])
coverages = st.dictionaries(quarters, st.lists(st.floats(0, 60), min_size=15, max_size=15), max_size=8).map(
    lambda found: [watched(quarter, minutes) for quarter, minutes in found.items()]
)
days = st.builds(day, rows, coverages, sales)


@given(days)
def test_hours_and_quarters_add_up_to_the_day(found: DayFacts) -> None:
    assert Facts.total(quarter.facts for quarter in found.quarters) == found.facts
    assert Facts.total(hour.facts for hour in found.hours) == found.facts
    assert found.facts.staff_entries <= found.facts.entries
    assert found.facts.matched_visitors <= found.facts.visitors
    assert found.facts.matched_transactions <= found.facts.transactions
    assert found.facts.observed_ms <= found.facts.due_ms
    assert all(quarter.occupancy.now >= 0 for quarter in found.quarters)


@given(st.lists(days, min_size=1, max_size=5))
def test_a_ratio_of_a_union_is_the_sum_over_the_sum_of_its_parts(parts: list[DayFacts]) -> None:
    union = Facts.total(part.facts for part in parts)
    for slug in ("conversion", "atv", "sales_per_visitor", "upt", "group_conversion", "capture_rate"):
        found = KPIS[slug].of(Period(union))
        each = [KPIS[slug].of(Period(part.facts)) for part in parts]
        over = sum(Decimal(one.numerator or 0) for one in each)
        under = sum(Decimal(one.denominator or 0) for one in each)
        assert (found.numerator, found.denominator) == (over, under)
        if found.value is not None:
            assert found.value == pytest.approx(over / under, abs=Decimal("0.005"))


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(crossings: list[TrafficRow], chance: object) -> None:
    shuffled = sorted(crossings, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert day(crossings) == day(shuffled)


def test_every_quarter_of_the_day_so_far_is_there() -> None:
    found = day(as_of=at("10:20"))
    assert [quarter.start for quarter in found.quarters] == [at("04:00") + i * QUARTER for i in range(26)]
    assert len(found.hours) == 24
