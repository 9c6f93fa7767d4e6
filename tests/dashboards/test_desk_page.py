"""The desk: found, listed, enrolled, known already; numbers masked until somebody asks on record."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from server.access.models import Locale
from server.membership.fields import CustomField, Option, Rules
from server.membership.models import NewMember
from server.membership.wording import Wording, standard_consents
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_sign_in import csrf_of


def _ask(client: httpx.Client, text: str) -> httpx.Response:
    token = csrf_of(client.get("/desk").text)
    return client.post("/desk", data={"q": text, "csrf_token": token}, follow_redirects=True)


def _enrol(client: httpx.Client, **values: str) -> httpx.Response:
    token = csrf_of(client.get("/desk").text)
    data = {"name": "何静", "phone": "", "home_store": "S01", "consent": "yes", "csrf_token": token, **values}
    return client.post("/desk/members", data=data, follow_redirects=True)


@pytest.mark.parametrize("text", ["13800138000", "138 0013 8000", "+86 138-0013-8000"])
def test_a_member_is_found_however_the_number_is_said(as_user: Callable[[str], httpx.Client], text: str) -> None:
    answer = _ask(as_user("desk"), text)
    assert answer.status_code == 200
    assert "王小明" in answer.text
    assert "138****8000" in answer.text
    assert "13800138000" not in answer.text.replace(f'value="{text}"', "")


def test_a_member_is_found_by_card_and_by_name(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("desk")
    by_name = _ask(client, "王小明")
    card = re.search(r"<dt>Card</dt>\s*<dd class=\"row\"><span>([^<]+)</span>", by_name.text)
    assert card is not None
    assert "138****8000" in _ask(client, card.group(1)).text


@pytest.mark.parametrize("text", ["13800138001", "李婷 13800138001", "tel. 138 0013 8001"])
def test_a_sister_shops_member_is_known_but_stays_masked(as_user: Callable[[str], httpx.Client], text: str) -> None:
    answer = _ask(as_user("desk"), text)
    assert answer.status_code == 200
    assert "李婷" in answer.text
    assert "Show full number" not in answer.text


def test_nobody_found_opens_the_form_with_the_number_in_it(as_user: Callable[[str], httpx.Client]) -> None:
    answer = _ask(as_user("desk"), "13911112222")
    assert 'id="phone" name="phone" value="13911112222"' in answer.text
    assert "我同意" not in answer.text, "the wording is in the reader's language"
    assert "I agree that my name" in answer.text


def test_an_empty_search_says_what_to_enter(as_user: Callable[[str], httpx.Client]) -> None:
    assert "Enter a phone number, a card number or a name." in _ask(as_user("desk"), "  ").text


def test_enrolling_shows_the_member_and_keeps_the_wording(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    answer = _enrol(as_user("desk"), phone="13712340001", birthday="1991-05-04", marketing="yes")
    assert answer.status_code == 200
    assert "Enrolled" in answer.text
    member = shop.services.membership.find_by_phone(ADMIN, "13712340001")
    assert member is not None
    assert member.home_store == "S01"
    granted = {consent.purpose: consent.granted for consent in member.consents}
    assert granted == {"membership": True, "marketing": True}
    assert all("I agree" in consent.wording for consent in member.consents)


@pytest.fixture
def own_fields(shop: Shop) -> Iterator[None]:
    """The chain asks for more: some of it must be answered."""
    form = shop.services.members.form

    def labels(zh: str, en: str) -> dict[Locale, str]:
        return {"zh": zh, "en": en}

    size = Rules(least="30", most="50")
    likes = Rules(required=True, options=(Option("tea", labels("茶", "Tea")), Option("run", labels("跑步", "Running"))))
    form.define(ADMIN, CustomField("shoe", "number", labels("鞋码", "Shoe size"), size, 1))
    form.define(ADMIN, CustomField("kids", "boolean", labels("有孩子", "Has children"), Rules(required=True), 2))
    form.define(ADMIN, CustomField("likes", "choices", labels("喜好", "Interests"), likes, 3))
    yield
    for name in ("shoe", "kids", "likes"):
        form.retire(ADMIN, name)


def test_the_chains_own_fields_are_asked_checked_and_kept(
    as_user: Callable[[str], httpx.Client], shop: Shop, own_fields: None
) -> None:
    client = as_user("desk")
    wrong = _enrol(client, **{"phone": "13712340031", "custom.shoe": "52", "custom.kids": ""})
    assert wrong.status_code == 422
    problems = dict(re.findall(r'id="(custom\.\w+)-error">.*?<span>(.*?)</span>', wrong.text, re.DOTALL))
    assert problems == {
        "custom.shoe": "Enter a number, such as 19.5. (30 to 50)",
        "custom.kids": "Ask the customer; nobody is enrolled without it.",
        "custom.likes": "Ask the customer; nobody is enrolled without it.",
    }
    assert 'name="custom.shoe" value="52"' in wrong.text, "what was typed stands there still"
    assert re.search(r'name="custom.shoe"[^>]* autofocus', wrong.text), "the first that is wrong has the focus"
    token = csrf_of(client.get("/desk").text)
    data = {
        "name": "何静",
        "phone": "13712340031",
        "home_store": "S01",
        "consent": "yes",
        "csrf_token": token,
        "custom.shoe": "42",
        "custom.kids": "no",
        "custom.likes": ["tea", "run"],
    }
    done = client.post("/desk/members", data=data, follow_redirects=True)
    assert "Enrolled" in done.text
    assert "<dt>Interests</dt><dd>Running, Tea</dd>" in done.text
    member = shop.services.membership.find_by_phone(ADMIN, "13712340031")
    assert member is not None
    assert member.custom == {"shoe": "42", "kids": False, "likes": ["run", "tea"]}


def test_a_known_number_shows_the_member_it_belongs_to(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    before = shop.services.membership.count(ADMIN)
    answer = _enrol(as_user("desk"), phone="13800138001", name="别人")
    assert answer.status_code == 409
    assert "Already a member" in answer.text
    assert "李婷" in answer.text
    assert shop.services.membership.count(ADMIN) == before


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"phone": "138"}, "phone", "not a complete phone number"),
        ({"phone": "13900000000000"}, "phone", "not a complete phone number"),
        ({"phone": "13712340002", "name": " "}, "name", "Enter the customer"),
        ({"phone": "13712340002", "birthday": "2999-01-01"}, "birthday", "a date in the past"),
        ({"phone": "13712340002", "birthday": "soon"}, "birthday", "a date in the past"),
        ({"phone": "13712340002", "consent": ""}, "consents", "when they agree"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    as_user: Callable[[str], httpx.Client], values: dict[str, str], field: str, words: str
) -> None:
    answer = _enrol(as_user("desk"), **values)
    assert answer.status_code == 422
    problem = re.search(rf'id="{field}-error">.*?</p>', answer.text, re.DOTALL)
    assert problem is not None
    assert words in problem.group(0)
    assert f'aria-describedby="{field}-error"' in answer.text


def test_a_look_at_the_number_is_on_record(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("desk")
    page = _ask(client, "13800138000").text
    action = re.search(r'action="(/desk/members/[^"]+/phone)"', page)
    assert action is not None
    answer = client.post(action.group(1), data={"csrf_token": csrf_of(page)})
    assert "+8613800138000" in answer.text
    newest = shop.services.access.audit_trail(ADMIN, limit=1)[0]
    assert (newest.actor, newest.action) == ("desk", "member.reveal_phone")


@pytest.mark.parametrize("path", ["/desk", "/desk/members"])
def test_no_form_works_without_its_token(as_user: Callable[[str], httpx.Client], path: str) -> None:
    data = {"q": "13800138000", "name": "x", "phone": "13712349999", "home_store": "S01", "consent": "yes"}
    assert as_user("desk").post(path, data=data).status_code == 403


def test_a_store_that_is_not_ones_own_is_refused(as_user: Callable[[str], httpx.Client]) -> None:
    assert _enrol(as_user("desk"), phone="13712340003", home_store="S02").status_code == 403


def test_text_that_no_database_keeps_is_answered_with_a_page(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("desk")
    answer = client.post("/sign-in", data={"username": "a\0b", "password": "x"})
    assert answer.status_code == 422
    assert "be understood" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "Nobody is known by" in _ask(client, "a\0b").text


def test_the_language_can_be_changed_on_a_page_that_answered_a_form(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("desk")
    page = _ask(client, "13800138000").text
    action = re.search(r'action="(/desk/members/[^"]+/phone)"', page)
    assert action is not None
    revealed = client.post(action.group(1), data={"csrf_token": csrf_of(page)})
    for answer in (_enrol(client, phone="138"), revealed):
        way_back = re.search(r'name="next" value="([^"]+)"', answer.text)
        assert way_back is not None
        assert client.get(way_back.group(1)).status_code == 200


def test_a_member_enrolled_before_utc_has_the_day_is_dated_by_the_shops_clock(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    was = shop.clock.now
    # Seven in the morning of the 23rd in Shanghai is eleven in the evening of the 22nd in UTC.
    shop.clock.now = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    try:
        client = as_user("desk")
        assert "Enrolled" in _enrol(client, phone="13712340009", name="早起").text
        newest = re.search(r'<ul class="people">\s*<li>.*?</li>', client.get("/desk").text, re.DOTALL)
    finally:
        shop.clock.now = was
    assert newest is not None
    assert "早起" in newest.group(0)
    assert "23 Nov 2026" in newest.group(0)


def test_the_card_shows_what_a_member_has_and_what_was_noted(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    client = as_user("desk")
    page = _ask(client, "13800138000").text
    found = shop.services.membership.find_by_phone(ADMIN, "13800138000")
    assert found is not None
    balance = shop.services.points.balance(ADMIN, found.member_id).balance
    assert f"<dd data-points>{balance:,}</dd>" in page
    assert "Last visits" in page
    data = {"csrf_token": csrf_of(page), "text": "prefers tea & quiet"}
    noted = client.post(f"/desk/members/{found.member_id}/notes", data=data, follow_redirects=True).text
    assert "Noted" in noted
    assert "prefers tea &amp; quiet" in noted


def test_consents_are_given_and_taken_back_by_purpose_and_way(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    client = as_user("desk")
    page = _ask(client, "13800138003").text
    found = shop.services.membership.find_by_phone(ADMIN, "13800138003")
    assert found is not None
    for purpose, reach, granted in (
        ("marketing", "sms", "false"),
        ("marketing", "sms", "true"),
        ("marketing", "wechat", "true"),
        ("profiling", "", "true"),
    ):
        data = {"csrf_token": csrf_of(page), "purpose": purpose, "reach": reach, "granted": granted}
        answer = client.post(f"/desk/members/{found.member_id}/consents", data=data, follow_redirects=True)
        assert "The answer is on record" in answer.text
        consents = shop.services.membership.member(ADMIN, found.member_id).consents
        newest = max(consents, key=lambda each: each.at)
        assert (newest.purpose, newest.reach, newest.granted) == (purpose, reach, granted == "true")
        assert newest.wording
        shop.clock.pass_by(1)
    assert "WeChat: agreed" in answer.text
    shown = re.search(r'name="purpose" value="sharing">.*?name="version" value="([^"]+)"', answer.text, re.DOTALL)
    assert shown is not None
    # Words that were published while the page stood open are not what the member was asked.
    shop.services.members.consents.publish(ADMIN, Wording("sharing", "en", f"own-{uuid4().hex}", "Other words."))
    client.post(
        f"/desk/members/{found.member_id}/consents",
        data={"csrf_token": csrf_of(page), "purpose": "sharing", "version": shown[1], "granted": "true"},
    )
    newest = max(shop.services.membership.member(ADMIN, found.member_id).consents, key=lambda each: each.at)
    assert (newest.purpose, newest.version) == ("sharing", shown[1])
    assert newest.wording != "Other words."
    bad = {"csrf_token": csrf_of(page), "purpose": "marketing", "reach": "pigeon", "granted": "true"}
    assert client.post(f"/desk/members/{found.member_id}/consents", data=bad).status_code == 422


def test_advisor_tags_notes_and_the_phones_page_are_kept_from_the_card(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    client = as_user("desk")
    found = shop.services.membership.find_by_phone(ADMIN, "13800138006")
    assert found is not None
    base = f"/desk/members/{found.member_id}"
    token = csrf_of(_ask(client, "13800138006").text)

    def send(what: str, **values: str) -> httpx.Response:
        return client.post(f"{base}/{what}", data={"csrf_token": token, **values}, follow_redirects=True)

    assert "The advisor is set" in send("advisor", advisor="周 倩").text
    assert "The tags are kept" in send("tags", add="茶客，VIP").text
    member = shop.services.membership.member(ADMIN, found.member_id)
    assert (member.advisor, sorted(member.tags)) == ("周 倩", ["VIP", "茶客"])
    assert "VIP" not in send("tags", remove="VIP").text.split("<dt><label", 2)[2].split("</dl>")[0]
    refused = send("tags", add="x" * 200)
    assert refused.status_code == 422
    assert "Use 40 letters at the most" in refused.text
    assert f'value="{"x" * 200}"' in refused.text, "what was typed stands there still"
    opened = send("page").text
    address = re.search(r"http://[^<\s]+/c/[\w-]{20,}", opened)
    assert address is not None
    assert client.get(address.group(0)).status_code == 200
    link = re.search(r'name="link" value="([^"]+)"', client.get(base).text)
    assert link is not None
    assert "The page for the phone is closed" in send("page/close", link=link.group(1)).text
    assert client.get(address.group(0)).status_code == 404
    shop.services.members.notes.attach(ADMIN, found.member_id, "size.pdf", b"%PDF-1.7\n%%EOF\n")
    assert "size.pdf" in client.get(base).text


def test_a_member_checks_in_at_the_desk_once_per_form(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("desk")
    page = _ask(client, "13800138000").text
    action = re.search(r'action="(/desk/members/[^"]+/check-in)"', page)
    item = re.search(r'check-in">\s*.*?name="item" value="([^"]+)"', page, re.DOTALL)
    assert action is not None
    assert item is not None
    data = {"csrf_token": csrf_of(page), "item": item.group(1), "store": "S01"}
    for _ in range(2):
        assert "Checked in" in client.post(action.group(1), data=data, follow_redirects=True).text
    with shop.services.db.read() as conn:
        made = conn.execute("SELECT count(*) FROM check_in WHERE how = 'name'").fetchone()
    assert made == (1,)


def test_of_a_sister_shops_member_only_what_can_be_spent_is_shown(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    consents = standard_consents("zh", marketing=False)
    shop.services.membership.enrol(ADMIN, NewMember("远方", "13712340077", "S02", consents))
    page = _ask(as_user("desk"), "13712340077").text
    assert "远方" in page
    assert "data-points" in page
    for word in ("A note for colleagues", "Last visits", "Spent", "Record an answer"):
        assert word not in page
