"""SQL of what a few days need besides (`inputs_repository` has what all of them do), and of their settings.

Everything is read for many store-days at once, each with its own bounds in UTC, because a chain's "today" is a
different pair of instants in every timezone. The plan these queries rely on: for each window, one range of the
primary key (store_id, quarter, ...).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.imputation import PastRow
from server.kpi.days.watching import DoorHistory
from server.storage.pool import Connection

_WINDOWS: Final = sql.SQL("""
    unnest(%(stores)s::text[], %(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS w (store_id, day, start_at, end_at)
""")
_IN_SCOPE: Final = sql.SQL("(%(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s))")
_QUARTER: Final = sql.SQL("date_bin('15 minutes', {at}, '2000-01-01 00:00:00+00'::timestamptz)")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a store's business day (UTC, end excluded)."""

    store_id: str
    day: date
    start: datetime
    end: datetime


def _over(scope: Scope, windows: Sequence[Window]) -> dict[str, Any]:
    return {
        "scope": scope.store_ids,
        "stores": [window.store_id for window in windows],
        "days": [window.day for window in windows],
        "starts": [window.start for window in windows],
        "ends": [window.end for window in windows],
    }


def raw_traffic(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[TrafficRow]:
    """Crossings from the raw rows, summed as in the roll-up, for the begun quarter hour of a moment in the past.

    All windows' bounds are told as one, too: a chain's stores ask for nearly the same minutes, and to look these up
    once in the summary of the crossings' times takes no longer for a thousand of them than for one.
    """
    if not windows:
        return []
    quarter = _QUARTER.format(at=sql.Identifier("c", "at"))
    with conn.cursor(row_factory=class_row(TrafficRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT w.store_id, w.day, {quarter} AS quarter, l.kind, c.direction, c.class AS crossing_class,
                   count(*)::int AS crossings, (count(*) FILTER (WHERE c.opens_group))::int AS groups, c.line_id
            FROM {windows}
            JOIN crossing c ON c.store_id = w.store_id AND c.at >= w.start_at AND c.at < w.end_at
            JOIN line l ON l.line_id = c.line_id AND l.kind <> 'interior'
            WHERE {in_scope} AND c.at >= %(first)s AND c.at < %(last)s
            GROUP BY w.store_id, w.day, {quarter}, l.kind, c.direction, c.class, c.line_id
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE, quarter=quarter),
            {
                **_over(scope, windows),
                "first": min(window.start for window in windows),
                "last": max(window.end for window in windows),
            },
        ).fetchall()


def door_history(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[DoorHistory]:
    """What each door camera of the windows' stores counted and for how long it watched, within the windows."""
    with conn.cursor(row_factory=class_row(DoorHistory)) as cursor:
        return cursor.execute(
            sql.SQL("""
            WITH w AS MATERIALIZED (SELECT * FROM {windows} WHERE {in_scope}),
            entered AS (
                SELECT w.store_id, w.day, l.camera_id, sum(t.count) AS entries
                FROM w
                JOIN traffic_15m t ON t.store_id = w.store_id AND t.quarter >= w.start_at AND t.quarter < w.end_at
                JOIN line l ON l.line_id = t.line_id AND l.kind = 'door'
                WHERE t.direction = 'in'
                GROUP BY w.store_id, w.day, l.camera_id
            ),
            watched AS (
                SELECT w.store_id, w.day, v.camera_id, sum(v.seconds) AS seconds
                FROM w
                JOIN coverage_15m v ON v.store_id = w.store_id AND v.quarter >= w.start_at AND v.quarter < w.end_at
                GROUP BY w.store_id, w.day, v.camera_id
            )
            SELECT w.store_id, w.day, c.camera_id,
                   coalesce(e.entries, 0)::int AS entries, coalesce(v.seconds, 0)::float8 AS seconds
            FROM w
            JOIN camera c ON c.store_id = w.store_id
                         AND EXISTS (SELECT FROM line l WHERE l.camera_id = c.camera_id AND l.kind = 'door')
            LEFT JOIN entered e ON (e.store_id, e.day, e.camera_id) = (w.store_id, w.day, c.camera_id)
            LEFT JOIN watched v ON (v.store_id, v.day, v.camera_id) = (w.store_id, w.day, c.camera_id)
            ORDER BY w.store_id, w.day, c.camera_id
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE),
            _over(scope, windows),
        ).fetchall()


def past(conn: Connection, scope: Scope, quarters: Sequence[tuple[str, date, datetime]]) -> list[PastRow]:
    """What door lines counted in quarter hours of other weeks, where their cameras watched; see `imputation`.

    Args:
        quarters: store, the day it is history for, and the quarter hour.
    """
    with conn.cursor(row_factory=class_row(PastRow)) as cursor:
        return cursor.execute(
            """
            SELECT w.store_id, w.day, v.camera_id, l.line_id, w.quarter,
                   coalesce(sum(t.count), 0)::int AS entries,
                   coalesce(sum(t.count) FILTER (WHERE t.class <> 'staff'), 0)::int AS visitors,
                   (10 * v.seconds)::int AS tenths
            FROM unnest(%(stores)s::text[], %(days)s::date[], %(quarters)s::timestamptz[])
                AS w (store_id, day, quarter)
            JOIN coverage_15m v ON v.store_id = w.store_id AND v.quarter = w.quarter
            JOIN line l ON l.camera_id = v.camera_id AND l.kind = 'door'
            LEFT JOIN traffic_15m t ON t.store_id = w.store_id AND t.quarter = w.quarter AND t.line_id = l.line_id
                                   AND t.direction = 'in'
            WHERE %(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s)
            GROUP BY w.store_id, w.day, v.camera_id, l.line_id, w.quarter, v.seconds
            """,
            {
                "stores": [store_id for store_id, _, _ in quarters],
                "days": [day for _, day, _ in quarters],
                "quarters": [quarter for _, _, quarter in quarters],
                "scope": scope.store_ids,
            },
        ).fetchall()


def put_setting(
    conn: Connection, store_id: str, key: str, valid_from: date, value: Decimal, actor: str, at: datetime
) -> None:
    """Set a setting from a day on; the store '' is the whole chain."""
    conn.execute(
        """
        INSERT INTO kpi_setting (store_id, key, valid_from, value, changed_by, changed_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (store_id, key, valid_from)
        DO UPDATE SET value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        (store_id, key, valid_from, value, actor, at),
    )


def computed_days(
    conn: Connection, scope: Scope, store_ids: Sequence[str] | None, first: date
) -> list[tuple[str, date]]:
    """Store-days from `first` on that have been computed; of some stores or of all of the scope."""
    return [
        (store_id, day)
        for store_id, day in conn.execute(
            """
            SELECT store_id, day
            FROM store_day
            WHERE superseded_at IS NULL AND day >= %(first)s
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, day
            """,
            {"first": first, "wanted": None if store_ids is None else list(store_ids), "scope": scope.store_ids},
        )
    ]
