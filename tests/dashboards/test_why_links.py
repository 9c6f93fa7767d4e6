"""A number leads to what it is made of; what is not taken off it for want of a roster is said beside it."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import httpx

from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY

STORE = "S02"
Client = Callable[[str], httpx.Client]


def test_each_number_of_the_page_opens_what_it_is_made_of(as_user: Client) -> None:
    client = as_user("other")
    page = client.get(f"/stores/{STORE}").text
    strip = page[page.index('class="strip"') :]
    days = re.findall(r'href="(/stores/S02/why/(?:visitors|conversion)\?day=[\d-]+)" title="[^"]+"', strip)
    assert len(days) == 28, "visitors and conversion of fourteen days, each with its coverage or why there is none"
    table = page[page.index("<tr data-hour=") :]
    hours = re.findall(r'<th scope="row"><a class="why-link" href="([^"]+)">', table[: table.index("</tbody>")])
    assert hours, "the hours that have begun"
    quarters = [each["href"] for each in client.get(f"/stores/{STORE}/quarters").json()["quarters"]]
    assert quarters[0]
    assert not quarters[-1], "what is still to come is made of nothing"
    for address in (days[0], hours[0], quarters[0]):
        assert client.get(unescape(address)).status_code == 200, address
    assert "10:00–10:15" in client.get(quarters[0]).text
    notes = dict(re.findall(r'data-note="(\w+)">([^<]*)<', page))
    for name in ("conversion", "occupancy", "sales_per_visitor"):
        assert "Coverage " in notes[name], notes[name]


def test_headquarters_cells_of_one_day_lead_to_the_stores_why(as_user: Client) -> None:
    client = as_user("hq")
    for chosen, day in (("today", TODAY), ("yesterday", TODAY - timedelta(days=1))):
        page = client.get(f"/hq?range={chosen}").text
        found = re.findall(rf'href="(/stores/S0\d/why/\w+\?day={day})"', page)
        assert len(found) == 3 * 8
    assert client.get(found[0]).status_code == 200
    for other in ("range=7d", "range=today&by=region"):
        assert "/why/" not in client.get(f"/hq?{other}").text, "of many days or stores there is no such page"


def test_a_day_without_a_roster_says_so_where_a_rate_of_the_whole_chain_holds(as_user: Client, shop: Shop) -> None:
    hq, corrections = as_user("hq"), shop.services.corrections
    page = f"/stores/{STORE}/corrections"
    assert "No roster" not in hq.get(f"/stores/{STORE}/roster").text, "without a rate nobody is to be taken off"
    form = hq.get(f"{page}?kind=staff_rate").text
    assert "All stores without one of their own" in form
    assert "All stores without one of their own" not in as_user("other").get(page).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token is not None
    first = TODAY - timedelta(days=2)
    sent = {"kind": "staff_rate", "reason": "test", "day_from": str(first), "value": "0.5", "of": "chain"}
    answer = hq.post(page, data={"csrf_token": token[1], **sent})
    assert answer.status_code == 303, answer.text
    (made,) = [each for each in corrections.corrections(ADMIN, STORE) if each.kind == "staff_rate"]
    try:
        assert made.store_id is None
        corrections.set_roster(ADMIN, STORE, first, [])
        assert "no roster on 2 days: no staff is taken off there" in hq.get(f"/stores/{STORE}").text
        assert "No roster on 2 days" in hq.get(f"/stores/{STORE}/roster").text
        for kpi, day, is_said in (("conversion", TODAY, True), ("visitors", first, False), ("atv", TODAY, False)):
            told = hq.get(f"/stores/{STORE}/why/{kpi}?day={day}").text
            assert ("No roster for this day" in told) == is_said, kpi
        gone = hq.post(
            f"/corrections/{made.correction_id}/withdrawal",
            data={"csrf_token": token[1], "store": STORE, "reason": "test over"},
        )
        assert gone.status_code == 303
    finally:
        with shop.services.db.transaction() as conn:
            conn.execute("DELETE FROM correction WHERE correction_id = %s", (made.correction_id,))
            conn.execute("DELETE FROM roster_day WHERE store_id = %s AND day = %s", (STORE, first))
            conn.execute("DELETE FROM dirty_mark")
