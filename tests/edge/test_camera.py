"""Sources of frames: recordings complete and in order, bad files refused in words, live cameras that come back."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.backoff import Backoff
from edge.camera import CameraError, open_source
from edge.cameras.live import LiveSource, PacedSource
from edge.cameras.sources import FALLBACK_FPS, Shot, believable_fps
from edge.cameras.view import Image


def write_clip(path: Path, frames: int = 6, fps: float = 10.0) -> Path:
    """A small clip whose picture number n is grey level 20 * n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


def level(image: Image) -> int:
    return round(float(image.mean()) / 20)


@pytest.mark.footage
@pytest.mark.parametrize(
    ("clip", "frames", "last_s"),
    # The bus's recorder left pictures out: 947 at 15 a second would be 63.1 s, its time stamps say 65.7.
    [("EnterExitCrossingPaths1front.mpg", 383, 15.32), ("overhead-bus.avi", 947, 65.73)],
)
def test_every_frame_of_a_recording_comes_in_order(footage: Path, clip: str, frames: int, last_s: float) -> None:
    with open_source(str(footage / "video" / clip)) as source:
        seen = [(frame.index, frame.time_s) for frame in source]
        assert source.ended
    assert [index for index, _ in seen] == list(range(frames))
    assert seen[-1][1] == pytest.approx(last_s, abs=0.01)
    assert all(after > before for (_, before), (_, after) in itertools.pairwise(seen))


@pytest.mark.footage
def test_a_frame_count_no_file_could_hold_is_not_believed(footage: Path) -> None:
    assert open_source(str(footage / "video" / "EnterExitCrossingPaths1front.mpg")).frame_count is None
    assert open_source(str(footage / "video" / "one-by-one.mp4")).frame_count == 1394


def test_a_looped_recording_begins_again_and_its_clock_runs_on(tmp_path: Path) -> None:
    with open_source(str(write_clip(tmp_path / "a.avi")), loop=True) as source:
        frames = [frame for frame, _ in zip(source, range(14), strict=False)]
    assert [frame.index for frame in frames] == list(range(14))
    assert [level(frame.image) for frame in frames] == [*range(6), *range(6), 0, 1]
    assert frames[13].time_s == pytest.approx(1.3)
    assert source.frame_count is None


def unknown_codec(folder: Path) -> Path:
    path = write_clip(folder / "codec.avi")
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"XQZW"))
    return path


def damaged(folder: Path) -> Path:
    """A container in good order whose pictures are not."""
    path = write_clip(folder / "damaged.avi")
    content = bytearray(path.read_bytes())
    chunk = content.index(b"movi") + 4
    while content[chunk : chunk + 4] == b"00dc":
        size = int.from_bytes(content[chunk + 4 : chunk + 8], "little")
        content[chunk + 8 : chunk + 8 + size] = bytes(size)
        chunk += 8 + size + size % 2
    path.write_bytes(content)
    return path


