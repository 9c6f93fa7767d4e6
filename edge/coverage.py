"""What was really watched: seconds per camera and minute, and why not more.

Without this, "nobody came" and "nobody looked" are the same zero, and a store would be judged by a dead camera. A
second counts as watched if pictures came at short intervals over it and a person could have been seen in them: not in
a frozen stream that repeats itself, not in the dark, not under a jacket hung over the camera.

Pure: times come in with each call, and pictures as a few numbers (see `cameras.gauge`), so that a night is tested in a
millisecond.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from edge.cameras.gauge import FrameStats
from wire.messages import CameraState

_MINUTE: Final = timedelta(minutes=1)
#: No outage is told in one step this long: the clock was set, or the machine slept.
_CLOCK_STEP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class CoverageParams:
    """When a second counts as watched.

    Attributes:
        gap_s: pictures farther apart than this leave a gap that was not watched (seconds).
        dark: brightness below which nobody is seen, unless there is detail.
        covered, covered_share, covered_least: a lens is covered if there is less detail than this share of the
            brightness, but at most and at least so much: in little light a scene has faint edges, a cover fainter.
        covered_s: how long it must be so; someone may pass close by (seconds).
        frozen_s: how long nothing new must be shown (seconds). At low bit rates a living camera before an empty shop
            repeats one picture from key frame to key frame, which are up to 50 s apart.
    """

    gap_s: float = 2.0
    dark: float = 8.0
    covered: float = 8.0
    covered_share: float = 0.15
    covered_least: float = 2.0
    covered_s: float = 3.0
    frozen_s: float = 60.0


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
    """A minute not yet over, or not yet judged."""

    watched_s: float = 0.0
    doubtful_s: float = 0.0
    frames: int = 0
    lost_s: dict[CameraState, float] = field(default_factory=dict)


class CoverageMeter:
    """Adds up what one camera watched.

    Each stretch between two pictures is booked when the second arrives: as watched, as lost to what was wrong, or,
    while a stream only repeats itself, as doubtful until it shows something new or has to be called frozen, so that the
    time before a freeze is noticed is not counted as watched. A minute is closed, and given out once, when a later time
    is seen and nothing in it is in doubt. The process may end within a minute and another begin: each gives a record of
    its part, and the two add up.

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
        #: When something was last shown that had not been shown before.
        self._new_at: datetime | None = None

    def observe(self, stats: FrameStats, at: datetime, frames: int = 1) -> list[CoveredMinute]:
        """A picture was looked at.

        Args:
            stats: of the picture.
            at: when (UTC). A clock that was set back begins a new stretch, so nothing is counted twice within it.
            frames: how many were looked at since the last time, this one included.

        Returns:
            Minutes that are over, in order.
        """
        if at < self._upto:
            self._upto, self._last_frame, self._new_at = at, None, None
        gap = None if self._last_frame is None else (at - self._last_frame).total_seconds()
        state = self._judge(stats, at)
        if gap is not None and gap <= self._params.gap_s:
            self._book(at, state)
        else:
            self._interrupted(at)
            self._new_at = at
        self._last_frame, self._trouble = at, "stalled"
        self._minute(at).frames += frames
        return self._close(at)

    def trouble(self, state: Literal["offline", "stalled"]) -> None:
        """Why no pictures come now; without a word it is `offline` before the first picture and `stalled` after."""
        self._trouble = state

    def closed(self) -> None:
        """The camera is closed: up to its next picture nobody looks, however soon that comes."""
        self._last_frame, self._trouble = None, "offline"

    def tick(self, now: datetime) -> list[CoveredMinute]:
        """Time goes on, with or without pictures; call it about once a second.

        Args:
            now: the time (UTC).

        Returns:
            Minutes that are over, in order.
        """
        limit = timedelta(seconds=self._params.gap_s)
        if now > self._upto and (self._last_frame is None or now - self._last_frame > limit):
            self._interrupted(now)
        # A minute stays open while the stretch over its end may still turn out to have been watched.
        return self._close(min(now, self._upto) if self._last_frame is not None else now)

    def finish(self, now: datetime) -> list[CoveredMinute]:
        """Looking ends: all that is left, the last minute unfinished."""
        done = self.tick(now)
        self._resolve("ok")
        return done + self._close(now + _MINUTE)

    def _judge(self, stats: FrameStats, at: datetime) -> CameraState | Literal["doubt"]:
        """How the stretch up to this picture was watched; settles what was in doubt if it can be."""
        p = self._params
        if not stats.seen_before or self._new_at is None:
            self._new_at = at
            self._resolve("ok")
        frozen = (at - self._new_at).total_seconds() >= p.frozen_s
        if frozen:
            self._resolve("frozen")
        plain = stats.detail < min(p.covered, max(p.covered_least, p.covered_share * stats.brightness))
        self._plain_since = (self._plain_since or at) if plain else None
        if plain and stats.brightness < p.dark:
            return "dark"
        if self._plain_since is not None and (at - self._plain_since).total_seconds() >= p.covered_s:
            return "covered"
        if not stats.seen_before:
            return "ok"
        return "frozen" if frozen else "doubt"

    def _interrupted(self, until: datetime) -> None:
        """No pictures came up to `until`; what was in doubt before has to be settled, or it would wait for them."""
        self._resolve("ok")
        self._new_at = None
        self._book(until, self._trouble)

    def _resolve(self, state: Literal["ok", "frozen"]) -> None:
        """What was in doubt is known."""
        for part in self._open.values():
            if state == "ok":
                part.watched_s += part.doubtful_s
            elif part.doubtful_s:
                part.lost_s[state] = part.lost_s.get(state, 0.0) + part.doubtful_s
            part.doubtful_s = 0.0

    def _book(self, until: datetime, state: CameraState | Literal["doubt"]) -> None:
        """Book the time since the last booking, minute by minute."""
        if until - self._upto > _CLOCK_STEP:
            self._upto = until
        for minute, seconds in _pieces(self._upto, until):
            part = self._open.setdefault(minute, _Open())
            if state == "ok":
                part.watched_s += seconds
            elif state == "doubt":
                part.doubtful_s += seconds
            else:
                part.lost_s[state] = part.lost_s.get(state, 0.0) + seconds
        self._upto = max(self._upto, until)

    def _minute(self, at: datetime) -> _Open:
        return self._open.setdefault(_start(at), _Open())

    def _close(self, now: datetime) -> list[CoveredMinute]:
        doubted = min((minute for minute, part in self._open.items() if part.doubtful_s), default=now)
        over = sorted(minute for minute in self._open if minute + _MINUTE <= now and minute < doubted)
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
