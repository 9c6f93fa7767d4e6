"""Members from an old system: tried first, then enrolled with what they brought; sent again, nothing comes twice."""

import io
from collections.abc import Callable
from dataclasses import replace as replace_scope
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace
from openpyxl import Workbook

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput
from server.membership.fields import CustomField
from server.membership.importing import MemberImportResult
from server.membership.models import Member
from server.membership.tiers.rules import Level
from server.services import Services
from tests.server.conftest import SYSTEM
from tests.server.membership.test_members import person

BASIS = "2024 年入会时在门店签署的会员协议"
FILE = """会员编号,姓名,手机,生日,积分,标签,尺码,营销同意
A1,张伟,138 0013 8000,1990/5/17,"1,200",常客;VIP,M,是
A2,李娜,13900139001,1985年12月3日,,,,
A3,王五,13900139001,,5,,,否
A4,,13900139002,,,,,
A5,赵六,12345,,,,,
A6,钱七,13900139003,昨天,,,,
A7,孙八,13900139004,,-3,,,
A8,周九,13900139005,,7,,,也许
A9,吴十,13700137000,,9,,,
"""


@pytest.fixture
def run(chain: Services, scope_of: Callable[[str], Scope]) -> Callable[..., MemberImportResult]:
    labels = {"zh": "尺码", "en": "Size"}
    chain.members.form.define(SYSTEM, CustomField("size", "text", labels))  # type: ignore[arg-type]

    def imported(content: bytes, *, dry_run: bool = False) -> MemberImportResult:
        mapping = {"custom.size": "尺码"}
        return chain.members.imports.run(scope_of("hq"), "S01", io.BytesIO(content), BASIS, mapping, dry_run=dry_run)

    return imported


