"""When a frame was, in the box's own time, and which minutes were watched.

A stream has its own seconds; the box has uptime and, if it is lucky, UTC. The traps: a crossing becomes certain some
frames after it happened, so the moment of a log line is not its date; and a box that learns the time in the middle of a
minute must not see a gap of fifty years in what it watched.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from edge.cameras.gauge import Gauge
from edge.clock import Clock, Moment, moment
from edge.coverage import CoverageMeter, CoveredMinute
from edge.models import Frame
from edge.outbox import Outbox
from edge.outbox.dating import micros, placeholder
from wire.messages import CameraState

#: A stream whose seconds fell this far behind the box's was paused or replayed; it is tied anew.
_RETIE_S: Final = 2.0
_MINUTE: Final = timedelta(minutes=1)
#: Pictures are judged this often (seconds of the stream): what blinds a camera lasts longer.
_JUDGE_S: Final = 0.19


#: Gives names and numbers to be kept, for how far a stream was watched (seconds).
Marks = Callable[[float], Mapping[str, int]]


def no_marks(upto_s: float) -> Mapping[str, int]:  # noqa: ARG001 - a live camera's past can't come twice
    """Nothing to be kept."""
    return {}


class Timeline(Protocol):
    """Puts a stream's seconds into the box's time."""

    def seen(self, frame: Frame) -> None:
        """A frame was just read."""
        ...

    def at(self, time_s: float) -> Moment:
        """When the stream stood at `time_s`."""
        ...

    def now(self) -> Moment:
        """The present, as this stream knows it."""
        ...

    def zero(self) -> datetime | None:
        """What the dates are counted from; another value means that they jumped. None while there are none."""
        ...


class LiveTimeline:
    """A stream that runs with the clock: a camera, or a file paced like one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset: float | None = None

    def seen(self, frame: Frame) -> None:
        """Tie the stream's seconds to uptime by the frame that was least delayed on its way here."""
        offset = self._clock.uptime() - frame.time_s
        if self._offset is None or offset < self._offset or offset - self._offset > _RETIE_S:
            self._offset = offset

    def at(self, time_s: float) -> Moment:
        """See `Timeline.at`."""
        uptime = self._clock.uptime() if self._offset is None else self._offset + time_s
        zero = self._clock.zero()
        return Moment(uptime, None if zero is None else zero + timedelta(seconds=uptime))

    def now(self) -> Moment:
        """See `Timeline.now`."""
        return moment(self._clock)

    def zero(self) -> datetime | None:
        """See `Timeline.zero`."""
        return self._clock.zero()


class RecordedTimeline:
    """A recording with a known start, read as fast as it goes: the box's clock has no say."""

    def __init__(self, starts_at: datetime, fps: float, *, begin_s: float = 0.0) -> None:
        """Args: the recording's start (UTC), its rate, and how far into it looking begins (seconds)."""
        self._starts_at = starts_at
        self._frame_s = 1.0 / fps
        self._until = begin_s

    def seen(self, frame: Frame) -> None:
        """The recording has come as far as this frame's end."""
        self._until = frame.time_s + self._frame_s

    def at(self, time_s: float) -> Moment:
        """See `Timeline.at`."""
        return Moment(time_s, self._starts_at + timedelta(seconds=time_s))

    def now(self) -> Moment:
        """See `Timeline.now`."""
        return self.at(self._until)

    def zero(self) -> datetime | None:
        """See `Timeline.zero`."""
        return self._starts_at


class CoverageLog:
    """Minutes watched of one camera, into the outbox, whatever the clock does meanwhile."""

    def __init__(
        self, camera: str, outbox: Outbox, timeline: Timeline, *, marks: Marks = no_marks, loops: bool = False
    ) -> None:
        """Nothing is watched yet.

        Args:
            camera: its id.
            outbox: takes the minutes.
            timeline: dates them.
            marks: what the outbox is to keep with each minute of a stream that may come a second time: given how far it
                was watched (seconds).
            loops: the stream is a recording that is played again and again.
        """
        self._camera = camera
        self._outbox = outbox
        self._timeline = timeline
        self._marks = marks
        self._gauge = Gauge(loops=loops)
        self._zero = timeline.zero()
        self._last = self._reading(timeline.now())
        self._meter = CoverageMeter(camera, began=self._last)
        self._judged_s: float | None = None
        self._frames = 0
        #: Of the newest minute that is over.
        self.state: CameraState = "ok"

    def observe(self, frame: Frame, time_s: float) -> None:
        """A frame was looked at, `time_s` into the stream."""
        self._frames += 1
        if self._judged_s is not None and 0.0 <= time_s - self._judged_s < _JUDGE_S:
            return
        self._judged_s = time_s
        self._follow_clock()
        self._last = self._reading(self._timeline.at(time_s))
        frames, self._frames = self._frames, 0
        self._keep(self._meter.observe(self._gauge.measure(frame.image), self._last, frames))

    def trouble(self, state: Literal["offline", "stalled"]) -> None:
        """No pictures come, and why."""
        self._meter.trouble(state)

    def closed(self) -> None:
        """The camera is closed; it may be opened anew at once."""
        self._meter.closed()
        self._judged_s = None

    def tick(self) -> None:
        """Time goes on without pictures."""
        self._follow_clock()
        self._last = self._reading(self._timeline.now())
        self._keep(self._meter.tick(self._last))

    def finish(self) -> None:
        """Looking ends."""
        self._follow_clock()
        self._last = self._reading(self._timeline.now())
        self._keep(self._meter.finish(self._last))

    def _follow_clock(self) -> None:
        """Dates that begin or jump end one meter and begin another; a minute cut in two adds up again."""
        zero = self._timeline.zero()
        if zero == self._zero:
            return
        self._keep(self._meter.finish(self._last))
        self._zero = zero
        self._last = self._reading(self._timeline.now())
        self._meter = CoverageMeter(self._camera, began=self._last)

    def _reading(self, when: Moment) -> datetime:
        """What the meter is told: UTC, or, before there is any, uptime dressed as such."""
        return placeholder(when.uptime) if self._zero is None or when.at is None else when.at

    def _keep(self, minutes: Iterable[CoveredMinute]) -> None:
        for each in minutes:
            undated = self._zero is None
            when = Moment(micros(each.minute) / 1e6 if undated else 0.0, None if undated else each.minute)
            upto_s = 0.0
            if self._zero is not None:
                upto_s = (min(each.minute + _MINUTE, self._last) - self._zero) / timedelta(seconds=1)
            self._outbox.append_coverage(
                each.camera,
                when,
                seconds=each.seconds,
                frames=each.frames,
                state=each.state,
                marks=self._marks(upto_s) if upto_s > 0 else None,
            )
            self.state = each.state
