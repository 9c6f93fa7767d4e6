"""Spending at the desk: told before it is done, done once to a form, refused in words, by whoever shows the card."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboards.entry.forms import Form, read_number
from server.membership.coupons.models import NewDefinition
from server.membership.models import Member, MemberRef, NewMember
from server.membership.points.rules import Rules
from server.membership.stored_value.models import NewBonusRule
from server.membership.wording import standard_consents
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_in_browser import sign_in
from tests.dashboards.test_sign_in import csrf_of
from tests.fixtures.browser import Watch

_TEN_OFF = NewDefinition(
    title={"zh": "立减十元", "en": "Ten off"}, kind="amount", currency="CNY", value=Decimal(10), valid_days=30
)


@dataclass
class Desk:
    """A desk with a member before it."""

    client: httpx.Client
    token: str
    member: Member

    def send(self, path: str, **values: str) -> httpx.Response:
        """One form of the member's card."""
        data = {"csrf_token": self.token, "card": self.member.card_no, "store": "S01", **values}
        return self.client.post(path, data=data)

    def go_on(self, asked: httpx.Response) -> httpx.Response:
        """What the page's own button for doing it sends."""
        form = re.search(r'<section class="card confirm".*?</section>', asked.text, re.DOTALL)
        assert form is not None, asked.text
        action = re.search(r'action="([^"]+)"', form.group(0))
        assert action is not None
        data = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form.group(0)))
        assert data["sure"] == "yes"
        return self.client.post(action.group(1), data=data)


@pytest.fixture(scope="module")
def rules(shop: Shop) -> Iterator[None]:
    """What is promised in this chain."""
    shop.services.points.save_rules(
        ADMIN, Rules(rates={"CNY": Decimal(1)}, value={"CNY": Decimal("0.01")}, least=100, step=50), "tests"
    )
    shop.services.value_rules.add_bonus_rule(ADMIN, NewBonusRule("CNY", Decimal(500), percent=Decimal(10)))
    yield
    shop.clock.pass_by(1)
    shop.services.points.save_rules(ADMIN, Rules(), "tests")


@pytest.fixture
def desk(as_user: Callable[[str], httpx.Client], shop: Shop, rules: None) -> Desk:
    """A member of a sister shop, with points, who shows the card here."""
    new = NewMember("钱多多", f"137{uuid4().int % 10**8:08}", "S02", standard_consents("zh", marketing=True))
    member = shop.services.membership.enrol(ADMIN, new)
    shop.services.adjustments.adjust(ADMIN, member.member_id, 730, "tests", str(uuid4()))
    client = as_user("desk")
    page = client.get("/desk").text
    found = client.post("/desk", data={"q": member.card_no, "csrf_token": csrf_of(page)}).text
    assert "<dd data-points>730</dd>" in found
    assert "worth ¥7" in found
    return Desk(client, csrf_of(found), member)


def test_points_are_told_then_redeemed_once_to_a_form(desk: Desk, shop: Shop) -> None:
    key = str(uuid4())
    asked = desk.send("/desk/spend/points", points="５００", item=key, receipt_no="T-1")
    assert "Redeem points of 钱多多?" in asked.text
    assert "¥5.00" in asked.text
    assert "<dd>230</dd>" in asked.text, "what is left after it"
    assert shop.services.points.balance(ADMIN, desk.member.member_id).balance == 730, "nothing is taken by asking"
    for _ in range(2):
        done = desk.go_on(asked)
        assert done.status_code == 200
        assert "500 points redeemed" in done.text
        assert "Take ¥5.00 off the bill. 230 are left." in done.text
    assert shop.services.points.balance(ADMIN, desk.member.member_id).balance == 230
    other = desk.send("/desk/spend/points", points="100", item=key, receipt_no="T-1", sure="yes")
    assert other.status_code == 409
    assert "used for something else already" in other.text


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ("800", 409, "Only 730 points can be spent now."),
        ("120", 422, "from 100 on, in steps of 50"),
        ("-100", 422, "from 100 on"),
        ("many", 422, "from 100 on"),
    ],
)
def test_points_that_cant_be_spent_are_refused_beside_the_field(
    desk: Desk, typed: str, status: int, words: str
) -> None:
    answer = desk.send("/desk/spend/points", points=typed, item=str(uuid4()))
    assert answer.status_code == status
    problem = re.search(r'id="points-error">.*?</p>', answer.text, re.DOTALL)
    assert problem is not None
    assert words in problem.group(0)
    assert f'value="{typed}"' in answer.text


