"""The main job, whole: a real video goes in at one end, a store's conversion rate comes out at the other.

Every part is the real one in a process of its own, started by the command a person would use: web, ingest, jobs, the
box. The video is dated into yesterday, so that what is asked for is a finished day whatever the time of the test.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from server.access.models import Scope
from server.ingest.broker import EmbeddedBroker
from server.services import Services, make_services
from server.stores.calendar import OpeningSpan
from server.stores.models import NewStore
from tests.fixtures.processes import central_settings, command, edge_toml, environment, is_up, parsed, running
from tests.fixtures.wait import wait_until

SHANGHAI = ZoneInfo("Asia/Shanghai")
#: Length of one-by-one.mp4: 1,394 frames at 10 a second.
CLIP = timedelta(seconds=139.4)


@dataclass(frozen=True)
class Chain:
    """One store, its box and its till, and the day they are about."""

    services: Services
    env: dict[str, str]
    day: date
    opened: datetime
    device_password: str
    till_key: str
    hq_key: str


@pytest.fixture
def chain(db_dsn: str, any_broker: EmbeddedBroker) -> Iterator[Chain]:
    """A store that was open for one quarter of an hour yesterday, just when the camera hung there."""
    env = {**central_settings(db_dsn, any_broker), "DOORLINE_RECOMPUTE_SECONDS": "0.2"}
    day = datetime.now(SHANGHAI).date() - timedelta(days=1)
    opened = datetime.combine(day, time(10, 0), SHANGHAI)
    admin = Scope.system()
    with make_services(parsed(env)) as services:
        hours = tuple(OpeningSpan(weekday, time(10, 0), time(10, 15)) for weekday in range(7))
        services.stores.add_store(admin, NewStore("S01", "外滩店", hours=hours))
        services.stores.add_camera(admin, "S01", "S01-C1", "Door", installed_at=opened)
        services.stores.add_line(admin, "S01-C1", "S01-L1", "Table")
        services.stores.remove_camera(admin, "S01-C1", opened + CLIP)
        device = services.stores.add_device(admin, "S01", "door-1")
        any_broker.add_user("door-1", device.password)
        yield Chain(
            services=services,
            env=env,
            day=day,
            opened=opened,
            device_password=device.password,
            till_key=services.access.create_api_key(admin, "till 1", "till", ["S01"]),
            hq_key=services.access.create_api_key(admin, "report", "hq"),
        )


@pytest.mark.footage
def test_a_video_and_four_receipts_become_a_conversion_rate(
    chain: Chain, footage: Path, any_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    truth = json.loads((footage / "truth.json").read_text())["clips"]["one-by-one.mp4"]
    table = next(line for line in truth["lines"] if line["name"] == "table")
    config = edge_toml(
        tmp_path,
        port=any_broker.port,
        password=chain.device_password,
        video=footage / "video" / "one-by-one.mp4",
        line=table,
        more=f"starts_at = {chain.opened.isoformat()}",
    )
    base = f"http://127.0.0.1:{chain.env['DOORLINE_WEB_PORT']}"

    with (
        running(chain.env, tmp_path, "web"),
        running(chain.env, tmp_path, "ingest"),
        running(chain.env, tmp_path, "jobs"),
    ):
        wait_until(lambda: is_up(base), timeout=120, what="the web server")
        subprocess.run(
            command("edge", "run", str(config), "--until-drained"), env=environment(chain.env), check=True, timeout=120
        )
        posted = httpx.post(
            f"{base}/api/v1/receipts", json={"receipts": receipts(chain)}, headers=bearer(chain.till_key)
        )
        assert posted.status_code == 200, posted.text
        assert posted.json()["accepted"] == 5

        answer = wait_until(lambda: finished(base, chain), timeout=60, what="the day's KPIs")

    # By hand: the truth has 6 crossings in at the table line, none out. 4 till receipts make 4 / 6 = 66.7%; the fifth
    # was ordered online and is no visitor's. 30.00 + 45.50 + 24.50 + 100.00 = 200.00 at the till, 200 / 4 = 50.00 each,
    # 200 / 6 = 33.33 a visitor.
    assert (table["in"], table["out"]) == (6, 0)
    assert value(answer, "entries") == 6
    assert value(answer, "exits") == 0
    assert value(answer, "visitors") == 6
    assert value(answer, "transactions") == 4
    assert value(answer, "conversion") == pytest.approx(Decimal(4) / 6, abs=Decimal("0.0001"))
    assert value(answer, "atv") == Decimal("50.00")
    assert value(answer, "sales_per_visitor") == pytest.approx(Decimal(200) / 6, abs=Decimal("0.005"))
    assert value(answer, "coverage") >= Decimal("0.98")


def receipts(chain: Chain) -> list[dict[str, Any]]:
    def sale(number: int, gross: str, channel: str = "till") -> dict[str, Any]:
        return {
            "store_id": "S01",
            "receipt_no": f"R{number}",
            "at": (chain.opened + timedelta(minutes=number)).isoformat(),
            "channel": channel,
            "lines": [{"sku": "TEA", "unit_price": gross}],
        }

    return [sale(1, "30.00"), sale(2, "45.50"), sale(3, "24.50"), sale(4, "100.00"), sale(5, "999.00", "online")]


def finished(base: str, chain: Chain) -> dict[str, Any] | None:
    """The day's KPIs once visitors and transactions are both in them."""
    response = httpx.get(
        f"{base}/api/v1/kpi",
        params={
            "store": "S01",
            "from": str(chain.day),
            "to": str(chain.day),
            "group_by": "store",
            "kpi": "entries,exits,visitors,transactions,conversion,atv,sales_per_visitor,coverage",
        },
        headers=bearer(chain.hq_key),
    )
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["rows"]
    values = rows[0]["values"] if rows else {}
    done = values and values["visitors"]["value"] and values["transactions"]["value"]
    return values if done else None


def value(values: dict[str, Any], slug: str) -> Decimal:
    found = values[slug]
    assert found["value"] is not None, f"{slug} is withheld: {found}"
    return Decimal(str(found["value"]))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
