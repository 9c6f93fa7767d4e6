"""Every page, as somebody comes to it: what pictures are taken of, and what is asked whether everybody can use it.

One list for both, so that a page nobody looks at fails a test (`test_accessible.py`) and not a visitor. An address may
name what a chain has: `{member}` (the id of its first member) and `{box}` (the name of the first store's box).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.dashboards.seed import PASSWORD, Chain


@dataclass(frozen=True)
class View:
    """One state of a page.

    Attributes:
        name: what its pictures are called.
        who: user name of whoever looks; empty for somebody not signed in.
        path: its address.
        arrange: what is done on the page before it is looked at.
    """

    name: str
    who: str
    path: str
    arrange: Callable[[Page], None] | None = None


def find(page: Page, text: str) -> None:
    """Ask the desk for somebody."""
    page.locator("#q").fill(text)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def _wrong_number(page: Page) -> None:
    find(page, "李雷")
    page.locator("#phone").fill("138")
    with page.expect_navigation():
        page.locator("form[action='/desk/members'] button[type=submit]").click()


VIEWS = (
    View("sign-in", "", "/sign-in"),
    View("store", "manager", "/stores/S01"),
    View("store-trouble", "hq", "/stores/S03"),
    View("store-facts", "manager", "/stores/S01/facts"),
    View("store-roster", "manager", "/stores/S01/roster"),
    View("store-opening", "manager", "/stores/S01/opening"),
    View("store-corrections", "hq", "/stores/S01/corrections"),
    View("store-silences", "manager", "/stores/S01/silences"),
    View("store-why", "manager", "/stores/S01/why/conversion"),
    View("hq", "hq", "/hq"),
    View("hq-90", "hq", "/hq?range=90d&sort=-net_sales"),
    View("hq-today", "hq", "/hq?range=today"),
    View("hq-regions", "hq", "/hq?by=region&alike=1&rank=atv"),
    View("hq-change", "hq", "/hq/change"),
    View("facts", "hq", "/facts"),
    View("silences", "hq", "/silences"),
    View("jobs", "hq", "/jobs"),
    View("file", "hq", "/entries/file"),
    View("imports", "hq", "/imports"),
    View("imports-members", "hq", "/imports/members"),
    View("imports-conflicts", "hq", "/imports/conflicts"),
    View("imports-rates", "hq", "/imports/rates"),
    View("value", "hq", "/members/value"),
    View("value-members", "manager", "/members/value/members"),
    View("gradings", "hq", "/members/gradings"),
    View("people", "manager", "/members/people"),
    View("person", "manager", "/members/people/{member}"),
    View("tiers", "hq", "/members/tiers"),
    View("points", "hq", "/members/points"),
    View("requests", "hq", "/members/requests"),
    View("coupons", "hq", "/members/coupons"),
    View("stored-value", "hq", "/members/stored-value"),
    View("member-form", "hq", "/members/form"),
    View("desk", "desk", "/desk"),
    View("desk-enrol", "desk", "/desk", lambda page: find(page, "13912345678")),
    View("desk-problem", "desk", "/desk", _wrong_number),
    View("desk-member", "desk", "/desk/members/{member}"),
    View("desk-correction", "desk", "/desk/members/{member}/correction"),
    View("desk-kept", "desk", "/desk/kept"),
    View("desk-offline", "desk", "/desk/offline"),
    View("card-print", "desk", "/desk/members/{member}/card"),
    View("account", "desk", "/account"),
    View("account-codes", "desk", "/account/codes"),
    View("users", "admin", "/admin/users"),
    View("user-new", "admin", "/admin/users/new"),
    View("user", "admin", "/admin/users/manager"),
    View("admin-stores", "admin", "/admin/stores"),
    View("admin-store", "admin", "/admin/stores/S01"),
    View("admin-store-new", "admin", "/admin/stores/new"),
    View("admin-stores-file", "admin", "/admin/stores/file"),
    View("admin-devices", "admin", "/admin/devices"),
    View("admin-device", "admin", "/admin/devices/{box}"),
    View("admin-device-new", "admin", "/admin/devices/new"),
    View("admin-cameras", "admin", "/admin/cameras/S01"),
    View("admin-camera", "admin", "/admin/cameras/S01/S01-C1"),
    View("admin-keys", "admin", "/admin/keys"),
    View("admin-key-new", "admin", "/admin/keys/new"),
    View("admin-settings", "hq", "/admin/settings"),
    View("admin-audit", "admin", "/admin/audit"),
    View("setup", "admin", "/setup"),
    View("refused", "manager", "/stores/S02"),
    View("missing", "desk", "/nowhere"),
    View("styleguide", "hq", "/styleguide"),
)

#: Addresses that answer with no page of their own, or with one that needs more than an address, each for its reason.
NO_VIEW = {
    "/": "leads to whatever is one's own",
    "/admin": "leads to the first page one may open",
    "/admin/cameras/{store_id}/{camera_id}/fate": "a part of the camera's page",
    "/admin/keys/{key_id}": "needs a key: tests/dashboards/test_key_pages.py looks at it",
    "/admin/stores/template.csv": "a file",
    "/admin/stores/template.xlsx": "a file",
    "/healthz": "for machines",
    "/hq/change.{form}": "a file",
    "/hq/stores.{form}": "a file",
    "/setup/state": "a part of /setup",
    "/c/{key}": "its key is in no database: tests/dashboards/test_card_page.py looks at it",
    "/desk/kept/{item_id}": "needs an item a tablet sealed: tests/dashboards/test_desk_offline.py looks at it",
    "/desk/worker.js": "a script",
    "/imports/conflicts/{conflict_id}": "needs a conflict: tests/dashboards/test_imports_in_browser.py looks at it",
    "/imports/members/{import_id}": "needs a file that was sent: as above",
    "/imports/members/{import_id}/errors.csv": "a file",
    "/imports/members/{import_id}/errors.xlsx": "a file",
    "/imports/receipts/{import_id}": "needs a file that was sent: as above",
    "/imports/receipts/{import_id}/errors.csv": "a file",
    "/imports/receipts/{import_id}/errors.xlsx": "a file",
    "/members/coupons/{definition_id}": "needs a coupon: tests/dashboards/test_members_in_browser.py looks at it",
    "/members/erasures/{erasure_id}": "needs an erasure: tests/dashboards/test_person_pages.py looks at it",
    "/sign-in/code": "a step within signing in, as the two below",
    "/sign-in/enrol": "as above",
    "/sign-in/external": "leads to the identity provider",
    "/sign-in/external/back": "leads away",
    "/sign-in/password": "as above",
    "/stores/{store_id}/live": "a stream",
    "/stores/{store_id}/quarters": "figures for the chart of the store's page",
}


def address_of(view: View, chain: Chain) -> str:
    """The view's address in a seeded chain."""
    return view.path.replace("{member}", str(chain.members[0])).replace("{box}", chain.box)


