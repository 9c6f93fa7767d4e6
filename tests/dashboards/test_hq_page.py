"""The chain page: the report's own figures, in the order asked for, and honest about what was not watched."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from dashboards.formats import Formats
from dashboards.periods import CHOICES
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY

FMT = Formats("en")
NAMES = {"S01": "上海静安旗舰店", "S02": "上海徐汇店", "S03": "北京三里屯店"}


def table(page: str) -> list[tuple[str, list[str]]]:
    """The stores' rows: name, and the text of each cell."""
    body = page[page.index('class="table stores"') :]
    body = body[body.index("<tbody>") : body.index("</tfoot>")]
    rows = []
    for row in body.split("<tr>")[1:]:
        head = re.search(r'<th scope="row">(?:<a[^>]*>)?([^<]+)', row)
        assert head is not None
        cells = [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
        rows.append((head.group(1).strip(), cells))
    return rows


def test_figures_are_those_of_the_report(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    first, last = TODAY - timedelta(days=7), TODAY - timedelta(days=1)
    report = shop.services.kpi.report(
        ADMIN, kpis=["visitors", "net_sales", "conversion"], day_from=first, day_to=last, group_by="store"
    )
    rows = dict(table(as_user("hq").get("/hq").text))
    for row in report.rows:
        shown = " ".join(rows[NAMES[row.labels["store"]]])
        assert FMT.number(row.values["visitors"].value) in shown
        assert FMT.money(row.values["net_sales"].value, "CNY") in shown
    total = " ".join(rows["Whole chain"])
    assert FMT.number(report.total.values["visitors"].value) in total


def test_a_store_watched_too_little_has_a_reason_and_no_change(as_user: Callable[[str], httpx.Client]) -> None:
    rows = dict(table(as_user("hq").get("/hq").text))
    cells = rows[NAMES["S02"]]
    assert "Low coverage" in cells
    assert "coverage" in cells[0], "the change of a half-seen count is not shown"
    assert "%" in rows[NAMES["S01"]][0]


@pytest.mark.parametrize("sort", ["visitors", "-visitors", "-net_sales", "store", "-store"])
def test_rows_are_in_the_order_asked_for(as_user: Callable[[str], httpx.Client], sort: str) -> None:
    page = as_user("hq").get(f"/hq?sort={sort}").text
    rows = table(page)[:-1]
    column = {"visitors": 0, "net_sales": 5}.get(sort.removeprefix("-"))
    if column is None:
        keys: list[object] = [next(key for key, name in NAMES.items() if name == row[0]) for row in rows]
    else:
        keys = [int(re.sub(r"\D", "", cells[column].split()[0])) for _, cells in rows]
    assert keys == sorted(keys, reverse=sort.startswith("-"))  # type: ignore[type-var]
    assert page.count("aria-sort=") == 1


def test_withheld_figures_rank_last_either_way(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("hq")
    for sort in ("conversion", "-conversion"):
        assert table(client.get(f"/hq?sort={sort}").text)[:-1][-1][0] == NAMES["S02"]


def test_a_trend_has_a_gap_where_nobody_looked(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/hq").text
    sparks = re.findall(r'<svg class="spark".*?</svg>', page, re.DOTALL)
    assert [spark.count("<polyline") for spark in sparks] == [1, 2, 1]


def test_outage_and_promotion_explain_the_chart(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/hq").text
    found = re.search(r'id="chain-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    chart = json.loads(found.group(1))
    assert {"promotion", "weather", "outage"} <= {fact["kind"] for fact in chart["facts"]}
    assert len(chart["days"]) == 14
    assert "Camera outage" in page


@pytest.mark.parametrize("chosen", [*CHOICES, "nonsense"])
def test_every_range_has_a_page(as_user: Callable[[str], httpx.Client], chosen: str) -> None:
    answer = as_user("hq").get("/hq", params={"range": chosen, "sort": "'; DROP TABLE"})
    assert answer.status_code == 200
    assert answer.text.count('aria-current="true"') == 1


def test_what_needs_a_look_is_named(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/hq").text
    trust = page[page.index("Can these numbers be trusted?") :]
    assert "2 stores need a look" in trust
    assert NAMES["S02"] in trust
    assert NAMES["S03"] in trust
