"""What stands beside a member: the chain's fields, advisors, tags, notes, files, cards and their pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, TooLarge
from server.membership import pictures, sniffing
from server.membership.changing import Change
from server.membership.fields import CustomField, Given, Option, Rules, check_answers, check_definition
from server.membership.wording import Wording
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.test_members import person

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 40
PDF = b"%PDF-1.7\n1 0 obj\n%%EOF\n"
BYTES = {"content-type": "application/octet-stream"}
BOTH = {"zh": "尺码", "en": "Size"}


def field(name: str = "size", kind: str = "text", place: int = 0, labels: Any = BOTH, **rules: Any) -> CustomField:
    return CustomField(name, kind, labels, Rules(**rules), place)  # type: ignore[arg-type]


SIZES = (Option("s", {"zh": "小", "en": "S"}), Option("m", {"zh": "中", "en": "M"}))


@pytest.mark.parametrize(
    ("asked", "given", "kept"),
    [
        (field(), " L ", "L"),
        (field(longest=2), "ab", "ab"),
        (field(longest=2), "abc", None),
        (field(kind="number"), "12.50", "12.50"),
        (field(kind="number"), 7, "7"),
        (field(kind="number"), "NaN", None),
        (field(kind="number"), "1e99", None),
        (field(kind="number", least="0", most="10"), "10.1", None),
        (field(kind="date", least="2000-01-01"), "1999-12-31", None),
        (field(kind="date"), "2026-02-29", None),
        (field(kind="date"), "2024-02-29", "2024-02-29"),
        (field(kind="boolean"), True, True),
        (field(kind="boolean"), "true", None),
        (field(kind="choice", options=SIZES), "m", "m"),
        (field(kind="choice", options=SIZES), "xl", None),
        (field(kind="choices", options=SIZES), ["m", "s", "m"], ["m", "s"]),
        (field(kind="choices", options=SIZES), "m", None),
        (field(), "a\x00b", None),
    ],
)
def test_an_answer_is_held_to_its_fields_type(asked: CustomField, given: Given, kept: object) -> None:
    if kept is None:
        with pytest.raises(InvalidInput) as refused:
            check_answers([asked], {"size": given})
        assert refused.value.field == "custom.size"
    else:
        assert check_answers([asked], {"size": given}) == {"size": kept}


@pytest.mark.parametrize(
    "wrong",
    [
        field("Size"),
        field("x" * 41),
        field(kind="colour"),
        field(labels={"zh": "尺码"}),
        field(kind="choice"),
        field(options=SIZES),
        field(kind="choice", options=(*SIZES, SIZES[0])),
        field(least="1"),
        field(kind="number", least="x"),
        field(kind="number", least="3", most="2"),
        field(longest=0),
    ],
)
def test_a_field_that_can_not_be_asked_is_not_defined(wrong: CustomField) -> None:
    with pytest.raises(InvalidInput):
        check_definition(wrong)


def test_what_headquarters_asks_is_on_the_form_and_held_to(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    hq, desk, form = scope_of("hq"), scope_of("desk"), chain.members.form
    with pytest.raises(Forbidden):
        form.define(desk, field())
    form.define(hq, field("shoe", "number", 2, least="30", most="50"))
    form.define(hq, field(kind="choice", place=1, options=SIZES, required=True))
    drawn = form.describe(desk)
    assert [(each.name, each.kind, each.required) for each in drawn.fields[-2:]] == [
        ("custom.size", "choice", True),
        ("custom.shoe", "number", False),
    ]
    assert [each.label for each in drawn.fields[-2].options] == ["小", "中"]
    assert form.describe(desk, "en").fields[-2].label == "Size"
    with pytest.raises(InvalidInput) as missing:
        chain.membership.enrol(desk, person())
    assert missing.value.field == "custom.size"
    made = chain.membership.enrol(desk, person(custom={"size": "m", "shoe": 42}))
    assert made.custom == {"size": "m", "shoe": "42"}
    with chain.db.read() as conn:
        stored = conn.execute("SELECT custom_enc FROM member").fetchone()
    assert stored is not None
    assert b"shoe" not in stored[0]
    changed = chain.members.changes.change(desk, made.member_id, Change(custom={"shoe": None}))
    assert changed.custom == {"size": "m"}
    with pytest.raises(InvalidInput):
        chain.members.changes.change(desk, made.member_id, Change(custom={"size": None}))
    with pytest.raises(Conflict):
        form.define(hq, field(kind="text"))
    form.retire(hq, "size")
    assert chain.membership.enrol(desk, person("李娜", "13900139001")).custom == {}
    assert chain.membership.member(desk, made.member_id).custom == {"size": "m"}
    with pytest.raises(NotFound):
        form.retire(hq, "size")


def test_the_chains_own_words_are_shown_and_never_changed(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    hq, consents = scope_of("hq"), chain.members.consents
    own = Wording("marketing", "zh", "2027-01", "我同意接收短信。")
    consents.publish(hq, own)
    shown = chain.members.form.describe(scope_of("desk")).consents
    assert (shown["marketing"], shown["membership"].version) == (own, "2026-11")
    for again in (own, Wording("marketing", "zh", "2027-01", "其他")):
        with pytest.raises(Conflict):
            consents.publish(hq, again)
    with pytest.raises(Forbidden):
        consents.publish(scope_of("manager"), Wording("marketing", "zh", "x", "x"))


def test_an_advisor_who_leaves_hands_everybody_over_and_history_stays(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    desk, manager, care = scope_of("desk"), scope_of("manager"), chain.members.care
    members = [
        chain.membership.enrol(desk, person(f"顾客{number}", f"1390013900{number}", advisor="小王"))
        for number in range(3)
    ]
    elsewhere = chain.membership.enrol(SYSTEM, person("远方", "13900139009", "S02", advisor="小王"))
    clock.turn(days=1)
    care.assign(desk, members[0].member_id, "小李", "熟人")
    clock.turn(days=1)
    with pytest.raises(Forbidden):
        care.hand_over(desk, "小王", "小赵", "离职")
    assert care.hand_over(manager, "小王", " 小赵 ", "离职") == 2
    assert care.hand_over(manager, "小王", "小赵", "离职") == 0
    assert chain.membership.member(SYSTEM, elsewhere.member_id).advisor == "小王"
    history = care.care(desk, members[1].member_id).advisors
    assert [(each.advisor, each.until_at is None, each.reason) for each in history] == [
        ("小赵", True, "离职"),
        ("小王", False, "enrolled"),
    ]
    assert chain.membership.member(desk, members[0].member_id).advisor == "小李"
    sale = NewReceipt(
        store_id="S01",
        receipt_no="1",
        at=datetime(2026, 11, 10, 2, tzinfo=UTC),
        gross=Decimal(9),
        member=MemberOf(id=str(members[1].member_id)),
        cashier="小陈",
    )
    assert chain.sales.post_receipts(SYSTEM, [sale]).accepted == 1
    seen = care.care(desk, members[1].member_id)
    assert seen.staff == 3
    assert [(each.staff, each.receipts, each.advised) for each in seen.served] == [
        ("小陈", 1, False),
        ("小王", 0, True),
        ("小赵", 0, True),
    ]
    assert care.assign(desk, members[1].member_id, "").advisor == ""


def test_tags_are_one_spelling_and_counted_by_scope(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    desk, care = scope_of("desk"), chain.members.care
    made = chain.membership.enrol(desk, person(source="till", staff="小王", campaign="双十一"))
    assert (made.source, made.staff, made.campaign, made.enrolled_store) == ("till", "小王", "双十一", "S01")
    assert care.tag(desk, made.member_id, [" ＶＩＰ ", "VIP", "常客"]).tags == ["VIP", "常客"]
    assert care.tag(desk, made.member_id, [], ["VIP"]).tags == ["常客"]
    assert [(each.tag, each.members) for each in care.tags(desk)] == [("常客", 1)]
    assert care.tags(scope_of("desk2")) == []
    for bad in (["  "], ["x" * 41], [f"tag {number}" for number in range(40)]):
        with pytest.raises(InvalidInput):
            care.tag(desk, made.member_id, bad)


def test_notes_are_encrypted_and_read_by_role(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    desk, hq, notes = scope_of("desk"), scope_of("hq"), chain.members.notes
    made = chain.membership.enrol(desk, person()).member_id
    mine = notes.write(desk, made, " 喜欢靠窗的座位\n")
    secret = notes.write(hq, made, "投诉过两次", "hq")
    assert [note.text for note in notes.notebook(desk, made).notes] == ["喜欢靠窗的座位"]
    assert {note.note_id for note in notes.notebook(hq, made).notes} == {mine.note_id, secret.note_id}
    with chain.db.read() as conn:
        dump = str(conn.execute("SELECT n::text FROM member_note n").fetchall())
    assert "喜欢".encode().hex() not in dump
    with pytest.raises(Forbidden):
        notes.write(desk, made, "x", "hq")
    with pytest.raises(NotFound):
        notes.delete_note(desk, made, secret.note_id)
    other = notes.write(hq, made, "共享").note_id
    with pytest.raises(NotFound):
        notes.delete_note(desk, made, other)
    notes.delete_note(desk, made, mine.note_id)
    notes.delete_note(scope_of("manager"), made, other)
    for bad in ("  ", "x" * 5000, "a\x00"):
        with pytest.raises(InvalidInput):
            notes.write(desk, made, bad)
    with pytest.raises(NotFound):
        notes.notebook(scope_of("desk2"), made)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n<script>",
        b"%PDF-1.7 cut",
        b"GIF89a",
    ],
)
def test_what_a_file_says_it_is_counts_for_nothing(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        sniffing.media_type(content)


def test_files_are_few_small_and_never_shown_in_place(sign_in: Callable[[str], TestClient], chain: Services) -> None:
    browser = sign_in("desk")
    made = chain.membership.enrol(SYSTEM, person()).member_id
    where = {"member": str(made), "name": "../../账单\u202egnp.exe"}
    kept = browser.post("/api/v1/member-attachments", params=where, content=PDF, headers=BYTES)
    assert kept.status_code == 201, kept.text
    told = kept.json()
    assert (told["media_type"], told["size"], told["name"]) == ("application/pdf", len(PDF), "账单gnp.pdf")
    path = f"/api/v1/members/{made}/attachments/{told['attachment_id']}"
    got = browser.get(path)
    assert (got.content, got.headers["content-type"]) == (PDF, "application/pdf")
    assert got.headers["content-disposition"].startswith("attachment;")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert browser.post("/api/v1/member-attachments", params=where, content=b"<html>", headers=BYTES).status_code == 422
    large = PNG + b"\0" * sniffing.LARGEST
    assert browser.post("/api/v1/member-attachments", params=where, content=large, headers=BYTES).status_code == 413
    with pytest.raises(TooLarge):
        sniffing.media_type(large)
    with chain.db.read() as conn:
        stored = conn.execute("SELECT content_enc FROM member_attachment").fetchall()
    assert PDF not in stored[0][0]
    hq_only = chain.members.notes.attach(Scope.system("hq"), made, "x", PNG, "hq")
    assert browser.get(f"/api/v1/members/{made}/attachments/{hq_only.attachment_id}").status_code == 404
    assert browser.delete(path).status_code == 204
    assert browser.get(f"/api/v1/members/{made}/notes").json() == {"notes": [], "attachments": []}


def test_a_card_is_its_number_and_a_code_that_says_the_same(
    sign_in: Callable[[str], TestClient], chain: Services
) -> None:
    browser = sign_in("desk")
    made = chain.membership.enrol(SYSTEM, person())
    card = browser.get(f"/api/v1/members/{made.member_id}/card.svg", params={"title": "<朵拉>"})
    assert card.headers["content-type"].startswith("image/svg+xml")
    assert pictures.grouped(made.card_no) in card.text
    assert "&lt;朵拉&gt;" in card.text
    assert "张伟" not in card.text
    assert browser.get(f"/api/v1/members/{made.member_id}/qr.png").content.startswith(b"\x89PNG")
    code = pictures.qr_of(made.card_no)
    dark = sum(int(run) for run in re.findall(r"h(\d+)v1", code.path))
    assert code.side == 21
    assert code.side**2 * 0.35 < dark < code.side**2 * 0.65


def test_a_cards_page_opens_by_its_key_alone_until_it_is_revoked(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    desk, links = scope_of("desk"), chain.members.links
    made = chain.membership.enrol(desk, person())
    first = links.open(desk, made.member_id)
    key = first.path.removeprefix("/c/")
    assert links.card(key) == made.card_no
    with chain.db.read() as conn:
        assert key not in str(conn.execute("SELECT l::text FROM member_link l").fetchall())
    clock.turn(hours=2)
    second = links.open(desk, made.member_id)
    for wrong in (key, "", "x" * 500, "\ud800", second.path):
        with pytest.raises(NotFound):
            links.card(wrong)
    other = chain.membership.enrol(desk, person("李娜", "13900139001"))
    chain.members.merging.merge(SYSTEM, other.member_id, made.member_id, "one person")
    assert links.card(second.path.removeprefix("/c/")) == other.card_no
    assert [each.revoked_at is None for each in links.links(desk, other.member_id)] == [True, False]
    with pytest.raises(NotFound):
        links.revoke(scope_of("desk2"), made.member_id, second.link_id)
    links.revoke(desk, other.member_id, second.link_id)
    with pytest.raises(NotFound):
        links.card(second.path.removeprefix("/c/"))
    with pytest.raises(NotFound):
        links.revoke(desk, other.member_id, uuid4())
