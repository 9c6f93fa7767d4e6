"""All of signing in as one service: users, sessions, second steps, identity providers, API keys, the audit trail.

Each stands in a file of its own; here they are put together, so that everybody else knows one name.
"""

from typing import Final

from server.access import lockout, repository, session_repository
from server.access.external import External
from server.access.keys import Keys
from server.access.models import AuditEntry, Scope
from server.access.second import SecondStep
from server.access.trail import AuditTrail
from server.access.users import Users
from server.clock import Clock, utc_now
from server.settings import Settings
from server.storage.pool import Database

_NEWEST: Final = 200


class AccessService(Users, SecondStep, External, Keys):
    """Who is asking.

    Args:
        clock: the time now; tests pass their own.

    Attributes:
        trail: the audit trail, to be read, checked and cut.
    """

    def __init__(self, db: Database, settings: Settings, clock: Clock = utc_now) -> None:
        super().__init__(db, settings, clock)
        self.trail = AuditTrail(db, settings.audit_days, clock)

    def audit_trail(self, scope: Scope, limit: int = _NEWEST) -> list[AuditEntry]:
        """The newest lines of the audit trail, for admins."""
        return self.trail.newest(scope, limit)

    def purge(self) -> int:
        """Delete what has ended: sessions, failed sign-ins that no longer count, old lines of the trail; how many.

        For the clean-up job, which thereby also brings secrets of one-time codes under today's key.
        """
        now = self._clock()
        with self._db.transaction() as conn:
            gone = session_repository.purge(conn, now, now - self._idle)
            gone += session_repository.purge_attempts(conn, now)
            gone += repository.purge_failures(conn, now - lockout.WINDOW)
        self.reseal()
        return gone + self.trail.cut()
