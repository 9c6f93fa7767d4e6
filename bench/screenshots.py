"""Takes every page in both languages, at three widths, in light and dark: ``python -m bench.screenshots``.

It makes a chain of its own on the embedded database, with ninety days of history, so that the pictures need nothing and
are the same each time. They land in ``.artifacts/screenshots``; look at every one after a change to the pages.
"""

import argparse
import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from dashboards.app import mount
from server.access.models import Locale
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from tests.dashboards.seed import NOW, PASSWORD, seed
from tests.fixtures.browser import chromium_browser, serving
from tests.fixtures.chromium import find_chromium

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
LOCALES: tuple[Locale, ...] = get_args(Locale)
WIDTHS = {1440: 900, 1024: 768, 390: 844}
#: Name, who looks, address.
PAGES = (
    ("sign-in", "", "/sign-in"),
    ("store", "manager", "/stores/S01"),
    ("store-trouble", "hq", "/stores/S03"),
    ("hq", "hq", "/hq"),
    ("hq-90", "hq", "/hq?range=90d&sort=-net_sales"),
    ("hq-today", "hq", "/hq?range=today"),
    ("desk", "desk", "/desk"),
    ("desk-enrol", "desk", "/desk"),
    ("desk-problem", "desk", "/desk"),
    ("desk-member", "desk", "/desk"),
    ("refused", "manager", "/stores/S02"),
    ("missing", "desk", "/nowhere"),
    ("styleguide", "hq", "/styleguide"),
)


@contextmanager
def chain() -> Iterator[tuple[str, Services]]:
    """The application with its chain, served."""
    folder = Path(tempfile.mkdtemp(prefix="doorline-screens-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", settings=FAST)
    try:
        postgres.start()
        migrate(postgres.dsn)
        settings = Settings(
            dsn=SecretStr(postgres.dsn),
            secret_key=SecretStr(base64.b64encode(b"screens" * 8).decode()),
            argon2_memory_kib=1024,
            argon2_time_cost=1,
        )
        services = make_services(settings, clock=lambda: NOW)
        seed(services, stores=5, days=185)
        app = create_app(services)
        mount(app, services)
        with serving(app) as address:
            yield address, services
        services.db.close()
    finally:
        postgres.remove()
        shutil.rmtree(folder, ignore_errors=True)


def arrange(page: Page, name: str) -> None:
    """Bring a page into the state its picture is of."""
    if name == "desk-enrol":
        find(page, "13912345678")
    elif name == "desk-problem":
        find(page, "李雷")
        page.locator("#phone").fill("138")
        with page.expect_navigation():
            page.locator("form[action='/desk/members'] button[type=submit]").click()
    elif name == "desk-member":
        find(page, "13800138000")


def find(page: Page, text: str) -> None:
    """Ask the desk for somebody."""
    page.locator("#q").fill(text)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def sign_in(page: Page, address: str, who: str) -> None:
    """Become somebody."""
    page.goto(f"{address}/sign-in")
    page.locator("#username").fill(who)
    page.locator("#password").fill(PASSWORD)
    with page.expect_navigation(url=lambda url: "/sign-in" not in url):
        page.keyboard.press("Enter")


def picture(page: Page, width: int, scheme: Scheme, file: Path) -> None:
    """One form of the page that is open. Charts draw themselves anew; the picture waits for that."""
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        """scheme => [...document.querySelectorAll('.chart')].every(chart =>
            (chart.dataset.drawn ?? '').endsWith(scheme)
            && Math.abs(chart.querySelector('.main-svg').clientWidth - chart.clientWidth) < 2
            && chart.dataset.drawn.startsWith('narrow') === chart.clientWidth < 560)""",
        arg=scheme,
    )
    page.screenshot(path=file, full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wide > 0:
        print(f"{file.stem}: {wide} px wider than the window")


def take(browser: Browser, address: str, out: Path, only: str, services: Services) -> int:
    """Every page in every form; answers how many."""
    count = 0
    for locale in LOCALES:
        with services.db.transaction() as conn:
            conn.execute("UPDATE app_user SET locale = %s", (locale,))
        for who in dict.fromkeys(viewer for _, viewer, _ in PAGES):
            context = browser.new_context(locale="zh-CN" if locale == "zh" else "en-GB", reduced_motion="reduce")
            page = context.new_page()
            if who:
                sign_in(page, address, who)
            for name, viewer, path in PAGES:
                forms = [
                    (width, scheme, out / f"{name}-{locale}-{width}-{scheme}.png")
                    for width in WIDTHS
                    for scheme in SCHEMES
                    if only in f"{name}-{locale}-{width}-{scheme}"
                ]
                if viewer != who or not forms:
                    continue
                page.goto(address + path)
                arrange(page, name)
                for width, scheme, file in forms:
                    picture(page, width, scheme, file)
                    count += 1
            context.close()
    return count


def main() -> None:
    """Take them all, or those whose name contains the argument."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="part of a picture's name, such as hq-zh")
    parser.add_argument("--out", type=Path, default=Path(".artifacts/screenshots"))
    options = parser.parse_args()
    path = find_chromium()
    if path is None:
        raise SystemExit("no Chromium found: install it, or run `playwright install chromium`")
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, chromium_browser(playwright, path) as browser, chain() as (address, made):
        count = take(browser, address, options.out, options.only, made)
    print(f"{count} pictures in {options.out}")


if __name__ == "__main__":
    main()
