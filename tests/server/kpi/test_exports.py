"""Reports that leave the house: the same in every form and in any number of slices, and nothing a spreadsheet runs."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from server.errors import InvalidInput
from server.kpi.answers import assembling, exports
from server.kpi.answers.assembling import Slices
from server.kpi.answers.question import Question
from server.services import Services
from tests.server.conftest import TurnedClock
from tests.server.kpi.chain import SYSTEM, Chain
from tests.server.kpi.test_reports import MONDAY, TUESDAY, two_stores

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def slices(shops: Chain, group_by: str = "store,day", *kpis: str, **more: Any) -> Slices:
    wanted = kpis or ("visitors", "conversion", "net_sales")
    return shops.kpi.slices(SYSTEM, Question(wanted, MONDAY, TUESDAY, group_by=group_by, **more))


def read_csv(slices: Slices) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(exports.as_csv(slices)).decode("utf-8-sig"))))


def read_xlsx(content: bytes) -> list[list[str]]:
    """Cells as texts, and none of them a formula."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        assert not sheet.findall(f".//{SHEET}f")
        rows = []
        for row in sheet.iter(f"{SHEET}row"):
            texts = {cell.get("r", "").rstrip("0123456789"): "".join(cell.itertext()) for cell in row}
            rows.append([texts.get(letter, "") for letter in "ABCDEFGHIJKLMNO"])
        return rows


@pytest.mark.parametrize("group_by", ["store", "store,day", "region,store", "store,hour", "chain", "month", "quarter"])
@pytest.mark.parametrize("compare", [None, "last_week"])
def test_slices_are_the_report(shops: Chain, monkeypatch: pytest.MonkeyPatch, group_by: str, compare: Any) -> None:
    two_stores(shops)
    shops.cross("S02", "2026-11-17 11:40", 5)  # marked: computed on the spot, in its own slice
    kpis = ("visitors", "conversion", "net_sales", "power_hours", "occupancy")
    whole = shops.kpi.report(SYSTEM, kpis=kpis, day_from=MONDAY, day_to=TUESDAY, group_by=group_by, compare=compare)
    monkeypatch.setattr(assembling, "ROWS_AT_ONCE", 1)
    sliced = slices(shops, group_by, *kpis, compare=compare)
    found = [row for rows in sliced.rows() for row in rows]
    assert sorted(found, key=lambda row: row.key) == sorted(whole.rows, key=lambda row: row.key)
    assert (sliced.total, sliced.pending) == (whole.total, whole.pending)
    assert sliced.head.compared_from == whole.compared_from


