"""SQL of stores' calendars, all of each in one line of one statement.

A report of one store asks for one calendar and waits for it; in four statements it waited four times. Stores are told
as JSON, of which the planner can't guess how many there are: the plan it makes once, a range of an index for each table
and store, is then as good to it as any other, and is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Final

import msgspec
from psycopg import sql

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores.calendar import DayRule

_STATEMENT: Final = sql.SQL("""
SELECT w.store_id,
       (
           SELECT json_agg(json_build_array(c.valid_from, c.timezone, c.day_starts) ORDER BY c.valid_from)
           FROM store_calendar c
           WHERE c.store_id = w.store_id
       )::text AS rules,
       (
           SELECT json_agg(json_build_array(h.valid_from, h.weekday, h.opens, h.closes)
                           ORDER BY h.valid_from, h.weekday, h.opens)
           FROM opening_hours h
           WHERE h.store_id = w.store_id
       )::text AS hours,
       (
           SELECT json_agg(json_build_array(e.day, e.opens, e.closes) ORDER BY e.day)
           FROM opening_exception e
           WHERE e.store_id = w.store_id
       )::text AS exceptions,
       (
           SELECT json_build_array(s.country, s.subdivision)
           FROM store s
           WHERE s.store_id = w.store_id
       )::text AS place
FROM {stores}
WHERE %(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s)
ORDER BY w.store_id
""")
_ALL: Final = _STATEMENT.format(stores=sql.SQL("store w"))
_SOME: Final = _STATEMENT.format(stores=sql.SQL("json_array_elements_text(%(wanted)s) AS w (store_id)"))

_RULES: Final = msgspec.json.Decoder(list[tuple[date, str, time]])
_HOURS: Final = msgspec.json.Decoder(list[tuple[date, int, time, time]])
_EXCEPTIONS: Final = msgspec.json.Decoder(list[tuple[date, list[time], list[time]]])
_PLACE: Final = msgspec.json.Decoder(tuple[str, str])


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """All that one store's calendar is made of.

    Attributes:
        hours: from when on (a wall date), weekday (7: a public holiday), when it opens and closes; in that order.
        exceptions: wall date, and when it opens and closes, as often as it does.
        place: country and subdivision.
    """

    store_id: str
    rules: list[DayRule]
    hours: list[tuple[date, int, time, time]]
    exceptions: list[tuple[date, list[time], list[time]]]
    place: tuple[str, str]


def calendar_rows(conn: Connection, scope: Scope, store_ids: Sequence[str] | None) -> list[CalendarRow]:
    """Of all stores of the scope that have a calendar, or of some of them, by store."""
    if store_ids is None:
        found = conn.execute(_ALL, {"scope": scope.store_ids})
    else:
        wanted = msgspec.json.encode(list(store_ids)).decode()
        found = conn.execute(_SOME, {"scope": scope.store_ids, "wanted": wanted})
    return [
        CalendarRow(
            store_id,
            [DayRule(*rule) for rule in _RULES.decode(rules)],
            _HOURS.decode(hours or "[]"),
            _EXCEPTIONS.decode(exceptions or "[]"),
            _PLACE.decode(place),
        )
        for store_id, rules, hours, exceptions, place in found
        if rules is not None and place is not None
    ]
