"""How a report is put together: rows that are kept, days computed on the spot, and the period compared with.

The trap is a comparison of unlike things: half of today beside the whole of last Saturday. A store whose today is in
the report is compared up to the same minute of its own clock, and no day after it is compared at all. Another is the
chain that spans timezones: "yesterday" is each store's own, so stores whose today is the same date are told together
and the parts put into one report.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Final, Literal

from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput, NotFound
from server.kpi import grouping, report_repository
from server.kpi.compute import StoreDay, Want, compute
from server.kpi.definition import Kpi
from server.kpi.grouping import Dimension, Group, Labelled
from server.kpi.models import EMPTY, DayFacts, HourSlot, KpiValue, Period, Report, ReportRow
from server.kpi.registry import chosen
from server.kpi.report_repository import Asked, Mark, StoreRow
from server.kpi.values import no_data, values_of
from server.storage.pool import Connection, Database
from server.stores.calendar import StoreCalendar
from server.stores.models import EVER
from server.stores.service import StoresService

Compare = Literal["last_week", "last_year", "previous_period"]

#: A report over more days than this is refused.
MOST_DAYS: Final = 1100
#: Today's row is as good as computing it while it is younger than this.
FRESH_FOR: Final = timedelta(seconds=60)
#: At most so many past store-days that wait to be computed anew are computed on the spot.
MOST_PENDING: Final = 100

#: Visitors by hour of the week, for each group.
Profiles = Mapping[tuple[str, ...], tuple[HourSlot, ...]]


@dataclass(frozen=True, slots=True)
class _Span:
    """One period of a report: the one asked for, or the one it is compared with.

    Attributes:
        computed: store-days on the spot.
        without: store-days whose kept rows must not be read: those computed, and those too late to compare.
    """

    day_from: date
    day_to: date
    shift: int
    computed: Mapping[StoreDay, DayFacts]
    without: frozenset[StoreDay]


@dataclass(frozen=True, slots=True)
class _Told:
    """Groups by their labels, in order, and their hours of the week if a KPI wants them."""

    groups: Mapping[tuple[str, ...], Group]
    profiles: Profiles | None


@dataclass(frozen=True, slots=True)
class _Asking:
    """What is asked of all stores alike."""

    scope: Scope
    kpis: Sequence[Kpi]
    by: tuple[Dimension, ...]
    compare: Compare | None
    now: datetime


@dataclass(frozen=True, slots=True)
class _Periods:
    """Some stores' days and those they are compared with, `shift` days before (None: with nothing)."""

    day_from: date
    day_to: date
    shift: int | None
    told: _Told
    other: _Told | None
    pending: int


class ReportMaker:
    """Makes reports; see `KpiService.report`."""

    def __init__(self, db: Database, stores: StoresService, clock: Clock) -> None:
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
        store_ids: Sequence[str] | None,
        group_by: str | Sequence[str],
        compare: Compare | None,
    ) -> Report:
        """See `KpiService.report`."""
        asking = _Asking(scope, chosen(kpis), grouping.dimensions(group_by), compare, self._clock())
        _check_days(day_from, day_to)
        for store_id in store_ids or ():
            scope.require(store_id)
        with self._db.read() as conn:
            stores = {row.store_id: row for row in report_repository.store_rows(conn, scope, store_ids)}
            marks = report_repository.marks(conn, scope, list(stores), day_from, day_to)
        _check_found(store_ids, stores)
        calendars = self._calendars(scope, stores, marks, day_to, asking.now)
        with self._db.read() as conn:
            told = _tell(conn, asking, stores, calendars, day_from, day_to, marks)
        return _report(asking, stores, [told])

    def make_recent(
        self, scope: Scope, *, kpis: Sequence[str], days: int, back: int, group_by: str, compare: Compare | None
    ) -> Report:
        """See `KpiService.recent`."""
        asking = _Asking(scope, chosen(kpis), grouping.dimensions(group_by), compare, self._clock())
        calendars = self._stores.calendars(scope)
        with self._db.read() as conn:
            stores = {row.store_id: row for row in report_repository.store_rows(conn, scope, list(calendars))}
            # Stores whose today is the same date have the same days; there are never more than three such dates.
            alike: dict[date, dict[str, StoreRow]] = defaultdict(dict)
            for store_id, row in stores.items():
                alike[calendars[store_id].day_of(asking.now)][store_id] = row
            told = []
            for today, some in sorted(alike.items()) or [(asking.now.date(), {})]:
                last = today - timedelta(days=back)
                first = last - timedelta(days=days - 1)
                _check_days(first, last)
                marks = report_repository.marks(conn, scope, list(some), first, last)
                told.append(_tell(conn, asking, some, calendars, first, last, marks))
        return _report(asking, stores, told)

    def _calendars(
        self, scope: Scope, stores: Mapping[str, StoreRow], marks: Sequence[Mark], day_to: date, now: datetime
    ) -> Mapping[str, StoreCalendar]:
        """Only where one can be needed: a chain's calendars are thousands of rows."""
        # Today is nowhere more than a day behind UTC's date, and a business day lags its date by less than another.
        if not marks and day_to < now.date() - timedelta(days=2):
            return {}
        if len(stores) == 1:
            return {store_id: self._stores.calendar(scope, store_id) for store_id in stores}
        return self._stores.calendars(scope)