def test_a_coupon_is_shown_with_its_code_and_redeemed_once(desk: Desk, shop: Shop) -> None:
    promise = shop.services.coupon_definitions.add(
        ADMIN,
        NewDefinition(
            title={"zh": "满减券", "en": "Thirty off"},
            kind="amount",
            currency="CNY",
            value=Decimal(30),
            minimum_spend=Decimal(200),
            valid_days=30,
        ),
    )
    coupon = shop.services.coupons.issue(ADMIN, promise.definition_id, desk.member.member_id, str(uuid4()))
    found = desk.client.post("/desk", data={"q": desk.member.card_no, "csrf_token": desk.token}).text
    assert "Thirty off" in found
    assert shop.services.coupons.code(ADMIN, coupon.coupon_id) in found
    values = {"coupon": str(coupon.coupon_id), "receipt_no": "T-2"}
    little = desk.send("/desk/spend/coupons", amount="150", item=str(uuid4()), **values)
    assert little.status_code == 409
    assert "Another ¥50.00 has to be spent for this coupon." in little.text
    nowhere = desk.send("/desk/spend/coupons", amount="250", item=str(uuid4()), coupon=str(coupon.coupon_id))
    assert nowhere.status_code == 422
    assert "Enter the number of the till&#39;s receipt." in nowhere.text
    asked = desk.send("/desk/spend/coupons", amount="250.00", item=str(uuid4()), **values)
    for _ in range(2):
        assert "Take ¥30.00 off receipt T-2." in desk.go_on(asked).text
    again = desk.send("/desk/spend/coupons", amount="250", item=str(uuid4()), **values)
    assert again.status_code == 409
    assert "This coupon was used already." in again.text
    strange = desk.send("/desk/spend/coupons", amount="250", item=str(uuid4()), coupon="none", receipt_no="T-2")
    assert strange.status_code == 404


def test_a_card_is_opened_topped_up_and_paid_with(desk: Desk, shop: Shop) -> None:
    assert "Card opened" in desk.send("/desk/value-cards", item=str(uuid4())).text
    (card,) = shop.services.stored_value.of_member(ADMIN, desk.member.member_id)
    values = {"value_card": str(card.card_id)}
    over = desk.send("/desk/top-ups", amount="6,000", item=str(uuid4()), **values)
    assert over.status_code == 422
    assert "At most ¥5,000.00 may be on a card, and ¥0.00 is on it now." in over.text
    asked = desk.send("/desk/top-ups", amount="1,000", tender="wechat", item=str(uuid4()), **values)
    for words in ("Top up the card of 钱多多?", "WeChat Pay", "¥100.00", "¥1,100.00"):
        assert words in asked.text
    for _ in range(2):
        done = desk.go_on(asked).text
        assert "¥1,000.00 paid in, ¥100.00 bonus on top. ¥1,100.00 is on the card." in done
    paid = desk.send("/desk/spend/value", amount="550", receipt_no="T-3", item=str(uuid4()), **values)
    assert "¥500.00" in paid.text
    for _ in range(2):
        done = desk.go_on(paid).text
        assert "¥500.00 of principal and ¥50.00 of bonus. ¥550.00 is left on the card." in done
    (card,) = shop.services.stored_value.of_member(ADMIN, desk.member.member_id)
    assert (card.principal, card.bonus) == (Decimal(500), Decimal(50))
    less = desk.send("/desk/spend/value", amount="551", item=str(uuid4()), **values)
    assert less.status_code == 409
    assert "Only ¥550.00 is on the card." in less.text
    for nonsense in ("", "abc", "0", "1.005", "1e999", "12,50", "1,0000"):
        answer = desk.send("/desk/spend/value", amount=nonsense, item=str(uuid4()), **values)
        assert answer.status_code == 422, nonsense
        assert "Enter an amount, such as 1,280.50" in answer.text
    shop.services.value_cards.freeze(ADMIN, card.card_id, "S01", "lost")
    frozen = desk.send("/desk/spend/value", amount="1", item=str(uuid4()), sure="yes", **values)
    assert frozen.status_code == 409
    assert "This card is frozen or closed." in frozen.text


