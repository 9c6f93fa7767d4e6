"""The job that keeps the house in order: what no longer counts is deleted."""

from datetime import timedelta
from threading import Event
from typing import Final

from server.access.models import Scope
from server.access.service import AccessService
from server.clock import Clock, utc_now
from server.jobs import repository, silence_repository
from server.storage.pool import Database

#: The record of runs is kept for so long, that of silences for a year: which camera fails again and again?
KEEP_RUNS: Final = timedelta(days=30)
KEEP_SILENCES: Final = timedelta(days=366)


class Housekeeping:
    """Keeps the house in order."""

    def __init__(self, db: Database, access: AccessService, clock: Clock = utc_now) -> None:
        self._db = db
        self._access = access
        self._clock = clock

    def clean(self, _stop: Event) -> str | None:
        """Delete sessions that have ended, failed sign-ins that no longer count, old runs and old silences."""
        ended = self._access.purge()
        now = self._clock()
        with self._db.transaction() as conn:
            runs = repository.purge_runs(conn, now - KEEP_RUNS)
            runs += silence_repository.purge(conn, Scope.system("jobs"), now - KEEP_SILENCES)
        return f"{ended} sessions and sign-ins, {runs} runs and silences deleted" if ended or runs else None
