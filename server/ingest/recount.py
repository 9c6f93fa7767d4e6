"""`doorline db check`: are the roll-ups what their raw rows add up to?

They are, by the way they are written: rows and sums in one commit, each record once. This is how somebody who doubts it
finds out, and what puts it right after a hand in the database or a restored table. Before the floor of the raw rows
nothing is compared: what was deleted there would read as people who never came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.ingest import recount_repository as repository
from server.ingest.recount_repository import CoverageDifference, TrafficDifference
from server.storage import dirty, retention_repository
from server.storage.pool import Connection, Database

Difference = TrafficDifference | CoverageDifference

#: What one statement looks through.
_SLICE: Final = timedelta(hours=6)
#: What one transaction puts right, while ingest waits for it.
_REPAIR: Final = timedelta(hours=1)
_QUARTER: Final = timedelta(minutes=15)
#: Seconds a repair waits for ingest; everybody else who writes waits behind it.
_PATIENCE: Final = 5


@dataclass(frozen=True, slots=True)
class Range:
    """What can be compared of what was asked for: UTC, on quarter hours, end excluded.

    Attributes:
        floor: from when on raw rows are whole; None: ever since.
    """

    start: datetime
    end: datetime
    floor: datetime | None


class Recount:
    """Compares roll-ups with raw rows, and repairs them."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def range(self, start: datetime, end: datetime) -> Range:
        """What of a stretch of time can be compared.

        Raises:
            InvalidInput: the wrong way round, or all of it lies before the floor.
        """
        if end <= start:
            raise InvalidInput("the range ends before it begins", field="to", remedy="swap the two days")
        with self._db.read() as connection:
            floor = retention_repository.floor(connection)
        first = start if floor is None else max(start, _next_quarter(floor))
        if end <= first:
            raise InvalidInput(
                f"raw rows before {floor:%Y-%m-%d %H:%M} UTC are no longer kept: nothing there can be compared",
                field="from",
                remedy="give a later range; older roll-ups are all there is, and stay as they are",
            )
        return Range(first, end, floor)

    def differences(self, scope: Scope, asked: Range, store_ids: Sequence[str] | None = None) -> Iterator[Difference]:
        """Where roll-ups and raw rows differ, in order of time; each slice of it as of one moment.

        Raises:
            NotFound: a store there isn't.
            Unavailable: the database is away.
        """
        wanted = self._stores(scope, store_ids)
        start = asked.start
        while start < asked.end:
            end = min(start + _SLICE, asked.end)
            with self._db.read() as connection:
                found = _compare(connection, scope, wanted, start, end, retention_repository.floor(connection))
            yield from found
            start = end

    def repair(self, scope: Scope, asked: Range, store_ids: Sequence[str] | None = None) -> Iterator[Difference]:
        """Make the roll-ups what their rows add up to; what is told was different, and is so no more.

        Ingest waits for each hour that is put right, for as long as it takes to add it up. Days are marked to be
        computed anew; who did it is in the audit trail.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: a store there isn't.
            Unavailable: the database is away, or too busy; hours told before are done.
        """
        scope.require_role("admin")
        wanted = self._stores(scope, store_ids)
        hours = sorted({_hour(each.quarter) for each in self.differences(scope, asked, wanted)})
        for hour in hours:
            start, end = max(hour, asked.start), min(hour + _REPAIR, asked.end)
            with self._db.transaction() as connection:
                found = self._repair(connection, scope, wanted, start, end)
            yield from found

    def _repair(
        self, connection: Connection, scope: Scope, store_ids: Sequence[str], start: datetime, end: datetime
    ) -> list[Difference]:
        connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}s'".encode())
        # The floor first: whoever raises it takes nothing else. What is read after both is of one moment, and stays so.
        floor = retention_repository.hold_floor(connection)
        repository.lock_roll_ups(connection)
        found = _compare(connection, scope, store_ids, start, end, floor)
        repository.put_traffic(connection, scope, [each for each in found if isinstance(each, TrafficDifference)])
        repository.put_coverage(connection, scope, [each for each in found if isinstance(each, CoverageDifference)])
        dirty.mark_all(connection, {(each.store_id, each.quarter) for each in found}, "repair")
        now = self._clock()
        for store_id in sorted({each.store_id for each in found}):
            rows = sum(each.store_id == store_id for each in found)
            audit.record(
                connection,
                now,
                scope.actor,
                "roll_up.repair",
                subject=start.isoformat(),
                store_id=store_id,
                detail={"rows": rows},
            )
        return found

    def _stores(self, scope: Scope, store_ids: Sequence[str] | None) -> list[str]:
        with self._db.read() as connection:
            found = repository.stores(connection, scope, store_ids)
        missing = sorted(set(store_ids or ()) - set(found))
        if missing:
            raise NotFound(f"there is no store {missing[0]!r}", field="store")
        return found


def _compare(
    connection: Connection,
    scope: Scope,
    store_ids: Sequence[str],
    start: datetime,
    end: datetime,
    floor: datetime | None,
) -> list[Difference]:
    """Never before the floor, even where it was raised since the range was asked for."""
    first = start if floor is None else max(start, _next_quarter(floor))
    if end <= first:
        return []
    found: list[Difference] = [
        *repository.traffic_differences(connection, scope, store_ids, first, end),
        *repository.coverage_differences(connection, scope, store_ids, first, end),
    ]
    return sorted(found, key=lambda each: (each.quarter, each.store_id))


def _next_quarter(at: datetime) -> datetime:
    """`at` itself where it lies on one."""
    over = timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
    return at - over + _QUARTER if over else at


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
