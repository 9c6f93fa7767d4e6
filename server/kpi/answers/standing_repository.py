"""SQL of what was answered at a moment: the versions of store-days that stood then, and their hours.

Whoever signed a figure in March must be able to see that figure again, whatever was corrected, voided or sent in since.
Nothing is computed anew. While a day runs its row is replaced in place, so a moment within a day has no answer of it
that anybody could ask for again, and a provisional row is not one.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, LiteralString

from psycopg import sql

from server.access.models import Scope
from server.kpi.models import FACT_NAMES
from server.storage.pool import Connection

_STOOD: Final[LiteralString] = """
    NOT v.provisional AND v.computed_at <= %(at)s AND (v.superseded_at IS NULL OR v.superseded_at > %(at)s)
"""
_HOUR_COLUMNS: Final = sql.SQL(", ").join(
    sql.SQL("h.{}").format(sql.Identifier(name))
    for name in (
        *("store_id", "day", "hour", "local_hour", "audit_errors", "occupancy", "occupancy_peak", "drift"),
        *FACT_NAMES,
    )
)


def rows_at(scope: Scope, *, hourly: bool) -> sql.Composable:
    """What stood of `store_day`, or of `store_hour`, at the moment `at` of the statement, in parentheses.

    The statement gives `scope`, too.
    """
    within = sql.SQL(_STOOD if scope.store_ids is None else _STOOD + " AND v.store_id = ANY(%(scope)s)")
    if not hourly:
        return sql.SQL("(SELECT v.* FROM store_day v WHERE {})").format(within)
    return sql.SQL(
        """(
            SELECT {columns}
            FROM store_day v
            JOIN store_hour h ON h.store_id = v.store_id AND h.day = v.day AND h.since_version <= v.version
            WHERE {within}
            UNION ALL
            SELECT {columns}
            FROM store_day v
            JOIN store_hour_past h ON h.store_id = v.store_id AND h.day = v.day AND h.since_version <= v.version
                                  AND h.until_version > v.version
            WHERE {within}
        )"""
    ).format(columns=_HOUR_COLUMNS, within=within)


def answered_days(
    conn: Connection,
    scope: Scope,
    store_ids: Sequence[str] | None,
    days: tuple[date, date],
    at: datetime,
    *,
    hourly: bool,
) -> set[tuple[str, date]]:
    """Store-days that had an answer at a moment; where it is asked by the hour, those whose hours are kept."""
    return {
        (store_id, day)
        for store_id, day in conn.execute(
            sql.SQL(
                """
                SELECT v.store_id, v.day
                FROM store_day v
                WHERE {stood} AND v.day BETWEEN %(first)s AND %(last)s
                  AND (%(wanted)s::text[] IS NULL OR v.store_id = ANY(%(wanted)s))
                  AND (%(scope)s::text[] IS NULL OR v.store_id = ANY(%(scope)s))
                  AND (NOT %(hourly)s OR v.open_quarters = 0
                       OR EXISTS (SELECT FROM store_hour h
                                  WHERE h.store_id = v.store_id AND h.day = v.day AND h.since_version <= v.version)
                       OR EXISTS (SELECT FROM store_hour_past h
                                  WHERE h.store_id = v.store_id AND h.day = v.day AND h.since_version <= v.version
                                    AND h.until_version > v.version))
                """
            ).format(stood=sql.SQL(_STOOD)),
            {
                "at": at,
                "first": days[0],
                "last": days[1],
                "wanted": None if store_ids is None else list(store_ids),
                "scope": scope.store_ids,
                "hourly": hourly,
            },
        )
    }
