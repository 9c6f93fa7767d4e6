"""The sums of one period of a report, and of the one it is compared with: rows that are kept, days made on the spot.

The trap is a comparison of unlike things: half of today beside the whole of last Saturday. A store whose today is in
the report is compared up to the same minute of its own clock, and no day after it is compared at all. Where today is
read as it was kept (`freshness`), that minute is the one at which it was; where nothing is kept that was cut then, both
days are told up to the last whole hour before it. Calendars are given for the stores that can need one only: a chain's
are thousands of rows, and most reports need none of them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

from server.access.models import Scope
from server.errors import InvalidInput
from server.kpi.answers import grouping, report_repository
from server.kpi.answers.freshness import Chosen, Unit
from server.kpi.answers.grouping import Dimension, Group, Labelled
from server.kpi.answers.report_repository import Asked, SlotRow, Stretch
from server.kpi.answers.state_repository import StoreRow
from server.kpi.days.compute import StoreDay, Want, compute
from server.kpi.days.recomputing import KEPT_BESIDE
from server.kpi.figures.definition import Kpi
from server.kpi.models import DayFacts, Facts, HourSlot, Occupancy
from server.storage.pool import Connection
from server.stores.calendar import StoreCalendar
from server.stores.labels import region_on

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
    """Groups by their labels, in order, and their hours of the week if a KPI wants them.

    Attributes:
        as_of: of groups that are not told up to now, the moment (UTC) up to which all of their stores are; under no
            label where it is not known of which.
    """

    groups: Mapping[tuple[str, ...], Group]
    profiles: Profiles | None
    as_of: Mapping[tuple[str, ...], datetime] = field(default_factory=dict)


@dataclass(slots=True)
class _Span:
    """One period, with its store-days that are not simply read.

    Attributes:
        computed: made on the spot.
        without: store-days whose kept rows must not be read: told otherwise, or too late to compare.
        beside: read from what is kept beside running days.
        hours: told up to a moment (UTC) by their whole hours.
        as_of: of store-days that are not told up to now, up to when they are.
    """

    days: Days
    computed: dict[StoreDay, DayFacts] = field(default_factory=dict)
    without: set[StoreDay] = field(default_factory=set)
    beside: set[StoreDay] = field(default_factory=set)
    hours: dict[StoreDay, datetime] = field(default_factory=dict)
    as_of: dict[StoreDay, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells of some stores.

    Attributes:
        wanted: their ids for the database; None where they are all of the scope.
        todays: the business day each store is in; empty where no today can be in the report.
        calendars: of every store that has a day to be computed or to be told by its hours.
        at: as it was answered then (UTC); then there are no marks and no todays.
        left_out: store-days that a filter leaves out.
        regions: of stores, in order of the day from which each holds; empty where nothing is grouped by them.
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
    regions: Mapping[str, Sequence[tuple[date, str]]] = field(default_factory=dict)

    def tell(self, days: Days, other: Days | None, chosen: Chosen) -> tuple[Told, Told | None]:
        """A period and the one it is compared with.

        Raises:
            InvalidInput: too much is asked for by quarter hour.
        """
        if grouping.is_by_quarter(self.by):
            spans = self._all_on_the_spot(days, other)
        else:
            spans = self._spans(days, other, chosen)
        told = self._told(spans)
        return told[0], told[1] if other is not None else None

    # -- which days are told how

    def _spans(self, days: Days, other: Days | None, chosen: Chosen) -> list[_Span]:
        spans = [_Span(each) for each in (days, other) if each is not None]
        for unit in chosen.kept:
            self._read_kept(unit, spans)
        # A store whose today is not in the answer has no last week beside it either.
        cut, apart = spans[-1], {unit.beside for unit in chosen.unknown if unit.beside is not None}
        if other is not None and other.shift > 0:
            apart |= self._later(days, other)
        on_the_spot = {*chosen.late, *(unit.store_day for unit in chosen.computed)}
        for span, beside_nothing in zip(spans, chosen.apart, strict=False):
            own = {pair for pair in on_the_spot if span.days.first <= pair[1] <= span.days.last} - beside_nothing
            if span is cut:
                own -= {*apart, *cut.beside, *cut.hours}
            span.computed = self._compute(sorted(own))
            span.as_of |= chosen.as_of
        # Last: a day that lies in both periods is whole in the one and cut in the other.
        cut.computed |= compute(
            self.conn, self.scope, [self._cut(unit.beside, other) for unit in chosen.computed if unit.beside and other]
        )
        for span, beside_nothing in zip(spans, chosen.apart, strict=False):
            span.without = {*span.computed, *self.left_out, *span.beside, *span.hours, *beside_nothing}
        cut.without |= apart
        return spans

    def _cut(self, store_day: StoreDay, other: Days) -> Want:
        """A day beside a running one, up to the same minute."""
        calendar = self.calendars[store_day[0]]
        return Want(*store_day, calendar, calendar.same_time(self.now, -other.shift), in_past=True)

    def _read_kept(self, unit: Unit, spans: Sequence[_Span]) -> None:
        """A running day as it was kept, and the day beside it up to the same moment."""
        assert unit.row is not None  # noqa: S101 - it is kept
        at = unit.row.computed_at
        if unit.beside is not None:
            cut = spans[-1]
            if unit.row.has_beside and is_kept_beside(cut.days, self.by, self.wish):
                cut.beside.add(unit.beside)
            else:
                calendar = self.calendars[unit.store_day[0]]
                at = _whole_hour(calendar, at)
                spans[0].hours[unit.store_day] = at
                cut.hours[unit.beside] = calendar.same_time(at, -cut.days.shift)
        for span in spans:
            if span.days.first <= unit.store_day[1] <= span.days.last:
                span.as_of[unit.store_day] = at

    def _in(self, days: Days) -> dict[str, date]:
        """The stores that are now in one of these days, and in which."""
        return {store: today for store, today in self.todays.items() if days.first <= today <= days.last}

    def _later(self, days: Days, other: Days) -> set[StoreDay]:
        """What lies behind the day that each store's today is compared with."""
        back = timedelta(days=other.shift)
        return {
            (store_id, today - back + timedelta(days=i))
            for store_id, today in self._in(days).items()
            for i in range(1, (other.last - today + back).days + 1)
        }

    def _all_on_the_spot(self, days: Days, other: Days | None) -> list[_Span]:
        number = len(self.stores) * (days.count + (other.count if other else 0))
        if number > 2 * MOST_BY_QUARTER or len(self.stores) * days.count > MOST_BY_QUARTER:
            raise InvalidInput(
                f"{number} days of stores are too many by quarter hour",
                field="group_by",
                remedy=f"ask for fewer days or stores, {MOST_BY_QUARTER} store-days at most, or group by hour",
            )
        spans = [_Span(days, self._compute(self._until_today(days)))]
        if other is not None:
            cut = self._same_time(days, other) if other.shift > 0 else []
            later = self._later(days, other) if other.shift > 0 else set()
            apart = {(want.store_id, want.day) for want in cut} | later
            whole = [pair for pair in self._until_today(other) if pair not in apart]
            spans.append(_Span(other, self._compute(whole) | compute(self.conn, self.scope, cut)))
        return spans

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
        stretches = [stretch for span in spans for stretch in _stretches(span)]
        if grouping.is_by_quarter(self.by):
            kept: list[list[Group]] = [[] for _ in stretches]
        else:
            kept = report_repository.groups(self.conn, self.scope, asked, stretches)
        slots: list[list[SlotRow]] = [[] for _ in stretches]
        if self._wants_profile:
            slots = report_repository.week_profile(self.conn, self.scope, asked, stretches)
        told = []
        for span in spans:
            own = slice(0, len(_stretches(span)))
            found = [group for groups in kept[own] for group in groups]
            rows = [row for some in slots[own] for row in some]
            del kept[own], slots[own]
            on_the_spot = (group for day in span.computed.values() for group in self._of_day(day, span.days.shift))
            profiles = self._profiles(rows, span) if self._wants_profile else None
            told.append(Told(grouping.merged([*found, *on_the_spot]), profiles, self._ages(span)))
        return told

    def _ages(self, span: _Span) -> dict[tuple[str, ...], datetime]:
        """Up to when groups are told that are not told up to now."""
        ages: dict[tuple[str, ...], datetime] = {}
        for (store_id, day), at in span.as_of.items():
            if not span.days.first <= day <= span.days.last or (store_id, day) in self.left_out:
                continue
            labels: tuple[str, ...] = ()
            if not grouping.is_hourly(self.by):
                labels = grouping.labels(self.by, self._labelled(store_id, day), span.days.shift)
            ages[labels] = min(at, ages.get(labels, at))
        return ages

    @property
    def _wants_profile(self) -> bool:
        """Hours of the week mean nothing within a day or an hour."""
        return wants_profile(self.by, self.wish)

    def _profiles(self, rows: Sequence[SlotRow], span: _Span) -> Profiles:
        visitors: dict[tuple[str, ...], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
        for row in rows:
            visitors[row.labels][(row.weekday, row.hour)] += row.visitors
        for day in span.computed.values():
            labels = grouping.labels(self.by, self._labelled(day.store_id, day.day), span.days.shift)
            for hour in day.hours:
                visitors[labels][(day.day.weekday(), hour.local.hour)] += hour.facts.visitors
        return {labels: slots_of(slots) for labels, slots in visitors.items()}

    def _labelled(self, store_id: str, day: date) -> Labelled:
        return Labelled(store_id, region_on(self.regions.get(store_id, ()), day), day)

    def _of_day(self, day: DayFacts, shift: int) -> Iterable[Group]:
        whole = self._labelled(day.store_id, day.day)
        currencies = frozenset({self.stores[day.store_id].currency})

        def group(what: Labelled, facts: Facts, occupancy: Occupancy) -> Group:
            return Group(grouping.labels(self.by, what, shift), facts, occupancy, 1, currencies)

        if grouping.is_by_quarter(self.by):
            starts = [hour.start for hour in day.hours]
            for quarter in day.quarters:
                if quarter.is_open or not quarter.facts.is_empty:
                    hour = day.hours[bisect_right(starts, quarter.start) - 1]
                    own = replace(whole, hour=hour.start, local_hour=hour.local.hour, quarter=quarter.start)
                    yield group(own, quarter.facts, quarter.occupancy)
        elif grouping.is_hourly(self.by):
            for hour in day.hours:
                if hour.start < day.as_of and (hour.is_open or not hour.facts.is_empty):
                    own = replace(whole, hour=hour.start, local_hour=hour.local.hour)
                    yield group(own, hour.facts, hour.occupancy)
        else:
            yield group(whole, day.facts, day.occupancy)


def wants_profile(by: Sequence[Dimension], wish: Wish) -> bool:
    """Whether hours of the week are read: they mean nothing within a day or an hour."""
    return wish.profile and set(by) <= {"store", "region"}


def is_kept_beside(other: Days, by: Sequence[Dimension], wish: Wish) -> bool:
    """Whether what is kept beside running days is what they are to be compared with: of a day, as a whole."""
    return other.shift == KEPT_BESIDE and not grouping.is_hourly(by) and not wants_profile(by, wish)


def _stretches(span: _Span) -> list[Stretch]:
    """What is read of a period; the rows as they stand first."""
    found = [Stretch(span.days.first, span.days.last, span.days.shift, sorted(span.without))]
    days = (span.days.first, span.days.last, span.days.shift)
    if span.beside:
        found.append(Stretch(*days, source="beside", only=sorted(span.beside)))
    if span.hours:
        only = sorted(span.hours)
        found.append(Stretch(*days, source="hours", only=only, until=[span.hours[pair] for pair in only]))
    return found


def _whole_hour(calendar: StoreCalendar, at: datetime) -> datetime:
    """The beginning (UTC) of the hour of the store's clock that an instant lies in."""
    local = at.astimezone(calendar.zone_on(calendar.day_of(at)))
    return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def slots_of(sums: Mapping[tuple[int, int], int]) -> tuple[HourSlot, ...]:
    """Hours of the week that had visitors."""
    return tuple(HourSlot(weekday, hour, count) for (weekday, hour), count in sums.items() if count > 0)