def test_json_is_the_report(shops: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    two_stores(shops)
    monkeypatch.setattr(assembling, "ROWS_AT_ONCE", 1)
    whole = shops.kpi.report(
        SYSTEM, kpis=["visitors", "conversion"], day_from=MONDAY, day_to=TUESDAY, group_by="store,day"
    )
    streamed = b"".join(exports.as_json(slices(shops, "store,day", "visitors", "conversion")))
    assert json.loads(streamed) == json.loads(exports.json.encode(whole))


def test_csv_and_xlsx_have_the_same_cells(shops: Chain) -> None:
    two_stores(shops)
    with shops.db.transaction() as conn:
        conn.execute("UPDATE store_label SET region = ' ＝1+1' WHERE store_id = 'S02'")
    table = read_csv(slices(shops, "region"))
    with exports.as_xlsx(slices(shops, "region")) as file:
        sheet = read_xlsx(file.read())
    assert table[0][:6] == ["region", "visitors", "visitors_withheld", "visitors_low", "visitors_high", "conversion"]
    assert [row[0] for row in table] == [
        "region",
        "' ＝1+1",
        "east",
        "total",
    ]
    assert [row[0] for row in sheet] == ["region", " ＝1+1", "east", "total"]
    for csv_row, sheet_row in zip(table[1:], sheet[1:], strict=True):
        assert csv_row[-1] == sheet_row[-1] == "2026-11-30T00:00:00Z"
        for written, shown in zip(csv_row[1:-1], sheet_row[1:-1], strict=False):
            assert (Decimal(written) == Decimal(shown)) if written and shown else written == shown


def test_a_sheet_that_would_overflow_is_refused(shops: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    two_stores(shops)
    monkeypatch.setattr(exports, "MOST_SHEET_ROWS", 5)
    with exports.as_xlsx(slices(shops, "store")) as file:
        assert len(read_xlsx(file.read())) == 4
    with pytest.raises(InvalidInput, match="room for 4 rows"):
        exports.as_xlsx(slices(shops, "store,day"))


@pytest.fixture
def selling(chain: Services, clock: TurnedClock) -> Chain:
    """S01 on Monday the 16th: 3 of 8 bought."""
    shops = Chain(chain.db, now=clock.now)
    shops.zones["S01"] = ZoneInfo("Asia/Shanghai")
    shops.camera("S01", "C1", "L1")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 22:00")
    shops.cross("S01", "2026-11-16 10:30", 8)
    for gross in ("10.10", "10.10", "10.12"):
        shops.sell("S01", "2026-11-16 11:00", gross)
    return shops


DAY = {"from": "2026-11-16", "to": "2026-11-16"}


def test_a_workbook_over_http(selling: Chain, sign_in: Callable[[str], TestClient]) -> None:
    answer = sign_in("manager").get(
        "/api/v1/kpi", params={**DAY, "kpi": "net_sales,conversion", "group_by": "store", "format": "xlsx"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="doorline-2026-11-16-2026-11-16.xlsx"'
    rows = read_xlsx(answer.content)
    assert (rows[1][0], Decimal(rows[1][1]), Decimal(rows[1][5])) == ("S01", Decimal("30.32"), Decimal("0.375"))
    assert [row[0] for row in rows] == ["store", "S01", "total"]


@pytest.mark.parametrize("form", ["json", "csv", "xlsx"])
def test_mistakes_are_errors_in_every_form(sign_in: Callable[[str], TestClient], form: str) -> None:
    for wrong, field in (
        ({"group_by": "colour"}, "group_by"),
        ({"compare_to": "2026-11-01"}, "compare_from"),
        ({"compare": "last_week", "compare_from": "2026-11-01"}, "compare"),
        ({"to": "2026-12-31", "group_by": "quarter"}, "group_by"),
    ):
        refused = sign_in("hq").get("/api/v1/kpi", params={**DAY, "format": form, **wrong})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


def test_stores_are_chosen_over_http(selling: Chain, chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    chain.labels.set_labels(SYSTEM, "S02", date(2000, 1, 1), store_format="flagship", tags=["metro"])
    browser = sign_in("hq")
    for where, expected in (
        ({"region": "华东,EU"}, ["B01", "S01"]),
        ({"store_format": "flagship"}, ["S02"]),
        ({"tag": "metro"}, ["S02"]),
    ):
        assert browser.get("/api/v1/kpi", params={**DAY, **where}).json()["store_ids"] == expected
    compared = browser.get("/api/v1/kpi", params={**DAY, "compare_from": "2026-10-05"}).json()
    assert (compared["compared_from"], compared["compared_to"]) == ("2026-10-05", "2026-10-05")


def test_why_sales_moved_over_http(selling: Chain, sign_in: Callable[[str], TestClient]) -> None:
    selling.watch("S01", "2026-11-09 10:00", "2026-11-09 22:00")
    selling.cross("S01", "2026-11-09 10:30", 4)
    selling.sell("S01", "2026-11-09 11:00", "10.00")
    answer = sign_in("manager").get("/api/v1/kpi/decomposition", params={**DAY, "compare": "last_week"})
    assert answer.status_code == 200, answer.text
    told = json.loads(answer.text, parse_float=Decimal)
    (store,) = told["stores"]
    assert (store["store_id"], store["change"]) == ("S01", Decimal("20.32"))
    assert sum(store["effects"].values()) == Decimal("20.32")
    assert told["chain"][0]["effects"] == store["effects"]
    assert sign_in("desk").get("/api/v1/kpi/decomposition", params=DAY).status_code == 403
