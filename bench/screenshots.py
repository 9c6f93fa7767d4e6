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
from uuid import UUID

from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from dashboards.app import mount
from server.access.models import Locale
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from tests.dashboards.seed import NOW, Chain, seed
from tests.dashboards.views import VIEWS, show, sign_in, wait_until_drawn
from tests.fixtures.browser import chromium_browser, serving
from tests.fixtures.chromium import find_chromium

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
LOCALES: tuple[Locale, ...] = get_args(Locale)
WIDTHS = {1440: 900, 1024: 768, 390: 844}


@contextmanager
def served_chain() -> Iterator[tuple[str, Services, Chain]]:
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
        chain = seed(services, stores=5, days=185)
        app = create_app(services)
        mount(app, services)
        with serving(app) as address:
            yield address, services, chain
        services.db.close()
    finally:
        postgres.remove()
        shutil.rmtree(folder, ignore_errors=True)


def picture(page: Page, width: int, scheme: Scheme, file: Path) -> None:
    """One form of the page that is open. Charts draw themselves anew; the picture waits for that."""
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.emulate_media(color_scheme=scheme)
    wait_until_drawn(page, scheme)
    page.screenshot(path=file, full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wide > 0:
        print(f"{file.stem}: {wide} px wider than the window")


def take(browser: Browser, address: str, out: Path, only: str, services: Services, members: tuple[UUID, ...]) -> int:
    """Every page in every form; answers how many."""
    count = 0
    for locale in LOCALES:
        with services.db.transaction() as conn:
            conn.execute("UPDATE app_user SET locale = %s", (locale,))
        for who in dict.fromkeys(view.who for view in VIEWS):
            context = browser.new_context(locale="zh-CN" if locale == "zh" else "en-GB", reduced_motion="reduce")
            page = context.new_page()
            if who:
                sign_in(page, address, who)
            for view in VIEWS:
                forms = [
                    (width, scheme, out / f"{view.name}-{locale}-{width}-{scheme}.png")
                    for width in WIDTHS
                    for scheme in SCHEMES
                    if only in f"{view.name}-{locale}-{width}-{scheme}"
                ]
                if view.who != who or not forms:
                    continue
                show(page, address, view, members)
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
    with (
        sync_playwright() as playwright,
        chromium_browser(playwright, path) as browser,
        served_chain() as (address, services, chain),
    ):
        count = take(browser, address, options.out, options.only, services, chain.members)
    print(f"{count} pictures in {options.out}")


if __name__ == "__main__":
    main()
