"""What passes between the jobs and whoever looks at them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from threading import Event
from typing import Literal

Outcome = Literal["running", "done", "idle", "failed"]

#: A job's work. It gets an event that is set when it should stop soon, and answers with what it did, or None when
#: there was nothing to do.
Work = Callable[[Event], str | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work and when it is done.

    Attributes:
        every: seconds between runs.
        nightly: a time of day (UTC) at which it is done instead; a night that was missed is made up for, once.
    """

    name: str
    every: float
    work: Work
    nightly: time | None = None


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job; or, when idle, as many in a row as `runs` says."""

    run_id: int
    job: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome
    runs: int
    detail: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is still to be computed anew.

    Attributes:
        days: store-days, told by UTC.
        since: when the oldest of it was marked (UTC); None where nothing waits.
    """

    stores: int
    days: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class MarkRow:
    """An hour (UTC) of a store whose facts have changed, and the mark that says so."""

    mark_id: int
    store_id: str
    hour: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class DayRow:
    """The state of a store-day's row."""

    store_id: str
    day: date
    provisional: bool
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Quiet:
    """A box or camera that says nothing, or shows nothing, now.

    Attributes:
        device_id: the box; empty for a camera that no box ever reported.
        camera_id: empty where the box itself is silent.
        state: ``silent`` of a box; of a camera as in `CameraHealth`.
        last_heard: UTC, None: never.
    """

    store_id: str
    device_id: str
    camera_id: str
    state: str
    last_heard: datetime | None


@dataclass(frozen=True, slots=True)
class Silence:
    """A box or camera that went silent, and, once it was heard again, when.

    Attributes:
        silence_id: its number.
        noticed_at: UTC; `resolved_at` None while it lasts.
    """

    silence_id: int
    store_id: str
    device_id: str
    camera_id: str
    state: str
    last_heard: datetime | None
    noticed_at: datetime
    resolved_at: datetime | None
