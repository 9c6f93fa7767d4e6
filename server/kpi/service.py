"""What the rest of the server asks of the KPIs: a day, a report, a store live, and to compute a day anew.

Days that are over are read from the rows kept for them. Today is another matter: facts come in all the time, and even
where none do, its coverage falls with every minute a dead camera is silent, which marks nothing. So of few stores today
is computed on the spot, and so are days marked and not yet computed anew; of many it is read as the jobs process last
kept it, and the report says how old the oldest of it is (`answers.freshness`, ADR 36).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.kpi.answers import report_repository
from server.kpi.answers.assembling import Slices
from server.kpi.answers.decomposition import Decomposition
from server.kpi.answers.explaining import Explainer, Explanation
from server.kpi.answers.freshness import MOST_ON_THE_SPOT
from server.kpi.answers.grouping import DayLine
from server.kpi.answers.question import ALL_STORES, Compare, Comparison, Question, StoreFilter
from server.kpi.answers.reports import ReportMaker, check_days
from server.kpi.days import repository
from server.kpi.days.compute import StoreDay, Want, compute
from server.kpi.days.recomputing import ToCompute, recompute_all
from server.kpi.figures.definition import Kpi
from server.kpi.figures.registry import KPIS
from server.kpi.figures.values import values_of
from server.kpi.live import LiveHour, LiveView
from server.kpi.models import DayFacts, HourFacts, KpiValue, Period, Report
from server.storage import dirty
from server.storage.pool import Connection, Database, Readable
from server.stores.service import StoresService

#: What is shown of each hour of the live page.
LIVE_HOUR_KPIS: Final = ("visitors", "entries", "exits", "transactions", "net_sales", "conversion", "coverage")
#: What is shown of the day so far; power hours are a matter of weeks.
LIVE_KPIS: Final = tuple(slug for slug in KPIS if slug != "power_hours")
_WEEK: Final = 7

Setting = Literal["coverage_threshold", "power_share", "takes_check_ins"]


class KpiService:
    """Facts and KPIs of stores.

    Args:
        clock: what time it is (aware, UTC).
        reading: where reports are read; None: in `db` as well.
        on_the_spot: how many store-days are computed for one question, at most.
    """

    def __init__(
        self,
        db: Database,
        stores: StoresService,
        clock: Clock = utc_now,
        *,
        reading: Readable | None = None,
        on_the_spot: int = MOST_ON_THE_SPOT,
    ) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock
        self._reading: Readable = reading or db
        self._reports = ReportMaker(self._reading, stores, clock, on_the_spot)
        self._explainer = Explainer(self._reading, stores, clock)

    # -- asking

    def day(self, scope: Scope, store_id: str, day: date) -> DayFacts:
        """One business day of a store, computed now from roll-ups and receipts; a day running, up to now.

        Raises:
            Forbidden: when the store isn't the caller's.
            NotFound: when there is none.
        """
        calendar = self._stores.calendar(scope, store_id)
        want = Want(store_id, day, calendar, self._clock())
        with self._db.read() as conn:
            return compute(conn, scope, [want])[(store_id, day)]

    def today(self, scope: Scope, store_id: str) -> date:
        """The business day a store is in."""
        return self._stores.calendar(scope, store_id).day_of(self._clock())

    def report(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        day_from: date,
        day_to: date,
        store_ids: Sequence[str] | None = None,
        regions: Sequence[str] | None = None,
        formats: Sequence[str] | None = None,
        tags: Sequence[str] = (),
        group_by: str | Sequence[str] = "chain",
        compare: Comparison | None = None,
        as_of: datetime | None = None,
    ) -> Report:
        """KPIs of stores over business days.

        Args:
            kpis: slugs.
            day_from: first business day, each store's own; `day_to` the last, included.
            store_ids: None means all of the scope.
            regions: stores of these alone; `formats` likewise, and of `tags` a store must have all: on the days on
                which it has them.
            group_by: ``chain``, or any of ``store region day week month weekday hour hour_of_day quarter``, several
                joined by commas. By quarter hour, of few store-days only.
            compare: ``last_week`` (7 days before), ``last_year`` (364 days: the same weekdays), ``previous_period``
                (just before, as long) or a range of days. A store's today is compared up to the same minute of its
                clock.
            as_of: as it was answered at a moment (aware): of the versions of store-days that stood then, and of their
                hours. A store-day that had none is not in it, `Report.missing` says how many; one that was still
                running had none. By quarter hour no earlier answer is kept.

        Raises:
            Forbidden: a store that isn't the caller's.
            NotFound: a store there isn't.
            InvalidInput: an unknown KPI or group, days the wrong way round or too many.
        """
        where = StoreFilter(store_ids, regions, formats, tags)
        return self._reports.make(scope, Question(kpis, day_from, day_to, where, group_by, compare, as_of))

    def slices(self, scope: Scope, question: Question) -> Slices:
        """The same as `report`, to be taken some stores at a time; what is asked is checked at once.

        Raises:
            Forbidden, NotFound, InvalidInput: as `report`.
        """
        return self._reports.slices(scope, question)

    def decomposition(
        self,
        scope: Scope,
        *,
        day_from: date,
        day_to: date,
        compare: Comparison,
        where: StoreFilter = ALL_STORES,
    ) -> Decomposition:
        """Why net sales moved: traffic, conversion, ATV and refunds, per store and as their sum, to the cent.

        Only stores that were open and watched in both periods are compared; who was left out is said, with the reason.

        Raises:
            Forbidden, NotFound, InvalidInput: as `report`.
        """
        return self._reports.changes(scope, day_from=day_from, day_to=day_to, where=where, compare=compare)

    def explain(
        self,
        scope: Scope,
        kpi: str,
        store_id: str,
        day: date,
        *,
        hour: datetime | None = None,
        quarter: datetime | None = None,
        limit: int = 500,
    ) -> Explanation:
        """All that one number is made of: facts, crossings, receipts, corrections and settings in force.

        Args:
            kpi: slug.
            hour: first instant (aware) of an hour of the day, `quarter` of a quarter hour; neither: the whole day.
            limit: crossings listed, and receipts.

        Raises:
            Forbidden, NotFound: as `day`; NotFound also for an hour the day hasn't.
            InvalidInput: an unknown KPI, a day that has not begun, or a limit out of range.
        """
        return self._explainer.explain(scope, kpi, store_id, day, hour=hour, quarter=quarter, limit=limit)

    def recent(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        days: int,
        back: int,
        group_by: Literal["store", "region", "chain"] = "store",
        compare: Compare | None = None,
        compared: Sequence[str] | None = None,
        where: StoreFilter = ALL_STORES,
    ) -> Report:
        """KPIs of all stores of the scope over their own last business days, whatever the date is where each stands.

        When it is Sunday noon in Shanghai it is Saturday evening in New York: "yesterday" is Saturday of the one and
        Friday of the other. The report's first day is the earliest of any store, its last the latest.

        Args:
            kpis: slugs.
            days: how many.
            back: how many days before each store's today the last of them lies.
            group_by: no grouping by days, in which a day would be a part of the chain's.
            compare: as in `report`, counted from each store's own days.
            compared: slugs of the KPIs to compare in the rows; all of them, when left out, as in the total.
            where: which stores of the scope.

        Raises:
            InvalidInput: as `report`.
        """
        return self._reports.make_recent(
            scope, kpis=kpis, days=days, back=back, group_by=group_by, compare=compare, compared=compared, where=where
        )

    def daily(self, scope: Scope, day_from: date, day_to: date) -> dict[str, list[DayLine]]:
        """Visitors and coverage of every store of the scope on each day, by store and in order of days.

        For what is drawn small and by the thousand: as the rows stand, no day is made on the spot.

        Raises:
            InvalidInput: as `report`.
        """
        check_days(day_from, day_to)
        with self._reading.read() as conn:
            return report_repository.daily(conn, scope, day_from, day_to)

    def live(self, scope: Scope, store_id: str) -> LiveView:
        """A store today up to now, beside the same weekday last week up to the same minute of the clock.

        Raises:
            Forbidden, NotFound: as `day`.
        """
        store = self._stores.store(scope, store_id)
        calendar = self._stores.calendar(scope, store_id)
        cameras = self._stores.camera_health(scope, store_id)
        now = self._clock()
        today = calendar.day_of(now)
        then = calendar.same_time(now, -_WEEK)
        before = today - timedelta(days=_WEEK)
        with self._db.read() as conn:
            days = compute(conn, scope, [Want(store_id, today, calendar, now), Want(store_id, before, calendar, now)])
            until_then = compute(conn, scope, [Want(store_id, before, calendar, then, in_past=True)])
        currencies = frozenset({store.currency})
        return LiveView(
            store_id=store_id,
            day=today,
            as_of=now,
            timezone=calendar.zone_on(today).key,
            currency=store.currency,
            is_open=calendar.is_open(now),
            values=_day_values(days[(store_id, today)], currencies),
            last_week=_day_values(until_then[(store_id, before)], currencies),
            hours=_live_hours(days[(store_id, today)], days[(store_id, before)], now, currencies),
            cameras=tuple(cameras),
        )

    # -- keeping

    def recompute(self, store_id: str, day: date) -> bool:
        """Compute a store-day anew and keep it; whether the answer changed.

        Raises:
            NotFound: when there is no such store.
        """
        wanted = ToCompute(store_id, day, self._stores.calendar(Scope.system(), store_id))
        with self._db.transaction() as conn:
            return self.recompute_in(conn, [wanted])[wanted.key]

    def recompute_in(self, conn: Connection, wanted: Sequence[ToCompute]) -> Mapping[StoreDay, bool]:
        """The same of several stores' days within a transaction of the caller's; see `recompute_all`."""
        return recompute_all(conn, Scope.system("kpi"), wanted, self._clock())

    def set_setting(
        self, scope: Scope, key: Setting, value: Decimal, valid_from: date, store_id: str | None = None
    ) -> None:
        """Change what bears on the KPIs from a day on, of one store or (None) of the chain's default.

        Days computed since are marked, so that they are computed anew.

        Raises:
            Forbidden: unless admin or HQ asks.
            InvalidInput: a value outside 0 to 1.
        """
        scope.require_role("admin", "hq")
        if not 0 <= value <= 1:
            raise InvalidInput(f"{key} {value} is not a share", field="value", remedy="give a number from 0 to 1")
        if store_id is None:
            scope.require_whole_chain()
        wanted = None if store_id is None else [store_id]
        calendars = (
            self._stores.calendars(scope) if store_id is None else {store_id: self._stores.calendar(scope, store_id)}
        )
        now = self._clock()
        with self._db.transaction() as conn:
            repository.put_setting(conn, store_id or "", key, valid_from, value, scope.actor, now)
            for found, day in repository.computed_days(conn, scope, wanted, valid_from):
                dirty.mark(conn, found, [calendars[found].bounds(day)[0]], "setting")
            audit.record(
                conn,
                now,
                scope.actor,
                "kpi.setting",
                subject=key,
                store_id=store_id,
                detail={"value": str(value), "valid_from": valid_from.isoformat()},
            )


def _kpis(slugs: Iterable[str]) -> list[Kpi]:
    return [KPIS[slug] for slug in slugs]


def _day_values(day: DayFacts, currencies: frozenset[str]) -> Mapping[str, KpiValue]:
    return values_of(_kpis(LIVE_KPIS), Period(day.facts, day.occupancy), currencies)


def _live_hours(today: DayFacts, before: DayFacts, now: datetime, currencies: frozenset[str]) -> tuple[LiveHour, ...]:
    kpis = _kpis(LIVE_HOUR_KPIS)

    def values(hour: HourFacts) -> Mapping[str, KpiValue]:
        return values_of(kpis, Period(hour.facts, hour.occupancy), currencies)

    last_week: dict[tuple[int, int, int], HourFacts] = {}
    for hour in before.hours:
        last_week.setdefault(_on_the_clock(hour, before.day), hour)
    shown = []
    for hour in today.hours:
        same = last_week.get(_on_the_clock(hour, today.day))
        shown.append(
            LiveHour(
                start=hour.start,
                label=f"{hour.local:%H:%M}",
                is_open=hour.is_open,
                is_past=hour.start < now,
                values=values(hour) if hour.start < now else {},
                last_week=values(same) if same else {},
            )
        )
    return tuple(shown)


def _on_the_clock(hour: HourFacts, day: date) -> tuple[int, int, int]:
    """Where an hour stands on the store's clock, counted from its business day."""
    return (hour.local.date() - day).days, hour.local.hour, hour.local.minute