def test_what_was_redeemed_by_mistake_today_is_told_then_taken_back_once(
    desk: Desk, shop: Shop, as_user: Callable[[str], httpx.Client]
) -> None:
    promise = shop.services.coupon_definitions.add(ADMIN, _TEN_OFF)
    coupon = shop.services.coupons.issue(ADMIN, promise.definition_id, desk.member.member_id, str(uuid4()))
    desk.go_on(desk.send("/desk/spend/points", points="500", item=str(uuid4()), receipt_no="T-5"))
    values = {"coupon": str(coupon.coupon_id), "amount": "80", "receipt_no": "T-6"}
    card = desk.go_on(desk.send("/desk/spend/coupons", item=str(uuid4()), **values)).text
    (points,) = re.findall(r'name="number" value="(\d+)"', _form(card, "/desk/take-back/points"))
    (redemption,) = re.findall(r'name="number" value="(\d+)"', _form(card, "/desk/take-back/coupons"))
    bare = desk.send("/desk/take-back/points", number=points, reason=" ", item=str(uuid4()))
    assert bare.status_code == 422
    assert "Say why, in a few words." in bare.text
    asked = desk.send("/desk/take-back/points", number=points, reason="wrong member", item=str(uuid4()))
    for words in ("Take a redemption of 钱多多 back?", "<dd>500</dd>", "<dd>730</dd>", "T-5", "wrong member"):
        assert words in asked.text
    assert shop.services.points.balance(ADMIN, desk.member.member_id).balance == 230, "nothing is done by asking"
    for _ in range(2):
        done = desk.go_on(asked).text
        assert "500 points given back" in done
        assert "The member has 730 now." in done
        assert 'action="/desk/take-back/points"' not in done, "there is nothing of points left to be taken back"
    late = desk.send("/desk/take-back/points", number=points, reason="once more", item=str(uuid4()))
    assert late.status_code == 409
    assert "It was taken back already, or is not of today." in late.text
    asked = desk.send("/desk/take-back/coupons", number=redemption, reason="wrong receipt", item=str(uuid4()))
    assert "Ten off" in asked.text
    for _ in range(2):
        assert "¥10.00 is to be paid again on receipt T-6." in desk.go_on(asked).text
    assert [each.coupon_id for each in shop.services.coupons.of_member(ADMIN, desk.member.member_id)] == [
        coupon.coupon_id
    ]
    desk.go_on(desk.send("/desk/spend/points", points="100", item=str(uuid4())))
    shop.clock.pass_by(26 * 3600)
    client = as_user("desk")
    page = client.get("/desk").text
    tomorrow = client.post("/desk", data={"q": desk.member.card_no, "csrf_token": csrf_of(page)}).text
    assert "<dd data-points>630</dd>" in tomorrow
    assert "take-back" not in tomorrow, "what is of yesterday is in the books"


@pytest.mark.browser
def test_a_mistake_is_taken_back_with_the_keyboard_alone(page: Page, shop: Shop, rules: None, watch: Watch) -> None:
    member = shop.services.membership.enrol(
        ADMIN, NewMember("周到", "13744440001", "S01", standard_consents("zh", marketing=False))
    )
    shop.services.adjustments.adjust(ADMIN, member.member_id, 400, "tests", str(uuid4()))
    sign_in(page, shop, "desk")
    page.goto(f"/desk/members/{member.member_id}")
    made = shop.services.points.redeem(ADMIN, "S01", MemberRef(card=member.card_no), 150, str(uuid4()), "T-7")
    page.reload()
    listed = page.locator("li", has=page.locator('form[action="/desk/take-back/points"]'))
    expect(listed).to_contain_text("T-7")
    listed.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(f"#points-{made.entry.entry_id}-reason")).to_be_focused()
    page.keyboard.type("wrong customer")
    page.keyboard.press("Enter")
    confirm = page.locator(".confirm")
    expect(confirm).to_contain_text("150")
    expect(confirm).to_contain_text("wrong customer")
    expect(confirm.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-points]")).to_have_text("400")
    expect(page.locator('form[action="/desk/take-back/points"]')).to_have_count(0)


