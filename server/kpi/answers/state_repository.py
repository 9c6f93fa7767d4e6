"""SQL of what is known before a row of a report is read: which stores are meant, what waits to be computed, what runs.

Marks are few or, while boxes send, as many as stores; rows that were still running when they were computed have an
index of their own, so that a report of last year pays nothing for looking.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.answers.freshness import BY_MACHINES, Running
from server.kpi.answers.question import StoreFilter
from server.kpi.days.recomputing import KEPT_BESIDE
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class StoreRow:
    """What a report needs to know of a store."""

    store_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An hour (UTC) whose facts have changed; `said`: because of what somebody said, not of what machines sent."""

    store_id: str
    hour: datetime
    said: bool


def store_rows(conn: Connection, scope: Scope, wanted: StoreFilter) -> list[StoreRow]:
    """Stores of the scope that are meant, by id; regions, formats and tags are a matter of days (`stores.labels`)."""
    with conn.cursor(row_factory=class_row(StoreRow)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, currency
            FROM store
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
            ORDER BY store_id
            """,
            {"scope": scope.store_ids, "wanted": _listed(wanted.store_ids)},
        ).fetchall()


def marks(conn: Connection, scope: Scope, store_ids: Sequence[str] | None, day_from: date, day_to: date) -> list[Mark]:
    """Hours whose facts have changed since they were last joined; a day more at both ends, for timezones."""
    with conn.cursor(row_factory=class_row(Mark)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, hour, bool_or(reason <> ALL(%(machines)s)) AS said
            FROM dirty_mark
            WHERE (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND hour >= %(day_from)s::date - 2 AND hour < %(day_to)s::date + 3
            GROUP BY store_id, hour
            """,
            {
                "wanted": _listed(store_ids),
                "scope": scope.store_ids,
                "day_from": day_from,
                "day_to": day_to,
                "machines": list(BY_MACHINES),
            },
        ).fetchall()


def running(
    conn: Connection, scope: Scope, store_ids: Sequence[str] | None, periods: Sequence[tuple[date, date]]
) -> dict[tuple[str, date], Running]:
    """The rows of the periods' days that were still running when they were computed; by an index of these alone."""
    found: dict[tuple[str, date], Running] = {}
    for day_from, day_to in periods:
        for store_id, day, computed_at, has_beside in conn.execute(
            """
            SELECT d.store_id, d.day, d.computed_at, b.store_id IS NOT NULL
            FROM store_day d
            LEFT JOIN store_day_beside b ON b.store_id = d.store_id AND b.shift = %(shift)s
                                        AND b.day = d.day - b.shift AND b.computed_at = d.computed_at
            WHERE d.superseded_at IS NULL AND d.provisional AND d.day BETWEEN %(day_from)s AND %(day_to)s
              AND (%(wanted)s::text[] IS NULL OR d.store_id = ANY(%(wanted)s))
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """,
            {
                "shift": KEPT_BESIDE,
                "day_from": day_from,
                "day_to": day_to,
                "wanted": _listed(store_ids),
                "scope": scope.store_ids,
            },
        ):
            found[(store_id, day)] = Running(computed_at, has_beside)
    return found


def kept(conn: Connection, scope: Scope, pairs: Collection[tuple[str, date]]) -> set[tuple[str, date]]:
    """Those store-days of which a row stands."""
    found = conn.execute(
        """
        SELECT d.store_id, d.day
        FROM unnest(%(stores)s::text[], %(days)s::date[]) AS w (store_id, day)
        JOIN store_day d ON d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL
        WHERE %(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s)
        """,
        {
            "stores": [store_id for store_id, _ in pairs],
            "days": [day for _, day in pairs],
            "scope": scope.store_ids,
        },
    )
    return {(store_id, day) for store_id, day in found}


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)
