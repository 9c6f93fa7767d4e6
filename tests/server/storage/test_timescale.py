"""What only TimescaleDB does: made where it is there, left out where it isn't."""

import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from server.ingest.service import IngestService
from server.storage import timescale
from server.storage.migrate import Migration, migrate
from server.storage.pool import Database
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
            connection.execute("CREATE TABLE crossing (at timestamptz NOT NULL, store_id text)")
            connection.execute("CREATE TABLE coverage (minute timestamptz NOT NULL, camera_id text)")
            connection.execute("INSERT INTO crossing VALUES (now(), 'S01')")
            assert timescale.set_up(connection)
        assert scalar(db, "SELECT store_id FROM crossing") == "S01"


@pytest.mark.timescale
def test_a_schema_without_those_tables_is_no_error(timescale_dsn: str) -> None:
    assert migrate(timescale_dsn, [Migration("0001_other.sql", "CREATE TABLE other (x integer)")])
    with Database(timescale_dsn, size=1) as db:
        assert rows(db, "SELECT hypertable_name::text FROM timescaledb_information.hypertables") == []


@pytest.mark.timescale
def test_old_chunks_are_packed_and_take_what_comes_late(timescale_dsn: str) -> None:
    migrate(timescale_dsn)
    policies = (
        "SELECT hypertable_name::text, config ->> 'compress_after' FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_compression' ORDER BY 1"
    )
    with Database(timescale_dsn, size=2) as db:
        assert rows(db, policies) == [("coverage", "7 days"), ("crossing", "7 days")]
        add_stores(db)
        service, door = IngestService(db, lambda: NOW), Sender()
        old = NOW - timedelta(days=30)
        records: list[Record] = [crossing(1), coverage(2), crossing(3, at=old), coverage(4, minute=old)]
        tell(service, door.batch(records))
        _pack(timescale_dsn)
        packed = "SELECT hypertable_name::text, is_compressed FROM timescaledb_information.chunks ORDER BY 1, 2"
        assert rows(db, packed) == [("coverage", False), ("coverage", True), ("crossing", False), ("crossing", True)]
        tell(service, door.batch([crossing(5, at=old), coverage(6, minute=old + timedelta(minutes=1))]))
        assert scalar(db, "SELECT count(*) FROM crossing WHERE at = %s", old) == 2
        assert_roll_ups_equal_raw(db)
    # A second set-up changes nothing and fails at nothing, though there are packed chunks.
    assert migrate(timescale_dsn) == []


@pytest.mark.timescale
def test_a_chunk_in_use_is_not_waited_for_by_all(timescale_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timescale, "_DROP_PATIENCE", 1)
    migrate(timescale_dsn)
    old = NOW - timedelta(days=30)
    with Database(timescale_dsn, size=2) as db:
        add_stores(db)
        tell(IngestService(db, lambda: NOW), Sender().batch([crossing(1, at=old), crossing(2)]))
        with psycopg.connect(timescale_dsn) as report:
            report.execute("SELECT count(*) FROM crossing WHERE at = %s", (old,))
            with db.transaction() as connection:
                assert timescale.drop_chunks(connection, "crossing", NOW - timedelta(days=10)) == 0
                # The transaction goes on.
                assert connection.execute("SELECT count(*) FROM crossing").fetchone() == (2,)
        with db.transaction() as connection:
            assert timescale.drop_chunks(connection, "crossing", NOW - timedelta(days=10)) == 1
            assert timescale.drop_chunks(connection, "crossing", NOW - timedelta(days=10)) == 0
        assert scalar(db, "SELECT count(*) FROM crossing") == 1


def _pack(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in timescale.HYPERTABLES:
            assert timescale.pack(connection, table, NOW - timedelta(days=7)) == 1
            assert timescale.pack(connection, table, NOW - timedelta(days=7)) == 0


def test_what_only_timescaledb_does_stands_in_one_file(repository_root: Path) -> None:
    """Anything else that spoke of it would fail on plain PostgreSQL, and only there where nobody looks."""
    own = re.compile(
        r"timescaledb[._]|create_hypertable|time_bucket|(?:show|drop|compress|decompress)_chunks?\b|columnstore"
        r"|approximate_row_count|hypertable_size",
        re.IGNORECASE,
    )
    strangers = [
        str(path.relative_to(repository_root))
        for folder in ("server", "cli", "dashboards", "deploy/grafana")
        for path in sorted((repository_root / folder).rglob("*"))
        if path.suffix in {".py", ".sql", ".json"} and path.name != "timescale.py"
        for words in [_code(path)]
        if own.search(words)
    ]
    assert strangers == ["server/storage/retention.py"]  # which calls that file's drop_chunks, and nothing else
    retention = _code(repository_root / "server" / "storage" / "retention.py")
    assert own.findall(retention) == ["drop_chunks"]


def _code(path: Path) -> str:
    """A file's text without what only people read."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return re.sub(r"--.*", "", text)
    return re.sub(r'"""[\s\S]*?"""|#.*', "", text)


def test_plain_postgresql_does_without(db: Database) -> None:
    with db.transaction() as connection:
        if timescale.is_available(connection):
            pytest.skip("this PostgreSQL has the extension")
        assert timescale.set_up(connection) is False
        assert timescale.installed_version(connection) is None
