"""Every page can be used by everybody, as far as a machine can tell: axe-core finds nothing serious on any of them.

Each is looked at twice, in light colours in Chinese and in dark ones in English, since contrast hangs on the one and
labels on the other.
"""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.dashboards.conftest import Shop
from tests.dashboards.views import NO_VIEW, VIEWS, matches, show, sign_in, wait_until_drawn
from tests.server.matrix import read_table

#: What axe calls worse than a nuisance.
GRAVE = {"serious", "critical"}
_LOOKS: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", "zh"), ("dark", "en"))


def test_every_page_is_looked_at() -> None:
    pages = [name.removeprefix("GET ") for name in read_table() if name.startswith("GET /") and "/api/" not in name]
    assert len(pages) > 30
    unseen = [path for path in pages if path not in NO_VIEW and not any(matches(path, view) for view in VIEWS)]
    assert not unseen, f"add each of these to VIEWS in tests/dashboards/views.py: {unseen}"
    gone = sorted(NO_VIEW.keys() - set(pages))
    assert not gone, f"NO_VIEW tells of pages there are none of: {gone}"
    twice = [path for path in NO_VIEW if any(view.path == path for view in VIEWS) and path != "/"]
    assert not twice, twice
    assert len({view.name for view in VIEWS}) == len(VIEWS)


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "locale"), _LOOKS)
def test_nothing_serious_stands_between_anybody_and_a_page(
    browser: Browser, shop: Shop, address: str, scheme: Literal["light", "dark"], locale: str
) -> None:
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE app_user SET locale = %s", (locale,))
    axe, grave = Axe(), []
    for who in dict.fromkeys(view.who for view in VIEWS):
        context = browser.new_context(
            base_url=address,
            locale="zh-CN" if locale == "zh" else "en-GB",
            color_scheme=scheme,
            reduced_motion="reduce",
            viewport={"width": 1024, "height": 768},
        )
        page = context.new_page()
        if who:
            sign_in(page, address, who)
        for view in VIEWS:
            if view.who != who:
                continue
            show(page, address, view, shop.chain)
            wait_until_drawn(page, scheme)
            for violation in axe.run(page).response["violations"]:
                if violation["impact"] in GRAVE:
                    where = [node["target"] for node in violation["nodes"]][:5]
                    grave.append(f"{view.name} ({scheme}, {locale}): {violation['help']}: {where}")
        context.close()
    assert not grave, "\n".join(grave)
