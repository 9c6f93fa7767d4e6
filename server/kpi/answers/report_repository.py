"""SQL of the reports: sums of the rows that stand, by whatever a report is grouped by.

One statement for the period asked for and the one it is compared with: one pass over the current rows of each, adding
up only the facts that the KPIs asked for need. The plan relied on is the partial index of the current rows and a hash
aggregate for each; whole weeks of a store are one row where nothing smaller is asked for. What every row
would have alike (the currency, a filter that leaves nothing out) is not asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal, LiteralString

from psycopg import sql

from server.access.models import Scope
from server.kpi.answers.grouping import EXPRESSIONS, DayLine, Dimension, Group, is_hourly
from server.kpi.answers.standing_repository import rows_at
from server.kpi.answers.week_repository import split, whose, with_weeks
from server.kpi.models import FACT_NAMES, AuditErrors, Facts, Occupancy
from server.storage.pool import Connection

#: Facts kept in bigint columns, whose sum PostgreSQL would give as numeric.
_BIG: Final = frozenset(
    {"due_ms", "observed_ms", "required_ms", "staff_seconds", "star_seconds", "dwell_seconds", "imputed_seconds"}
)

#: Rows as they stand; what is kept beside running days; whole hours of store-days up to a moment of each.
Source = Literal["rows", "beside", "hours"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """One of the periods that a report adds up, or a part of it.

    Attributes:
        shift: days to add before a day is labelled.
        without: store-days to leave out, because they are told otherwise.
        only: of `beside` and `hours`, the store-days meant; `until` of `hours`, up to when (UTC), for each of them.
    """

    day_from: date
    day_to: date
    shift: int = 0
    without: Sequence[tuple[str, date]] = ()
    source: Source = "rows"
    only: Sequence[tuple[str, date]] = ()
    until: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows a report adds up.

    Attributes:
        store_ids: None means all of the scope.
        needs: facts to add up; others stay zero.
        occupancy: whether a group that is a single row needs its occupancy.
        currency: of all these stores, None where they have several.
        at: the rows that stood then (UTC); None: those that stand.
    """

    store_ids: Sequence[str] | None
    by: tuple[Dimension, ...]
    needs: frozenset[str]
    occupancy: bool
    currency: str | None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SlotRow:
    """Visitors of an hour of the week in one group of a report."""

    labels: tuple[str, ...]
    weekday: int
    hour: int
    visitors: int


def groups(conn: Connection, scope: Scope, asked: Asked, stretches: Sequence[Stretch]) -> list[list[Group]]:
    """The sums of each stretch, in no order; one statement for all of them."""
    names = [name for name in FACT_NAMES if name in asked.needs]
    hourly = is_hourly(asked.by)
    columns = [
        *_labels(asked.by),
        _PERIODS,
        *([] if asked.currency else [sql.SQL("min(s.currency)"), sql.SQL("max(s.currency)")]),
        *(map(sql.SQL, _OCCUPANCY) if asked.occupancy else []),
        *map(_sum, names),
    ]
    statement, given = _over(scope, asked, stretches, columns, hourly=hourly)
    width = len(asked.by)
    made = _Maker(asked, names)
    found: list[list[Group]] = [[] for _ in stretches]
    for row in conn.execute(statement, given):
        if row[width + 1]:  # grouped by nothing, no rows still give one
            is_whole = hourly or stretches[row[0]].source != "hours"
            found[row[0]].append(made.group(row[1:], is_whole=is_whole))
    if any(group.facts.entries_error for groups in found for group in groups):
        return _with_audit_errors(conn, scope, asked, stretches, found)
    return found


