"""Golden recordings: real people through the real pipeline, against crossings counted by hand.

They guard direction and totals against every upgrade of OpenCV, numpy or lap, and against ourselves.
"""

from pathlib import Path

import numpy as np
import pytest

from bench.bench_accuracy import compare
from bench.bench_tracks import by_line, counted_crossings, sum_of_errors, true_crossings
from edge.counter import Counter
from edge.models import Crossing, Detections, Line, Track
from edge.tracker import Tracker
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
    true = by_line(true_crossings(footage / "tracks" / "campus-ip2.gt.csv.gz"))
    counted = by_line(counted_crossings(footage / "tracks" / "campus-ip2.det.csv.gz"))
    assert sum_of_errors(true, counted) / true.total() < 0.2


def test_true_boxes_of_an_outdoor_scene_are_counted_right(footage: Path) -> None:
    """Perfect boxes without their ids: whoever is lost here, the tracker lost."""
    rows = np.loadtxt(footage / "tracks" / "pets-s2l1.gt.txt", delimiter=",")
    line = Line("middle", (0.5, 0.0), (0.5, 1.0), (0.95, 0.5), anchor="feet")
    tracker, counter = Tracker(aspect=768 / 576), Counter([line], mounting="oblique", aspect=768 / 576)
    known = Counter([line], mounting="oblique", aspect=768 / 576)
    found: list[Crossing] = []
    due: list[Crossing] = []
    for frame in range(795):
        here = rows[rows[:, 0] == frame + 1]
        corners = np.stack([here[:, 2], here[:, 3], here[:, 2] + here[:, 4], here[:, 3] + here[:, 5]], axis=1)
        boxes = (corners / [768, 576, 768, 576]).astype(np.float32)
        scores = np.ones(len(here), np.float32)
        found += counter.update(tracker.update(Detections(boxes, scores), frame / 10), frame, frame / 10)
        tracks = [
            Track(int(row[1]), (float(b[0]), float(b[1]), float(b[2]), float(b[3])), 1.0, True, True)
            for row, b in zip(here, boxes, strict=True)
        ]
        due += known.update(tracks, frame, frame / 10)
    found, due = found + counter.finish(), due + known.finish()
    for direction, times in (("in", 14), ("out", 18)):
        assert abs(sum(c.direction == direction for c in due) - times) <= 1
        assert abs(sum(c.direction == direction for c in found) - times) <= 1
