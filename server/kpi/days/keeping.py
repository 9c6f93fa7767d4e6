"""A computed day kept as the answer that stands, and the one it replaces kept as what was answered before.

Day and hours are one answer: where only the hours move, as when a delivery note turns up for another one, the day has a
new version as well. Otherwise an earlier version would be told with hours that it never had.
"""

from dataclasses import replace
from datetime import datetime

from server.access.models import Scope
from server.kpi.days import day_repository
from server.kpi.days.day_repository import StoredDay
from server.kpi.days.repository import Window
from server.kpi.models import DayFacts
from server.storage.pool import Connection


def keep(conn: Connection, scope: Scope, day: DayFacts, now: datetime, *, provisional: bool) -> bool:
    """Make a day the answer that stands; whether it changed.

    Args:
        conn: a transaction that holds the store's lock (`day_repository.lock_store`).
        provisional: whether more is still on its way; then the next answer takes the place of this one.
    """
    stands = day_repository.current_day(conn, scope, day.store_id, day.day)
    hours = [hour for hour in day.hours if hour.start < day.as_of and (hour.is_open or not hour.facts.is_empty)]
    old = {
        (row.hour, row.local_hour): (row.facts, row.occupancy)
        for row in day_repository.current_hours(conn, scope, day.store_id, day.day)
    }
    new = {(hour.start, hour.local.hour): (hour.facts, hour.occupancy) for hour in hours}
    changed = stands is None or (stands.facts, stands.occupancy) != (day.facts, day.occupancy) or old != new
    row = StoredDay(1, provisional, now, day.facts, day.occupancy)
    if stands is not None:
        row = replace(row, version=stands.version if stands.provisional else stands.version + 1)
    if old != new:
        day_repository.replace_hours(
            conn,
            scope,
            Window(day.store_id, day.day, day.start, day.end),
            row.version,
            [start for (start, local), kept in old.items() if new.get((start, local)) != kept],
            [hour for hour in hours if old.get((hour.start, hour.local.hour)) != (hour.facts, hour.occupancy)],
        )
    if stands is None:
        day_repository.insert_day(conn, day.store_id, day.day, row)
    elif stands.provisional:
        day_repository.delete_current_day(conn, scope, day.store_id, day.day)
        day_repository.insert_day(conn, day.store_id, day.day, row)
    elif changed:
        day_repository.supersede_day(conn, scope, day.store_id, day.day, now)
        day_repository.insert_day(conn, day.store_id, day.day, row)
    return changed
