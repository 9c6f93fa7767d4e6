"""The jobs that keep the house in order: what no longer counts is deleted, and who went silent is noticed."""

from datetime import timedelta
from threading import Event
from typing import Final

import structlog

from server.access.models import Scope
from server.access.service import AccessService
from server.clock import Clock, utc_now
from server.jobs import repository
from server.jobs.models import SilentDevice
from server.storage.pool import Database
from server.stores.health import SILENT_AFTER

_log = structlog.get_logger(__name__)

#: The record of runs is kept for so long.
KEEP_RUNS: Final = timedelta(days=30)


class Housekeeping:
    """Keeps the house in order."""

    def __init__(self, db: Database, access: AccessService, clock: Clock = utc_now) -> None:
        self._db = db
        self._access = access
        self._clock = clock
        self._silent: frozenset[str] = frozenset()

    def clean(self, _stop: Event) -> str | None:
        """Delete sessions that have ended, failed sign-ins that no longer count, and old runs."""
        ended = self._access.purge()
        with self._db.transaction() as conn:
            runs = repository.purge_runs(conn, self._clock() - KEEP_RUNS)
        return f"{ended} sessions and sign-ins, {runs} runs deleted" if ended or runs else None

    def silent(self, scope: Scope) -> list[SilentDevice]:
        """Boxes that are not connected or have said nothing for a while, of the caller's stores."""
        with self._db.read() as conn:
            return repository.silent_devices(conn, scope, self._clock() - SILENT_AFTER)

    def watch(self, _stop: Event) -> str | None:
        """Notice boxes that went silent since the last look, and those that are back."""
        now = {device.device_id for device in self.silent(Scope.system("jobs"))}
        gone, back = sorted(now - self._silent), sorted(self._silent - now)
        self._silent = frozenset(now)
        for device in gone:
            _log.warning("box is silent", device=device)
        for device in back:
            _log.info("box is back", device=device)
        words = [f"{what}: {', '.join(which)}" for what, which in (("silent", gone), ("back", back)) if which]
        return "; ".join(words) or None
