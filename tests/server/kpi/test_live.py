"""A store live: today up to now beside the same weekday last week, up to the same minute."""

from datetime import date
from decimal import Decimal

from tests.server.kpi.chain import SYSTEM, Chain
from tests.server.kpi.test_reports import two_stores


def test_live(shops: Chain) -> None:
    two_stores(shops)
    shops.now = shops.at("S01", "2026-11-23 10:50")
    shops.watch("S01", "2026-11-23 10:00", "2026-11-23 10:50")
    shops.cross("S01", "2026-11-23 10:05", 30, left=4)
    shops.sell("S01", "2026-11-23 10:20", "12.50")
    live = shops.kpi.live(SYSTEM, "S01")
    assert (live.day, live.as_of, live.timezone, live.currency, live.is_open) == (
        date(2026, 11, 23),
        shops.now,
        "Asia/Shanghai",
        "CNY",
        True,
    )
    assert live.values["visitors"].value == 30
    assert live.values["occupancy"].value == 26
    assert live.values["net_sales"].value == Decimal("12.50")
    assert live.values["coverage"].value == 1
    assert live.last_week["visitors"].value == 40
    assert [camera.camera_id for camera in live.cameras] == ["S01-C1"]
    hours = {hour.label: hour for hour in live.hours if hour.is_open}
    assert list(hours) == ["10:00", "11:00"]
    assert hours["10:00"].is_past
    assert not hours["11:00"].is_past
    assert hours["10:00"].values["visitors"].value == 30
    assert hours["10:00"].last_week["visitors"].value == 40
    assert hours["11:00"].values == {}
    assert hours["11:00"].last_week["transactions"].value == 4
