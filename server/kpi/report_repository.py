"""SQL of the reports: sums of the rows that stand, by whatever a report is grouped by.

One pass over the current rows of the stores and days asked for, adding up only the facts that the KPIs asked for need;
the plan relied on is the partial index of the current rows and one hash aggregate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.grouping import EXPRESSIONS, Dimension, Group, is_hourly
from server.kpi.models import FACT_NAMES, Facts, Occupancy
from server.storage.pool import Connection

#: Facts kept in bigint columns, whose sum PostgreSQL would give as numeric.
_BIG: Final = frozenset({"due_ms", "observed_ms", "required_ms"})


@dataclass(frozen=True, slots=True)
class StoreRow:
    """What a report needs to know of a store."""

    store_id: str
    region: str
    currency: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An hour (UTC) whose facts have changed."""

    store_id: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows a report adds up.

    Attributes:
        needs: facts to add up; others stay zero.
        shift: days to add before a day is labelled.
        without: store-days to leave out, because they are computed on the spot.
    """

    store_ids: Sequence[str]
    day_from: date
    day_to: date
    by: tuple[Dimension, ...]
    needs: frozenset[str]
    shift: int = 0
    without: Sequence[tuple[str, date]] = ()


@dataclass(frozen=True, slots=True)
class SlotRow:
    """Visitors of an hour of the week in one group of a report."""

    labels: tuple[str, ...]
    weekday: int
    hour: int
    visitors: int


_WHERE: Final = sql.SQL(
    """
    d.store_id = ANY(%(wanted)s) AND d.day BETWEEN %(day_from)s AND %(day_to)s
    AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
    AND (d.store_id, d.day) NOT IN (SELECT * FROM unnest(%(without_stores)s::text[], %(without_days)s::date[]))
    """
)


def store_rows(conn: Connection, scope: Scope, store_ids: Sequence[str] | None) -> list[StoreRow]:
    """Some stores of the scope, or all of them, by id."""
    with conn.cursor(row_factory=class_row(StoreRow)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, region, currency
            FROM store
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
            ORDER BY store_id
            """,
            {"scope": scope.store_ids, "wanted": None if store_ids is None else list(store_ids)},
        ).fetchall()


def marks(conn: Connection, scope: Scope, store_ids: Sequence[str], day_from: date, day_to: date) -> list[Mark]:
    """Hours whose facts have changed since they were last joined; a day more at both ends, for timezones."""
    with conn.cursor(row_factory=class_row(Mark)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT store_id, hour
            FROM dirty_mark
            WHERE store_id = ANY(%(wanted)s) AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND hour >= %(day_from)s::date - 2 AND hour < %(day_to)s::date + 3
            """,
            {"wanted": list(store_ids), "scope": scope.store_ids, "day_from": day_from, "day_to": day_to},
        ).fetchall()


def fresh_days(
    conn: Connection, scope: Scope, pairs: Sequence[tuple[str, date]], since: datetime
) -> set[tuple[str, date]]:
    """Which of these store-days were computed since a moment."""
    return {
        (store_id, day)
        for store_id, day in conn.execute(
            """
            SELECT d.store_id, d.day
            FROM unnest(%(stores)s::text[], %(days)s::date[]) AS w (store_id, day)
            JOIN store_day d ON d.store_id = w.store_id AND d.day = w.day AND d.superseded_at IS NULL
            WHERE d.computed_at >= %(since)s AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """,
            {**_pairs(pairs), "since": since, "scope": scope.store_ids},
        )
    }


def groups(conn: Connection, scope: Scope, asked: Asked) -> list[Group]:
    """The sums, in no order."""
    names = [name for name in FACT_NAMES if name in asked.needs]
    by = [sql.SQL(EXPRESSIONS[dimension]) for dimension in asked.by]
    statement = sql.SQL(
        """
        SELECT {columns}
        FROM {source} d
        JOIN store s ON s.store_id = d.store_id
        WHERE {current} AND {where}
        {grouped}
        """
    ).format(
        columns=sql.SQL(", ").join(
            [
                *by,
                sql.SQL("count(*), min(s.currency), max(s.currency)"),
                sql.SQL("max(d.occupancy), max(d.occupancy_peak), max(d.drift)"),
                *map(_sum, names),
            ]
        ),
        source=sql.Identifier("store_hour" if is_hourly(asked.by) else "store_day"),
        current=sql.SQL("TRUE" if is_hourly(asked.by) else "d.superseded_at IS NULL"),
        where=_WHERE,
        grouped=sql.SQL("GROUP BY {}").format(_commas(by)) if by else sql.SQL(""),
    )
    width = len(asked.by)
    found = []
    for row in conn.execute(statement, _parameters(scope, asked)):
        periods, currency, other_currency, now, peak, drift = row[width : width + 6]
        if not periods:
            continue  # grouped by nothing, no rows still give one
        found.append(
            Group(
                labels=tuple(row[:width]),
                facts=Facts(**dict(zip(names, row[width + 6 :], strict=True))),
                occupancy=Occupancy(now, peak, drift) if periods == 1 else None,
                periods=periods,
                currencies=frozenset((currency, other_currency)),
            )
        )
    return found


def week_profile(conn: Connection, scope: Scope, asked: Asked) -> list[SlotRow]:
    """Visitors by group and hour of the week: weekday of the business day, hour of the store's clock."""
    slot = [sql.SQL("(extract(isodow FROM d.day) - 1)::int"), sql.SQL("d.local_hour")]
    by = [*(sql.SQL(EXPRESSIONS[dimension]) for dimension in asked.by), *slot]
    statement = sql.SQL(
        """
        SELECT {columns}, sum(d.entries - d.staff_entries)
        FROM store_hour d
        JOIN store s ON s.store_id = d.store_id
        WHERE {where}
        GROUP BY {columns}
        HAVING sum(d.entries - d.staff_entries) > 0
        """
    ).format(columns=_commas(by), where=_WHERE)
    width = len(asked.by)
    return [SlotRow(tuple(row[:width]), *row[width:]) for row in conn.execute(statement, _parameters(scope, asked))]


def _commas(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _sum(name: str) -> sql.Composable:
    total = sql.SQL("sum(d.{})").format(sql.Identifier(name))
    return total + sql.SQL("::bigint") if name in _BIG else total


def _pairs(pairs: Iterable[tuple[str, date]]) -> dict[str, Any]:
    listed = list(pairs)
    return {"stores": [store_id for store_id, _ in listed], "days": [day for _, day in listed]}


def _parameters(scope: Scope, asked: Asked) -> dict[str, Any]:
    without = _pairs(asked.without)
    return {
        "scope": scope.store_ids,
        "wanted": list(asked.store_ids),
        "day_from": asked.day_from,
        "day_to": asked.day_to,
        "shift": asked.shift,
        "without_stores": without["stores"],
        "without_days": without["days"],
    }
