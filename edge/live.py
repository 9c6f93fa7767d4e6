"""Live sources: a thread that keeps only the newest frame, comes back by itself, and is watched.

Three ways in which a camera fails without saying so shaped this file. A reader that queues frames watches the door as
it was a minute ago: here a frame not taken in time is replaced. A stream may stall without an error, and OpenCV then
sits in its read for several time-outs: the thread that reads is given up by its watcher and another takes over. And a
hundred boxes that lost one switch must not all come back in the same second: each waits a random while.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

import cv2

from edge.models import Frame
from edge.opencv import prepare_opencv
from edge.sources import (
    CameraError,
    Image,
    Reel,
    SourceState,
    VideoSource,
    as_image,
    believable_fps,
    numbered,
)


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802, D102 - OpenCV's name
    def read(self) -> "tuple[bool, cv2.typing.MatLike]": ...  # noqa: D102
    def get(self, prop: int, /) -> float: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


Opener = Callable[[], Capture]


def stream_opener(address: str, *, open_timeout_s: float = 10.0, read_timeout_s: float = 5.0) -> Opener:
    """Opens a network stream through FFmpeg."""

    def open_stream() -> Capture:
        prepare_opencv()
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(read_timeout_s * 1000),
        ]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)

    return open_stream


def usb_opener(index: int) -> Opener:
    """Opens a camera on this machine by its number."""

    def open_usb() -> Capture:
        prepare_opencv()
        return cv2.VideoCapture(index)

    return open_usb


class Backoff:
    """How long to wait before trying again: random between 0 and a limit that doubles (full jitter).

    Args:
        first_s: the limit after the first failure.
        longest_s: what the limit never exceeds.
        draw: gives a number from 0 to 1.
    """

    def __init__(
        self, *, first_s: float = 1.0, longest_s: float = 30.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._first_s, self._longest_s, self._draw = first_s, longest_s, draw
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait now."""
        limit = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return float(self._draw() * limit)

    def reset(self) -> None:
        """It worked: begin with short waits next time."""
        self._failures = 0


class _Newest:
    """One place for a frame: a new one replaces the one nobody took."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._frame: Frame | None = None
        self.closed = False

    def put(self, frame: Frame) -> None:
        with self.changed:
            self._frame = frame
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def take(self, timeout_s: float | None) -> Frame | None:
        """The frame, waiting up to `timeout_s`; None if none came or none will."""
        with self.changed:
            self.changed.wait_for(lambda: self._frame is not None or self.closed, timeout_s)
            frame, self._frame = self._frame, None
            return frame

    @property
    def drained(self) -> bool:
        with self.changed:
            return self.closed and self._frame is None


class PacedSource(VideoSource):
    """A recording played at its own rate; frames the reader is late for are dropped, as a camera's would be."""

    def __init__(self, reel: Reel, *, loop: bool = False) -> None:
        self.fps, self.size = reel.fps, reel.size
        self.frame_count = None if loop else reel.frame_count
        self._newest = _Newest()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(reel, loop), name="paced-source", daemon=True)
        self._thread.start()

    def _run(self, reel: Reel, loop: bool) -> None:
        try:
            begun = time.monotonic()
            for frame in numbered(reel, loop=loop):
                ahead = begun + frame.time_s - time.monotonic()
                if ahead < -1.0:  # decoding is too slow, or the machine slept: go on from here, don't race after it
                    begun -= ahead
                if self._stop.wait(max(0.0, ahead)):
                    return
                self._newest.put(frame)
        except CameraError as error:  # the file went away between two rounds
            self._failure = error
        finally:
            self._newest.close()

    def read(self, timeout_s: float | None = None) -> Frame | None:
        """The newest frame not yet given."""
        frame = self._newest.take(timeout_s)
        if frame is None and self._failure is not None:
            raise self._failure
        return frame

    @property
    def ended(self) -> bool:
        """Whether the recording is over and its last frame was taken."""
        return self._newest.drained

    def close(self) -> None:
        """Stop playing."""
        self._stop.set()
        self._newest.close()
        self._thread.join(timeout=5.0)


