"""Live sources: a thread that keeps only the newest frame, comes back by itself, and is watched.

Three ways in which a camera fails without saying so shaped this file. A reader that queues frames watches the door as
it was a minute ago: here a frame not taken in time is replaced. A stream may stall without an error, and OpenCV then
sits in its read for several time-outs: the thread that reads is given up by its watcher and another takes over. And a
hundred boxes that lost one switch must not all come back in the same second: each waits a random while.

A camera that refuses the password is another matter. Trying again changes nothing, and many lock out whoever tries too
often, the right user too: so it is said what to mend, and tried rarely.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import cv2

from edge.backoff import Backoff
from edge.cameras.connect import Capture, Opener, Reason
from edge.cameras.sources import FALLBACK_FPS, CameraError, Reel, SourceState, VideoSource, believable_fps, chosen
from edge.cameras.view import Cadence, Image, View, shaped
from edge.models import Frame

#: A camera that can't be opened is asked why at most so often (seconds).
_ASK_AGAIN_S: Final = 15.0
#: Pauses after a refused password (seconds), the last for all further ones. Twice an hour or so is below what locks.
REFUSED_S: Final = (60.0, 300.0, 1800.0)


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

    def __init__(self, reel: Reel, *, loop: bool = False, view: View | None = None) -> None:
        view = view or View()
        self.fps, self.size = reel.fps, view.size(reel.size)
        self.frame_count = None if loop else reel.frame_count
        self._newest = _Newest()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(reel, loop, view), name="paced-source", daemon=True)
        self._thread.start()

    def _run(self, reel: Reel, loop: bool, view: View) -> None:
        try:
            begun = time.monotonic()
            for frame in chosen(reel, loop=loop, view=view):
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
        view: how often, how large and which way up.
        explain: says why a connection can't be made; asked after each that failed, it may block for some seconds.
        stall_s: a connected camera that gives nothing for this long is `stalled`, and connected to anew.
        open_s: an attempt to connect that takes longer than this is given up.
        worked_s: a connection that gave pictures for so long has worked; one that breaks sooner counts as another
            failure, or a camera that breaks with its second picture would be asked without a pause.
        backoff: between attempts.
        refused_s: pauses instead of it after each refused user name or password, the last for all further ones.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        name: str,
        view: View | None = None,
        explain: Callable[[], Reason] | None = None,
        stall_s: float = 5.0,
        open_s: float = 30.0,
        worked_s: float = 5.0,
        backoff: Backoff | None = None,
        refused_s: Sequence[float] = REFUSED_S,
    ) -> None:
        self.fps, self.frame_count, self.size = FALLBACK_FPS, None, (0, 0)
        self.view, self.opener = view or View(), opener
        self._explain, self._asked = explain, 0.0
        self._reason: Reason | None = None
        self._refused_s, self._refusals = refused_s, 0
        self.worked_s = worked_s
        self._name = name
        self._stall_s, self._open_s = stall_s, open_s
        self._backoff, self._failures = backoff or Backoff(1.0, 30.0), 0
        self._newest = _Newest()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._began: float | None = None
        self._index = 0
        self._state: SourceState = "offline"
        #: What is wrong, and what is done next.
        self._said = ("", "connecting")
        self._reader = _Reader(self)
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
            self._said = ("nothing arrives", "connecting anew")
            self._reader.give_up()
            self._reader = _Reader(self)
            self._reader.start()

    def report(self, reader: "_Reader", state: SourceState, problem: str, following: str = "") -> None:
        """A reader says how it does, and what it does next; one that was given up has no say."""
        with self._guard:
            if reader is self._reader:
                # A stall stays a stall until frames come again: that is what the minute's record should say.
                self._state = "stalled" if state == "offline" and self._state == "stalled" else state
                self._said = (problem, following)

    def let_in(self) -> None:
        """The stream opened: what was said of the password holds no longer."""
        if self.refused:
            self._reason, self._refusals = None, 0

    def answered(self) -> None:
        """A picture came: what was wrong before is wrong no longer."""
        self._reason = None

    def describe(self, fps: float, size: tuple[int, int]) -> None:
        """A reader says what kind of pictures come."""
        self.fps, self.size = fps, size

    def reached(self, reader: "_Reader", now: float) -> tuple[int, float] | None:
        """A picture arrived: its number and its time on the stream's clock.

        None when the reader was given up meanwhile.

        Args:
            reader: whose picture it is.
            now: monotonic seconds at which it arrived.
        """
        with self._guard:
            if reader is not self._reader or self._closed.is_set():
                return None
            if self._began is None:
                self._began = now
            number, self._index = self._index, self._index + 1
            return number, now - self._began

    def deliver(self, reader: "_Reader", frame: Frame) -> None:
        """A reader hands over a picture."""
        with self._guard:
            if reader is not self._reader or self._closed.is_set():
                return
        self._newest.put(frame)

    def pause(self) -> float:
        """Seconds until the next attempt."""
        if self.refused:
            longest = self._refused_s[min(self._refusals, len(self._refused_s) - 1)]
            self._refusals += 1
            return longest * (0.8 + 0.2 * self._backoff.draw())
        wait_s = self._backoff.delay(self._failures)
        self._failures += 1
        return wait_s

    def why(self) -> str:
        """Why the last attempt failed; the camera is asked at most every so often, for some lock who asks too much."""
        now = time.monotonic()
        if self._explain is None:
            return "no answer"
        if self._reason is None or now - self._asked >= _ASK_AGAIN_S:
            self._asked, self._reason = now, self._explain()
            if not self._reason.refused:
                self._refusals = 0
        return self._reason.text

    @property
    def refused(self) -> bool:
        """Whether the camera does not take our user name or password."""
        return self._reason is not None and self._reason.refused

    def worked(self) -> None:
        """A connection has held: forget earlier failures."""
        self._failures = 0

    @property
    def ended(self) -> bool:
        """Whether it was closed; a camera never ends by itself."""
        return self._closed.is_set()

    @property
    def state(self) -> SourceState:
        """`ok`, `offline` or `stalled`; a stall is noticed when read."""
        return self._state

    @property
    def problem(self) -> str:
        """See `VideoSource.problem`."""
        problem, _ = self._said
        return f"{self._name}: {problem}" if problem else ""

    @property
    def message(self) -> str:
        """See `VideoSource.message`."""
        said = "; ".join(filter(None, self._said))
        return f"{self._name}: {said}" if said else ""

    def close(self) -> None:
        """Stop. A thread stuck in the driver is left to end when the driver lets it go."""
        with self._guard:
            self._closed.set()
            self._reader.give_up()
        self._newest.close()
        self._reader.join(timeout=2.0)


class _Reader(threading.Thread):
    """Connects, reads, connects again, until it is given up."""

    def __init__(self, source: LiveSource) -> None:
        super().__init__(name="camera-reader", daemon=True)
        self._source = source
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
            pause_s = self._source.pause()
            when = f" in {pause_s / 60:.0f} minutes" if pause_s > 90 else ""
            self._source.report(self, "offline", problem, f"trying again{when}")
            self.abandoned.wait(pause_s)

    def _connection(self) -> str:
        """One connection, from opening to failure; returns what ended it."""
        try:
            capture = self._source.opener()
        except cv2.error as error:
            return f"can't be opened ({error.code})"
        try:
            if not capture.isOpened():
                return self._source.why()
            self._progress, self.connected = time.monotonic(), True
            self._source.let_in()
            return self._frames(capture)
        except cv2.error as error:
            return f"failed while reading ({error.code})"
        finally:
            capture.release()

    def _frames(self, capture: Capture) -> str:
        fps = believable_fps(capture.get(cv2.CAP_PROP_FPS))
        cadence = Cadence(self._source.view.target_fps, fps)
        begun: float | None = None
        held = False
        while not self.abandoned.is_set():
            if not capture.grab():
                return "connected, but no picture comes" if begun is None else "the connection was lost"
            self._progress = now = time.monotonic()
            place = self._source.reached(self, now)
            if place is None:
                break
            # Most of what a picture costs beyond decoding is its conversion: one that is not wanted has none.
            if cadence.takes(place[1]):
                found, picture = capture.retrieve()
                if not found:
                    return "a picture could not be decoded"
                image = shaped(picture, self._source.view)
                if begun is None:
                    begun = now
                    self._first(image, fps)
                self._source.deliver(self, Frame(*place, image))
            if begun is not None and not held and now - begun >= self._source.worked_s:
                held = True
                self._source.worked()
        return "given up"

    def _first(self, image: Image, fps: float) -> None:
        self._source.answered()
        self._source.describe(fps, (image.shape[1], image.shape[0]))
        self._source.report(self, "ok", "")
