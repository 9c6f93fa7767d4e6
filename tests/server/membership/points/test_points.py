"""What desks, tills and HQ ask of points: one answer a key, never more than there is, two people where one is few."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from threading import Event, Thread
from uuid import UUID

import psycopg
import pytest

from server.access.models import Scope
from server.errors import Conflict, DoorlineError, Forbidden, InvalidInput, NotFound
from server.membership.models import MemberRef
from server.membership.points.adjustments import Adjustments
from server.membership.points.expiry import Expiry
from server.membership.points.models import KeyTaken, NotEnough, PointsBalance, Redemption
from server.membership.points.reports import PointsReports
from server.membership.points.rights import PointsRights
from server.membership.points.rules import Rules
from server.storage.pool import Database
from tests.server.conftest import SYSTEM
from tests.server.membership.points.counter import CNY, Till, add_member, assert_proved, card_of, points_of, rule

DESK = Scope("u1", "desk", frozenset({"S01"}), name="desk")
TILL = Scope("key:1", "till", frozenset({"S01"}), name="key:till")
AWAY = Scope("u2", "desk", frozenset({"S02"}), name="away")
ALICE = Scope("u3", "manager", frozenset({"S01"}), name="alice")
BOB = Scope("u4", "hq", None, name="bob")


@pytest.fixture
def member(db: Database, till: Till) -> UUID:
    """A member with 100 points."""
    made = add_member(db)
    till.sell("R1", made, "100")
    return made


def card(db: Database, member: UUID) -> MemberRef:
    return MemberRef(card=card_of(db, member))


def test_one_key_has_one_answer(db: Database, till: Till, member: UUID) -> None:
    points, who = points_of(db, till.clock), card(db, member)
    first = points.redeem(DESK, "S01", who, 30, "a-key-of-mine", "R7")
    till.clock.turn(hours=1)
    points.redeem(DESK, "S01", who, 20, "another-key")
    again = points.redeem(DESK, "S01", who, 30, "a-key-of-mine", "R7")
    assert again == first
    assert (first.entry.points, first.entry.balance) == (-30, 70)
    assert first.worth is not None
    assert (first.worth.currency, first.worth.amount) == ("CNY", Decimal("0.30"))
    for other in (31, 30):
        with pytest.raises(KeyTaken):
            points.redeem(DESK, "S01", who, other, "a-key-of-mine", "R7" if other == 31 else "R8")
    stranger = add_member(db)
    with pytest.raises(KeyTaken):
        points.redeem(DESK, "S01", card(db, stranger), 30, "a-key-of-mine", "R7")
    assert points.balance(DESK, member).balance == 50
    assert_proved(db)


def test_what_is_wrong_is_said_by_field(db: Database, till: Till, member: UUID) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, least=20, step=10))
    points, who = points_of(db, till.clock), card(db, member)
    cases: list[tuple[Scope, str, MemberRef, int, str, type[DoorlineError], str | None]] = [
        (DESK, "S01", who, 200, "a-key-of-mine", NotEnough, "points"),
        (DESK, "S01", who, 10, "a-key-of-mine", InvalidInput, "points"),
        (DESK, "S01", who, 25, "a-key-of-mine", InvalidInput, "points"),
        (DESK, "S01", who, 0, "a-key-of-mine", InvalidInput, "points"),
        (DESK, "S01", who, 20, "short", InvalidInput, "key"),
        (DESK, "S01", who, 20, "with\ncontrol", InvalidInput, "key"),
        (DESK, "S02", who, 20, "a-key-of-mine", Forbidden, "store_id"),
        (BOB, "S99", who, 20, "a-key-of-mine", NotFound, "store_id"),
        (DESK, "S01", MemberRef(card="C0"), 20, "a-key-of-mine", NotFound, "member"),
        (AWAY, "S02", MemberRef(id=str(member)), 20, "a-key-of-mine", NotFound, "member_id"),
        (replace(DESK, role="region"), "S01", who, 20, "a-key-of-mine", Forbidden, None),
    ]
    for scope, store, ref, number, key, error, field in cases:
        with pytest.raises(error) as refused:
            points.redeem(scope, store, ref, number, key)
        assert refused.value.field == field
        assert refused.value.remedy
    assert points.balance(DESK, member).balance == 100


def test_a_member_of_another_store_is_known_by_card_and_seen_by_their_own(
    db: Database, till: Till, member: UUID
) -> None:
    points = points_of(db, till.clock)
    with pytest.raises(NotFound):
        points.balance(AWAY, member)
    with pytest.raises(NotFound):
        points.entries(AWAY, member)
    found = points.balance_at_till(AWAY, "S02", card(db, member))
    assert found == PointsBalance(member, 100, 0, [])
    assert points.redeem(AWAY, "S02", card(db, member), 40, "away-from-home").entry.store_id == "S02"
    assert points.balance_at_till(TILL, "S01", card(db, member)).balance == 60


def test_what_expires_first_is_spent_first(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, expires_months=2))
    member = add_member(db)
    till.sell("R1", member, "10", at=till.clock.now - timedelta(days=30))
    till.sell("R2", member, "20")
    points = points_of(db, till.clock)
    soon, later = points.balance(SYSTEM, member).expiring
    assert (soon.points, later.points) == (10, 20)
    points.redeem(DESK, "S01", card(db, member), 15, "a-key-of-mine")
    assert points.balance(SYSTEM, member).expiring == [replace(later, points=15)]
    till.clock.turn(days=80)
    assert points.balance(SYSTEM, member) == PointsBalance(member, 0, 0, [])
    with pytest.raises(NotEnough):
        points.redeem(DESK, "S01", card(db, member), 1, "another-key")


def test_a_voided_redemption_gives_back_to_the_same_lots(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, expires_months=2, given_back_days=10))
    member = add_member(db)
    till.sell("R1", member, "10", at=till.clock.now - timedelta(days=50))
    till.sell("R2", member, "20")
    points = points_of(db, till.clock)
    before = points.balance(SYSTEM, member)
    one = points.redeem(DESK, "S01", card(db, member), 25, "a-key-of-mine").entry.entry_id
    with pytest.raises(NotFound):
        points.void(AWAY, one, "void-of-away", "not mine")
    gone = points.void(DESK, one, "void-of-mine", "wrong member")
    assert points.void(DESK, one, "void-of-mine", "wrong member") == gone
    with pytest.raises(KeyTaken):
        points.void(DESK, one, "void-of-mine", "another reason")
    with pytest.raises(Conflict, match="was taken back"):
        points.void(DESK, one, "another-void", "again")
    assert (gone.points, gone.refers_to, gone.reason) == (25, one, "wrong member")
    assert points.balance(SYSTEM, member) == before
    # What would have expired since lives on for ten days.
    two = points.redeem(DESK, "S01", card(db, member), 10, "third-of-mine").entry.entry_id
    till.clock.turn(days=20)
    points.void(DESK, two, "void-of-third", "wrong again")
    assert [each.points for each in points.balance(SYSTEM, member).expiring] == [10, 20]
    till.clock.turn(days=10)
    assert points.balance(SYSTEM, member).balance == 20
    assert_proved(db)


def test_two_desks_and_the_last_points(db: Database, till: Till, member: UUID) -> None:
    points, who = points_of(db, till.clock), card(db, member)
    answers: list[Redemption | NotEnough] = []

    def redeem(number: int) -> None:
        try:
            answers.append(points.redeem(DESK, "S01", who, 60, f"desk-number-{number}"))
        except NotEnough as error:
            answers.append(error)

    with psycopg.connect(db.dsn) as held:
        held.execute("SELECT FROM points_account WHERE member_id = %s FOR UPDATE", (member,))
        threads = [Thread(target=redeem, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        held.rollback()
    for thread in threads:
        thread.join(60)
    assert sorted(type(answer).__name__ for answer in answers) == ["NotEnough", "Redemption"]
    assert points.balance(SYSTEM, member).balance == 40
    assert_proved(db)


def test_an_adjustment_over_the_limit_needs_somebody_else(db: Database, till: Till, member: UUID) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, adjust_limit=100))
    adjust = Adjustments(db, till.clock)
    small = adjust.adjust(ALICE, member, 60, "spilled coffee", "alice-first", "S01")
    assert small.entry is not None
    assert (small.entry.points, small.entry.reason, small.entry.balance) == (60, "spilled coffee", 160)
    assert adjust.adjust(ALICE, member, 60, "spilled coffee", "alice-first", "S01") == small
    # Sixty and sixty within a day are more than the limit.
    second = adjust.adjust(ALICE, member, -60, "too much coffee", "alice-second")
    assert second.entry is None
    assert second.request is not None
    request = second.request.request_id
    assert adjust.adjust(ALICE, member, -60, "too much coffee", "alice-second") == second
    with pytest.raises(KeyTaken):
        adjust.adjust(ALICE, member, -61, "too much coffee", "alice-second")
    for scope in (ALICE, replace(BOB, user_id="key:9", name="key:hq")):
        with pytest.raises(Forbidden):
            adjust.decide(scope, request, "approved")
    with pytest.raises(Forbidden):
        adjust.decide(DESK, request, "approved")
    assert adjust.requests(BOB) == [second.request]
    assert adjust.requests(replace(ALICE, stores=frozenset({"S02"}))) == []
    done = adjust.decide(BOB, request, "approved", "seen the cup")
    assert (done.decision, done.decided_by, done.decision_reason) == ("approved", "bob", "seen the cup")
    assert adjust.decide(BOB, request, "approved") == done
    with pytest.raises(Conflict):
        adjust.decide(BOB, request, "declined", "on second thoughts")
    assert adjust.requests(BOB) == []
    assert adjust.requests(BOB, decided=True) == [done]
    assert points_of(db, till.clock).balance(SYSTEM, member).balance == 100
    booked = adjust.adjust(ALICE, member, -60, "too much coffee", "alice-second")
    assert booked.entry is not None
    assert booked.entry.actor == "alice"
    # What two people agreed on doesn't count against the one's limit.
    assert adjust.adjust(ALICE, member, 40, "sorry", "alice-third").entry is not None
    assert_proved(db)


def test_a_declined_request_changes_nothing_and_says_why(db: Database, till: Till, member: UUID) -> None:
    adjust = Adjustments(db, till.clock)
    asked = adjust.adjust(ALICE, member, 5000, "a birthday", "alice-first").request
    assert asked is not None
    with pytest.raises(InvalidInput) as refused:
        adjust.decide(BOB, asked.request_id, "declined")
    assert refused.value.field == "reason"
    assert adjust.decide(BOB, asked.request_id, "declined", "no such gift").entry_id is None
    assert points_of(db, till.clock).balance(SYSTEM, member).balance == 100


def test_the_database_itself_asks_for_the_second_person(db: Database, till: Till, member: UUID) -> None:
    asked = Adjustments(db, till.clock).adjust(ALICE, member, 5000, "a birthday", "alice-first").request
    assert asked is not None
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction() as conn:
        conn.execute(
            "UPDATE points_request SET decision = 'declined', decided_by = requested_by, decided_at = now()"
            " WHERE request_id = %s",
            (asked.request_id,),
        )


def test_no_more_can_be_adjusted_away_than_there_is(db: Database, till: Till, member: UUID) -> None:
    adjust = Adjustments(db, till.clock)
    with pytest.raises(NotEnough):
        adjust.adjust(ALICE, member, -101, "a mistake", "alice-first")
    for wrong in (0, 10**10):
        with pytest.raises(InvalidInput):
            adjust.adjust(ALICE, member, wrong, "a mistake", "alice-first")
    with pytest.raises(InvalidInput):
        adjust.adjust(ALICE, member, 5, "  ", "alice-first")
    with pytest.raises(NotFound):
        adjust.adjust(replace(ALICE, stores=frozenset({"S02"})), member, 5, "a mistake", "alice-first")
    assert_proved(db)


def test_rules_are_versions_that_are_never_changed(db: Database, till: Till) -> None:
    points = points_of(db, till.clock)
    with pytest.raises(Forbidden):
        points.save_rules(ALICE, CNY, "mine")
    with pytest.raises(InvalidInput, match="in the past"):
        points.save_rules(BOB, CNY, "late", till.clock.now - timedelta(days=1))
    with pytest.raises(InvalidInput):
        points.save_rules(BOB, CNY, " ")
    later = till.clock.now + timedelta(days=5)
    double = Rules(rates={"CNY": Decimal(2)})
    saved = points.save_rules(BOB, double, "the anniversary", later)
    assert (saved.version, saved.made_by, saved.reason) == (2, "bob", "the anniversary")
    assert points.rules(DESK)[1] == CNY
    till.clock.turn(days=6)
    assert points.rules(DESK) == (saved, double)
    assert [version.version for version, _ in points.rules_history(BOB)] == [2, 1]


def test_liability_is_in_money_by_age_and_month_now_and_as_of_then(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, value=CNY.value, expires_months=24, return_days=7))
    one, two, owing = (add_member(db) for _ in range(3))
    till.sell("old", one, "300", at=till.clock.now - timedelta(days=400))
    till.sell("new", two, "50")
    till.sell("back", owing, "80", at=till.clock.now - timedelta(days=10))
    points, reports = points_of(db, till.clock), PointsReports(db, till.clock)
    points.redeem(SYSTEM, "S01", card(db, owing), 80, "a-key-of-mine")
    till.refund("F", "back", "80")
    found = reports.liability(BOB, "CNY")
    assert (found.points, found.pending, found.owed, found.worth) == (350, 50, 80, Decimal("3.50"))
    assert [(row.age, row.expires, row.is_pending, row.members, row.points, row.worth) for row in found.rows] == [
        (0, date(2028, 11, 1), True, 1, 50, Decimal("0.50")),
        (1, date(2027, 10, 1), False, 1, 300, Decimal("3.00")),
    ]
    month_end = till.clock.now
    till.clock.turn(days=30)
    points.redeem(SYSTEM, "S01", card(db, one), 300, "another-key")
    then = reports.liability(BOB, "CNY", month_end)
    assert (then.points, then.owed, then.rows) == (found.points, found.owed, found.rows)
    assert reports.liability(BOB, "CNY").points == 50
    for scope, currency, at, error in (
        (ALICE, "CNY", None, Forbidden),
        (BOB, "EUR", None, InvalidInput),
        (BOB, "CNY", till.clock.now + timedelta(days=1), InvalidInput),
    ):
        with pytest.raises(error):
            reports.liability(scope, currency, at)


_STRAY_ENTRY = """
    INSERT INTO points_entry (entry_id, member_id, kind, points, pending, balance, at, key, content, actor)
    SELECT 9999, member_id, 'earn', 5, 0, 0, now(), 'k', '', 'x' FROM points_account
