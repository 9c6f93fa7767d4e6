"""Enrolling, finding and showing members, over a real database."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.models import Member, MemberExists, MemberRef, NewConsent, NewMember
from server.membership.wording import standard_consents
from server.sales.models import Channel, Kind, MemberOf, NewReceipt
from server.services import Services
from server.stores.calendar import DayRule
from tests.server.conftest import SYSTEM, TurnedClock

SPAM = NewConsent("spam", granted=True, wording="?")  # type: ignore[arg-type]


def person(name: str = "张伟", phone: str = "13800138000", store: str = "S01", **more: object) -> NewMember:
    fields: dict[str, object] = {"consents": standard_consents("zh", marketing=False), **more}
    return NewMember(name=name, phone=phone, home_store=store, **fields)  # type: ignore[arg-type]


def test_a_member_is_enrolled_in_one_call_and_shown_masked(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    made = chain.membership.enrol(scope_of("desk"), person(birthday=date(1990, 5, 17)))
    assert (made.name, made.phone, made.birthday) == ("张伟", "138****8000", date(1990, 5, 17))
    assert (made.home_store, made.enrolled_by, made.enrolled_at) == ("S01", "desk", clock.now)
    assert {(each.purpose, each.granted) for each in made.consents} == {("membership", True), ("marketing", False)}
    assert made == chain.membership.member(scope_of("desk"), made.member_id)


def test_a_number_has_one_member_however_it_is_written(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    first = chain.membership.enrol(SYSTEM, person(store="S02"))
    for again in ("0086 138 0013 8000", "+86-138-0013-8000", "１３８００１３８０００", "13800138000"):
        with pytest.raises(MemberExists) as known:
            chain.membership.enrol(scope_of("desk"), person("Zhang", again))
        assert known.value.detail == {"member_id": str(first.member_id), "card_no": first.card_no}
    assert chain.membership.count(SYSTEM) == 1
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM member").fetchone() == (1,)


def test_two_desks_at_once_make_one_member(chain: Services) -> None:
    made: list[Member] = []
    known: list[MemberExists] = []

    def enrol() -> None:
        try:
            made.append(chain.membership.enrol(SYSTEM, person()))
        except MemberExists as error:
            known.append(error)

    desks = [threading.Thread(target=enrol) for _ in range(6)]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join()
    assert (len(made), len(known)) == (1, 5)
    assert {error.member_id for error in known} == {made[0].member_id}


def test_nothing_at_rest_names_the_person(chain: Services) -> None:
    chain.membership.enrol(SYSTEM, person(birthday=date(1990, 5, 17)))
    with chain.db.read() as conn:
        tables = conn.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        dump = "".join(str(conn.execute(f'SELECT t::text FROM "{name}" t').fetchall()) for (name,) in tables)
        stored = conn.execute("SELECT phone_enc, name_enc, birthday_enc FROM member").fetchone()
        tokens = conn.execute("SELECT token FROM member_token").fetchall()
    assert stored is not None
    for clear in ("13800138000", "8613800138000", "张伟", "zhangwei", "1990-05-17"):
        assert clear not in dump
        assert clear.encode().hex() not in dump
        assert all(clear.encode() not in blob for blob in (*stored, *(token for (token,) in tokens)))


def test_a_member_is_found_by_any_of_number_card_last_four_name_pinyin_initials(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    desk = scope_of("desk")
    made = chain.membership.enrol(desk, person())
    chain.membership.enrol(desk, person("李娜", "13900139001"))
    for text in (
        "138 0013 8000",
        "+8613800138000",
        made.card_no,
        "8000",
        "张伟",
        " 张 伟 ",
        "ZhangWei",
        "zhang wei",
        "ZW",
    ):
        found = chain.membership.search(desk, text)
        assert [each.member_id for each in found] == [made.member_id], text
    for text in ("", "  ", "13800138001", "0000", "王五", "x" * 200, "\x00", "'; DROP TABLE member; --"):
        assert chain.membership.search(desk, text) == [], text


def test_a_desk_finds_another_stores_member_by_whole_number_or_card_only(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    made = chain.membership.enrol(SYSTEM, person(store="S02"))
    desk, hq = scope_of("desk"), scope_of("hq")
    by_phone = chain.membership.find_by_phone(desk, "13800138000")
    by_card = chain.membership.find_by_card(desk, made.card_no)
    assert by_phone is not None
    assert by_phone == by_card
    assert by_phone.phone == "138****8000"
    assert len(chain.membership.search(desk, "13800138000")) == 1
    for text in ("8000", "张伟", "zw"):
        assert chain.membership.search(desk, text) == []
        assert len(chain.membership.search(hq, text)) == 1
    assert chain.membership.recent(desk) == []
    assert chain.membership.count(desk) == 0
    for forbidden in (chain.membership.member, chain.membership.reveal_phone):
        with pytest.raises(NotFound):
            forbidden(desk, made.member_id)
    with pytest.raises(Forbidden):
        chain.membership.recent(desk, "S02")
    assert chain.membership.find_by_phone(desk, "13800138001") is None


def test_a_reveal_is_in_the_audit_trail_and_says_no_number(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    made = chain.membership.enrol(SYSTEM, person())
    clock.turn(minutes=1)
    assert chain.membership.reveal_phone(scope_of("desk"), made.member_id) == "+8613800138000"
    newest = chain.access.audit_trail(SYSTEM, 1)[0]
    assert (newest.action, newest.actor, newest.subject, newest.store_id, newest.at) == (
        "member.reveal_phone",
        "desk",
        str(made.member_id),
        "S01",
        clock.now,
    )
    assert "8000" not in str(newest.detail)


def test_a_till_knows_members_by_reference_only(chain: Services) -> None:
    made = chain.membership.enrol(SYSTEM, person())
    till = chain.access.api_key(chain.access.create_api_key(SYSTEM, "till", "till", ["S01"]))
    for attempt in (
        lambda: chain.membership.find_by_phone(till, "13800138000"),
        lambda: chain.membership.member(till, made.member_id),
        lambda: chain.membership.search(till, "8000"),
        lambda: chain.membership.recent(till),
        lambda: chain.membership.reveal_phone(till, made.member_id),
        lambda: chain.membership.enrol(till, person(phone="13900139000")),
    ):
        with pytest.raises(Forbidden):
            attempt()
    with chain.db.transaction() as conn:
        refs = [MemberRef(phone="138-0013-8000"), MemberRef(card="1"), MemberRef(id=str(uuid4())), MemberRef()]
        found = chain.membership.resolve(conn, [(ref, "CN") for ref in refs])
    assert found == {refs[0]: made.member_id}


def test_what_makes_no_sense_is_refused_by_field(chain: Services) -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"name": "  "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"phone": "12345"}, "phone"),
        ({"birthday": date(2030, 1, 1)}, "birthday"),
        ({"birthday": date(1850, 1, 1)}, "birthday"),
        ({"consents": []}, "consents"),
        ({"consents": [NewConsent("membership", granted=False, wording="?")]}, "consents"),
        ({"consents": [NewConsent("membership", granted=True, wording=" ")]}, "consents"),
        ({"consents": [SPAM]}, "consents"),
        ({"store": "S99"}, "home_store"),
    ]
    for change, field in cases:
        with pytest.raises((InvalidInput, NotFound)) as refused:
            chain.membership.enrol(SYSTEM, person(**change))  # type: ignore[arg-type]
        assert refused.value.field == field, change
    assert chain.membership.count(SYSTEM) == 0


def test_a_desk_enrols_for_its_own_stores(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    with pytest.raises(Forbidden):
        chain.membership.enrol(scope_of("desk"), person(store="S02"))


def test_a_new_answer_counts_and_the_old_one_stays(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    made = chain.membership.enrol(SYSTEM, person())
    clock.turn(days=1)
    later = chain.membership.record_consent(
        scope_of("desk"), made.member_id, NewConsent("marketing", granted=True, wording="yes please", channel="phone")
    )
    assert [(each.granted, each.recorded_by) for each in later.consents if each.purpose == "marketing"] == [
        (True, "desk"),
        (False, "tests"),
    ]


def test_purchases_add_up_visits_and_spending_in_the_callers_stores(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    made = chain.membership.enrol(SYSTEM, person())

    def receipt(
        store: str, number: str, at: datetime, gross: str, kind: Kind = "sale", of: str | None = None
    ) -> NewReceipt:
        member = None if kind == "void" else MemberOf(id=str(made.member_id))
        total = None if kind == "void" else Decimal(gross)
        return NewReceipt(
            store_id=store,
            receipt_no=number,
            at=at,
            kind=kind,
            gross=total,
            member=member,
            refers_to=of,
        )

    def at(day: int, hour: int) -> datetime:
        return datetime(2026, 11, day, hour, tzinfo=UTC)

    result = chain.sales.post_receipts(
        SYSTEM,
        [
            receipt("S01", "1", at(10, 2), "100"),
            receipt("S01", "2", at(10, 5), "50"),
            # One in the morning in Shanghai belongs to the business day before.
            receipt("S01", "3", at(10, 17), "25"),
            receipt("S01", "4", at(12, 2), "10"),
            receipt("S01", "5", at(13, 2), "999"),
            receipt("S01", "6", at(13, 3), "", "void", "5"),
            receipt("S01", "7", at(14, 3), "30", "refund", "1"),
            receipt("S02", "1", at(15, 3), "70"),
        ],
    )
    assert result.accepted == 8, result
    own = chain.membership.member(scope_of("desk"), made.member_id).purchases
    assert (own.visits, own.receipts, own.last_visit) == (2, 4, at(12, 2))
    assert [(each.currency, each.net) for each in own.spending] == [("CNY", Decimal("155.00"))]
    whole = chain.membership.member(scope_of("hq"), made.member_id).purchases
    assert (whole.visits, whole.spending[0].net) == (3, Decimal("225.00"))
    # Having bought in a store makes a member known there.
    assert chain.membership.member(scope_of("desk2"), made.member_id).purchases.visits == 1


def test_visits_are_days_somebody_came_on_the_calendar_of_their_day(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    made = chain.membership.enrol(SYSTEM, person())
    # Until 11 November the day began at four in Shanghai; since then at six in Tokyo, which is five in Shanghai.
    chain.stores.set_calendar(SYSTEM, "S01", DayRule(date(2026, 11, 11), "Asia/Tokyo", time(6)))

    def sale(number: int, at: str, channel: Channel = "till") -> NewReceipt:
        return NewReceipt(
            store_id="S01",
            receipt_no=str(number),
            at=datetime.fromisoformat(f"2026-11-{at}:00+08:00"),
            gross=Decimal(10),
            channel=channel,
            member=MemberOf(id=str(made.member_id)),
        )

    def bought(*sales: NewReceipt) -> tuple[int, int]:
        assert chain.sales.post_receipts(SYSTEM, sales).accepted == len(sales)
        found = chain.membership.member(scope_of("desk"), made.member_id).purchases
        return found.visits, found.receipts

    assert bought(sale(1, "05T12:00", "online")) == (0, 1)
    assert chain.membership.member(SYSTEM, made.member_id).purchases.last_visit is None
    # Half past four, on either side of the change: a new day before it, still the old one after it.
    assert bought(sale(2, "06T12:00"), sale(3, "07T04:30", "pickup")) == (2, 3)
    assert bought(sale(4, "12T12:00"), sale(5, "13T04:30")) == (3, 5)
    # The day before the change ends where the changed day begins, an hour later than usual.
    assert bought(sale(6, "10T12:00"), sale(7, "11T04:30")) == (4, 7)


def test_enrolments_are_counted_by_store_and_time(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    chain.membership.enrol(SYSTEM, person("甲", "13800138001"))
    clock.turn(days=1)
    second = chain.membership.enrol(SYSTEM, person("乙", "13800138002"))
    chain.membership.enrol(SYSTEM, person("丙", "13800138003", "S02"))
    chain.membership.enrol(SYSTEM, person("Dora", "0151 23456789", "B01"))
    assert chain.membership.enrolled_by_store(SYSTEM) == {"S01": 2, "S02": 1, "B01": 1}
    assert chain.membership.enrolled_by_store(scope_of("region"), since=clock.now) == {"S01": 1, "S02": 1}
    assert chain.membership.enrolled_by_store(SYSTEM, until=clock.now) == {"S01": 1}
    assert chain.membership.count(scope_of("desk")) == 2
    assert chain.membership.recent(scope_of("desk"), limit=1)[0].member_id == second.member_id
    assert chain.membership.recent(SYSTEM, "B01")[0].phone == "151****6789"


def test_an_unknown_id_is_not_found(chain: Services) -> None:
    with pytest.raises(NotFound):
        chain.membership.member(SYSTEM, UUID(int=0))
