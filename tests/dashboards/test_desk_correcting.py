"""A member put right at the desk, and a number that changed hands: by a code, with a trace, with nothing typed lost."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboards.desk.benefits import birthday_told, days_to_birthday, given
from dashboards.formats import Formats
from server.membership.fields import CustomField, Rules
from server.membership.models import Member, NewMember
from server.membership.sending import CodeMessage
from server.membership.tiers.rules import Benefits, Level, TierRules
from server.membership.wording import standard_consents
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_in_browser import sign_in
from tests.dashboards.test_sign_in import csrf_of
from tests.fixtures.browser import Watch


@dataclass
class Phones:
    """What arrives on people's phones."""

    codes: dict[str, str] = field(default_factory=dict)
    away: bool = False

    def send(self, message: CodeMessage) -> None:
        """A carrier, as a plug-in is one."""
        if self.away:
            raise OSError("no carrier")
        self.codes[message.number] = message.code


@pytest.fixture
def phones(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Phones:
    """A carrier that the test can read."""
    made = Phones()
    monkeypatch.setattr(shop.services.members.codes, "_sender", made)
    return made


def _number() -> str:
    return f"136{uuid4().int % 10**8:08}"


def _member(shop: Shop, name: str, number: str, store: str = "S01") -> Member:
    return shop.services.membership.enrol(
        ADMIN, NewMember(name, number, store, standard_consents("zh", marketing=False), birthday=date(1990, 2, 3))
    )


def _problem(text: str, name: str) -> str:
    found = re.search(rf'id="{re.escape(name)}-error">.*?<span>(.*?)</span>', text, re.DOTALL)
    return found[1] if found else ""


def _hidden(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(code_id|sent_to|moves)" value="([^"]*)"', text))


def _trail(shop: Shop, member_id: UUID) -> list[str]:
    return [each.action for each in shop.services.access.audit_trail(ADMIN, limit=30) if each.subject == str(member_id)]


def test_a_member_is_put_right_by_the_keyboard_alone(page: Page, watch: Watch, shop: Shop) -> None:
    watch.expected.append("422")
    number, members = _number(), shop.services.membership
    member = _member(shop, "王晓名", number)
    sign_in(page, shop, "desk")
    page.goto(f"/desk/members/{member.member_id}")
    page.locator(f'a[href="/desk/members/{member.member_id}/correction"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_be_focused()
    assert number not in page.content(), "who corrects a name needn't see the number"
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(page.locator("#name-error")).to_be_visible()
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type("王晓明")
    page.keyboard.press("Tab")
    page.keyboard.type("138")
    page.keyboard.press("Enter")
    expect(page.locator("#phone")).to_be_focused()
    expect(page.locator("#name")).to_have_value("王晓明")
    new = _number()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(new)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/desk/members/{member.member_id}?note=corrected")
    expect(page.locator("#member-title")).to_have_text("王晓明")
    found = members.find_by_phone(ADMIN, new)
    assert found is not None
    assert (found.member_id, found.birthday) == (member.member_id, date(1990, 2, 3)), "what was not touched stays"
    assert members.find_by_phone(ADMIN, number) is None
    newest = shop.services.access.audit_trail(ADMIN, limit=1)[0]
    assert (newest.actor, newest.action, newest.detail) == ("desk", "member.change", {"fields": ["name", "phone"]})


def test_a_birthday_is_taken_back_and_own_fields_are_asked_of_whom_they_were_asked(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    form, member = shop.services.members.form, _member(shop, "林一", _number())
    form.define(ADMIN, CustomField("size", "number", {"zh": "尺码", "en": "Size"}, Rules(least="30", most="50"), 1))
    form.define(ADMIN, CustomField("hat", "text", {"zh": "帽", "en": "Hat"}, Rules(required=True), 2))
    try:
        client, address = as_user("desk"), f"/desk/members/{member.member_id}/correction"
        token = csrf_of(client.get(address).text)

        def send(**values: str) -> httpx.Response:
            return client.post(address, data={"csrf_token": token, "name": "林一", **values}, follow_redirects=True)

        wrong = send(**{"custom.size": "90", "birthday": "2999-01-01"})
        assert wrong.status_code == 422
        assert "30 to 50" in _problem(wrong.text, "custom.size")
        assert _problem(wrong.text, "custom.hat") == "", "nobody asked when the member was enrolled"
        wrong = send(**{"custom.size": "42", "birthday": "2999-01-01"})
        assert "a date in the past" in _problem(wrong.text, "birthday")
        assert 'name="custom.size" value="42"' in wrong.text, "what was typed stands there still"
        assert "Corrected" in send(**{"custom.size": "42", "custom.hat": "7"}).text
        kept = shop.services.membership.member(ADMIN, member.member_id)
        assert (kept.birthday, kept.custom) == (None, {"size": "42", "hat": "7"})
        assert 'value="42"' in client.get(address).text
        assert "nobody is enrolled without it" in _problem(send(**{"custom.size": ""}).text, "custom.hat")
        assert "Corrected" in send(**{"custom.hat": "7"}).text
        assert shop.services.membership.member(ADMIN, member.member_id).custom == {"hat": "7"}
    finally:
        form.retire(ADMIN, "size")
        form.retire(ADMIN, "hat")


def test_nobody_puts_a_sister_shops_member_right(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    member, client = _member(shop, "远方", _number(), "S02"), as_user("desk")
    address = f"/desk/members/{member.member_id}/correction"
    assert client.get(address).status_code == 404
    data = {"csrf_token": csrf_of(client.get("/desk").text), "name": "x", "phone": _number()}
    assert client.post(address, data=data).status_code == 404
    assert client.post(f"{address}/code", data=data).status_code == 404


def test_a_number_that_changed_hands_enrols_its_new_holder_by_a_code(
    as_user: Callable[[str], httpx.Client], shop: Shop, phones: Phones
) -> None:
    number, members, client = _number(), shop.services.membership, as_user("desk")
    old = _member(shop, "旧主", number, "S02")
    token = csrf_of(client.get("/desk").text)
    data = {"name": "新主", "phone": number, "home_store": "S01", "consent": "yes", "csrf_token": token}
    known = client.post("/desk/members", data=data)
    assert known.status_code == 409
    assert "Already a member" in known.text
    assert "旧主" in known.text
    assert 'value="新主"' in known.text, "what was typed stands there still"
    assert 'formaction="/desk/members/code"' in known.text
    assert not phones.codes, "nothing goes out before the desk says so"

    assert _problem(client.post("/desk/members/code", data={**data, "name": ""}).text, "name")
    assert not phones.codes, "first what is wrong with the form, then a code"
    phones.away = True
    failed = client.post("/desk/members/code", data=data)
    assert (failed.status_code, "could not be sent" in _problem(failed.text, "phone")) == (429, True)
    phones.away = False
    shop.clock.pass_by(60)
    asked = client.post("/desk/members/code", data=data)
    assert asked.status_code == 200
    code = phones.codes[f"+86{number}"]
    assert code not in asked.text
    data |= _hidden(asked.text)
    assert data["sent_to"].endswith(number[-4:])
    again = client.post("/desk/members/code", data=data)
    assert (again.status_code, "45 seconds" in _problem(again.text, "code")) == (429, True)
    assert _hidden(again.text)["code_id"] == data["code_id"], "the code that came holds still"

    wrong = client.post("/desk/members", data={**data, "code": f"{(int(code) + 1) % 10**6:06}"})
    assert (wrong.status_code, "wrong or no longer holds" in _problem(wrong.text, "code")) == (422, True)
    assert re.search(r'name="code"[^>]* autofocus', wrong.text)
    held = members.find_by_phone(ADMIN, number)
    assert held is not None
    assert held.member_id == old.member_id
    done = client.post("/desk/members", data={**data, "code": f" {code} "}, follow_redirects=True)
    assert "Enrolled with a number that was proved" in done.text
    new = members.find_by_phone(ADMIN, number)
    assert new is not None
    assert (new.name, new.home_store, new.phone_verified_at) == ("新主", "S01", shop.clock.now)
    assert members.member(ADMIN, old.member_id).phone == "", "whoever had it keeps all but the number"
    assert _trail(shop, old.member_id)[0] == "member.detach_phone"
    assert _trail(shop, new.member_id) == ["member.enrol"]
    shown = as_user("admin").get(f"/desk/members/{old.member_id}").text
    assert "no number any more" in shown
    assert "Show full number" not in shown


def test_the_desk_says_by_the_keyboard_that_a_number_is_another_persons_now(
    page: Page, watch: Watch, shop: Shop, phones: Phones
) -> None:
    number = _number()
    old = _member(shop, "从前", number)
    sign_in(page, shop, "desk", "en")
    page.goto("/desk")
    page.keyboard.type(number)
    page.keyboard.press("Enter")
    expect(page.locator("#member-title")).to_have_text("从前")
    page.get_by_role("button", name="Somebody else has this number now").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_be_focused()
    expect(page.locator("#phone")).to_have_value(number)
    page.keyboard.type("如今")
    page.locator("input[name=consent]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.type(phones.codes[f"+86{number}"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/members/*?note=moved")
    expect(page.locator("#member-title")).to_have_text("如今")
    assert shop.services.membership.member(ADMIN, old.member_id).phone == ""


def test_a_correction_takes_a_number_from_somebody_by_a_code_only(
    as_user: Callable[[str], httpx.Client], shop: Shop, phones: Phones
) -> None:
    number, client = _number(), as_user("desk")
    old, member = _member(shop, "甲", number), _member(shop, "乙", _number())
    address = f"/desk/members/{member.member_id}/correction"
    data = {"csrf_token": csrf_of(client.get(address).text), "name": "乙", "phone": number}
    known = client.post(address, data=data)
    assert known.status_code == 409
    assert _problem(known.text, "phone") == "This number belongs to a member already."
    assert client.get(re.findall(r'name="next" value="([^"]+)"', known.text)[0]).status_code == 200
    assert _problem(client.post(f"{address}/code", data={**data, "phone": ""}).text, "phone")
    asked = client.post(f"{address}/code", data=data)
    data |= {**_hidden(asked.text), "code": phones.codes[f"+86{number}"]}
    assert "Corrected" in client.post(address, data=data, follow_redirects=True).text
    held = shop.services.membership.find_by_phone(ADMIN, number)
    assert held is not None
    assert held.member_id == member.member_id
    assert "member.detach_phone" in _trail(shop, old.member_id)


def test_the_card_tells_what_the_tier_gives_and_that_the_birthday_is_near(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    tiers, client = shop.services.tiers, as_user("desk")
    gives = Benefits(discount=Decimal("7.5"), multiplier=Decimal("1.5"), birthday_gift="a cake")
    _, before = tiers.rules(ADMIN)
    tiers.save_rules(ADMIN, TierRules(levels=(Level(slug="member", benefits=gives), *before.levels[1:])), "tests")
    shop.clock.pass_by(1)
    try:
        near = (shop.clock.now + timedelta(days=3)).date()
        new = NewMember("寿星", _number(), "S01", standard_consents("zh", marketing=False), birthday=date(1992, 3, 4))
        member = shop.services.membership.enrol(ADMIN, new)
        token = csrf_of(client.get("/desk").text)
        address = f"/desk/members/{member.member_id}"
        assert "Birthday in" not in _benefits(client.get(address).text)
        data = {"csrf_token": token, "name": "寿星", "birthday": near.replace(year=1992).isoformat()}
        page = client.post(f"{address}/correction", data=data, follow_redirects=True).text
        assert re.findall(r">([^<>]+)</span>", _benefits(page)) == [
            "Birthday in 3 days: a cake",
            "7.5% off",
            "1.5 times the points",
            "birthday gift: a cake",
        ]
        assert "of the staff" not in page
        client.post(f"{address}/advisor", data={"csrf_token": token, "advisor": "周倩"})
        assert "Served by 1 of the staff" in client.get(address).text
        sister = _member(shop, "远方", _number(), "S02")
        found = client.post("/desk", data={"csrf_token": token, "q": sister.card_no}).text
        assert "7.5% off" in _benefits(found), "a tier counts in every store"
        assert "Birthday" not in _benefits(found), "a birthday is the member's own stores' to know"
    finally:
        tiers.save_rules(ADMIN, before, "tests")


def _benefits(text: str) -> str:
    found = re.search(r"<p[^>]*data-benefits>.*?</p>", text, re.DOTALL)
    return found[0] if found else ""


def test_a_birthday_is_counted_to_by_the_calendar() -> None:
    born = date(1992, 2, 29)
    assert days_to_birthday(born, date(2027, 2, 28)) == 0
    assert days_to_birthday(born, date(2028, 2, 28)) == 1
    assert days_to_birthday(born, date(2026, 12, 31)) == 59
    fmt = Formats("en")
    assert birthday_told(date(1990, 1, 2), date(2026, 12, 31), "", fmt) == "Birthday in 2 days"
    assert birthday_told(date(1990, 12, 31), date(2026, 12, 31), "tea", fmt) == "Birthday today: tea"
    assert birthday_told(date(1990, 3, 1), date(2026, 12, 31), "tea", fmt) == ""
    assert given(Benefits(), fmt) == []
