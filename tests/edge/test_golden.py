"""Golden recordings: real people through the real pipeline, against crossings counted by hand.

They guard direction and totals against every upgrade of OpenCV, numpy or lap, and against ourselves.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.bench_tracks import LINES, counted_crossings, true_crossings
from edge.camera import open_source
from edge.counter import Counter
from edge.detectors import make_detector
from edge.models import Crossing, Detections, Line, Track
from edge.pipeline import make_pipeline
from edge.tracker import Tracker

pytestmark = pytest.mark.footage


def count(footage: Path, name: str) -> list[Crossing]:
    """Crossings of a clip with its mounting's default configuration and no other."""
    clip = json.loads((footage / "truth.json").read_text())["clips"][name]
    lines = [
        Line(each["name"], tuple(each["from"]), tuple(each["to"]), tuple(each["inside"]), anchor=each["anchor"])
        for each in clip["lines"]
    ]
    mounting = clip["mounting"]
    width, height = clip["size"]
    pipeline = make_pipeline(
        make_detector("motion", mounting=mounting), lines, mounting=mounting, aspect=width / height
    )
    found: list[Crossing] = []
    with open_source(str(footage / "video" / name)) as source:
        for frame in source:
            found += pipeline.step(frame).crossings
    return found + pipeline.finish()


def unmatched(footage: Path, name: str, found: list[Crossing]) -> tuple[list[str], list[str]]:
    """True crossings not found and crossings found that are not true, as texts."""
    clip = json.loads((footage / "truth.json").read_text())["clips"][name]
    left, missed = list(found), []
    for line in clip["lines"]:
        for true in line["crossings"]:
            near = [
                crossing
                for crossing in left
                if (crossing.line_id, crossing.direction) == (line["name"], true["direction"])
                and abs(crossing.frame - true["frame"]) <= true["tolerance"]
            ]
            if near:
                left.remove(min(near, key=lambda crossing: abs(crossing.frame - true["frame"])))
            else:
                missed.append(f"{line['name']} {true['direction']} at {true['frame']}")
    return missed, [f"{crossing.line_id} {crossing.direction} at {crossing.frame}" for crossing in left]


@pytest.mark.parametrize(
    "name",
    ["one-by-one.mp4", "EnterExitCrossingPaths1front.mpg", "OneLeaveShopReenter1front.mpg"],
)
def test_every_crossing_is_found_and_none_invented(footage: Path, name: str) -> None:
    assert unmatched(footage, name, count(footage, name)) == ([], [])


def test_a_dark_overhead_door_invents_nobody_and_misses_one_at_most(footage: Path) -> None:
    missed, invented = unmatched(footage, "overhead-bus.avi", count(footage, "overhead-bus.avi"))
    assert len(missed) <= 1, missed
    assert invented == []


def test_given_boxes_of_a_crowded_place_are_counted_nearly_right(footage: Path) -> None:
    true = true_crossings(footage / "tracks" / "campus-ip2.gt.csv.gz")
    counted = counted_crossings(footage / "tracks" / "campus-ip2.det.csv.gz")
    errors = sum(
        abs(
            sum((c.line_id, c.direction) == (line.line_id, direction) for c in counted)
            - sum((c.line_id, c.direction) == (line.line_id, direction) for c in true)
        )
        for line in LINES
        for direction in ("in", "out")
    )
    assert errors / len(true) < 0.25


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