def matches(path: str, view: View) -> bool:
    """Whether a view shows the route of a path such as `/stores/{store_id}/facts`."""
    pattern = re.sub(r"\{\w+\}", "[^/]+", path)
    return re.fullmatch(pattern, view.path.partition("?")[0]) is not None


def sign_in(page: Page, address: str, who: str) -> None:
    """Become somebody."""
    page.goto(f"{address}/sign-in")
    page.locator("#username").fill(who)
    page.locator("#password").fill(PASSWORD)
    with page.expect_navigation(url=lambda url: "/sign-in" not in url):
        page.keyboard.press("Enter")


def show(page: Page, address: str, view: View, chain: Chain) -> None:
    """Open a view and bring it into its state."""
    page.goto(address + address_of(view, chain))
    if view.arrange is not None:
        view.arrange(page)


def wait_until_drawn(page: Page, scheme: str) -> None:
    """Charts draw themselves anew when the colours or the width change; wait for all of them."""
    page.wait_for_function(
        """scheme => [...document.querySelectorAll('.chart')].every(chart =>
            (chart.dataset.drawn ?? '').endsWith(scheme)
            && Math.abs(chart.querySelector('.main-svg').clientWidth - chart.clientWidth) < 2
            && chart.dataset.drawn.startsWith('narrow') === chart.clientWidth < 560)""",
        arg=scheme,
    )
