"""What people see of the jobs: their runs, and who is silent."""

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.jobs import repository
from server.jobs.models import JobRun, Silence, Waiting
from server.jobs.silence import Silences
from server.storage.pool import Database


class JobsService:
    """Answers what ran by the clock, and what it found."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._silences = Silences(db, clock)

    def runs(self, scope: Scope, limit: int = 100) -> list[JobRun]:
        """The latest runs, latest first.

        Raises:
            Forbidden: unless an admin or HQ asks.
        """
        scope.require_role("admin", "hq")
        with self._db.read() as conn:
            return repository.runs(conn, limit)

    def waiting(self, scope: Scope) -> Waiting:
        """How much is still to be computed anew.

        Raises:
            Forbidden: unless an admin or HQ asks.
        """
        scope.require_role("admin", "hq")
        with self._db.read() as conn:
            return repository.waiting(conn, scope)

    def silences(
        self, scope: Scope, store_id: str | None = None, *, past: bool = False, limit: int = 500
    ) -> list[Silence]:
        """Boxes and cameras that are silent; see `Silences.silences`.

        Raises:
            Forbidden: when the store isn't the caller's.
        """
        scope.require_role("admin", "hq", "region", "manager")
        return self._silences.silences(scope, store_id, past=past, limit=limit)
