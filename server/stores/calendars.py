"""A store's calendar put together from what is kept of it: rules, weekly hours, exceptions and public holidays.

A chain's calendars are thousands of rows, so all that are asked for are read in a handful of statements, and the
holiday libraries are loaded only where some store's hours name holidays.
"""

from collections.abc import Callable, Sequence
from datetime import date

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores import opening_repository, repository
from server.stores.calendar import OpeningSpan, StoreCalendar, WeeklyHours
from server.stores.models import HoursRow
from server.stores.opening_repository import PlaceRow, own_words
from server.stores.public_holidays import in_place


def calendars_of(conn: Connection, scope: Scope, store_ids: Sequence[str] | None) -> dict[str, StoreCalendar]:
    """The calendars of all stores of the scope, or of some of them, by store."""
    weeks: dict[str, dict[date, list[OpeningSpan]]] = {}
    for hours in repository.hours(conn, scope, store_ids):
        weeks.setdefault(hours.store_id, {}).setdefault(hours.valid_from, []).append(_span(hours))
    special: dict[str, dict[date, list[OpeningSpan]]] = {}
    for row in opening_repository.exceptions(conn, scope, store_ids):
        pairs = zip(row.opens, row.closes, strict=True)
        special.setdefault(row.store_id, {})[row.day] = [OpeningSpan(row.day.weekday(), *pair) for pair in pairs]
    holidays = _holidays(conn, opening_repository.places(conn, scope, store_ids))
    return {
        store_id: StoreCalendar(
            rules,
            [WeeklyHours(day, tuple(spans)) for day, spans in weeks.get(store_id, {}).items()],
            special.get(store_id),
            holidays.get(store_id),
        )
        for store_id, rules in repository.rules(conn, scope, store_ids).items()
    }


def _holidays(conn: Connection, places: Sequence[PlaceRow]) -> dict[str, Callable[[date], bool]]:
    """Whether a day is a public holiday, for each store that asks."""
    if not places:
        return {}
    own = opening_repository.holidays(conn, sorted({place.country for place in places}))
    return {
        place.store_id: in_place(place.country, place.subdivision, own_words(own, place.country, place.subdivision))
        for place in places
    }


def _span(row: HoursRow) -> OpeningSpan:
    return OpeningSpan(row.weekday, row.opens, row.closes)