def _with_audit_errors(
    conn: Connection, scope: Scope, asked: Asked, stretches: Sequence[Stretch], found: Sequence[Sequence[Group]]
) -> list[list[Group]]:
    """The same groups with what audits leave open, audit by audit.

    A store that was audited once only, as most are, has nothing to be told apart: all that is open is that audit's.
    To go through the lists that its rows keep would take as long as to add up all their facts.
    """
    place = asked.by.index("store") if "store" in asked.by else None
    alone = asked.store_ids[0] if asked.store_ids and len(asked.store_ids) == 1 else None
    once: dict[str, int] = {}

    def store_of(group: Group) -> str | None:
        return alone if place is None else group.labels[place]

    if place is not None or alone is not None:
        once = _audited_once(conn, scope, asked)
        audited = {store_of(group) for groups in found for group in groups if group.facts.entries_error}
        asked = replace(asked, store_ids=sorted(store for store in audited if store is not None and store not in once))
    errors: Sequence[Mapping[tuple[str, ...], AuditErrors]] = [{} for _ in stretches]
    if asked.store_ids is None or asked.store_ids:
        errors = _audit_errors(conn, scope, asked, stretches)

    def whole(group: Group, told: Mapping[tuple[str, ...], AuditErrors]) -> Group:
        if not group.facts.entries_error:
            return group
        store_id = store_of(group)
        number = None if store_id is None else once.get(store_id)
        own = told.get(group.labels, ()) if number is None else ((number, group.facts.entries_error),)
        return replace(group, facts=replace(group.facts, audit_errors=own))

    return [[whole(group, told) for group in groups] for groups, told in zip(found, errors, strict=True)]


def _audited_once(conn: Connection, scope: Scope, asked: Asked) -> dict[str, int]:
    """Of stores that were ever audited once alone, withdrawn or not, the number of that correction."""
    found = conn.execute(
        """
        SELECT store_id, min(correction_id)
        FROM correction
        WHERE kind = 'accuracy'
          AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        GROUP BY store_id
        HAVING count(*) = 1
        """,
        {"wanted": _listed(asked.store_ids), "scope": scope.store_ids},
    )
    return {store_id: int(number) for store_id, number in found}


def _audit_errors(
    conn: Connection, scope: Scope, asked: Asked, stretches: Sequence[Stretch]
) -> list[dict[tuple[str, ...], AuditErrors]]:
    """What audits leave open of each group's entries, audit by audit; asked only where anything is left open."""
    width = len(asked.by)
    columns = [*_labels(asked.by), sql.SQL("e.key::bigint"), sql.SQL("sum(e.value::int)")]
    statement, given = _over(
        scope, asked, stretches, columns, hourly=is_hourly(asked.by), grouped=width + 1, audited=True
    )
    found: list[dict[tuple[str, ...], dict[int, int]]] = [defaultdict(dict) for _ in stretches]
    for place, *row in conn.execute(statement, given):
        found[place][tuple(row[:width])][row[width]] = row[width + 1]
    return [{labels: tuple(sorted(own.items())) for labels, own in groups.items()} for groups in found]


class _Maker:
    """Makes groups of rows as `groups` asks for them."""

    def __init__(self, asked: Asked, names: Sequence[str]) -> None:
        self._width = len(asked.by)
        self._money = self._width + 1
        self._state = self._money + (0 if asked.currency else 2)
        self._facts = self._state + (len(_OCCUPANCY) if asked.occupancy else 0)
        self._names = names
        self._occupancy = asked.occupancy
        self._currencies = frozenset({asked.currency}) if asked.currency else None

    def group(self, row: Sequence[Any], *, is_whole: bool) -> Group:
        """One of them; what can't be added is in a row, and not in several hours of one that is not whole."""
        periods = row[self._width]
        single = self._occupancy and periods == 1 and is_whole
        return Group(
            labels=tuple(row[: self._width]),
            facts=Facts(**dict(zip(self._names, row[self._facts :], strict=True))),
            occupancy=Occupancy(*row[self._state : self._facts]) if single else None,
            periods=periods,
            currencies=self._currencies or frozenset(row[self._money : self._state]),
        )


