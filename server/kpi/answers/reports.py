"""How a report is put together: what is asked, of which stores and days, and what it is compared with.

A chain that spans timezones is the trap: "yesterday" is each store's own, so stores whose today is the same date are
told together (`telling`) and the parts put into one report. A report of a past moment is made of the answers
that stood then alone: no mark, no today, nothing computed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput, NotFound
from server.kpi.answers import grouping, standing_repository, state_repository
from server.kpi.answers.assembling import Asking, Part, Periods, Slices, report_of
from server.kpi.answers.choosing import chosen_of, computed_stores, leave_out_beside_nothing, with_marked_days
from server.kpi.answers.decomposition import NEEDS, Decomposition, Pair, decompose
from server.kpi.answers.freshness import Allowance, Chosen, Running
from server.kpi.answers.grouping import Group
from server.kpi.answers.question import ALL_STORES, Compare, Comparison, DayRange, Question, StoreFilter
from server.kpi.answers.state_repository import Mark, StoreRow
from server.kpi.answers.telling import Days, Teller, Wish
from server.kpi.days.compute import StoreDay
from server.kpi.figures.registry import chosen
from server.kpi.models import Report
from server.storage.moment import remembered
from server.storage.pool import Connection, Readable
from server.stores import checks, labels
from server.stores.calendar import StoreCalendar
from server.stores.models import EVER
from server.stores.service import StoresService

#: A report over more days than this is refused.
MOST_DAYS: Final = 1100
#: No store's today is more than a day behind UTC's date, and a business day lags its date by less than another.
_TODAYS_WITHIN: Final = timedelta(days=2)


class ReportMaker:
    """Makes reports; see `KpiService.report`."""

    def __init__(self, db: Readable, stores: StoresService, clock: Clock, on_the_spot: int) -> None:
        self._on_the_spot = on_the_spot
        self._db = db
        self._stores = stores
        self._clock = clock

    def make(self, scope: Scope, question: Question) -> Report:
        """See `KpiService.report`."""
        asking, stores, part = self._asking(scope, question)
        return report_of(chosen(question.kpis), asking, stores, self._tell(asking, [part]))

    def slices(self, scope: Scope, question: Question) -> Slices:
        """See `KpiService.slices`."""
        asking, _, part = self._asking(scope, question)
        return Slices(chosen(question.kpis), asking, part, self._tell)

    def changes(
        self, scope: Scope, *, day_from: date, day_to: date, where: StoreFilter, compare: Comparison
    ) -> Decomposition:
        """See `KpiService.decomposition`."""
        asking = Asking(scope, Wish(NEEDS), ("store",), self._clock(), allowance=Allowance(self._on_the_spot))
        stores, part = self._part(asking, day_from, day_to, where, compare)
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
            as_of=periods.as_of(asking.now),
            pending=periods.pending,
            chain=tuple(whole),
            stores=tuple(changes),
            left_out=tuple(left_out),
        )

    def _asking(self, scope: Scope, question: Question) -> tuple[Asking, Mapping[str, StoreRow], Part]:
        wish = Wish.of(chosen(question.kpis))
        allowance = Allowance(self._on_the_spot)
        by = grouping.dimensions(question.group_by)
        asking = Asking(scope, wish, by, self._clock(), question.as_of, allowance)
        if asking.at is not None:
            _check_moment(asking)
        return asking, *self._part(asking, question.day_from, question.day_to, question.where, question.compare)

    def _part(
        self, asking: Asking, day_from: date, day_to: date, where: StoreFilter, compare: Comparison | None
    ) -> tuple[Mapping[str, StoreRow], Part]:
        """The stores meant, with their days.

        Raises:
            Forbidden, NotFound, InvalidInput: as `KpiService.report`.
        """
        scope, now = asking.scope, asking.now
        check_days(day_from, day_to)
        other = None if compare is None else days_beside(compare, day_from, day_to)
        for store_id in where.store_ids or ():
            scope.require(store_id)
        wanted = None
        with self._db.read() as conn:
            stores = {row.store_id: row for row in _store_rows(conn, scope, where)}
            stores, left_out = _chosen_stores(conn, scope, stores, where, Days(day_from, day_to), other)
            if not where.is_all:
                wanted = list(stores)
            # Quarter hours are all computed on the spot, whatever is marked.
            can_be_late = asking.at is None and not grouping.is_by_quarter(asking.by)
            marks = _marks(conn, scope, wanted, Days(day_from, day_to), other) if can_be_late else []
            rows = _running(conn, scope, wanted, Days(day_from, day_to), other) if can_be_late else {}
        _check_found(where.store_ids, stores)
        todays: Mapping[str, date] = {}
        reaches = max(day_to, other.last if other else day_to)
        if asking.at is None and reaches >= now.date() - _TODAYS_WITHIN:
            todays = _of(stores, self._stores.todays(scope, now, wanted))
        own = [mark for mark in marks if mark.store_id in stores]
        running = {pair: row for pair, row in rows.items() if pair[0] in stores}
        return stores, Part(stores, wanted, Days(day_from, day_to), other, todays, own, left_out, running)

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
        where: StoreFilter = ALL_STORES,
    ) -> Report:
        """See `KpiService.recent`."""
        found = chosen(kpis)
        beside = found if compared is None else chosen(compared)
        allowance = Allowance(self._on_the_spot)
        asking = Asking(scope, Wish.of(found), grouping.dimensions(group_by), self._clock(), allowance=allowance)
        todays = self._stores.todays(scope, asking.now)
        parts = []
        shown: dict[str, StoreRow] = {}
        with self._db.read() as conn:
            stores = {row.store_id: row for row in _store_rows(conn, scope, where)}
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
                own, left_out = _chosen_stores(conn, scope, some, where, Days(first, last), other)
                shown |= own
                wanted = None if where.is_all and len(own) == len(stores) else list(own)
                marks = _marks(conn, scope, wanted, Days(first, last), other)
                running = _running(conn, scope, wanted, Days(first, last), other)
                parts.append(Part(own, wanted, Days(first, last), other, _of(own, todays), marks, left_out, running))
        chosen_stores = {store_id: shown[store_id] for store_id in stores if store_id in shown}
        return report_of(found, asking, chosen_stores, self._tell(asking, parts), beside)

    def _tell(self, asking: Asking, parts: Sequence[Part]) -> list[Periods]:
        clocks: Mapping[str, StoreCalendar] = {}
        if timed := {each.store_id for part in parts for each in part.marks} | {
            store_id for part in parts for store_id, _ in part.running
        }:
            clocks = self._stores.clocks(asking.scope, sorted(timed))
        parts = with_marked_days(parts, clocks)
        chosen = [chosen_of(asking, part, clocks) for part in parts]
        needed = {
            store_id
            for part, each in zip(parts, chosen, strict=True)
            for store_id in (part.stores if grouping.is_by_quarter(asking.by) else computed_stores(each))
        }
        # Opening hours, of which a chain has thousands, of those stores alone that have a day computed.
        calendars = {**clocks, **(self._stores.calendars(asking.scope, sorted(needed)) if needed else {})}
        with self._db.read() as conn:
            for part, each in zip(parts, chosen, strict=True):
                leave_out_beside_nothing(conn, asking.scope, part, each)
            return [_tell(conn, asking, part, each, calendars) for part, each in zip(parts, chosen, strict=True)]


def _store_rows(conn: Connection, scope: Scope, where: StoreFilter) -> list[StoreRow]:
    """The stores meant; a page has several reports of the same ones."""
    wanted = None if where.store_ids is None else tuple(where.store_ids)
    return remembered((_store_rows, conn, scope, wanted), lambda: state_repository.store_rows(conn, scope, where))


def _marks(conn: Connection, scope: Scope, wanted: Sequence[str] | None, days: Days, other: Days | None) -> list[Mark]:
    """Of both periods; one that lies in both is there twice and does no harm."""
    shown = [days] if other is None else [days, other]
    return [mark for each in shown for mark in state_repository.marks(conn, scope, wanted, each.first, each.last)]


def _chosen_stores(
    conn: Connection, scope: Scope, stores: Mapping[str, StoreRow], where: StoreFilter, days: Days, other: Days | None
) -> tuple[dict[str, StoreRow], frozenset[StoreDay]]:
    """Those that a filter by region, format or tags chooses on some day, and their days on which it doesn't."""
    if where.regions is None and where.formats is None and not where.tags:
        return dict(stores), frozenset()
    shown = [(each.first, each.last) for each in (days, other) if each is not None]
    kept, without = labels.chosen_days(
        conn, scope, list(stores), shown, regions=where.regions, formats=where.formats, tags=where.tags
    )
    return {store_id: row for store_id, row in stores.items() if store_id in kept}, frozenset(without)


