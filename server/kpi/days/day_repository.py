"""SQL of the rows days are kept in: versions of each day, its hours as they stand, and those of earlier versions.

Of the hours only those that a new version changes are put aside: a receipt that comes late changes one of fourteen.
Everything is read and written for many stores in one statement, or in one round trip.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
_D_COLUMNS: Final = sql.SQL(", ").join(sql.Identifier("d", name) for name in _DAY_COLUMNS)
_PLACES: Final = sql.SQL(", ").join(sql.Placeholder() for _ in _DAY_COLUMNS)
_WANTED: Final = sql.SQL("unnest(%(stores)s::text[], %(days)s::date[]) AS w (store_id, day)")
_HOUR: Final = timedelta(hours=1)

StoreDay = tuple[str, date]


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


@dataclass(frozen=True, slots=True)
class NewDay:
    """A row that is to be the answer."""

    store_id: str
    day: date
    row: StoredDay


@dataclass(frozen=True, slots=True)
class NewHours:
    """How the hours of a day change.

    Attributes:
        version: of the day, that the new hours are the first of.
        gone: starts (UTC) of hours that change or are no more.
    """

    window: Window
    version: int
    gone: Sequence[datetime]
    new: Sequence[HourFacts]


@dataclass(frozen=True, slots=True)
class Beside:
    """An earlier day up to the same minute, as a running day `shift` days later was computed at `computed_at`."""

    store_id: str
    day: date
    shift: int
    computed_at: datetime
    facts: Facts
    occupancy: Occupancy


def lock_stores(conn: Connection, scope: Scope, store_ids: Iterable[str]) -> set[str]:
    """Let one transaction at a time recompute days of these stores; those that there are.

    In order of their ids, so that two batches never wait for each other. Receipts and cameras that refer to a store are
    not held up: they need its key only.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        return set(
            cursor.execute(
                """
                SELECT store_id
                FROM store
                WHERE store_id = ANY(%(store_ids)s)
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                ORDER BY store_id
                FOR NO KEY UPDATE
                """,
                {"store_ids": sorted(store_ids), "scope": scope.store_ids},
            )
        )


def current_days(conn: Connection, scope: Scope, pairs: Sequence[StoreDay]) -> dict[StoreDay, StoredDay]:
    """The answers that stand for store-days, of those that have one."""
    found = conn.execute(
        sql.SQL(
            """
            SELECT d.store_id, d.day, d.version, d.provisional, d.computed_at, {columns}
            FROM {wanted}
            JOIN store_day d ON d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL
            WHERE %(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s)
            """
        ).format(columns=_D_COLUMNS, wanted=_WANTED),
        _given(scope, pairs),
    )
    return {(row[0], row[1]): StoredDay(row[2], row[3], row[4], *_stored(row[5:])) for row in found}


def current_hours(conn: Connection, scope: Scope, pairs: Sequence[StoreDay]) -> dict[StoreDay, list[StoredHour]]:
    """The hours of store-days as they stand, in order."""
    found: dict[StoreDay, list[StoredHour]] = defaultdict(list)
    for row in conn.execute(
        sql.SQL(
            """
            SELECT d.store_id, d.day, d.hour, d.local_hour, {columns}
            FROM {wanted}
            JOIN store_hour d ON d.store_id = w.store_id AND d.day = w.day
            WHERE %(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s)
            ORDER BY d.store_id, d.hour
            """
        ).format(columns=_D_COLUMNS, wanted=_WANTED),
        _given(scope, pairs),
    ):
        found[(row[0], row[1])].append(StoredHour(row[2], row[3], *_stored(row[4:])))
    return found


def insert_days(conn: Connection, days: Sequence[NewDay]) -> None:
    """Add rows that are the answers from now on."""
    if not days:
        return
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO store_day (store_id, day, version, provisional, computed_at, {columns})"
                " VALUES (%s, %s, %s, %s, %s, {places})"
            ).format(columns=_COLUMN_LIST, places=_PLACES),
            [
                (
                    *(new.store_id, new.day, new.row.version, new.row.provisional, new.row.computed_at),
                    *_columns(new.row.facts, new.row.occupancy),
                )
                for new in days
            ],
        )


def touch_days(conn: Connection, scope: Scope, pairs: Sequence[StoreDay], at: datetime) -> None:
    """Say that provisional rows were computed again and found as they stand."""
    if not pairs:
        return
    conn.execute(
        sql.SQL(
            """
            UPDATE store_day d
            SET computed_at = %(at)s
            FROM {wanted}
            WHERE d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL AND d.provisional
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """
        ).format(wanted=_WANTED),
        {**_given(scope, pairs), "at": at},
    )


