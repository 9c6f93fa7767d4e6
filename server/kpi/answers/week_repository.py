"""SQL of the rows a report adds up where whole weeks will do, and which days of it are read as weeks.

A week that is kept is the sum of its days' rows as they stand, so it tells no other sum than they would. The trap is a
week of which one day is told otherwise (computed on the spot, left out by a filter): such a week is read by its days,
of all stores, for a thousand weeks picked one by one cost more than they save.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from psycopg import sql

from server.access.models import Scope
from server.kpi.models import FACT_NAMES

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Split:
    """Days of a period: those of whole weeks by their Mondays, and the rest."""

    weeks: list[date]
    days: list[date]


def split(first: date, last: date, apart: Iterable[date]) -> Split:
    """Part a period.

    Args:
        last: included.
        apart: days that not all stores have read from their rows.
    """
    told = set(apart)
    weeks: list[date] = []
    days: list[date] = []
    day = first
    while day <= last:
        week = [day + timedelta(days=number) for number in range(7)]
        if day.weekday() == 0 and week[-1] <= last and told.isdisjoint(week):
            weeks.append(day)
            day += _WEEK
        else:
            days.append(day)
            day += timedelta(days=1)
    return Split(weeks, days)


def whose(scope: Scope, store_ids: Sequence[str] | None) -> list[sql.Composable]:
    """What holds for rows `d` of the stores meant; its parameters are `scope` and `wanted`."""
    where: list[sql.Composable] = []
    if scope.store_ids is not None:
        where.append(sql.SQL("d.store_id = ANY(%(scope)s)"))
    if store_ids is not None:
        where.append(sql.SQL("d.store_id = ANY(%(wanted)s)"))
    return where


def with_weeks(
    scope: Scope,
    store_ids: Sequence[str] | None,
    needs: Collection[str],
    own: Sequence[sql.Composable],
    *,
    weeks: str,
    days: str,
) -> sql.Composed:
    """Weeks as they are kept, and the rows of single days: facts by store, each with how many `days` are in it.

    Args:
        needs: facts to read.
        own: what holds for rows `d` of days.
        weeks: name of the parameter with their Mondays, `days` with the single days.
    """
    return sql.SQL(
        """(
            SELECT d.store_id, 1 AS days, {facts}
            FROM store_day d
            WHERE d.day = ANY({days}::date[]) AND {own}
            UNION ALL
            SELECT d.store_id, d.days, {facts}
            FROM store_week d
            WHERE {whose}
        )"""
    ).format(
        facts=sql.SQL(", ").join(sql.Identifier("d", name) for name in FACT_NAMES if name in needs),
        days=sql.Placeholder(days),
        own=sql.SQL(" AND ").join(own),
        whose=sql.SQL(" AND ").join(
            [sql.SQL("d.week = ANY({}::date[])").format(sql.Placeholder(weeks)), *whose(scope, store_ids)]
        ),
    )
