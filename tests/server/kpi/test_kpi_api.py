"""KPIs over HTTP: exact numbers, a CSV that no spreadsheet runs, and nobody else's stores."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from server.services import Services
from tests.server.conftest import TurnedClock
from tests.server.kpi.chain import Chain

DAY = {"from": "2026-11-16", "to": "2026-11-16"}


@pytest.fixture
def shops(chain: Services, clock: TurnedClock) -> Chain:
    """S01 and S02, watched and selling on Monday the 16th: 3 of 8 and 1 of 4, open 10:00 to 22:00."""
    shops = Chain(chain.db, now=clock.now)
    for store_id, visitors, sales in (("S01", 8, ["10.10", "10.10", "10.12"]), ("S02", 4, ["7.00"])):
        shops.zones[store_id] = ZoneInfo("Asia/Shanghai")
        shops.camera(store_id, "C1", "L1")
        shops.watch(store_id, "2026-11-16 10:00", "2026-11-16 22:00")
        shops.cross(store_id, "2026-11-16 10:30", visitors)
        for gross in sales:
            shops.sell(store_id, "2026-11-16 11:00", gross)
    return shops


def test_numbers_have_all_their_digits(shops: Chain, sign_in: Callable[[str], TestClient]) -> None:
    answer = sign_in("hq").get("/api/v1/kpi", params={**DAY, "kpi": "conversion,net_sales,atv", "group_by": "store"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    report = json.loads(answer.text, parse_float=Decimal)
    assert [row["labels"] for row in report["rows"]] == [{"store": "B01"}, {"store": "S01"}, {"store": "S02"}]
    first = report["rows"][1]["values"]
    assert (first["conversion"]["value"], first["conversion"]["unit"]) == (Decimal("0.375000"), "ratio")
    assert (first["conversion"]["numerator"], first["conversion"]["denominator"]) == (3, 8)
    assert (first["net_sales"]["value"], first["net_sales"]["unit"]) == (Decimal("30.32"), "CNY")
    # 30.32 / 3 = 10.10666…
    assert first["atv"]["value"] == Decimal("10.11")
    assert report["total"]["values"]["conversion"]["value"] == Decimal("0.333333")
    assert report["total"]["coverage"] == 1


def test_one_store_by_name(shops: Chain, sign_in: Callable[[str], TestClient]) -> None:
    answer = sign_in("hq").get("/api/v1/kpi", params={**DAY, "store": "S02", "compare": "last_week"}).json()
    assert answer["store_ids"] == ["S02"]
    assert answer["compared_from"] == "2026-11-09"
    assert answer["total"]["values"]["visitors"]["value"] == 4
    assert answer["total"]["compare"]["visitors"] == {
        "value": None,
        "unit": "count",
        "withheld": "no_data",
        "coverage": None,
        "low": None,
        "high": None,
        "numerator": None,
        "denominator": None,
        "threshold": None,
        "detail": {},
    }


def test_a_manager_gets_their_own_store_and_is_refused_the_others(
    shops: Chain, sign_in: Callable[[str], TestClient]
) -> None:
    browser = sign_in("manager")
    own = browser.get("/api/v1/kpi", params={**DAY, "group_by": "store"}).json()
    assert [row["key"] for row in own["rows"]] == ["S01"]
    assert own["total"]["values"]["visitors"]["value"] == 8
    for address in ("/api/v1/kpi?from=2026-11-16&to=2026-11-16&store=S01,S02", "/api/v1/stores/S02/live"):
        refused = browser.get(address)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert browser.get("/api/v1/stores/S01/live").status_code == 200


def test_the_desk_and_strangers_get_nothing(
    shops: Chain, client: TestClient, sign_in: Callable[[str], TestClient]
) -> None:
    assert client.get("/api/v1/kpi", params=DAY).status_code == 401
    browser = sign_in("desk")
    assert browser.get("/api/v1/kpi", params=DAY).status_code == 403
    assert browser.get("/api/v1/stores/S01/live").status_code == 403


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kpi": "footfall"}, "kpi"),
        ({"kpi": ""}, "kpi"),
        ({"group_by": "colour"}, "group_by"),
        ({"to": "2026-11-15"}, "to"),
    ],
)
def test_mistakes_are_named(sign_in: Callable[[str], TestClient], changes: dict[str, str], field: str) -> None:
    refused = sign_in("hq").get("/api/v1/kpi", params={**DAY, **changes})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


def test_live_over_http(
    shops: Chain, chain: Services, clock: TurnedClock, sign_in: Callable[[str], TestClient]
) -> None:
    """It is Friday noon; the same weekday last week has nothing."""
    shops.cross("S01", "2026-11-20 10:30", 5, left=2)
    shops.watch("S01", "2026-11-20 10:00", "2026-11-20 12:00")
    live = sign_in("manager").get("/api/v1/stores/S01/live").json()
    assert (live["day"], live["currency"], live["is_open"]) == ("2026-11-20", "CNY", True)
    assert live["values"]["entries"]["value"] == 5
    assert live["values"]["occupancy"]["value"] == 3
    assert live["values"]["conversion"]["withheld"] == "no_receipts"
    assert next(hour["label"] for hour in live["hours"] if hour["is_open"]) == "10:00"


def test_a_csv_is_data_and_nothing_else(shops: Chain, chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    with chain.db.transaction() as conn:
        conn.execute("UPDATE store_label SET region = '=HYPERLINK(\"http://example.org\")' WHERE store_id = 'S02'")
    answer = sign_in("hq").get(
        "/api/v1/kpi", params={**DAY, "kpi": "net_sales,conversion", "group_by": "region", "format": "csv"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert head == [
        "region",
        "net_sales",
        "net_sales_withheld",
        "net_sales_low",
        "net_sales_high",
        "conversion",
        "conversion_withheld",
        "conversion_low",
        "conversion_high",
        "coverage",
        "as_of",
    ]
    regions = {row[0]: row[1:] for row in rows}
    assert list(regions) == ['\'=HYPERLINK("http://example.org")', "华东", "total"]
    assert regions["华东"][0] == "30.32"
    assert regions["华东"][4] == "0.375000"
    assert regions["total"][-2] == "1.000000"
    # Told up to when it was asked for.
    assert regions["total"][-1] == regions["华东"][-1] == f"{shops.now:%Y-%m-%dT%H:%M:%SZ}"


def test_definitions_can_be_read(sign_in: Callable[[str], TestClient]) -> None:
    found = {each["slug"]: each for each in sign_in("manager").get("/api/v1/kpi/definitions").json()}
    assert found["conversion"]["unit"] == "ratio"
    assert found["conversion"]["rolls_up"] == "ratio of sums"
    assert found["conversion"]["formula"]
