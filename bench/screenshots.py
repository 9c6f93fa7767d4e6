"""Takes every page in both languages, at three widths, in light and dark: ``python -m bench.screenshots``.

The chain is the demo's, made in an embedded database as it would stand on one Saturday afternoon: pages are full, as in
a shop, and show the same figures each time. A chain made for tests has no coupons, tiers or cards, and half the pages
were only ever seen empty. Pictures land in ``.artifacts/screenshots``; look at every one after a change to the pages.

Four are the README's as well: a screenful each, small, in ``docs/pictures``.
"""

import argparse
import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Literal, get_args

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from cli.demo import repository
from cli.demo.chain import STORES
from cli.demo.seeding import Seeding
from dashboards.app import mount
from server.access.models import Locale
from server.app import create_app
from server.jobs.days import Days
from server.membership.crypto import MemberKeys
from server.services import Services, make_services
from server.settings import Settings
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from tests.dashboards.seed import NOW, TODAY, Chain, people, statuses
from tests.dashboards.views import VIEWS, show, sign_in, wait_until_drawn
from tests.fixtures.browser import chromium_browser, serving
from tests.fixtures.chromium import find_chromium

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
LOCALES: tuple[Locale, ...] = get_args(Locale)
WIDTHS = {1440: 900, 1024: 768, 390: 844}
#: Business days of history before today.
_DAYS = 90


@dataclass(frozen=True)
class Shown:
    """A picture of the README.

    Attributes:
        file: its name, without the ending.
        size: of the window, in pixels; what is below is left out.
    """

    file: str
    view: str
    locale: Locale
    scheme: Scheme
    size: tuple[int, int]


SHOWN = (
    Shown("store", "store", "zh", "light", (1280, 1000)),
    Shown("chain", "hq", "en", "dark", (1280, 1000)),
    Shown("desk", "desk-member", "en", "light", (1280, 1000)),
    Shown("why", "store-why", "en", "light", (1280, 1000)),
)
PICTURES = Path("docs/pictures")
#: Of a hundred. Letters stay sharp, and a picture is smaller than its text would be in a letter.
_QUALITY = 78


@contextmanager
def served_chain() -> Iterator[tuple[str, Services, Chain]]:
    """The application with its chain, served."""
    folder = Path(tempfile.mkdtemp(prefix="doorline-screens-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", settings=FAST)
    try:
        postgres.start()
        migrate(postgres.dsn)
        key = base64.b64encode(b"screens" * 8).decode()
        settings = Settings(
            dsn=SecretStr(postgres.dsn),
            secret_key=SecretStr(key),
            argon2_memory_kib=1024,
            argon2_time_cost=1,
        )
        services = make_services(settings, clock=lambda: NOW)
        chain = _made(services, postgres.dsn, MemberKeys.from_base64(key))
        app = create_app(services)
        mount(app, services)
        with serving(app) as address:
            yield address, services, chain
        services.db.close()
    finally:
        postgres.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _made(services: Services, dsn: str, keys: MemberKeys) -> Chain:
    """The demo's chain and its past, with somebody of each role and boxes that were heard just now."""
    # Without the limits of the pages' own connections: a whole past takes longer than an answer may.
    with Database(dsn, 4) as db:
        seeding = Seeding(db, keys, TODAY, lambda *_: None, clock=lambda: NOW)
        first = TODAY - timedelta(days=_DAYS)
        seeding.make_chain(first)
        seeding.fill(first, NOW)
        Days(db, services.stores, services.kpi, lambda: NOW).dirty(Event())
        with db.read() as conn:
            members = repository.members_of(conn, STORES[0].store_id)
    people(services, [store.store_id for store in STORES])
    statuses(services, {store.device: store.camera for store in STORES}, NOW)
    return Chain(tuple(store.store_id for store in STORES), tuple(each.member_id for each in members), STORES[0].device)


def picture(page: Page, width: int, scheme: Scheme, file: Path) -> None:
    """One form of the page that is open. Charts draw themselves anew; the picture waits for that."""
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.emulate_media(color_scheme=scheme)
    wait_until_drawn(page, scheme)
    page.screenshot(path=file, full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wide > 0:
        print(f"{file.stem}: {wide} px wider than the window")


def screenful(page: Page, shown: Shown, folder: Path) -> None:
    """A picture for the README of the page that is open."""
    page.set_viewport_size({"width": shown.size[0], "height": shown.size[1]})
    page.emulate_media(color_scheme=shown.scheme)
    wait_until_drawn(page, shown.scheme)
    page.evaluate("document.activeElement?.blur()")
    taken = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    file = folder / f"{shown.file}.webp"
    if taken is None or not cv2.imwrite(str(file), taken, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]):
        raise SystemExit(f"{file} could not be written")
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def take(browser: Browser, address: str, out: Path, only: str, services: Services, chain: Chain) -> int:
    """Every page in every form, and the README's pictures when all are taken; answers how many."""
    count = 0
    shown = [each for each in SHOWN if only in ("", "readme")]
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
                pictures = [each for each in shown if (each.view, each.locale) == (view.name, locale)]
                if view.who != who or not (forms or pictures):
                    continue
                show(page, address, view, chain)
                for each in pictures:
                    screenful(page, each, PICTURES)
                for width, scheme, file in forms:
                    picture(page, width, scheme, file)
                    count += 1
            context.close()
    return count


def main() -> None:
    """Take them all, or those whose name contains the argument."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "only", nargs="?", default="", help="part of a picture's name, such as hq-zh; readme: only those four"
    )
    parser.add_argument("--out", type=Path, default=Path(".artifacts/screenshots"))
    options = parser.parse_args()
    path = find_chromium()
    if path is None:
        raise SystemExit("no Chromium found: install it, or run `playwright install chromium`")
    options.out.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        chromium_browser(playwright, path) as browser,
        served_chain() as (address, services, chain),
    ):
        count = take(browser, address, options.out, options.only, services, chain)
    print(f"{count} pictures in {options.out}")


if __name__ == "__main__":
    main()
