"""What a person may ask for: everything, readable; to be gone, with proof; to be kept no longer than needed.

And the key under which all of it stands, changed while the shops are open.
"""

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, NotFound
from server.events import outbox
from server.membership.changing import Change
from server.membership.crypto import MemberKeys, WrongKey
from server.membership.desk import MemberDesk, member_desk
from server.membership.erasing import ErasureFailed
from server.membership.models import Member, MemberExists
from server.membership.readable import pdf_of
from server.membership.rights import Erased, Kept, Section
from server.membership.sending import CodeMessage
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from server.storage.pool import Connection
from tests.server.conftest import SECRET, SYSTEM, TurnedClock
from tests.server.membership.test_beside import PDF
from tests.server.membership.test_members import person

KEYS = MemberKeys.from_base64(SECRET)
NEXT = base64.b64encode(b"the key that comes after the old").decode()


class Nobody:
    def send(self, message: CodeMessage) -> None:
        raise AssertionError("no code is sent here")


class Stamps:
    """A package that keeps stamps of members, as one would be written above membership."""

    name = "stamps"

    def __init__(self) -> None:
        self.hold: list[str] = []
        self.remains = 0
        self.sum = "5"
        self.erased: list[UUID] = []

    def export(self, _conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        rows = [{"stamp": str(member)} for member in members]
        return [Section("stamps", {"zh": "印花", "en": "Stamps"}, {"stamp": {"zh": "印花", "en": "stamp"}}, rows)]

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        return self.hold

    def balances(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Mapping[str, str]:
        return {"stamps": self.sum}

    def erase(self, _conn: Connection, _scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        self.erased += members
        return Erased({"stamps": 2}, {"ledger": Kept(3, "books")})

    def left(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Mapping[str, int]:
        return {"stamps": self.remains}


@pytest.fixture
def stamps() -> Stamps:
    return Stamps()


@pytest.fixture
def desk(chain: Services, clock: TurnedClock, stamps: Stamps) -> MemberDesk:
    return member_desk(chain.db, KEYS, Nobody(), [stamps], clock)


@pytest.fixture
def known(chain: Services, desk: MemberDesk) -> Member:
    """Somebody with everything that can be kept of a member."""
    made = desk.membership.enrol(SYSTEM, person("张伟ß𠮷", birthday=date(1990, 5, 17), advisor="小王", tags=["常客"]))
    twin = desk.membership.enrol(SYSTEM, person("张玮", "13900139001"))
    desk.merging.merge(SYSTEM, made.member_id, twin.member_id, "同一人")
    desk.changes.change(SYSTEM, made.member_id, Change(phone="13700137000"))
    desk.notes.write(SYSTEM, made.member_id, "靠窗\n第二行", "hq")
    desk.notes.attach(SYSTEM, made.member_id, "账单.pdf", PDF)
    desk.links.open(SYSTEM, made.member_id)
    receipt = NewReceipt(
        store_id="S01",
        receipt_no="R-1",
        at=datetime(2026, 11, 10, 2, tzinfo=UTC),
        gross=Decimal("88.00"),
        member=MemberOf(id=str(twin.member_id)),
    )
    assert chain.sales.post_receipts(SYSTEM, [receipt]).accepted == 1
    return made


def test_an_export_has_everything_and_is_on_record(
    chain: Services, desk: MemberDesk, known: Member, scope_of: Callable[[str], Scope]
) -> None:
    made = desk.exports.export(scope_of("manager"), known.member_id)
    told = json.loads(made.as_json())["sections"]
    facts = [(row["what"], row["value"]) for row in told["profile"]]
    assert facts[:4] == [
        ("name", "张伟ß𠮷"),
        ("phone", "+8613700137000"),
        ("birthday", "1990-05-17"),
        ("card", known.card_no),
    ]
    assert ("phone", "+8613900139001") in facts
    text = made.as_json().decode()
    for each in (
        "张伟ß𠮷",
        "张玮",
        "+8613700137000",
        "+8613900139001",
        "+8613800138000",
        "靠窗",
        "账单.pdf",
        "R-1",
        "88.00",
    ):
        assert each in text, each
    assert len(told["stamps"]) == 2
    assert {row["purpose"] for row in told["consents"]} == {"membership", "marketing"}
    assert "member.merge" in {row["action"] for row in told["trail"]}
    entry = chain.access.audit_trail(SYSTEM, 1)[0]
    assert (entry.action, entry.actor, entry.subject) == ("member.export", "manager", str(known.member_id))
    with pytest.raises(Forbidden):
        desk.exports.export(scope_of("desk"), known.member_id)
    for locale in ("zh", "en"):
        pdf = pdf_of(made, locale)
        assert pdf.startswith(b"%PDF-")
        assert b"%%EOF" in pdf[-32:]
        assert b"/STSong-Light" in pdf
        assert b"/FontFile" not in pdf


def test_an_erasure_leaves_no_trace_of_the_person_and_no_gap_in_the_books(
    chain: Services, desk: MemberDesk, known: Member, stamps: Stamps, scope_of: Callable[[str], Scope]
) -> None:
    manager = scope_of("manager")
    before = chain.membership.member(SYSTEM, known.member_id).merged
    receipt = desk.erasures.erase(manager, known.member_id, "顾客要求")
    assert set(receipt.members) == {known.member_id, *before} == set(stamps.erased)
    assert receipt.removed["stamps"] == {"stamps": 2}
    assert receipt.removed["membership"]["members"] == 2
    assert set(receipt.removed["membership"]) >= {"hashes", "notes", "attachments", "tags", "advisors", "card pages"}
    assert receipt.balances == {"sales": {"CNY": "1 receipts, 88.00"}, "stamps": {"stamps": "5"}}
    for text in ("13700137000", "13900139001", known.card_no, "张玮"):
        assert chain.membership.search(SYSTEM, text) == [], text
    for gone in receipt.members:
        with pytest.raises(NotFound):
            chain.membership.member(SYSTEM, gone)
    with chain.db.read() as conn:
        assert conn.execute("SELECT member_id, gross FROM receipt").fetchall() == [(known.member_id, Decimal("88.00"))]
        row = conn.execute("SELECT m::text FROM member m WHERE member_id = %s", (known.member_id,)).fetchone()
        assert known.card_no not in str(row)
        kept = str(conn.execute("SELECT e::text FROM member_erasure e").fetchall())
    assert "张" not in kept
    assert desk.erasures.receipt(manager, receipt.erasure_id) == receipt
    proof = desk.erasures.prove(manager, receipt.erasure_id)
    assert (proof.is_ours, proof.left, proof.balances_hold) == (True, {}, True)
    with chain.db.transaction() as conn:
        (event,) = outbox.take(conn, "tests", ["member.erased"], 9)
        conn.execute("UPDATE member_erasure SET receipt = jsonb_set(receipt, '{reason}', '\"other\"')")
        conn.execute("UPDATE member SET card_no = '1' WHERE member_id = %s", (known.member_id,))
    assert set(event.body["members"]) == {str(each) for each in receipt.members}
    proof = desk.erasures.prove(manager, receipt.erasure_id)
    assert (proof.is_ours, proof.left) == (False, {"membership": {"members": 1}})
    again = chain.membership.enrol(SYSTEM, person("张玮", "13900139001"))
    assert again.purchases.receipts == 0


def test_nothing_is_erased_where_something_would_be_lost_or_left(
    chain: Services, desk: MemberDesk, known: Member, stamps: Stamps, scope_of: Callable[[str], Scope]
) -> None:
    stamps.hold = ["12.00 CNY are on card 77: pay them out"]
    assert desk.erasures.holds(SYSTEM, known.member_id) == stamps.hold
    with pytest.raises(Conflict) as held:
        desk.erasures.erase(SYSTEM, known.member_id, "x")
    assert "card 77" in held.value.message
    stamps.hold, stamps.remains = [], 1
    with pytest.raises(ErasureFailed):
        desk.erasures.erase(SYSTEM, known.member_id, "x")
    stamps.remains = 0

    class Leaking(Stamps):
        def erase(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID], _at: datetime) -> Erased:
            self.sum = "4"
            return Erased()

    leaking = member_desk(chain.db, KEYS, Nobody(), [Leaking()], chain.clock)
    with pytest.raises(ErasureFailed):
        leaking.erasures.erase(SYSTEM, known.member_id, "x")
    for scope in (scope_of("desk"), scope_of("desk2")):
        with pytest.raises(Forbidden):
            desk.erasures.erase(scope, known.member_id, "x")
    assert chain.membership.member(SYSTEM, known.member_id).tags == ["常客"]


def test_what_is_kept_for_so_long_goes_and_the_silent_are_erased(
    chain: Services,
    desk: MemberDesk,
    known: Member,
    stamps: Stamps,
    clock: TurnedClock,
    scope_of: Callable[[str], Scope],
) -> None:
    hq, stop = scope_of("hq"), threading.Event()
    silent = desk.membership.enrol(SYSTEM, person("王五", "13600136000"))
    assert desk.retention.run(stop) is None
    for rule, days in (("notes", 40), ("attachments", 400), ("old_phones", 40), ("links", 40), ("inactive", 100)):
        desk.retention.set_rule(hq, rule, days)  # type: ignore[arg-type]
    clock.turn(days=50)
    assert desk.retention.run(stop) == "1 links deleted, 1 notes deleted, 1 old_phones deleted"
    fresh = desk.membership.enrol(SYSTEM, person("赵六", "13600136001"))
    clock.turn(days=60)
    assert desk.retention.preview(hq, 100).members == 1
    stamps.hold = ["money on a card"]
    assert desk.retention.run(stop) == "1 silent members can't be erased yet"
    stamps.hold = []
    assert desk.retention.run(stop) == "1 members erased"
    with pytest.raises(NotFound):
        chain.membership.member(SYSTEM, silent.member_id)
    # Whoever others were merged into is left to a person, whoever came lately stays.
    assert chain.membership.member(SYSTEM, known.member_id).merged
    assert chain.membership.member(SYSTEM, fresh.member_id)
    (receipt,) = desk.erasures.receipts(hq)
    assert (receipt.member_id, receipt.reason) == (silent.member_id, "not seen for 100 days")
    with pytest.raises(Forbidden):
        desk.retention.set_rule(scope_of("manager"), "notes", None)


def test_a_key_is_changed_while_members_are_found_and_enrolled(
    chain: Services, desk: MemberDesk, known: Member, clock: TurnedClock
) -> None:
    more = [desk.membership.enrol(SYSTEM, person(f"顾客{number}", f"1360013600{number}")) for number in range(5)]
    gone = desk.erasures.erase(SYSTEM, more[0].member_id, "x")
    both = MemberKeys.from_base64(NEXT, SECRET)
    new = member_desk(chain.db, both, Nobody(), (), clock)
    assert [each.member_id for each in new.membership.search(SYSTEM, "13600136003")] == [more[3].member_id]
    assert new.membership.search(SYSTEM, "6003")
    with pytest.raises(MemberExists):
        new.membership.enrol(SYSTEM, person("另一人", "13600136003"))
    fresh = new.membership.enrol(SYSTEM, person("新人", "13500135000"))
    with pytest.raises(WrongKey):
        desk.membership.member(SYSTEM, fresh.member_id)
    # A change at the desk brings one row under today's key, whole number included.
    new.changes.change(SYSTEM, more[1].member_id, Change(name="改名"))
    pending = new.rotation.pending(SYSTEM)
    assert (pending["members"], pending["notes"], pending["receipts of erasure"]) == (5, 1, 1)

    seen: list[tuple[str, int]] = []

    class Stopped(Exception):
        pass

    def stop_after_two(what: str, done: int) -> None:
        seen.append((what, done))
        if done >= 2:
            raise Stopped

    with pytest.raises(Stopped):
        new.rotation.run(SYSTEM, stop_after_two, batch=2)
    assert seen == [("members", 2)]
    assert new.rotation.pending(SYSTEM)["members"] == 3
    for each in more[1:]:
        assert new.membership.member(SYSTEM, each.member_id)
    done = new.rotation.run(SYSTEM, batch=2)
    assert done.done["members"] == 3
    assert set(done.left.values()) == {0}

    only = member_desk(chain.db, MemberKeys.from_base64(NEXT), Nobody(), (), clock)
    assert [each.member_id for each in only.membership.search(SYSTEM, "13600136003")] == [more[3].member_id]
    assert only.membership.reveal_phone(SYSTEM, known.member_id) == "+8613700137000"
    assert [note.text for note in only.notes.notebook(SYSTEM, known.member_id).notes] == ["靠窗\n第二行"]
    (file,) = only.notes.notebook(SYSTEM, known.member_id).attachments
    assert only.notes.content(SYSTEM, known.member_id, file.attachment_id)[1] == PDF
    assert only.erasures.prove(SYSTEM, gone.erasure_id).is_ours
    assert "+8613800138000" in only.exports.export(SYSTEM, known.member_id).as_json().decode()
    with pytest.raises(MemberExists):
        only.membership.enrol(SYSTEM, person("另一人", "13600136003"))


def test_a_key_that_is_not_given_stops_a_rotation_before_it_begins(chain: Services, desk: MemberDesk) -> None:
    desk.membership.enrol(SYSTEM, person())
    alone = member_desk(chain.db, MemberKeys.from_base64(NEXT), Nobody(), (), chain.clock)
    with pytest.raises(Conflict) as refused:
        alone.rotation.run(SYSTEM)
    assert refused.value.field == "old_secret_keys"
    assert alone.rotation.pending(SYSTEM)["members"] == 1
