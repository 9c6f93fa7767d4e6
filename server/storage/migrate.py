"""Numbered SQL files, each applied once, in order, by one process at a time.

Every process that starts may call this; an advisory lock lets one of them work while the others wait. What was
applied is recorded with its checksum, because a migration edited after it ran leaves two databases that claim the
same version and differ, which nobody notices until a query fails.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final

import psycopg
import structlog
from psycopg.rows import class_row

from server.errors import DoorlineError, Unavailable
from server.storage import bi, timescale
from server.storage.locks import AdvisoryLock
from server.storage.pool import Connection, Database, connect

_log = structlog.get_logger(__name__)
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
#: The oldest PostgreSQL whose SQL the migrations and the server speak.
OLDEST: Final = 15

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(DoorlineError):
    """The files and the database don't fit together; nothing was changed."""

    code = "migration"


@dataclass(frozen=True)
class Migration:
    """One SQL file."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Checksum of its text, line ends aside."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True)
class Applied:
    """What the database remembers of a migration."""

    name: str
    sha256: str
    applied_at: datetime


@dataclass(frozen=True)
class MigrationStatus:
    """One migration as the files and the database see it."""

    name: str
    applied_at: datetime | None
    edited: bool = False
    missing: bool = False


def packaged() -> list[Migration]:
    """The migrations that came with this installation, in order."""
    folder = resources.files("server.storage").joinpath("migrations")
    return in_order(
        [
            Migration(file.name, file.read_text(encoding="utf-8"))
            for file in folder.iterdir()
            if file.name.endswith(".sql")
        ]
    )


def in_order(migrations: Sequence[Migration]) -> list[Migration]:
    """Sorted by number.

    Raises:
        MigrationError: a name without a number, or a number used twice.
    """
    numbers: dict[str, str] = {}
    for migration in migrations:
        match = _NAME.fullmatch(migration.name)
        if match is None:
            raise MigrationError(f"migration {migration.name!r} is not named like 0001_what_it_does.sql")
        if other := numbers.get(match[1]):
            raise MigrationError(f"migrations {other} and {migration.name} have the same number")
        numbers[match[1]] = migration.name
    return sorted(migrations, key=lambda migration: migration.name)


def migrate(target: Database | str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Bring the schema up to date, then make hypertables where TimescaleDB is there, and readers of the schema `bi`.

    Args:
        target: the database, or its connection string.
        migrations: instead of the packaged ones (tests).

    Returns:
        Names of the migrations applied now; empty when there was nothing to do.

    Raises:
        MigrationError: an applied migration was edited or is unknown here, or one failed (the earlier ones stay).
        Unavailable: the database can't be reached.
    """
    wanted = packaged() if migrations is None else in_order(migrations)
    done: list[str] = []
    with _locked(target) as connection:
        check_server(connection.info.server_version)
        with connection.transaction():
            connection.execute(_TABLE)
        applied = _applied(connection)
        _check(wanted, applied)
        for migration in wanted:
            if migration.name not in applied:
                _apply(connection, migration)
                done.append(migration.name)
        with connection.transaction():
            timescale.set_up(connection)
        with connection.transaction():
            bi.set_up(connection)
    return done


def check_server(version: int) -> None:
    """Refuse a server that is too old, before anything is changed in it.

    Args:
        version: as PostgreSQL numbers itself: 150004 is 15.4.

    Raises:
        MigrationError: older than `OLDEST`.
    """
    if version < OLDEST * 10_000:
        raise MigrationError(
            f"this database is PostgreSQL {version // 10_000}; Doorline needs {OLDEST} or newer",
            remedy=f"move the database to PostgreSQL {OLDEST} or newer, then run `doorline db migrate` again",
        )


def status(target: Database | str) -> list[MigrationStatus]:
    """Each migration known to the files or the database, and when it was applied. Changes nothing.

    Raises:
        Unavailable: the database can't be reached.
    """
    with _connected(target) as connection, connection.transaction():
        known = connection.execute("SELECT to_regclass('schema_migration')").fetchone()
        applied = _applied(connection) if known and known[0] else {}
    wanted = {migration.name: migration for migration in packaged()}
    return [
        MigrationStatus(
            name,
            applied_at=applied[name].applied_at if name in applied else None,
            edited=name in applied and name in wanted and applied[name].sha256 != wanted[name].sha256,
            missing=name not in wanted,
        )
        for name in sorted(wanted.keys() | applied.keys())
    ]


@contextmanager
def _connected(target: Database | str) -> Iterator[Connection]:
    dsn = target.dsn if isinstance(target, Database) else target
    try:
        connection = connect(dsn, statement_seconds=0)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database can't be reached: {error}") from error
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database was lost: {error}") from error


@contextmanager
def _locked(target: Database | str) -> Iterator[Connection]:
    with _connected(target) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (int(AdvisoryLock.MIGRATE),))
        try:
            yield connection
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", (int(AdvisoryLock.MIGRATE),))


def _applied(connection: Connection) -> dict[str, Applied]:
    with connection.cursor(row_factory=class_row(Applied)) as cursor:
        cursor.execute("SELECT name, sha256, applied_at FROM schema_migration ORDER BY name")
        return {row.name: row for row in cursor}


def _check(wanted: Sequence[Migration], applied: dict[str, Applied]) -> None:
    known = {migration.name: migration for migration in wanted}
    for name, record in applied.items():
        if name not in known:
            raise MigrationError(
                f"the database has migration {name}, which this version of Doorline does not know",
                remedy="run a version at least as new as the one that made this database",
            )
        if known[name].sha256 != record.sha256:
            raise MigrationError(
                f"migration {name} was edited after it was applied on {record.applied_at:%Y-%m-%d %H:%M} UTC",
                remedy="put the file back as it was and write the change as a new migration",
            )
    newest = max(applied, default="")
    for migration in wanted:
        if migration.name not in applied and migration.name < newest:
            raise MigrationError(
                f"migration {migration.name} is new but numbered before {newest}, which is applied already",
                remedy="give it the next free number",
            )


def _apply(connection: Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            # From a file of ours, never from input; psycopg wants a literal type for statements without parameters.
            connection.execute(migration.text.encode())
            connection.execute(
                "INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
            )
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database was lost during migration {migration.name}: {error}") from error
    except psycopg.Error as error:
        raise MigrationError(
            f"migration {migration.name} failed and was taken back: {str(error).strip()}",
            remedy="mend what it complains about, then run `doorline db migrate` again",
        ) from error
    _log.info("migration applied", name=migration.name)
