"""Dead letters: what is put aside is kept, booked once when it can be, or dropped for a reason."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from server.ingest.letters import DeadLetters
from server.ingest.models import Incoming, Retried
from server.ingest.service import IngestService
from server.storage.pool import Connection, Database
from tests.fixtures.wait import wait_until
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
from wire.messages import Ack, CoverageSum, CrossingSum, Record, Tally, decode

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = Scope.system("tests")
LATER = NOW + timedelta(hours=3)
RETRY = """
import sys
from datetime import datetime
from server.access.models import Scope
from server.ingest.letters import DeadLetters
from server.storage.pool import Database
with Database(sys.argv[1], 1) as db:
    print([each.outcome for each in DeadLetters(db).retry(Scope.system("tests"), [int(sys.argv[2])])])
"""


@pytest.fixture
def service(db: Database) -> IngestService:
    add_stores(db)
    return IngestService(db, lambda: NOW)


@pytest.fixture
def letters(db: Database) -> DeadLetters:
    return DeadLetters(db, lambda: LATER)


def put_aside(db: Database, service: IngestService, *records: Record) -> list[int]:
    """Send records and give the ids of the letters they became."""
    tell(service, Sender().batch(records))
    return [number for (number,) in rows(db, "SELECT dead_letter_id FROM dead_letter ORDER BY 1")]


def register(db: Database, line: str, store: str = "S01") -> None:
    with db.transaction() as connection:
        connection.execute(
            "INSERT INTO line (line_id, camera_id, store_id, name) VALUES (%s, %s, %s, '')",
            (line, f"{store}-C1", store),
        )


def retry(letters: DeadLetters, *ids: int) -> list[Retried]:
    return list(letters.retry(SYSTEM, ids))


def sums(line: str, count: int, **more: Any) -> CrossingSum:
    return CrossingSum(line=line, camera="S01-C1", direction="in", start=NOW, span=60, count=count, groups=1, **more)


class TestTallies:
    """A box folds all its lines into one tally; one bad sum must not cost the others."""

    def test_the_sums_that_can_be_booked_are(self, db: Database, service: IngestService) -> None:
        door = Sender()
        seen = CoverageSum(camera="S01-C1", start=NOW, span=60, seconds=60, frames=9)
        odd = CoverageSum(camera="S01-C9", start=NOW, span=60, seconds=60, frames=9)
        tally = Tally(from_seq=1, seq=9, crossings=(sums("S01-L1", 3), sums("TYPO", 4)), coverage=(odd, seen))
        assert tell(service, door.batch([tally, crossing(10)])) == [Ack(epoch=door.epoch, seq=10)]
        assert rows(db, "SELECT line_id, count FROM traffic_15m") == [("S01-L1", 4)]
        assert rows(db, "SELECT camera_id, seconds FROM coverage_15m") == [("S01-C1", 60)]
        [(seq, code, reason, kept)] = rows(db, "SELECT seq, code, reason, payload FROM dead_letter")
        assert (seq, code) == (9, "unknown_line")
        assert "TYPO" in reason
        assert "1 more" in reason
        assert decode(kept.encode(), Tally) == Tally(from_seq=1, seq=9, crossings=(sums("TYPO", 4),), coverage=(odd,))
        assert_roll_ups_equal_raw(db)

    def test_one_of_which_nothing_can_be_booked_is_a_letter_only(self, db: Database, service: IngestService) -> None:
        tell(service, Sender().batch([Tally(from_seq=1, seq=9, crossings=(sums("TYPO", 4),))]))
        assert rows(db, "SELECT * FROM tally") == []
        assert scalar(db, "SELECT count(*) FROM dead_letter") == 1

    def test_the_rest_is_booked_later_bit_by_bit_into_one_row(
        self, db: Database, service: IngestService, letters: DeadLetters
    ) -> None:
        tally = Tally(from_seq=1, seq=9, crossings=(sums("S01-L1", 3), sums("A", 4), sums("B", 5)))
        [first] = put_aside(db, service, tally)
        register(db, "A")
        assert [each.outcome for each in retry(letters, first)] == ["in_part"]
        register(db, "B")
        [rest] = [letter.dead_letter_id for letter in letters.list(SYSTEM)]
        assert retry(letters, rest, first) == [
            Retried(rest, "booked"),
            Retried(first, "settled", "was booked by tests at 2026-11-21 13:00 UTC"),
        ]
        assert letters.list(SYSTEM) == []
        assert rows(db, "SELECT line_id, count FROM traffic_15m ORDER BY 1") == [("A", 4), ("B", 5), ("S01-L1", 3)]
        assert scalar(db, "SELECT count(*) FROM tally") == 1
        assert_roll_ups_equal_raw(db)


@pytest.mark.parametrize(
    "make", [lambda: crossing(1, line="NEW", tags=("child",)), lambda: crossing(1, at=NOW + timedelta(hours=1))]
)
def test_a_letter_is_booked_once_it_can_be(
    db: Database, service: IngestService, letters: DeadLetters, make: Callable[[], Record]
) -> None:
    [number] = put_aside(db, service, make())
    [kept] = letters.list(SYSTEM)
    assert (kept.dead_letter_id, kept.is_open, kept.tries) == (number, True, 0)
    assert kept.starts_at == kept.ends_at == getattr(make(), "at", None)
    register(db, "NEW")
    with db.transaction() as connection:
        connection.execute("DELETE FROM dirty_mark")
    assert retry(letters, number, number) == [
        Retried(number, "booked"),
        Retried(number, "settled", "was booked by tests at 2026-11-21 13:00 UTC"),
    ]
    assert rows(db, "SELECT seq, device_id, received_at FROM crossing") == [(1, "door-1", LATER)]
    hour = make().at.replace(minute=0)  # type: ignore[union-attr]
    assert rows(db, "SELECT store_id, hour, reason FROM dirty_mark") == [("S01", hour, "dead_letter")]
    assert rows(db, "SELECT actor, action, subject, store_id, detail->>'code' FROM audit") == [
        ("tests", "dead_letter.retry", str(number), "S01", kept.code)
    ]
    assert scalar(db, "SELECT seq FROM ingest_cursor") == 1
    assert_roll_ups_equal_raw(db)


def test_a_minute_put_aside_is_booked_too(db: Database, service: IngestService, letters: DeadLetters) -> None:
    [number] = put_aside(db, service, coverage(1, minute=NOW + timedelta(hours=1), seconds=30))
    assert [each.outcome for each in retry(letters, number)] == ["booked"]
    assert scalar(db, "SELECT seconds FROM coverage_15m") == 30
    assert_roll_ups_equal_raw(db)


def test_what_is_still_wrong_stays_open_and_says_why(
    db: Database, service: IngestService, letters: DeadLetters
) -> None:
    payload = json.loads(Sender().batch([crossing(1), crossing(2), crossing(3, line="TYPO")]).payload)
    payload["records"][1]["direction"] = "up"
    tell(service, Incoming("door-1", json.dumps(payload).encode(), NOW))
    unreadable, unknown = (letter.dead_letter_id for letter in letters.list(SYSTEM))
    told = retry(letters, unreadable, unknown)
    assert [(each.outcome, word in each.reason) for each, word in zip(told, ("direction", "TYPO"), strict=True)] == [
        ("still_bad", True)
    ] * 2
    assert [letter.tries for letter in letters.list(SYSTEM)] == [1, 1]
    assert scalar(db, "SELECT count(*) FROM crossing") == 1


def test_what_was_booked_in_part_can_not_be_booked_again(
    db: Database, service: IngestService, letters: DeadLetters
) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1), crossing(2)]))
    tell(service, door.batch([Tally(from_seq=2, seq=4, crossings=(sums("S01-L1", 3),))]))
    [letter] = letters.list(SYSTEM)
    [told] = retry(letters, letter.dead_letter_id)
    assert told.outcome == "still_bad"
    assert rows(db, "SELECT sum(count)::int FROM traffic_15m") == [(2,)]


def test_many_people_retrying_at_once_book_it_once(db: Database, service: IngestService, letters: DeadLetters) -> None:
    ids = put_aside(db, service, *[crossing(seq, line="NEW") for seq in range(1, 9)])
    register(db, "NEW")
    together = threading.Barrier(4)
    told: list[Retried] = []

    def work(number: int) -> None:
        together.wait(10)
        told.extend(retry(letters, *(ids if number % 2 else ids[::-1])))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(each.dead_letter_id for each in told if each.outcome == "booked") == ids
    assert len(told) == 4 * len(ids)
    assert rows(db, "SELECT seq FROM crossing ORDER BY 1") == [(seq,) for seq in range(1, 9)]
    assert rows(db, "SELECT sum(count)::int FROM traffic_15m") == [(8,)]
    assert_roll_ups_equal_raw(db)


def test_a_retry_lost_before_its_commit_did_nothing(db: Database, service: IngestService, letters: DeadLetters) -> None:
    class LosesCommits(Database):
        @contextmanager
        def transaction(self) -> Any:
            with super().transaction() as connection:
                yield connection
                raise Unavailable("lost before the commit")

    [number] = put_aside(db, service, crossing(1, line="NEW"))
    register(db, "NEW")
    with LosesCommits(db.dsn, 1) as losing, pytest.raises(Unavailable):
        retry(DeadLetters(losing), number)
    assert scalar(db, "SELECT count(*) FROM crossing") == 0
    assert [each.outcome for each in retry(letters, number)] == ["booked"]
    assert_roll_ups_equal_raw(db)


def test_a_process_killed_in_the_middle_of_a_retry_did_nothing(
    db: Database, service: IngestService, letters: DeadLetters, tmp_path: Path
) -> None:
    """It is stopped at the very last lock, the roll-up's row, with the crossing already written."""
    [number] = put_aside(db, service, crossing(1), crossing(2, line="NEW"))
    register(db, "NEW")
    with psycopg.connect(db.dsn) as holding:
        holding.execute("LOCK TABLE traffic_15m IN EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-c", RETRY, db.dsn, str(number)], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'traffic_15m'::regclass"
        wait_until(lambda: _count(holding, waiting), 30, "the retry to wait for the roll-up")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert [each.outcome for each in retry(letters, number)] == ["booked"]
    assert rows(db, "SELECT seq FROM crossing ORDER BY 1") == [(1,), (2,)]
    assert_roll_ups_equal_raw(db)


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def test_dropping_needs_a_reason_and_leaves_a_trace(db: Database, service: IngestService, letters: DeadLetters) -> None:
    one, other = put_aside(db, service, crossing(1, line="TEST"), crossing(2, line="TEST"))
    with pytest.raises(InvalidInput):
        letters.drop(SYSTEM, [one], "  ")
    with pytest.raises(NotFound):
        letters.drop(SYSTEM, [one, 10**9], "no such letter")
    assert [letter.is_open for letter in letters.list(SYSTEM)] == [True, True]
    letters.drop(SYSTEM, [one], "the installer's test line")
    [kept] = [letter for letter in letters.list(SYSTEM, settled=True) if not letter.is_open]
    assert (kept.drop_reason, kept.settled_by, kept.dropped_at) == ("the installer's test line", "tests", LATER)
    assert json.loads(kept.payload)["line"] == "TEST"
    assert rows(db, "SELECT action, subject, detail->>'reason' FROM audit") == [
        ("dead_letter.drop", str(one), "the installer's test line")
    ]
    with pytest.raises(Conflict):
        letters.drop(SYSTEM, [other, one], "again")
    register(db, "TEST")
    assert [each.outcome for each in retry(letters, one, other)] == ["settled", "booked"]
    assert scalar(db, "SELECT count(*) FROM crossing") == 1


