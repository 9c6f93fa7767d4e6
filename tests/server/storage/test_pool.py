"""The pool: one transaction a block, UTC, and an end to every wait."""

import time
from datetime import UTC, datetime

import psycopg
import pytest

from server.errors import Unavailable
from server.storage import dirty
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from tests.fixtures.wait import wait_until


def test_a_transaction_is_kept_or_taken_back_whole(db: Database) -> None:
    with db.transaction() as connection:
        connection.execute("INSERT INTO store (store_id, name) VALUES ('S01', '')")
    with pytest.raises(ZeroDivisionError), db.transaction() as connection:  # noqa: PT012
        connection.execute("INSERT INTO store (store_id, name) VALUES ('S02', '')")
        raise ZeroDivisionError
    with db.read() as connection:
        assert connection.execute("SELECT store_id FROM store").fetchall() == [("S01",)]


def test_reading_can_not_write_and_sees_one_moment(db: Database) -> None:
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        db.read() as connection,
    ):
        connection.execute("INSERT INTO store (store_id, name) VALUES ('S01', '')")
    with db.read() as before:
        assert before.execute("SELECT count(*) FROM store").fetchone() == (0,)
        with db.transaction() as connection:
            connection.execute("INSERT INTO store (store_id, name) VALUES ('S01', '')")
        assert before.execute("SELECT count(*) FROM store").fetchone() == (0,)
    with db.transaction() as connection:
        connection.execute("INSERT INTO store (store_id, name) VALUES ('S02', '')")


def test_sessions_are_in_utc(db: Database) -> None:
    with db.read() as connection:
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


def test_errors_of_the_caller_stay_what_they_are(db: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), db.read() as connection:
        connection.execute("SELECT * FROM nowhere")


def test_a_statement_without_end_is_cut_off(db_dsn: str) -> None:
    with Database(db_dsn, size=1, statement_seconds=0.1) as db:
        with pytest.raises(Unavailable, match="statement timeout"), db.transaction() as connection:
            connection.execute("SELECT pg_sleep(60)")
        with db.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pool_with_nothing_to_give_says_so_in_time(db_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.pool.CONNECT_SECONDS", 0.3)
    with Database(db_dsn, size=1) as db, db.transaction():
        began = time.monotonic()
        with pytest.raises(Unavailable), db.read():
            pass
        assert time.monotonic() - began < 3


def test_a_database_that_goes_and_comes_back(own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.pool.CONNECT_SECONDS", 1)
    with Database(own_postgres.dsn, size=2) as db:
        with db.read() as connection:
            connection.execute("SELECT 1")
        with pytest.raises(Unavailable), db.transaction() as connection:  # noqa: PT012
            own_postgres.stop()
            connection.execute("SELECT 1")
        began = time.monotonic()
        with pytest.raises(Unavailable), db.read():
            pass
        assert time.monotonic() - began < 15
        own_postgres.start()
        wait_until(lambda: _answers(db), 30, "the pool to find the database again")


def test_a_connection_the_database_has_hung_up_on_is_not_given_out(db_dsn: str) -> None:
    with Database(db_dsn, size=1) as db, psycopg.connect(db_dsn, autocommit=True) as other:
        with db.transaction() as connection:
            pid = connection.info.backend_pid
        # At once, while it counts as alive.
        other.execute("SELECT pg_terminate_backend(%s, 20000)", (pid,))
        with db.transaction() as connection:
            assert connection.info.backend_pid != pid
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_starting_without_a_database_is_no_error() -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/nothing", size=1)
    db.close()
    with pytest.raises(Unavailable), db.read():
        pass


def test_marks_are_one_for_each_hour(db: Database) -> None:
    at = datetime(2026, 11, 21, 10, 59, tzinfo=UTC)
    with db.transaction() as connection:
        dirty.mark(connection, "S01", [at, at.replace(minute=1), at.replace(hour=12)], "test")
        dirty.mark(connection, "S01", [], "test")
    with db.read() as connection:
        found = connection.execute("SELECT store_id, hour, reason FROM dirty_mark ORDER BY hour").fetchall()
    assert found == [("S01", at.replace(minute=0), "test"), ("S01", at.replace(hour=12, minute=0), "test")]


def _answers(db: Database) -> bool:
    try:
        with db.read() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except Unavailable:
        return False
