"""Each role's minutes with the product, in a real browser. Nothing waits for a clock, only for what shows."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Request, Route, expect

from server.ingest.models import Incoming
from server.kpi.live import LiveView
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, PASSWORD, ZONE
from tests.fixtures.browser import Watch
from tests.fixtures.wait import wait_until
from wire.messages import Ack, Crossing, encode, make_batch

#: What a finger is meant to hit and is lower than it should be.
_SMALL = """() => [...document.querySelectorAll('a.button, button, .input, .nav a, .segments a, summary')]
    .filter(each => each.offsetParent && each.getBoundingClientRect().height < 44)
    .map(each => each.outerHTML.slice(0, 80))"""

pytestmark = pytest.mark.browser


def sign_in(page: Page, shop: Shop, username: str, locale: str = "zh") -> None:
    """Sign in with the keyboard, as a person does."""
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE app_user SET locale = %s WHERE username = %s", (locale, username))
    page.goto("/sign-in")
    expect(page.locator("#username")).to_be_focused()
    page.keyboard.type(username)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def walk_in(shop: Shop, people: int) -> None:
    """Let people walk in at the first shop's door, through the real ingest."""
    records = [
        Crossing(
            seq=number, at=shop.clock.now, camera="S01-C1", line="S01-L1", direction="in", track=number, group=number
        )
        for number in range(1, people + 1)
    ]
    batch = make_batch(device="box-S01", epoch=uuid4().hex, oldest=1, sent_at=shop.clock.now, records=records)
    answers = shop.services.ingest.take([Incoming("box-S01", encode(batch), shop.clock.now)])
    assert isinstance(answers[0].reply, Ack), answers