def test_letters_are_seen_by_store_and_settled_by_admins(
    db: Database, service: IngestService, letters: DeadLetters
) -> None:
    tell(service, Sender("door-3").batch([crossing(1, line="X", camera="S02-C1")]))
    [number] = put_aside(db, service, crossing(1))
    manager = Scope("u", "manager", frozenset({"S01"}))
    assert letters.list(manager) == []
    assert [letter.store_id for letter in letters.list(SYSTEM, store_id="S02", code="unknown_line")] == ["S02"]
    for refused in (
        lambda: letters.list(manager, store_id="S02"),
        lambda: list(letters.retry(manager, [number])),
        lambda: letters.drop(manager, [number], "why not"),
    ):
        with pytest.raises(Forbidden):
            refused()
    elsewhere = Scope("k", "admin", frozenset({"S01"}))
    with pytest.raises(NotFound):
        list(letters.retry(elsewhere, [number]))


def run(db: Database, *words: str) -> Result:
    env = {"DOORLINE_DSN": db.dsn, "COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(app, ["ingest", "dead", *words], env=env)


def test_the_commands(db: Database, service: IngestService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(db, "list").stdout == "No dead letters.\n"
    one, other = put_aside(db, service, crossing(1, line="NEW"), crossing(2, line="TEST"))
    listed = run(db, "list", "--payload").stdout
    assert "line NEW is not registered" in listed
    assert f'{other} {{"type":"crossing"' in listed
    assert run(db, "retry").exit_code == 2
    register(db, "NEW")
    tried = run(db, "retry", "--all")
    assert (tried.exit_code, tried.stdout.splitlines()) == (
        1,
        [f"{one} booked", f"{other} not booked: line TEST is not registered"],
    )
    assert run(db, "drop", str(other)).exit_code == 2
    assert run(db, "drop", str(other), "--reason", "a test").stdout == "Dropped 1.\n"
    assert run(db, "drop", str(other), "--reason", "a test").exit_code == 2
    settled = run(db, "list", "--settled").stdout
    assert "booked 20" in settled
    assert "a test" in settled