def _form(text: str, action: str) -> str:
    form = re.search(rf'<form[^>]*action="{action}".*?</form>', text, re.DOTALL)
    assert form is not None, f"no form for {action}"
    return form.group(0)


def test_a_sister_shops_card_is_paid_with_by_its_own_number(desk: Desk, shop: Shop) -> None:
    """The member's own card comes with a telephone number, which many know."""
    card = shop.services.value_cards.open(ADMIN, "S02", str(uuid4()), member_id=desk.member.member_id)
    shop.services.stored_value.top_up(ADMIN, card.card_id, "S02", Decimal(300), str(uuid4()))
    found = desk.client.post("/desk", data={"q": desk.member.card_no, "csrf_token": desk.token}).text
    assert "Number on the card" in found
    assert f"ends in {str(card.card_no)[-4:]}" in found
    assert str(card.card_no) not in found
    values = {"value_card": str(card.card_id), "amount": "120"}
    for number in ("", desk.member.card_no, "4" * 16):
        refused = desk.send("/desk/spend/value", item=str(uuid4()), card_no=number, sure="yes", **values)
        assert refused.status_code == 422
        assert "Enter the number on the card itself, all 16 digits" in refused.text
    assert shop.services.stored_value.card(ADMIN, card.card_id).balance == 300
    asked = desk.send("/desk/spend/value", item=str(uuid4()), card_no=f" {card.card_no} ", **values)
    assert "¥180.00 is left on the card." in desk.go_on(asked).text
    topped = desk.send("/desk/top-ups", item=str(uuid4()), card_no=str(card.card_no), **values)
    assert "¥120.00 paid in" in desk.go_on(topped).text


def test_nobody_spends_in_a_store_that_is_not_theirs_or_with_a_card_that_is_none(desk: Desk) -> None:
    assert desk.send("/desk/spend/points", store="S02", points="100", item=str(uuid4())).status_code == 403
    assert desk.send("/desk/spend/points", card="0000000000", points="100", item=str(uuid4())).status_code == 404


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("1,000", "1000"),
        ("￥１２，３４５．５０", "12345.50"),
        ("1 250", "1250"),
        ("-7.5", "-7.5"),
        ("12.50", "12.50"),
        *((text, None) for text in ("12,50", "1,00", "1,0000", "0,5", "1.000,50", ",5", "1e3", "1_000", "NaN", "")),
    ],
)
def test_a_comma_stands_between_thousands_and_nowhere_else(typed: str, read: str | None) -> None:
    found, form = read_number(typed), Form({"amount": typed})
    assert found == (None if read is None else Decimal(read))
    assert form.number("amount", optional=False) == found
    assert ("amount" in form.problems) == (read is None)


def test_a_refused_form_keeps_its_store_and_marks_the_field_it_is_about(
    as_user: Callable[[str], httpx.Client], desk: Desk
) -> None:
    desk.client = as_user("admin")
    desk.token = csrf_of(desk.client.get("/desk").text)
    # The member's own store is S02: what the page would fall back to.
    answer = desk.send("/desk/spend/points", points="100,0", receipt_no="T-9", item=str(uuid4()))
    assert answer.status_code == 422
    form = answer.text[answer.text.index('action="/desk/spend/points"') :]
    form = form[: form.index("</form>")]
    assert re.findall(r'value="(\w+)" selected', form) == ["S01"]
    inputs = {name: whole for whole, name in re.findall(r'(<input class="input"[^>]*name="(\w+)"[^>]*>)', form)}
    assert 'aria-invalid="true"' in inputs["points"]
    assert "autofocus" in inputs["points"]
    assert "aria-invalid" not in inputs["receipt_no"]
