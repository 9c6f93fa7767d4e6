"""HQ's day with members in a real browser: tiers tried, points decided by two, coupons issued, value looked at."""

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from server.access.models import Scope
from server.membership.coupons.models import Basket, BasketLine
from server.membership.fields import CustomField
from server.membership.points.rules import Rules
from server.membership.value.models import Grading
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_entry_in_browser import fits
from tests.dashboards.test_in_browser import sign_in
from tests.fixtures.browser import Watch

pytestmark = pytest.mark.browser


#: Versions of rules are told apart by their moments: each test has ten seconds of its own.
_TURNS = itertools.count(1)


@pytest.fixture(autouse=True)
def _at_a_moment_of_its_own(shop: Shop) -> Iterator[None]:
    was = shop.clock.now
    shop.clock.pass_by(10 * next(_TURNS))
    yield
    shop.clock.now = was


def test_tiers_are_tried_before_they_are_saved(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq")
    page.goto("/members/tiers")
    last = page.locator(".level").last
    slugs = page.locator("[name=slug]")
    before = slugs.count()
    last.locator("[name=slug]").fill("Jade Card")
    last.locator("[name=zh]").fill("翡翠卡")
    last.locator("[name=spend]").fill("300")
    page.get_by_role("button", name="试算").click()
    expect(page.locator(f"#slug-{before - 1}-error")).to_contain_text("小写字母")
    page.locator(f"#slug-{before - 1}").fill("jade")
    page.get_by_role("button", name="试算").click()
    expect(page.get_by_role("heading", name="这些规则的影响")).to_be_visible()
    everybody = shop.services.membership.count(ADMIN)
    expect(page.locator(".tried .figures")).to_contain_text(re.compile(rf"会员\s*{everybody}\s"))
    fits(page)
    assert "jade" not in shop.services.tiers.known(ADMIN)
    page.locator("#reason").fill("为高消费会员")
    page.get_by_role("button", name="保存为新版本").click()
    expect(page.get_by_role("status")).to_contain_text("规则已保存")
    assert "jade" in shop.services.tiers.known(ADMIN)
    versions = page.locator(".versions li")
    expect(versions.first).to_contain_text("为高消费会员")
    versions.first.locator("summary").click()
    expect(versions.first).to_contain_text("levels.jade.spend")


def test_points_rules_are_saved_and_a_second_person_decides(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq", "en")
    page.goto("/members/points")
    page.locator("#currency-0").fill("CNY")
    page.locator("#rate-0").fill("1")
    page.locator("#value-0").fill("0.01")
    page.locator("#expires_months").fill("999")
    page.locator("#reason").fill("To begin with")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.locator("#expires_months-error")).to_contain_text("240")
    page.locator("#expires_months").fill("24")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("status")).to_contain_text("The rules are saved")
    expect(page.get_by_role("heading", name="What is owed in points, in CNY")).to_be_visible()
    fits(page)
    _, rules = shop.services.points.rules(ADMIN)
    assert (rules.rates, rules.value, rules.expires_months) == ({"CNY": Decimal(1)}, {"CNY": Decimal("0.01")}, 24)

    member = shop.chain.members[0]
    had = shop.services.points.balance(ADMIN, member).balance
    asked = shop.services.adjustments.adjust(Scope.system("clerk"), member, 5000, "a promise", uuid4().hex)
    assert asked.request is not None
    page.goto("/members/requests")
    waiting = page.locator(".entries li", has_text="a promise")
    expect(waiting).to_contain_text("+5,000")
    fits(page)
    waiting.get_by_role("button", name="Decline").click()
    expect(page.locator(".field-error")).to_contain_text("To decline, say why.")
    page.locator(".entries li", has_text="a promise").get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status")).to_contain_text("Approved and booked")
    assert shop.services.points.balance(ADMIN, member).balance == had + 5000
    shop.services.adjustments.adjust(Scope.system("clerk"), member, -500, "given back", uuid4().hex)
    shop.clock.pass_by(1)
    shop.services.points.save_rules(ADMIN, Rules(), "as before")


def test_a_coupon_is_added_issued_to_one_and_to_a_group_and_ended(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq", "en")
    page.goto("/members/coupons")
    page.locator("#title_en").fill("Ten off")
    page.locator("#valid_days").fill("30")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#value-error")).to_contain_text("amount off")
    page.locator("#value").fill("10")
    fits(page)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("status")).to_contain_text("The coupon is added")
    expect(page.get_by_role("heading", name="Ten off")).to_be_visible()
    page.locator("#who").fill("13800138000")
    page.get_by_role("button", name="Issue it").click()
    expect(page.get_by_role("status")).to_contain_text("The coupon is issued")
    page.get_by_role("button", name="Issue to them").click()
    expect(page.locator(".field-error")).to_contain_text("Choose whom")
    page.locator("#home_store").select_option("S02")
    page.get_by_role("button", name="Issue to them").click()
    # Half of the seed's people agreed to marketing.
    expect(page.get_by_role("status")).to_contain_text("not agreed to offers")
    fits(page)
    (definition_id,) = (
        each.definition_id
        for each in shop.services.coupon_definitions.definitions(ADMIN)
        if each.title == {"en": "Ten off"}
    )
    (coupon,) = [
        each
        for each in shop.services.coupons.of_member(ADMIN, shop.chain.members[0])
        if each.definition_id == definition_id
    ]
    basket = Basket("S01", "CNY", [BasketLine("TEA-1", Decimal(50))], shop.chain.members[0])
    code = shop.services.coupons.code(ADMIN, coupon.coupon_id)
    shop.services.coupons.redeem(ADMIN, code, basket, "C-1", uuid4().hex)
    page.goto(f"/members/coupons/{definition_id}")
    tally = shop.services.coupon_groups.tallies(ADMIN)[definition_id]
    assert (tally.redeemed, tally.issued) == (1, 1 + tally.open)
    expect(page.locator(".figures")).to_contain_text(re.compile(rf"Issued\s*{tally.issued}"))
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("status")).to_contain_text("It is issued no more")
    shop.clock.pass_by(31 * 86400)
    assert shop.services.coupon_groups.tallies(ADMIN)[definition_id].expired == tally.open
    shop.clock.pass_by(-31 * 86400)


