"""A chain of several currencies on headquarters' page: nothing is ranked or added up across them but by dated rates."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from openpyxl import load_workbook

from dashboards.formats import NOTHING, Formats
from dashboards.hq.money import Missing, Used, reckoned
from server.sales.rate_repository import Rate
from server.sales.rates import NewRate
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY
from tests.dashboards.test_hq_page import FMT, NAMES, table

FIRST, LAST = TODAY - timedelta(days=7), TODAY - timedelta(days=1)


def rate(currency: str, day: int, value: str) -> Rate:
    return Rate(currency, "CNY", date(2026, 11, day), Decimal(value), "somebody", datetime(2026, 11, 1, tzinfo=UTC))


def test_each_day_is_reckoned_by_the_latest_rate_that_held_on_it() -> None:
    days = {date(2026, 11, day): Decimal(100) for day in (1, 2, 3)}
    rates = [rate("EUR", 3, "9"), rate("EUR", 1, "8"), rate("USD", 2, "7"), rate("EUR", 4, "1")]
    found = reckoned({"EUR": days, "CNY": days}, rates, "CNY")
    assert found.total == 300 + 800 + 800 + 900
    assert found.used == (Used("EUR", date(2026, 11, 1), date(2026, 11, 3)),)
    short = reckoned({"EUR": days, "USD": days}, rates, "CNY")
    assert short.total is None, "a part of it would be taken for the whole"
    assert short.missing == (Missing("USD", date(2026, 11, 1), date(2026, 11, 1)),)
    assert "No rate of USD for" in short.note(Formats("en"))
    # A day without sales needs no rate; and nothing known is not nought.
    assert reckoned({"USD": {date(2026, 11, 1): Decimal(0), date(2026, 11, 2): Decimal(1)}}, rates, "CNY").total == 7
    assert reckoned({}, rates, "CNY").total is None


@pytest.fixture
def mixed(shop: Shop) -> Iterator[Shop]:
    """The second shop sells in yen: the smallest of the three, with the largest number by far."""
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE store SET currency = 'JPY' WHERE store_id = 'S02'")
    yield shop
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE store SET currency = 'CNY'")
        conn.execute("DELETE FROM exchange_rate")


def headline(page: str) -> str:
    """What stands under net sales, tags aside."""
    found = re.search(r"<dt>Net sales</dt>\s*<dd>(.*?)</dd>", page, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def test_amounts_are_ranked_within_a_currency_and_added_up_by_rates(
    as_user: Callable[[str], httpx.Client], mixed: Shop
) -> None:
    client, told = as_user("hq"), "Amounts are ranked within each currency"
    for sort in ("rank=net_sales", "rank=atv", "sort=atv"):
        page = client.get(f"/hq?{sort}").text
        rows = [name for name, _ in table(page)[:-1]]
        assert rows[-1] == NAMES["S02"], "yen stand apart, whatever their number"
        assert told in page
    assert re.findall(r'class="place">(\d+)<', client.get("/hq?rank=net_sales").text) == ["1", "2", "1"]
    assert told not in client.get("/hq?rank=visitors").text
    assert "JPY" in client.get("/hq").text
    # Without a rate the sum is withheld, and says which one is missing and where to enter it.
    without = client.get("/hq").text
    assert headline(without).startswith(f"{NOTHING} No rate of JPY for ")
    assert 'href="/imports/rates">No rate of JPY' in without
    middle = FIRST + timedelta(days=3)
    mixed.services.rates.put(
        ADMIN, [NewRate("JPY", FIRST - timedelta(days=9), Decimal("0.05")), NewRate("JPY", middle, Decimal("0.04"))]
    )
    report = mixed.services.kpi.report(ADMIN, kpis=["net_sales"], day_from=FIRST, day_to=LAST, group_by="store,day")
    total = Decimal(0)
    for row in report.rows:
        amount = Decimal(row.values["net_sales"].value or 0)
        early = date.fromisoformat(row.labels["day"]) < middle
        total += amount * (Decimal(1) if row.labels["store"] != "S02" else Decimal("0.05" if early else "0.04"))
    page = client.get("/hq").text
    assert headline(page).startswith(f"{FMT.money(total, 'CNY')} In CNY · JPY by the rate of ")
    by_region = client.get("/hq?by=region").text
    assert headline(by_region) == headline(page)
    part = next(store.region for store in mixed.services.stores.stores(ADMIN) if store.store_id == "S03")
    one = client.get("/hq", params={"region": part}).text
    assert "In CNY" not in headline(one), "its stores share one currency"
    assert client.get("/hq?range=today").status_code == 200
    sheet = client.get("/hq/stores.xlsx?rank=net_sales").content
    notes = [str(row[0]) for row in load_workbook(io.BytesIO(sheet)).active.iter_rows(values_only=True)]
    assert told in notes
    assert any(note.startswith(f"Net sales: {FMT.money(total, 'CNY')} (In CNY") for note in notes)
    lines = list(csv.DictReader(io.StringIO(client.get("/hq/stores.csv?rank=net_sales").content.decode("utf-8-sig"))))
    assert [line["Currency"] for line in lines] == ["CNY", "CNY", "JPY", ""]
    assert lines[-2]["Store"] == NAMES["S02"]
