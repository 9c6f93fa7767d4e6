"""From what is told of some stores to a report: rows with their values, their comparison and a total.

A report that is read by a person is made whole. One that is exported may have millions of rows (a thousand stores by
hour for a year), so it can also be made in slices, some stores at a time, of which only the sums are kept: the total is
known when the last slice is through.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from itertools import chain
from typing import Final

from server.access.models import Scope
from server.kpi.answers import grouping
from server.kpi.answers.freshness import Allowance, Running
from server.kpi.answers.grouping import Dimension, Group
from server.kpi.answers.state_repository import Mark, StoreRow
from server.kpi.answers.telling import Days, Profiles, Told, Wish, slots_of
from server.kpi.days.compute import StoreDay
from server.kpi.figures.definition import Kpi
from server.kpi.figures.values import no_data, values_of
from server.kpi.models import EMPTY, KpiValue, Period, Report, ReportRow

#: About so many rows are in memory at once when a report is made in slices.
ROWS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of all stores alike.

    Attributes:
        at: as it was answered then (UTC); None: as it stands.
        allowance: how much may still be computed for it.
    """

    scope: Scope
    wish: Wish
    by: tuple[Dimension, ...]
    now: datetime
    at: datetime | None = None
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True, slots=True)
class Part:
    """Some stores and their days.

    Attributes:
        wanted: their ids for the database; None where they are all of the scope.
        todays: the business day each store is in; empty where no today can matter.
        marks: of its days; `marked` the days themselves, with whether somebody said so.
        running: rows of its days that were still running when they were computed.
        left_out: store-days that a filter leaves out, of stores that it keeps on others.
    """

    stores: Mapping[str, StoreRow]
    wanted: Sequence[str] | None
    days: Days
    other: Days | None
    todays: Mapping[str, date]
    marks: Sequence[Mark]
    left_out: frozenset[StoreDay] = frozenset()
    running: Mapping[StoreDay, Running] = field(default_factory=dict)
    marked: Mapping[StoreDay, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Periods:
    """What is told of a part; `missing` store-days had no answer at the moment asked for."""

    part: Part
    told: Told
    other: Told | None
    pending: int
    missing: int = 0

    def as_of(self, now: datetime) -> datetime:
        """Up to when all of it is told."""
        told = [each.as_of for each in (self.told, self.other) if each is not None]
        return min(chain([now], *(ages.values() for ages in told)))


def report_of(
    kpis: Sequence[Kpi],
    asking: Asking,
    stores: Mapping[str, StoreRow],
    parts: Sequence[Periods],
    beside: Sequence[Kpi] | None = None,
) -> Report:
    """One report of stores that each have days of their own.

    Args:
        beside: which KPIs of the rows are compared; all, when left out, as in the total.
    """
    by = asking.by
    now = asking.at or asking.now
    as_of = min((each.as_of(now) for each in parts), default=now)
    row = partial(_row, now, kpis, kpis if beside is None else beside)
    told = _together([part.told for part in parts])
    others = [part.other for part in parts if part.other is not None]
    other = _together(others) if others else None
    groups = told.groups
    if by == ("store",):
        # A store of which nothing is known has a line that says so; leaving it out would read as having none.
        empty = Group((), EMPTY, None, 0, frozenset())
        groups = {(store_id,): groups.get((store_id,)) or replace(empty, labels=(store_id,)) for store_id in stores}
    back = [each.part.other for each in parts if each.part.other is not None]
    return Report(
        store_ids=tuple(stores),
        kpis=tuple(kpi.slug for kpi in kpis),
        group_by=by,
        day_from=min(each.part.days.first for each in parts),
        day_to=max(each.part.days.last for each in parts),
        compared_from=min((days.first for days in back), default=None),
        compared_to=max((days.last for days in back), default=None),
        as_of=as_of,
        answered_at=asking.now,
        pending=sum(part.pending for part in parts),
        missing=sum(part.missing for part in parts),
        rows=tuple(row(by, group, told, other) for group in groups.values()),
        total=replace(
            _row(now, kpis, kpis, (), _total(told), _whole(told), None if other is None else _whole(other)), as_of=as_of
        ),
    )


def _together(parts: Sequence[Told]) -> Told:
    if len(parts) == 1:
        return parts[0]
    groups = grouping.merged([group for part in parts for group in part.groups.values()])
    as_of: dict[tuple[str, ...], datetime] = {}
    for labels, at in chain.from_iterable(part.as_of.items() for part in parts):
        as_of[labels] = min(at, as_of.get(labels, at))
    if any(part.profiles is None for part in parts):
        return Told(groups, None, as_of)
    slots: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for part in parts:
        for labels, found in (part.profiles or {}).items():
            for slot in found:
                slots[labels][(slot.weekday, slot.hour)] += slot.visitors
    return Told(groups, {labels: slots_of(sums) for labels, sums in slots.items()}, as_of)


def _row(
    now: datetime,
    kpis: Sequence[Kpi],
    compared: Sequence[Kpi],
    by: Sequence[Dimension],
    group: Group,
    told: Told,
    other: Told | None,
) -> ReportRow:
    compare = None
    if other is not None:
        beside = other.groups.get(group.labels)
        compare = no_data(compared) if beside is None else _values(compared, beside, other.profiles)
    return ReportRow(
        key="/".join(group.labels),
        labels=dict(zip(by, group.labels, strict=True)),
        values=_values(kpis, group, told.profiles),
        compare=compare,
        coverage=group.facts.coverage,
        periods=group.periods,
        as_of=min(now, *(_as_of(each, group.labels, now) for each in (told, other) if each is not None)),
    )


def _as_of(told: Told, labels: tuple[str, ...], now: datetime) -> datetime:
    """Up to when a group is told; where it is not known which ones are old, all of them may be."""
    return min(told.as_of.get(labels, now), told.as_of.get((), now))


def _values(kpis: Sequence[Kpi], group: Group, profiles: Profiles | None) -> dict[str, KpiValue]:
    if not group.periods:
        return no_data(kpis)
    profile = None if profiles is None else profiles.get(group.labels, ())
    return values_of(kpis, Period(group.facts, group.occupancy, profile), group.currencies)


def _total(told: Told) -> Group:
    return grouping.together((), list(told.groups.values()))


def _whole(told: Told) -> Told:
    """All groups as one."""
    profiles: Profiles | None = None
    if told.profiles is not None:
        sums: dict[tuple[int, int], int] = defaultdict(int)
        for slot in chain.from_iterable(told.profiles.values()):
            sums[(slot.weekday, slot.hour)] += slot.visitors
        profiles = {(): slots_of(sums)}
    as_of: dict[tuple[str, ...], datetime] = {(): min(told.as_of.values())} if told.as_of else {}
    return Told({(): _total(told)}, profiles, as_of)


class Slices:
    """A report made some stores at a time.

    `head` is the report without rows; its total and its number of pending store-days are known once all rows were
    taken. Each slice is of its own moment: a chain's export takes longer than a transaction should.

    Args:
        tell: what tells of some stores.
    """

    def __init__(
        self, kpis: Sequence[Kpi], asking: Asking, part: Part, tell: Callable[[Asking, Sequence[Part]], list[Periods]]
    ) -> None:
        self._kpis = kpis
        self._asking = asking
        self._tell = tell
        self._parts = list(_sliced(asking, part))
        nothing = Periods(replace(part, stores={}), Told({}, None), None, 0)
        self.head = replace(report_of(kpis, asking, part.stores, [nothing]), rows=())
        self._told: list[Periods] = []

    def rows(self) -> Iterator[tuple[ReportRow, ...]]:
        """The rows, in order of their keys within each slice; to be taken once."""
        for part in self._parts:
            (periods,) = self._tell(self._asking, [part])
            yield report_of(self._kpis, self._asking, part.stores, [periods]).rows
            other = None if periods.other is None else _whole(periods.other)
            self._told = [Periods(part, _whole(periods.told), other, periods.pending, periods.missing), *self._told]
            self._told = [_summed(self._told)]

    @property
    def total(self) -> ReportRow:
        """All rows taken so far as one group."""
        return report_of(self._kpis, replace(self._asking, by=()), {}, self._told).total

    @property
    def as_of(self) -> datetime:
        """Up to when all of those taken so far are told."""
        return report_of(self._kpis, replace(self._asking, by=()), {}, self._told).as_of

    @property
    def pending(self) -> int:
        """Store-days, of those taken so far, whose facts have changed and are not in the answer."""
        return sum(periods.pending for periods in self._told)

    @property
    def missing(self) -> int:
        """Store-days, of those taken so far, that had no answer at the moment asked for."""
        return sum(periods.missing for periods in self._told)


def _summed(told: Sequence[Periods]) -> Periods:
    others = [periods.other for periods in told if periods.other is not None]
    return Periods(
        told[0].part,
        _together([periods.told for periods in told]),
        _together(others) if others else None,
        sum(periods.pending for periods in told),
        sum(periods.missing for periods in told),
    )


def _sliced(asking: Asking, part: Part) -> Iterator[Part]:
    """Only rows of single stores can be made apart from each other; all others are few."""
    by = set(asking.by)
    each = part.days.count if by & {"day", "hour"} else max(1, part.days.count // 7)
    each *= 24 if grouping.is_hourly(asking.by) else 1
    size = max(1, ROWS_AT_ONCE // each)
    if "store" not in by or grouping.is_by_quarter(asking.by) or len(part.stores) <= size:
        yield part
        return
    ids = list(part.stores)
    for start in range(0, len(ids), size):
        own = {store_id: part.stores[store_id] for store_id in ids[start : start + size]}
        yield replace(
            part,
            stores=own,
            wanted=list(own),
            todays={store_id: day for store_id, day in part.todays.items() if store_id in own},
            marks=[mark for mark in part.marks if mark.store_id in own],
            running={pair: row for pair, row in part.running.items() if pair[0] in own},
            left_out=frozenset(pair for pair in part.left_out if pair[0] in own),
        )
