"""Everything that only TimescaleDB does; on plain PostgreSQL it is left out, with one line in the log.

The rest of the server speaks SQL that both understand. Kept apart so that nothing else comes to depend on the
extension without noticing.
"""

from typing import Final

import structlog
from psycopg import errors, sql

from server.storage.pool import Connection

_log = structlog.get_logger(__name__)

#: Tables cut into chunks by time, and their time columns.
HYPERTABLES: Final = {"crossing": "at", "coverage": "minute"}
_CHUNK: Final = "7 days"


def is_available(connection: Connection) -> bool:
    """Whether the server has the extension's files, installed in this database or not."""
    row = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    return row is not None


def installed_version(connection: Connection) -> str | None:
    """The extension's version in this database, None where it isn't."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return None if row is None else str(row[0])


def set_up(connection: Connection) -> bool:
    """Install the extension and make the hypertables, where that can be done; safe to call again.

    Tables that already hold rows are migrated with them.

    Args:
        connection: in a transaction, as the tables' owner.

    Returns:
        Whether the database now has hypertables.
    """
    if not is_available(connection):
        _log.info("TimescaleDB is not there: crossings stay in plain tables", remedy="nothing to do; it is optional")
        return False
    if installed_version(connection) is None and not _install(connection):
        return False
    for table, column in HYPERTABLES.items():
        connection.execute(
            # Of a schema that has no such table (yet) there is nothing to make.
            "SELECT public.create_hypertable(to_regclass(%s), public.by_range(%s, %s::interval),"
            " if_not_exists => true, migrate_data => true, create_default_indexes => false)"
            " WHERE to_regclass(%s) IS NOT NULL",
            (table, column, _CHUNK, table),
        )
    return True


def _install(connection: Connection) -> bool:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public"))
    except (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState, errors.InternalError) as error:
        _log.warning(
            "TimescaleDB is there but can't be installed into this database: crossings stay in plain tables",
            reason=str(error).splitlines()[0],
            remedy="let an administrator run CREATE EXTENSION timescaledb, then `doorline db migrate` again",
        )
        return False
    return True
