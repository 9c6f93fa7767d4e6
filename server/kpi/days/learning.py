"""Which later days rest on what was counted and watched on an earlier one, and must be made anew when that changes.

A day is told by more than itself: what is expected in its gaps comes from the same quarter hours of the weeks before,
and how much each of several doors weighs from the traffic of the weeks before. A box that was offline for ten days
therefore changes days it never counted. Without this, a number would hang on the order in which boxes were heard, and
the next correction of any of these days would move it for a reason that nobody gave. How far it reaches is bounded by
how far back is looked, and a day that is made anew for this reason is no reason for another.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Final

from server.access.models import Scope
from server.ingest.gaps import WEEKS
from server.kpi.days import learning_repository
from server.kpi.days.compute import HISTORY
from server.storage.pool import Connection
from server.stores.calendar import ONE_DAY, QUARTER, StoreCalendar

#: Reasons of marks after which roll-ups of traffic or coverage say something else than before.
TEACHING: Final = frozenset({"ingest", "dead_letter", "repair"})
#: Reason of the marks of days that rest on others.
LEARNT: Final = "learnt"
_HOUR: Final = timedelta(hours=1)


def resting_on(
    conn: Connection, scope: Scope, store_id: str, hours: Collection[datetime], calendar: StoreCalendar
) -> list[date]:
    """Business days that were computed and rest on what some hours of a store held.

    Args:
        hours: first instants (UTC) of hours whose traffic or coverage changed.

    Returns:
        In order: days with a gap so many weeks later, and, where several doors are weighed, every day of the weeks
        after.
    """
    expected, weighed = _imputed_from(hours, calendar), _weighed_by(hours, calendar)
    return learning_repository.computed(conn, scope, store_id, expected, weighed)


def _imputed_from(hours: Collection[datetime], calendar: StoreCalendar) -> set[date]:
    """Days whose gaps are told by these hours: the same weekday, as `StoreCalendar.same_time` has it.

    The first quarter hour of a day is looked at for the day before, too, where that had been cut short by another
    `day_starts`.
    """
    own = {day for hour in hours for day in (calendar.day_of(hour - QUARTER), *calendar.days_of_hour(hour))}
    return {day + timedelta(weeks=week) for day in own for week in WEEKS}


def _weighed_by(hours: Collection[datetime], calendar: StoreCalendar) -> set[date]:
    """Days whose doors are weighed by these hours: those that begin within `HISTORY` after."""
    if not hours:
        return set()
    first, last = min(hours), max(hours)
    day, found = calendar.day_of(first), set()
    while (start := calendar.bounds(day)[0]) < last + _HOUR + HISTORY:
        if any(start - HISTORY < hour + _HOUR and hour < start for hour in hours):
            found.add(day)
        day += ONE_DAY
    return found
