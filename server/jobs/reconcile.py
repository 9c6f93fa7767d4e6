"""Every night: are the roll-ups still what their raw rows add up to?

They are, by the way they are written; if once they are not (a hand in the database, a table restored), reports would be
wrong without anybody knowing. So a difference is a run that failed, which is seen; it is not put right unseen, because
whoever mends it should know why it came about. Nights on which nobody worked are made up for.
"""

from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.ingest.recount import Recount
from server.jobs import repository
from server.storage.pool import Database

NAME: Final = "reconcile"
#: Nights further back are not made up for: `doorline db check` looks at any range.
LOOK_BACK: Final = timedelta(days=7)
_ONE_DAY: Final = timedelta(days=1)


class RollUpsDiffer(Exception):
    """Roll-ups are not what their raw rows add up to."""


class Reconcile:
    """Compares the roll-ups of the days since the last time with raw rows."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._recount = Recount(db, clock)

    def run(self, stop: Event) -> str | None:
        """Compare the UTC days that ended since the last run that went well, yesterday at least; None: told to stop.

        Raises:
            RollUpsDiffer: naming the days and what to do.
        """
        today = self._clock().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with self._db.read() as conn:
            last = repository.last_success(conn, NAME)
        first = today - _ONE_DAY if last is None else min(_midnight(last), today - _ONE_DAY)
        start = max(first, today - LOOK_BACK)
        days, differing = 0, 0
        while start < today and not stop.is_set():
            differing += self._differences(start)
            days += 1
            start += _ONE_DAY
        span = f"{max(first, today - LOOK_BACK):%Y-%m-%d} to {start - _ONE_DAY:%Y-%m-%d} UTC"
        if differing:
            raise RollUpsDiffer(f"{differing} roll-ups differ from their raw rows, {span}: see `doorline db check`")
        return f"no differences, {span}" if days else None

    def _differences(self, day: datetime) -> int:
        try:
            asked = self._recount.range(day, day + _ONE_DAY)
        except InvalidInput:
            return 0  # its raw rows are no longer kept, and nothing is left to compare
        return sum(1 for _ in self._recount.differences(Scope.system("jobs"), asked))


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
