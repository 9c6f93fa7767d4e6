"""The facts of store-days straight from roll-ups, coverage and receipts: the one way, for pages and for jobs alike.

What is stored and what is shown live can't drift apart when the same lines make both. Many store-days are read in one
statement, or two, because HQ asks for the today of every store at once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, Protocol, TypeVar

from server.access.models import Scope
from server.ingest.gaps import UPLOAD_LAG, WEEKS
from server.kpi.corrections import correction_repository
from server.kpi.corrections.in_force import Correction, in_force
from server.kpi.corrections.staffing import Roster
from server.kpi.days import inputs_repository, repository
from server.kpi.days.facts import DayInputs, DaySettings, build, unwatched_quarters
from server.kpi.days.imputation import Past, PastRow
from server.kpi.days.inputs_repository import Found, Wanted
from server.kpi.days.repository import Window
from server.kpi.days.watching import door_weights
from server.kpi.models import DayFacts
from server.storage.moment import recalled, remembered
from server.storage.pool import Connection
from server.stores.calendar import QUARTER, StoreCalendar

#: How far back the traffic expected of each door is looked for.
HISTORY: Final = timedelta(days=28)

StoreDay = tuple[str, date]
_Key = tuple[object, Connection, Scope, str, date, datetime, bool]


@dataclass(frozen=True, slots=True)
class Want:
    """A store-day to compute.

    Attributes:
        as_of: up to when (UTC).
        in_past: whether `as_of` is not now: then the begun quarter hour is cut at it, and no minute is still on its
            way.
    """

    store_id: str
    day: date
    calendar: StoreCalendar
    as_of: datetime
    in_past: bool = False


class _Row(Protocol):
    @property
    def store_id(self) -> str: ...
    @property
    def day(self) -> date: ...


_R = TypeVar("_R", bound=_Row)


def compute(conn: Connection, scope: Scope, wants: Sequence[Want]) -> dict[StoreDay, DayFacts]:
    """The facts of each store-day wanted; each at most once.

    Args:
        conn: read-only will do; with `Database.read` all of it is of one moment.
    """
    keys: list[_Key] = [(compute, conn, scope, want.store_id, want.day, want.as_of, want.in_past) for want in wants]
    wanted = dict(zip(keys, wants, strict=True))

    def find(unknown: list[_Key]) -> dict[_Key, DayFacts]:
        read = inputs_of(conn, scope, [wanted[key] for key in unknown])
        return {key: build(inputs) for key, inputs in zip(unknown, read, strict=True)}

    # A page tells of its today in several ways.
    return {(key[3], key[4]): facts for key, facts in recalled(keys, find).items()}


def inputs_of(conn: Connection, scope: Scope, wants: Sequence[Want]) -> list[DayInputs]:
    """All that the facts of each store-day wanted are made of, in that order: what a number can be explained by."""
    if not wants:
        return []
    windows = [_window(want) for want in wants]
    asked = [_wanted(want, window) for want, window in zip(wants, windows, strict=True)]
    kept = inputs_repository.found(conn, scope, asked)
    begun = [_begun_quarter(window) for want, window in zip(wants, windows, strict=True) if want.in_past]
    for row in repository.raw_traffic(conn, scope, begun):
        kept[(row.store_id, row.day)].traffic.append(row)
    corrections: dict[str | None, list[Correction]] = defaultdict(list)
    stores = tuple(sorted({want.store_id for want in wants}))
    standing = partial(correction_repository.standing, conn, scope, stores)
    for correction in remembered((correction_repository.standing, conn, scope, stores), standing):
        corrections[correction.store_id].append(correction)
    weights = _weights(conn, scope, windows, kept)
    found = []
    for want in wants:
        key = (want.store_id, want.day)
        own = kept.get(key) or Found()
        found.append(
            DayInputs(
                store_id=want.store_id,
                day=want.day,
                calendar=want.calendar,
                as_of=want.as_of,
                traffic=own.traffic,
                coverage=own.coverage,
                cameras=own.cameras,
                receipts=own.receipts,
                weights=weights.get(key, {}),
                settings=_settings(own.settings),
                corrections=in_force(
                    [*corrections[None], *corrections[want.store_id]], *key, want.calendar.bounds(want.day)
                ),
                roster=Roster.of(own.shifts),
                visits=own.visits,
                lag=_lag(want),
            )
        )
    return _with_past(conn, scope, found, corrections)


def _settings(told: Mapping[str, Decimal]) -> DaySettings:
    usual = DaySettings()
    return DaySettings(
        threshold=told.get("coverage_threshold", usual.threshold),
        power_share=told.get("power_share", usual.power_share),
        takes_check_ins=told.get("takes_check_ins", 0) > 0,
    )


def _lag(want: Want) -> timedelta:
    return timedelta(0) if want.in_past else UPLOAD_LAG


def _with_past(
    conn: Connection, scope: Scope, inputs: Sequence[DayInputs], corrections: Mapping[str | None, Sequence[Correction]]
) -> list[DayInputs]:
    """The same with what other weeks say of the quarter hours in which camera time is missing; most days have none."""
    same_times = {
        (each.store_id, each.day): {
            quarter: [each.calendar.same_time(quarter, -7 * week) for week in WEEKS]
            for quarter in unwatched_quarters(each)
        }
        for each in inputs
    }
    asked = sorted({(*key, at) for key, times in same_times.items() for other in times.values() for at in other})
    if not asked:
        return list(inputs)
    rows = [
        row for row in repository.past(conn, scope, asked) if not _is_excluded(corrections.get(row.store_id, ()), row)
    ]
    by_day = _by_day(rows)
    return [
        replace(each, past=Past.of(same_times[key], by_day.get(key, [])))
        for each in inputs
        for key in [(each.store_id, each.day)]
    ]


def _is_excluded(corrections: Sequence[Correction], row: PastRow) -> bool:
    return any(
        each.line_id in (None, row.line_id)
        and each.starts_at is not None
        and each.ends_at is not None
        and each.starts_at < row.quarter + QUARTER
        and row.quarter < each.ends_at
        for each in corrections
    )


def _window(want: Want) -> Window:
    start, end = want.calendar.bounds(want.day)
    return Window(want.store_id, want.day, start, max(start, min(end, want.as_of)))


def _wanted(want: Want, window: Window) -> Wanted:
    rolled_up = _whole_quarters(window) if want.in_past else window
    return Wanted(
        want.store_id, want.day, window.start, window.end, rolled_up_to=rolled_up.end, due_by=want.as_of - _lag(want)
    )


def _whole_quarters(window: Window) -> Window:
    whole = (window.end - window.start) // QUARTER
    return Window(window.store_id, window.day, window.start, window.start + whole * QUARTER)


def _begun_quarter(window: Window) -> Window:
    return Window(window.store_id, window.day, _whole_quarters(window).end, window.end)


def _by_day(rows: Sequence[_R]) -> dict[StoreDay, list[_R]]:
    found: dict[StoreDay, list[_R]] = defaultdict(list)
    for row in rows:
        found[(row.store_id, row.day)].append(row)
    return found


def _weights(
    conn: Connection, scope: Scope, windows: Sequence[Window], kept: Mapping[StoreDay, Found]
) -> dict[StoreDay, dict[str, int]]:
    """Where a store has one door there is nothing to weigh, and its history is not read."""
    before = [
        Window(window.store_id, window.day, window.start - HISTORY, window.start)
        for window in windows
        if (own := kept.get((window.store_id, window.day))) and sum(camera.at_door for camera in own.cameras) > 1
    ]
    if not before:
        return {}
    history = _by_day(repository.door_history(conn, scope, before))
    return {key: door_weights(doors) for key, doors in history.items()}
