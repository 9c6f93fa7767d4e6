"""Store-days computed anew and kept, some stores at a time.

Asked for one by one, a store-day spends more time on asking than on being computed: a dozen statements with their round
trips. So the stores of a batch are locked, read, computed and written together. Of a day that runs, the day that it is
compared with is kept as well, cut at the same minute of the store's clock: half a day beside a whole one is the trap,
and a page that shows a thousand stores has no time to cut a thousand days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from server.access.models import Scope
from server.errors import NotFound
from server.kpi.days import day_repository
from server.kpi.days.compute import StoreDay, Want, compute
from server.kpi.days.day_repository import Beside
from server.kpi.days.keeping import ToKeep, keep_all
from server.storage.pool import Connection
from server.stores.calendar import StoreCalendar

#: Until so long after its end a day's row is provisional: boxes and tills are still sending.
SETTLED_AFTER: Final = timedelta(minutes=15)
#: How many days before a running day lies the one that is kept beside it: the same weekday last week.
KEPT_BESIDE: Final = 7


@dataclass(frozen=True, slots=True)
class ToCompute:
    """A store-day, by its store's calendar."""

    store_id: str
    day: date
    calendar: StoreCalendar

    @property
    def key(self) -> StoreDay:
        """Which it is."""
        return self.store_id, self.day


def recompute_all(
    conn: Connection, scope: Scope, wanted: Sequence[ToCompute], now: datetime
) -> Mapping[StoreDay, bool]:
    """Compute store-days anew and keep them; of each, whether the answer changed.

    Args:
        conn: a transaction of the caller's, who deletes there the marks that asked for it.
        wanted: each store at most once, so that no two of the days can have an hour in common.

    Raises:
        NotFound: when there is no such store.
    """
    # First, so that everything read below is read after whoever else recomputed these stores has committed.
    locked = day_repository.lock_stores(conn, scope, [each.store_id for each in wanted])
    for each in wanted:
        if each.store_id not in locked:
            raise NotFound(f"there is no store {each.store_id!r}", field="store_id")
    begun = [each for each in wanted if each.calendar.bounds(each.day)[0] <= now]
    running = [each for each in begun if now < each.calendar.bounds(each.day)[1]]
    cuts = {each.store_id: _cut(each, now) for each in running}
    found = compute(
        conn, scope, [*(Want(each.store_id, each.day, each.calendar, now) for each in begun), *cuts.values()]
    )
    changed = keep_all(
        conn,
        scope,
        [ToKeep(found[each.key], now < each.calendar.bounds(each.day)[1] + SETTLED_AFTER) for each in begun],
        now,
    )
    beside = [found[(cut.store_id, cut.day)] for cut in cuts.values()]
    day_repository.put_beside(
        conn, scope, [Beside(day.store_id, day.day, KEPT_BESIDE, now, day.facts, day.occupancy) for day in beside]
    )
    return {each.key: each.key in changed for each in wanted}


def _cut(each: ToCompute, now: datetime) -> Want:
    """The day kept beside a running one, up to the same minute."""
    day = each.day - timedelta(days=KEPT_BESIDE)
    return Want(each.store_id, day, each.calendar, each.calendar.same_time(now, -KEPT_BESIDE), in_past=True)