"""


def test_check_finds_every_kind_of_difference(db: Database, till: Till, member: UUID) -> None:
    reports = PointsReports(db, till.clock)
    assert reports.check(BOB) == []
    for statement, what in (
        ("UPDATE points_account SET balance = balance + 1", {"balance and ledger", "balance and lots"}),
        ("UPDATE points_account SET pending = 5", {"pending and ledger", "pending and lots"}),
        ("UPDATE points_lot SET remaining = 50", {"balance and lots", "lot and movements"}),
        ("UPDATE points_receipt SET standing = 7", {"receipt and ledger"}),
        (_STRAY_ENTRY, {"balance and ledger", "entry and movements", "running balance"}),
    ):
        with psycopg.connect(db.dsn) as conn:
            conn.execute(statement.encode())
            conn.commit()
            assert {each.what for each in reports.check(BOB)} == what
            # Back to where it was, for the next one; of the ledger nothing can be taken back, so that one is the last.
            conn.execute("UPDATE points_account SET balance = 100, pending = 0")
            conn.execute("UPDATE points_lot SET remaining = points")
            conn.execute("UPDATE points_receipt SET standing = 100")


def test_the_nightly_run_does_for_all_what_settling_does_for_one(db: Database, till: Till) -> None:
    rule(db, till.clock, Rules(rates=CNY.rates, return_days=7, expires_months=1))
    members = [add_member(db) for _ in range(5)]
    for number, member in enumerate(members):
        for sale in range(3):
            till.tell(f"R{number}-{sale}", member, "10", at=till.clock.now - timedelta(days=12 * sale))
    till.post()
    points = points_of(db, till.clock)
    points.redeem(SYSTEM, "S01", card(db, members[0]), 15, "a-key-of-mine")
    # The last one owes what comes to be released below.
    points.redeem(SYSTEM, "S01", card(db, members[4]), 20, "another-key")
    till.refund("F", "R4-1", "10")
    for _ in range(4):
        till.clock.turn(days=9)
        told = [points.balance(SYSTEM, member) for member in members]
        Expiry(db, till.clock, batch=2).run(Event())
        assert [points.balance(SYSTEM, member) for member in members] == told
        assert_proved(db)
        with db.read() as conn:
            kept = conn.execute("SELECT balance, pending FROM points_account ORDER BY member_id").fetchall()
        assert kept == [(each.balance, each.pending) for each in sorted(told, key=lambda each: each.member_id)]
        assert Expiry(db, till.clock).run(Event()) is None
    assert kept == [(0, 0)] * 5


def test_export_tells_all_and_erasure_leaves_the_books_and_no_words(db: Database, till: Till, member: UUID) -> None:
    adjust, rights = Adjustments(db, till.clock), PointsRights()
    adjust.adjust(ALICE, member, 5, "her dog is ill", "alice-first")
    adjust.adjust(ALICE, member, 5000, "a birthday", "alice-second")
    with db.transaction() as conn:
        entries, lots, requests = rights.export(conn, SYSTEM, [member])
        assert [(row["kind"], row["points"], row["reason"]) for row in entries.rows] == [
            ("earn", 100, None),
            ("adjust", 5, "her dog is ill"),
        ]
        assert sum(int(str(row["remaining"])) for row in lots.rows) == 105
        assert [row["reason"] for row in requests.rows] == ["a birthday"]
        assert all(set(row) == set(section.columns) for section in (entries, lots, requests) for row in section.rows)
        before = rights.balances(conn, SYSTEM, [member])
        assert before == {"points": "105", "pending": "0", "entries": "2"}
        assert any(rights.left(conn, SYSTEM, [member]).values())
        erased = rights.erase(conn, SYSTEM, [member], till.clock.now)
        assert erased.removed == {"reasons": 1, "requests": 1, "receipts": 1}
        assert not any(rights.left(conn, SYSTEM, [member]).values())
        assert rights.balances(conn, SYSTEM, [member]) == before
        assert rights.holds(conn, SYSTEM, [member]) == []
    till.happened("member.erased", member=member)
    till.post()
    assert_proved(db)
