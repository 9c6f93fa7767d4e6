"""One camera's thread: frames through the pipeline, crossings and watched minutes into the outbox, for ever.

Whatever fails here, a driver, a model, a file that went away, must cost this camera its pictures and nothing else: the
thread notes it, says so in coverage and status, and begins again after a pause that grows.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from edge.answering.memory import Memory
from edge.backoff import Backoff
from edge.camera import CameraError, VideoSource, open_source, redact
from edge.cameras.sources import FALLBACK_FPS
from edge.clock import Clock
from edge.config import check_counts
from edge.detectors import DetectorError, detector_for
from edge.fairness import FairGate, Member
from edge.geometry import LineError
from edge.models import Crossing, Detector, Frame
from edge.outbox import Outbox
from edge.pipeline import Pipeline, camera_pipeline
from edge.remote.trial import Proof
from edge.resume import Resumed
from edge.settings import CameraSettings, ConfigError
from edge.timeline import CoverageLog, LiveTimeline, Marks, RecordedTimeline, Timeline, no_marks
from wire.messages import CameraState, CameraStatus

log = logging.getLogger(__name__)

#: Characters of what is said of a camera: a status has a largest size, and a library's error may be pages long.
_LONGEST: Final = 1000
#: How long a read may wait before coverage is told that time goes on (seconds).
_READ_S: Final = 0.5
#: A camera that ran this long begins with short pauses again when it fails (seconds).
_WORKED_S: Final = 60.0
_SAME_SHAPE: Final = 0.01
#: Without a picture for this long (seconds) nobody is still followed, and what waits for the end of a track is due.
_OVER_S: Final = 3.0
#: Other settings wait so long (seconds) for a picture in which nobody is followed.
_QUIET_S: Final = 15.0
#: What people, not programmers, can mend: said in one line, without a traceback.
_KNOWN: Final = (CameraError, ConfigError, DetectorError, LineError)

OpenSource = Callable[[CameraSettings], VideoSource]
MakeDetector = Callable[[CameraSettings], Detector]


def open_camera(settings: CameraSettings) -> VideoSource:
    """A camera's source: a recording with a known start as fast as it goes, all else in real time."""
    return open_source(settings.source, loop=settings.loop, realtime=settings.starts_at is None, view=settings.view)


