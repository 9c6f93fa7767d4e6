"""How long people stay, which members came, and the busiest hours. No database."""

from dataclasses import replace
from decimal import Decimal

import pytest

from server.kpi.corrections.in_force import InForce
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DaySettings, VisitRow
from server.kpi.days.watching import CoverageRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import Facts, HourSlot, Period
from tests.server.kpi.corrected_day import TWO, asked, by_quarter, day, every_quarter
from tests.server.kpi.small_day import DAY, all_watched, at, sold, traffic

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
    assert asked(without, "other_conversion").withheld == "no_check_ins"
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


def test_conversion_of_everybody_else_leaves_members_out_on_both_sides() -> None:
    # Ten came and three of them checked in; four bought, one of them a member.
    bought = replace(sold("10:00", "10", "10", "10", "10"), member_transactions=1)
    visits = [VisitRow("S", DAY, at("10:00"), 3, 1)]
    found = day(traffic("10:00", 10), receipts=[bought], visits=visits, settings=DaySettings(takes_check_ins=True))
    assert asked(found, "conversion").value == Decimal("0.4")
    assert asked(found, "member_conversion").value == pytest.approx(Decimal(1) / 3, abs=Decimal("1e-6"))
    assert asked(found, "other_conversion").value == pytest.approx(Decimal(3) / 7, abs=Decimal("1e-6"))
    # Beside a store that takes none, only the one that does speaks of others.
    both = Facts.total([found.facts, day(traffic("10:00", 50), receipts=[bought]).facts])
    assert KPIS["other_conversion"].of(Period(both)).value == pytest.approx(Decimal(3) / 7, abs=Decimal("1e-6"))
    # All who came were members: nobody else was there to buy.
    everybody = [VisitRow("S", DAY, at("10:00"), 10, 4)]
    nobody = day(traffic("10:00", 10), receipts=[bought], visits=everybody, settings=DaySettings(takes_check_ins=True))
    assert asked(nobody, "other_conversion").withheld == "no_visitors"
