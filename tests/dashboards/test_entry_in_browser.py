"""A roster, an event and a correction entered in a real browser, with the keyboard where a person would use it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY
from tests.dashboards.test_in_browser import _SMALL, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _as_it_was(shop: Shop) -> Iterator[None]:
    yield
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM roster_day")
        conn.execute("DELETE FROM correction")
        conn.execute("DELETE FROM fact WHERE title = '商场周年庆'")
        conn.execute("DELETE FROM dirty_mark")


def fits(page: Page) -> None:
    """Nothing sticks out sideways, and a finger hits everything."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(_SMALL) == []


def test_entering_a_roster_by_keyboard(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager")
    page.get_by_role("link", name="排班").click()
    # How a time is typed is the browser's own matter and differs by where it stands.
    page.get_by_label("班次 1 开始").fill("10:00")
    page.get_by_label("班次 1 结束").fill("18:00")
    page.keyboard.press("Tab")
    page.get_by_label("班次 1 人数").focus()
    page.keyboard.type("3")
    fits(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("排班已保存")
    (shift,) = shop.services.corrections.roster(ADMIN, "S01", TODAY) or []
    assert (int(shift.people), (shift.ends_at - shift.starts_at).total_seconds()) == (3, 8 * 3600)
    expect(page.locator(".days [aria-current]")).to_contain_text("24.0 小时")


def test_entering_an_event_on_a_tablet(page: Page, shop: Shop) -> None:
    page.set_viewport_size({"width": 820, "height": 1100})
    sign_in(page, shop, "manager")
    page.get_by_role("link", name="记录一项").click()
    page.locator("#kind").select_option("event")
    page.locator("#title").fill("商场周年庆")
    fits(page)
    page.locator("#title").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("已记录")
    expect(page.locator(".entries li.now", has_text="商场周年庆")).to_be_visible()
    page.goto("/stores/S01")
    expect(page.locator(".marks")).to_contain_text("商场周年庆")


def test_making_and_withdrawing_a_correction(page: Page, shop: Shop) -> None:
    sign_in(page, shop, "manager", "en")
    page.get_by_role("link", name="Corrections").click()
    page.locator("#starts_at").fill("2026-11-21T11:00")
    page.locator("#ends_at").fill("2026-11-21T11:30")
    page.locator("#reason").fill("A delivery")
    fits(page)
    page.get_by_role("button", name="Make the correction").click()
    expect(page.get_by_role("status")).to_contain_text("Correction made")
    page.goto("/stores/S01")
    expect(page.locator("#hours-chart")).to_contain_text("left out")
    page.get_by_role("link", name="Came in today").click()
    expect(page.get_by_role("heading", name="Why this number?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("A delivery")
    fits(page)
    page.get_by_role("link", name="Corrections", exact=True).click()
    page.get_by_text("Withdraw", exact=True).first.click()
    page.get_by_placeholder("Why it no longer holds").fill("It was another day")
    page.get_by_role("button", name="Withdraw it").click()
    expect(page.get_by_role("status")).to_contain_text("Correction withdrawn")
    expect(page.locator(".entries.past")).to_contain_text("It was another day")
