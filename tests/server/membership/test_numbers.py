"""Numbers that change hands, one-time codes, and what the desk may change."""

import re
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyRequests, Unavailable
from server.events import outbox
from server.membership import codes as rules
from server.membership.changing import Change
from server.membership.codes import OneTimeCodes, SentCode
from server.membership.crypto import MemberKeys
from server.membership.models import MemberExists, MemberRef, NewConsent, Proof
from server.membership.reading import MemberReader
from server.membership.sending import CodeMessage, FileSender, sender_of
from server.services import Services
from server.settings import Settings
from tests.server.conftest import SECRET, SYSTEM, TurnedClock
from tests.server.membership.test_members import person

UNKNOWN: Final = UUID(int=1)


def code_of(settings: Settings, sent: SentCode) -> str:
    text = (settings.messages_dir / f"{sent.code_id}.txt").read_text(encoding="utf-8")
    found = re.search(r"\b\d{6}\b", text.partition("\n")[2])
    assert found is not None
    return found.group()


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"messages_dir": tmp_path / "messages"})


def told(chain: Services, kind: str) -> list[tuple[str, dict[str, object]]]:
    with chain.db.transaction() as conn:
        return [(event.subject, event.body) for event in outbox.take(conn, f"tests {kind}", [kind], 100)]


def test_a_reassigned_number_is_taken_with_a_code_and_the_old_member_keeps_the_rest(
    chain: Services, scope_of: Callable[[str], Scope], settings: Settings
) -> None:
    desk = scope_of("desk")
    old = chain.membership.enrol(SYSTEM, person("李娜", store="S02"))
    with pytest.raises(MemberExists):
        chain.membership.enrol(desk, person())
    sent = chain.members.codes.request(desk, "138 0013 8000", "S01")
    assert sent.phone == "138****8000"
    made = chain.membership.enrol(desk, person(proof=Proof(sent.code_id, code_of(settings, sent))))
    assert made.phone_verified_at == chain.clock()
    found = chain.membership.find_by_phone(desk, "13800138000")
    assert found is not None
    assert found.member_id == made.member_id
    left = chain.membership.member(SYSTEM, old.member_id)
    assert (left.name, left.phone, left.card_no) == ("李娜", "", old.card_no)
    assert [each.member_id for each in chain.membership.search(SYSTEM, "8000")] == [made.member_id]
    with chain.db.read() as conn:
        trace = conn.execute("SELECT member_id, why, went_to, changed_by FROM member_phone").fetchall()
    assert trace == [(old.member_id, "reassigned", made.member_id, "desk")]
    assert {entry.action for entry in chain.access.audit_trail(SYSTEM)} >= {"member.detach_phone", "member.code"}
    assert told(chain, "member.changed") == [(str(old.member_id), {"fields": ["phone"]})]
    enrolled = told(chain, "member.enrolled")
    assert [subject for subject, _ in enrolled] == [str(old.member_id), str(made.member_id)]
    assert "13800138000" not in str(enrolled)
    with pytest.raises(Conflict):
        chain.membership.reveal_phone(SYSTEM, old.member_id)
    with pytest.raises(InvalidInput) as used:
        chain.membership.enrol(desk, person(proof=Proof(sent.code_id, code_of(settings, sent))))
    assert used.value.field == "code"


def test_codes_are_hashed_expire_and_are_void_after_five_wrong_ones(
    chain: Services, scope_of: Callable[[str], Scope], settings: Settings, clock: TurnedClock
) -> None:
    desk = scope_of("desk")
    sent = chain.members.codes.request(desk, "13800138000", "S01")
    right = code_of(settings, sent)
    with chain.db.read() as conn:
        rows = str(conn.execute("SELECT c::text FROM member_code c").fetchall())
    assert right not in rows
    assert "13800138000" not in rows
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    for _ in range(rules.MOST_ATTEMPTS):
        with pytest.raises(InvalidInput):
            chain.members.codes.check(Proof(sent.code_id, wrong), "+8613800138000")
    with pytest.raises(InvalidInput):
        chain.members.codes.check(Proof(sent.code_id, right), "+8613800138000")

    clock.now += rules.PAUSE
    second = chain.members.codes.request(desk, "13800138000", "S01")
    with pytest.raises(InvalidInput):
        chain.members.codes.check(Proof(second.code_id, code_of(settings, second)), "+8613800138001")
    clock.now += rules.LIFETIME
    with pytest.raises(InvalidInput):
        chain.members.codes.check(Proof(second.code_id, code_of(settings, second)), "+8613800138000")

    clock.now += rules.PAUSE
    third = chain.members.codes.request(desk, "13800138000", "S01")
    clock.now += rules.PAUSE
    fourth = chain.members.codes.request(desk, "13800138000", "S01")
    with pytest.raises(InvalidInput):
        chain.members.codes.check(Proof(third.code_id, code_of(settings, third)), "+8613800138000")
    chain.members.codes.check(Proof(fourth.code_id, code_of(settings, fourth)), "+8613800138000")


