"""One person enrolled twice: found, merged, read as one, and two again with everything that was theirs."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.events import outbox
from server.membership.models import Member, MemberRef, NewConsent
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.test_members import person

BORN = date(1990, 5, 17)


def sell(chain: Services, number: str, member: Member, gross: str, store: str = "S01") -> None:
    receipt = NewReceipt(
        store_id=store,
        receipt_no=number,
        at=datetime(2026, 11, 10, 2, tzinfo=UTC),
        gross=Decimal(gross),
        member=MemberOf(id=str(member.member_id)),
    )
    assert chain.sales.post_receipts(SYSTEM, [receipt]).accepted == 1


def spent(member: Member) -> Decimal:
    return sum((each.net for each in member.purchases.spending), Decimal(0))


def whole(member: Member) -> tuple[object, ...]:
    return member.name, member.phone, member.card_no, spent(member), member.tags, member.consents, member.merged


def test_a_merge_reads_as_one_and_its_undo_gives_everything_back(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    manager = scope_of("manager")
    kept = chain.membership.enrol(manager, person(tags=["常客"]))
    gone = chain.membership.enrol(manager, person("張偉", "13900139001", tags=["VIP"]))
    sell(chain, "1", kept, "100")
    sell(chain, "2", gone, "30")
    chain.members.notes.write(manager, gone.member_id, "喜欢蓝色")
    before = [whole(chain.membership.member(manager, each.member_id)) for each in (kept, gone)]
    with chain.db.read() as conn:
        rows = conn.execute("SELECT member_id, receipt_no FROM receipt ORDER BY 2").fetchall()

    clock.turn(minutes=5)
    one = chain.members.merging.merge(manager, kept.member_id, gone.member_id, "同一人")
    assert (spent(one), one.tags, one.merged) == (Decimal(130), ["VIP", "常客"], [gone.member_id])
    assert one.purchases.receipts == 2
    assert [note.text for note in chain.members.notes.notebook(manager, kept.member_id).notes] == ["喜欢蓝色"]
    for text in ("13900139001", "13800138000", "9001", kept.card_no, gone.card_no, "张伟"):
        assert [each.member_id for each in chain.membership.search(manager, text)] == [kept.member_id], text
    assert chain.membership.member(manager, gone.member_id) == one
    assert chain.membership.count(manager) == 1
    with chain.db.read() as conn:
        refs = [(MemberRef(card=gone.card_no), "CN"), (MemberRef(id=str(gone.member_id)), "CN")]
        assert set(chain.membership.resolve(conn, refs).values()) == {kept.member_id}
        assert conn.execute("SELECT member_id, receipt_no FROM receipt ORDER BY 2").fetchall() == rows
    assert chain.membership.reveal_phone(manager, gone.member_id) == "+8613800138000"

    (merge,) = chain.members.merging.merges(manager, kept.member_id)
    parted = chain.members.merging.undo(manager, merge.merge_id)
    assert [whole(each) for each in parted] == before
    with pytest.raises(NotFound):
        chain.members.merging.undo(manager, merge.merge_id)
    with chain.db.transaction() as conn:
        events = outbox.take(conn, "tests", ["member.merged", "member.unmerged"], 9)
    ids = {"kept": str(kept.member_id), "gone": str(gone.member_id)}
    assert [(each.kind, each.body) for each in events] == [("member.merged", ids), ("member.unmerged", ids)]
    trail = [entry.action for entry in chain.access.audit_trail(SYSTEM)]
    assert {"member.merge", "member.unmerge"} <= set(trail)


def test_merges_stack_and_are_undone_in_any_order(chain: Services) -> None:
    a, b, c = (
        chain.membership.enrol(SYSTEM, person(name, number))
        for name, number in (("甲", "13800138001"), ("乙", "13800138002"), ("丙", "13800138003"))
    )
    merging = chain.members.merging
    merging.merge(SYSTEM, b.member_id, a.member_id, "1")
    one = merging.merge(SYSTEM, c.member_id, a.member_id, "2")  # a is b by now
    assert (one.member_id, set(one.merged)) == (c.member_id, {a.member_id, b.member_id})
    for same in ((c, a), (a, b), (a, a)):
        with pytest.raises(Conflict):
            merging.merge(SYSTEM, same[0].member_id, same[1].member_id, "again")
    first = min(merging.merges(SYSTEM, a.member_id), key=lambda each: each.merge_id)
    assert (first.kept, first.gone) == (b.member_id, a.member_id)
    merging.undo(SYSTEM, first.merge_id)
    assert chain.membership.member(SYSTEM, a.member_id).member_id == a.member_id
    assert chain.membership.member(SYSTEM, b.member_id).member_id == c.member_id


def test_an_answer_of_either_is_the_one_persons_answer(chain: Services, clock: TurnedClock) -> None:
    kept = chain.membership.enrol(SYSTEM, person())
    gone = chain.membership.enrol(SYSTEM, person("张伟", "13900139001"))
    clock.turn(hours=1)
    chain.members.consents.record(SYSTEM, kept.member_id, NewConsent("marketing", granted=True, wording="yes"))
    clock.turn(hours=1)
    chain.members.consents.record(SYSTEM, gone.member_id, NewConsent("marketing", granted=False, wording="no"))

    def reachable() -> set[UUID]:
        with chain.db.read() as conn:
            ids = [kept.member_id, gone.member_id]
            return chain.members.consents.may_reach(conn, SYSTEM, ids, "marketing", "sms")

    assert reachable() == {kept.member_id}
    chain.members.merging.merge(SYSTEM, kept.member_id, gone.member_id, "one person")
    assert reachable() == set()


def test_who_shares_name_and_birthday_is_suggested_until_somebody_says_no(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    manager, merging = scope_of("manager"), chain.members.merging
    one = chain.membership.enrol(manager, person(birthday=BORN))
    other = chain.membership.enrol(manager, person(" 張偉 ", "13900139001", birthday=BORN))
    chain.membership.enrol(manager, person("张伟", "13900139002", birthday=date(1991, 1, 1)))
    chain.membership.enrol(manager, person("李娜", "13900139003", birthday=BORN))
    far = chain.membership.enrol(SYSTEM, person("李娜", "13900139004", store="S02", birthday=BORN))
    (twins,) = merging.suggest(manager)
    assert {each.member_id for each in twins.members} == {one.member_id, other.member_id}
    assert len(merging.suggest(scope_of("hq"))) == 2
    merging.not_twins(manager, other.member_id, one.member_id)
    assert merging.suggest(manager) == []
    for act in (
        lambda: merging.suggest(scope_of("desk")),
        lambda: merging.merge(scope_of("desk"), one.member_id, other.member_id, "x"),
    ):
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(NotFound):
        merging.merge(manager, one.member_id, far.member_id, "not ours")
    with pytest.raises(InvalidInput):
        merging.merge(manager, one.member_id, other.member_id, "  ")
