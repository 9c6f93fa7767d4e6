"""Headquarters in a real browser: two periods compared, the bridge opened, the view saved, files taken along."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.conftest import Shop
from tests.dashboards.test_entry_in_browser import fits
from tests.dashboards.test_in_browser import sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _as_it_was(shop: Shop) -> Iterator[None]:
    yield
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM saved_view")


def test_hq_compares_two_periods_and_takes_the_answer_along(page: Page, shop: Shop, tmp_path: Path) -> None:
    sign_in(page, shop, "hq")
    expect(page.locator("#quadrant")).to_have_attribute("data-drawn", re.compile("wide"))
    fits(page)
    page.get_by_label("排名依据").select_option("net_sales")
    page.get_by_role("button", name="显示").click()
    expect(page.locator(".stores .place").first).to_have_text("1")
    page.get_by_role("link", name="销售变化原因").click()
    page.locator("#range").select_option("chosen")
    page.locator("#first").fill("2026-11-14")
    page.locator("#last").fill("2026-11-20")
    page.locator("#compare").select_option("chosen")
    page.locator("#other_first").fill("2026-11-07")
    page.get_by_role("button", name="对比", exact=True).click()
    expect(page.locator("#waterfall")).to_have_attribute("data-drawn", re.compile("wide"))
    whole = page.locator(".bridge tr.whole").last.inner_text()
    # Of the chain, and then of a branch.
    page.locator(".changes tbody a").first.click()
    expect(page.locator("#waterfall")).to_have_attribute("data-drawn", re.compile("wide"))
    expect(page.locator(".bridge tr.whole").last).not_to_have_text(whole)
    fits(page)
    page.get_by_label("视图名称").fill("静安双周")
    page.get_by_role("button", name="保存视图").click()
    page.goto("/hq")
    page.get_by_role("link", name="静安双周").click()
    expect(page).to_have_url(re.compile(r"/hq/change\?.*store=S01"))
    for form, begins in (("XLSX", b"PK"), ("CSV", "\ufeff".encode()), ("PDF", b"%PDF")):
        with page.expect_download() as download:
            page.get_by_role("link", name=form).click()
        kept = tmp_path / f"file.{form.lower()}"
        download.value.save_as(kept)
        assert kept.read_bytes().startswith(begins)


def test_the_bridge_is_read_on_a_tablet(page: Page, shop: Shop) -> None:
    page.set_viewport_size({"width": 820, "height": 1100})
    sign_in(page, shop, "hq", "en")
    page.goto("/hq/change")
    expect(page.locator("#waterfall")).to_have_attribute("data-drawn", re.compile("wide|narrow"))
    fits(page)
    expect(page.locator(".bridge")).to_contain_text("Net sales now")