class CameraWorker:
    """Counts one camera until stopped, or until its recording ends."""

    def __init__(
        self,
        settings: CameraSettings,
        outbox: Outbox,
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
        open_with: OpenSource = open_camera,
        backoff: Backoff | None = None,
        turns: Member | None = None,
        detect_with: MakeDetector = detector_for,
    ) -> None:
        """Nothing runs yet.

        Args:
            settings: the camera and its lines.
            outbox: takes crossings and minutes.
            clock: dates what has no known start.
            on_change: called when the status changed.
            open_with: opens the source.
            backoff: between attempts after a failure.
            turns: when to use the processor; whenever it likes when left out.
            detect_with: makes the detector.
        """
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._on_change = on_change
        self._open = open_with
        self._detect_with = detect_with
        self._backoff = backoff or Backoff(2.0, 60.0)
        self._turns = turns or FairGate().member()
        self._stop = threading.Event()
        self._timeline: Timeline | None = None
        self._coverage: CoverageLog | None = None
        self._detector: Detector | None = None
        self._pipeline: Pipeline | None = None
        self._shape = 0.0
        self._counted_s = 0.0
        self._looked_at = 0.0
        self._resumed: Resumed | None = None
        self._state: CameraState = "offline"
        self._message = "starting"
        self._refused = False
        self._said: set[str] = set()
        self._rate = _Rate()
        #: Where people were in the last minute, for whoever asks.
        self.memory = Memory()
        # Settings and their proof change hands together, or another's proof would speak for them.
        self._handing = threading.Lock()
        self._proof = Proof()
        self._wanted: tuple[CameraSettings, Proof] | None = None
        self._wanted_by = 0.0
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"camera-{settings.id}", daemon=True)
        #: Set when a recording was counted to its end.
        self.ended = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits for it."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    @property
    def settings(self) -> CameraSettings:
        """What it was given last; in use at once, or as soon as nobody is in the middle of crossing."""
        with self._handing:
            return self._settings if self._wanted is None else self._wanted[0]

    @property
    def proof(self) -> Proof:
        """How it does with the settings it was given last; a new one with each."""
        with self._handing:
            return self._proof if self._wanted is None else self._wanted[1]

    @property
    def watching(self) -> bool:
        """Whether pictures come now."""
        return self._state not in ("offline", "stalled")

    def reconfigure(self, settings: CameraSettings) -> None:
        """Count by other settings of the same camera. Whoever is being followed is counted by the old ones first.

        The switch waits for a picture in which nobody is followed, and no longer than some seconds: then what is
        decided is given out, and who is on the line is followed anew. The stream is opened again only where other
        pictures are wanted, or another detector.
        """
        self._turns.weight = settings.target_fps or FALLBACK_FPS
        self._wanted_by = time.monotonic() + _QUIET_S
        with self._handing:
            self._wanted = (settings, Proof(over=self.ended.is_set()))

    @property
    def status(self) -> CameraStatus:
        """How it does now."""
        return CameraStatus(
            camera=self._settings.id,
            state=self._state,
            fps=0.0 if self._state in ("offline", "stalled") else round(self._rate.value, 1),
            message=self._message if len(self._message) <= _LONGEST else f"{self._message[: _LONGEST - 1]}…",
            refused=self._refused,
        )

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self._take_over()
                if self._watch():
                    continue
            except Exception as error:  # noqa: BLE001 - no failure of one camera may end its thread; it is logged
                failures = 1 if time.monotonic() - begun > _WORKED_S else failures + 1
                self._failed(error, failures)
                continue
            if not self._stop.is_set():
                self._become("offline", "the recording has ended")
                log.info("%s: the recording has ended", self._settings.id)
                self.ended.set()
                self.proof.over = True
                return
        self._finish_coverage()

    def _watch(self) -> bool:
        """Read until the source ends or we are stopped; True where it is to be opened anew, for other settings.

        Raises:
            CameraError, ConfigError, DetectorError, LineError: what a person can mend.
        """
        settings = self._settings
        if settings.starts_at is None:
            self._tie(LiveTimeline(self._clock))
        check_counts(settings, "camera")
        self._detector = self._detect_with(settings)
        with self._open(settings) as source:
            if settings.starts_at is not None:
                self._resume(settings.starts_at, source)
            try:
                anew = self._read(source)
            finally:
                self._settle()
                if self._coverage is not None and settings.starts_at is None:
                    # However soon it is open again: a recording waits for us meanwhile, a shop does not.
                    self._coverage.closed()
        if not anew and not self._stop.is_set():
            self._finish_coverage()
        return anew

    def _resume(self, starts_at: datetime, source: VideoSource) -> None:
        """Go on with a recording where it was left: by a failure just now, or when the box was last switched off."""
        if self._resumed is None:
            self._resumed = Resumed(self._settings, starts_at, self._outbox)
            self._counted_s = self._resumed.look_from_s
        source.skip_to(self._counted_s)
        timeline = RecordedTimeline(starts_at, source.fps, begin_s=self._resumed.upto_s)
        self._tie(timeline, marks=self._marks)

    def _marks(self, upto_s: float) -> Mapping[str, int]:
        """How far a recording was watched, and since when something in it is not decided."""
        open_s = None if self._pipeline is None else self._pipeline.undecided_since
        return {} if self._resumed is None else self._resumed.marks(upto_s, open_s)

    def _tie(self, timeline: Timeline, *, marks: Marks = no_marks) -> None:
        """Begin to date what is seen, once: a failure in between must not begin it again."""
        if self._timeline is None:
            self._timeline = timeline
            loops = self._settings.loop
            self._coverage = CoverageLog(self._settings.id, self._outbox, timeline, marks=marks, loops=loops)

    def _read(self, source: VideoSource) -> bool:
        """Whether it ends because other settings want the source opened anew."""
        while not self._stop.is_set():
            # Whoever is in the middle of crossing is waited for, and not for ever.
            if not (self._busy and time.monotonic() < self._wanted_by) and self._take_over():
                return True
            frame = source.read(_READ_S)
            if frame is None:
                if source.ended:
                    return False
                self._nothing(source)
                continue
            if frame.time_s < self._counted_s:
                continue
            if self._resumed is not None:
                # A recording that is opened again after a failure goes on where it was, or people count twice.
                self._counted_s = math.nextafter(frame.time_s, math.inf)
            self._rate.count()
            with self._turns.turn():
                self._look(frame)
        return False

    def _take_over(self) -> bool:
        """From here on by the settings wanted, if others are. Whether the source is to be opened anew for them."""
        if self._wanted is None:
            return False
        self._settle()
        with self._handing:
            before = self._settings
            self._settings, self._proof = self._wanted
            self._wanted = None
        log.info("%s: counts by other settings now", self._settings.id)
        return _opened_anew(before, self._settings)

    def _look(self, frame: Frame) -> None:
        self._looked_at = time.monotonic()
        if self._pipeline is None or abs(frame.aspect - self._shape) > _SAME_SHAPE:
            # A camera whose picture changed its shape sees other distances: what was followed ends here.
            self._settle()
            assert self._detector is not None  # noqa: S101 - for the type checker
            self._shape = frame.aspect
            self._pipeline = camera_pipeline(self._detector, self._settings, frame.aspect)
            self.memory.begin(self._settings, frame.aspect)
            log.info("%s: watching", self._settings.id)
        again = self._resumed is not None and frame.time_s < self._resumed.upto_s
        if self._timeline is not None and not again:
            self._timeline.seen(frame)
        step = self._pipeline.step(frame)
        self._busy = any(track.confirmed for track in step.tracks)
        self._keep(step.crossings)
        self.memory.saw(frame, step, None if self._timeline is None else self._timeline.at(frame.time_s).at)
        self._proof.pictures += 1
        self._proof.trouble = ""
        if self._coverage is not None and not again:
            self._coverage.observe(frame, frame.time_s)
            self._become(self._coverage.state if self._coverage.state in ("dark", "covered", "frozen") else "ok", "")

    def _nothing(self, source: VideoSource) -> None:
        """No picture came in time: coverage says why."""
        if source.state != "ok":
            if time.monotonic() - self._looked_at > _OVER_S:
                # Who was in the picture is not to wait on this box for the camera's return, all night perhaps.
                self._settle()
            self._become(source.state, source.message, refused=source.refused)
            if self._coverage is not None:
                self._coverage.trouble(source.state)
        if self._coverage is not None:
            self._coverage.tick()

    def _keep(self, crossings: Iterable[Crossing]) -> None:
        assert self._timeline is not None  # noqa: S101 - for the type checker
        for each in crossings if self._resumed is None else self._resumed.news(crossings):
            when = self._timeline.at(each.time_s)
            self._outbox.append_crossing(self._settings.id, each, when, counted_again=self._resumed is not None)
            clock = "undated" if when.at is None else f"{when.at.astimezone(UTC):%H:%M:%S}Z"
            log.info("%s: %s over %s (%s)", self._settings.id, each.direction, each.line_id, clock)

    def _settle(self) -> None:
        """Crossings that were still to be decided when the stream ended."""
        pipeline, self._pipeline, self._busy = self._pipeline, None, False
        if pipeline is not None:
            self._keep(pipeline.finish())

    def _finish_coverage(self) -> None:
        coverage, self._coverage = self._coverage, None
        self._timeline = None
        if coverage is not None:
            coverage.finish()

    def _failed(self, error: Exception, failures: int) -> None:
        """Say what happened and wait, while coverage goes on saying that nobody looks."""
        text = redact(str(error)) if isinstance(error, _KNOWN) else f"unexpected: {error!r}"
        # Settings that could never count are not tried again: others must come.
        pause = math.inf if isinstance(error, ConfigError) else max(1.0, self._backoff.delay(failures))
        after = "Waiting for other settings." if pause == math.inf else f"Trying again in {pause:.0f} s."
        log.error("%s: %s %s", self._settings.id, text, after, exc_info=None if isinstance(error, _KNOWN) else error)
        self._become("offline", text)
        # No picture may be the camera's fault or the network's; anything else is the settings'.
        self._proof.trouble = text
        self._proof.fault = "" if isinstance(error, CameraError) else text
        live = self._settings.starts_at is None
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0 and self._wanted is None and not self._stop.wait(min(1.0, left)):
            if live and self._coverage is not None:
                self._coverage.trouble("offline")
                self._coverage.tick()

    def _become(self, state: CameraState, message: str, *, refused: bool = False) -> None:
        if (state, message, refused) == (self._state, self._message, self._refused):
            return
        if state == "ok":
            self._said.clear()
        if state != self._state or (message and message not in self._said):
            # Each reason once while it lasts: the one that says what to mend may not be the first.
            log.log(
                logging.ERROR if refused else logging.INFO,
                "%s: %s%s",
                self._settings.id,
                state,
                f" ({message})" if message else "",
            )
            self._said.add(message)
        self._state, self._message, self._refused = state, message, refused
        self._on_change()


def _opened_anew(before: CameraSettings, wanted: CameraSettings) -> bool:
    """Whether more changes than what is drawn on the picture: the pictures, who finds people in them, or all of it."""
    if before.counts != wanted.counts:
        return True
    drawn = {field: getattr(wanted, field) for field in ("line", "zone", "tag", "size", "counting")}
    return msgspec.structs.replace(before, **drawn) != wanted


class _Rate:
    """Frames per second, over the last seconds."""

    def __init__(self) -> None:
        self.value = 0.0
        self._since = time.monotonic()
        self._count = 0

    def count(self) -> None:
        """Another frame was looked at."""
        self._count += 1
        passed = time.monotonic() - self._since
        if passed >= 5.0 or (self.value == 0.0 and passed >= 0.5):
            self.value, self._count, self._since = self._count / passed, 0, time.monotonic()
