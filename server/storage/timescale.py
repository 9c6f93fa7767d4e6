"""Everything that only TimescaleDB does; on plain PostgreSQL it is left out, with one line in the log.

The rest of the server speaks SQL that both understand. Kept apart so that nothing else comes to depend on the
extension without noticing. What belongs to its community licence (the columnstore) is left out likewise where it is run
under the Apache licence.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from psycopg import errors, sql

from server.storage.pool import Connection

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hypertable:
    """A table cut into chunks by time.

    Attributes:
        time: its time column, by which rows lie in order within a segment of the columnstore.
        segment: the column whose rows lie together there: what is asked for by it is found without unpacking the rest.
    """

    time: str
    segment: str


HYPERTABLES: Final = {"crossing": Hypertable("at", "store_id"), "coverage": Hypertable("minute", "camera_id")}
_CHUNK: Final = "7 days"
#: When a chunk ended so long ago it is packed; what comes later still is taken, and packed by the next run.
_PACKED_AFTER: Final = "7 days"
#: Seconds for which dropping a chunk waits for whoever reads it. All who come after it wait as long.
_DROP_PATIENCE: Final = 2


def is_available(connection: Connection) -> bool:
    """Whether the server has the extension's files, installed in this database or not."""
    row = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    return row is not None


def installed_version(connection: Connection) -> str | None:
    """The extension's version in this database, None where it isn't."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return None if row is None else str(row[0])


def set_up(connection: Connection) -> bool:
    """Install the extension, make the hypertables and have old chunks packed, where that can be done.

    Safe to call again. Tables that already hold rows are migrated with them.

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
    for table, how in HYPERTABLES.items():
        connection.execute(
            # Of a schema that has no such table (yet) there is nothing to make.
            "SELECT public.create_hypertable(to_regclass(%s), public.by_range(%s, %s::interval),"
            " if_not_exists => true, migrate_data => true, create_default_indexes => false)"
            " WHERE to_regclass(%s) IS NOT NULL",
            (table, how.time, _CHUNK, table),
        )
        if is_hypertable(connection, table):
            _set_up_columnstore(connection, table, how)
    return True


def is_hypertable(connection: Connection, table: str) -> bool:
    """Whether a table of ours is cut into chunks, so that what is old is dropped and not deleted."""
    if installed_version(connection) is None:
        return False
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables"
        " WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = to_regclass(%s))",
        (table,),
    ).fetchone()
    return row is not None and bool(row[0])


def pack(connection: Connection, table: str, before: datetime) -> int:
    """Pack the chunks that end by `before` now, instead of when the extension's own job comes to them.

    Args:
        connection: in autocommit: each chunk is a transaction of its own.

    Returns:
        How many were packed that were not before.
    """
    packed = 0
    for (chunk,) in connection.execute(
        "SELECT format('%%I.%%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks"
        " WHERE hypertable_name = %s AND range_end <= %s AND NOT is_compressed ORDER BY range_end",
        (table, before),
    ).fetchall():
        connection.execute("CALL public.convert_to_columnstore(%s::regclass)", (chunk,))
        packed += 1
    return packed


def drop_chunks(connection: Connection, table: str, before: datetime) -> int:
    """Drop the oldest chunk that lies wholly before a moment.

    Whoever reads that chunk is waited for a moment only: all who come later would queue behind us.

    Args:
        connection: in a transaction, kept short by dropping one at a time.

    Returns:
        How many were dropped: 0 when there is none, or it is in use.
    """
    row = connection.execute(
        "SELECT format('%%I.%%I', chunk_schema, chunk_name), range_end FROM timescaledb_information.chunks"
        " WHERE hypertable_name = %s AND range_end <= %s ORDER BY range_end LIMIT 1",
        (table, before),
    ).fetchone()
    if row is None:
        return 0
    chunk, end = row
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_DROP_PATIENCE}s'".encode())
            connection.execute("SELECT public.drop_chunks(%s::regclass, older_than => %s::timestamptz)", (table, end))
    except errors.LockNotAvailable:
        _log.warning("an old chunk is in use: dropped another time", table=table, chunk=chunk)
        return 0
    return 1


def _set_up_columnstore(connection: Connection, table: str, how: Hypertable) -> None:
    try:
        with connection.transaction():
            row = connection.execute(
                "SELECT compression_enabled FROM timescaledb_information.hypertables"
                " WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = to_regclass(%s)",
                (table,),
            ).fetchone()
            if row == (False,):
                connection.execute(
                    sql.SQL(
                        "ALTER TABLE {} SET (timescaledb.enable_columnstore, timescaledb.segmentby = {},"
                        " timescaledb.orderby = {})"
                    ).format(sql.Identifier(table), sql.Literal(how.segment), sql.Literal(how.time))
                )
            connection.execute(
                "CALL public.add_columnstore_policy(to_regclass(%s), after => %s::interval, if_not_exists => true)",
                (table, _PACKED_AFTER),
            )
    except (errors.FeatureNotSupported, errors.UndefinedFunction, errors.UndefinedTable) as error:
        _log.info(
            "this TimescaleDB has no columnstore: old crossings stay as they are",
            table=table,
            reason=str(error).splitlines()[0],
            remedy="nothing to do; with TimescaleDB 2.18 or newer under its community licence they are packed",
        )


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
