"""SQL of the rows a day is kept in: versions of the day, its hours as they stand, and those of earlier versions.

Of the hours only those that a new version changes are put aside: a receipt that comes late changes one of fourteen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from psycopg import sql
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.kpi.days.repository import Window
from server.kpi.models import FACT_NAMES, AuditErrors, Facts, HourFacts, Occupancy
from server.storage.pool import Connection

_DAY_COLUMNS: Final = ("occupancy", "occupancy_peak", "drift", *FACT_NAMES, "audit_errors")
_COLUMN_LIST: Final = sql.SQL(", ").join(map(sql.Identifier, _DAY_COLUMNS))
_PLACES: Final = sql.SQL(", ").join(sql.Placeholder() for _ in _DAY_COLUMNS)


@dataclass(frozen=True, slots=True)
class StoredDay:
    """The current row of a store-day."""

    version: int
    provisional: bool
    computed_at: datetime
    facts: Facts
    occupancy: Occupancy


@dataclass(frozen=True, slots=True)
class StoredHour:
    """A row of store_hour."""

    hour: datetime
    local_hour: int
    facts: Facts
    occupancy: Occupancy


def lock_store(conn: Connection, scope: Scope, store_id: str) -> bool:
    """Let one transaction at a time recompute a store's days; False when there is no such store.

    Receipts and cameras that refer to the store are not held up: they need its key only.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            """
            SELECT 1
            FROM store
            WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            FOR NO KEY UPDATE
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchone()
    return found is not None


def current_day(conn: Connection, scope: Scope, store_id: str, day: date) -> StoredDay | None:
    """The answer that stands for a store-day."""
    with conn.cursor() as cursor:
        row = cursor.execute(
            sql.SQL(
                """
                SELECT version, provisional, computed_at, {columns}
                FROM store_day
                WHERE store_id = %(store_id)s AND day = %(day)s AND superseded_at IS NULL
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                """
            ).format(columns=_COLUMN_LIST),
            {"store_id": store_id, "day": day, "scope": scope.store_ids},
        ).fetchone()
    if row is None:
        return None
    return StoredDay(row[0], row[1], row[2], *_stored(row[3:]))


def current_hours(conn: Connection, scope: Scope, store_id: str, day: date) -> list[StoredHour]:
    """The hours of a store-day as they stand, in order."""
    with conn.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                """
                SELECT hour, local_hour, {columns}
                FROM store_hour
                WHERE store_id = %(store_id)s AND day = %(day)s
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                ORDER BY hour
                """
            ).format(columns=_COLUMN_LIST),
            {"store_id": store_id, "day": day, "scope": scope.store_ids},
        )
        return [StoredHour(row[0], row[1], *_stored(row[2:])) for row in cursor]


def insert_day(conn: Connection, store_id: str, day: date, stored: StoredDay) -> None:
    """Add a row that is the answer from now on."""
    conn.execute(
        sql.SQL(
            "INSERT INTO store_day (store_id, day, version, provisional, computed_at, {columns})"
            " VALUES (%s, %s, %s, %s, %s, {places})"
        ).format(columns=_COLUMN_LIST, places=_PLACES),
        (
            store_id,
            day,
            stored.version,
            stored.provisional,
            stored.computed_at,
            *_columns(stored.facts, stored.occupancy),
        ),
    )


def delete_current_day(conn: Connection, scope: Scope, store_id: str, day: date) -> None:
    """Take away a provisional row, about to be replaced."""
    conn.execute(
        """
        DELETE FROM store_day
        WHERE store_id = %(store_id)s AND day = %(day)s AND superseded_at IS NULL AND provisional
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "day": day, "scope": scope.store_ids},
    )


def supersede_day(conn: Connection, scope: Scope, store_id: str, day: date, at: datetime) -> None:
    """Keep the row that stood so far as what was answered before."""
    conn.execute(
        """
        UPDATE store_day
        SET superseded_at = greatest(%(at)s, computed_at)
        WHERE store_id = %(store_id)s AND day = %(day)s AND superseded_at IS NULL
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "day": day, "at": at, "scope": scope.store_ids},
    )


def replace_hours(
    conn: Connection,
    scope: Scope,
    window: Window,
    version: int,
    gone: Iterable[datetime],
    new: Iterable[HourFacts],
) -> None:
    """Put hours of a day in place of some it had, and keep those that belong to a version that is over.

    Hours that another day had there before its bounds moved go as well; that day is computed anew, and what it had
    belongs to its versions so far.

    Args:
        version: of the day, that the new hours are the first of.
        gone: starts (UTC) of hours that change or are no more.
    """
    given = {
        "store_id": window.store_id,
        "day": window.day,
        "start": window.start,
        "end": window.end,
        "gone": list(gone),
        "version": version,
        "scope": scope.store_ids,
    }
    conn.execute(
        sql.SQL(
            """
            WITH gone AS (
                DELETE FROM store_hour
                WHERE store_id = %(store_id)s
                  AND ((day = %(day)s AND hour = ANY(%(gone)s))
                       OR (day <> %(day)s AND hour >= %(start)s AND hour < %(end)s))
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                RETURNING *
            ), told AS (
                SELECT g.*, CASE g.day WHEN %(day)s THEN %(version)s ELSE d.version + 1 END AS until_version
                FROM gone g
                JOIN store_day d ON d.store_id = g.store_id AND d.day = g.day AND d.superseded_at IS NULL
                WHERE NOT d.provisional
            )
            INSERT INTO store_hour_past (store_id, hour, day, local_hour, since_version, until_version, {columns})
            SELECT store_id, hour, day, local_hour, since_version, until_version, {columns}
            FROM told
            WHERE since_version < until_version
            """
        ).format(columns=_COLUMN_LIST),
        given,
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO store_hour (store_id, hour, day, local_hour, since_version, {columns})"
                " VALUES (%s, %s, %s, %s, %s, {places})"
            ).format(columns=_COLUMN_LIST, places=_PLACES),
            [
                (
                    window.store_id,
                    hour.start,
                    window.day,
                    hour.local.hour,
                    version,
                    *_columns(hour.facts, hour.occupancy),
                )
                for hour in new
            ],
        )


def errors_of(kept: Mapping[str, int] | None) -> AuditErrors:
    """Errors by audit, of a row."""
    return tuple(sorted((int(number), error) for number, error in (kept or {}).items()))


def _columns(facts: Facts, occupancy: Occupancy) -> tuple[Any, ...]:
    errors = {str(number): error for number, error in facts.audit_errors}
    return (
        *(occupancy.now, occupancy.peak, occupancy.drift),
        *(getattr(facts, name) for name in FACT_NAMES),
        Jsonb(errors) if errors else None,
    )


def _stored(values: Sequence[Any]) -> tuple[Facts, Occupancy]:
    return Facts(*(*values[3:-1], errors_of(values[-1]))), Occupancy(*values[:3])
