"""The way to the database: a pool whose every wait has an end.

A vanished database shows itself in many ways: a pool that has nothing to give, a connection closed under a statement,
a statement cut off, a peer that never answers. Callers must not tell these apart, so all of them become `Unavailable`,
and time-outs on connecting, on statements and on the TCP connection see to it that one of them comes. The trap avoided
is a peer that takes what it is sent and never answers (a proxy whose server is gone, a machine that hangs): the
database's own time-outs need a database to keep them, and TCP's see nothing wrong; so we look at the clock ourselves.
"""

import math
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from server.errors import Unavailable
from server.storage import moment

_log = structlog.get_logger(__name__)

Connection = psycopg.Connection[TupleRow]
_Returned = TypeVar("_Returned")

#: Seconds until an attempt to connect, or a wait for a free connection, is given up.
CONNECT_SECONDS = 5
#: Seconds until PostgreSQL cuts off one statement.
STATEMENT_SECONDS = 30
#: Seconds that PostgreSQL is given to say so, before we stop listening.
GRACE_SECONDS = 5.0
#: Seconds until a connection that is asked for a sign of life is taken to be dead.
CHECK_SECONDS = 3.0
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


class ImpatientConnection(psycopg.Connection[TupleRow]):
    """A connection that is closed when its peer leaves it waiting for too long.

    Attributes:
        patience: seconds it waits for any one answer; None: for ever.
    """

    patience: float | None = None

    def wait(self, gen: PQGen[_Returned], interval: float = 0.1, timeout: float | None = None) -> _Returned:
        """Wait for the peer, but not for ever.

        Raises:
            OperationalError: it did not answer in time; the connection is closed then.
        """
        limit = self.patience if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if limit is None or time.monotonic() - began < limit:
                raise
            # What comes now would answer a question nobody asks any more; and to take the transaction back politely
            # would be to wait once more.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from error


def connect(dsn: str, *, statement_seconds: float = STATEMENT_SECONDS) -> Connection:
    """One connection outside any pool, in autocommit, every wait of which has an end.

    Args:
        statement_seconds: until a statement is cut off; 0 means never, and then its answer is waited for without end.

    Raises:
        OperationalError: the database can't be reached.
    """
    connection = ImpatientConnection.connect(
        dsn, autocommit=True, **connection_options(statement_seconds=statement_seconds)
    )
    connection.patience = _patience(statement_seconds)
    return connection


def _patience(statement_seconds: float) -> float | None:
    return statement_seconds + GRACE_SECONDS if statement_seconds else None


class Readable(Protocol):
    """Where something can be read."""

    def read(self) -> AbstractContextManager[Connection]:
        """One read-only transaction, all of whose statements see the same moment.

        Raises:
            Unavailable: the database can't be reached.
        """


class Database:
    """Connections to one PostgreSQL database, shared by the threads of a process.

    It opens in the background, so that a process may start while the database is still down. Once the database is
    known to be away, one thread at a time finds out whether it is back, and the others are told at once: were each to
    wait for itself, a few minutes' outage would pile up requests that nobody waits for any more.
    """

    def __init__(self, dsn: str, size: int = 8, *, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self.dsn = dsn
        self._patience = _patience(statement_seconds)
        self._used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._is_lost = False
        self._lent_at = -math.inf
        self._probing = threading.Lock()
        self._pool: ConnectionPool[ImpatientConnection] = ConnectionPool(
            dsn,
            connection_class=ImpatientConnection,
            min_size=min(2, size),
            max_size=size,
            timeout=CONNECT_SECONDS,
            max_lifetime=1800,
            reconnect_timeout=30,
            kwargs=connection_options(statement_seconds=statement_seconds),
            configure=self._configure,
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
            RuntimeError: within `one_moment`, which only reads.
        """
        if moment.current() is not None:
            raise RuntimeError("a write within one moment that is read; write before it, or after it")
        with _unavailable_when_lost(), self._lend() as connection:
            with connection.transaction():
                yield connection
            self._used[connection] = time.monotonic()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only transaction, all of whose statements see the same moment; within `one_moment` always the same.

        Raises:
            Unavailable: as `transaction`.
        """
        shared = moment.current()
        with _unavailable_when_lost():
            if shared is not None:
                yield shared.connection(self, self._begin_reading)
                return
            with self._begin_reading() as connection:
                yield connection

    @contextmanager
    def _begin_reading(self) -> Iterator[Connection]:
        with self._lend() as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with connection.transaction():
                    yield connection
                self._used[connection] = time.monotonic()
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

    @contextmanager
    def _lend(self) -> Iterator[Connection]:
        """A connection of the pool; at once or not at all while another thread finds out whether there is one."""
        is_probe = self._is_lost
        if is_probe and not self._probing.acquire(blocking=False):
            raise Unavailable("the database can't be used now: it has not come back yet")
        began = time.monotonic()
        try:
            connection = self._pool.getconn()
        except PoolTimeout:
            # Unless others were served meanwhile: then it is there, and busy.
            self._is_lost = self._lent_at < began
            raise
        finally:
            if is_probe:
                self._probing.release()
        self._is_lost = False
        self._lent_at = time.monotonic()
        try:
            with connection:
                yield connection
        finally:
            self._pool.putconn(connection)

    def _configure(self, connection: ImpatientConnection) -> None:
        connection.patience = self._patience

    def _check(self, connection: ImpatientConnection) -> None:
        """Ask a connection for a sign of life before it is given out, unless it showed one a moment ago.

        To ask costs a round trip each time. A database that goes says so on every connection, which then has
        something to read; only one that vanished without a word has to be asked.
        """
        if time.monotonic() - self._used.get(connection, -math.inf) < _ALIVE_SECONDS and not _has_word(connection):
            return
        connection.patience = CHECK_SECONDS
        ConnectionPool.check_connection(connection)
        connection.patience = self._patience

    def close(self) -> None:
        """Give all connections back; the object can't be used again."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Replica:
    """A read replica, and the primary for as long as the replica is away: reports are slower then, and still come."""

    def __init__(self, replica: Database, primary: Database) -> None:
        self._replica = replica
        self._primary = primary

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As `Database.read`, of the replica: what was committed moments ago may not be there yet."""
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self._replica.read())
            except Unavailable as error:
                _log.warning("the read replica is away: the primary is asked instead", reason=error.message)
                connection = stack.enter_context(self._primary.read())
            yield connection

    def close(self) -> None:
        """Give the replica's connections back; the primary stays open."""
        self._replica.close()


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
