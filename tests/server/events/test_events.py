"""What happened is told exactly once: to every consumer, in an order no late commit can slip behind, until all know."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from server import events
from server.events import Event, EventRetention, NewEvent
from server.storage.pool import Connection, Database
from tests.fixtures.wait import wait_until

KINDS = ("receipt.recorded", "member.enrolled")


def sold(number: str) -> NewEvent:
    return NewEvent("receipt.recorded", "S01", f"S01/{number}", {"gross": "19.90", "lines": [{"sku": "茶"}]})


@pytest.fixture
def other(db: Database) -> Iterator[Connection]:
    """A connection of somebody else's, who decides when to commit."""
    with psycopg.connect(db.dsn) as connection:
        yield connection
        connection.rollback()


def tell(db: Database, *numbers: str) -> None:
    with db.transaction() as conn:
        events.record_all(conn, [sold(number) for number in numbers])


def taken(db: Database, consumer: str = "points", limit: int = 100) -> list[Event]:
    with db.transaction() as conn:
        return events.take(conn, consumer, ["receipt.recorded"], limit)


def all_of(db: Database, count: int, consumer: str = "points") -> list[str]:
    """Subjects as they come, until so many came. The server's own workers may hold events back for a moment."""
    came: list[str] = []

    def there() -> bool:
        came.extend(event.subject.removeprefix("S01/") for event in taken(db, consumer))
        return len(came) >= count

    wait_until(there, what=f"{count} events")
    return came


