"""The generated description of the API: it has every route of the code and no other, and answers are as it says."""

import importlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from server.app import create_app
from server.services import Services
from tests.fixtures.schemas import judge
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock
from tests.server.ingest.devices import Sender, coverage, crossing

ROOT = Path(__file__).resolve().parents[2]


def written() -> set[tuple[str, str]]:
    """Method and path of every route in a router of ours, whether the app includes that router or not."""
    found: set[tuple[str, str]] = set()
    for path in sorted((ROOT / "server").rglob("*api.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for router in vars(module).values():
            if isinstance(router, APIRouter):
                for route in router.routes:
                    if isinstance(route, APIRoute):
                        found |= {(method.lower(), route.path) for method in route.methods or ()}
    return found


def test_every_route_is_described_and_nothing_else(services: Services) -> None:
    described = {
        (method, path)
        for path, methods in create_app(services).openapi()["paths"].items()
        for method in methods
        if path.startswith("/api/")
    }
    assert described == written()
    assert len(described) > 30


@pytest.fixture
def counted(chain: Services, clock: TurnedClock) -> str:
    """An hour of S01's door, with a gap, a dead letter and something lost; the password of its box."""
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1", installed_at=clock.now - timedelta(days=9), lines=["S01-L1"])
    password = chain.stores.add_device(SYSTEM, "S01", "door-1").password
    start = clock.now - timedelta(hours=1)
    records = [coverage(seq + 9, minute=start + timedelta(minutes=seq)) for seq in range(1, 40)]
    batch = Sender().batch([*records, crossing(49, at=start, line="NEW")], oldest=10, sent_at=clock.now)
    chain.ingest.take([batch])
    return password


def test_answers_of_ingest_are_as_described(
    chain: Services, client: TestClient, clock: TurnedClock, counted: str
) -> None:
    document = create_app(chain).openapi()

    def check(method: str, path: str, answer: Any) -> Any:
        responses = document["paths"][path][method]["responses"]
        described = responses.get(str(answer.status_code)) or responses[f"{answer.status_code // 100}XX"]
        schema = described["content"]["application/json"]["schema"]
        given = json.loads(answer.content)
        assert [error.message for error in judge(document, schema).iter_errors(given)] == [], (path, given)
        return given

    box = ("door-1", counted)
    batches, sender = "/api/v1/batches", Sender()
    second = sender.batch([crossing(2, at=clock.now)], sent_at=clock.now).payload
    for content, kind in ((second, "rewind"), (sender.batch([crossing(1, at=clock.now)]).payload, "ack")):
        found = check("post", batches, client.post(batches, content=content, auth=box))
        assert found["reply"]["type"] == kind
    assert client.post(batches, content=b"{}", auth=box).status_code == 422
    for content in (b"{}", b"\xff"):
        check("post", batches, client.post(batches, content=content, auth=box))
    check("post", batches, client.post(batches, content=second))

    client.post("/api/v1/session", json={"username": "admin", "password": PASSWORD})
    day = "2026-11-20"
    ledger = check("get", "/api/v1/coverage", client.get("/api/v1/coverage", params=dict(store="S01", **span(day))))
    assert ledger["lost"]
    assert ledger["dead_letters"] == 1
    assert {row["missing"] for row in ledger["quarters"]} > {0}
    check("get", "/api/v1/coverage", client.get("/api/v1/coverage", params=dict(store="S99", **span(day))))


def span(day: str) -> dict[str, str]:
    return {"from": day, "to": day}
