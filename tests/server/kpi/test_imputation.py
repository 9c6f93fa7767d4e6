"""What other weeks say of time that was not watched: beside the count, never in it. No database."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import InForce
from server.kpi.days.imputation import Past, PastRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import Facts
from tests.server.kpi.corrected_day import AUDIT, TEN, TWO, asked, day, every_quarter
from tests.server.kpi.small_day import DAY, all_watched, at, sold, traffic, watched


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
