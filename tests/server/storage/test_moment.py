"""One moment: everything in it is read from one snapshot, by one thread, and nothing is written."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import psycopg
import pytest

from server.errors import Unavailable
from server.storage.moment import one_moment, recalled, remembered, still
from server.storage.pool import Connection, Database, Replica


def _add_store(db: Database, store_id: str) -> None:
    with db.transaction() as connection:
        connection.execute("INSERT INTO store (store_id, name) VALUES (%s, '')", (store_id,))


def _stores(db: Database | Replica) -> int:
    with db.read() as connection:
        found = connection.execute("SELECT count(*) FROM store").fetchone()
    assert found is not None
    return int(found[0])


def _elsewhere(work: Callable[[], object]) -> None:
    """Do something in another thread, which takes this one's context along as a server's threads do."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,))
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def test_all_reads_are_of_one_snapshot_and_the_connection_comes_back(db_dsn: str) -> None:
    with Database(db_dsn, size=1) as db, Database(db_dsn, size=1) as other:
        for _ in range(2):
            with one_moment():
                before = _stores(db)
                _elsewhere(partial(_add_store, other, f"S{before}"))
                with one_moment():
                    assert _stores(db) == before
                # A replica is asked for its own snapshot; here it is away, and the database itself is asked.
                assert _stores(Replica(db, other)) == before
                assert _stores(db) == before
            assert _stores(db) == before + 1


def test_a_write_within_it_is_refused_and_one_of_another_thread_is_not(db: Database) -> None:
    with one_moment():
        with pytest.raises(RuntimeError, match="a write within one moment"), db.transaction():
            pass
        assert _stores(db) == 0
        _elsewhere(lambda: _add_store(db, "S01"))
    assert _stores(db) == 1
    _add_store(db, "S02")


def test_another_thread_reads_by_itself(db: Database) -> None:
    seen: list[Connection] = []

    def read() -> None:
        with db.read() as connection:
            seen.append(connection)

    with one_moment():
        read()
        read()
        _elsewhere(read)
    assert seen[0] is seen[1]
    assert seen[2] is not seen[0]


def test_what_breaks_off_is_taken_back_and_not_gone_on_with(db: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), one_moment(), db.read() as connection:
        connection.execute("SELECT * FROM nowhere")
    with one_moment():
        with pytest.raises(psycopg.errors.UndefinedTable), db.read() as connection:
            connection.execute("SELECT * FROM nowhere")
        with pytest.raises(Unavailable, match="broke off"):
            _stores(db)
    assert _stores(db) == 0


def test_a_database_lost_on_the_way_is_said_to_be_and_found_again(db: Database) -> None:
    def end(pid: int) -> None:
        with db.transaction() as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 20000)", (pid,))

    with pytest.raises(Unavailable), one_moment():  # noqa: PT012 - it is lost between two reads of one moment
        with db.read() as connection:
            pid = connection.info.backend_pid
        _elsewhere(lambda: end(pid))
        _stores(db)
    assert _stores(db) == 0


def test_what_was_looked_up_is_remembered_as_long_as_the_moment_lasts() -> None:
    numbers, asked = count(), []

    def find(unknown: list[str]) -> dict[str, int]:
        asked.append(unknown)
        return {key: len(key) for key in unknown if key}

    with one_moment():
        assert remembered("key", lambda: next(numbers)) == remembered("key", lambda: next(numbers)) == 0
        assert recalled(["a", ""], find) == {"a": 1}
        assert recalled(["a", "", "bb"], find) == {"a": 1, "bb": 2}
    assert asked == [["a", ""], ["bb"]]
    assert remembered("key", lambda: next(numbers)) == 1
    assert remembered("key", lambda: next(numbers)) == 2


def test_a_clock_stands_still_within_it() -> None:
    ticks = count()
    clock = still(lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(ticks)))
    with one_moment():
        assert clock() == clock()
    assert clock() < clock()