def test_a_manager_sees_the_count_rise(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager")
    expect(page).to_have_url(re.compile(r"/stores/S01$"))
    entered = page.locator('[data-live="visitors"]')
    before = int(entered.inner_text().replace(",", ""))
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    expect(page.locator("#hours-chart")).to_have_attribute("data-drawn", re.compile("wide"))
    walk_in(shop, 3)
    expect(entered).to_have_text(f"{before + 3:,}")
    # The table beside the chart follows too.
    page.locator("details summary").first.click()
    hour = page.locator('[data-hour="20261121T0700Z"] [data-cell="visitors"]')
    was = int(hour.inner_text())
    walk_in(shop, 2)
    expect(entered).to_have_text(f"{before + 5:,}")
    expect(hour).to_have_text(str(was + 2))
    # The quarter hours are drawn and stand in their table: ten hours open so far, and those to come.
    expect(page.locator("#quarters-chart")).to_have_attribute("data-drawn", re.compile("wide"))
    assert page.locator("[data-quarters] tr").count() == 48
    # And the reason is one click away: what was counted, and how well it was watched.
    page.locator("dt a.why-link").nth(1).click()
    expect(page).to_have_url(re.compile(r"/stores/S01/why/visitors\?day=2026-11-21$"))
    expect(
        page.locator("h1, h2").filter(has_text=f"{before + 5:,}").or_(page.get_by_text(f"{before + 5:,}")).first
    ).to_be_visible()


def test_a_page_says_when_it_is_no_longer_fresh(page: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(page, shop, "manager", "en")
    badge = page.locator("#live")
    expect(badge).to_contain_text("Live")
    from server.errors import Unavailable

    def away(*_: object) -> LiveView:
        raise Unavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(shop.app.state.live, "_look", away)
        expect(badge).to_have_attribute("data-state", "stale")
        expect(badge).to_contain_text("Not updating")
    expect(badge).to_have_attribute("data-state", "live")


def test_an_open_page_goes_over_to_the_new_day(page: Page, shop: Shop) -> None:
    # Half a minute before the business day ends: everything on the page is then another day's.
    shop.clock.now = datetime(2026, 11, 22, 3, 59, 30, tzinfo=ZONE).astimezone(UTC)
    sign_in(page, shop, "manager", "en")
    badge = page.locator("#live")
    expect(badge).to_have_attribute("data-state", "live")
    expect(badge).to_have_attribute("data-day", "2026-11-21")
    expect(page.locator('[data-live="visitors"]')).to_have_text(re.compile(r"^[\d,]+$"))
    shop.clock.pass_by(60)
    expect(badge).to_have_attribute("data-day", "2026-11-22")
    expect(badge).to_have_attribute("data-state", "live")
    expect(page.locator('[data-live="visitors"]')).to_have_text("—")


def test_an_open_page_shows_a_figure_being_withheld(page: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(page, shop, "manager", "en")
    conversion = page.locator('[data-live="conversion"]')
    expect(conversion).to_contain_text("%")
    live = shop.services.kpi.live(ADMIN, "S01")
    withheld = replace(live.values["conversion"], value=None, withheld="coverage_below_threshold")
    blind = replace(
        live,
        values={**live.values, "conversion": withheld},
        last_week={**live.last_week, "visitors": replace(live.last_week["visitors"], value=777)},
    )
    monkeypatch.setattr(shop.app.state.live, "_look", lambda _: blind)
    expect(conversion).to_have_text("—")
    expect(conversion).to_have_class(re.compile("none"))
    expect(page.locator('[data-live="visitors_before"]')).to_have_text("Last week 777")
    expect(page.locator('[data-note="conversion"]')).to_contain_text("cameras missed too much")


def test_switching_the_language_and_back(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_text("成交率").first).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_text("Conversion").first).to_be_visible()
    # What comes over the stream is in the new language too.
    expect(page.locator('[data-note="visitors"]')).to_contain_text("Coverage")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("今日进店")).to_be_visible()


def test_hq_sees_every_store_and_opens_one(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "hq", "en")
    expect(page).to_have_url(re.compile(r"/hq$"))
    expect(page.locator(".stores tbody tr")).to_have_count(3)
    expect(page.locator("#chain-chart")).to_have_attribute("data-drawn", re.compile("wide"))
    page.get_by_role("link", name="30 days").click()
    expect(page).to_have_url(re.compile("range=30d"))
    page.get_by_role("link", name="Net sales").click()
    expect(page.locator('th[aria-sort="descending"]')).to_contain_text("Net sales")
    page.get_by_role("link", name=re.compile("北京三里屯店")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("北京三里屯店")


def test_a_manager_of_another_store_is_refused(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("403")
    sign_in(page, shop, "other", "en")
    page.goto("/stores/S01")
    expect(page.get_by_role("heading", level=1)).to_have_text("This page is not yours to open")
    page.get_by_role("link", name="To my start page").click()
    expect(page).to_have_url(re.compile(r"/stores/S02$"))


def test_the_desk_enrols_and_finds_with_the_keyboard_alone(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("422")
    sign_in(page, shop, "desk", "en")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("13655550001")
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_be_focused()
    expect(page.locator("#phone")).to_have_value("13655550001")
    page.keyboard.type("Alice Wu")
    # Without consent nobody is enrolled, and the box to tick has the focus.
    page.keyboard.press("Enter")
    consent = page.locator("input[name=consent]")
    expect(consent).to_be_focused()
    expect(page.locator("#consents-error")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alice Wu")).to_be_visible()
    # On to the next customer, who turns out to be the same.
    expect(page.get_by_role("link", name="Next customer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("136 5555 0001")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alice Wu")).to_be_visible()
    expect(page.locator("[data-phone]")).to_have_text(re.compile(r"136\*{4}0001"))
    page.get_by_role("button", name="Show full number").press("Enter")
    expect(page.locator("[data-phone]")).to_have_text("+8613655550001")
    assert "13655550001" not in page.url


def test_a_form_whose_answer_is_shown_once_is_sent_once(page: Page, shop: Shop) -> None:
    """Of two presses the second's answer would take the place of the password that the first one's shows."""
    name = f"box-{uuid4().hex[:8]}"
    held: list[Route] = []
    sent: list[Request] = []
    sign_in(page, shop, "admin", "en")
    page.goto("/admin/devices/new")
    page.locator("#store").select_option("S01")
    page.locator("#device").fill(name)
    button = page.get_by_role("button", name="Add the box")
    expect(button).to_have_attribute("aria-disabled", "false")
    place: Any = button.bounding_box()
    page.route("**/admin/devices/new", lambda route: held.append(route))
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    with page.expect_request("**/admin/devices/new"):
        page.mouse.click(place["x"] + 10, place["y"] + 10)
    # Pressed again while its answer is awaited, by mouse and by key.
    page.mouse.click(place["x"] + 10, place["y"] + 10)
    page.keyboard.press("Enter")
    held[0].continue_()
    expect(page.locator(".handed code")).not_to_be_empty()
    assert len(sent) == len(held) == 1
    page.unroute("**/admin/devices/new")
    assert [each.device_id for each in shop.services.provisioning.devices(ADMIN)].count(name) == 1
    # Whoever comes back to the form may send it again.
    page.go_back()
    expect(page.get_by_role("button", name="Add the box")).to_have_attribute("aria-disabled", "false")


@pytest.mark.parametrize(
    ("username", "paths"),
    [("manager", ["/stores/S01"]), ("hq", ["/hq", "/styleguide"]), ("desk", ["/desk"])],
)
def test_no_page_is_wider_than_its_window(page: Page, shop: Shop, username: str, paths: list[str]) -> None:
    sign_in(page, shop, username, "en")
    for path in paths:
        page.goto(path)
        for width in (1440, 1024, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
            assert page.evaluate(_SMALL) == [], (path, width)


_LYING_ON = """() => {
    const box = each => each.getBoundingClientRect();
    const over = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const [links, others] = [".nav a", ".bar-end > *"].map(each => [...document.querySelectorAll(each)]);
    return links.flatMap(a => others.filter(b => over(box(a), box(b))).map(b => a.innerText + " on " + b.innerText));
}"""


def test_a_store_of_a_long_name_leaves_room_beside_it(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager", "en")
    store = page.locator(".nav a").first
    store.evaluate("each => each.textContent = '上海南京东路旗舰店 Shanghai Nanjing Road, flagship store'")
    for width in (1440, 1024, 820, 768, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(_LYING_ON) == [], width
        assert page.locator(".nav a").last.evaluate("each => each.scrollWidth - each.clientWidth") == 0, width


def test_a_page_nobody_sees_follows_nothing(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager", "en")
    badge = page.locator("#live")
    expect(badge).to_have_attribute("data-state", "live")
    page.evaluate(
        """() => {
            window.hide = (is) => {
                Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
                document.dispatchEvent(new Event("visibilitychange"));
            };
            window.hide(true);
        }"""
    )
    wait_until(lambda: not shop.app.state.live.pollers, what="the stream of a hidden page to be closed")
    badge.evaluate("badge => { badge.dataset.state = 'stale'; window.hide(false); window.hide(false); }")
    expect(badge).to_have_attribute("data-state", "live")
    assert sum(shop.app.state.live._streams.values()) == 1, "shown twice, it follows once"