def test_stored_value_is_set_and_a_manager_only_reads(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq", "en")
    page.goto("/members/stored-value")
    page.locator("#cooling_off_days").fill("900")
    page.get_by_role("button", name="Set the rules").click()
    expect(page.locator("#cooling_off_days-error")).to_be_visible()
    page.locator("#cooling_off_days").fill("14")
    page.get_by_role("button", name="Set the rules").click()
    expect(page.get_by_role("status")).to_contain_text("The rules are set")
    page.locator("#from_amount").fill("600")
    page.locator("#percent").fill("10")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("status")).to_contain_text("The rule is added")
    fits(page)
    assert shop.services.value_rules.settings(ADMIN, "CNY").cooling_off_days == 14
    page.locator("li", has_text="from ¥600").get_by_role("button", name="End it").click()
    expect(page.get_by_role("status")).to_contain_text("The rule is ended")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, shop, "manager", "en")
    page.goto("/members/stored-value")
    expect(page.get_by_text("Most on a member's card")).to_be_visible()
    expect(page.get_by_role("button", name="Set the rules")).to_have_count(0)
    fits(page)


def test_the_form_is_changed_and_erasing_is_shown_before_it_is_set(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq", "en")
    page.goto("/members/form")
    page.locator("#field").fill("shoe_size")
    page.locator("#label_zh").fill("鞋码")
    page.locator("#label_en").fill("Shoe size")
    page.locator("#kind").select_option("choice")
    page.get_by_role("button", name="Put it on the form").click()
    expect(page.locator("#options-error")).to_be_visible()
    page.locator("#options").fill("s = 小 = small\nl = 大 = large")
    page.get_by_role("button", name="Put it on the form").click()
    expect(page.get_by_role("status")).to_contain_text("The field is on the form now")
    made: list[CustomField] = [
        each for each in shop.services.members.form.fields(ADMIN) if each.field == "shoe_size" and not each.retired_at
    ]
    assert [option.value for option in made[0].rules.options] == ["s", "l"]
    page.locator("form[action='/members/form/fields/shoe_size/retire'] button").click()
    expect(page.get_by_role("status")).to_contain_text("asked for no more")
    page.get_by_label("Days: Members who were not seen").fill("400")
    page.locator("form[action='/members/form/rules/inactive'] button").click()
    expect(page.get_by_role("status")).to_contain_text("would be erased today")
    assert shop.services.members.retention.rules(ADMIN) == []
    fits(page)
    page.get_by_role("button", name="Yes, set it").click()
    expect(page.get_by_role("status")).to_contain_text("The rule is set")
    assert [(rule.rule, rule.days) for rule in shop.services.members.retention.rules(ADMIN)] == [("inactive", 400)]
    shop.services.members.retention.set_rule(ADMIN, "inactive", None)


def test_value_leads_to_the_members_and_cuts_are_tried(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    for back in (3, 2, 1):
        shop.services.value.make(ADMIN, shop.clock.now.date() - timedelta(days=back))
    sign_in(page, shop, "hq", "en")
    page.get_by_role("link", name="Loyalty").click()
    expect(page.locator("#value-chart")).to_have_attribute("data-drawn", re.compile("wide"))
    fits(page)
    cell = page.locator(".grid-of-grades a").first
    inside = int(cell.locator("span").inner_text())
    cell.click()
    expect(page.locator("tbody tr")).to_have_count(inside)
    expect(page.locator("tbody tr").first).to_contain_text("****")
    fits(page)
    page.goto("/members/gradings")
    page.locator("#frequency_cuts").fill("8, 4, 2, 1")
    page.get_by_role("button", name="Try these cuts").click()
    expect(page.locator("#frequency_cuts-error")).to_contain_text("Four rising numbers")
    page.locator("#frequency_cuts").fill("1, 2, 3, 1000")
    page.get_by_role("button", name="Try these cuts").click()
    expect(page.get_by_role("heading", name="What these cuts would do")).to_be_visible()
    trial = shop.services.value.try_grading(ADMIN, _grading(shop))
    assert {each.then for each in trial.grades if (each.of, each.grade) == ("f", 5)} == {0}
    assert sum(each.now for each in trial.grades if each.of == "f") == trial.buyers
    page.locator("#occasion").select_option("sale")
    page.locator("#amount").fill("1.5")
    page.locator("form[action='/members/gradings/costs'] button").click()
    expect(page.get_by_role("status")).to_contain_text("The cost is entered")
    fits(page)
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM serving_cost")
        conn.execute("DELETE FROM value_standing")
        conn.execute("DELETE FROM member_value")


def _grading(shop: Shop) -> Grading:
    saved = shop.services.value.grading(ADMIN)
    assert saved is not None
    return replace(saved.rules, frequency_cuts=(1, 2, 3, 1000))