def week_profile(conn: Connection, scope: Scope, asked: Asked, stretches: Sequence[Stretch]) -> list[list[SlotRow]]:
    """Visitors by group and hour of the week: weekday of the business day, hour of the store's clock."""
    slot = [sql.SQL("(extract(isodow FROM d.day) - 1)::int"), sql.SQL("d.local_hour")]
    columns = [*_labels(asked.by), *slot, sql.SQL("sum(d.entries - d.staff_entries)")]
    statement, given = _over(scope, asked, stretches, columns, hourly=True, grouped=len(asked.by) + 2)
    width = len(asked.by)
    found: list[list[SlotRow]] = [[] for _ in stretches]
    for place, *row in conn.execute(statement, given):
        if row[-1] > 0:
            found[place].append(SlotRow(tuple(row[:width]), *row[width:]))
    return found


def daily(conn: Connection, scope: Scope, day_from: date, day_to: date) -> dict[str, list[DayLine]]:
    """Visitors and coverage by store and day, as the rows stand; one row a store comes over the wire."""
    found = conn.execute(
        """
        SELECT d.store_id, array_agg(d.day),
               array_agg(CASE WHEN d.open_quarters > 0 AND d.camera_quarters > 0 THEN d.entries - d.staff_entries END),
               array_agg(d.observed_ms::float8 / nullif(d.due_ms, 0))
        FROM store_day d
        WHERE d.superseded_at IS NULL AND d.day BETWEEN %(day_from)s AND %(day_to)s
          AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
        GROUP BY d.store_id
        """,
        {"day_from": day_from, "day_to": day_to, "scope": scope.store_ids},
    )
    return {
        store_id: sorted(map(DayLine, days, visitors, shares), key=lambda line: line.day)
        for store_id, days, visitors, shares in found
    }


#: How many store-days, or store-hours, are in a group: of a day told by its hours, the day once; of a week, its days.
_PERIODS: Final = sql.SQL("count(*)")
_DAYS: Final = sql.SQL("count(DISTINCT (d.store_id, d.day))")
_DAYS_OF_WEEKS: Final = sql.SQL("sum(d.days)::bigint")
#: What can't be added up; read where a group is a single row.
_OCCUPANCY: Final[tuple[LiteralString, ...]] = ("max(d.occupancy)", "max(d.occupancy_peak)", "max(d.drift)")


#: Each store's region on each day, joined by hash: a chain has few stores that ever moved.
_REGIONS: Final = sql.SQL("""
    LEFT JOIN (
        SELECT store_id, region, valid_from,
               lead(valid_from, 1, 'infinity') OVER (PARTITION BY store_id ORDER BY valid_from) AS until
        FROM store_label
    ) r ON r.store_id = d.store_id AND d.day >= r.valid_from AND d.day < r.until
""")


