"""A database that takes what it is told and never answers: every wait of ours still has an end."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo

from server.errors import Unavailable
from server.jobs.leader import Leadership
from server.storage import pool
from server.storage.pool import Database
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until


@pytest.fixture
def between(db_dsn: str) -> Iterator[Proxy]:
    """What stands between us and the database."""
    told = conninfo.conninfo_to_dict(db_dsn)
    with Proxy(str(told["host"]), int(str(told["port"]))) as proxy:
        yield proxy


@pytest.fixture
def through(db_dsn: str, between: Proxy) -> str:
    """The database's connection string, by way of the proxy."""
    return conninfo.make_conninfo(db_dsn, host=between.host, port=between.port)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(pool, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 1)


def test_a_statement_is_not_waited_for_without_end_and_its_connection_is_closed(through: str, between: Proxy) -> None:
    with Database(through, size=1, statement_seconds=0.2) as db:
        with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"), db.transaction() as connection:  # noqa: PT012
            assert connection.execute("SELECT 1").fetchone() == (1,)
            between.stall()
            connection.execute("SELECT 2")
        assert connection.closed
        between.heal()
        wait_until(lambda: _answers(db), 20, "the database to answer again")


def test_a_commit_is_not_waited_for_without_end(through: str, between: Proxy) -> None:
    with (  # noqa: PT012
        Database(through, size=1, statement_seconds=0.2) as db,
        pytest.raises(Unavailable, match="no answer"),
        db.transaction() as connection,
    ):
        connection.execute("INSERT INTO store (store_id, name) VALUES ('S01', '')")
        between.stall()


def test_a_copy_is_not_waited_for_without_end(through: str, between: Proxy) -> None:
    with (  # noqa: PT012
        Database(through, size=1, statement_seconds=0.2) as db,
        pytest.raises(Unavailable, match="no answer"),
        db.transaction() as connection,
        connection.cursor().copy("COPY store (store_id, name) FROM STDIN") as copy,
    ):
        copy.write_row(("S01", "x"))
        between.stall()


def test_a_silent_connection_is_not_given_out(through: str, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_ALIVE_SECONDS", 0)
    with Database(through, size=1) as db:
        assert _answers(db)
        between.stall()
        with pytest.raises(Unavailable), db.read():
            pytest.fail("a connection nobody answers on was given out")
        between.heal()
        wait_until(lambda: _answers(db), 20, "the database to answer again")


def test_while_one_finds_out_whether_it_is_back_the_others_are_told_at_once(through: str, between: Proxy) -> None:
    with Database(through, size=2) as db:
        between.cut()
        with pytest.raises(Unavailable), db.read():
            pass
        said: list[str] = []
        together = threading.Barrier(5)

        def ask() -> None:
            together.wait(10)
            try:
                with db.read():
                    pass
            except Unavailable as error:
                said.append(error.message)

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        told_at_once = [message for message in said if "has not come back yet" in message]
        assert (len(said), len(told_at_once)) == (5, 4)
        between.heal()
        wait_until(lambda: _answers(db), 20, "the database to answer again")


def test_a_busy_pool_is_not_taken_for_a_lost_database(db_dsn: str) -> None:
    with Database(db_dsn, size=1) as db:
        with db.transaction() as held:
            held.execute("SELECT 1")
            with pytest.raises(Unavailable), db.read():
                pass
        # Whoever comes now is served, all of them.
        served = [_answers(db) for _ in range(3)]
    assert served == [True] * 3


def test_a_leader_no_longer_answered_does_not_lead(
    through: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.storage.pool.GRACE_SECONDS", -4.5)  # 5 s a statement, less this
    with Leadership(through) as leadership:
        assert leadership.acquire()
        assert leadership.is_held()
        between.stall()
        assert not leadership.is_held()


def test_one_connection_alone_gives_up_too(through: str, between: Proxy) -> None:
    with pool.connect(through, statement_seconds=0.2) as connection:
        between.stall()
        with pytest.raises(psycopg.OperationalError, match="no answer"):
            connection.execute("SELECT 1")


def _answers(db: Database) -> bool:
    try:
        with db.read() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except Unavailable:
        return False
