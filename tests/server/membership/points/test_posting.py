"""Receipts become points: each once, in any order, and merges, partings and erasures move them without a trace lost."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from server.membership.models import MemberRef
from server.membership.points.earning import Standing
from server.membership.points.models import Entry
from server.membership.points.posting import post
from server.membership.points.rules import Rules
from server.storage.pool import Connection, Database
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.points.counter import (
    CNY,
    Till,
    add_member,
    add_stores,
    assert_proved,
    card_of,
    points_of,
    rule,
)


def balance(till: Till, db: Database, member: UUID) -> tuple[int, int]:
    found = points_of(db, till.clock).balance(SYSTEM, member)
    return found.balance, found.pending


def kinds(till: Till, db: Database, member: UUID) -> list[tuple[str, int]]:
    entries: list[Entry] = points_of(db, till.clock).entries(SYSTEM, member)
    return [(entry.kind, entry.points + entry.pending) for entry in reversed(entries)]


def test_a_receipt_earns_once_however_often_it_is_told(db: Database, till: Till) -> None:
    member = add_member(db)
    for _ in range(2):
        till.sell("R1", member, "120.50")
        till.sell("R1", member, "120.50", event="receipt.member_attached")
    assert kinds(till, db, member) == [("earn", 120)]
    assert balance(till, db, member) == (120, 0)
    assert_proved(db)


def test_partial_refunds_never_take_more_than_was_earned(db: Database, till: Till) -> None:
    member = add_member(db)
    till.sell("R1", member, "100.00")
    for number in range(3):
        till.refund(f"F{number}", "R1", "33.33")
    assert kinds(till, db, member) == [("earn", 100), ("reverse", -34), ("reverse", -33), ("reverse", -33)]
    till.refund("F9", "R1", "0.01")
    till.refund("F10", "R1", "50")
    assert balance(till, db, member) == (0, 0)
    assert_proved(db)


def test_any_order_of_sale_refunds_and_voids_ends_alike(db: Database, till: Till) -> None:
    for number, order in enumerate(permutations(range(4))):
        member = add_member(db)
        sale, first, second, undo = (f"{name}{number}" for name in ("R", "F", "G", "V"))
        told = [
            (sale, member, "100", "sale", None),
            (first, None, "30", "refund", sale),
            (second, member, "20", "refund", sale),
            (undo, None, "0", "void", first),
        ]
        for place in order:
            receipt, whose, gross, kind, refers_to = told[place]
            till.tell(receipt, whose, gross, kind=kind, refers_to=refers_to)
            if number % 2:
                till.post()
        till.post()
        assert balance(till, db, member) == (80, 0), order
        till.void(f"W{number}", sale)
        assert balance(till, db, member) == (0, 0), order
    assert_proved(db)


def test_a_receipt_may_become_a_members_days_later(db: Database, till: Till) -> None:
    member = add_member(db)
    sold_at = till.clock.now
    till.tell("R1", None, "100", items=[("a", "", "100")])
    till.refund("F1", "R1", "40")
    till.clock.turn(days=3)
    till.sell("R1", member, "100", items=[("a", "", "100")], at=sold_at, event="receipt.member_attached")
    assert kinds(till, db, member) == [("earn", 100), ("reverse", -40)]
    assert_proved(db)


def test_points_are_pending_until_the_return_window_closes(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, return_days=7))
    member = add_member(db)
    till.sell("R1", member, "100")
    till.refund("F1", "R1", "25")
    assert balance(till, db, member) == (0, 75)
    till.clock.turn(days=7)
    assert balance(till, db, member) == (75, 0), "seen at once, whether the job has run or not"
    till.refund("F2", "R1", "75")
    assert balance(till, db, member) == (0, 0)
    assert_proved(db)


def test_a_refund_of_what_was_spent_is_owed_and_the_next_sale_pays_it(db: Database, till: Till) -> None:
    member = add_member(db)
    points = points_of(db, till.clock)
    till.sell("R1", member, "100")
    points.redeem(SYSTEM, "S01", ref(db, member), 80, "key-of-first")
    till.refund("F1", "R1", "100")
    assert balance(till, db, member) == (-80, 0)
    till.sell("R2", member, "50")
    assert balance(till, db, member) == (-30, 0)
    till.sell("R3", member, "100")
    assert balance(till, db, member) == (70, 0)
    assert_proved(db)


def test_what_expired_is_not_taken_a_second_time(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, expires_months=1))
    member = add_member(db)
    points = points_of(db, till.clock)
    till.sell("R1", member, "100")
    points.redeem(SYSTEM, "S01", ref(db, member), 40, "key-of-first")
    till.clock.turn(days=40)
    assert balance(till, db, member) == (0, 0)
    till.refund("F1", "R1", "50")
    assert balance(till, db, member) == (0, 0), "of 100, 60 expired: half the sale still covers the 40 spent"
    till.refund("F2", "R1", "50")
    assert balance(till, db, member) == (-40, 0)
    assert_proved(db)


def test_a_refund_that_names_no_sale_takes_what_it_would_earn_today(db: Database, till: Till) -> None:
    member = add_member(db)
    till.tell("F1", member, "30", kind="refund")
    till.post()
    assert balance(till, db, member) == (-30, 0)
    till.void("V1", "F1")
    assert balance(till, db, member) == (0, 0)
    assert_proved(db)


def test_the_tier_at_the_time_of_the_sale_multiplies_and_stays(db: Database, till: Till) -> None:
    member = add_member(db)
    till.standings = lambda _conn, wanted: [Standing("gold", Decimal("1.5"))] * len(wanted)
    till.sell("R1", member, "100")
    till.standings = lambda _conn, wanted: [Standing("member", Decimal(1))] * len(wanted)
    till.refund("F1", "R1", "50")
    assert balance(till, db, member) == (75, 0)


def test_a_late_receipt_earns_by_the_rules_of_its_day(db: Database, clock: TurnedClock) -> None:
    add_stores(db)
    points, till = points_of(db, clock), Till(db, clock)
    points.save_rules(SYSTEM, CNY, "first rules")
    before = clock.now
    clock.turn(days=10)
    points.save_rules(SYSTEM, Rules(rates={"CNY": Decimal(2)}), "twice as many")
    clock.turn(days=1)
    member = add_member(db)
    till.sell("late", member, "100", at=before + timedelta(days=1))
    till.sell("new", member, "100")
    assert balance(till, db, member) == (300, 0)


def test_a_merge_moves_points_and_parting_gives_back_what_is_left(db: Database, till: Till) -> None:
    kept, gone = add_member(db), add_member(db)
    till.sell("R1", kept, "100")
    till.sell("R2", gone, "60")
    till.merge(kept, gone)
    till.post()
    assert balance(till, db, kept) == (160, 0)
    assert balance(till, db, gone) == (160, 0), "an id that was merged away stands for the one that was kept"
    till.sell("R3", gone, "7")
    points_of(db, till.clock).redeem(SYSTEM, "S01", ref(db, kept), 110, "key-of-first")
    till.part(kept, gone)
    till.post()
    # The oldest points, R1's 100, were spent first, and ten of R2's.
    assert balance(till, db, kept) == (0, 0)
    assert balance(till, db, gone) == (57, 0)
    till.refund("F2", "R2", "60")
    till.refund("F1", "R1", "100")
    assert balance(till, db, gone) == (-3, 0)
    assert balance(till, db, kept) == (-100, 0)
    assert_proved(db)


def test_what_is_owed_moves_with_a_merge_and_back(db: Database, till: Till) -> None:
    kept, gone = add_member(db), add_member(db)
    till.sell("R1", gone, "50")
    points_of(db, till.clock).redeem(SYSTEM, "S01", ref(db, gone), 50, "key-of-first")
    till.refund("F1", "R1", "50")
    till.merge(kept, gone)
    till.post()
    assert balance(till, db, kept) == (-50, 0)
    till.part(kept, gone)
    till.post()
    assert (balance(till, db, kept), balance(till, db, gone)) == ((0, 0), (-50, 0))
    assert_proved(db)


def test_chained_merges_and_a_merge_the_other_way_round_lose_nothing(db: Database, till: Till) -> None:
    one, two, three = (add_member(db) for _ in range(3))
    for number, member in enumerate((one, two, three)):
        till.sell(f"R{number}", member, "10")
    till.merge(two, one)
    till.merge(three, two)
    till.post()
    assert balance(till, db, one) == (30, 0)
    till.part(three, two)
    till.part(two, one)
    till.merge(one, two)
    till.post()
    assert (balance(till, db, two), balance(till, db, three)) == ((20, 0), (10, 0))
    assert_proved(db)


def test_an_erased_members_points_are_given_up(db: Database, till: Till) -> None:
    member = add_member(db)
    till.sell("R1", member, "100")
    with db.transaction() as conn:
        conn.execute("UPDATE member SET erased_at = now() WHERE member_id = %s", (member,))
    till.happened("member.erased", member=member)
    till.post()
    till.refund("F1", "R1", "100")
    with db.read() as conn:
        assert conn.execute("SELECT balance, owed FROM points_account").fetchall() == [(0, 0)]
        assert conn.execute("SELECT kind, points FROM points_entry ORDER BY entry_id").fetchall() == [
            ("earn", 100),
            ("forfeit", -100),
        ]
    assert_proved(db)


def test_what_fails_on_the_way_is_taken_again(db: Database, till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    member = add_member(db)
    till.tell("R1", member, "100")

    def broken(*_: object) -> list[Standing]:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        post(db, broken, till.clock)
    assert balance(till, db, member) == (0, 0)
    till.post()
    assert balance(till, db, member) == (100, 0)


def test_the_ledger_can_not_be_changed(db: Database, till: Till) -> None:
    till.sell("R1", add_member(db), "100")
    for table, column in (("points_entry", "points"), ("points_movement", "points"), ("points_rules", "reason")):
        for statement in (
            "UPDATE {0} SET {1} = {1}",
            "UPDATE {0} SET {1} = {1} WHERE false",
            "DELETE FROM {0}",
            "TRUNCATE {0}",
        ):
            for role in ("origin", "replica"):
                with (
                    pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="only ever added to"),
                    db.transaction() as conn,
                ):
                    _change(conn, role, statement.format(table, column))
        with db.read() as conn:
            count = sql.SQL("SELECT count(*) > 0 FROM {}").format(sql.Identifier(table))
            assert conn.execute(count).fetchone() == (True,)


def _change(conn: Connection, role: str, statement: str) -> None:
    conn.execute("SELECT set_config('session_replication_role', %s, true)", (role,))
    conn.execute(statement.encode())


def ref(db: Database, member: UUID) -> MemberRef:
    return MemberRef(card=card_of(db, member))
