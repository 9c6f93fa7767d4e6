"""The order of the pipeline: the detector knows where people are expected, the counter sees the tracks."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from edge.clock import Moment
from edge.geometry import LineError
from edge.models import Boxes, Detections, Frame, Line
from edge.outbox.records import crossing_record
from edge.pipeline import camera_pipeline, counter_params, make_pipeline
from edge.settings import CameraSettings, CountingSettings, LineSettings, ZoneSettings

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


CAMERA = CameraSettings(
    id="C1",
    source=0,
    mounting="overhead",
    line=(LineSettings(id="L1", points=((0.2, 0.5), (0.5, 0.55), (0.8, 0.5)), inside=(0.5, 0.9)),),
    zone=(ZoneSettings(id="till", points=((0.3, 0.0), (0.7, 0.0), (0.7, 0.4), (0.3, 0.4)), kind="staff", stay_s=0.5),),
    counting=CountingSettings(tag_wait_s=1.0),
)


def test_a_cameras_settings_reach_the_wire() -> None:
    pipeline = camera_pipeline(Scripted(), CAMERA, 80 / 60)
    steps = [pipeline.step(frame(i)) for i in range(40)]
    (crossing,) = [crossing for step in steps for crossing in step.crossings]
    record = crossing_record("C1", crossing, Moment(at=datetime(2026, 11, 21, 9, tzinfo=UTC), uptime=0.0))
    assert (record.line, record.direction, record.tags) == ("L1", "in", ("staff",))
    assert record.opens_group


def test_an_ignored_zone_keeps_people_from_being_followed() -> None:
    everywhere = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    ignoring = msgspec.structs.replace(CAMERA, zone=(ZoneSettings(id="mirror", points=everywhere, kind="ignore"),))
    pipeline = camera_pipeline(Scripted(), ignoring, 80 / 60)
    assert all(step.tracks == [] and step.crossings == [] for step in map(pipeline.step, map(frame, range(30))))


def test_limits_of_groups_are_the_cameras_own() -> None:
    params = counter_params(msgspec.structs.replace(CAMERA, counting=CountingSettings(group_s=3.0, group_distance=0.1)))
    assert (params.group_s, params.group_span_s, params.group_distance) == (3.0, 4.5, 0.1)
