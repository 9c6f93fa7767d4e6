"""A dated recording that is begun again: nobody on disk is counted twice, and nobody still undecided is forgotten."""

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from edge.cameras.sources import VideoSource
from edge.config import parse
from edge.models import Boxes, Crossing, Detections, Frame, Point
from edge.outbox import Outbox
from edge.resume import Resumed
from edge.settings import CameraSettings, LineSettings
from edge.worker import CameraWorker
from tests.edge.walks import FPS, Walk, path
from tests.fixtures.edge_time import FakeClock
from tests.fixtures.wait import wait_until

START = datetime(2026, 11, 21, 9, tzinfo=UTC)
CAMERA = parse(
    '[device]\nname = "box"\n[broker]\nhost = "b"\n[outbox]\npath = "o"\n[[camera]]\nid = "C1"\nsource = "a.mp4"\n'
    '[[camera.line]]\nid = "L1"\nstart = [0, 0.5]\nend = [1, 0.5]\ninside = [0.5, 0.9]\n'
).camera[0]


class _Kept(msgspec.Struct):
    line: str
    direction: str
    at: datetime


class _Disk:
    """An outbox that lost power before its first mark."""

    def mark(self, key: str) -> int:
        return 0

    def crossings(self, camera: str, since: datetime) -> list[_Kept]:
        kept = [_Kept("L1", "in", START + timedelta(seconds=6.9))]
        return [each for each in kept if each.at >= since]


def test_what_was_kept_before_the_first_mark_is_not_counted_again() -> None:
    resumed = Resumed(CAMERA, START, cast("Outbox", _Disk()))
    again = Crossing("L1", "in", 1, 69, 6.9, 0.9, 1)
    assert list(resumed.news([again])) == []
    assert list(resumed.news([again])) == [again], "one on disk stands for one crossing"


class Film(VideoSource):
    """A recording of noise in which a script says who is where; it may stop giving pictures at some frame."""

    fps, size = FPS, (64, 48)

    def __init__(self, frames: int, until: int | None = None) -> None:
        self.frame_count = frames
        self._until = frames if until is None else until
        self._next = 0
        self._closed = threading.Event()
        self._noise = np.random.default_rng(1).integers(60, 200, (16, 48, 64, 3), np.uint8)

    def skip_to(self, time_s: float) -> None:
        self._next = int(np.ceil(time_s * FPS))

    def read(self, timeout_s: float | None = None) -> Frame | None:
        if self._next >= self._until:
            if not self.ended:
                self._closed.wait(timeout_s)
            return None
        number, self._next = self._next, self._next + 1
        return Frame(number, number / FPS, np.roll(self._noise[number % 16], number, axis=0))

    @property
    def ended(self) -> bool:
        return self._closed.is_set() or self._next >= (self.frame_count or 0)

    def close(self) -> None:
        self._closed.set()


class Script:
    """Finds the one person of a walk."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        track = self._walk.at(frame.index)
        if track is None:
            return Detections()
        return Detections(np.asarray([track.box], np.float32), np.asarray([0.9], np.float32))


def counted(walk: Walk, settings: CameraSettings, folder: Path, *, power_cut_at: int) -> list[tuple[str, float]]:
    """What is on disk in the end, with the power cut once the box has looked at so many frames."""
    frames = len(walk.points) + 50

    def runs(path: Path, until: int | None) -> Iterator[tuple[CameraWorker, Outbox]]:
        outbox = Outbox(path, FakeClock(), commit_every_s=3600)
        film = Film(frames, until)
        worker = CameraWorker(
            settings, outbox, FakeClock(), open_with=lambda _: film, detect_with=lambda _: Script(walk)
        )
        worker.start()
        try:
            if until is None:
                wait_until(worker.ended.is_set, 60, "the end of the recording")
            else:
                wait_until(lambda: film._next == until and worker._counted_s > (until - 1) / FPS, 60, "the power cut")
            outbox.flush()
            yield worker, outbox
        finally:
            worker.stop()
            worker.join(10)
            outbox.close()

    for _ in runs(folder / "before.sqlite", power_cut_at):
        for part in folder.glob("before.sqlite*"):
            shutil.copy(part, folder / part.name.replace("before", "after"))
    found: list[tuple[str, float]] = []
    for _, outbox in runs(folder / "after.sqlite", None):
        found = [(each.direction, (each.at - START).total_seconds()) for each in outbox.crossings("C1", START)]
    return found


BELOW, ABOVE = (0.5, 0.75), (0.5, 0.25)


def lined(settle: str, tag_wait_s: float = 0.0) -> CameraSettings:
    line = msgspec.convert(
        {"id": "L1", "start": (0.1, 0.5), "end": (0.9, 0.5), "inside": (0.5, 0.1), "settle": settle}, LineSettings
    )
    camera = msgspec.structs.replace(CAMERA, line=(line,), starts_at=START, mounting="overhead")
    return msgspec.structs.replace(camera, counting=msgspec.structs.replace(camera.counting, tag_wait_s=tag_wait_s))


def stands(at: Point, seconds: float) -> list[Point]:
    return [at] * round(seconds * FPS)


class TestPowerCut:
    """The power goes in the second minute, when one minute and its mark are on disk."""

    CUT = 1000

    def test_who_came_in_before_it_and_leaves_after_it_cancels_as_ever(self, tmp_path: Path) -> None:
        walk = Walk(1, [*path(BELOW, ABOVE), *stands(ABOVE, 120), *path(ABOVE, BELOW)], size=(0.1, 0.15))
        assert counted(walk, lined("on_exit"), tmp_path, power_cut_at=self.CUT) == []

    def test_who_came_in_before_it_and_stays_is_counted_when_the_recording_ends(self, tmp_path: Path) -> None:
        walk = Walk(1, [*path(BELOW, ABOVE), *stands(ABOVE, 120)], size=(0.1, 0.15))
        ((way, moment),) = counted(walk, lined("on_exit"), tmp_path, power_cut_at=self.CUT)
        assert way == "in"
        assert moment == pytest.approx(1.3, abs=0.5)

    def test_who_stands_on_the_line_through_it_has_crossed_when_they_did(self, tmp_path: Path) -> None:
        there = (0.5, 0.49)
        walk = Walk(1, [*path(BELOW, there), *stands(there, 120), *path(there, ABOVE)], size=(0.1, 0.15))
        ((way, moment),) = counted(walk, lined("immediate"), tmp_path, power_cut_at=self.CUT)
        assert way == "in"
        assert moment == pytest.approx(1.3, abs=0.5)

    def test_a_crossing_that_waits_for_tags_is_given_out_once(self, tmp_path: Path) -> None:
        walk = Walk(1, [*stands(BELOW, 40), *path(BELOW, ABOVE), *stands(ABOVE, 120)], size=(0.1, 0.15))
        ((way, moment),) = counted(walk, lined("immediate", 90.0), tmp_path, power_cut_at=self.CUT)
        assert way == "in"
        assert moment == pytest.approx(41.3, abs=0.5)

    def test_who_was_decided_before_it_is_counted_once(self, tmp_path: Path) -> None:
        walk = Walk(
            1, [*path(BELOW, ABOVE), *stands(ABOVE, 60), *path(ABOVE, BELOW), *stands(BELOW, 60)], size=(0.1, 0.15)
        )
        found = counted(walk, lined("immediate"), tmp_path, power_cut_at=self.CUT)
        assert [each for each, _ in found] == ["in", "out"]
