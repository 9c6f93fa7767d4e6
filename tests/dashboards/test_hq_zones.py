"""The chain page over two timezones, and with a store of which nothing is known yet."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, time

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from dashboards.app import mount
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.stores.models import NewStore, every_day
from tests.dashboards.conftest import Clock
from tests.dashboards.seed import ADMIN, PASSWORD
from tests.dashboards.test_hq_page import table

#: Sunday noon in Shanghai, Saturday eleven in the evening in New York.
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def services(db_dsn: str, clock: Clock) -> Iterator[Services]:
    settings = Settings(
        dsn=SecretStr(db_dsn),
        secret_key=SecretStr(base64.b64encode(b"of tests" * 8).decode()),
        argon2_memory_kib=64,
        argon2_time_cost=1,
    )
    with make_services(settings, clock=clock) as made:
        for store_id, zone in (("S01", "Asia/Shanghai"), ("N01", "America/New_York")):
            made.stores.add_store(ADMIN, NewStore(store_id, store_id, zone, hours=every_day(time(10), time(22))))
            made.stores.add_camera(
                ADMIN, store_id, f"{store_id}-C1", installed_at=datetime(2026, 10, 1, tzinfo=UTC), lines=[store_id]
            )
        made.access.create_user(ADMIN, "hq", PASSWORD, "HQ", "hq", locale="en")
        yield made


@pytest.fixture
def hq(services: Services) -> Iterator[TestClient]:
    """A browser of HQ's."""
    app = create_app(services)
    mount(app, services)
    with TestClient(app) as client:
        answer = client.post("/sign-in", data={"username": "hq", "password": PASSWORD}, follow_redirects=False)
        assert answer.status_code == 303
        yield client


def came(services: Services, store_id: str, at: str, count: int) -> None:
    """So many came in at a time (with an offset)."""
    moment = datetime.fromisoformat(at)
    with services.db.transaction() as conn:
        conn.execute(
            "INSERT INTO traffic_15m (store_id, quarter, line_id, direction, class, count, groups)"
            " VALUES (%s, %s, %s, 'in', 'adult', %s, %s)",
            (store_id, moment, store_id, count, count),
        )
    day = services.stores.calendar(ADMIN, store_id).day_of(moment)
    services.kpi.recompute(store_id, day)


def visitors(hq: TestClient, chosen: str) -> dict[str, str]:
    """What stands under Visitors, by store."""
    page = hq.get("/hq", params={"range": chosen}).text
    return {name: cells[0].split()[0] for name, cells in table(page)}


def test_each_store_has_its_own_yesterday_and_today(hq: TestClient, services: Services) -> None:
    came(services, "S01", "2026-11-21T12:00+08:00", 41)
    came(services, "S01", "2026-11-22T11:00+08:00", 42)
    came(services, "N01", "2026-11-20T12:00-05:00", 51)
    came(services, "N01", "2026-11-21T12:00-05:00", 52)
    assert visitors(hq, "yesterday") == {"S01": "41", "N01": "51", "Whole chain": "92"}
    assert visitors(hq, "today") == {"S01": "42", "N01": "52", "Whole chain": "94"}
    assert "each store by its own business days" in hq.get("/hq?range=today").text


def test_where_all_have_one_date_no_more_is_said(hq: TestClient, clock: Clock) -> None:
    # Sunday evening in Shanghai, Sunday morning in New York.
    clock.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert "each store by its own business days" not in hq.get("/hq?range=today").text


def test_a_store_of_which_nothing_is_known_has_a_line_that_says_so(hq: TestClient, services: Services) -> None:
    came(services, "S01", "2026-11-21T12:00+08:00", 41)
    for sort in ("store", "-visitors", "conversion"):
        rows = dict(table(hq.get("/hq", params={"range": "yesterday", "sort": sort}).text))
        assert rows.keys() == {"S01", "N01", "Whole chain"}
        figures = [cell for number, cell in enumerate(rows["N01"]) if number != 1]
        assert len(figures) == 8
        assert all("No data" in figure for figure in figures), figures
        assert rows["S01"][0].startswith("41")
        assert rows["Whole chain"][0].startswith("41")


def test_a_store_of_which_nothing_is_known_is_no_good_news(hq: TestClient, services: Services) -> None:
    came(services, "S01", "2026-11-21T12:00+08:00", 41)
    page = hq.get("/hq", params={"range": "yesterday"}).text
    assert "Every store was watched well enough" not in page
    assert "Nothing was recorded for this time." in page.partition("Can these numbers be trusted?")[2]