def points_of(chain: Services) -> list[tuple[str, int]]:
    with chain.db.read() as conn:
        found = conn.execute(
            "SELECT m.external_no, e.points FROM points_entry e JOIN member m USING (member_id)"
            " WHERE e.kind = 'opening'"
        ).fetchall()
    return sorted((str(number), int(points)) for number, points in found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_file_is_tried_then_taken_and_sent_again_changes_nothing(
    chain: Services, run: Callable[..., MemberImportResult], encoding: str
) -> None:
    here = chain.membership.enrol(SYSTEM, person("吴十", "13700137000", "S02"))
    content = FILE.encode(encoding)
    tried = run(content, dry_run=True)
    assert (tried.rows, tried.enrolled, tried.known, tried.duplicate_count, tried.error_count) == (9, 2, 0, 2, 5)
    assert chain.membership.count(SYSTEM) == 1
    done = run(content)
    assert (done.enrolled, done.opened, done.duplicate_count, done.error_count) == (2, 1, 2, 5)
    assert [(each.line, each.card_no, each.earlier_line) for each in done.duplicates] == [
        (4, "", 3),
        (10, here.card_no, None),
    ]
    assert [(each.line, each.field) for each in done.errors] == [
        (5, "name"),
        (6, "phone"),
        (7, "birthday"),
        (8, "points"),
        (9, "marketing"),
    ]
    made = chain.membership.find_by_phone(SYSTEM, "13800138000")
    assert made is not None
    assert (made.name, str(made.birthday), made.tags, made.custom) == (
        "张伟",
        "1990-05-17",
        ["VIP", "常客"],
        {"size": "M"},
    )
    assert (made.source, made.home_store) == ("import", "S01")
    assert {(each.purpose, each.granted, each.wording) for each in made.consents} == {
        ("membership", True, BASIS),
        ("marketing", True, BASIS),
    }
    assert points_of(chain) == [("A1", 1200)]
    again = run(content)
    assert (again.enrolled, again.known, again.opened) == (0, 2, 0)
    assert points_of(chain) == [("A1", 1200)]
    assert chain.membership.count(SYSTEM) == 3


def test_a_workbook_is_read_like_the_text_it_shows(chain: Services, run: Callable[..., MemberImportResult]) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Name", "Phone", "Points", "尺码"], ["Dora", 13900139009, 12.0, None], [None, None, None, None]):
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    done = run(out.getvalue())
    assert (done.rows, done.enrolled, done.opened) == (1, 1, 1)
    assert chain.membership.find_by_phone(SYSTEM, "13900139009") is not None


def test_a_file_that_can_not_be_taken_is_refused_whole(
    chain: Services, scope_of: Callable[[str], Scope], run: Callable[..., MemberImportResult]
) -> None:
    for content in (b"", b"name\nx\n", b"PK\x03\x04 no workbook"):
        with pytest.raises(InvalidInput):
            run(content)
    take = chain.members.imports.run
    with pytest.raises(InvalidInput) as no_basis:
        take(SYSTEM, "S01", io.BytesIO(b"name,phone\n"), " ")
    assert no_basis.value.field == "basis"
    for mapping in ({"age": "name"}, {"name": "nowhere"}):
        with pytest.raises(InvalidInput):
            take(SYSTEM, "S01", io.BytesIO(b"name,phone\n"), BASIS, mapping)
    with pytest.raises(Forbidden):
        take(scope_of("manager"), "S01", io.BytesIO(b"name,phone\n"), BASIS)


def test_members_keep_the_tier_they_had_and_one_that_is_none_is_told_beforehand(
    chain: Services, run: Callable[..., MemberImportResult]
) -> None:
    known = sorted(chain.tiers.known(SYSTEM))[0]
    content = f"external_no,name,phone,tier,尺码\nB1,张伟,13800138011,{known},\nB2,李娜,13800138012,钻石,\n".encode()
    tried = run(content, dry_run=True)
    assert [(error.line, error.field) for error in tried.errors] == [(3, "tier")]
    done = run(content)
    assert (done.enrolled, done.error_count) == (1, 1)
    member = chain.membership.find_by_phone(SYSTEM, "13800138011")
    assert member is not None
    assert chain.tiers.tier(SYSTEM, member.member_id).tier == known
    assert chain.membership.find_by_phone(SYSTEM, "13800138012") is None


def test_a_tier_is_given_by_a_file_once_and_what_moved_since_is_left(
    chain: Services, run: Callable[..., MemberImportResult]
) -> None:
    _, rules = chain.tiers.rules(SYSTEM)
    levels = [Level(slug=slug) for slug in ("member", "silver", "gold")]
    chain.tiers.save_rules(SYSTEM, replace(rules, levels=levels), "tests")
    content = "external_no,name,phone,tier,尺码\nC1,张伟,13800138021,silver,\nC2,李娜,13800138022,member,\n".encode()
    assert (run(content).enrolled, run(content).tiers_left) == (2, 0)

    def tiers() -> list[str]:
        found = [chain.membership.find_by_phone(SYSTEM, f"1380013802{end}") for end in (1, 2)]
        return [chain.tiers.tier(SYSTEM, each.member_id).tier for each in found if each is not None]

    def move(end: int, tier: str) -> None:
        member = chain.membership.find_by_phone(SYSTEM, f"1380013802{end}")
        assert member is not None
        chain.tiers.give(SYSTEM, member.member_id, tier, "earned since")

    assert tiers() == ["silver", "member"]
    move(1, "gold")
    move(2, "silver")
    again = run(content)
    assert (again.known, again.tiers_left, tiers()) == (2, 2, ["gold", "silver"])
    # A file that says something new of a member is listened to, once.
    newer = content.replace(b"13800138022,member", b"13800138022,gold")
    assert (run(newer).tiers_left, tiers()) == (1, ["gold", "gold"])
    move(2, "member")
    assert (run(newer).tiers_left, tiers()) == (2, ["gold", "member"])


PLAIN = """姓名,手机,积分,尺码
张伟,13800138000,120,
李娜,13900139001,,
王五,13700137000,9,
"""


def test_without_numbers_of_the_old_system_a_file_sent_again_changes_nothing_either(
    chain: Services, run: Callable[..., MemberImportResult]
) -> None:
    """Known by phone number and name; who enrolled at a desk, or goes by another name, stands as a duplicate."""
    chain.membership.enrol(SYSTEM, person("王五", "13700137000", "S02"))
    first = run(PLAIN.encode())
    assert (first.enrolled, first.known, first.opened, first.duplicate_count) == (2, 0, 1, 1)
    again = run(PLAIN.encode())
    assert (again.enrolled, again.known, again.opened, again.duplicate_count) == (0, 2, 0, 1)
    # A balance that is missing is booked, once.
    more = PLAIN.replace("13900139001,", "13900139001,70")
    assert [(done.known, done.opened) for done in (run(more.encode()), run(more.encode()))] == [(2, 1), (2, 0)]
    other = run(PLAIN.replace("张伟", "张三").encode())
    assert (other.known, other.duplicate_count) == (1, 2)
    assert [points for _, points in points_of(chain)] == [70, 120]
    # Merged cards are one: what the other one brought is not booked again.
    zhang, li = (chain.membership.find_by_phone(SYSTEM, phone) for phone in ("13800138000", "13900139001"))
    assert zhang is not None
    assert li is not None
    third = "姓名,手机,积分,尺码\n张伟,13800138009,0,\n"
    assert run(third.encode()).enrolled == 1
    newer = chain.membership.find_by_phone(SYSTEM, "13800138009")
    assert newer is not None
    chain.members.merging.merge(SYSTEM, newer.member_id, zhang.member_id, "one person")
    assert run(third.replace(",0,", ",120,").encode()).opened == 0


BROUGHT = """external_no,name,phone,store,enrolled_at,birthday,points,points_expire,principal,bonus,尺码
E1,张伟,13800138031,,2021-05-01,1990-01-01,10,2099-12-31,"1,200.50",99.5,
E2,李娜,13900139032,三里屯店,2022/6/1 10:00,,,,,20,
E3,Dora,0151 23456789,B01,,,,,50,,
E4,王五,13900139034,S99,,,,,,,
E5,王五,13900139035,,2026-11-21,,,,,,
E6,王五,13900139036,,1989-12-31,1990-01-01,,,,,
E7,王五,13900139037,,,,,,1.200,,
E8,王五,13900139038,,,,,,,-5,
E9,王五,13900139039,,,,,,"5,000.01",,
E10,王五,13900139040,,,,5,2001-01-01,,,
"""
WRONG = [
    (5, "store"),
    (6, "enrolled_at"),
    (7, "enrolled_at"),
    (8, "principal"),
    (9, "bonus"),
    (10, "principal"),
    (11, "points_expire"),
]


def test_home_day_of_joining_and_stored_value_come_along_once(
    chain: Services, run: Callable[..., MemberImportResult], scope_of: Callable[[str], Scope]
) -> None:
    content = BROUGHT.encode()
    brought = ({"CNY": Decimal("1200.50"), "EUR": Decimal(50)}, {"CNY": Decimal("119.50"), "EUR": Decimal(0)})
    for done in (run(content, dry_run=True), run(content)):
        assert [(each.line, each.field) for each in done.errors] == WRONG
        assert (done.enrolled, done.opened, (done.principal, done.bonus)) == (3, 4, brought)
    assert chain.membership.count(SYSTEM) == 3, "a row whose money can't be taken enrols nobody"

    def of(phone: str) -> Member:
        found = chain.membership.find_by_phone(SYSTEM, phone, "CN")
        assert found is not None
        return found

    def on_cards(phone: str) -> list[tuple[str, str, Decimal, Decimal]]:
        cards = chain.stored_value.of_member(SYSTEM, of(phone).member_id)
        return [(card.store_id, card.currency, card.principal, card.bonus) for card in cards]

    zhang, li, dora = "13800138031", "13900139032", "+4915123456789"
    assert [of(phone).home_store for phone in (zhang, li, dora)] == ["S01", "S02", "B01"]
    joined = [of(phone).enrolled_at for phone in (zhang, li, dora)]
    # Noon of the store's day; who has none joined with the file.
    assert joined == [datetime(2021, 5, 1, 4, tzinfo=UTC), datetime(2022, 6, 1, 4, tzinfo=UTC), chain.clock()]
    assert {consent.at for consent in of(zhang).consents} == {chain.clock()}, "what they agreed to is said today"
    balance = chain.points.balance(SYSTEM, of(zhang).member_id)
    assert [(expiry.points, expiry.at) for expiry in balance.expiring] == [(10, datetime(2099, 12, 31, 16, tzinfo=UTC))]
    money = [
        [("S01", "CNY", Decimal("1200.50"), Decimal("99.50"))],
        [("S02", "CNY", Decimal(0), Decimal(20))],
        [("B01", "EUR", Decimal(50), Decimal(0))],
    ]
    assert [on_cards(phone) for phone in (zhang, li, dora)] == money
    # Sent again, as it was, with another store or another amount in it: nothing comes twice.
    changed = content.replace("三里屯店".encode(), b"S01").replace(b",20,", b",30,")
    for again in (run(content, dry_run=True), run(content), run(changed)):
        assert (again.enrolled, again.known, again.opened, again.principal) == (0, 3, 0, {})
    # What an earlier file didn't say is brought in when one says it, where the member was enrolled.
    late = "external_no,name,phone,points,尺码\nE11,钱七,13900139041,3,\n".encode()
    assert run(late).opened == 1
    later = "external_no,name,phone,store,points,principal,尺码\nE11,钱七,13900139041,S02,3,7,\n".encode()
    assert [run(later, dry_run=True).opened, run(later).opened, run(later).opened] == [1, 1, 0]
    assert on_cards("13900139041") == [("S01", "CNY", Decimal(7), Decimal(0))]
    assert [on_cards(phone) for phone in (zhang, li, dora)] == money
    # The same people in a file without the old system's numbers bring nothing a second time.
    bare = "name,phone,points,principal,尺码\n钱七,13900139041,3,7,\n".encode()
    assert [run(bare, dry_run=True).opened, run(bare).opened] == [0, 0]
    assert on_cards("13900139041") == [("S01", "CNY", Decimal(7), Decimal(0))]
    # Whoever has some stores only brings members to none but those.
    few = replace_scope(scope_of("hq"), stores=frozenset({"S01"}))
    elsewhere = "name,phone,store\n孙八,13900139042,S02\n周九,13900139043,静安店\n".encode()
    done = chain.members.imports.run(few, "S01", io.BytesIO(elsewhere), BASIS)
    assert ([(each.line, each.field) for each in done.errors], done.enrolled) == ([(2, "store")], 1)
