"""A database of any earlier version, with data in every table, becomes one of today's and loses nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from server.access.models import Scope
from server.ingest.service import IngestService
from server.kpi.service import KpiService
from server.storage.migrate import migrate, packaged
from server.storage.pool import Database
from server.stores.service import StoresService
from tests.fixtures.postgres import RUN, Server, create_database, drop_database
from tests.server.ingest.devices import Sender, crossing, tell
from tests.server.storage.seeds import DAY, NOON, fill, tables
from wire.messages import Ack

SYSTEM = Scope.system("tests")
Rows = dict[str, list[dict[str, Any]]]
#: Columns that a later version keeps with a time of validity, in rows of a table of their own; where there was nothing
#: in them there is no row.
MOVED = {"store": ("store_label", "store_id", ("format", "tags", "region"))}


@pytest.fixture(scope="module")
def ladder(postgres: Server) -> Iterator[dict[str, str]]:
    """By the name of a migration, a database as it was after it, full."""
    rungs: dict[str, str] = {}
    growing = f"ladder_{RUN}"
    create_database(postgres, growing)
    wanted = packaged()
    for number, migration in enumerate(wanted, start=1):
        migrate(postgres.dsn_of(growing), wanted[:number])
        with psycopg.connect(postgres.dsn_of(growing)) as connection:
            fill(connection)
        rungs[migration.name] = f"ladder_{RUN}_{number}"
        _copy(postgres, growing, rungs[migration.name])
    yield rungs
    for name in (growing, *rungs.values()):
        drop_database(postgres, name)


def _copy(postgres: Server, name: str, copy: str) -> None:
    """A database can't be copied while anybody is connected, and TimescaleDB's own workers would be."""
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(postgres.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        create_database(postgres, copy, template=name)
        connection.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


def everything(dsn: str) -> Rows:
    """All rows of all tables."""
    with psycopg.connect(dsn) as connection:
        return {
            table: [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(whole_row) FROM {} AS whole_row").format(sql.Identifier(table))
                )
            ]
            for table in tables(connection)
        }


def _without_moved(table: str, row: dict[str, Any], left: list[dict[str, Any]], after: Rows) -> dict[str, Any]:
    """A row without the columns that are in another table by now, where it has been seen that they are."""
    if table not in MOVED or not left or all(column in left[0] for column in MOVED[table][2] if column in row):
        return row
    other, key, columns = MOVED[table]
    had = {column: row[column] for column in columns if row.get(column)}
    moved = [one for one in after[other] if one[key] == row[key] and all(one[name] == had[name] for name in had)]
    assert moved or not had, f"{table}: {json.dumps(had)} of {row[key]} is not in {other}"
    return {name: value for name, value in row.items() if name not in columns}


def assert_kept(before: Rows, after: Rows) -> None:
    """Each row is still there with all it said; there may be more rows and more columns."""
    for table, rows in before.items():
        left = list(after[table])
        for whole in rows:
            row = _without_moved(table, whole, left, after)
            found = [one for one in left if all(key in one and one[key] == value for key, value in row.items())]
            assert found, f"{table}: {json.dumps(row)} is gone, or says something else now"
            left.remove(found[0])


@pytest.mark.parametrize("version", [migration.name for migration in packaged()])
def test_an_upgrade_keeps_every_row_and_works(postgres: Server, ladder: dict[str, str], version: str) -> None:
    dsn = postgres.dsn_of(ladder[version])
    before = everything(dsn)
    assert all(before.values()), "a table without a row proves nothing"
    missing = [migration.name for migration in packaged() if migration.name > version]
    assert migrate(dsn) == missing
    assert_kept(before, everything(dsn))
    with Database(dsn, size=2) as db:
        _works(db, has_counted="traffic_15m" in before)


def _works(db: Database, *, has_counted: bool) -> None:
    """What is new is counted with what was there."""
    now = NOON + timedelta(minutes=5)
    [reply] = tell(IngestService(db, lambda: now), Sender().batch([crossing(1, at=NOON)], sent_at=now))
    assert isinstance(reply, Ack)
    later = NOON + timedelta(days=2)
    kpi = KpiService(db, StoresService(db, lambda: later), lambda: later)
    kpi.recompute("S01", DAY)
    report = kpi.report(SYSTEM, kpis=["entries"], day_from=DAY, day_to=DAY, store_ids=["S01"])
    assert report.total.values["entries"].value == (3 if has_counted else 1)