def _over(
    scope: Scope,
    asked: Asked,
    stretches: Sequence[Stretch],
    columns: Sequence[sql.Composable],
    *,
    hourly: bool,
    grouped: int | None = None,
    audited: bool = False,
) -> tuple[sql.Composed, dict[str, Any]]:
    """One aggregate for each stretch, each with its number in front.

    Each is planned for its own days: the rows of some days of all stores, or of some stores, by index.

    Args:
        grouped: by how many of the columns; by the labels, when left out.
        audited: whether to go through the errors of each row by audit, as `e`.
    """
    given: dict[str, Any] = {"scope": scope.store_ids, "wanted": _listed(asked.store_ids), "at": asked.at}
    where = whose(scope, asked.store_ids)
    if audited:
        where.append(sql.SQL("d.audit_errors IS NOT NULL"))
    joined = []
    if asked.currency is None:
        joined.append(sql.SQL("JOIN store s ON s.store_id = d.store_id"))
    if "region" in asked.by:
        joined.append(_REGIONS)
    number = len(asked.by) if grouped is None else grouped
    adds_weeks = set(asked.by) <= {"store"} and asked.at is None and not (hourly or audited or asked.occupancy)
    parts = []
    for place, stretch in enumerate(stretches):
        names = {
            name: f"{name}{place}" for name in ("from", "to", "shift", "stores", "days", "until", "weeks", "single")
        }
        given |= {names["from"]: stretch.day_from, names["to"]: stretch.day_to, names["shift"]: stretch.shift}
        own = [*where, sql.SQL("d.day BETWEEN {} AND {}").format(*map(sql.Placeholder, (names["from"], names["to"])))]
        if stretch.source == "rows" and not hourly and asked.at is None:
            own.append(sql.SQL("d.superseded_at IS NULL"))
        if stretch.source == "beside":
            own.append(sql.SQL("d.shift = {}").format(sql.Placeholder(names["shift"])))
        if told := stretch.without or stretch.only:
            pairs = _pairs(told)
            given |= {names["stores"]: pairs["stores"], names["days"]: pairs["days"]}
        if stretch.without:
            own.append(
                sql.SQL("(d.store_id, d.day) NOT IN (SELECT * FROM unnest({}::text[], {}::date[]))").format(
                    *map(sql.Placeholder, (names["stores"], names["days"]))
                )
            )
        only: sql.Composable = sql.SQL("")
        if stretch.source != "rows":
            given[names["until"]] = list(stretch.until) or None
            only = sql.SQL(
                "JOIN unnest({}::text[], {}::date[], {}::timestamptz[]) AS o (store_id, day, until)"
                " ON o.store_id = d.store_id AND o.day = d.day"
            ).format(*map(sql.Placeholder, (names["stores"], names["days"], names["until"])))
        if stretch.source == "hours":
            own.append(sql.SQL("d.hour < o.until"))
        shown = columns if hourly or stretch.source != "hours" else [_DAYS if c is _PERIODS else c for c in columns]
        source = _source(scope, asked, stretch, hourly=hourly)
        told_by = split(stretch.day_from, stretch.day_to, (day for _, day in stretch.without))
        if adds_weeks and stretch.source == "rows" and told_by.weeks:
            given |= {names["weeks"]: told_by.weeks, names["single"]: told_by.days}
            source = with_weeks(scope, asked.store_ids, asked.needs, own, weeks=names["weeks"], days=names["single"])
            own = [sql.SQL("true")]
            shown = [_DAYS_OF_WEEKS if column is _PERIODS else column for column in columns]
        parts.append(
            sql.SQL(
                """
                SELECT {place} AS place, {columns}
                FROM {source} d
                {only}
                CROSS JOIN (SELECT {shift}::int AS shift) p
                {store}
                {audits}
                WHERE {where}
                {grouped}
                """
            ).format(
                place=sql.Literal(place),
                columns=sql.SQL(", ").join(shown),
                source=source,
                only=only,
                shift=sql.Placeholder(names["shift"]),
                store=sql.SQL(" ").join(joined),
                audits=sql.SQL("CROSS JOIN LATERAL jsonb_each_text(d.audit_errors) e" if audited else ""),
                where=sql.SQL(" AND ").join(own),
                grouped=sql.SQL("GROUP BY {}").format(_numbers(number)) if number else sql.SQL(""),
            )
        )
    return sql.SQL(" UNION ALL ").join(parts), given


def _source(scope: Scope, asked: Asked, stretch: Stretch, *, hourly: bool) -> sql.Composable:
    if stretch.source == "beside":
        return sql.Identifier("store_day_beside")
    by_hour = hourly or stretch.source == "hours"
    if asked.at is not None:
        return rows_at(scope, hourly=by_hour)
    return sql.Identifier("store_hour" if by_hour else "store_day")


def _labels(by: Sequence[Dimension]) -> list[sql.Composable]:
    return [sql.SQL(EXPRESSIONS[dimension]) for dimension in by]


def _numbers(count: int) -> sql.Composable:
    """The first so many columns behind the stretch's number, by their places."""
    return sql.SQL(", ").join(sql.Literal(place) for place in range(2, count + 2))


def _sum(name: str) -> sql.Composable:
    total = sql.SQL("sum(d.{})").format(sql.Identifier(name))
    return total + sql.SQL("::bigint") if name in _BIG else total


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def _pairs(pairs: Iterable[tuple[str, date]]) -> dict[str, Any]:
    listed = list(pairs)
    return {"stores": [store_id for store_id, _ in listed], "days": [day for _, day in listed]}
