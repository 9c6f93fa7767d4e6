"""The jobs that keep store-days right: those marked, today's as time goes by, and yesterday's once it is over.

A mark is deleted in the transaction that computed what it asked for, and only marks that were read before the facts
were: one made in between stays and is a reason to compute again. What comes late for a day marks the later days that
rest on it, too (`learning`), in the transaction that computed it. Store-days go some stores at a time, which takes a
third of the time; a batch that fails is taken apart, so that a store's failure keeps its marks and nobody else's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from threading import Event
from typing import Final

import structlog

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import NotFound, Unavailable
from server.jobs import repository
from server.jobs.models import MarkRow
from server.kpi.days import learning
from server.kpi.days.recomputing import SETTLED_AFTER, ToCompute
from server.kpi.service import KpiService
from server.storage import dirty
from server.storage.pool import Database
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.service import StoresService

_log = structlog.get_logger(__name__)

#: Marks read at a time.
MARKS_AT_ONCE: Final = 20_000
#: Today's row of an open store is computed anew once it is so old: what a dead camera owes grows by itself.
TODAY_EVERY: Final = timedelta(seconds=55)
#: While the store is closed less happens; but whoever looks at the chain then must not see a row of hours ago.
CLOSED_EVERY: Final = timedelta(minutes=10)
#: After closing, today goes on being looked at for so long: the last minutes are still on their way.
AFTER_CLOSING: Final = timedelta(minutes=5)
#: Days without a row are looked for so far back.
LOOK_BACK: Final = timedelta(days=31)
#: Stores whose days are computed in one transaction.
AT_ONCE: Final = 40
#: In a chain of more running days than this, boxes mark all of them all the time; one that was computed less than
#: `AGAIN_AFTER` ago waits, or the process would do nothing else.
MANY: Final = 100
AGAIN_AFTER: Final = timedelta(seconds=25)

StoreDay = tuple[str, date]


class DaysFailed(Exception):
    """Some store-days could not be computed; the others were. Their marks are kept."""


@dataclass(slots=True)
class _Progress:
    """How far a run has come: store-days done and failed, marks ended."""

    done: int = 0
    ended: int = 0
    failed: dict[StoreDay, Exception] = field(default_factory=dict)

    def failed_at(self, pair: StoreDay, error: Exception) -> None:
        """Note a failure and let the others go on.

        Raises:
            Unavailable: when the database itself seems gone.
        """
        if isinstance(error, Unavailable) and self.is_cut_off:
            raise error
        _log.error("a store-day could not be computed", store=pair[0], day=str(pair[1]), exc_info=error)
        self.failed[pair] = error

    def told(self) -> str | None:
        """What was done, for the record of runs.

        Raises:
            DaysFailed: when some were not.
        """
        if self.failed:
            (store_id, day), error = next(iter(self.failed.items()))
            raise DaysFailed(f"{len(self.failed)} store-days failed, {self.done} computed; {store_id} {day}: {error}")
        return f"{self.done} store-days computed" if self.done else None

    @property
    def is_cut_off(self) -> bool:
        """Whether the database itself seems gone: one slow store-day may look like that, two are no accident."""
        return any(isinstance(error, Unavailable) for error in self.failed.values())


class Days:
    """Keeps store-days right."""

    def __init__(
        self,
        db: Database,
        stores: StoresService,
        kpi: KpiService,
        clock: Clock = utc_now,
        *,
        at_once: int = AT_ONCE,
        many: int = MANY,
    ) -> None:
        self._at_once = at_once
        self._many = many
        self._db = db
        self._stores = stores
        self._kpi = kpi
        self._clock = clock
        self._scope = Scope.system("jobs")

    def dirty(self, stop: Event) -> str | None:
        """Compute anew every store-day that is marked, until no mark is left.

        Raises:
            DaysFailed: after all the others were done.
        """
        progress = _Progress()
        while not stop.is_set():
            with self._db.read() as conn:
                marks = repository.marks(conn, self._scope, MARKS_AT_ONCE)
            before = progress.ended
            self._pass(marks, stop, progress)
            # A pass that ended no mark has only those of days that fail; another would repeat it for ever.
            if progress.ended == before:
                break
        return progress.told()

    def today(self, stop: Event) -> str | None:
        """Compute anew the running day of every store, mark or no mark; of a closed one less often."""
        now = self._clock()
        calendars = self._stores.calendars(self._scope)
        with self._db.read() as conn:
            first = now.date() - timedelta(days=2)
            computed_at = {
                (row.store_id, row.day): row.computed_at for row in repository.days_from(conn, self._scope, first)
            }
        old = []
        for store_id, calendar in calendars.items():
            pair = (store_id, calendar.day_of(now))
            is_open = calendar.is_open(now) or calendar.is_open(now - AFTER_CLOSING)
            every = TODAY_EVERY if is_open else CLOSED_EVERY
            if pair not in computed_at or computed_at[pair] <= now - every:
                old.append(pair)
        return self._recompute(old, calendars, stop)

    def settle(self, stop: Event) -> str | None:
        """Compute anew, for good, every day that is over and was last computed while it was not.

        Also days that have no row at all, since the store's first of the last weeks: a day on which nothing arrived is
        a day on which nobody looked, and must stand in reports as one, even where this process was away, too.
        """
        now = self._clock()
        calendars = self._stores.calendars(self._scope)
        with self._db.read() as conn:
            rows = repository.days_from(conn, self._scope, now.date() - LOOK_BACK)
            provisional = repository.provisional_days(conn, self._scope, now.date() + timedelta(days=2))
        known = {(row.store_id, row.day) for row in rows}
        first: dict[str, date] = {}
        for store_id, day in known:
            first[store_id] = min(day, first.get(store_id, day))
        expected: set[StoreDay] = set()
        for store_id, calendar in calendars.items():
            day = calendar.day_of(now) - ONE_DAY
            expected.add((store_id, day))
            while day > first.get(store_id, day):
                day -= ONE_DAY
                expected.add((store_id, day))
        wanted = (expected - known) | {(row.store_id, row.day) for row in provisional}
        over = [
            (store_id, day)
            for store_id, day in sorted(wanted)
            if store_id in calendars and calendars[store_id].bounds(day)[1] + SETTLED_AFTER <= now
        ]
        return self._recompute(over, calendars, stop)

    def _pass(self, marks: Sequence[MarkRow], stop: Event, progress: "_Progress") -> None:
        if not marks:
            return
        calendars = self._stores.calendars(self._scope)
        asked: dict[StoreDay, list[MarkRow]] = defaultdict(list)
        waiting: dict[int, int] = {}
        for mark in marks:
            if mark.store_id in calendars:
                days = calendars[mark.store_id].days_of_hour(mark.hour)
                waiting[mark.mark_id] = len(days)
                for day in days:
                    asked[(mark.store_id, day)].append(mark)
        if orphans := [mark.mark_id for mark in marks if mark.mark_id not in waiting]:
            _log.warning("marks of unknown stores deleted", marks=len(orphans))
            with self._db.transaction() as conn:
                repository.delete_marks(conn, orphans)
            progress.ended += len(orphans)
        wanted = asked.keys() - progress.failed.keys()
        wanted -= self._computed_lately(wanted, calendars)

        def work(batch: Sequence[StoreDay]) -> int:
            return self._batch([ToCompute(*pair, calendars[pair[0]]) for pair in batch], asked, waiting)

        # The latest day first: someone may be looking at today, and history can wait.
        in_order = sorted(wanted, key=lambda pair: (pair[1], pair[0]), reverse=True)
        self._in_batches(in_order, stop, progress, work)

    def _computed_lately(self, wanted: Iterable[StoreDay], calendars: dict[str, StoreCalendar]) -> set[StoreDay]:
        """Running days of a large chain that were computed a moment ago; their marks stay for the next turn."""
        now = self._clock()
        running = {pair for pair in wanted if calendars[pair[0]].day_of(now) == pair[1]}
        if len(running) <= self._many:
            return set()
        with self._db.read() as conn:
            rows = repository.provisional_days(conn, self._scope, max(day for _, day in running) + ONE_DAY)
        return {(row.store_id, row.day) for row in rows if now - AGAIN_AFTER < row.computed_at <= now} & running

    def _in_batches(
        self, pairs: Iterable[StoreDay], stop: Event, progress: "_Progress", work: Callable[[Sequence[StoreDay]], int]
    ) -> None:
        """Do the work some stores at a time; a batch that fails, store by store.

        Args:
            work: computes a batch in one transaction; how many marks it ended.
        """
        for batch in _batches(pairs, self._at_once):
            if stop.is_set():
                return
            try:
                progress.ended += work(batch)
            except Exception as error:  # noqa: BLE001 - whose fault it is shows when the batch is taken apart
                if len(batch) > 1:
                    _log.info("a batch of store-days is taken apart", days=len(batch), error=str(error))
                self._one_by_one(batch, stop, progress, work)
            else:
                progress.done += len(batch)

    def _one_by_one(
        self, pairs: Sequence[StoreDay], stop: Event, progress: "_Progress", work: Callable[[Sequence[StoreDay]], int]
    ) -> None:
        for pair in pairs:
            if stop.is_set():
                return
            try:
                progress.ended += work([pair])
            except NotFound:
                continue  # removed since its calendar was read
            except Exception as error:  # noqa: BLE001 - noted, told and tried again; one store must not stop the others
                progress.failed_at(pair, error)
            else:
                progress.done += 1

    def _batch(self, batch: Sequence[ToCompute], asked: dict[StoreDay, list[MarkRow]], waiting: dict[int, int]) -> int:
        """Some store-days and the end of their marks, how many; a mark of several days ends with the last of them."""
        left: dict[int, int] = {}
        for each in batch:
            for mark in asked[each.key]:
                left[mark.mark_id] = left.get(mark.mark_id, waiting[mark.mark_id]) - 1
        ended = [number for number, days in left.items() if not days]
        now = self._clock()
        with self._db.transaction() as conn:
            self._kpi.recompute_in(conn, batch)
            for each in batch:
                taught = {mark.hour for mark in asked[each.key] if mark.reason in learning.TEACHING}
                # Nothing rests on the day that is running: what comes for it, all day long, needs no look at others.
                if taught and each.day < each.calendar.day_of(now):
                    later = learning.resting_on(conn, self._scope, each.store_id, taught, each.calendar)
                    starts = (each.calendar.bounds(day)[0] for day in later)
                    dirty.mark(conn, each.store_id, starts, learning.LEARNT)
            repository.delete_marks(conn, ended)
        waiting.update(left)
        return len(ended)

    def _recompute(self, pairs: Sequence[StoreDay], calendars: dict[str, StoreCalendar], stop: Event) -> str | None:
        def work(batch: Sequence[StoreDay]) -> int:
            with self._db.transaction() as conn:
                self._kpi.recompute_in(conn, [ToCompute(*pair, calendars[pair[0]]) for pair in batch])
            return 0

        progress = _Progress()
        self._in_batches(pairs, stop, progress, work)
        return progress.told()


def _batches(pairs: Iterable[StoreDay], at_once: int) -> Iterator[list[StoreDay]]:
    """In order, so many at a time, and of each store one at most: its days may have hours of each other's."""
    batch: dict[str, StoreDay] = {}
    for pair in pairs:
        if len(batch) == at_once or pair[0] in batch:
            yield list(batch.values())
            batch = {}
        batch[pair[0]] = pair
    if batch:
        yield list(batch.values())
