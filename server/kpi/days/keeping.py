"""Computed days kept as the answers that stand, and those they replace kept as what was answered before.

Day and hours are one answer: where only the hours move, as when a delivery note turns up for another one, the day has a
new version as well. Otherwise an earlier version would be told with hours that it never had.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from server.access.models import Scope
from server.kpi.days import day_repository
from server.kpi.days.compute import StoreDay
from server.kpi.days.day_repository import NewDay, NewHours, StoredDay
from server.kpi.days.repository import Window
from server.kpi.models import DayFacts
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class ToKeep:
    """A computed day; `provisional` while more is on its way: then the next answer takes the place of this one."""

    day: DayFacts
    provisional: bool


def keep_all(conn: Connection, scope: Scope, days: Sequence[ToKeep], now: datetime) -> set[StoreDay]:
    """Make days the answers that stand; which of them changed.

    Args:
        conn: a transaction that holds their stores' locks (`day_repository.lock_stores`).
        days: of each store one at most.
    """
    pairs = [(each.day.store_id, each.day.day) for each in days]
    stand = day_repository.current_days(conn, scope, pairs)
    known = day_repository.current_hours(conn, scope, pairs)
    changed: set[StoreDay] = set()
    hours: list[NewHours] = []
    gone: list[StoreDay] = []
    over: list[StoreDay] = []
    rows: list[NewDay] = []
    again: list[StoreDay] = []
    for each in days:
        day, key = each.day, (each.day.store_id, each.day.day)
        stands = stand.get(key)
        own = [hour for hour in day.hours if hour.start < day.as_of and (hour.is_open or not hour.facts.is_empty)]
        old = {(row.hour, row.local_hour): (row.facts, row.occupancy) for row in known.get(key, ())}
        new = {(hour.start, hour.local.hour): (hour.facts, hour.occupancy) for hour in own}
        row = StoredDay(1, each.provisional, now, day.facts, day.occupancy)
        if stands is not None:
            row = replace(row, version=stands.version if stands.provisional else stands.version + 1)
        if old != new:
            hours.append(
                NewHours(
                    Window(*key, day.start, day.end),
                    row.version,
                    [start for (start, local), kept in old.items() if new.get((start, local)) != kept],
                    [hour for hour in own if old.get((hour.start, hour.local.hour)) != (hour.facts, hour.occupancy)],
                )
            )
        is_new = stands is None or (stands.facts, stands.occupancy) != (day.facts, day.occupancy) or old != new
        if is_new:
            changed.add(key)
        if stands is not None and stands.provisional and each.provisional and not is_new:
            again.append(key)
        elif stands is None or stands.provisional or is_new:
            if stands is not None:
                (gone if stands.provisional else over).append(key)
            rows.append(NewDay(*key, row))
    day_repository.replace_hours(conn, scope, hours)
    day_repository.touch_days(conn, scope, again, now)
    day_repository.delete_current_days(conn, scope, gone)
    day_repository.supersede_days(conn, scope, over, now)
    day_repository.insert_days(conn, rows)
    return changed
