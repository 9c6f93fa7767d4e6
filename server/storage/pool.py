"""The way to the database: a pool whose every wait has an end.

A vanished database shows itself in many ways: a pool that has nothing to give, a connection closed under a statement,
a statement cut off, a peer that never answers. Callers must not tell these apart, so all of them become `Unavailable`,
and time-outs on connecting, on statements and on the TCP connection see to it that one of them comes. The trap avoided
is psycopg's default, which waits for a silent peer for as long as the operating system does.
"""

import math
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from server.errors import Unavailable

Connection = psycopg.Connection[TupleRow]

#: Seconds until an attempt to connect, or a wait for a free connection, is given up.
CONNECT_SECONDS = 5
#: Seconds until PostgreSQL cuts off one statement.
STATEMENT_SECONDS = 30
#: For so long after its last transaction a connection that is silent is taken to be alive.
_ALIVE_SECONDS: Final = 1.0


def connection_options(*, statement_seconds: float = STATEMENT_SECONDS) -> dict[str, Any]:
    """Connection parameters everything of ours uses: UTC, and an end to every wait.

    Args:
        statement_seconds: until a statement is cut off; 0 means never.
    """
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "doorline",
        "options": (
            f"-c timezone=UTC -c statement_timeout={int(statement_seconds * 1000)}"
            " -c idle_in_transaction_session_timeout=60000"
        ),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


class Database:
    """Connections to one PostgreSQL database, shared by the threads of a process.

    It opens in the background, so that a process may start while the database is still down.
    """

    def __init__(self, dsn: str, size: int = 8, *, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self.dsn = dsn
        self._used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            min_size=min(2, size),
            max_size=size,
            timeout=CONNECT_SECONDS,
            max_lifetime=1800,
            reconnect_timeout=30,
            kwargs=connection_options(statement_seconds=statement_seconds),
            check=self._check,
            name="doorline",
            open=False,
        )
        self._pool.open()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            Unavailable: the database can't be reached, was lost on the way, or cut the statement off. Whether a
                commit that was on its way took place is then unknown.
        """
        with _unavailable_when_lost(), self._pool.connection() as connection:
            with connection.transaction():
                yield connection
            self._used[connection] = time.monotonic()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only transaction, all of whose statements see the same moment.

        Raises:
            Unavailable: as `transaction`.
        """
        with _unavailable_when_lost(), self._pool.connection() as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with connection.transaction():
                    yield connection
            finally:
                if not connection.closed:
                    connection.read_only = None
                    connection.isolation_level = None

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Unavailable: as `transaction`.
        """
        with self.read() as connection:
            connection.execute("SELECT 1")

    def _check(self, connection: Connection) -> None:
        """Ask a connection for a sign of life before it is given out, unless it showed one a moment ago.

        To ask costs a round trip each time. A database that goes says so on every connection, which then has
        something to read; only one that vanished without a word has to be asked.
        """
        if time.monotonic() - self._used.get(connection, -math.inf) < _ALIVE_SECONDS and not _has_word(connection):
            return
        ConnectionPool.check_connection(connection)

    def close(self) -> None:
        """Give all connections back; the object can't be used again."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _has_word(connection: Connection) -> bool:
    """Whether the database said something that nobody asked for, such as good-bye."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


_LIMITS: Final = (
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
    errors.TooManyColumns,
    errors.TooManyArguments,
)


@contextmanager
def _unavailable_when_lost() -> Iterator[None]:
    try:
        yield
    except _LIMITS:
        # What a statement asks for is beyond what the database can ever do: to wait for it would help nobody.
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed, TooManyRequests) as error:
        raise Unavailable(f"the database can't be used now: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
