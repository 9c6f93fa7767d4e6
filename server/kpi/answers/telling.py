"""The sums of one period of a report, and of the one it is compared with: rows that are kept, days made on the spot.

The trap is a comparison of unlike things: half of today beside the whole of last Saturday. A store whose today is in
the report is compared up to the same minute of its own clock, and no day after it is compared at all. Calendars are
given for the stores that can need one only: a chain's are thousands of rows, and most reports need none of them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from server.access.models import Scope
from server.errors import InvalidInput
from server.kpi.answers import grouping, report_repository
from server.kpi.answers.grouping import Dimension, Group, Labelled
from server.kpi.answers.report_repository import Asked, Mark, SlotRow, StoreRow, Stretch
from server.kpi.days.compute import StoreDay, Want, compute
from server.kpi.figures.definition import Kpi
from server.kpi.models import DayFacts, Facts, HourSlot, Occupancy
from server.storage.pool import Connection
from server.stores.calendar import StoreCalendar

#: Today's row is as good as computing it while it is younger than this.
FRESH_FOR: Final = timedelta(seconds=60)
#: At most so many past store-days that wait to be computed anew are computed on the spot.
MOST_PENDING: Final = 100
#: At most so many store-days by quarter hour; they are all computed on the spot.
MOST_BY_QUARTER: Final = 100
#: Every row says how well it was watched.
_ALWAYS: Final = frozenset({"due_ms", "observed_ms"})

#: Visitors by hour of the week, for each group.
Profiles = Mapping[tuple[str, ...], tuple[HourSlot, ...]]


@dataclass(frozen=True, slots=True)
class Days:
    """Business days, the last included; `shift` days before those they stand beside."""

    first: date
    last: date
    shift: int = 0

    @property
    def count(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is needed of each group.

    Attributes:
        needs: facts.
        occupancy: where a group is a single row.
        profile: hours of the week, where they mean anything.
    """

    needs: frozenset[str]
    occupancy: bool = False
    profile: bool = False

    @classmethod
    def of(cls, kpis: Iterable[Kpi]) -> "Wish":
        """What some KPIs read."""
        read = list(kpis)
        return cls(
            needs=frozenset(need for kpi in read for need in kpi.needs) | _ALWAYS,
            occupancy=any(kpi.rolls_up == "end of period" for kpi in read),
            profile=any(kpi.rolls_up == "hours of the week" for kpi in read),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Groups by their labels, in order, and their hours of the week if a KPI wants them."""

    groups: Mapping[tuple[str, ...], Group]
    profiles: Profiles | None


@dataclass(frozen=True, slots=True)
class _Span:
    """One period, with its store-days made on the spot.

    Attributes:
        without: store-days whose kept rows must not be read: those computed, and those too late to compare.
    """

    days: Days
    computed: Mapping[StoreDay, DayFacts]
    without: frozenset[StoreDay]


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells of some stores.

    Attributes:
        wanted: their ids for the database; None where they are all of the scope.
        todays: the business day each store is in; empty where no today can be in the report.
        calendars: of every store that has a mark, or whose today is in the report.
        at: as it was answered then (UTC); then there are no marks and no todays.
        left_out: store-days that a filter leaves out.
    """

    conn: Connection
    scope: Scope
    stores: Mapping[str, StoreRow]
    wanted: Sequence[str] | None
    todays: Mapping[str, date]
    calendars: Mapping[str, StoreCalendar]
    now: datetime
    by: tuple[Dimension, ...]
    wish: Wish
    at: datetime | None = None
    left_out: frozenset[StoreDay] = frozenset()

    def tell(self, days: Days, other: Days | None, marks: Sequence[Mark]) -> tuple[Told, Told | None, int]:
        """A period, the one it is compared with, and how many store-days had to be left as they were.

        Raises:
            InvalidInput: too much is asked for by quarter hour.
        """
        if grouping.is_by_quarter(self.by):
            spans, pending = self._all_on_the_spot(days, other), 0
        else:
            span, pending = self._current(days, marks)
            spans = [span]
            if other is not None:
                beside, more = self._compared(days, other, marks)
                spans, pending = [span, beside], pending + more
        told = self._told(spans)
        return told[0], told[1] if other is not None else None, pending

    # -- which days are made on the spot

    def _in(self, days: Days) -> dict[str, date]:
        """The stores that are now in one of these days, and in which."""
        return {store: today for store, today in self.todays.items() if days.first <= today <= days.last}

    def _marked(self, days: Days, marks: Sequence[Mark]) -> set[StoreDay]:
        return {
            (mark.store_id, day)
            for mark in marks
            for day in self.calendars[mark.store_id].days_of_hour(mark.hour)
            if days.first <= day <= days.last
        }

    def _current(self, days: Days, marks: Sequence[Mark]) -> tuple[_Span, int]:
        marked = self._marked(days, marks) - self.left_out
        todays = set(self._in(days).items()) - self.left_out
        late, pending = _latest(marked - todays)
        fresh = report_repository.fresh_days(self.conn, self.scope, sorted(todays - marked), self.now - FRESH_FOR)
        computed = self._compute(sorted((todays - fresh) | late))
        return _Span(days, computed, frozenset(computed) | self.left_out), pending

    def _compared(self, days: Days, other: Days, marks: Sequence[Mark]) -> tuple[_Span, int]:
        """Each store's only as far as it has come in the days it is compared with."""
        if other.shift <= 0:
            return self._current(other, marks)
        cut = self._same_time(days, other)
        later = self._later(days, other) | self.left_out
        late, pending = _latest(self._marked(other, marks) - {(want.store_id, want.day) for want in cut} - later)
        computed = {**self._compute(sorted(late)), **compute(self.conn, self.scope, cut)}
        return _Span(other, computed, frozenset(computed) | later), pending

    def _same_time(self, days: Days, other: Days) -> list[Want]:
        back = timedelta(days=other.shift)
        return [
            Want(
                store_id,
                today - back,
                self.calendars[store_id],
                self.calendars[store_id].same_time(self.now, -other.shift),
                in_past=True,
            )
            for store_id, today in self._in(days).items()
            if today - back <= other.last and (store_id, today - back) not in self.left_out
        ]

    def _later(self, days: Days, other: Days) -> set[StoreDay]:
        """What lies behind the day that each store's today is compared with."""
        back = timedelta(days=other.shift)
        return {
            (store_id, today - back + timedelta(days=i))
            for store_id, today in self._in(days).items()
            for i in range(1, (other.last - today + back).days + 1)
        }

    def _all_on_the_spot(self, days: Days, other: Days | None) -> list[_Span]:
        number = len(self.stores) * days.count
        if number > MOST_BY_QUARTER:
            raise InvalidInput(
                f"{number} days of stores are too many by quarter hour",
                field="group_by",
                remedy=f"ask for fewer days or stores, {MOST_BY_QUARTER} store-days at most, or group by hour",
            )
        computed = self._compute(self._until_today(days))
        spans = [_Span(days, computed, frozenset())]
        if other is not None:
            cut = self._same_time(days, other) if other.shift > 0 else []
            later = self._later(days, other) if other.shift > 0 else set()
            apart = {(want.store_id, want.day) for want in cut} | later
            whole = [pair for pair in self._until_today(other) if pair not in apart]
            spans.append(_Span(other, {**self._compute(whole), **compute(self.conn, self.scope, cut)}, frozenset()))
        return spans

    def _until_today(self, days: Days) -> list[StoreDay]:
        return [
            (store_id, day)
            for store_id in self.stores
            for day in (days.first + timedelta(days=i) for i in range(days.count))
            if day <= self.todays.get(store_id, day) and (store_id, day) not in self.left_out
        ]

    def _compute(self, pairs: Sequence[StoreDay]) -> dict[StoreDay, DayFacts]:
        wants = [Want(store_id, day, self.calendars[store_id], self.now) for store_id, day in pairs]
        return compute(self.conn, self.scope, wants)

    # -- their sums

    def _told(self, spans: Sequence[_Span]) -> list[Told]:
        currencies = {store.currency for store in self.stores.values()}
        asked = Asked(
            store_ids=self.wanted,
            by=self.by,
            needs=self.wish.needs,
            occupancy=self.wish.occupancy,
            currency=next(iter(currencies)) if len(currencies) == 1 else None,
            at=self.at,
        )
        stretches = [Stretch(span.days.first, span.days.last, span.days.shift, sorted(span.without)) for span in spans]
        if grouping.is_by_quarter(self.by):
            kept: list[list[Group]] = [[] for _ in spans]
        else:
            kept = report_repository.groups(self.conn, self.scope, asked, stretches)
        profiles: list[Profiles | None] = [None] * len(spans)
        if self._wants_profile:
            slots = report_repository.week_profile(self.conn, self.scope, asked, stretches)
            profiles = [self._profiles(found, span) for found, span in zip(slots, spans, strict=True)]
        return [
            Told(
                grouping.merged(
                    [*found, *(group for day in span.computed.values() for group in self._of_day(day, span.days.shift))]
                ),
                profile,
            )
            for found, span, profile in zip(kept, spans, profiles, strict=True)
        ]

    @property
    def _wants_profile(self) -> bool:
        """Hours of the week mean nothing within a day or an hour."""
        return self.wish.profile and set(self.by) <= {"store", "region"}

    def _profiles(self, rows: Sequence[SlotRow], span: _Span) -> Profiles:
        visitors: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
        for row in rows:
            visitors[row.labels][(row.weekday, row.hour)] += row.visitors
        for day in span.computed.values():
            labels = grouping.labels(self.by, self._labelled(day), span.days.shift)
            for hour in day.hours:
                visitors[labels][(day.day.weekday(), hour.local.hour)] += hour.facts.visitors
        return {labels: slots_of(slots) for labels, slots in visitors.items()}

    def _labelled(self, day: DayFacts) -> Labelled:
        return Labelled(day.store_id, self.stores[day.store_id].region, day.day)

    def _of_day(self, day: DayFacts, shift: int) -> Iterable[Group]:
        store = self.stores[day.store_id]
        currencies = frozenset({store.currency})

        def group(what: Labelled, facts: Facts, occupancy: Occupancy) -> Group:
            return Group(grouping.labels(self.by, what, shift), facts, occupancy, 1, currencies)

        if grouping.is_by_quarter(self.by):
            starts = [hour.start for hour in day.hours]
            for quarter in day.quarters:
                if quarter.is_open or not quarter.facts.is_empty:
                    hour = day.hours[bisect_right(starts, quarter.start) - 1]
                    own = Labelled(
                        day.store_id, store.region, day.day, hour.start, hour.local.hour, quarter=quarter.start
                    )
                    yield group(own, quarter.facts, quarter.occupancy)
        elif grouping.is_hourly(self.by):
            for hour in day.hours:
                if hour.start < day.as_of and (hour.is_open or not hour.facts.is_empty):
                    own = Labelled(day.store_id, store.region, day.day, hour.start, hour.local.hour)
                    yield group(own, hour.facts, hour.occupancy)
        else:
            yield group(self._labelled(day), day.facts, day.occupancy)


def _latest(late: set[StoreDay]) -> tuple[set[StoreDay], int]:
    """Those that are computed on the spot, and how many are left as they were."""
    chosen = sorted(late, key=lambda pair: (pair[1], pair[0]), reverse=True)[:MOST_PENDING]
    return set(chosen), len(late) - len(chosen)


def slots_of(sums: Mapping[tuple[int, int], int]) -> tuple[HourSlot, ...]:
    """Hours of the week that had visitors."""
    return tuple(HourSlot(weekday, hour, count) for (weekday, hour), count in sums.items() if count > 0)
