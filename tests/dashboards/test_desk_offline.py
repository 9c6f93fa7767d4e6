"""A desk whose network goes away in the middle of a customer, and comes back: nothing lost, nothing twice.

The outage is a real one: between the browser and the server stands a proxy that is cut.
"""

import json
import re
import sys
from collections.abc import Iterator
from time import monotonic
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from server.access.models import Locale
from server.membership.fields import CustomField, Option, Rules
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, PASSWORD
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until

pytestmark = pytest.mark.browser

#: All that a browser has kept of a site, as text: databases, caches and both storages.
_KEPT = """async () => {
    const kept = {local: {...localStorage}, session: {...sessionStorage}, caches: [], databases: []};
    for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
            if (!request.url.endsWith('/desk/offline')) continue;
            kept.caches.push(await (await cache.match(request)).text());
        }
    }
    for (const {name} of await indexedDB.databases()) {
        const open = indexedDB.open(name);
        const database = await new Promise((done) => { open.onsuccess = () => done(open.result); });
        for (const store of database.objectStoreNames) {
            const all = database.transaction(store).objectStore(store).getAll();
            kept.databases.push(await new Promise((done) => { all.onsuccess = () => done(all.result); }));
        }
        database.close();
    }
    return JSON.stringify(kept);
}"""