def test_attempts_count_also_when_many_are_made_at_once(
    chain: Services, scope_of: Callable[[str], Scope], settings: Settings
) -> None:
    sent = chain.members.codes.request(scope_of("desk"), "13800138000", "S01")
    wrong = f"{(int(code_of(settings, sent)) + 1) % 10**6:06d}"

    def guess() -> None:
        with pytest.raises(InvalidInput):
            chain.members.codes.check(Proof(sent.code_id, wrong), "+8613800138000")

    guesses = [threading.Thread(target=guess) for _ in range(9)]
    for each in guesses:
        each.start()
    for each in guesses:
        each.join()
    with chain.db.read() as conn:
        assert conn.execute("SELECT attempts FROM member_code").fetchone() == (rules.MOST_ATTEMPTS,)


def test_a_number_gets_few_codes_and_a_person_may_not_flood_others(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    desk = scope_of("desk")
    ask = chain.members.codes.request
    for _ in range(rules.MOST_OF_HOUR):
        ask(desk, "13800138000", "S01")
        with pytest.raises(TooManyRequests) as soon:
            ask(SYSTEM, "+86 138 0013 8000", "S01")
        assert 0 < soon.value.retry_after <= rules.PAUSE.total_seconds()
        clock.now += rules.PAUSE
    with pytest.raises(TooManyRequests) as hourly:
        ask(desk, "13800138000", "S01")
    assert hourly.value.retry_after > 60
    for number in range(rules.MOST_BY_PERSON - rules.MOST_OF_HOUR):
        ask(desk, f"139001390{number:02d}", "S01")
    with pytest.raises(TooManyRequests):
        ask(desk, "13700137000", "S01")
    ask(scope_of("desk2"), "13700137000", "S02")
    with pytest.raises(Forbidden):
        ask(desk, "13700137001", "S02")
    clock.turn(days=3)
    assert chain.members.codes.purge() == rules.MOST_BY_PERSON + 1


def test_a_code_the_carrier_refused_is_void(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    class Broken:
        def send(self, message: CodeMessage) -> None:
            assert message.code not in repr(message)
            raise OSError("no route to the carrier")

    keys = MemberKeys.from_base64(SECRET)
    codes = OneTimeCodes(chain.db, keys, MemberReader(keys), Broken(), chain.clock)
    with pytest.raises(Unavailable):
        codes.request(scope_of("desk"), "13800138000", "S01")
    with chain.db.read() as conn:
        assert conn.execute("SELECT expires_at <= made_at FROM member_code").fetchone() == (True,)


def test_a_file_is_its_owners_only_and_a_carrier_that_is_none_is_refused(settings: Settings) -> None:
    sender = sender_of(settings)
    assert isinstance(sender, FileSender)
    sender.send(CodeMessage(UNKNOWN, "+8613800138000", "123456", 10, "zh"))
    (file,) = settings.messages_dir.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "123456" in file.read_text(encoding="utf-8")
    for name in ("no.such.module:x", "server.errors:nothing", "server.errors:InvalidInput"):
        with pytest.raises(InvalidInput) as refused:
            sender_of(settings.model_copy(update={"code_sender": name}))
        assert refused.value.field == "code_sender"


def test_a_changed_member_is_found_by_what_is_true_now(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    desk = scope_of("desk")
    made = chain.membership.enrol(desk, person(birthday=date(1990, 5, 17)))
    changed = chain.members.changes.change(
        desk, made.member_id, Change(name="章薇", phone="139 0013 9001", birthday=date(1991, 6, 1))
    )
    assert (changed.name, changed.phone, changed.birthday) == ("章薇", "139****9001", date(1991, 6, 1))
    for text in ("章薇", "zhangwei", "9001", "13900139001"):
        assert [each.member_id for each in chain.membership.search(desk, text)] == [made.member_id], text
    for text in ("8000", "13800138000"):
        assert chain.membership.search(desk, text) == [], text
    entry = chain.access.audit_trail(SYSTEM, 1)[0]
    assert (entry.action, entry.detail) == ("member.change", {"fields": ["birthday", "name", "phone"]})
    assert told(chain, "member.changed") == [(str(made.member_id), {"fields": ["birthday", "name", "phone"]})]
    assert chain.members.changes.change(desk, made.member_id, Change()).name == "章薇"
    assert told(chain, "member.changed") == []
    assert chain.members.changes.change(desk, made.member_id, Change(forget_birthday=True)).birthday is None
    again = chain.membership.enrol(desk, person())
    assert again.member_id != made.member_id


def test_a_number_moves_between_members_with_a_code_only(
    chain: Services, scope_of: Callable[[str], Scope], settings: Settings
) -> None:
    desk = scope_of("desk")
    one = chain.membership.enrol(desk, person())
    other = chain.membership.enrol(desk, person("李娜", "13900139001"))
    with pytest.raises(MemberExists) as known:
        chain.members.changes.change(desk, other.member_id, Change(phone="13800138000"))
    assert known.value.member_id == one.member_id
    sent = chain.members.codes.request(desk, "13800138000", "S01")
    proof = Proof(sent.code_id, code_of(settings, sent))
    moved = chain.members.changes.change(desk, other.member_id, Change(phone="13800138000", proof=proof))
    assert (moved.phone, moved.phone_verified_at) == ("138****8000", chain.clock())
    assert chain.membership.member(desk, one.member_id).phone == ""
    with chain.db.read() as conn:
        refs = [(MemberRef(phone="13800138000"), "CN"), (MemberRef(phone="13900139001"), "CN")]
        assert list(chain.membership.resolve(conn, refs).values()) == [other.member_id]


def test_only_ones_own_members_are_changed(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    made = chain.membership.enrol(SYSTEM, person(store="S02"))
    with pytest.raises(NotFound):
        chain.members.changes.change(scope_of("desk"), made.member_id, Change(name="王五"))
    own = chain.membership.enrol(SYSTEM, person("李娜", "13900139001"))
    with pytest.raises(Forbidden):
        chain.members.changes.change(scope_of("desk"), own.member_id, Change(home_store="S02"))
    moved = chain.members.changes.change(scope_of("region"), own.member_id, Change(home_store="S02"))
    assert (moved.home_store, moved.enrolled_store) == ("S02", "S01")


def test_nothing_is_sent_to_who_did_not_agree(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    desk = scope_of("desk")
    one = chain.membership.enrol(desk, person()).member_id
    other = chain.membership.enrol(desk, person("李娜", "13900139001")).member_id
    consents = chain.members.consents

    def say(granted: bool, reach: str = "", purpose: str = "marketing") -> None:
        clock.turn(minutes=1)
        consents.record(desk, one, NewConsent(purpose, granted, "ok?", reach=reach))  # type: ignore[arg-type]

    def reachable(reach: str, purpose: str = "marketing") -> bool:
        with chain.db.read() as conn:
            found = consents.may_reach(conn, desk, [one, other], purpose, reach)  # type: ignore[arg-type]
        assert other not in found or purpose == "membership"
        return one in found

    assert [reachable(way) for way in ("sms", "email", "")] == [False, False, False]
    say(granted=True, reach="sms")
    assert [reachable(way) for way in ("sms", "email", "")] == [True, False, False]
    say(granted=True)
    say(granted=False, reach="sms")
    assert [reachable(way) for way in ("sms", "email", "")] == [False, True, True]
    say(granted=False)
    assert [reachable(way) for way in ("sms", "email", "")] == [False, False, False]
    say(granted=True)
    assert reachable("sms")
    assert not reachable("", "profiling")
    assert reachable("", "membership")
    say(granted=False, purpose="membership")
    assert [reachable(way) for way in ("sms", "email", "")] == [False, False, False]
    with pytest.raises(InvalidInput):
        say(granted=True, reach="pigeon")
