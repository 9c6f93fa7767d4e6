"""The job that ends the minutes for which a box's answer is kept, also where nobody asks for anything any more."""

from threading import Event

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.requests import repository
from server.storage.pool import Database


class Forgetting:
    """Deletes what was kept long enough."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def run(self, _stop: Event) -> str | None:
        """One turn; what was done, if anything was."""
        with self._db.transaction() as conn:
            gone = repository.forget(conn, Scope.system("jobs"), self._clock())
        return f"{gone} answers of boxes forgotten" if gone else None
