"""What a box meets only because it runs for months: waiting without end, streams that break, ids that come back."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.sources import SourceState, VideoSource
from edge.counter import CounterParams
from edge.models import Boxes, Detections, Frame, Line
from edge.outbox import Outbox
from edge.settings import CameraSettings, LineSettings
from edge.tracker import Tracker
from edge.worker import CameraWorker
from tests.edge.walks import Walk, count, path, totals
from tests.fixtures.edge_time import NOON, FakeClock
from tests.fixtures.wait import wait_until

DOOR = Line("door", (0.3, 0.5), (0.7, 0.5), (0.5, 0.1))
BELOW, ABOVE = (0.5, 0.7), (0.5, 0.3)


def boxes(*rows: tuple[float, float, float, float]) -> Detections:
    return Detections(np.asarray(rows, np.float32).reshape(-1, 4), np.full(len(rows), 0.9, np.float32))


def test_a_part_of_a_mannequin_keeps_no_past_without_end() -> None:
    tracker = Tracker()
    whole, part = (0.3, 0.2, 0.5, 0.9), (0.33, 0.25, 0.47, 0.6)
    for frame in range(600):
        tracks = tracker.update(boxes(whole, part), frame / 10)
        assert sum(track.confirmed for track in tracks) <= 1
    stepped_out = (0.41, 0.25, 0.55, 0.6)
    later = [tracker.update(boxes(whole, stepped_out), 60.0 + frame / 10) for frame in range(5)]
    (freed,) = [track for tracks in later for track in tracks if track.earlier]
    assert 49.0 <= freed.earlier[0].time_s < 51.0


def test_boxes_without_end_are_nobody() -> None:
    tracker = Tracker()
    endless = (-np.inf, 0.1, np.inf, 0.3), (0.1, np.nan, 0.2, 0.5), (0.2, 0.2, 0.2, 0.5)
    assert [tracker.update(boxes(*endless), frame / 10) for frame in range(5)] == [[]] * 5


def test_who_stood_on_the_line_for_minutes_crossed_it_when_they_did() -> None:
    there = (0.5, 0.49)
    (crossing,) = count([Walk(1, [*path(BELOW, there), *[there] * 3000, *path(there, ABOVE)])], [DOOR])
    assert crossing.frame == pytest.approx(10, abs=1)
    assert crossing.time_s == pytest.approx(1.0, abs=0.1)


def test_two_people_whom_the_tracker_confused_do_not_cancel_each_other() -> None:
    # The first is hidden at the line and the second takes up their path; then the first is seen beyond it, and returns.
    first = Walk(1, [*path(BELOW, (0.5, 0.55)), *[None] * 10, *path((0.42, 0.4), (0.42, 0.7))])
    second = Walk(2, path((0.5, 0.53), ABOVE), start=12)
    found = count([first, second], [replace(DOOR, settle="on_exit")])
    assert {crossing.track_id for crossing in found} == {1}
    assert totals(found) == (1, 1)


@pytest.mark.parametrize("wide", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("anchor", ["centre", "feet"])
def test_a_wide_body_that_leaves_by_the_side_has_crossed_as_one_that_comes_in(wide: float, anchor: str) -> None:
    line = Line("side", (0.1, 0.1), (0.1, 0.9), (0.9, 0.5), anchor="feet" if anchor == "feet" else "centre")
    way = [(x, 0.5) for x, _ in path((0.6, 0.5), (-wide / 2 + 0.01, 0.5))]
    params = CounterParams()
    out = count([Walk(1, way, size=(wide, 0.25))], [line], params=params)
    into = count([Walk(1, way[::-1], size=(wide, 0.25))], [line], params=params)
    assert (totals(out), totals(into)) == ((0, 1), (1, 0))


@pytest.mark.parametrize("into", [True, False])
def test_who_was_large_once_is_not_cut_off_for_ever(into: bool) -> None:
    """Two were one box for a moment, or someone came close to the camera; later they walk along the picture's side."""
    begins = (0.5, 0.2) if into else (0.5, 0.8)
    along = path((0.05, begins[1]), (0.05, 1 - begins[1]))
    wide = [(0.3, 0.25)] * 10
    arrives = path(begins, (0.05, begins[1]))
    way = [*[begins] * 10, *[begins] * 50, *arrives, *along]
    sizes = [*wide, *[(0.1, 0.25)] * (len(way) - len(wide))]
    line = Line("wide", (0.0, 0.5), (1.0, 0.5), (0.5, 0.9))
    found = count([Walk(1, way, sizes=sizes)], [line])
    assert totals(found) == ((1, 0) if into else (0, 1))


class Broken(VideoSource):
    """A camera whose stream breaks after its last picture and never comes back."""

    fps, frame_count, size = 10.0, None, (64, 48)

    def __init__(self, frames: int) -> None:
        self._left = iter(range(frames))
        self._over = threading.Event()

    def read(self, timeout_s: float | None = None) -> Frame | None:
        number = next(self._left, None)
        if number is not None:
            return Frame(number, number / 10, np.zeros((48, 64, 3), np.uint8))
        self._over.wait(timeout_s)
        return None

    @property
    def ended(self) -> bool:
        return self._over.is_set()

    @property
    def state(self) -> SourceState:
        return "offline"

    def close(self) -> None:
        self._over.set()


class Scripted:
    """A detector that knows where someone is in each frame."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        track = self._walk.at(frame.index)
        return Detections() if track is None else boxes(track.box)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.sqlite", FakeClock(), commit_every_s=3600)
    yield box
    box.close()


def test_who_was_in_the_picture_when_the_stream_broke_does_not_wait_for_its_return(outbox: Outbox) -> None:
    line = LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside, settle="on_exit")
    settings = CameraSettings(id="C1", source="rtsp://camera/1", mounting="overhead", line=(line,))
    walk = Walk(1, path((0.5, 0.8), (0.5, 0.3)), size=(0.2, 0.2))
    worker = CameraWorker(
        settings,
        outbox,
        FakeClock(),
        open_with=lambda _: Broken(len(walk.points)),
        detect_with=lambda _: Scripted(walk),
    )

    def kept() -> list[str]:
        outbox.flush()
        return [each.direction for each in outbox.crossings("C1", datetime.min.replace(tzinfo=NOON.tzinfo))]

    worker.start()
    try:
        wait_until(lambda: kept() == ["in"], 30, "the crossing")
        assert worker.status.state == "offline"
    finally:
        worker.stop()
        worker.join(10)