def test_an_event_says_what_was_recorded(db: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    tell(db, "R1")
    event = wait_until(lambda: taken(db), what="the event")[0]
    assert (event.kind, event.store_id, event.subject) == ("receipt.recorded", "S01", "S01/R1")
    assert event.body == {"gross": "19.90", "lines": [{"sku": "茶"}]}
    assert before < event.at
    assert event.at.tzinfo is not None


def test_what_is_rolled_back_never_happened(db: Database) -> None:
    with suppress(RuntimeError), db.transaction() as conn:
        events.record(conn, sold("R1"))
        raise RuntimeError
    tell(db, "R2")
    assert all_of(db, 1) == ["R2"]


def test_taking_and_what_the_consumer_writes_are_one_commit(db: Database) -> None:
    with db.transaction() as conn:
        conn.execute("CREATE TABLE acted (subject text PRIMARY KEY)")
    tell(db, "R1", "R2", "R3")

    def act(*, fails: bool) -> int:
        with db.transaction() as conn:
            came = events.take(conn, "points", KINDS, 2)
            for event in came:
                conn.execute("INSERT INTO acted VALUES (%s)", (event.subject,))
            if fails and came:
                raise RuntimeError("the power went")
            return len(came)

    def failed() -> bool:
        try:
            act(fails=True)
        except RuntimeError:
            return True
        return False

    wait_until(failed, what="a failure in the midst")
    with db.read() as conn:
        assert conn.execute("SELECT count(*) FROM acted").fetchone() == (0,)
    assert [act(fails=False) for _ in range(3)] == [2, 1, 0]
    with db.read() as conn:
        assert conn.execute("SELECT string_agg(subject, ' ' ORDER BY subject) FROM acted").fetchone() == (
            "S01/R1 S01/R2 S01/R3",
        )


def test_an_event_of_a_slow_transaction_is_not_skipped(db: Database, other: Connection) -> None:
    taken(db)
    events.record(other, sold("slow"))
    tell(db, "quick")
    with db.read() as conn:
        assert conn.execute("SELECT count(*) FROM event").fetchone() == (1,), "the quick one is there to be taken"
    assert taken(db) == []
    other.commit()
    assert all_of(db, 2) == ["slow", "quick"]


def test_a_transaction_that_began_first_and_told_last_is_not_skipped_either(db: Database, other: Connection) -> None:
    """It has the lower transaction id and the higher event id."""
    other.execute("SELECT pg_current_xact_id()")
    tell(db, "quick")
    assert taken(db) == []
    events.record(other, sold("late"))
    other.commit()
    assert all_of(db, 2) == ["late", "quick"]


def test_two_takers_of_one_name_take_turns(db: Database, other: Connection) -> None:
    tell(db, "R1")
    first = wait_until(lambda: events.take(other, "points", KINDS, 10), what="the event")
    assert [event.subject for event in first] == ["S01/R1"]
    assert taken(db) == [], "somebody is at it, although it is the first time ever"
    assert all_of(db, 1, "webhooks") == ["R1"], "another consumer does not wait"
    other.rollback()
    assert all_of(db, 1) == ["R1"]


def test_many_writers_and_takers_at_once_lose_and_double_nothing(db: Database) -> None:
    writers, each = 3, 40
    with db.transaction() as conn:
        conn.execute("CREATE TABLE acted (subject text, taker integer)")

    def write(writer: int) -> None:
        for number in range(each):
            with db.transaction() as conn:
                events.record(conn, sold(f"{writer}-{number}"))
                if number % 3 == writer:
                    conn.execute("SELECT pg_sleep(0.002)")

    def act(taker: int, done: threading.Event) -> None:
        while not done.is_set():
            with db.transaction() as conn:
                for event in events.take(conn, "points", KINDS, 7):
                    conn.execute("INSERT INTO acted VALUES (%s, %s)", (event.subject, taker))

    def acted() -> Counter[str]:
        with db.read() as conn:
            return Counter(subject for (subject,) in conn.execute("SELECT subject FROM acted"))

    done = threading.Event()
    takers = [threading.Thread(target=act, args=(taker, done)) for taker in range(2)]
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in (*takers, *threads):
        thread.start()
    try:
        for thread in threads:
            thread.join()
        wait_until(lambda: acted().total() >= writers * each, what="all events")
    finally:
        done.set()
        for taker in takers:
            taker.join()
    assert acted() == {f"S01/{writer}-{number}": 1 for writer in range(writers) for number in range(each)}


def test_other_kinds_are_passed(db: Database) -> None:
    with db.transaction() as conn:
        events.record(conn, NewEvent("member.enrolled", None, "M1", {}))
        events.record(conn, sold("R1"))
        events.record(conn, NewEvent("member.enrolled", None, "M2", {}))
    assert all_of(db, 1) == ["R1"]

    def has_passed_all() -> bool:
        taken(db)
        with db.read() as conn:
            return [lag.oldest for lag in events.lags(conn)] == [None]

    wait_until(has_passed_all, what="the last of another kind to be passed")


def test_a_query_tells_without_fetching(db: Database) -> None:
    with db.transaction() as conn:
        told = events.record_selected(
            conn,
            "SELECT 'receipt.recorded', 'S01', 'S01/' || n, jsonb_build_object('n', n)"
            " FROM generate_series(1, %(most)s) AS n ORDER BY n",
            {"most": 3},
        )
    assert told == 3
    assert all_of(db, 3) == ["1", "2", "3"]


def test_events_go_once_all_have_passed_them_and_days_have_gone_by(db: Database) -> None:
    def kept() -> int:
        with db.read() as conn:
            row = conn.execute("SELECT count(*) FROM event").fetchone()
        assert row is not None
        return int(row[0])

    def retention(ahead: float) -> str | None:
        now = datetime.now(UTC) + timedelta(days=ahead)
        return EventRetention(db, 30, lambda: now).run(threading.Event())

    tell(db, "R1", "R2")
    wait_until(lambda: taken(db, "webhooks", limit=1), what="the first event")
    assert all_of(db, 2) == ["R1", "R2"]
    assert retention(29) is None
    assert kept() == 2, "young events stay, whoever has passed them"
    said = retention(31)
    assert said is not None
    assert "1 events deleted" in said
    assert "'webhooks'" in said
    assert kept() == 1, "what one consumer has not seen stays"
    with db.transaction() as conn:
        assert events.forget(conn, "webhooks")
        assert not events.forget(conn, "webhooks")
    assert retention(31) == "1 events deleted"
    assert kept() == 0


def test_a_new_consumer_begins_with_the_oldest_that_is_kept(db: Database) -> None:
    tell(db, "R1")
    assert all_of(db, 1) == ["R1"]
    assert all_of(db, 1, "new") == ["R1"]


def test_a_database_restored_into_another_cluster_goes_on(db: Database) -> None:
    """Its events bear transaction ids far above those the new cluster gives out, and so does the cursor."""
    tell(db, "seen")
    assert all_of(db, 1) == ["seen"]
    tell(db, "unseen")
    with db.transaction() as conn:
        conn.execute("UPDATE event_life SET system = 1")
        conn.execute("UPDATE event SET xid = (xid::text::bigint + 1000000000)::text::xid8")
        conn.execute("UPDATE event_consumer SET xid = (xid::text::bigint + 1000000000)::text::xid8")
    tell(db, "new")
    assert all_of(db, 2) == ["unseen", "new"]
    with db.read() as conn:
        assert conn.execute("SELECT count(*) FROM event_life").fetchone() == (2,)


def test_a_kind_is_two_words(db: Database) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction() as conn:
        events.record(conn, NewEvent("Sold", None, "x", {}))
