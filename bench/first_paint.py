"""How long a person looks at nothing: first paint of a page in a Chromium that has never been there.

Each time is taken in a browser started for it, with a profile of its own, so that no cache of files, connections or
compiled scripts helps; what is measured is the browser's own account (paint timing, from the moment the address is
asked for). A figure of the server's part stands beside it: what is left is the browser's.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Playwright

from tests.fixtures.browser import chromium_browser

_TOLD = """() => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    const way = performance.getEntriesByType("navigation")[0];
    const files = performance.getEntriesByType("resource");
    return [paint.startTime, way.responseEnd, files.length,
            way.transferSize + files.reduce((sum, each) => sum + each.transferSize, 0)];
}"""


@dataclass(frozen=True)
class Painted:
    """Medians of a page.

    Attributes:
        seconds: from asking for the address to the first text or picture seen; `fastest` the best of all times.
        answered: until the page itself was there whole (seconds); its styles come after.
        files: asked for besides; `bytes` with them, as they were sent.
    """

    seconds: float
    fastest: float
    answered: float
    files: int
    bytes: int


def first_paint(playwright: Playwright, chromium: Path, address: str, cookie: str, times: int) -> Painted:
    """Open a page so many times, each in a browser of its own.

    Args:
        cookie: whose session, as a browser would send it.
    """
    told: list[list[float]] = []
    for _ in range(times):
        with chromium_browser(playwright, chromium) as browser:
            context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800})
            context.add_cookies(
                [
                    {"name": name, "value": value, "url": address}
                    for name, _, value in (each.partition("=") for each in cookie.split("; "))
                ]
            )
            page = context.new_page()
            page.goto(address, wait_until="load", timeout=60_000)
            page.wait_for_function('performance.getEntriesByName("first-contentful-paint").length', timeout=60_000)
            told.append(page.evaluate(_TOLD))
    paint, answered, files, size = (statistics.median(each) for each in zip(*told, strict=True))
    return Painted(paint / 1000, min(each[0] for each in told) / 1000, answered / 1000, round(files), round(size))
