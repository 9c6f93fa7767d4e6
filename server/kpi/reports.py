"""How a report is put together: what is asked, of which stores and days, and what it is compared with.

A chain that spans timezones is the trap: "yesterday" is each store's own, so stores whose today is the same date are
told together (`telling`) and the parts put into one report.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Final, Literal

from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput, NotFound
from server.kpi import grouping, report_repository
from server.kpi.decomposition import NEEDS, Decomposition, Pair, decompose
from server.kpi.definition import Kpi
from server.kpi.grouping import Dimension, Group
from server.kpi.models import EMPTY, KpiValue, Period, Report, ReportRow
from server.kpi.registry import chosen
from server.kpi.report_repository import Mark, StoreFilter, StoreRow
from server.kpi.telling import Days, Profiles, Teller, Told, Wish, slots_of
from server.kpi.values import no_data, values_of
from server.storage.pool import Connection, Readable
from server.stores.calendar import StoreCalendar
from server.stores.models import EVER
from server.stores.service import StoresService

Compare = Literal["last_week", "last_year", "previous_period"]

#: A report over more days than this is refused.
MOST_DAYS: Final = 1100
#: No store's today is more than a day behind UTC's date, and a business day lags its date by less than another.
_TODAYS_WITHIN: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class DayRange:
    """Business days to compare with; `last`, included, is as many days on as the report has, when left out."""

    first: date
    last: date | None = None


Comparison = Compare | DayRange


@dataclass(frozen=True, slots=True)
class _Asking:
    """What is asked of all stores alike."""

    scope: Scope
    wish: Wish
    by: tuple[Dimension, ...]
    compare: Comparison | None
    now: datetime


@dataclass(frozen=True, slots=True)
class _Part:
    """Some stores and their days.

    Attributes:
        wanted: their ids for the database; None where they are all of the scope.
        todays: the business day each store is in; empty where no today can matter.
    """

    stores: Mapping[str, StoreRow]
    wanted: Sequence[str] | None
    days: Days
    other: Days | None
    todays: Mapping[str, date]
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class _Periods:
    """What is told of a part."""

    part: _Part
    told: Told
    other: Told | None
    pending: int


class ReportMaker:
    """Makes reports; see `KpiService.report`."""

    def __init__(self, db: Readable, stores: StoresService, clock: Clock) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock

    def make(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        day_from: date,
        day_to: date,
        where: StoreFilter,
        group_by: str | Sequence[str],
        compare: Comparison | None,
    ) -> Report:
        """See `KpiService.report`."""
        found = chosen(kpis)
        asking = _Asking(scope, Wish.of(found), grouping.dimensions(group_by), compare, self._clock())
        stores, part = self._part(asking, day_from, day_to, where)
        return _report(found, asking, stores, self._tell(asking, [part]))

    def changes(
        self, scope: Scope, *, day_from: date, day_to: date, where: StoreFilter, compare: Comparison
    ) -> Decomposition:
        """See `KpiService.decomposition`."""
        asking = _Asking(scope, Wish(NEEDS), ("store",), compare, self._clock())
        stores, part = self._part(asking, day_from, day_to, where)
        (periods,) = self._tell(asking, [part])
        assert part.other is not None  # noqa: S101 - it is asked for
        assert periods.other is not None  # noqa: S101
        now, before = periods.told.groups, periods.other.groups
        share_now, share_before = (Decimal(1) / days.count for days in (part.days, part.other))
        pairs = [
            Pair(
                store_id,
                store.currency,
                before.get((store_id,)),
                now.get((store_id,)),
                share_before * _known(before.get((store_id,))),
                share_now * _known(now.get((store_id,))),
            )
            for store_id, store in stores.items()
        ]
        changes, left_out, whole = decompose(pairs)
        return Decomposition(
            *(part.days.first, part.days.last, part.other.first, part.other.last),
            as_of=asking.now,
            pending=periods.pending,
            chain=tuple(whole),
            stores=tuple(changes),
            left_out=tuple(left_out),
        )

    def _part(
        self, asking: _Asking, day_from: date, day_to: date, where: StoreFilter
    ) -> tuple[Mapping[str, StoreRow], _Part]:
        """The stores meant, with their days.

        Raises:
            Forbidden, NotFound, InvalidInput: as `KpiService.report`.
        """
        scope, now = asking.scope, asking.now
        check_days(day_from, day_to)
        other = None if asking.compare is None else days_beside(asking.compare, day_from, day_to)
        for store_id in where.store_ids or ():
            scope.require(store_id)
        wanted = None
        with self._db.read() as conn:
            stores = {row.store_id: row for row in report_repository.store_rows(conn, scope, where)}
            if not where.is_all:
                wanted = list(stores)
            marks = report_repository.marks(conn, scope, wanted, day_from, day_to)
        _check_found(where.store_ids, stores)
        todays: Mapping[str, date] = {}
        if max(day_to, other.last if other else day_to) >= now.date() - _TODAYS_WITHIN:
            todays = _of(stores, self._stores.todays(scope, now))
        own = [mark for mark in marks if mark.store_id in stores]
        return stores, _Part(stores, wanted, Days(day_from, day_to), other, todays, own)

    def make_recent(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        days: int,
        back: int,
        group_by: str,
        compare: Compare | None,
        compared: Sequence[str] | None = None,
    ) -> Report:
        """See `KpiService.recent`."""
        found = chosen(kpis)
        beside = found if compared is None else chosen(compared)
        asking = _Asking(scope, Wish.of(found), grouping.dimensions(group_by), compare, self._clock())
        todays = self._stores.todays(scope, asking.now)
        parts = []
        with self._db.read() as conn:
            stores = {row.store_id: row for row in report_repository.store_rows(conn, scope, StoreFilter())}
            # Stores whose today is the same date have the same days; there are never more than three such dates.
            alike: dict[date, dict[str, StoreRow]] = defaultdict(dict)
            for store_id, row in stores.items():
                if store_id in todays:
                    alike[todays[store_id]][store_id] = row
            for today, some in sorted(alike.items()) or [(asking.now.date(), {})]:
                last = today - timedelta(days=back)
                first = last - timedelta(days=days - 1)
                check_days(first, last)
                other = None if compare is None else days_beside(compare, first, last)
                wanted = None if len(some) == len(stores) else list(some)
                marks = report_repository.marks(conn, scope, wanted, first, last)
                parts.append(_Part(some, wanted, Days(first, last), other, _of(some, todays), marks))
        return _report(found, asking, stores, self._tell(asking, parts), beside)

    def _tell(self, asking: _Asking, parts: Sequence[_Part]) -> list[_Periods]:
        needed = {store_id for part in parts for store_id in _needing_calendars(asking, part)}
        calendars: Mapping[str, StoreCalendar] = {}
        if needed:
            calendars = self._stores.calendars(asking.scope, sorted(needed))
        with self._db.read() as conn:
            return [_tell(conn, asking, part, calendars) for part in parts]


def _known(group: Group | None) -> int:
    return group.periods if group else 0


def _of(stores: Mapping[str, StoreRow], todays: Mapping[str, date]) -> dict[str, date]:
    return {store_id: todays[store_id] for store_id in stores if store_id in todays}


def _needing_calendars(asking: _Asking, part: _Part) -> Iterable[str]:
    if grouping.is_by_quarter(asking.by):
        return part.stores
    shown = [part.days] if part.other is None else [part.days, part.other]
    running = (
        store_id for store_id, today in part.todays.items() if any(days.first <= today <= days.last for days in shown)
    )
    return chain((mark.store_id for mark in part.marks), running)


def _tell(conn: Connection, asking: _Asking, part: _Part, calendars: Mapping[str, StoreCalendar]) -> _Periods:
    teller = Teller(
        conn,
        asking.scope,
        part.stores,
        part.wanted,
        part.todays,
        calendars,
        asking.now,
        asking.by,
        asking.wish,
    )
    told, other, pending = teller.tell(part.days, part.other, part.marks)
    return _Periods(part, told, other, pending)


def _report(
    kpis: Sequence[Kpi],
    asking: _Asking,
    stores: Mapping[str, StoreRow],
    parts: Sequence[_Periods],
    beside: Sequence[Kpi] | None = None,
) -> Report:
    """One report of stores that each have days of their own.

    Args:
        beside: which KPIs are compared; all, when left out.
    """
    by = asking.by
    row = partial(_row, kpis, kpis if beside is None else beside)
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
        as_of=asking.now,
        pending=sum(part.pending for part in parts),
        rows=tuple(row(by, group, told, other) for group in groups.values()),
        total=row((), _total(told), _whole(told), None if other is None else _whole(other)),
    )


def _together(parts: Sequence[Told]) -> Told:
    if len(parts) == 1:
        return parts[0]
    groups = grouping.merged([group for part in parts for group in part.groups.values()])
    if any(part.profiles is None for part in parts):
        return Told(groups, None)
    slots: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for part in parts:
        for labels, found in (part.profiles or {}).items():
            for slot in found:
                slots[labels][(slot.weekday, slot.hour)] += slot.visitors
    return Told(groups, {labels: slots_of(sums) for labels, sums in slots.items()})


def _row(
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
    )


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
    return Told({(): _total(told)}, profiles)


def check_days(day_from: date, day_to: date) -> None:
    """Refuse days no report is made of.

    Raises:
        InvalidInput: the wrong way round, before there was anything, or too many.
    """
    days = (day_to - day_from).days + 1
    if days < 1:
        raise InvalidInput(f"the last day {day_to} lies before the first {day_from}", field="to", remedy="swap them")
    if day_from < EVER:
        raise InvalidInput(f"{day_from} lies before the year {EVER.year}", field="from", remedy="check the year")
    if days > MOST_DAYS:
        raise InvalidInput(
            f"{days} days are too many for one report", field="to", remedy=f"ask for at most {MOST_DAYS}"
        )


def _check_found(store_ids: Sequence[str] | None, found: Mapping[str, StoreRow]) -> None:
    for store_id in store_ids or ():
        if store_id not in found:
            raise NotFound(f"there is no store {store_id!r}", field="store", remedy="check the id")


def days_beside(compare: Comparison, day_from: date, day_to: date) -> Days:
    """The days that some days are compared with.

    Raises:
        InvalidInput: as `check_days`, of a range that was chosen.
    """
    if isinstance(compare, DayRange):
        shift = (day_from - compare.first).days
        last = day_to - timedelta(days=shift) if compare.last is None else compare.last
        check_days(compare.first, last)
        return Days(compare.first, last, shift)
    shift = {"last_week": 7, "last_year": 364, "previous_period": (day_to - day_from).days + 1}[compare]
    back = timedelta(days=shift)
    return Days(day_from - back, day_to - back, shift)
