"""The audit trail grows and nothing else, links every line in the order of commits, and tells what was done to it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

from server.access import audit
from server.access.models import Scope
from server.access.trail import AuditTrail, Head
from server.errors import Forbidden, InvalidInput
from server.services import Services
from server.storage.pool import Database

SYSTEM = Scope.system("tests")
NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


@pytest.fixture
def trail(db: Database) -> AuditTrail:
    """A trail of six lines, with all that a line can hold."""
    for number in range(1, 7):
        with db.transaction() as conn:
            detail: dict[str, object] = {"号": number, "b": [1.5, None, True], "z": {"é": "\u2028\n\\"}}
            store = None if number % 2 else "S01"
            at = NOW + timedelta(microseconds=number)
            audit.record(conn, at, "陈", "a.b", subject="x", store_id=store, detail=detail)
    return AuditTrail(db)


def tamper(db: Database, *statements: str) -> None:
    """What somebody does who may do everything in the database: past all triggers."""
    with psycopg.connect(db.dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in statements:
            conn.execute(statement.encode())


def found(trail: AuditTrail, noted: Head | None = None) -> list[tuple[str, int | None, int | None]]:
    return [(fault.kind, fault.link_no, fault.audit_id) for fault in trail.verify(SYSTEM, noted).faults]


def test_a_trail_nobody_touched_is_sound(trail: AuditTrail) -> None:
    verdict = trail.verify(SYSTEM)
    assert verdict.is_sound
    assert verdict.lines == 6
    assert verdict.head == trail.head(SYSTEM)
    assert trail.head(SYSTEM).link_no == 6


def test_an_empty_trail_is_sound(db: Database) -> None:
    assert AuditTrail(db).verify(SYSTEM).is_sound


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'somebody else' WHERE audit_id = 3",
        "UPDATE audit SET at = at",
        "DELETE FROM audit WHERE audit_id = 3",
        "TRUNCATE audit",
        "UPDATE audit_link SET audit_id = 99 WHERE link_no = 3",
        "DELETE FROM audit_link WHERE link_no = 6",
        "TRUNCATE audit_link",
        "UPDATE audit_head SET hash = sha256('x')",
        "UPDATE audit_head SET link_no = link_no - 1",
        "UPDATE audit_head SET link_no = link_no + 1, cut_no = 2",
        "UPDATE audit_head SET cut_no = 3",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "INSERT INTO audit_head (one, link_no, hash, cut_hash) SELECT true, 9, hash, cut_hash FROM audit_head",
    ],
)
def test_the_database_refuses_everything_but_a_new_line(db: Database, trail: AuditTrail, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.UniqueViolation)), db.transaction() as conn:
        conn.execute(statement.encode())
    assert trail.verify(SYSTEM).is_sound


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor = 'x'",
        "action = 'a.c'",
        "subject = ''",
        "store_id = NULL",
        "store_id = ''",
        """detail = detail || '{"b": [1.50, null, true]}'""",
    ],
)
def test_a_changed_line_is_found_where_it_stands(db: Database, trail: AuditTrail, change: str) -> None:
    tamper(db, f"UPDATE audit SET {change} WHERE audit_id = 4")
    assert found(trail) == [("changed", 4, 4)]


def test_values_can_not_be_shifted_between_neighbours(db: Database, trail: AuditTrail) -> None:
    tamper(db, "UPDATE audit SET actor = '陈a', action = '.b' WHERE audit_id = 2")
    assert found(trail) == [("changed", 2, 2)]


def test_a_deleted_line_is_missed_with_and_without_its_link(db: Database, trail: AuditTrail) -> None:
    tamper(db, "DELETE FROM audit WHERE audit_id = 3")
    assert found(trail) == [("deleted", 3, 3)]
    tamper(db, "DELETE FROM audit_link WHERE link_no = 3")
    assert found(trail) == [("missing", 3, None)]


def test_lines_taken_off_the_end_are_missed(db: Database, trail: AuditTrail) -> None:
    noted = trail.head(SYSTEM)
    tamper(db, "DELETE FROM audit WHERE audit_id > 4", "DELETE FROM audit_link WHERE link_no > 4")
    assert found(trail) == [("end", 4, None)]
    tamper(db, "UPDATE audit_head SET link_no = 4, hash = (SELECT hash FROM audit_link WHERE link_no = 4)")
    assert found(trail) == []
    assert found(trail, noted) == [("noted", 6, None)]


def test_a_line_inserted_past_the_chain_is_found(db: Database, trail: AuditTrail) -> None:
    tamper(db, "INSERT INTO audit (actor, action) VALUES ('admin', 'never.done')")
    assert found(trail) == [("inserted", None, 7)]


def test_a_line_pushed_into_the_chain_is_found(db: Database, trail: AuditTrail) -> None:
    tamper(
        db,
        "INSERT INTO audit (actor, action) VALUES ('admin', 'never.done')",
        "UPDATE audit_link SET link_no = -link_no WHERE link_no > 2",
        "UPDATE audit_link SET link_no = 1 - link_no WHERE link_no < 0",
        "INSERT INTO audit_link SELECT 3, 7, sha256('x')",
        "UPDATE audit_head SET link_no = 7",
    )
    kinds = found(trail)
    assert ("changed", 3, 7) in kinds
    assert ("changed", 4, 3) in kinds


def test_lines_that_changed_places_are_found(db: Database, trail: AuditTrail) -> None:
    tamper(
        db,
        "UPDATE audit_link SET audit_id = -audit_id WHERE audit_id IN (2, 5)",
        "UPDATE audit_link SET audit_id = 7 + audit_id WHERE audit_id < 0",
    )
    assert found(trail) == [("moved", 2, 5), ("moved", 5, 2)]


def test_a_chain_made_anew_is_sound_in_itself_and_not_the_one_that_was_noted(db: Database, trail: AuditTrail) -> None:
    noted = trail.head(SYSTEM)
    again = """
    DO $$ DECLARE line audit; BEGIN
        UPDATE audit_head SET link_no = 0, hash = cut_hash;
        FOR line IN SELECT * FROM audit ORDER BY audit_id LOOP
            UPDATE audit_head h SET link_no = h.link_no + 1, hash = audit_digest(h.hash, h.link_no + 1, line);
            INSERT INTO audit_link SELECT link_no, line.audit_id, hash FROM audit_head;
        END LOOP;
    END $$
    """
    tamper(db, "UPDATE audit SET actor = 'somebody else' WHERE audit_id = 2", "DELETE FROM audit_link", again)
    assert found(trail) == []
    assert found(trail, noted) == [("noted", 6, 6)]


def test_writers_at_once_neither_fork_the_chain_nor_wait_before_they_commit(db: Database) -> None:
    """A writer that holds its line uncommitted must not hold up the others: the chain is locked by the commit alone."""
    with psycopg.connect(db.dsn) as slow:
        audit.record(slow, NOW, "slow", "a.b")

        def write(number: int) -> None:
            for _ in range(20):
                with db.transaction() as conn:
                    audit.record(conn, NOW, f"writer {number}", "a.b")
                    audit.record(conn, NOW, f"writer {number}", "a.c")

        writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        assert AuditTrail(db).verify(SYSTEM).lines == 240
    verdict = AuditTrail(db).verify(SYSTEM)
    assert verdict.is_sound
    assert verdict.lines == 241
    with db.read() as conn:
        last = conn.execute("SELECT audit_id FROM audit_link ORDER BY link_no DESC LIMIT 1").fetchone()
    assert last == (1,), "linked in the order of commits"


def test_what_is_taken_back_leaves_no_gap(db: Database, trail: AuditTrail) -> None:
    with db.transaction() as conn:
        audit.record(conn, NOW, "x", "a.b")
        conn.execute("SAVEPOINT here")
        audit.record(conn, NOW, "x", "taken.back")
        conn.execute("ROLLBACK TO here")
    with db.transaction() as conn:
        audit.record(conn, NOW, "x", "a.b")
    assert trail.verify(SYSTEM).is_sound
    assert trail.head(SYSTEM).link_no == 8


def test_retention_cuts_the_old_end_and_the_rest_still_proves_itself(db: Database, trail: AuditTrail) -> None:
    noted = trail.head(SYSTEM)
    later = NOW + timedelta(days=400)
    with db.transaction() as conn:
        audit.record(conn, later, "x", "young")
    young = AuditTrail(db, 365, lambda: later)
    assert young.cut() == 6
    assert young.cut() == 0
    verdict = young.verify(SYSTEM)
    assert verdict.is_sound
    assert (verdict.cut_no, verdict.lines) == (6, 2)
    assert [line.action for line in young.newest(SYSTEM)] == ["audit.cut", "young"]
    assert young.verify(SYSTEM, noted).is_sound, "the link it was cut behind is still known"
    tamper(db, "UPDATE audit SET actor = 'y' WHERE action = 'young'")
    assert found(young) == [("changed", 7, 7)]


def test_a_young_line_linked_early_keeps_all_behind_it(db: Database, trail: AuditTrail) -> None:
    with db.transaction() as conn:
        audit.record(conn, NOW + timedelta(days=400), "x", "young")
    with db.transaction() as conn:
        audit.record(conn, NOW, "x", "old")
    assert AuditTrail(db, 365, lambda: NOW + timedelta(days=400)).cut() == 6
    assert {line.action for line in trail.newest(SYSTEM)} == {"young", "old", "audit.cut"}


def test_without_a_limit_nothing_is_cut(trail: AuditTrail) -> None:
    assert trail.cut() == 0


def test_pages_of_the_trail_go_back_in_time(trail: AuditTrail) -> None:
    first = trail.newest(SYSTEM, 4)
    assert [line.audit_id for line in first] == [6, 5, 4, 3]
    assert [line.audit_id for line in trail.newest(SYSTEM, 4, before=3)] == [2, 1]


def test_only_an_administrator_of_the_chain_reads_it(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    trail = AuditTrail(chain.db)
    for name in ("hq", "region", "manager", "desk"):
        for ask in (trail.newest, trail.head, trail.verify):
            with pytest.raises(Forbidden):
                ask(scope_of(name))
    assert trail.verify(scope_of("admin")).is_sound


def test_a_head_is_read_as_it_was_printed() -> None:
    head = Head(7, "ab" * 32)
    assert Head.parse(f" {head}\n") == head
    for text in ("", "7", "7:abc", f"x:{'ab' * 32}", f"-1:{'ab' * 32}", f"7:{'AB' * 32}", f"٧:{'ab' * 32}"):
        with pytest.raises(InvalidInput):
            Head.parse(text)