@dataclass(frozen=True, slots=True)
class _Teller:
    """What both periods of one report have in common."""

    conn: Connection
    scope: Scope
    stores: Mapping[str, StoreRow]
    calendars: Mapping[str, StoreCalendar]
    now: datetime
    by: tuple[Dimension, ...]
    kpis: Sequence[Kpi]

    def todays(self, day_from: date, day_to: date) -> dict[str, date]:
        """The stores that are now in one of these days, and in which."""
        found = {store_id: self.calendars[store_id].day_of(self.now) for store_id in self.stores if self.calendars}
        return {store_id: today for store_id, today in found.items() if day_from <= today <= day_to}

    def current(self, day_from: date, day_to: date, marks: Sequence[Mark]) -> tuple[_Span, int]:
        """The period asked for, and how many of its store-days had to be left as they were."""
        marked = {
            (mark.store_id, day)
            for mark in marks
            for day in self.calendars[mark.store_id].days_of_hour(mark.hour)
            if day_from <= day <= day_to
        }
        todays = set(self.todays(day_from, day_to).items())
        late = marked - todays
        fresh = report_repository.fresh_days(self.conn, self.scope, sorted(todays - marked), self.now - FRESH_FOR)
        chosen_late = sorted(late, key=lambda pair: (pair[1], pair[0]), reverse=True)[:MOST_PENDING]
        wants = [
            Want(store_id, day, self.calendars[store_id], self.now)
            for store_id, day in sorted((todays - fresh) | set(chosen_late))
        ]
        computed = compute(self.conn, self.scope, wants)
        return _Span(day_from, day_to, 0, computed, frozenset(computed)), len(late) - len(chosen_late)

    def compared(self, day_from: date, day_to: date, shift: int) -> _Span:
        """The period compared with, `shift` days before, each store's only as far as it has come."""
        todays = self.todays(day_from, day_to)
        back = timedelta(days=shift)
        wants = [
            Want(
                store_id,
                today - back,
                self.calendars[store_id],
                self.calendars[store_id].same_time(self.now, -shift),
                in_past=True,
            )
            for store_id, today in todays.items()
        ]
        computed = compute(self.conn, self.scope, wants)
        later = {
            (store_id, today - back + timedelta(days=i))
            for store_id, today in todays.items()
            for i in range(1, (day_to - today).days + 1)
        }
        return _Span(day_from - back, day_to - back, shift, computed, frozenset(computed) | later)

    def told(self, span: _Span) -> _Told:
        """The sums of one period."""
        asked = Asked(
            store_ids=list(self.stores),
            day_from=span.day_from,
            day_to=span.day_to,
            by=self.by,
            needs=frozenset(need for kpi in self.kpis for need in kpi.needs) | _ALWAYS,
            shift=span.shift,
            without=sorted(span.without),
        )
        groups = report_repository.groups(self.conn, self.scope, asked)
        groups += [group for day in span.computed.values() for group in self._of_day(day, span.shift)]
        return _Told(grouping.merged(groups), self._profiles(asked, span) if self._wants_profile else None)

    @property
    def _wants_profile(self) -> bool:
        """Hours of the week mean nothing within a day or an hour."""
        return any(kpi.rolls_up == "hours of the week" for kpi in self.kpis) and set(self.by) <= {"store", "region"}

    def _profiles(self, asked: Asked, span: _Span) -> Profiles:
        visitors: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
        for row in report_repository.week_profile(self.conn, self.scope, asked):
            visitors[row.labels][(row.weekday, row.hour)] += row.visitors
        for day in span.computed.values():
            labels = grouping.labels(self.by, self._labelled(day), span.shift)
            for hour in day.hours:
                visitors[labels][(day.day.weekday(), hour.local.hour)] += hour.facts.visitors
        return {labels: _slots(slots) for labels, slots in visitors.items()}

    def _labelled(self, day: DayFacts) -> Labelled:
        return Labelled(day.store_id, self.stores[day.store_id].region, day.day)

    def _of_day(self, day: DayFacts, shift: int) -> Iterable[Group]:
        store = self.stores[day.store_id]
        currencies = frozenset({store.currency})
        if not grouping.is_hourly(self.by):
            labels = grouping.labels(self.by, self._labelled(day), shift)
            return [Group(labels, day.facts, day.occupancy, 1, currencies)]
        return [
            Group(
                grouping.labels(
                    self.by, Labelled(day.store_id, store.region, day.day, hour.start, hour.local.hour), shift
                ),
                hour.facts,
                hour.occupancy,
                1,
                currencies,
            )
            for hour in day.hours
            if hour.start < day.as_of and (hour.is_open or not hour.facts.is_empty)
        ]


