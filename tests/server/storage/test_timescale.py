"""What only TimescaleDB does: made where it is there, left out where it isn't."""

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import conninfo, sql

from server.ingest.service import IngestService
from server.storage import timescale
from server.storage.migrate import Migration, migrate
from server.storage.pool import Database
from tests.fixtures.skips import skip_or_fail
from tests.server.ingest.devices import (
    NOW,
    Sender,
    add_stores,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    rows,
    scalar,
    tell,
)
from wire.messages import Record


@pytest.fixture
def timescale_dsn() -> Iterator[str]:
    """An empty database on a server that has the extension."""
    given = os.environ.get("DOORLINE_TIMESCALE_DSN", "")
    if not given:
        skip_or_fail(
            "TimescaleDB", "set DOORLINE_TIMESCALE_DSN to a server that has it, as a user who may add databases"
        )
    name = sql.Identifier(f"doorline_test_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield conninfo.make_conninfo(given, dbname=name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.mark.timescale
def test_crossing_and_coverage_become_hypertables(timescale_dsn: str) -> None:
    assert migrate(timescale_dsn)
    assert migrate(timescale_dsn) == []
    with Database(timescale_dsn, size=2) as db:
        names = rows(db, "SELECT hypertable_name::text FROM timescaledb_information.hypertables ORDER BY 1")
        assert names == [("coverage",), ("crossing",)]
        add_stores(db)
        old = NOW - timedelta(days=30)
        records: list[Record] = [crossing(1), coverage(2), crossing(3, at=old), coverage(4, minute=old)]
        tell(IngestService(db, lambda: NOW), Sender().batch(records))
        assert scalar(db, "SELECT count(*) FROM crossing") == 2
        assert scalar(db, "SELECT count(*) FROM timescaledb_information.chunks") == 4
        assert_roll_ups_equal_raw(db)


@pytest.mark.timescale
def test_rows_written_before_the_extension_came_are_taken_along(timescale_dsn: str) -> None:
    with Database(timescale_dsn, size=2) as db:
        with db.transaction() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            connection.execute("CREATE TABLE crossing (at timestamptz NOT NULL, x integer)")
            connection.execute("CREATE TABLE coverage (minute timestamptz NOT NULL, x integer)")
            connection.execute("INSERT INTO crossing VALUES (now(), 1)")
            assert timescale.set_up(connection)
        assert scalar(db, "SELECT x FROM crossing") == 1


@pytest.mark.timescale
def test_a_schema_without_those_tables_is_no_error(timescale_dsn: str) -> None:
    assert migrate(timescale_dsn, [Migration("0001_other.sql", "CREATE TABLE other (x integer)")])
    with Database(timescale_dsn, size=1) as db:
        assert rows(db, "SELECT hypertable_name::text FROM timescaledb_information.hypertables") == []


def test_plain_postgresql_does_without(db: Database) -> None:
    with db.transaction() as connection:
        if timescale.is_available(connection):
            pytest.skip("this PostgreSQL has the extension")
        assert timescale.set_up(connection) is False
        assert timescale.installed_version(connection) is None
