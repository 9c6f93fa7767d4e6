"""How a report is put together: rows that are kept, days computed on the spot, and the period compared with.

The trap is a comparison of unlike things: half of today beside the whole of last Saturday. A store whose today is in
the report is compared up to the same minute of its own clock, and no day after it is compared at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from server.kpi.models import DayFacts, HourSlot, KpiValue, Period, Report, ReportRow
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
        wanted = chosen(kpis)
        by = grouping.dimensions(group_by)
        days = _check_days(day_from, day_to)
        for store_id in store_ids or ():
            scope.require(store_id)
        now = self._clock()
        with self._db.read() as conn:
            stores = {row.store_id: row for row in report_repository.store_rows(conn, scope, store_ids)}
            marks = report_repository.marks(conn, scope, list(stores), day_from, day_to)
        _check_found(store_ids, stores)
        calendars = self._calendars(scope, stores, marks, day_to, now)
        shift = None if compare is None else _shift(compare, days)
        with self._db.read() as conn:
            teller = _Teller(conn, scope, stores, calendars, now, by, wanted)
            span, pending = teller.current(day_from, day_to, marks)
            told = teller.told(span)
            other = None if shift is None else teller.told(teller.compared(day_from, day_to, shift))
        return Report(
            store_ids=tuple(stores),
            kpis=tuple(kpi.slug for kpi in wanted),
            group_by=by,
            day_from=day_from,
            day_to=day_to,
            compared_from=None if shift is None else day_from - timedelta(days=shift),
            compared_to=None if shift is None else day_to - timedelta(days=shift),
            as_of=now,
            pending=pending,
            rows=tuple(_row(wanted, by, group, told, other) for group in told.groups.values()),
            total=_row(wanted, (), _total(told), _whole(told), None if other is None else _whole(other)),
        )

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
            for day in _days_of(self.calendars[mark.store_id], mark.hour)
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
        return {
            labels: tuple(HourSlot(weekday, hour, count) for (weekday, hour), count in slots.items() if count > 0)
            for labels, slots in visitors.items()
        }

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
        profiles = {(): tuple(HourSlot(weekday, hour, count) for (weekday, hour), count in sums.items())}
    return _Told({(): _total(told)}, profiles)


def _days_of(calendar: StoreCalendar, hour: datetime) -> set[date]:
    """The business days a UTC hour touches: two where a day begins within it."""
    return {calendar.day_of(hour), calendar.day_of(hour + timedelta(minutes=59))}


def _check_days(day_from: date, day_to: date) -> int:
    days = (day_to - day_from).days + 1
    if days < 1:
        raise InvalidInput(f"the last day {day_to} lies before the first {day_from}", field="to", remedy="swap them")
    if day_from < EVER:
        raise InvalidInput(f"{day_from} lies before the year {EVER.year}", field="from", remedy="check the year")
    if days > MOST_DAYS:
        raise InvalidInput(
            f"{days} days are too many for one report", field="to", remedy=f"ask for at most {MOST_DAYS}"
        )
    return days


def _check_found(store_ids: Sequence[str] | None, found: Mapping[str, StoreRow]) -> None:
    for store_id in store_ids or ():
        if store_id not in found:
            raise NotFound(f"there is no store {store_id!r}", field="store", remedy="check the id")


def _shift(compare: Compare, days: int) -> int:
    return {"last_week": 7, "last_year": 364, "previous_period": days}[compare]