def text_file(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("not a video\n" * 50)
    return path


def empty_file(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.mp4", "There is no file"),
        (lambda folder: folder, "is a directory"),
        (empty_file, "is empty"),
        (text_file, "not a video"),
        (unknown_codec, "not a video that can be opened"),
        (damaged, "not one frame of it can be decoded"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(CameraError, match=words) as refusal:
        open_source(str(make(tmp_path)))
    assert "\n" not in str(refusal.value)
    assert capfd.readouterr() == ("", ""), "OpenCV's own complaints must not reach the terminal"


@pytest.mark.parametrize(("source", "words"), [("", "No source"), ("ftp://host/a.mp4", "not supported")])
def test_a_source_of_no_known_kind_is_refused(source: str, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        open_source(source)


def test_a_scene_is_a_source_and_a_misspelt_one_is_refused() -> None:
    with open_source("scene:overhead?seed=3&seconds=1&fps=5") as source:
        assert [frame.index for frame in source] == [0, 1, 2, 3, 4]
    with pytest.raises(CameraError, match="overhed"):
        open_source("scene:overhed")


@pytest.mark.parametrize(
    ("stated", "believed"), [(29.97, 29.97), (0, FALLBACK_FPS), (90000, FALLBACK_FPS), (float("nan"), FALLBACK_FPS)]
)
def test_a_rate_no_camera_has_is_not_believed(stated: float, believed: float) -> None:
    assert believable_fps(stated) == believed


class Reel:
    """Six pictures at 200 a second; says when the last was given."""

    fps, frame_count, size = 200.0, 6, (4, 4)

    def __init__(self) -> None:
        self.over = threading.Event()

    def play(self) -> Iterator[Shot]:
        for number in range(6):
            yield Shot(number / self.fps, lambda number=number: np.full((4, 4, 3), 20 * number, np.uint8))  # type: ignore[misc]
        self.over.set()


def test_a_paced_recording_drops_what_the_reader_is_late_for() -> None:
    reel = Reel()
    with PacedSource(reel) as source:
        assert reel.over.wait(5)
        frame = source.read(5)
        assert frame is not None
        assert frame.index == 5
        assert source.read(5) is None
        assert source.ended


class Camera:
    """A capture that gives numbered pictures and then fails, or stands still until let go."""

    def __init__(self, pictures: int, *, opened: bool = True, stall: threading.Event | None = None) -> None:
        self.left, self.opened, self.stall, self.released = pictures, opened, stall, False
        self.given = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def get(self, prop: int, /) -> float:
        return 12.0

    def set(self, prop: int, value: float, /) -> bool:
        return True

    def grab(self) -> bool:
        if self.given < self.left:
            self.given += 1
            return True
        if self.stall:
            self.stall.wait(10)
        return False

    def retrieve(self) -> tuple[bool, Image]:
        return True, np.full((4, 4, 3), 20 * self.given, np.uint8)

    def release(self) -> None:
        self.released = True


class Cameras:
    """Gives one camera after another, the last for ever."""

    def __init__(self, *cameras: Camera) -> None:
        self.cameras = list(cameras)
        self.opened = 0

    def __call__(self) -> Camera:
        camera = self.cameras[min(self.opened, len(self.cameras) - 1)]
        self.opened += 1
        return camera


def at_once() -> Backoff:
    return Backoff(draw=lambda: 0.001)


def test_a_camera_that_does_not_answer_is_tried_again_until_it_does() -> None:
    let_go = threading.Event()
    cameras = Cameras(Camera(0, opened=False), Camera(0, opened=False), Camera(1, stall=let_go))
    with LiveSource(cameras, name="door", backoff=at_once()) as source:
        assert source.state == "offline"
        frame = source.read(10)
        assert frame is not None
        assert (frame.index, source.state, source.message) == (0, "ok", "")
        assert (source.fps, source.size) == (12.0, (4, 4))
        let_go.set()
    assert cameras.opened == 3
    assert source.ended


def test_a_lost_connection_is_made_anew_and_the_clock_runs_on() -> None:
    let_go = threading.Event()
    first, second = Camera(1), Camera(1, stall=let_go)
    with LiveSource(Cameras(first, second), name="door", backoff=Backoff(base_s=0.3, draw=lambda: 1.0)) as source:
        one, two = source.read(10), source.read(10)
        assert one is not None
        assert two is not None
        assert (one.index, two.index) == (0, 1)
        assert two.time_s > one.time_s == 0.0
        assert first.released
        let_go.set()


def test_a_silent_stall_is_noticed_and_another_reader_takes_over() -> None:
    stuck, let_go = threading.Event(), threading.Event()
    cameras = Cameras(Camera(1, stall=stuck), Camera(0, stall=let_go), Camera(1, stall=let_go))
    with LiveSource(cameras, name="door", stall_s=0.2, backoff=at_once()) as source:
        assert source.read(10) is not None
        states = set()
        while cameras.opened < 3:
            source.read(0.05)
            states.add(source.state)
        assert "stalled" in states
        frame = source.read(10)
        assert frame is not None
        assert frame.index == 1
        assert source.state == "ok"
        stuck.set()
        let_go.set()


def test_only_the_newest_picture_of_a_live_camera_is_kept() -> None:
    let_go = threading.Event()
    camera = Camera(9, stall=let_go)
    with LiveSource(Cameras(camera), name="door", backoff=at_once()) as source:
        frame = source.read(10)
        while frame is not None and frame.index < 8:
            frame = source.read(10)
        assert frame is not None
        assert level(frame.image) == 9
        assert source.read(0) is None
        let_go.set()


def test_waiting_grows_to_a_limit_and_is_spread_at_random() -> None:
    most = Backoff(base_s=1, cap_s=30, draw=lambda: 1.0)
    assert [most.delay(attempt) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert Backoff(draw=lambda: 0.25).delay(0) == 0.25
