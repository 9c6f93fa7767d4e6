"""Staff taken off the entries in whole people, visitors to each of them, and the groups that remain. No database."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import InForce
from server.kpi.corrections.staffing import Roster
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DaySettings
from server.kpi.rounding import Carried
from tests.server.kpi.corrected_day import TEN, TWO, asked, by_quarter, day, every_quarter
from tests.server.kpi.small_day import DAY, all_watched, at, sold, traffic

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
