"""Events that every consumer has passed go once they are old.

They stay for some days although nobody waits for them, so that a consumer that is new, or was mended, finds what
happened lately. A consumer that stopped for good holds all events back: it is named in the log and in the run's record,
because to drop what it has not seen would be to lose it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event as Flag
from typing import Final

import structlog

from server.events import repository
from server.storage.pool import Database

_log = structlog.get_logger(__name__)

#: Events one transaction deletes at most.
BATCH: Final = 10_000


class EventRetention:
    """Deletes events once every consumer has passed them and so many days have gone by.

    Args:
        days: for how long an event is kept at the least.
        clock: what time it is (aware, UTC).
    """

    def __init__(self, db: Database, days: int, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._days = days
        self._clock = clock

    def run(self, stop: Flag) -> str | None:
        """Delete until nothing old is left or told to stop; what was done, None if nothing.

        Raises:
            Unavailable: the database is away; what was deleted is, and the next run goes on.
        """
        before = self._clock() - timedelta(days=self._days)
        deleted = 0
        gone = BATCH
        while gone == BATCH and not stop.is_set():
            with self._db.transaction() as conn:
                gone = repository.delete_passed(conn, before, BATCH)
            deleted += gone
        with self._db.read() as conn:
            held = [lag for lag in repository.lags(conn) if lag.oldest is not None and lag.oldest < before]
        said = [f"{deleted} events deleted"] if deleted else []
        for lag in held:
            _log.warning("events are kept for a consumer that does not take them", consumer=lag.consumer)
            said.append(f"kept for {lag.consumer!r}, which last came on {lag.taken_at:%Y-%m-%d}")
        return "; ".join(said) or None
