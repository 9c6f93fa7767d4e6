"""By what a report can be grouped, said once for the rows in the database and once for those computed on the spot.

Both must give the same label for the same hour, or today would stand beside itself in a report of its own month. Labels
are texts that sort as they should. A comparison carries the label of the period it is compared with, so days are
shifted before they are labelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, LiteralString, cast, get_args

from server.errors import InvalidInput
from server.kpi.models import Facts, Occupancy

Dimension = Literal["store", "region", "day", "week", "month", "weekday", "hour", "hour_of_day", "quarter"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
_HOURLY: Final = frozenset({"hour", "hour_of_day"})

#: `d` is a row of store_day or store_hour, `r` its store's region that day; `p.shift` is in days. No rows are kept by
#: quarter hour.
EXPRESSIONS: Final[dict[Dimension, LiteralString]] = {
    "store": "d.store_id",
    "region": "coalesce(r.region, '')",
    "day": "(d.day + p.shift)::text",
    "week": "to_char(d.day + p.shift, 'IYYY-\"W\"IW')",
    "month": "to_char(d.day + p.shift, 'YYYY-MM')",
    "weekday": "(extract(isodow FROM d.day + p.shift) - 1)::int::text",
    "hour": 'to_char(d.hour + make_interval(days => p.shift), \'YYYY-MM-DD"T"HH24:MI"Z"\')',
    "hour_of_day": "lpad(d.local_hour::text, 2, '0')",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a label is made of.

    Attributes:
        hour: start of the hour (UTC), None for a whole day; `local_hour` on the store's clock.
        quarter: start of the quarter hour (UTC), None for anything longer.
    """

    store_id: str
    region: str
    day: date
    hour: datetime | None = None
    local_hour: int = 0
    quarter: datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Facts of all rows that share their labels.

    Attributes:
        occupancy: only where the group is a single day or hour of a single store.
        periods: how many store-days or store-hours are in it.
        currencies: of its stores.
    """

    labels: tuple[str, ...]
    facts: Facts
    occupancy: Occupancy | None
    periods: int
    currencies: frozenset[str]


@dataclass(frozen=True, slots=True)
class DayLine:
    """A store's day: visitors, None where nobody could count any, and the share of due camera time watched."""

    day: date
    visitors: int | None
    coverage: float | None


def dimensions(group_by: str | Sequence[str]) -> tuple[Dimension, ...]:
    """What ``store``, ``store,day`` or ``chain`` (nothing: all in one) stand for.

    Raises:
        InvalidInput: a name that is none.
    """
    names = group_by.split(",") if isinstance(group_by, str) else list(group_by)
    chosen = [name.strip() for name in names if name.strip() and name.strip() != "chain"]
    for name in chosen:
        if name not in DIMENSIONS:
            raise InvalidInput(
                f"a report can't be grouped by {name!r}",
                field="group_by",
                remedy=f"chain, or one or more of: {', '.join(DIMENSIONS)}",
            )
    return cast("tuple[Dimension, ...]", tuple(dict.fromkeys(chosen)))


def is_hourly(by: Sequence[Dimension]) -> bool:
    """Whether it takes rows by hour rather than by day."""
    return not _HOURLY.isdisjoint(by)


def is_by_quarter(by: Sequence[Dimension]) -> bool:
    """Whether it takes facts by quarter hour, of which no rows are kept."""
    return "quarter" in by


def labels(by: Sequence[Dimension], what: Labelled, shift: int) -> tuple[str, ...]:
    """The labels of one store-day or store-hour, as `EXPRESSIONS` give them."""
    return tuple(_label(dimension, what, what.day + timedelta(days=shift), shift) for dimension in by)


def _label(dimension: Dimension, what: Labelled, day: date, shift: int) -> str:
    match dimension:
        case "store":
            return what.store_id
        case "region":
            return what.region
        case "day":
            return day.isoformat()
        case "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02d}"
        case "month":
            return f"{day:%Y-%m}"
        case "weekday":
            return str(day.weekday())
        case "hour":
            return _instant(what.hour, shift)
        case "quarter":
            return _instant(what.quarter, shift)
        case "hour_of_day":
            return f"{what.local_hour:02d}"


def _instant(at: datetime | None, shift: int) -> str:
    if at is None:
        raise ValueError("a whole day has no hour, and an hour no quarter")
    return f"{at.astimezone(UTC) + timedelta(days=shift):%Y-%m-%dT%H:%MZ}"


def merged(groups: Sequence[Group]) -> dict[tuple[str, ...], Group]:
    """Groups with equal labels added up, in order of their labels."""
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        found.setdefault(group.labels, []).append(group)
    return {key: together(key, found[key]) for key in sorted(found)}


def together(key: tuple[str, ...], groups: Sequence[Group]) -> Group:
    """Several groups as one."""
    if len(groups) == 1 and groups[0].labels == key:
        return groups[0]
    return Group(
        labels=key,
        facts=Facts.total(group.facts for group in groups),
        occupancy=groups[0].occupancy if len(groups) == 1 else None,
        periods=sum(group.periods for group in groups),
        currencies=frozenset().union(*(group.currencies for group in groups)),
    )
