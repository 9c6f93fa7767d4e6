"""Golden recordings: real people through the real pipeline, against crossings counted by hand.

They guard direction and totals against every upgrade of OpenCV, numpy or lap, and against ourselves.
"""

from pathlib import Path

import pytest

from bench.bench_accuracy import compare
from bench.bench_tracks import by_line, counted_crossings, sum_of_errors, true_crossings
from bench.sequences import campus, pets
from tests.fixtures.footage import Clips

pytestmark = pytest.mark.footage


@pytest.mark.parametrize(
    ("name", "crossings"),
    [
        ("one-by-one.mp4", 12),
        ("overhead-bus.avi", 14),
        ("EnterExitCrossingPaths1front.mpg", 2),
        ("OneLeaveShopReenter1front.mpg", 2),
    ],
)
def test_every_crossing_is_found_at_its_frame_and_none_invented(clips: Clips, name: str, crossings: int) -> None:
    clip = clips.counted(name)
    matched = 0
    for line in clip.truth.lines:
        found = [crossing for crossing in clip.crossings if crossing.line_id == line.name]
        score = compare(line.crossings, found)
        told = [(crossing.frame, crossing.direction) for crossing in found]
        assert (score.missed, score.invented, score.wrong) == (0, 0, 0), (line.name, line.crossings, told)
        matched += score.matched
    assert matched == crossings


@pytest.mark.parametrize("name", ["OneLeaveShop1cor.mpg", "TwoLeaveShop2cor.mpg", "pets-s2l1.mp4"])
def test_where_people_hide_each_other_few_are_missed_and_none_is_invented(clips: Clips, name: str) -> None:
    clip = clips.counted(name)
    for line in clip.truth.lines:
        score = compare(line.crossings, [crossing for crossing in clip.crossings if crossing.line_id == line.name])
        assert (score.invented, score.wrong) == (0, 0), clip.crossings
        assert score.missed <= 1, clip.crossings


def test_given_boxes_of_a_crowded_place_are_counted_nearly_right(footage: Path) -> None:
    sequence = campus(footage / "tracks")
    true, counted = by_line(true_crossings(sequence)), by_line(counted_crossings(sequence))
    assert sum_of_errors(true, counted) / true.total() < 0.15


@pytest.mark.parametrize(("seed", "share"), [(None, 0.05), (1, 0.1)])
def test_boxes_of_an_outdoor_scene_are_counted_right(footage: Path, seed: int | None, share: float) -> None:
    """Perfect boxes without their ids, then with a detector's faults: whoever is lost here, the tracker lost."""
    sequence = pets(footage / "tracks", seed)
    true, counted = by_line(true_crossings(sequence)), by_line(counted_crossings(sequence))
    assert abs(true["x=0.5", "in"] - 14) <= 1
    assert abs(true["x=0.5", "out"] - 18) <= 1
    assert sum_of_errors(true, counted) / true.total() < share
