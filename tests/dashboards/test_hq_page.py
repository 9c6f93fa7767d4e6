"""The chain page: the report's own figures, in the order asked for, and honest about what was not watched."""

import csv
import html
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from openpyxl import load_workbook

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
        head = re.search(r'<th scope="row">(?:<a[^>]*>)?(?:<span class="place">\d+</span>)?(?:<span>)?([^<]+)', row)
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


def test_a_ranking_by_any_kpi_has_places_and_its_own_column(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/hq?rank=upt").text
    body = page[page.index('class="table stores"') :]
    assert re.findall(r'class="place">(\d+)<', body) == ["1", "2", "3"]
    rows = table(page)[:-1]
    figures = [float(cells[0].split()[0]) for _, cells in rows]
    assert figures == sorted(figures, reverse=True)
    assert "Units per sale" in body[: body.index("</thead>")]
    # Withheld, it has no place and stands last.
    ranked = as_user("hq").get("/hq?rank=conversion").text
    assert re.findall(r'class="place">(\d+)<', ranked) == ["1", "2"]
    assert table(ranked)[:-1][-1][0] == NAMES["S02"]


def test_regions_are_sums_over_sums_and_lead_to_their_stores(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    first, last = TODAY - timedelta(days=7), TODAY - timedelta(days=1)
    report = shop.services.kpi.report(
        ADMIN, kpis=["visitors", "net_sales"], day_from=first, day_to=last, group_by="region"
    )
    client = as_user("hq")
    page = client.get("/hq?by=region").text
    rows = dict(table(page))
    for row in report.rows:
        assert rows[row.labels["region"]][0].split()[0] == FMT.number(row.values["visitors"].value)
        assert rows[row.labels["region"]][5].split()[0] == FMT.money(row.values["net_sales"].value, "CNY")
    link = re.search(r'href="(/hq\?region=[^"]+)"', page)
    assert link is not None
    # Whose cameras need a look is a matter of stores, however the table is grouped.
    assert page[page.index("Can these numbers be trusted?") :].count(NAMES["S02"]) == 1
    inside = dict(table(client.get(html.unescape(link[1])).text))
    assert set(inside) < {*NAMES.values(), "Sum of these"}


def test_like_for_like_leaves_out_who_was_not_watched_and_says_why(as_user: Callable[[str], httpx.Client]) -> None:
    page = as_user("hq").get("/hq?alike=1").text
    assert [name for name, _ in table(page)[:-1]] == [NAMES["S01"], NAMES["S03"]]
    left_out = page[page.index("Like for like: 1 store left out") :]
    assert NAMES["S02"] in left_out[: left_out.index("</details>")]


def test_a_bridge_adds_up_for_the_chain_and_a_store(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("hq")
    bridges = {}
    for store in ("", "S99", "S01"):
        page = client.get("/hq/change", params={"store": store} if store else {}).text
        found = re.search(r'id="waterfall-data">(.*?)</script>', page, re.DOTALL)
        assert found is not None
        steps = bridges[store] = json.loads(found.group(1))["steps"]
        assert [step["measure"] for step in steps] == ["absolute", *["relative"] * 4, "total"]
        cents = [round(100 * step["amount"]) for step in steps]
        assert sum(cents[:-1]) == cents[-1]
        assert cents[0] != cents[-1]
    asked = shop.services.kpi.decomposition(
        ADMIN, day_from=TODAY - timedelta(days=7), day_to=TODAY - timedelta(days=1), compare="previous_period"
    )
    assert bridges["S99"] == bridges[""], "a store out of reach is no store: what says so is the whole chain"
    assert client.get("/hq/change.csv?store=S99").text == client.get("/hq/change.csv").text
    own = next(each for each in asked.stores if each.store_id == "S01")
    assert cents[-1] == 100 * own.now.net_sales


def test_a_bridge_of_several_currencies_says_of_which(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client, told = as_user("hq"), "Of the stores that sell in"
    assert told not in client.get("/hq/change").text
    change = "UPDATE store SET currency = %s WHERE store_id = 'S01'"
    with shop.services.db.transaction() as conn:
        conn.execute(change, ("EUR",))
    try:
        page = client.get("/hq/change").text
        whole = client.get("/hq/change?store=S01").text
    finally:
        with shop.services.db.transaction() as conn:
            conn.execute(change, ("CNY",))
    assert f"{told} CNY" in page, "two stores sell in yuan, and one in euros"
    assert told not in whole
    sums = page[page.index("<tfoot>") :]
    assert re.findall(r'class="second">(\w+)<', sums) == ["CNY", "EUR"]


def test_days_that_are_none_are_said_to_be(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("hq")
    for asked in (
        {"range": "chosen"},
        {"range": "chosen", "first": "2026-11-20", "last": "2026-11-01"},
        {"compare": "chosen"},
    ):
        answer = client.get("/hq/change", params=asked)
        assert answer.status_code == 422
        assert "These days can" in answer.text
        assert client.get("/hq/change.csv", params=asked).status_code == 404
    assert client.get("/hq/change?store=S99&range=today&first=x").status_code == 200


def test_files_hold_what_is_seen_in_its_order(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client, asked = as_user("hq"), "?alike=1&rank=net_sales"
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE store SET name = '|=1' WHERE store_id = 'S03'")
    try:
        seen = [row[0] for row in table(client.get("/hq" + asked).text)]
        told = client.get("/hq/stores.csv" + asked)
        sheet = client.get("/hq/stores.xlsx" + asked)
        printed = client.get("/hq/stores.pdf" + asked)
    finally:
        with shop.services.db.transaction() as conn:
            conn.execute("UPDATE store SET name = %s WHERE store_id = 'S03'", (NAMES["S03"],))
    lines = list(csv.reader(io.StringIO(told.content.decode("utf-8-sig"))))
    assert [line[0] for line in lines[1:]] == [name.replace("|=", "'|=") for name in seen]
    cells = [list(row) for row in load_workbook(io.BytesIO(sheet.content)).active.iter_rows(values_only=True)]
    heads = next(place for place, row in enumerate(cells) if row[0] == "Store")
    assert [row[0] for row in cells[heads + 1 :]] == seen
    place = cells[heads].index("Net sales")
    assert [float(line[place]) for line in lines[1:]] == [row[place] for row in cells[heads + 1 :]]
    assert any("Like for like" in str(row[0]) for row in cells[:heads])
    assert printed.content.startswith(b"%PDF-")
    assert b"%%EOF" in printed.content[-32:]
    assert b"/STSong-Light" in printed.content, "names in Chinese are lettered"
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", printed.content)
    assert box is not None
    assert float(box[1]) > float(box[2]), "pages lie across"
    changes = client.get("/hq/change.csv").content.decode("utf-8-sig").splitlines()
    assert changes[0].startswith("Store,Net sales before")
    assert changes[-1].startswith("Sum of these,")
    assert changes[-1].endswith(",CNY")
    assert all(line[-1] == "CNY" for line in lines[1:])
    # S02's doors were watched too little: its difference is withheld here as on the page.
    full = list(csv.reader(io.StringIO(client.get("/hq/stores.csv").content.decode("utf-8-sig"))))
    assert full[-1][0] == "Whole chain"
    weak = next(line for line in full if line[0] == NAMES["S02"])
    assert weak[full[0].index("Visitors") + 1].startswith("coverage")
    for path in ("/hq/change.pdf", "/hq/change.xlsx"):
        assert client.get(path).status_code == 200
    assert client.get("/hq/stores.docx").status_code in (404, 422)


def test_a_view_is_its_owners_and_leads_nowhere_else(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    hq, admin = as_user("hq"), as_user("admin")
    with shop.services.db.read() as conn:
        (before,) = conn.execute("SELECT coalesce(max(audit_id), 0) FROM audit").fetchall()
    token = re.search(r'name="csrf_token" value="([^"]+)"', hq.get("/hq").text)
    assert token is not None
    sent = {"csrf_token": token[1], "name": "East, ranked", "address": "/hq?range=30d&rank=atv"}
    saved = hq.post("/hq/views", data=sent)
    assert (saved.status_code, saved.headers["location"]) == (303, sent["address"])
    assert "East, ranked" in hq.get("/hq/change").text
    assert "East, ranked" not in admin.get("/hq").text
    for address in ("https://elsewhere.example/hq", "//elsewhere.example/hq", "/hqx", "/stores/S01", "javascript:1"):
        assert hq.post("/hq/views", data={**sent, "address": address}).status_code == 422
    assert hq.post("/hq/views", data={**sent, "name": " "}).status_code == 422
    number = re.search(r"/hq/views/(\d+)/removal", hq.get("/hq").text)
    assert number is not None
    gone = f"/hq/views/{number[1]}/removal"
    other = re.search(r'name="csrf_token" value="([^"]+)"', admin.get("/hq").text)
    assert other is not None
    assert admin.post(gone, data={"csrf_token": other[1]}).status_code == 404
    back = hq.post(gone, data={"csrf_token": token[1], "back": "//elsewhere.example"})
    assert (back.status_code, back.headers["location"]) == (303, "/hq")
    assert "East, ranked" not in hq.get("/hq").text
    with shop.services.db.read() as conn:
        done = conn.execute(
            "SELECT action FROM audit WHERE starts_with(action, 'view.') AND audit_id > %s ORDER BY audit_id", before
        ).fetchall()
    assert done == [("view.save",), ("view.remove",)]
