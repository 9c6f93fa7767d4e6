"""A store's calendar put together from what is kept of it: rules, weekly hours, exceptions and public holidays.

A chain's calendars are thousands of rows, so all that are asked for are read in one statement, and the holiday
libraries are loaded only where some store's hours name holidays.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores import opening_repository
from server.stores.calendar import OpeningSpan, StoreCalendar, WeeklyHours
from server.stores.calendar_repository import CalendarRow, calendar_rows
from server.stores.opening_repository import HolidayRow, own_words
from server.stores.public_holidays import in_place

#: The weekday that stands for all public holidays.
_HOLIDAY: Final = 7


def calendars_of(conn: Connection, scope: Scope, store_ids: Sequence[str] | None) -> dict[str, StoreCalendar]:
    """The calendars of all stores of the scope, or of some of them, by store."""
    rows = calendar_rows(conn, scope, store_ids)
    countries = sorted({row.place[0] for row in rows if _names_holidays(row)})
    own = opening_repository.holidays(conn, countries) if countries else []
    return {row.store_id: _calendar(row, own) for row in rows}


def _calendar(row: CalendarRow, own: Sequence[HolidayRow]) -> StoreCalendar:
    weeks: dict[date, list[OpeningSpan]] = {}
    for valid_from, weekday, opens, closes in row.hours:
        weeks.setdefault(valid_from, []).append(OpeningSpan(weekday, opens, closes))
    return StoreCalendar(
        row.rules,
        [WeeklyHours(day, tuple(spans)) for day, spans in weeks.items()],
        {
            day: [OpeningSpan(day.weekday(), *pair) for pair in zip(opens, closes, strict=True)]
            for day, opens, closes in row.exceptions
        },
        _holidays(row, own) if _names_holidays(row) else None,
    )


def _names_holidays(row: CalendarRow) -> bool:
    return any(weekday == _HOLIDAY for _, weekday, _, _ in row.hours)


def _holidays(row: CalendarRow, own: Sequence[HolidayRow]) -> Callable[[date], bool]:
    """Whether a day is a public holiday where the store is."""
    return in_place(*row.place, own_words(own, *row.place))
