"""One leader among the jobs processes, by a PostgreSQL advisory lock held on a connection of its own.

The lock lives as long as the connection, so a leader that dies, hangs off the network or is killed loses it without
anyone's doing, and a standby takes over. A pooled connection would not do: the pool may close it or lend it out.
"""

from typing import Self

import psycopg
import structlog

from server.storage.locks import AdvisoryLock
from server.storage.pool import Connection, connect

_log = structlog.get_logger(__name__)


class Leadership:
    """The wish to lead, and whether it is granted."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def acquire(self) -> bool:
        """Try to lead; False when another process does, or the database can't be reached."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._dsn, statement_seconds=5)
            row = self._connection.execute(
                "SELECT pg_try_advisory_lock(%s)", (int(AdvisoryLock.JOBS_LEADER),)
            ).fetchone()
        except psycopg.OperationalError as error:
            _log.warning("the database can't be reached; trying again", error=str(error).strip())
            self.release()
            return False
        return row is not None and bool(row[0])

    def is_held(self) -> bool:
        """Whether the connection, and with it the lock, is still there."""
        if self._connection is None or self._connection.closed:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def release(self) -> None:
        """Stop leading, or wishing to."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
