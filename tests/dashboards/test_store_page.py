"""The store page: figures as the service gives them, withheld ones explained, hostile names harmless."""

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta

import httpx

from dashboards.formats import Formats
from dashboards.live import LiveHub
from dashboards.store_view import event, store_view
from server.kpi.live import LiveView
from server.kpi.models import COVERAGE_BELOW_THRESHOLD, KpiValue
from server.stores.models import NewFact
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY
from tests.fixtures import loops

FMT = Formats("en")


def _live(shop: Shop, store_id: str = "S01") -> LiveView:
    return shop.services.kpi.live(ADMIN, store_id)


def _shown(page: str, name: str) -> str:
    found = re.search(rf'data-live="{name}">([^<]*)<', page)
    assert found is not None, name
    return found.group(1)


def test_figures_are_those_of_the_service(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    page = as_user("manager").get("/stores/S01").text
    values = _live(shop).values
    assert _shown(page, "visitors") == FMT.number(values["visitors"].value)
    assert _shown(page, "conversion") == FMT.percent(values["conversion"].value)
    assert _shown(page, "net_sales") == FMT.money(values["net_sales"].value, "CNY")
    low, high = FMT.percent(values["conversion"].low), FMT.percent(values["conversion"].high)
    assert f"95% sure: {low}–{high}" in page


def test_the_chart_and_its_table_hold_the_same_hours(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    page = as_user("manager").get("/stores/S01").text
    found = re.search(r'id="day-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    hours = json.loads(found.group(1))["hours"]
    assert [hour["key"] for hour in hours] == re.findall(r'data-hour="([^"]+)"', page)
    total = sum(hour["visitors"] or 0 for hour in hours)
    assert total == _live(shop).values["visitors"].value
    assert not hours[0]["open"], "one closed hour stands before the first open one"


def test_marks_and_camera_troubles_are_said(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/stores/S03").text
    assert "周年庆满减" in page
    assert "1 camera needs a look" in page
    assert "Check the lights" in page


def test_a_bad_day_of_the_fortnight_says_why(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/stores/S02").text
    strip = page[page.index('class="strip"') :]
    assert strip.count("<li") == 14
    assert strip.count("The cameras missed too much of the opening time") >= 2


def test_a_fact_can_carry_no_markup(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    title = "</script><script>alert(1)</script>"
    shop.services.facts.add(ADMIN, NewFact("event", TODAY, TODAY, title, "<img src=x onerror=alert(1)>", "S03"))
    client = as_user("hq")
    for path in ("/stores/S03", "/hq?range=today"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "<img" not in text.replace('<img src="/assets/', "")


def _withheld(live: LiveView) -> LiveView:
    from dataclasses import replace

    missing = KpiValue(None, "ratio", COVERAGE_BELOW_THRESHOLD, coverage=0.4, threshold=0.9)
    return replace(live, values={**live.values, "conversion": missing})


def test_a_withheld_figure_says_why_in_both_languages(shop: Shop) -> None:
    live = _withheld(_live(shop))
    for locale, words in (("zh", "摄像头覆盖不足"), ("en", "cameras missed too much")):
        view = store_view(live, "zh" if locale == "zh" else "en")
        figure = next(each for each in view.figures if each.name == "conversion")
        assert figure.missing
        assert figure.text == "—"
        assert figure.delta is None
        assert words in figure.note


def test_what_an_open_page_is_sent_is_plain_data(shop: Shop) -> None:
    sent = event(store_view(_live(shop), "zh"))
    assert json.loads(json.dumps(sent)) == sent
    assert sent["as_of"] == "15:40:20"


def test_the_page_before_opening_shows_a_dash_and_not_a_zero_rate(shop: Shop) -> None:
    was = shop.clock.now
    try:
        shop.clock.now = was - timedelta(hours=7)
        view = store_view(_live(shop), "en")
    finally:
        shop.clock.now = was
    conversion = next(each for each in view.figures if each.name == "conversion")
    assert conversion.text == "—"
    assert conversion.note


def test_a_stream_sends_views_and_stops_polling_when_nobody_looks(address: str, shop: Shop) -> None:
    from tests.dashboards.seed import PASSWORD
    from tests.fixtures.wait import wait_until

    hub: LiveHub = shop.app.state.live
    with httpx.Client(base_url=address) as client:
        client.post("/sign-in", data={"username": "manager", "password": PASSWORD})
        with client.stream("GET", "/stores/S01/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event: ")) == "event: view"
            data = next(line for line in lines if line.startswith("data: "))
            assert json.loads(data.removeprefix("data: "))["figures"][0]["name"] == "occupancy"
            assert hub.pollers == 1
    wait_until(lambda: hub.pollers == 0, what="the poller to stop")


def test_a_look_that_breaks_does_not_end_the_looking(shop: Shop) -> None:
    """A poller that dies leaves everyone who follows the store waiting for ever."""
    live = _live(shop)
    looks: list[LiveView | ValueError] = [live, ValueError("on purpose")]

    def look(_: str) -> LiveView:
        found = looks.pop() if looks else live
        if isinstance(found, Exception):
            raise found
        return found

    async def first_two() -> list[str | None]:
        async with asyncio.timeout(120), aclosing(LiveHub(look, every_s=0.01).follow("S01", "en")) as views:
            return [await anext(views), await anext(views)]

    trouble, view = loops.run(first_two())
    assert trouble is None
    assert view is not None
    assert json.loads(view)["figures"]
