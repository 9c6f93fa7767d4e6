"""Makes the demo's chain and its past, and fills the hours since the last run.

A store whose box was off overnight would show an outage that is only the demo's own absence, so every run begins by
filling what is missing up to now, in every store, and says so. What a day held does not depend on when it is made, so
the seams don't show.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from cli.demo import repository
from cli.demo.chain import STORES, TIMEZONE, DemoStore
from cli.demo.counted import Epoch, settle, write_coverage, write_crossings
from cli.demo.day import store_day
from cli.demo.promised import SCOPE, Promises, write_rosters
from cli.demo.sold import Desk, Members, Seen, check_ins_of_day, founding_members, receipts_of_day
from cli.demo.story import Story
from server.clock import Clock, utc_now
from server.events import outbox
from server.kpi.service import KpiService
from server.membership.crypto import MemberKeys
from server.membership.service import MembershipService
from server.sales import repository as sales
from server.sales import telling
from server.sales.models import ReceiptRow
from server.storage import dirty
from server.storage.pool import Database
from server.stores.calendar import StoreCalendar
from server.stores.facts import FactsService
from server.stores.models import NewFact, NewStore
from server.stores.service import StoresService

#: Members who were there before the history begins, for each visitor of an ordinary day.
_FOUNDERS: Final = 0.55
_DAYS_AT_ONCE: Final = 6
#: Joined facts of so many days are computed before anything is shown.
_AT_ONCE: Final = 30
#: When the chain promised its members what it still keeps: before the first of them was enrolled.
_LONG_AGO: Final = timedelta(days=1300)
#: Numbers of made-up phones are dealt to the stores in blocks, so that two can enrol at once.
_BLOCK: Final = 400_000

#: Called with what is being done, how much of it, and out of how much.
Progress = Callable[[str, int, int], None]


class GivenUpError(RuntimeError):
    """The writing was given up while it was going on."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What is to be filled of one store: from `start` up to `end` (UTC, whole minutes)."""

    store: DemoStore
    calendar: StoreCalendar
    start: datetime
    end: datetime

    def days(self) -> Iterator[date]:
        day = self.calendar.day_of(self.start)
        while self.calendar.bounds(day)[0] < self.end:
            yield day
            day += timedelta(days=1)


