"""The facts of store-days straight from roll-ups, coverage and receipts: the one way, for pages and for jobs alike.

What is stored and what is shown live can't drift apart when the same lines make both. Many store-days are read in a
handful of statements, because HQ asks for the today of every store at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, TypeVar

from server.access.models import Scope
from server.kpi import repository
from server.kpi.facts import UPLOAD_LAG, CameraRow, DayInputs, build, door_weights
from server.kpi.models import DayFacts
from server.kpi.repository import Window
from server.storage.pool import Connection
from server.stores.calendar import QUARTER, StoreCalendar

DEFAULT_THRESHOLD: Final = Decimal("0.90")
#: How far back the traffic expected of each door is looked for.
HISTORY: Final = timedelta(days=28)

StoreDay = tuple[str, date]


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
    if not wants:
        return {}
    windows = [_window(want) for want in wants]
    rolled_up = [
        _whole_quarters(window) if want.in_past else window for want, window in zip(wants, windows, strict=True)
    ]
    begun = [_begun_quarter(window) for want, window in zip(wants, windows, strict=True) if want.in_past]
    traffic = repository.traffic(conn, scope, rolled_up)
    if begun:
        traffic += repository.raw_traffic(conn, scope, begun)
    by_day = _by_day(traffic)
    coverage = _by_day(repository.coverage(conn, scope, windows))
    receipts = _by_day(repository.receipts(conn, scope, windows))
    thresholds = {(row.store_id, row.day): row.value for row in repository.thresholds(conn, scope, windows)}
    cameras: dict[str, list[CameraRow]] = defaultdict(list)
    for camera in repository.cameras(conn, scope, sorted({want.store_id for want in wants})):
        cameras[camera.store_id].append(camera)
    weights = _weights(conn, scope, windows, cameras)
    found: dict[StoreDay, DayFacts] = {}
    for want in wants:
        key = (want.store_id, want.day)
        found[key] = build(
            DayInputs(
                store_id=want.store_id,
                day=want.day,
                calendar=want.calendar,
                as_of=want.as_of,
                threshold=thresholds.get(key, DEFAULT_THRESHOLD),
                traffic=by_day.get(key, []),
                coverage=coverage.get(key, []),
                cameras=cameras.get(want.store_id, []),
                receipts=receipts.get(key, []),
                weights=weights.get(key, {}),
                lag=timedelta(0) if want.in_past else UPLOAD_LAG,
            )
        )
    return found


def _window(want: Want) -> Window:
    start, end = want.calendar.bounds(want.day)
    return Window(want.store_id, want.day, start, max(start, min(end, want.as_of)))


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
    conn: Connection, scope: Scope, windows: Sequence[Window], cameras: dict[str, list[CameraRow]]
) -> dict[StoreDay, dict[str, int]]:
    """Where a store has one door there is nothing to weigh, and its history is not read."""
    several = {store_id for store_id, found in cameras.items() if sum(camera.at_door for camera in found) > 1}
    before = [
        Window(window.store_id, window.day, window.start - HISTORY, window.start)
        for window in windows
        if window.store_id in several
    ]
    if not before:
        return {}
    history = _by_day(repository.door_history(conn, scope, before))
    return {key: door_weights(doors) for key, doors in history.items()}
