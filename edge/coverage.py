"""What was really watched: seconds per camera and minute, and why not more.

Without this, "nobody came" and "nobody looked" are the same zero, and a store would be judged by a dead camera. A
second counts as watched if pictures came at short intervals over it and a person could have been seen in them: not in
a frozen stream that repeats one picture, not in the dark, not under a jacket hung over the camera.

Pure: times come in with each call, and pictures as three numbers (see `Gauge`), so that a night can be tested in a
millisecond.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from wire.messages import CameraState

_MINUTE: Final = timedelta(minutes=1)
_GAUGE_WIDTH: Final = 96
_DETAIL_EVERY: Final = 10
#: No outage is told in one step this long: the clock was set, or the machine slept.
_CLOCK_STEP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class FrameStats:
    """A picture in three numbers, each in grey levels of 255.

    Attributes:
        brightness: mean.
        detail: its sharpest edges (99th percentile of steps within 3x3 pixels of the picture made small and soft). A
            plain floor has a few somewhere, a covered lens none. Taken anew with every tenth picture.
        change: mean difference to the picture before; exactly 0 only in a repeated picture, for every camera has
            noise. None for the first.
    """

    brightness: float
    detail: float
    change: float | None


class Gauge:
    """Measures pictures; keeps a small copy of the last."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._count = 0
        self._detail = 0.0

    def measure(self, image: NDArray[np.uint8]) -> FrameStats:
        """Statistics of a picture, BGR uint8, shape (height, width, 3); about 0.05 ms.

        Single pixels are picked rather than averaged, or noise, by which a live picture is known from a repeated one,
        would be averaged away.
        """
        step = max(1, image.shape[1] // _GAUGE_WIDTH)
        grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(image[::step, ::step]), cv2.COLOR_BGR2GRAY), np.uint8)
        before, self._before = self._before, grey
        change = None
        if before is not None and before.shape == grey.shape:
            change = cv2.norm(grey, before, cv2.NORM_L1) / grey.size
        if change is None or self._count % _DETAIL_EVERY == 0:
            self._detail = _detail(grey)
        self._count += 1
        return FrameStats(float(cv2.mean(grey)[0]), self._detail, change)


