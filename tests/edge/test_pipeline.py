"""The order of the pipeline: the detector knows where people are expected, the counter sees the tracks."""

import numpy as np
import pytest

from edge.geometry import LineError
from edge.models import Boxes, Detections, Frame, Line
from edge.pipeline import make_pipeline

LINE = Line("door", (0.2, 0.5), (0.8, 0.5), (0.5, 0.9))
FPS = 10.0


class Scripted:
    """A detector that finds one person walking down the middle, and remembers what it was told."""

    def __init__(self) -> None:
        self.held: list[Boxes] = []

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        self.held.append(held)
        y = 0.2 + 0.03 * frame.index
        if y > 0.8:
            return Detections()
        return Detections(np.asarray([[0.45, y - 0.1, 0.55, y + 0.1]], np.float32), np.asarray([0.9], np.float32))


def frame(index: int) -> Frame:
    return Frame(index, index / FPS, np.zeros((60, 80, 3), np.uint8))


def test_a_walker_is_found_followed_and_counted_in() -> None:
    pipeline = make_pipeline(Scripted(), [LINE], mounting="overhead", aspect=80 / 60)
    steps = [pipeline.step(frame(i)) for i in range(30)]
    (crossing,) = [crossing for step in steps for crossing in step.crossings] + pipeline.finish()
    assert (crossing.direction, crossing.track_id) == ("in", 1)
    assert abs(crossing.frame - 10) <= 1
    assert len(steps[0].detections) == 1
    assert steps[10].tracks[0].confirmed


def test_the_detector_is_told_where_confirmed_people_are_expected_now() -> None:
    detector = Scripted()
    pipeline = make_pipeline(detector, [LINE], mounting="overhead", aspect=80 / 60)
    for i in range(12):
        pipeline.step(frame(i))
    assert detector.held[0].shape == (0, 4)
    assert detector.held[11].shape == (1, 4)
    middle = float(detector.held[11][0, 1] + detector.held[11][0, 3]) / 2
    assert middle == pytest.approx(0.2 + 0.03 * 11, abs=0.03)


def test_what_remains_is_settled_at_the_end() -> None:
    line = Line("late", (0.2, 0.79), (0.8, 0.79), (0.5, 0.99))
    pipeline = make_pipeline(Scripted(), [line], mounting="overhead", aspect=80 / 60)
    assert [c for i in range(21) for c in pipeline.step(frame(i)).crossings] == []
    assert pipeline.finish() == []
    line = Line("late", (0.2, 0.73), (0.8, 0.73), (0.5, 0.99))
    pipeline = make_pipeline(Scripted(), [line], mounting="overhead", aspect=80 / 60)
    during = [c for i in range(20) for c in pipeline.step(frame(i)).crossings]
    assert [c.direction for c in during + pipeline.finish()] == ["in"]


def test_a_bad_line_is_refused_when_the_pipeline_is_made() -> None:
    with pytest.raises(LineError, match="'flat'"):
        make_pipeline(Scripted(), [Line("flat", (0.5, 0.5), (0.5, 0.5), (0.1, 0.1))], mounting="overhead", aspect=1.0)