def delete_current_days(conn: Connection, scope: Scope, pairs: Sequence[StoreDay]) -> None:
    """Take away provisional rows, about to be replaced."""
    if not pairs:
        return
    conn.execute(
        sql.SQL(
            """
            DELETE FROM store_day d
            USING {wanted}
            WHERE d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL AND d.provisional
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """
        ).format(wanted=_WANTED),
        _given(scope, pairs),
    )


def supersede_days(conn: Connection, scope: Scope, pairs: Sequence[StoreDay], at: datetime) -> None:
    """Keep the rows that stood so far as what was answered before."""
    if not pairs:
        return
    conn.execute(
        sql.SQL(
            """
            UPDATE store_day d
            SET superseded_at = greatest(%(at)s, d.computed_at)
            FROM {wanted}
            WHERE d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """
        ).format(wanted=_WANTED),
        {**_given(scope, pairs), "at": at},
    )


def replace_hours(conn: Connection, scope: Scope, changes: Sequence[NewHours]) -> None:
    """Put hours of days in place of some they had, and keep those that belong to a version that is over.

    Hours that another day had there before its bounds moved go as well; that day is computed anew, and what it had
    belongs to its versions so far.

    Args:
        changes: of each store one day at most.
    """
    if not changes:
        return
    leaving = [(each.window, hour) for each in changes for hour in each.gone]
    conn.execute(
        sql.SQL(
            """
            WITH w AS MATERIALIZED (
                SELECT *
                FROM unnest(%(stores)s::text[], %(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
                            %(versions)s::int[]) AS w (store_id, day, start_at, end_at, version)
            ), gone AS (
                DELETE FROM store_hour h
                USING w
                WHERE h.store_id = w.store_id
                  AND ((h.day = w.day
                        AND (h.store_id, h.hour) IN (SELECT * FROM unnest(%(of)s::text[], %(gone)s::timestamptz[])))
                       OR (h.day <> w.day AND h.hour >= w.start_at AND h.hour < w.end_at))
                  AND h.hour >= %(first)s AND h.hour < %(last)s
                  AND (%(scope)s::text[] IS NULL OR h.store_id = ANY(%(scope)s))
                RETURNING h.*, w.day AS moved_to, w.version AS replaced_by
            ), told AS (
                SELECT g.*, CASE g.day WHEN g.moved_to THEN g.replaced_by ELSE d.version + 1 END AS until_version
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
        {
            **_given(scope, [(each.window.store_id, each.window.day) for each in changes]),
            "starts": [each.window.start for each in changes],
            "ends": [each.window.end for each in changes],
            "versions": [each.version for each in changes],
            "of": [window.store_id for window, _ in leaving],
            "gone": [hour for _, hour in leaving],
            "first": min([*(each.window.start for each in changes), *(hour for _, hour in leaving)]),
            "last": max([*(each.window.end for each in changes), *(hour + _HOUR for _, hour in leaving)]),
        },
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO store_hour (store_id, hour, day, local_hour, since_version, {columns})"
                " VALUES (%s, %s, %s, %s, %s, {places})"
            ).format(columns=_COLUMN_LIST, places=_PLACES),
            [
                (
                    *(each.window.store_id, hour.start, each.window.day, hour.local.hour, each.version),
                    *_columns(hour.facts, hour.occupancy),
                )
                for each in changes
                for hour in each.new
            ],
        )


def put_beside(conn: Connection, scope: Scope, rows: Sequence[Beside]) -> None:
    """Keep what stores' running days are compared with, in place of what was kept so far."""
    if not rows:
        return
    conn.execute(
        sql.SQL(
            """
            DELETE FROM store_day_beside d
            USING {wanted}
            WHERE d.store_id = w.store_id AND d.shift = %(shift)s
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """
        ).format(wanted=_WANTED),
        {**_given(scope, [(row.store_id, row.day) for row in rows]), "shift": rows[0].shift},
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO store_day_beside (store_id, day, shift, computed_at, {columns})"
                " VALUES (%s, %s, %s, %s, {places})"
            ).format(columns=_COLUMN_LIST, places=_PLACES),
            [(row.store_id, row.day, row.shift, row.computed_at, *_columns(row.facts, row.occupancy)) for row in rows],
        )


def _given(scope: Scope, pairs: Sequence[StoreDay]) -> dict[str, Any]:
    return {"scope": scope.store_ids, "stores": [pair[0] for pair in pairs], "days": [pair[1] for pair in pairs]}


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
