"""Raw rows (crossings, minutes watched) that are older than the chain wants to keep.

Roll-ups, facts and receipts stay: what reports show needs no raw row. What needs them is told, by a floor, from when on
they are whole. The floor is raised before the first row goes and never goes back, so that nobody takes rows that were
deleted for people who never came. Rows dated before the floor that come later still are counted, and go with the next
run. Where tables are cut into chunks these are dropped; elsewhere rows are deleted a few at a time, each time in a
transaction of its own, so that nobody ever waits for it: the trap is the one great DELETE, which holds back vacuum for
as long as it runs and is lost whole when it is cut off. Tallies are kept: they are few.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final

import structlog

from server.storage import retention_repository as repository
from server.storage import timescale
from server.storage.pool import Connection, Database

_log = structlog.get_logger(__name__)

#: Rows one transaction deletes at most.
BATCH: Final = 20_000
#: What one transaction looks through, to begin with.
_SLICE: Final = timedelta(minutes=15)
#: No raw row is older: ingest takes none.
_EVER: Final = datetime(2020, 1, 1, tzinfo=UTC)


def raw_floor(connection: Connection) -> datetime | None:
    """From when on (UTC) raw rows are whole; None: all that ever came are there."""
    return repository.floor(connection)


class Retention:
    """Deletes raw rows once they are older than so many days.

    Args:
        days: counted in whole UTC days; None keeps all.
        clock: what time it is (aware, UTC).
    """

    def __init__(self, db: Database, days: int | None, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._days = days
        self._clock = clock

    def run(self, stop: Event) -> str | None:
        """Raise the floor, then delete what lies below it, until done or told to stop; what was done, None if nothing.

        Raises:
            Unavailable: the database is away; what was deleted is, and the next run goes on.
        """
        if self._days is None:
            return None
        midnight = self._clock().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        floor = midnight - timedelta(days=self._days)
        with self._db.transaction() as connection:
            repository.raise_floor(connection, floor)
            in_chunks = {table: timescale.is_hypertable(connection, table) for table in ("crossing", "coverage")}
        chunks = sum(self._drop(table, floor, stop) for table, is_cut in in_chunks.items() if is_cut)
        crossings = 0 if in_chunks["crossing"] else self._delete_crossings(floor, stop)
        minutes = 0 if in_chunks["coverage"] else self._delete_coverage(floor, stop)
        if not chunks and not crossings and not minutes:
            return None
        done = f"{chunks} chunks dropped" if chunks else f"{crossings} crossings and {minutes} minutes deleted"
        return f"{done}, older than {floor:%Y-%m-%d}"

    def _drop(self, table: str, floor: datetime, stop: Event) -> int:
        dropped = 0
        while not stop.is_set():
            with self._db.transaction() as connection:
                if not timescale.drop_chunks(connection, table, floor):
                    break
            dropped += 1
        return dropped

    def _delete_crossings(self, floor: datetime, stop: Event) -> int:
        """In slices of time, because they are found by time: longer where few are found, shorter in a crowd."""
        deleted, start, slice_ = 0, _EVER, _SLICE
        while start < floor and not stop.is_set():
            end = min(start + slice_, floor)
            with self._db.transaction() as connection:
                gone = repository.delete_crossings(connection, start, end, BATCH)
            deleted += gone
            if gone == BATCH:
                # There are more: to look through a long slice again and again would pass what is deleted each time.
                slice_ = max(_SLICE, slice_ / 2)
                continue
            start, slice_ = end, 2 * slice_ if gone < BATCH // 4 else slice_
        return deleted

    def _delete_coverage(self, floor: datetime, stop: Event) -> int:
        """Camera by camera, because they are found by camera."""
        with self._db.read() as connection:
            cameras = repository.cameras(connection)
        deleted = 0
        for camera_id in cameras:
            gone = BATCH
            while gone == BATCH and not stop.is_set():
                with self._db.transaction() as connection:
                    gone = repository.delete_coverage(connection, camera_id, floor, BATCH)
                deleted += gone
        return deleted