def _detail(grey: NDArray[np.uint8]) -> float:
    soft = cv2.blur(grey, (5, 5))
    steps = cv2.morphologyEx(soft, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return float(np.percentile(steps, 99))


@dataclass(frozen=True, slots=True)
class CoverageParams:
    """When a second counts as watched.

    Attributes:
        gap_s: pictures farther apart than this leave a gap that was not watched (seconds).
        dark: brightness below which nobody is seen, unless there is detail.
        covered: detail below which the lens is covered.
        covered_s: how long it must be so; someone may pass close by (seconds).
        frozen: change at or below which a picture is a repetition.
        frozen_s: how long only repetitions must come: some cameras send whole seconds of them at night (seconds).
    """

    gap_s: float = 2.0
    dark: float = 8.0
    covered: float = 8.0
    covered_s: float = 3.0
    frozen: float = 0.0
    frozen_s: float = 20.0


@dataclass(frozen=True, slots=True)
class CoveredMinute:
    """How one minute was watched.

    Attributes:
        camera: its id.
        minute: its start (UTC).
        seconds: watched, 0 to 60, to a tenth.
        frames: looked at.
        state: `ok` if all of it was watched, else the reason for most of what was not.
    """

    camera: str
    minute: datetime
    seconds: float
    frames: int
    state: CameraState


@dataclass(slots=True)
class _Open:
    """A minute not yet over."""

    watched_s: float = 0.0
    frames: int = 0
    lost_s: dict[CameraState, float] = field(default_factory=dict)


class CoverageMeter:
    """Adds up what one camera watched.

    Each stretch between two pictures is booked when the second arrives: as watched, or as lost to what was wrong. A
    minute is closed, and given out once, when a later time is seen. The process may end within a minute and another
    begin: each gives a record of its part, and the two add up.

    Args:
        camera: its id.
        began: when looking began (UTC); what was before it in its minute counts as offline.
    """

    def __init__(self, camera: str, *, began: datetime, params: CoverageParams | None = None) -> None:
        self._camera = camera
        self._params = params or CoverageParams()
        self._upto = began
        self._last_frame: datetime | None = None
        self._open: dict[datetime, _Open] = {}
        self._trouble: Literal["offline", "stalled"] = "offline"
        self._plain_since: datetime | None = None
        self._same_since: datetime | None = None

    def observe(self, stats: FrameStats, at: datetime) -> list[CoveredMinute]:
        """A picture was looked at.

        Args:
            stats: of the picture.
            at: when (UTC). A clock that was set back begins a new stretch, so nothing is counted twice within it.

        Returns:
            Minutes that are over, in order.
        """
        if at < self._upto:
            self._upto, self._last_frame = at, None
        gap = None if self._last_frame is None else (at - self._last_frame).total_seconds()
        state = self._judge(stats, at)
        if gap is not None and gap <= self._params.gap_s:
            self._book(at, state)
        else:
            self._book(at, self._trouble)
        self._last_frame, self._trouble = at, "stalled"
        self._minute(at).frames += 1
        return self._close(at)

    def trouble(self, state: Literal["offline", "stalled"]) -> None:
        """Why no pictures come now; without a word it is `offline` before the first picture and `stalled` after."""
        self._trouble = state

    def tick(self, now: datetime) -> list[CoveredMinute]:
        """Time goes on, with or without pictures; call it about once a second.

        Args:
            now: the time (UTC).

        Returns:
            Minutes that are over, in order.
        """
        limit = timedelta(seconds=self._params.gap_s)
        if now > self._upto and (self._last_frame is None or now - self._last_frame > limit):
            self._book(now, self._trouble)
        # A minute stays open while the stretch over its end may still turn out to have been watched.
        return self._close(min(now, self._upto) if self._last_frame is not None else now)

    def finish(self, now: datetime) -> list[CoveredMinute]:
        """Looking ends: all that is left, the last minute unfinished."""
        done = self.tick(now)
        return done + self._close(now + _MINUTE)

    def _judge(self, stats: FrameStats, at: datetime) -> CameraState:
        p = self._params
        repeated = stats.change is not None and stats.change <= p.frozen
        self._same_since = (self._same_since or self._last_frame or at) if repeated else None
        plain = stats.detail < p.covered
        self._plain_since = (self._plain_since or at) if plain else None
        if self._same_since is not None and (at - self._same_since).total_seconds() >= p.frozen_s:
            return "frozen"
        if plain and stats.brightness < p.dark:
            return "dark"
        if self._plain_since is not None and (at - self._plain_since).total_seconds() >= p.covered_s:
            return "covered"
        return "ok"

    def _book(self, until: datetime, state: CameraState) -> None:
        """Book the time since the last booking, minute by minute."""
        if until - self._upto > _CLOCK_STEP:
            self._upto = until
        for minute, seconds in _pieces(self._upto, until):
            part = self._open.setdefault(minute, _Open())
            if state == "ok":
                part.watched_s += seconds
            else:
                part.lost_s[state] = part.lost_s.get(state, 0.0) + seconds
        self._upto = max(self._upto, until)

    def _minute(self, at: datetime) -> _Open:
        return self._open.setdefault(_start(at), _Open())

    def _close(self, now: datetime) -> list[CoveredMinute]:
        over = sorted(minute for minute in self._open if minute + _MINUTE <= now)
        return [self._record(minute, self._open.pop(minute)) for minute in over]

    def _record(self, minute: datetime, part: _Open) -> CoveredMinute:
        seconds = min(60.0, round(part.watched_s, 1))
        state: CameraState = "ok"
        if seconds < 60.0:
            # What nobody accounts for, before looking began or after it ended, is a box that was not running.
            state = max(part.lost_s, key=part.lost_s.__getitem__, default="offline")
        return CoveredMinute(self._camera, minute, seconds, part.frames, state)


def _start(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _pieces(begin: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """The stretch cut at minutes: each minute's start and the seconds in it."""
    while begin < end:
        minute = _start(begin)
        stop = min(end, minute + _MINUTE)
        yield minute, (stop - begin).total_seconds()
        begin = stop
