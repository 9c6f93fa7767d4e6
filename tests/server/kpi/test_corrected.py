"""What corrections, rosters and other weeks make of a day, each in the smallest day that shows it. No database.

The day is open from 10:00 to 12:00 UTC: eight quarter hours, all watched unless a test says otherwise.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import Audit, Excluded, InForce
from server.kpi.corrections.staffing import Roster
from server.kpi.days import facts as facts_module
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DayInputs, DaySettings, ReceiptRow, VisitRow
from server.kpi.days.imputation import Past, PastRow
from server.kpi.days.watching import CoverageRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import DayFacts, Facts, HourSlot, KpiValue, Period
from server.kpi.rounding import Carried
from tests.server.kpi.test_facts import CALENDAR, DAY, DOOR, NEXT_WEEK, all_watched, at, sold, traffic, watched

TEN = ["10:00", "10:15", "10:30", "10:45", "11:00", "11:15", "11:30", "11:45"]
#: Two people from ten to twelve: four hours.
TWO = Roster(True, ((at("10:00"), at("12:00"), Decimal(2)),))
#: Of 100 counted 2 never were, and 5 more there were: a factor of 1.03, with an error of sqrt(5 + 2 + 2) / 100 = 0.03.
AUDIT = Audit(100, 5, 2)
WEEKS_BEFORE = [at("10:00") - timedelta(weeks=week) for week in (1, 2, 3, 4)]


def day(
    rows: Sequence[TrafficRow] = (),
    coverage: Sequence[CoverageRow] | None = None,
    receipts: Sequence[ReceiptRow] = (),
    *,
    corrections: InForce | None = None,
    roster: Roster | None = None,
    visits: Sequence[VisitRow] = (),
    past: Past | None = None,
    settings: DaySettings | None = None,
    as_of: datetime = NEXT_WEEK,
) -> DayFacts:
    return facts_module.build(
        DayInputs(
            store_id="S",
            day=DAY,
            calendar=CALENDAR,
            as_of=as_of,
            traffic=rows,
            coverage=all_watched() if coverage is None else coverage,
            cameras=[DOOR],
            receipts=receipts,
            weights={},
            settings=settings or DaySettings(),
            corrections=corrections or InForce(),
            roster=roster or Roster(),
            visits=visits,
            past=past or Past(),
        )
    )


def every_quarter(came: int, left: int = 0) -> list[TrafficRow]:
    return [row for quarter in TEN for row in traffic(quarter, came, left)]


def asked(found: DayFacts, slug: str) -> KpiValue:
    return KPIS[slug].of(Period(found.facts, found.occupancy))


def by_quarter(found: DayFacts, name: str) -> list[int]:
    return [getattr(quarter.facts, name) for quarter in found.quarters if quarter.is_open]


# -- whole people out of fractions


@given(st.lists(st.fractions(min_value=0, max_value=5, max_denominator=40), max_size=60))
def test_what_is_carried_is_the_exact_sum_rounded_at_any_time(amounts: list[Fraction]) -> None:
    carried, given_out, exact = Carried(), 0, Fraction(0)
    for amount in amounts:
        given_out += carried.add(amount)
        exact += amount
        assert abs(given_out - exact) <= Fraction(1, 2)


def test_what_does_not_fit_is_carried_on() -> None:
    carried = Carried()
    assert [carried.add(2, most=1), carried.add(0, most=0), carried.add(0, most=9)] == [1, 0, 1]


# -- staff


def test_staff_by_roster_and_rate_are_taken_off_as_whole_people() -> None:
    """Two people, 1.5 entries an hour each: 0.75, 1.5, 2.25, 3 ... by quarter hour; rounded 1, 2, 2, 3, 4, 5, 5, 6."""
    found = day(every_quarter(10), corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert by_quarter(found, "staff_estimated") == [1, 1, 0, 1, 1, 1, 0, 1]
    assert (found.facts.entries, found.facts.staff_entries, found.facts.visitors) == (80, 6, 74)
    assert asked(found, "visitors").value == 74


def test_no_more_staff_are_taken_off_than_came_in() -> None:
    """4 came at ten, when 1 is expected; the other five wait until somebody comes again."""
    rows = [*traffic("10:00", 4), *traffic("11:45", 10)]
    found = day(rows, corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert by_quarter(found, "staff_estimated") == [1, 0, 0, 0, 0, 0, 0, 5]


def test_tagged_staff_are_a_part_of_those_the_rate_expects() -> None:
    tagged = traffic("10:00", 2, crossing_class="staff")
    found = day([*every_quarter(10), *tagged], corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert (found.facts.staff_entries, found.facts.staff_estimated) == (6, 4)


def test_more_tagged_than_expected_are_all_taken_off() -> None:
    tagged = traffic("10:00", 9, crossing_class="staff")
    found = day([*every_quarter(10), *tagged], corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert (found.facts.staff_entries, found.facts.staff_estimated) == (9, 0)


def test_staff_who_were_not_seen_are_not_taken_off() -> None:
    """Watched from ten to eleven only: 4 quarter hours of 0.75."""
    found = day(every_quarter(10), all_watched()[:4], corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert found.facts.staff_estimated == 3


def test_a_rate_without_a_roster_takes_nobody_off() -> None:
    assert day(every_quarter(10), corrections=InForce(staff_rate=Decimal("1.5"))).facts.visitors == 80


def test_a_running_quarter_hour_has_as_much_staff_as_it_has_come() -> None:
    """At 10:20: 20 minutes of two people."""
    found = day(traffic("10:00", 9), roster=TWO, as_of=at("10:20"))
    assert found.facts.staff_seconds == 2 * 20 * 60


def test_staff_on_the_floor_are_counted_within_opening_hours() -> None:
    early = Roster(True, ((at("08:00"), at("10:30"), Decimal(3)), (at("11:30"), at("13:00"), Decimal("0.5"))))
    found = day(roster=early).facts
    assert found.staff_seconds == 3 * 1800 + 900
    assert found.rostered_quarters == 8


# -- star


def test_star_is_visitors_for_each_staff_hour() -> None:
    """80 visitors, 4 hours. Poisson: (80 + 1.9207 ± 1.96 sqrt(80.96)) / 4 = 16.07 and 24.89."""
    value = asked(day(every_quarter(10), roster=TWO), "star")
    assert (value.value, value.numerator, value.denominator) == (Decimal("20.00"), 80, 4)
    assert float(value.low or 0) == pytest.approx(16.0713, abs=1e-3)
    assert float(value.high or 0) == pytest.approx(24.8891, abs=1e-3)


def test_star_leaves_out_staff_hours_in_which_nobody_could_be_seen() -> None:
    """A quarter hour of eight is not watched: 7 of 8 at a threshold of 80%."""
    found = day(every_quarter(10), all_watched()[1:], roster=TWO, settings=DaySettings(threshold=Decimal("0.8")))
    assert asked(found, "star").value == Decimal("20.00")
    assert (found.facts.star_visitors, found.facts.star_seconds) == (70, 7 * 1800)
    assert found.facts.staff_seconds == 8 * 1800


@pytest.mark.parametrize(("roster", "code"), [(Roster(), "no_roster"), (Roster(True), "no_staff_hours")])
def test_why_there_is_no_star(roster: Roster, code: str) -> None:
    assert asked(day(every_quarter(10), roster=roster), "star").withheld == code


# -- groups


def test_a_group_factor_takes_the_place_of_what_cameras_formed() -> None:
    """5 visitors a quarter hour in one group each, 2 to a group: 2.5, 5, 7.5 ... rounded up: 3, 5, 8, 10 ..."""
    rows = [TrafficRow("S", DAY, at(quarter), "door", "in", "adult", 5, 1) for quarter in TEN]
    assert day(rows).facts.groups == 8
    found = day(rows, None, [sold("10:00", "5", "5")], corrections=InForce(group_factor=Decimal(2)))
    assert by_quarter(found, "groups") == [3, 2, 3, 2, 3, 2, 3, 2]
    value = asked(found, "group_conversion")
    assert (value.value, value.numerator, value.denominator) == (Decimal("0.1"), 2, 20)


def test_staff_taken_off_by_rate_were_groups_of_their_own() -> None:
    found = day(every_quarter(10), corrections=InForce(staff_rate=Decimal("1.5")), roster=TWO)
    assert found.facts.groups == 74


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


# -- dwell


def test_dwell_is_the_area_under_the_people_inside_for_each_who_came() -> None:
    """Four come in the quarter from 10:00 and leave in that from 10:30: half an hour each, on average."""
    value = asked(day([*traffic("10:00", 4), *traffic("10:30", 0, 4)]), "dwell")
    assert (value.value, value.numerator, value.denominator) == (Decimal("30.00"), Decimal("120.000000"), 4)
    # 30 / (1 + 1.96 / 2); 1.96 / 2 is nearly 1: four stays say little of the longest mean there could be.
    assert float(value.low or 0) == pytest.approx(15.151, abs=1e-3)


def test_dwell_takes_tagged_staff_off_both() -> None:
    """Somebody of the staff comes before opening and leaves after closing."""
    staff = [*traffic("09:30", 1, crossing_class="staff"), *traffic("12:30", 0, 1, crossing_class="staff")]
    value = asked(day([*traffic("10:00", 4), *traffic("10:30", 0, 4), *staff]), "dwell")
    assert (value.value, value.denominator) == (Decimal("30.00"), 4)


def test_dwell_takes_rostered_staff_off_those_inside_where_the_rate_takes_them_off_the_entries() -> None:
    """Two of the staff come in at 10:00, untagged, and stay; 2 entries of 6 are theirs at a rate of 0.5."""
    rows = [*traffic("10:00", 6), *traffic("10:30", 0, 4), *traffic("12:00", 0, 2)]
    found = day(rows, corrections=InForce(staff_rate=Decimal("0.5")), roster=TWO)
    # Inside at the ends: 6, 6, 2, 2 ...: areas of 2700, 5400, 3600 and 1800 s; two people are 1800 s each quarter hour.
    assert by_quarter(found, "dwell_seconds") == [900, 3600, 1800, 0, 0, 0, 0, 0]
    # 0.25 of a person a quarter hour: none, then half a one rounded up, but nobody comes any more.
    assert found.facts.dwell_visitors == 6


def test_dwell_is_within_opening_hours() -> None:
    value = asked(day([*traffic("09:00", 3), *traffic("10:00", 4), *traffic("12:00", 0, 7)]), "dwell")
    # Three before opening: 3 and 7 at the ends of the first quarter hour, then 7: 4500 + 7 x 6300 s; 4 came while open.
    assert value.value == Decimal("202.50")


@pytest.mark.parametrize(
    ("rows", "coverage", "code"),
    [
        ([*traffic("10:00", 40)], None, "drift_too_large"),
        ([*traffic("10:00", 9)], all_watched()[:4], "coverage_below_threshold"),
        ([], None, "no_visitors"),
    ],
)
def test_why_there_is_no_dwell(rows: list[TrafficRow], coverage: list[CoverageRow] | None, code: str) -> None:
    assert asked(day(rows, coverage), "dwell").withheld == code


def test_a_day_that_drifted_has_no_part_in_the_dwell_of_several() -> None:
    good, bad = day([*traffic("10:00", 4), *traffic("10:30", 0, 4)]), day(traffic("10:00", 40))
    both = Facts.total([good.facts, bad.facts])
    assert KPIS["dwell"].of(Period(both)).value == Decimal("30.00")


# -- members


def test_member_visits_are_known_where_check_ins_are_taken() -> None:
    visits = [VisitRow("S", DAY, at("10:00"), 3, 1), VisitRow("S", DAY, at("12:15"), 1, 1)]
    found = day(visits=visits, settings=DaySettings(takes_check_ins=True))
    assert asked(found, "member_visits").value == 4
    value = asked(found, "member_conversion")
    assert (value.value, value.numerator, value.denominator) == (Decimal("0.5"), 2, 4)
    without = day(visits=visits)
    assert asked(without, "member_visits").withheld == asked(without, "member_conversion").withheld == "no_check_ins"
    nobody = day(settings=DaySettings(takes_check_ins=True))
    assert asked(nobody, "member_visits").value == 0
    assert asked(nobody, "member_conversion").withheld == "no_members"


def test_a_store_without_check_ins_has_no_part_in_those_of_several() -> None:
    visits = [VisitRow("S", DAY, at("10:00"), 3, 3)]
    both = Facts.total([day(visits=visits).facts, day(visits=visits, settings=DaySettings(takes_check_ins=True)).facts])
    assert KPIS["member_visits"].of(Period(both)).value == 3


# -- power hours


@pytest.mark.parametrize(("share", "hours"), [("0.2", 1), ("0.4", 2), ("0.8", 4), ("1", 5)])
def test_the_share_that_power_hours_hold_is_a_setting(share: str, hours: int) -> None:
    found = day(every_quarter(10), settings=DaySettings(power_share=Decimal(share)))
    profile = tuple(HourSlot(0, hour, 20) for hour in range(10, 15))
    assert KPIS["power_hours"].of(Period(found.facts, None, profile)).value == hours


# -- imputation


def past(weeks: Mapping[int, tuple[int, int]], quarter: str = "10:00", line: str = "") -> Past:
    """So many visitors, and tenths of a second watched, in the same quarter hour so many weeks before."""
    when = {week: at(quarter) - timedelta(weeks=week) for week in (1, 2, 3, 4)}
    rows = [
        PastRow("S", DAY, "C1", line, when[week], visitors, visitors, tenths)
        for week, (visitors, tenths) in weeks.items()
    ]
    return Past.of({at(quarter): list(when.values())}, rows)


def test_missing_time_is_imputed_from_the_same_quarter_hour_of_other_weeks() -> None:
    """10 and 14 people in 900 s each; 900 s are missing: half of 24."""
    found = day([], all_watched()[1:], past=past({1: (10, 9000), 3: (14, 9000)})).facts
    assert (found.imputed_visitors, found.imputed_entries, found.imputed_quarters) == (12, 12, 1)
    assert found.imputed_seconds == 900
    assert (found.entries, found.counted_entries) == (0, 0)


def test_a_part_of_a_quarter_hour_is_imputed_for_that_part() -> None:
    coverage = [watched("10:00", [60.0] * 10 + [0.0] * 5), *all_watched()[1:]]
    assert day([], coverage, past=past({1: (10, 9000), 2: (14, 9000)})).facts.imputed_visitors == 4


@pytest.mark.parametrize(
    "weeks",
    [{}, {1: (10, 9000)}, {1: (10, 9000), 2: (10, 7199)}],
    ids=["none", "one week", "the second watched too little"],
)
def test_where_other_weeks_can_not_tell_nothing_is_made_up(weeks: dict[int, tuple[int, int]]) -> None:
    found = day([], all_watched()[1:], past=past(weeks)).facts
    assert (found.imputed_visitors, found.imputed_quarters, found.imputed_seconds) == (0, 0, 0)


def test_less_than_a_minute_is_no_gap() -> None:
    coverage = [watched("10:00", [60.0] * 14 + [0.1]), *all_watched()[1:]]
    assert day([], coverage, past=past({1: (900, 9000), 2: (900, 9000)})).facts.imputed_quarters == 0


def test_imputed_visitors_are_less_the_staff_expected_in_that_time() -> None:
    """Twelve expected, two of the staff at 4 an hour: two of them in a quarter hour."""
    found = day(
        [],
        all_watched()[1:],
        past=past({1: (10, 9000), 3: (14, 9000)}),
        corrections=InForce(staff_rate=Decimal(4)),
        roster=TWO,
    ).facts
    assert (found.imputed_entries, found.imputed_visitors) == (12, 10)


def test_imputed_people_are_as_the_audit_would_have_them() -> None:
    found = day(
        [], all_watched()[1:], past=past({1: (100, 9000), 2: (100, 9000)}), corrections=InForce(audits={None: AUDIT})
    )
    assert found.facts.imputed_visitors == 103


def test_what_is_imputed_stands_beside_the_count() -> None:
    found = day(every_quarter(10), all_watched()[1:], past=past({1: (10, 9000), 3: (14, 9000)}))
    assert (asked(found, "visitors").value, asked(found, "visitors").detail) == (80, {"imputed": "12"})
    assert (asked(found, "entries").value, asked(found, "entries").detail) == (80, {"imputed": "12"})
    assert asked(found, "imputed_visitors").value == 12
    assert asked(day(every_quarter(10)), "visitors").detail == {}


minutes = st.lists(st.floats(0, 60), min_size=15, max_size=15)


@given(
    came=st.lists(st.integers(0, 9), min_size=8, max_size=8),
    seen=st.lists(minutes, min_size=8, max_size=8),
    weeks=st.dictionaries(st.integers(1, 4), st.tuples(st.integers(0, 99), st.integers(0, 9000)), max_size=4),
    rate=st.none() | st.decimals(0, 5, places=2),
    is_audited=st.booleans(),
)
def test_imputation_never_changes_what_was_measured(
    came: list[int],
    seen: list[list[float]],
    weeks: dict[int, tuple[int, int]],
    rate: Decimal | None,
    is_audited: bool,
) -> None:
    rows = [row for quarter, count in zip(TEN, came, strict=True) for row in traffic(quarter, count, count // 2)]
    coverage = [watched(quarter, seconds) for quarter, seconds in zip(TEN, seen, strict=True)]
    corrections = InForce(staff_rate=rate, audits={None: AUDIT} if is_audited else {})
    receipts = [sold("10:00", "5")]
    without = day(rows, coverage, receipts, corrections=corrections, roster=TWO)
    found = day(rows, coverage, receipts, corrections=corrections, roster=TWO, past=past(weeks))
    imputed = {"imputed_entries", "imputed_visitors", "imputed_quarters", "imputed_seconds"}
    for before, after in zip(without.quarters, found.quarters, strict=True):
        for name in set(Facts.__dataclass_fields__) - imputed:
            assert getattr(before.facts, name) == getattr(after.facts, name), name
        assert before.occupancy == after.occupancy
    for slug in set(KPIS) - {"imputed_visitors"}:
        assert asked(without, slug).value == asked(found, slug).value


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
