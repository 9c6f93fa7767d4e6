"""Why this number: every crossing and receipt behind it, and what each was counted as."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.answers.explaining import Explanation
from server.kpi.correction_service import CorrectionsService
from server.kpi.corrections.in_force import NewCorrection
from server.services import Services
from server.storage.retention_repository import raise_floor
from tests.server.conftest import TurnedClock
from tests.server.kpi.chain import SYSTEM, Chain

DAY = date(2026, 11, 16)


@pytest.fixture
def shop(shops: Chain) -> Chain:
    """S01, open from ten to twelve.

    | quarter | in                | out | receipts                          | watched |
    |---------|-------------------|-----|-----------------------------------|---------|
    | 09:45   | 2 (before opening)|     |                                   |         |
    | 10:00   | 10, 1 of staff    | 3   | 20.00, 30.00, 9.00 voided, 99.00 online | all |
    | 11:00   | 5                 | 2   | refund 5.00                       | nothing |
    """
    shops.store("S01")
    shops.camera("S01", "C2", "street", kind="street")
    shops.watch("S01", f"{DAY} 10:00", f"{DAY} 11:00")
    shops.cross("S01", f"{DAY} 09:50", 2)
    shops.cross("S01", f"{DAY} 10:05", 9, left=3)
    shops.cross("S01", f"{DAY} 10:06", 1, crossing_class="staff")
    shops.cross("S01", f"{DAY} 10:07", 4, line="street")
    shops.cross("S01", f"{DAY} 11:05", 5, left=2)
    shops.sell("S01", f"{DAY} 10:10", "20.00")
    shops.sell("S01", f"{DAY} 10:11", "30.00")
    shops.sell("S01", f"{DAY} 10:12", "9.00", voided=True)
    shops.sell("S01", f"{DAY} 10:13", "99.00", channel="online")
    shops.sell("S01", f"{DAY} 11:10", "5.00", kind="refund")
    return shops


def kinds(found: Explanation) -> tuple[dict[str, int], dict[str, int]]:
    crossings = Counter(str(each.counted_as) for each in found.crossings)
    return dict(crossings), dict(Counter(str(each.counted_as) for each in found.receipts))


def test_a_day_is_laid_open(shop: Chain) -> None:
    found = shop.kpi.explain(SYSTEM, "visitors", "S01", DAY)
    assert (found.value.value, found.facts["entries"], found.facts["staff_entries"]) == (14, 15, 1)
    assert (found.start, found.end) == (datetime(2026, 11, 15, 20, tzinfo=UTC), datetime(2026, 11, 16, 20, tzinfo=UTC))
    assert found.open_spans == ((datetime(2026, 11, 16, 2, tzinfo=UTC), datetime(2026, 11, 16, 4, tzinfo=UTC)),)
    assert kinds(found) == (
        {"closed": 2, "entry": 14, "staff_entry": 1, "exit": 5, "passer_by": 4},
        {"transaction": 2, "voided": 1, "other_channel": 1, "refund": 1},
    )
    assert (found.crossing_count, found.receipt_count, found.raw_from) == (26, 5, None)
    lines = {line.start.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H:%M"): line for line in found.quarters}
    assert next(iter(lines)) == "09:45"
    assert (lines["10:00"].entries, lines["10:00"].observed, lines["10:00"].matched) == (10, 1, True)
    assert (lines["11:00"].entries, lines["11:00"].observed, lines["11:00"].matched) == (5, 0, False)


def test_the_crossings_listed_are_the_ones_counted(shop: Chain) -> None:
    found = shop.kpi.explain(SYSTEM, "entries", "S01", DAY)
    entered = sum(each.counted_as in ("entry", "staff_entry") for each in found.crossings)
    assert entered == found.value.value == sum(line.entries for line in found.quarters if line.is_open)
    sold = [each.receipt.gross for each in found.receipts if each.counted_as == "transaction"]
    gross = shop.kpi.explain(SYSTEM, "gross_sales", "S01", DAY).value.value
    assert gross == sum(sold) == Decimal("50.00")


def test_an_hour_and_a_quarter_hour(shop: Chain) -> None:
    hour = shop.kpi.explain(SYSTEM, "conversion", "S01", DAY, hour=shop.at("S01", f"{DAY} 10:00"))
    assert (hour.value.numerator, hour.value.denominator, hour.threshold) == (2, 9, Decimal("0.90"))
    assert hour.answers == ()
    late = shop.kpi.explain(SYSTEM, "entries", "S01", DAY, quarter=shop.at("S01", f"{DAY} 11:00"), limit=3)
    assert (late.value.value, late.crossing_count, len(late.crossings)) == (5, 7, 3)
    with pytest.raises(NotFound):
        shop.kpi.explain(SYSTEM, "entries", "S01", DAY, hour=shop.at("S01", f"{DAY} 10:10"))
    with pytest.raises(NotFound):
        shop.kpi.explain(SYSTEM, "entries", "S01", DAY, quarter=shop.at("S01", "2026-11-17 10:00"))


def test_corrections_settings_and_earlier_answers(shop: Chain) -> None:
    shop.now = datetime(2026, 11, 17, tzinfo=UTC)
    shop.kpi.recompute("S01", DAY)
    shop.kpi.set_setting(SYSTEM, "coverage_threshold", Decimal("0.40"), DAY, "S01")
    CorrectionsService(shop.db, shop.stores, shop.clock).make(
        SYSTEM,
        NewCorrection(
            "excluded",
            "delivery",
            "S01",
            starts_at=shop.at("S01", f"{DAY} 10:00"),
            ends_at=shop.at("S01", f"{DAY} 10:15"),
        ),
    )
    shop.now = datetime(2026, 11, 18, tzinfo=UTC)
    shop.kpi.recompute("S01", DAY)
    found = shop.kpi.explain(SYSTEM, "entries", "S01", DAY)
    assert kinds(found)[0] == {"closed": 2, "excluded": 17, "entry": 5, "exit": 2}
    assert [(each.kind, each.reason) for each in found.corrections] == [("excluded", "delivery")]
    assert [(each.key, each.value, each.store_id) for each in found.settings] == [
        ("coverage_threshold", Decimal("0.40"), "S01")
    ]
    assert [(each.version, each.value.value, each.superseded_at is None) for each in found.answers] == [
        (2, 5, True),
        (1, 15, False),
    ]
    assert found.answers[0].value == found.value


def test_crossings_that_may_be_gone_are_said_to_be(shop: Chain) -> None:
    floor = datetime(2026, 11, 16, 12, tzinfo=UTC)
    with shop.db.transaction() as conn:
        raise_floor(conn, floor)
    assert shop.kpi.explain(SYSTEM, "entries", "S01", DAY).raw_from == floor


def test_only_ones_own_stores_and_days_that_were(shop: Chain) -> None:
    with pytest.raises(Forbidden):
        shop.kpi.explain(Scope("u", "manager", frozenset({"S02"})), "entries", "S01", DAY)
    for wrong in ({"kpi": "footfall"}, {"day": date(2026, 12, 24)}, {"limit": 10**6}):
        given = {"kpi": "entries", "store_id": "S01", "day": DAY, **wrong}
        with pytest.raises(InvalidInput):
            shop.kpi.explain(SYSTEM, **given)  # type: ignore[arg-type]  # each is of its own type


def test_over_http(chain: Services, clock: TurnedClock, sign_in: Callable[[str], TestClient]) -> None:
    shops = Chain(chain.db, now=clock.now)
    shops.zones["S01"] = ZoneInfo("Asia/Shanghai")
    shops.camera("S01", "C1", "L1")
    shops.cross("S01", f"{DAY} 10:30", 3)
    browser = sign_in("manager")
    asked = {"kpi": "entries", "store": "S01", "day": DAY.isoformat()}
    told = json.loads(browser.get("/api/v1/kpi/explain", params=asked).text)
    assert (told["value"]["value"], told["crossing_count"]) == (3, 3)
    assert told["crossings"][0]["crossing"]["line_id"] == "S01-L1"
    quarter = browser.get("/api/v1/kpi/explain", params={**asked, "quarter": "2026-11-16T10:30:00+08:00"})
    assert quarter.json()["value"]["value"] == 3
    assert browser.get("/api/v1/kpi/explain", params={**asked, "store": "S02"}).status_code == 403
    assert browser.get("/api/v1/kpi/explain", params={**asked, "quarter": "2026-11-16T10:30:00"}).status_code == 422
    assert sign_in("desk").get("/api/v1/kpi/explain", params=asked).status_code == 403
