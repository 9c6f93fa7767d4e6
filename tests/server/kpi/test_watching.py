"""Camera time: what is due, what is watched, and how much each door weighs. No database."""

from datetime import UTC, datetime, timedelta

import pytest

from server.kpi.days.watching import CameraRow, DoorHistory, door_weights
from tests.server.kpi.small_day import (
    DAY,
    DOOR,
    all_watched,
    at,
    day,
    value,
    watched,
)

# -- what is due


def test_due_is_opening_time_times_cameras_in_the_register() -> None:
    second = CameraRow("S", "C2", datetime(2026, 1, 1, tzinfo=UTC), None, at_door=True, at_street=False)
    found = day(cameras=[DOOR, second]).facts
    assert (found.due_ms, found.observed_ms) == (2 * 7_200_000, 7_200_000)
    assert found.coverage == 0.5


def test_a_camera_that_never_reports_is_due_all_the_same() -> None:
    found = day(coverage=[])
    assert (found.facts.due_ms, found.facts.observed_ms) == (7_200_000, 0)
    assert value(found, "coverage") == 0


@pytest.mark.parametrize(
    ("installed", "removed", "minutes"),
    [
        # Minutes wholly within: from 10:04, because 10:03 had begun.
        ("10:03:30", None, 116),
        ("10:03", None, 117),
        ("09:00", "11:30:30", 90),
        ("12:00", None, 0),
        ("08:00", "10:00", 0),
    ],
)
def test_due_begins_and_ends_with_the_camera(installed: str, removed: str | None, minutes: int) -> None:
    camera = CameraRow("S", "C1", at(installed), at(removed) if removed else None, at_door=True, at_street=False)
    assert day(cameras=[camera]).facts.due_ms == minutes * 60_000


@pytest.mark.parametrize(
    ("now", "minutes"),
    [
        ("09:59", 0),
        ("10:00:30", 0),
        # The minute 10:00 ended at 10:01 and is due 90 s later.
        ("10:02:29", 0),
        ("10:02:30", 1),
        ("10:17", 15),
        ("10:30:29", 28),
        ("13:00", 120),
    ],
)
def test_the_newest_minutes_are_not_due_yet(now: str, minutes: int) -> None:
    found = day(as_of=at(now))
    assert found.facts.due_ms == minutes * 60_000
    assert found.facts.observed_ms == minutes * 60_000


def test_a_moment_of_the_past_has_no_minutes_on_their_way() -> None:
    assert day(as_of=at("10:17:30"), lag=timedelta(0)).facts.due_ms == 17 * 60_000


def test_what_is_watched_outside_opening_hours_makes_up_for_nothing() -> None:
    coverage = [watched("09:45"), watched("10:00", [0.0] * 15), *all_watched()[1:], watched("12:00")]
    assert day(coverage=coverage).facts.observed_ms == 7 * 15 * 60_000


# -- weights


def history(camera: str, entries: int, hours: float) -> DoorHistory:
    return DoorHistory("S", DAY, camera, entries, hours * 3600)


@pytest.mark.parametrize(
    ("doors", "weights"),
    [
        # 30 and 10 an hour: 20 on average, so 1.5 and 0.5.
        ([history("main", 3000, 100), history("side", 1000, 100)], {"main": 150, "side": 50}),
        # The same rates, though the main door was watched for a tenth of the time only.
        ([history("main", 300, 10), history("side", 1000, 100)], {"main": 150, "side": 50}),
        # Never watched: as much as the others on average, so that its failure shows.
        ([history("main", 0, 0), history("side", 1000, 100)], {"main": 100, "side": 100}),
        ([history("main", 0, 0), history("side", 0, 0)], {"main": 100, "side": 100}),
        ([history("main", 0, 100), history("side", 0, 100)], {"main": 100, "side": 100}),
        # A door nobody uses keeps a little weight.
        ([history("main", 1000, 100), history("fire", 0, 100)], {"main": 200, "fire": 5}),
    ],
)
def test_doors_weigh_by_their_traffic_per_hour_watched(doors: list[DoorHistory], weights: dict[str, int]) -> None:
    assert door_weights(doors) == weights


def test_a_dead_main_door_costs_more_coverage_than_a_dead_side_door() -> None:
    side = CameraRow("S", "C2", datetime(2026, 1, 1, tzinfo=UTC), None, at_door=True, at_street=False)
    weights = {"C1": 150, "C2": 50}
    assert day(coverage=all_watched(), cameras=[DOOR, side], weights=weights).facts.coverage == 0.75
    assert day(coverage=all_watched("C2"), cameras=[DOOR, side], weights=weights).facts.coverage == 0.25