class Seeding:
    """Writes the chain and its past into a database nobody else uses yet.

    Args:
        db: with no limit on a statement's time.
        keys: of the members' data.
        today: the stores' date when the chain was made; what happened is placed before it.
        progress: told how far it is.
        founders: members who were there before, for each visitor of an ordinary day; fewer make a shorter past quicker.
        clock: what is now.
    """

    def __init__(
        self,
        db: Database,
        keys: MemberKeys,
        today: date,
        progress: Progress,
        founders: float = _FOUNDERS,
        clock: Clock = utc_now,
    ) -> None:
        self._db = db
        self._keys = keys
        self._story = Story(today)
        self._promises = Promises(db, keys, self._story, clock() - _LONG_AGO, clock)
        self._clock = clock
        self._progress = progress
        self._founders = founders
        self._stores = StoresService(db, clock)
        self._facts = FactsService(db, clock)
        self._kpi = KpiService(db, self._stores, clock)
        self._done = 0
        self._lock = threading.Lock()
        self._given_up = threading.Event()

    def make_chain(self, first_day: date) -> dict[str, str]:
        """Add stores, cameras, lines, boxes and what explains their numbers.

        Args:
            first_day: the business day the history begins with; cameras are due from then on.

        Returns:
            the boxes' passwords by name.
        """
        secrets: dict[str, str] = {}
        for store in STORES:
            self._stores.add_store(
                SCOPE,
                NewStore(store.store_id, store.name, TIMEZONE, region=store.region, hours=store.hours_open),
            )
            begin = self._stores.calendar(SCOPE, store.store_id).bounds(first_day)[0]
            self._stores.add_camera(SCOPE, store.store_id, store.camera, "大门 Main door", begin)
            self._stores.add_line(SCOPE, store.camera, store.line, "大门 Main door")
            if store.takes_check_ins:
                self._kpi.set_setting(SCOPE, "takes_check_ins", Decimal(1), first_day, store.store_id)
            secrets[store.device] = self._stores.add_device(SCOPE, store.store_id, store.device).password
        self._add_facts()
        self._promises.make()
        return secrets

    def _add_facts(self) -> None:
        promotion, rain = self._story.promotion, self._story.rain
        self._facts.add(
            SCOPE, NewFact("promotion", promotion.first, promotion.last, "会员周 Members' week", "全场八五折 15% off")
        )
        for store_id in self._story.rain_stores:
            self._facts.add(SCOPE, NewFact("weather", rain.first, rain.last, "连日大雨 Heavy rain", store_id=store_id))
        for outage in self._story.outages:
            day = self._stores.calendar(SCOPE, outage.store_id).day_of(outage.start)
            title = "摄像头断电 Camera without power" if outage.state == "offline" else "镜头被遮挡 Camera covered"
            self._facts.add(SCOPE, NewFact("event", day, day, title, store_id=outage.store_id))

    def fill(self, first_day: date, now: datetime) -> timedelta:
        """Write everything from where each store stands (or the start of `first_day`) up to `now`.

        The joined facts of the newest weeks are computed here; older days are marked for the jobs process, which is
        done with them soon after everything is up.

        Returns:
            the longest stretch that was filled.
        """
        end = now.replace(second=0, microsecond=0)
        with self._db.read() as conn:
            stand = repository.filled(conn)
        stretches = []
        for store in STORES:
            calendar = self._stores.calendar(SCOPE, store.store_id)
            start = stand[store.store_id].until or calendar.bounds(first_day)[0]
            if start < end:
                stretches.append((_Stretch(store, calendar, start, end), stand[store.store_id].members))
        if not stretches:
            return timedelta(0)
        write_rosters(
            self._db, stretches[0][0].calendar.day_of(min(each.start for each, _ in stretches)), self._story.today
        )
        known = self._known_members(stretches)
        recent = stretches[0][0].calendar.day_of(end) - timedelta(days=_AT_ONCE)
        self._done, total = 0, sum(len(list(stretch.days())) for stretch, _ in stretches)
        self._run(
            [partial(self._fill_store, each, members, known[each.store.store_id], total) for each, members in stretches]
        )
        first = [(stretch, [day for day in stretch.days() if day >= recent]) for stretch, _ in stretches]
        self._done, total = 0, sum(len(days) for _, days in first)
        # Members' points beside the stores' numbers: the one asks nothing of the other.
        follow = partial(self._follow, min(stretch.start for stretch, _ in stretches), end)
        self._run([follow, *(partial(self._compute, stretch, days, total) for stretch, days in first)])
        with self._db.transaction() as conn:
            repository.forget_marks(conn)
            for stretch, _ in stretches:
                older = [stretch.calendar.bounds(day)[0] for day in stretch.days() if day < recent]
                dirty.mark(conn, stretch.store.store_id, older, "history")
            repository.analyse(conn)
        return max(stretch.end - stretch.start for stretch, _ in stretches)

    def _fill_store(self, stretch: _Stretch, members: int, known: Members, total: int) -> None:
        store = stretch.store
        desk = Desk(self._membership_at, STORES.index(store) * _BLOCK + max(members, len(known.ids)))
        days = list(stretch.days())
        for place in range(0, len(days), _DAYS_AT_ONCE):
            chunk = days[place : place + _DAYS_AT_ONCE]
            start = max(stretch.start, stretch.calendar.bounds(chunk[0])[0])
            end = min(stretch.end, stretch.calendar.bounds(chunk[-1])[1])
            self._fill_days(stretch, chunk, start, end, desk, known)
            self._advance("history", len(chunk), total)

    def _known_members(self, stretches: Sequence[tuple[_Stretch, int]]) -> dict[str, Members]:
        """Members of the stores: those there are, or the first ones, enrolled now."""
        known = {stretch.store.store_id: Members() for stretch, _ in stretches}
        new = [stretch for stretch, members in stretches if not members]

        def found(stretch: _Stretch) -> None:
            store = stretch.store
            desk = Desk(self._membership_at, STORES.index(store) * _BLOCK)
            how_many = round(self._founders * store.visitors)
            known[store.store_id] = founding_members(desk, store, stretch.start, how_many)

        self._run([partial(found, stretch) for stretch in new])
        if new:
            coupons = self._promises.promise_coupons()
            for stretch in new:
                first = known[stretch.store.store_id].ids
                self._promises.use(stretch.store, first, stretch.calendar.day_of(stretch.end), coupons)
        with self._db.read() as conn:
            for stretch, members in stretches:
                if members:
                    for row in repository.members_of(conn, stretch.store.store_id):
                        known[stretch.store.store_id].add(row.enrolled_at, row.member_id)
        return known

    def _fill_days(
        self, stretch: _Stretch, days: list[date], start: datetime, end: datetime, desk: Desk, known: Members
    ) -> None:
        """Some days at once: first the sales, which may be written twice without harm, then what was counted."""
        store, now = stretch.store, self._clock()
        made = [(day, store_day(self._story, store, stretch.calendar, day)) for day in days]
        receipts: list[ReceiptRow] = []
        checked_in: list[Seen] = []
        for day, happened in made:
            sold = receipts_of_day(self._story, store, day, happened.purchases, desk, known, start=start, end=end)
            if store.takes_check_ins:
                checked_in += check_ins_of_day(store, day, sold, known, start=start, end=end)
            receipts += sold
        self._keep(receipts, now)
        if checked_in:
            rows = [(each.check_in_id, each.member_id, each.at, each.how) for each in checked_in]
            with self._db.transaction() as conn:
                repository.insert_check_ins(conn, store.store_id, rows)
        epoch = Epoch.of(store, start)
        with self._db.transaction() as conn:
            for _, happened in made:
                seen = happened.crossings.between(start, end)
                for outage in self._story.outages:
                    if outage.store_id == store.store_id:
                        seen = seen.outside(outage.start, outage.end)
                write_crossings(conn, epoch, seen, now)
            write_coverage(conn, epoch, start, end, self._story.outages, now)
            settle(conn, epoch, now)

    def _keep(self, receipts: list[ReceiptRow], now: datetime) -> None:
        """The statements of the sales service, without the checks a till's receipt needs."""
        with self._db.transaction() as conn:
            sales.lock_stores(conn, {row.store_id for row in receipts})
            known = sales.known(conn, SCOPE, [(row.store_id, row.receipt_no) for row in receipts])
            new = [row for row in receipts if (row.store_id, row.receipt_no) not in known]
            sales.copy_receipts(conn, new, now)
            sales.copy_lines(conn, new)
            voided = [(row.store_id, row.refers_to) for row in receipts if row.kind == "void" and row.refers_to]
            sales.apply_voids(conn, SCOPE, voided)
            # Nobody's sales are nobody's points: telling of them would only keep the consumers busy.
            told = [row for row in new if row.member_id is not None or row.refers_to is not None]
            taken_back = {(row.store_id, row.refers_to) for row in new if row.kind == "void"}
            outbox.record_all(
                conn,
                [telling.recorded(row, is_voided=(row.store_id, row.receipt_no) in taken_back) for row in told],
            )

    def _follow(self, start: datetime, end: datetime) -> None:
        self._progress("members", 0, 1)
        self._promises.follow(start, end, self._given_up)
        self._progress("members", 1, 1)

    def _compute(self, stretch: _Stretch, days: list[date], total: int) -> None:
        for day in days:
            self._kpi.recompute(stretch.store.store_id, day)
            self._advance("facts", 1, total)

    def _run(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Two at a time; when one fails, or someone loses patience, the others end at their next step."""
        with ThreadPoolExecutor(2) as pool:
            started = [pool.submit(job) for job in jobs]
            try:
                for job in started:
                    job.result()
            except BaseException:
                self._given_up.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _advance(self, what: str, by: int, total: int) -> None:
        if self._given_up.is_set():
            raise GivenUpError
        with self._lock:
            self._done += by
            self._progress(what, self._done, total)

    def _membership_at(self, at: datetime) -> MembershipService:
        return MembershipService(self._db, self._keys, lambda: at)
