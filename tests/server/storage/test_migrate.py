"""Migrations: once each, by one process at a time, and never edited."""

import threading

import psycopg
import pytest

from server.errors import Unavailable
from server.storage import migrate as migrating
from server.storage.locks import AdvisoryLock
from server.storage.migrate import Migration, MigrationError, check_server, migrate, packaged, status
from server.storage.pool import Database
from tests.fixtures.wait import wait_until

ONE = Migration("0001_one.sql", "CREATE TABLE one (x integer);")
TWO = Migration("0002_two.sql", "CREATE TABLE two (x integer); INSERT INTO two VALUES (1);")


def test_all_are_applied_once(empty_dsn: str) -> None:
    names = [migration.name for migration in packaged()]
    assert names == sorted(names)
    assert [one.applied_at for one in status(empty_dsn)] == [None] * len(names)
    assert migrate(empty_dsn) == names
    assert migrate(empty_dsn) == []
    assert all(one.applied_at and not one.edited and not one.missing for one in status(empty_dsn))


def test_a_pool_will_do(empty_dsn: str) -> None:
    with Database(empty_dsn, size=1) as db:
        assert migrate(db, [ONE]) == [ONE.name]


def test_several_at_once_apply_each_once(empty_dsn: str) -> None:
    done: list[list[str]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(empty_dsn))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(len, done)) == [0, 0, 0, len(packaged())]


def test_a_database_lost_while_waiting_for_the_others_is_said_to_be(empty_dsn: str) -> None:
    said: list[BaseException] = []

    def wait_in_vain() -> None:
        try:
            migrate(empty_dsn)
        except Unavailable as error:
            said.append(error)

    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (int(AdvisoryLock.MIGRATE),))
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'advisory'"
        )
        wait_until(lambda: connection.execute(cut.encode()).fetchone(), 10, "the waiting one")
        thread.join(20)
    assert len(said) == 1


def test_an_edited_one_is_refused(empty_dsn: str) -> None:
    migrate(empty_dsn, [ONE])
    with pytest.raises(MigrationError, match=r"0001_one\.sql was edited after it was applied"):
        migrate(empty_dsn, [Migration(ONE.name, ONE.text + " "), TWO])
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('two')").fetchone() == (None,)


def test_other_line_ends_are_no_edit(empty_dsn: str) -> None:
    migrate(empty_dsn, [Migration(ONE.name, ONE.text + "\n-- end\n")])
    assert migrate(empty_dsn, [Migration(ONE.name, ONE.text + "\r\n-- end\r\n")]) == []


def test_a_failing_one_is_taken_back_and_the_earlier_ones_stay(empty_dsn: str) -> None:
    broken = Migration("0003_broken.sql", "CREATE TABLE three (x integer); SELECT nothing FROM nowhere;")
    with pytest.raises(MigrationError, match=r"0003_broken\.sql failed and was taken back"):
        migrate(empty_dsn, [ONE, TWO, broken])
    with psycopg.connect(empty_dsn) as connection:
        row = connection.execute("SELECT to_regclass('two')::text, to_regclass('three')").fetchone()
    assert row == ("two", None)
    assert migrate(empty_dsn, [ONE, TWO]) == []


def test_a_database_of_a_newer_version_is_refused(empty_dsn: str) -> None:
    migrate(empty_dsn, [ONE, TWO])
    with pytest.raises(MigrationError, match="does not know"):
        migrate(empty_dsn, [ONE])


def test_a_new_one_with_an_old_number_is_refused(empty_dsn: str) -> None:
    migrate(empty_dsn, [TWO])
    with pytest.raises(MigrationError, match="numbered before"):
        migrate(empty_dsn, [ONE, TWO])


@pytest.mark.parametrize(
    ("names", "said"),
    [(["1_short.sql"], "not named like"), (["0001_a.sql", "0001_b.sql"], "same number")],
)
def test_names_must_be_numbered(empty_dsn: str, names: list[str], said: str) -> None:
    with pytest.raises(MigrationError, match=said):
        migrate(empty_dsn, [Migration(name, "SELECT 1") for name in names])


def test_a_server_that_is_too_old_is_refused_before_anything_is_done_to_it(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_server(150000)
    check_server(180004)
    with pytest.raises(MigrationError, match=r"this database is PostgreSQL 14; Doorline needs 15 or newer"):
        check_server(140012)
    monkeypatch.setattr(migrating, "OLDEST", 99)
    with pytest.raises(MigrationError, match="needs 99 or newer"):
        migrate(empty_dsn, [ONE])
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('schema_migration')").fetchone() == (None,)


def test_a_database_that_is_away_is_said_to_be() -> None:
    with pytest.raises(Unavailable):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")