class LiveSource(VideoSource):
    """A camera, USB or network, read by a thread of its own, for ever.

    Args:
        opener: makes a connection; it may block and may fail.
        name: of the camera, for messages; without a password.
        stall_s: a connected camera that gives nothing for this long is `stalled`, and connected to anew.
        open_s: an attempt to connect that takes longer than this is given up.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        name: str,
        stall_s: float = 5.0,
        open_s: float = 30.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.fps, self.frame_count, self.size = 25.0, None, (0, 0)
        self._opener, self._name = opener, name
        self._stall_s, self._open_s = stall_s, open_s
        self._backoff = backoff or Backoff()
        self._newest = _Newest()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._began: float | None = None
        self._index = 0
        self._state: SourceState = "offline"
        self._message = f"{name}: connecting"
        self._reader = _Reader(self, opener)
        self._reader.start()

    def read(self, timeout_s: float | None = None) -> Frame | None:
        """The newest frame not yet given; also the moment at which a silent stall is noticed."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed.is_set():
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            frame = self._newest.take(max(0.0, left))
            self._watch()
            if frame is not None:
                return frame
            if until is not None and time.monotonic() >= until:
                return None
        return None

    def _watch(self) -> None:
        """Give up a reader that makes no progress, and set another to work."""
        with self._guard:
            if self._closed.is_set() or not self._reader.stuck(self._stall_s, self._open_s):
                return
            self._state = "stalled" if self._reader.connected else "offline"
            self._message = f"{self._name}: nothing arrives; connecting anew"
            self._reader.give_up()
            self._reader = _Reader(self, self._opener)
            self._reader.start()

    def report(self, reader: "_Reader", state: SourceState, problem: str) -> None:
        """A reader says how it does; one that was given up has no say."""
        with self._guard:
            if reader is self._reader:
                # A stall stays a stall until frames come again: that is what the minute's record should say.
                self._state = "stalled" if state == "offline" and self._state == "stalled" else state
                self._message = f"{self._name}: {problem}" if problem else ""

    def describe(self, fps: float, size: tuple[int, int]) -> None:
        """A reader says what kind of pictures come."""
        self.fps, self.size = fps, size

    def deliver(self, reader: "_Reader", image: Image) -> None:
        """A reader hands over a picture."""
        with self._guard:
            if reader is not self._reader or self._closed.is_set():
                return
            now = time.monotonic()
            if self._began is None:
                self._began = now
            frame = Frame(self._index, now - self._began, image)
            self._index += 1
        self._newest.put(frame)

    def pause(self, reader: "_Reader") -> None:
        """Wait before the next attempt."""
        reader.abandoned.wait(self._backoff.next_s())

    def worked(self) -> None:
        """Frames come: forget earlier failures."""
        self._backoff.reset()

    @property
    def ended(self) -> bool:
        """Whether it was closed; a camera never ends by itself."""
        return self._closed.is_set()

    @property
    def state(self) -> SourceState:
        """`ok`, `offline` or `stalled`; a stall is noticed when read."""
        return self._state

    @property
    def message(self) -> str:
        """What is wrong; empty when nothing is."""
        return self._message

    def close(self) -> None:
        """Stop. A thread stuck in the driver is left to end when the driver lets it go."""
        with self._guard:
            self._closed.set()
            self._reader.give_up()
        self._newest.close()
        self._reader.join(timeout=2.0)


class _Reader(threading.Thread):
    """Connects, reads, connects again, until it is given up."""

    def __init__(self, source: LiveSource, opener: Opener) -> None:
        super().__init__(name="camera-reader", daemon=True)
        self._source, self._opener = source, opener
        self.abandoned = threading.Event()
        self.connected = False
        self._waiting = False
        self._progress = time.monotonic()

    def give_up(self) -> None:
        """End as soon as the driver returns."""
        self.abandoned.set()

    def stuck(self, stall_s: float, open_s: float) -> bool:
        """Whether connecting, or the next frame, has taken too long."""
        if self._waiting:
            return False
        return time.monotonic() - self._progress > (stall_s if self.connected else open_s)

    def run(self) -> None:
        """Until given up."""
        while not self.abandoned.is_set():
            self._waiting, self._progress = False, time.monotonic()
            problem = self._connection()
            self.connected, self._waiting = False, True
            self._source.report(self, "offline", f"{problem}; trying again")
            self._source.pause(self)

    def _connection(self) -> str:
        """One connection, from opening to failure; returns what ended it."""
        try:
            capture = self._opener()
        except cv2.error as error:
            return f"can't be opened ({error.code})"
        try:
            if not capture.isOpened():
                return "no answer"
            self._progress, self.connected = time.monotonic(), True
            return self._frames(capture)
        except cv2.error as error:
            return f"failed while reading ({error.code})"
        finally:
            capture.release()

    def _frames(self, capture: Capture) -> str:
        first = True
        while not self.abandoned.is_set():
            found, picture = capture.read()
            if not found:
                return "connected, but no picture comes" if first else "the connection was lost"
            self._progress = time.monotonic()
            image = as_image(picture)
            if first:
                self._source.describe(believable_fps(capture.get(cv2.CAP_PROP_FPS)), (image.shape[1], image.shape[0]))
                self._source.worked()
                self._source.report(self, "ok", "")
                first = False
            self._source.deliver(self, image)
        return "given up"
