"""What a camera remembers of its last minute: where people were, never what they looked like.

It lies in memory alone and is gone with the process. The traps: a memory that grows with the crowd, so it is bounded in
sightings as well as in seconds; numbers of tracks that begin anew with every pipeline, so a new one forgets all of the
old; a picture kept in case somebody asks for one, so none is: whoever asks waits for the next; and a picture taken
before the scene is known, for a detector that learns it finds nobody in the first, so it is said to be uncertain.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.models import Boxes, Frame, Track
from edge.pipeline import Step
from edge.settings import CameraSettings
from wire.asking import REMEMBERED_S

#: Most sightings remembered, some ten megabytes; in a crowd the memory is shorter than its minute.
MOST_SIGHTINGS: Final = 30_000
#: What was seen longer ago than this is no recent minute, whatever it says of itself (seconds).
_STALE_S: Final = 60.0
#: So long the scene must have been watched without a break before it is known who in it is a person (seconds of the
#: stream). A background takes 4 s to learn; whoever was in its first picture is told from it some seconds after moving.
SETTLES_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Who was followed in one frame; `time_s` on the stream's clock."""

    index: int
    time_s: float
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Recent:
    """The last minute, or what there is of it.

    Attributes:
        settings: by which was counted.
        aspect: of the pictures, width over height.
        at: when the newest was (UTC); None where the clock was not set.
        moments: of every frame, in order; at least one.
    """

    settings: CameraSettings
    aspect: float
    at: datetime | None
    moments: tuple[Moment, ...]

    @property
    def seconds(self) -> float:
        """From the first to the newest."""
        return self.moments[-1].time_s - self.moments[0].time_s


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame as it was seen; it must not leave the box like this.

    Attributes:
        image: BGR, uint8, shape (height, width, 3).
        people: where anybody was found or followed, shape (n, 4), fractions of the frame.
        found: how many people are followed in it.
        at: when (UTC); None where the clock was not set.
        is_certain: whether the scene was watched for long enough that whoever is in `image` is in `people`.
    """

    image: NDArray[np.uint8]
    people: Boxes
    found: int
    at: datetime | None
    is_certain: bool


@dataclass(slots=True)
class _Wanted:
    """Somebody waits for a picture."""

    taken: threading.Event = field(default_factory=threading.Event)
    picture: Picture | None = None


class Memory:
    """One camera's. Its thread tells it what it saw; others may ask at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: CameraSettings | None = None
        self._aspect = 0.0
        self._moments: deque[Moment] = deque()
        self._sightings = 0
        self._at: datetime | None = None
        self._told_at = 0.0
        self._since_s: float | None = None
        self._wanted: list[_Wanted] = []

    def begin(self, settings: CameraSettings, aspect: float) -> None:
        """Tracks are numbered anew from here on, by these settings; what was before is forgotten."""
        with self._lock:
            self._settings, self._aspect = settings, aspect
            self._forget()

    def saw(self, frame: Frame, step: Step, at: datetime | None) -> None:
        """Take in one frame; frames come in order of time, or all before is forgotten."""
        tracks = tuple(step.tracks)
        with self._lock:
            if self._moments and frame.time_s < self._moments[-1].time_s:
                self._forget()
            self._moments.append(Moment(frame.index, frame.time_s, tracks))
            self._sightings += len(tracks)
            if self._since_s is None:
                self._since_s = frame.time_s
            is_certain = frame.time_s - self._since_s >= SETTLES_S
            while frame.time_s - self._moments[0].time_s > REMEMBERED_S or self._sightings > MOST_SIGHTINGS:
                self._sightings -= len(self._moments.popleft().tracks)
            self._at, self._told_at = at, time.monotonic()
            wanted, self._wanted = self._wanted, []
        for each in wanted:
            each.picture = _picture(frame, step, at, is_certain=is_certain)
            each.taken.set()

    def recent(self, seconds: float) -> Recent | None:
        """The last `seconds`; None where nothing was seen of late."""
        with self._lock:
            if self._settings is None or not self._moments or time.monotonic() - self._told_at > _STALE_S:
                return None
            since = self._moments[-1].time_s - seconds
            moments = tuple(each for each in self._moments if each.time_s >= since)
            return Recent(self._settings, self._aspect, self._at, moments)

    def picture(self, timeout_s: float) -> Picture | None:
        """The next frame, copied; None where none comes in time."""
        wanted = _Wanted()
        with self._lock:
            self._wanted.append(wanted)
        wanted.taken.wait(timeout_s)
        with self._lock:
            if wanted in self._wanted:
                self._wanted.remove(wanted)
        return wanted.picture

    def _forget(self) -> None:
        self._moments.clear()
        self._sightings = 0
        self._since_s = None


def _picture(frame: Frame, step: Step, at: datetime | None, *, is_certain: bool) -> Picture:
    followed = np.asarray([track.box for track in step.tracks], np.float32).reshape(-1, 4)
    people = np.concatenate([step.found.boxes, followed])
    return Picture(frame.image.copy(), people, sum(track.confirmed for track in step.tracks), at, is_certain)
