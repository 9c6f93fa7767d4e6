"""SQL of what was answered at a moment: the versions of store-days that stood then."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from psycopg import sql

from server.access.models import Scope
from server.kpi.answers.grouping import EXPRESSIONS, Dimension, Group
from server.kpi.models import FACT_NAMES, Facts, Occupancy
from server.storage.pool import Connection

#: Facts kept in bigint columns, whose sum PostgreSQL would give as numeric.
_BIG: Final = frozenset({"due_ms", "observed_ms", "required_ms"})


def groups(
    conn: Connection,
    scope: Scope,
    store_ids: Sequence[str] | None,
    days: tuple[date, date],
    by: Sequence[Dimension],
    at: datetime,
) -> list[Group]:
    """The sums of the rows that stood at a moment, in order of their labels."""
    labels = [sql.SQL(EXPRESSIONS[dimension]) for dimension in by]
    sums = [
        sql.SQL("sum(d.{})" + ("::bigint" if name in _BIG else "")).format(sql.Identifier(name)) for name in FACT_NAMES
    ]
    state = sql.SQL(
        "count(*)::int, min(s.currency), max(s.currency), max(d.occupancy), max(d.occupancy_peak), max(d.drift)"
    )
    statement = sql.SQL(
        """
        SELECT {columns}
        FROM store_day d
        JOIN store s ON s.store_id = d.store_id
        CROSS JOIN (SELECT 0 AS shift) p
        WHERE d.day BETWEEN %(first)s AND %(last)s
          AND d.computed_at <= %(at)s AND (d.superseded_at IS NULL OR d.superseded_at > %(at)s)
          AND (%(wanted)s::text[] IS NULL OR d.store_id = ANY(%(wanted)s))
          AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
        {grouped}
        """
    ).format(
        columns=sql.SQL(", ").join([*labels, state, *sums]),
        grouped=sql.SQL("GROUP BY {} ORDER BY {}").format(sql.SQL(", ").join(labels), _places(len(labels)))
        if labels
        else sql.SQL(""),
    )
    given = {
        "first": days[0],
        "last": days[1],
        "at": at,
        "wanted": None if store_ids is None else list(store_ids),
        "scope": scope.store_ids,
    }
    width = len(by)
    found = []
    for row in conn.execute(statement, given):
        periods, currency, other, now, peak, drift = row[width : width + 6]
        if periods:  # grouped by nothing, no rows still give one
            found.append(
                Group(
                    labels=tuple(row[:width]),
                    facts=Facts(*row[width + 6 :]),
                    occupancy=Occupancy(now, peak, drift) if periods == 1 else None,
                    periods=periods,
                    currencies=frozenset({currency, other}),
                )
            )
    return found


def _places(count: int) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL(str(number)) for number in range(1, count + 1))
