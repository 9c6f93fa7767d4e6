"""A manager watches the count rise while a box counts: a real video, a real box, a real browser.

The video runs at its own pace, as a camera would. The store lies in whichever timezone has its midday now, so that it
is open whatever the time of the test.
"""

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from server.access.models import Scope
from server.ingest.broker import EmbeddedBroker
from server.services import make_services
from server.stores.models import NewStore, every_day
from tests.fixtures.browser import Watch
from tests.fixtures.processes import central_settings, edge_toml, is_up, parsed, running
from tests.fixtures.wait import wait_until

PASSWORD = "a long enough password"
pytestmark = [pytest.mark.browser, pytest.mark.footage]


def test_a_manager_watches_people_come_in(
    db_dsn: str, any_broker: EmbeddedBroker, browser: Browser, footage: Path, tmp_path: Path
) -> None:
    env = central_settings(db_dsn, any_broker)
    base = f"http://127.0.0.1:{env['DOORLINE_WEB_PORT']}"
    truth = json.loads((footage / "truth.json").read_text())["clips"]["one-by-one.mp4"]
    config = edge_toml(
        tmp_path,
        port=any_broker.port,
        password=set_up(env, any_broker),
        video=footage / "video" / "one-by-one.mp4",
        line=next(line for line in truth["lines"] if line["name"] == "table"),
        more="loop = true",
    )
    watch = Watch(base)

    with running(env, tmp_path, "web"), running(env, tmp_path, "ingest"):
        wait_until(lambda: is_up(base), timeout=120, what="the web server")
        context = browser.new_context(base_url=base, locale="zh-CN")
        page = context.new_page()
        watch.attach(page)
        page.goto("/sign-in")
        page.locator("#username").fill("manager")
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/stores/S01")
        expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=30_000)
        entered = page.locator('[data-live="visitors"]')
        before = entered.inner_text()

        with running(env, tmp_path, "edge", "run", str(config)):
            # In the video the first person comes in after 7 seconds, the second after 24.
            expect(entered).to_have_text("1", timeout=90_000)
            expect(entered).to_have_text("2", timeout=90_000)
            page.get_by_role("button", name="English").click()
            expect(page.locator("html")).to_have_attribute("lang", "en")
            expect(page.get_by_text("Visitors").first).to_be_visible()
            expect(entered).to_have_text("2")
            page.get_by_role("button", name="中文").click()
            expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        context.close()

    assert before in {"0", "—"}
    watch.check()


def set_up(env: dict[str, str], broker: EmbeddedBroker) -> str:
    """Make the store, its camera, its manager and its box; gives the box's password."""
    admin = Scope.system()
    with make_services(parsed(env)) as services:
        services.stores.add_store(
            admin, NewStore("S01", "静安店", timezone=where_it_is_midday(), hours=every_day(time(6), time(18)))
        )
        services.stores.add_camera(
            admin, "S01", "S01-C1", "正门", installed_at=datetime.now(UTC) - timedelta(minutes=5)
        )
        services.stores.add_line(admin, "S01-C1", "S01-L1", "正门")
        services.access.create_user(admin, "manager", PASSWORD, "王店长", "manager", ["S01"], "zh")
        device = services.stores.add_device(admin, "S01", "door-1")
    broker.add_user("door-1", device.password)
    return device.password


def where_it_is_midday() -> str:
    """A timezone in which it is between 11:30 and 12:30 now. (The sign of these names is the other way round.)"""
    now = datetime.now(UTC)
    ahead = round(12 - now.hour - now.minute / 60)
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"