#: Every row says how well it was watched.
_ALWAYS: Final = frozenset({"due_ms", "observed_ms"})


def _tell(
    conn: Connection,
    asking: _Asking,
    stores: Mapping[str, StoreRow],
    calendars: Mapping[str, StoreCalendar],
    day_from: date,
    day_to: date,
    marks: Sequence[Mark],
) -> _Periods:
    """The sums of some stores over the same days."""
    shift = None if asking.compare is None else _shift(asking.compare, (day_to - day_from).days + 1)
    needed = {store_id: calendars[store_id] for store_id in stores if store_id in calendars}
    teller = _Teller(conn, asking.scope, stores, needed, asking.now, asking.by, asking.kpis)
    span, pending = teller.current(day_from, day_to, marks)
    told = teller.told(span)
    other = None if shift is None else teller.told(teller.compared(day_from, day_to, shift))
    return _Periods(day_from, day_to, shift, told, other, pending)


def _report(asking: _Asking, stores: Mapping[str, StoreRow], parts: Sequence[_Periods]) -> Report:
    """One report of stores that each have days of their own."""
    kpis, by = asking.kpis, asking.by
    told = _together([part.told for part in parts])
    others = [part.other for part in parts if part.other is not None]
    other = _together(others) if others else None
    groups = told.groups
    if by == ("store",):
        # A store of which nothing is known has a line that says so; leaving it out would read as having none.
        empty = Group((), EMPTY, None, 0, frozenset())
        groups = {(store_id,): groups.get((store_id,), replace(empty, labels=(store_id,))) for store_id in stores}
    back = [(part, timedelta(days=part.shift)) for part in parts if part.shift is not None]
    return Report(
        store_ids=tuple(stores),
        kpis=tuple(kpi.slug for kpi in kpis),
        group_by=by,
        day_from=min(part.day_from for part in parts),
        day_to=max(part.day_to for part in parts),
        compared_from=min((part.day_from - shift for part, shift in back), default=None),
        compared_to=max((part.day_to - shift for part, shift in back), default=None),
        as_of=asking.now,
        pending=sum(part.pending for part in parts),
        rows=tuple(_row(kpis, by, group, told, other) for group in groups.values()),
        total=_row(kpis, (), _total(told), _whole(told), None if other is None else _whole(other)),
    )


def _together(parts: Sequence[_Told]) -> _Told:
    if len(parts) == 1:
        return parts[0]
    groups = grouping.merged([group for part in parts for group in part.groups.values()])
    if any(part.profiles is None for part in parts):
        return _Told(groups, None)
    slots: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for part in parts:
        for labels, found in (part.profiles or {}).items():
            for slot in found:
                slots[labels][(slot.weekday, slot.hour)] += slot.visitors
    return _Told(groups, {labels: _slots(sums) for labels, sums in slots.items()})


def _slots(sums: Mapping[tuple[int, int], int]) -> tuple[HourSlot, ...]:
    return tuple(HourSlot(weekday, hour, count) for (weekday, hour), count in sums.items() if count > 0)


def _row(kpis: Sequence[Kpi], by: Sequence[Dimension], group: Group, told: _Told, other: _Told | None) -> ReportRow:
    compare = None
    if other is not None:
        beside = other.groups.get(group.labels)
        compare = no_data(kpis) if beside is None else _values(kpis, beside, other.profiles)
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


def _total(told: _Told) -> Group:
    return grouping.together((), list(told.groups.values()))


def _whole(told: _Told) -> _Told:
    """All groups as one."""
    profiles: Profiles | None = None
    if told.profiles is not None:
        sums: dict[tuple[int, int], int] = defaultdict(int)
        for slot in chain.from_iterable(told.profiles.values()):
            sums[(slot.weekday, slot.hour)] += slot.visitors
        profiles = {(): _slots(sums)}
    return _Told({(): _total(told)}, profiles)


def _check_days(day_from: date, day_to: date) -> None:
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


def _shift(compare: Compare, days: int) -> int:
    return {"last_week": 7, "last_year": 364, "previous_period": days}[compare]