def _running(
    conn: Connection, scope: Scope, wanted: Sequence[str] | None, days: Days, other: Days | None
) -> dict[StoreDay, Running]:
    periods = [(each.first, each.last) for each in (days, other) if each is not None]
    return state_repository.running(conn, scope, wanted, periods)


def _known(group: Group | None) -> int:
    return group.periods if group else 0


def _of(stores: Mapping[str, StoreRow], todays: Mapping[str, date]) -> dict[str, date]:
    return {store_id: todays[store_id] for store_id in stores if store_id in todays}


def _tell(
    conn: Connection, asking: Asking, part: Part, chosen: Chosen, calendars: Mapping[str, StoreCalendar]
) -> Periods:
    regions = labels.regions_of(conn, asking.scope, part.wanted) if "region" in asking.by else {}
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
        asking.at,
        part.left_out,
        regions,
    )
    told, other = teller.tell(part.days, part.other, chosen)
    return Periods(part, told, other, chosen.pending, _missing(conn, asking, part))


def _missing(conn: Connection, asking: Asking, part: Part) -> int:
    if asking.at is None:
        return 0
    days = (part.days.first, part.days.last)
    hourly = grouping.is_hourly(asking.by)
    found = standing_repository.answered_days(conn, asking.scope, part.wanted, days, asking.at, hourly=hourly)
    expected = {
        (store_id, part.days.first + timedelta(days=number))
        for store_id in part.stores
        for number in range(part.days.count)
    }
    return len(expected - part.left_out - found)


def _check_moment(asking: Asking) -> None:
    """Refuse what no earlier answer can be told of.

    Raises:
        InvalidInput: a moment that is yet to come, or quarter hours: no rows are kept of them.
    """
    assert asking.at is not None  # noqa: S101 - asked for
    checks.check_instant(asking.at, "as_of")
    if asking.at > asking.now:
        raise InvalidInput(f"{asking.at.isoformat()} is yet to come", field="as_of", remedy="name a moment of the past")
    if grouping.is_by_quarter(asking.by):
        raise InvalidInput(
            "quarter hours are computed when they are asked for, and no earlier answer of them is kept",
            field="group_by",
            remedy="group by hour, or by anything longer",
        )


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