@pytest.fixture
def line(address: str) -> Iterator[Proxy]:
    """The shop's line to the server."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    with Proxy(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
def tablet(browser: Browser, line: Proxy) -> Iterator[BrowserContext]:
    """A tablet on the counter, behind that line."""
    context = browser.new_context(
        base_url=f"http://{line.host}:{line.port}", locale="zh-CN", viewport={"width": 1024, "height": 768}
    )
    context.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    yield context
    context.close()


def at_the_desk(context: BrowserContext, shop: Shop, username: str = "desk", locale: str = "en") -> Page:
    """Somebody signs in, and the desk has prepared for the time without a network."""
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE app_user SET locale = %s WHERE username = %s", (locale, username))
    page = context.new_page()
    page.goto("/sign-in")
    page.locator("#username").fill(username)
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)
    page.goto("/desk")
    expect(page.locator("html")).to_have_attribute("data-offline", "ready")
    return page


def members_named(shop: Shop, name: str) -> int:
    return len(shop.services.membership.search(ADMIN, name))


class Keys:
    """A keyboard that counts: each sign typed and each key pressed is one."""

    def __init__(self, page: Page) -> None:
        self._keyboard = page.keyboard
        self.strokes = 0
        self._began = monotonic()

    def type(self, text: str) -> None:
        self._keyboard.type(text)
        self.strokes += len(text)

    def press(self, key: str) -> None:
        self._keyboard.press(key)
        self.strokes += 1

    def tell(self, how: str) -> None:
        """For whoever runs this with `-s`: what it took, a machine at the keys."""
        sys.stdout.write(f"enrolled {how}: {self.strokes} keystrokes, {monotonic() - self._began:.1f} s\n")


#: Beyond number and name: look for the number, send, agree, send again.
_EXTRA = 4


def test_a_vip_is_enrolled_with_the_keyboard_alone_without_the_network_and_with_it(
    tablet: BrowserContext, line: Proxy, shop: Shop
) -> None:
    page = at_the_desk(tablet, shop)
    line.cut()
    page.locator("#q").focus()
    away = Keys(page)
    away.type("13655560001")
    away.press("Enter")
    # The page that stands without the network has taken the number along.
    expect(page.get_by_text("The network is away")).to_be_visible()
    expect(page.locator("#phone")).to_have_value("13655560001")
    expect(page.locator("#name")).to_be_focused()
    away.type("Nora Qin")
    away.press("Enter")
    # Without consent nobody is enrolled, and the box to tick has the focus.
    expect(page.locator("input[name=consent]")).to_be_focused()
    away.press("Space")
    away.press("Enter")
    expect(page.get_by_text("The enrolment is kept.")).to_be_visible()
    away.tell("without the network")
    expect(page.get_by_text("One entry is waiting.")).to_be_visible()
    kept = page.evaluate(_KEPT)
    assert "Nora" not in kept
    assert "5556" not in kept
    assert json.loads(kept)["databases"][0], "the item is kept"
    assert members_named(shop, "Nora Qin") == 0
    line.heal()
    # It notices by itself and hands in what was kept.
    page.wait_for_url(re.compile(r"/desk$"))
    expect(page.get_by_text("One entry made without a network has gone out.")).to_be_visible()
    assert members_named(shop, "Nora Qin") == 1
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-offline", "ready")
    expect(page.locator("#desk-line")).to_be_hidden()
    assert members_named(shop, "Nora Qin") == 1
    # The next customer, with the network.
    expect(page.locator("#q")).to_be_focused()
    back = Keys(page)
    back.type("13655560005")
    back.press("Enter")
    expect(page.locator("#name")).to_be_focused()
    back.type("Vera Gu")
    back.press("Enter")
    expect(page.locator("input[name=consent]")).to_be_focused()
    back.press("Space")
    back.press("Enter")
    expect(page.get_by_role("heading", name="Vera Gu")).to_be_visible()
    back.tell("with the network")
    assert away.strokes == len("13655560001") + len("Nora Qin") + _EXTRA
    assert back.strokes == len("13655560005") + len("Vera Gu") + _EXTRA


def test_what_the_chain_itself_asks_is_asked_without_the_network_and_nothing_is_spent(
    tablet: BrowserContext, line: Proxy, shop: Shop
) -> None:
    form = shop.services.members.form
    options = (Option("tea", {"zh": "茶", "en": "Tea"}), Option("run", {"zh": "跑步", "en": "Running"}))
    labels: dict[Locale, str] = {"zh": "喜好", "en": "Interests"}
    form.define(ADMIN, CustomField("likes", "choices", labels, Rules(required=True, options=options)))
    try:
        page = at_the_desk(tablet, shop)
        member = shop.services.membership.find_by_phone(ADMIN, "13800138000")
        assert member is not None
        page.goto(f"/desk/members/{member.member_id}")
        line.cut()
        # A card is opened by one click and by nothing that is kept: what is not sure is said to be so.
        page.get_by_role("button", name="Open one").click()
        expect(page.get_by_text("The network went away in the middle of it")).to_be_visible()
        page.locator("#phone").fill("13655560031")
        page.locator("#name").fill("Lena Bo")
        page.locator("input[name=consent]").check()
        page.get_by_role("button", name="Keep the enrolment").click()
        # The browser itself asks for what is missing, as it does for every field.
        expect(page.get_by_label("Tea")).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        expect(page.get_by_text("The enrolment is kept.")).to_be_visible()
        line.heal()
        page.wait_for_url(re.compile(r"/desk$"))
        expect(page.locator("#desk-line")).to_contain_text("One entry made without a network has gone out.")
        enrolled = shop.services.membership.find_by_phone(ADMIN, "13655560031")
        assert enrolled is not None
        assert enrolled.custom == {"likes": ["tea"]}
        assert shop.services.stored_value.of_member(ADMIN, member.member_id) == []
    finally:
        form.retire(ADMIN, "likes")


def test_an_answer_that_is_lost_on_its_way_enrols_nobody_twice(tablet: BrowserContext, line: Proxy, shop: Shop) -> None:
    page = at_the_desk(tablet, shop)
    page.locator("#q").fill("13655560002")
    page.keyboard.press("Enter")
    page.locator("#name").fill("Ivy Sun")
    page.locator("input[name=consent]").check()
    enrol = shop.services.membership.enrol

    def enrolled_and_cut(*args: object) -> object:
        made = enrol(*args)  # type: ignore[arg-type]
        line.cut()
        return made

    patched = pytest.MonkeyPatch()
    patched.setattr(type(shop.services.membership), "enrol", lambda _, *args: enrolled_and_cut(*args))
    try:
        page.keyboard.press("Enter")
        expect(page.get_by_text("The enrolment is kept.")).to_be_visible()
    finally:
        patched.undo()
    wait_until(lambda: members_named(shop, "Ivy Sun") == 1, what="the member whose answer was lost")
    line.heal()
    page.wait_for_url(re.compile(r"/desk$"))
    line_says = page.locator("#desk-line")
    expect(line_says).to_contain_text("One entry made without a network has gone out.")
    expect(line_says).not_to_contain_text("needs you")
    assert members_named(shop, "Ivy Sun") == 1


def test_a_number_that_was_somebodys_is_shown_when_the_network_is_back(
    tablet: BrowserContext, line: Proxy, shop: Shop
) -> None:
    page = at_the_desk(tablet, shop)
    line.cut()
    page.goto("/desk")
    expect(page.get_by_text("The network is away")).to_be_visible()
    page.locator("#phone").fill("13800138000")
    page.locator("#name").fill("Somebody Else")
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Keep the enrolment").click()
    expect(page.get_by_text("The enrolment is kept.")).to_be_visible()
    line.heal()
    page.wait_for_url(re.compile(r"/desk$"))
    expect(page.locator("#desk-line")).to_contain_text("One needs you.")
    page.get_by_role("link", name="Look at them").first.click()
    expect(page.get_by_text("This number was a member already")).to_be_visible()
    page.get_by_role("link", name="Open the member").click()
    expect(page.get_by_role("heading", name="王小明")).to_be_visible()
    page.goto("/desk/kept")
    page.get_by_role("button", name="Done with it").click()
    expect(page.get_by_text("Nothing needs you")).to_be_visible()


def test_a_member_is_checked_in_while_the_network_is_away(tablet: BrowserContext, line: Proxy, shop: Shop) -> None:
    page = at_the_desk(tablet, shop)
    with shop.services.db.read() as conn:
        before = conn.execute("SELECT count(*) FROM check_in").fetchone()
    line.cut()
    page.goto("/desk")
    page.locator("#who").fill("138 0013 8000")
    page.get_by_role("button", name="Keep the check-in").click()
    expect(page.get_by_text("The check-in is kept.")).to_be_visible()
    line.heal()
    page.wait_for_url(re.compile(r"/desk$"))
    expect(page.locator("#desk-line")).to_contain_text("One entry made without a network has gone out.")
    with shop.services.db.read() as conn:
        after = conn.execute("SELECT count(*) FROM check_in").fetchone()
    assert before is not None
    assert after == (before[0] + 1,)


def test_what_a_colleague_wrote_waits_until_they_sign_in(tablet: BrowserContext, line: Proxy, shop: Shop) -> None:
    page = at_the_desk(tablet, shop)
    line.cut()
    page.goto("/desk")
    page.locator("#phone").fill("13655560003")
    page.locator("#name").fill("Olga Bai")
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Keep the enrolment").click()
    expect(page.get_by_text("The enrolment is kept.")).to_be_visible()
    # The shift ends before the network is back: the session goes, what was kept stays.
    tablet.clear_cookies()
    line.heal()
    other = at_the_desk(tablet, shop, "hq")
    expect(other.locator("#desk-line")).to_contain_text("One entry of a colleague waits on this device")
    assert members_named(shop, "Olga Bai") == 0
    tablet.clear_cookies()
    at_the_desk(tablet, shop)
    wait_until(lambda: members_named(shop, "Olga Bai") == 1, what="the colleague's entry")
