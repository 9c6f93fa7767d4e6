"""SQL of opening hours that are not the weekday's: exceptions by date, and public holidays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores.public_holidays import DayKind, Holiday


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """The opening hours of one date of a store, as kept; none means closed."""

    store_id: str
    day: date
    opens: list[time]
    closes: list[time]
    reason: str
    entered_by: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A store whose opening hours name public holidays, and where it is."""

    store_id: str
    country: str
    subdivision: str


@dataclass(frozen=True, slots=True)
class HolidayRow:
    """What the chain itself says of a day in a country, or in a part of it."""

    country: str
    subdivision: str
    day: date
    kind: DayKind
    name: str


def exceptions(
    conn: Connection,
    scope: Scope,
    store_ids: Sequence[str] | None = None,
    days: tuple[date, date] = (date.min, date.max),
) -> list[ExceptionRow]:
    """Exceptions of all stores of the scope, or of some of them, from a day to another, by store and day."""
    with conn.cursor(row_factory=class_row(ExceptionRow)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, day, opens, closes, reason, entered_by, entered_at
            FROM opening_exception
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
              AND day BETWEEN %(first)s AND %(last)s
            ORDER BY store_id, day
            """,
            {
                "scope": scope.store_ids,
                "wanted": None if store_ids is None else list(store_ids),
                "first": days[0],
                "last": days[1],
            },
        ).fetchall()


def put_exception(conn: Connection, row: ExceptionRow) -> None:
    """Set the opening hours of one date."""
    conn.execute(
        """
        INSERT INTO opening_exception (store_id, day, opens, closes, reason, entered_by, entered_at)
        VALUES (%s, %s, %s::time[], %s::time[], %s, %s, %s)
        ON CONFLICT (store_id, day)
        DO UPDATE SET opens = excluded.opens, closes = excluded.closes, reason = excluded.reason,
                      entered_by = excluded.entered_by, entered_at = excluded.entered_at
        """,
        (row.store_id, row.day, row.opens, row.closes, row.reason, row.entered_by, row.entered_at),
    )


def delete_exception(conn: Connection, scope: Scope, store_id: str, day: date) -> bool:
    """Leave a date to its weekday again; False when it was."""
    return (
        conn.execute(
            """
            DELETE FROM opening_exception
            WHERE store_id = %(store_id)s AND day = %(day)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "day": day, "scope": scope.store_ids},
        ).rowcount
        == 1
    )


def places(conn: Connection, scope: Scope, store_ids: Sequence[str] | None = None) -> list[PlaceRow]:
    """Where the stores are whose opening hours name public holidays."""
    with conn.cursor(row_factory=class_row(PlaceRow)) as cursor:
        return cursor.execute(
            """
            SELECT s.store_id, s.country, s.subdivision
            FROM store s
            WHERE EXISTS (SELECT FROM opening_hours h WHERE h.store_id = s.store_id AND h.weekday = 7)
              AND (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR s.store_id = ANY(%(wanted)s))
            """,
            {"scope": scope.store_ids, "wanted": None if store_ids is None else list(store_ids)},
        ).fetchall()


def stores_in(conn: Connection, scope: Scope, country: str, subdivision: str) -> list[str]:
    """Stores of the scope in a country, or in a part of it, whose opening hours name public holidays."""
    return [
        row.store_id for row in places(conn, scope) if row.country == country and subdivision in ("", row.subdivision)
    ]


def holidays(conn: Connection, countries: Sequence[str]) -> list[HolidayRow]:
    """What the chain itself says of days in some countries; a part's own after the country's."""
    with conn.cursor(row_factory=class_row(HolidayRow)) as cursor:
        return cursor.execute(
            """
            SELECT country, subdivision, day, kind, name
            FROM holiday
            WHERE country = ANY(%s)
            ORDER BY country, subdivision, day
            """,
            (list(countries),),
        ).fetchall()


def put_holiday(conn: Connection, row: HolidayRow, actor: str, at: datetime) -> None:
    """Say what a day is, whatever a library says."""
    conn.execute(
        """
        INSERT INTO holiday (country, subdivision, day, kind, name, entered_by, entered_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (country, subdivision, day)
        DO UPDATE SET kind = excluded.kind, name = excluded.name, entered_by = excluded.entered_by,
                      entered_at = excluded.entered_at
        """,
        (row.country, row.subdivision, row.day, row.kind, row.name, actor, at),
    )


def delete_holiday(conn: Connection, country: str, subdivision: str, day: date) -> bool:
    """Leave a day to the libraries again; False when it was."""
    return (
        conn.execute(
            "DELETE FROM holiday WHERE country = %s AND subdivision = %s AND day = %s", (country, subdivision, day)
        ).rowcount
        == 1
    )


def own_words(rows: Iterable[HolidayRow], country: str, subdivision: str) -> dict[date, Holiday]:
    """What the chain says of days in a place, the place's own before its country's."""
    return {
        row.day: Holiday(row.day, row.kind, row.name, "own")
        for row in sorted(rows, key=lambda row: row.subdivision)
        if row.country == country and row.subdivision in ("", subdivision)
    }
