"""What passes between the jobs and whoever looks at them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event
from typing import Literal

Outcome = Literal["running", "done", "idle", "failed"]

#: A job's work. It gets an event that is set when it should stop soon, and answers with what it did, or None when
#: there was nothing to do.
Work = Callable[[Event], str | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work and how often it is done (seconds)."""

    name: str
    every: float
    work: Work


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
class MarkRow:
    """An hour (UTC) of a store whose facts have changed, and the mark that says so."""

    mark_id: int
    store_id: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class DayRow:
    """The state of a store-day's row."""

    store_id: str
    day: date
    provisional: bool
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class SilentDevice:
    """A live box that is not connected, or has said nothing for a while; `status_at` None: never said anything."""

    device_id: str
    store_id: str
    status_at: datetime | None
