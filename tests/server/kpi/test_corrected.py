"""What audits and excluded stretches make of a day, each in the smallest day that shows it. No database."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import Audit, Excluded, InForce
from server.kpi.days import facts as facts_module
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DayInputs
from tests.server.kpi.corrected_day import AUDIT, TEN, TWO, asked, by_quarter, day, every_quarter
from tests.server.kpi.small_day import CALENDAR, DAY, DOOR, all_watched, at, sold, traffic

# -- audits


def test_an_audit_multiplies_what_was_counted() -> None:
    """10 a quarter hour times 1.03: 10.3, 20.6 (21), 30.9, 41.2, 51.5 (52), 61.8, 72.1, 82.4: 82 in all."""
    found = day(every_quarter(10, 10), corrections=InForce(audits={None: AUDIT}))
    assert by_quarter(found, "entries") == [10, 11, 10, 10, 11, 10, 10, 10]
    assert (found.facts.entries, found.facts.exits, found.facts.counted_entries) == (82, 82, 80)
    # 0.03 / 1.03 of each: 10 make 291.26 thousandths, 11 make 320.39.
    assert found.facts.entries_error == 6 * 291 + 2 * 320


def test_a_line_s_own_audit_goes_before_that_of_all() -> None:
    own = Audit(100, 0, 50)
    rows = [TrafficRow("S", DAY, at("10:00"), "door", "in", "adult", 20, 20, line) for line in ("A", "B")]
    found = day(rows, corrections=InForce(audits={None: AUDIT, "A": own}))
    assert found.facts.entries == 10 + 21


def test_the_people_inside_are_as_counted() -> None:
    found = day([*traffic("10:00", 50), *traffic("11:00", 0, 40)], corrections=InForce(audits={None: AUDIT}))
    assert found.quarters[-1].occupancy.now == 10
    assert (found.facts.all_in, found.facts.all_out) == (50, 40)


def test_a_ratio_over_visitors_is_widened_by_what_the_audit_leaves_open() -> None:
    """824 visitors, 412 sales: sampling alone gives 0.466 to 0.534.

    With e = 0.03 / 1.03, k = 1 - (1.96 e)² = 0.99674; sqrt(0.25 - 0.466 x 0.534 k) = 0.0443; (0.5 ± 0.0443) / k.
    """
    receipts = [sold(quarter, *["1"] * 103) for quarter in TEN[:4]]
    plain = asked(day(every_quarter(103), None, receipts), "conversion")
    wide = asked(day(every_quarter(100), None, receipts, corrections=InForce(audits={None: AUDIT})), "conversion")
    assert plain.value == wide.value == Decimal("0.5")
    assert (round(float(plain.low or 0), 3), round(float(plain.high or 0), 3)) == (0.466, 0.534)
    assert (round(float(wide.low or 0), 3), round(float(wide.high or 0), 3)) == (0.457, 0.546)


def test_more_sales_than_visitors_are_flagged_and_have_an_interval_around_them() -> None:
    receipts = [sold("10:00", *["1"] * 12)]
    value = asked(day(traffic("10:00", 10), None, receipts, corrections=InForce(audits={None: AUDIT})), "conversion")
    assert value.value == Decimal("1.2")
    assert value.detail == {"flag": "transactions_exceed_visitors"}
    assert value.low is not None
    assert value.high is not None
    assert 0 < value.low < 1.2 < value.high
    assert asked(day(traffic("10:00", 12), None, receipts), "conversion").detail == {}


# -- excluded intervals


def excluded(start: str, end: str, line: str | None = None) -> InForce:
    return InForce(excluded=(Excluded(line, DOOR.camera_id if line else None, at(start), at(end)),))


def test_what_came_in_an_excluded_interval_is_no_visit_and_was_not_seen() -> None:
    found = day(
        every_quarter(10, 5), None, [sold("10:00", "5"), sold("11:00", "5")], corrections=excluded("10:00", "10:30")
    )
    facts = found.facts
    assert (facts.entries, facts.exits, facts.counted_entries, facts.counted_exits) == (60, 30, 80, 40)
    assert (facts.excluded_quarters, facts.excluded_entries) == (2, 20)
    # Six of eight quarter hours: what is left out is not there, and coverage says so.
    assert facts.coverage == 0.75
    assert (facts.matched_visitors, facts.matched_transactions) == (60, 1)
    assert (facts.all_in, facts.all_out) == (80, 40)


def test_an_excluded_line_leaves_the_others_alone() -> None:
    rows = [TrafficRow("S", DAY, at("10:00"), "door", "in", "adult", 7, 7, line) for line in ("A", "B")]
    found = day(rows, corrections=excluded("10:00", "10:15", "A"))
    assert (found.facts.entries, found.facts.excluded_entries, found.facts.excluded_quarters) == (7, 7, 1)


def test_an_interval_is_of_quarter_hours_it_touches_and_no_others() -> None:
    found = day(every_quarter(10), corrections=excluded("11:00", "11:15"))
    assert by_quarter(found, "entries") == [10, 10, 10, 10, 0, 10, 10, 10]


# -- whole


@given(st.lists(st.integers(0, 12), min_size=8, max_size=8), st.decimals(0, 6, places=2), st.integers(0, 8))
def test_a_quarter_hour_s_share_never_changes_once_it_is_over(came: list[int], rate: Decimal, after: int) -> None:
    """Told at any moment of the day, the quarter hours before it are as they will be in the evening."""
    rows = [row for quarter, count in zip(TEN, came, strict=True) for row in traffic(quarter, count)]
    corrections = InForce(staff_rate=rate, group_factor=Decimal("1.7"), audits={None: AUDIT})
    moment = datetime.combine(DAY, time(10), UTC) + after * timedelta(minutes=15)
    early = [row for row in rows if row.quarter < moment]
    names = ("entries", "staff_entries", "groups", "counted_entries")
    # Fully watched up to the moment: no minute is still on its way.
    running = facts_module.build(
        DayInputs(
            store_id="S",
            day=DAY,
            calendar=CALENDAR,
            as_of=moment,
            traffic=early,
            coverage=all_watched(),
            cameras=[DOOR],
            receipts=[],
            weights={},
            corrections=corrections,
            roster=TWO,
            lag=timedelta(0),
        )
    )
    evening = day(rows, corrections=corrections, roster=TWO)
    for name in names:
        assert by_quarter(running, name) == by_quarter(evening, name)[: len(by_quarter(running, name))]
