"""The application as a whole: health, headers, sizes, ids in the log, and what its description says."""

from collections.abc import Callable, MutableMapping
from decimal import Decimal
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from pydantic import SecretStr
from structlog.testing import capture_logs

from server.app import create_app
from server.errors import InvalidInput
from server.services import Services, make_services
from server.settings import Settings
from tests.fixtures import loops
from tests.server.conftest import SYSTEM


def test_health_asks_the_database(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})


def test_answers_carry_the_browsers_defences_and_the_requests_id(client: TestClient) -> None:
    answer = client.get("/api/v1/me", headers={"X-Request-ID": "from-the-front-01"})
    assert answer.headers["x-request-id"] == "from-the-front-01"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    forged = client.get("/healthz", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"]
    assert len(forged) == 32


def test_the_log_has_id_path_and_status_and_no_query(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("desk")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = browser.get("/api/v1/members?phone=13800138000")
    (line,) = [each for each in lines if each["event"] == "request"]
    assert (line["path"], line["status"], line["method"]) == ("/api/v1/members", 200, "GET")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "13800138000" not in str(lines)


def test_a_body_that_grows_too_large_on_the_way_is_cut_off(sign_in: Callable[[str], TestClient]) -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield b" " * 1024 * 1024

    answer = sign_in("admin").post("/api/v1/receipts", content=endless())  # type: ignore[arg-type]
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_strangers_file_is_refused_unread(chain: Services) -> None:
    """A gigabyte is taken in from those who may import receipts, not from whoever reaches the port."""
    app = create_app(chain)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    request = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/receipts/csv",
        "raw_path": b"/api/v1/receipts/csv",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"1000000000")],
        "client": ("192.0.2.1", 40000),
        "server": ("testserver", 80),
    }
    loops.run(app(request, receive, send))
    assert sent[0]["status"] == 401


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"store_id": "S01", "dry_run": "perhaps"}, "dry_run"),
        ({"dry_run": "true"}, "store_id"),
        ({"store_id": "S01", "mapping": "["}, "mapping"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_by_field(
    sign_in: Callable[[str], TestClient], form: dict[str, str], field: str
) -> None:
    files = {"file": ("r.csv", b"receipt_no,at,gross\n1,2026-11-20 10:00,5\n")}
    answer = sign_in("manager").post("/api/v1/receipts/csv", data=form, files=files)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_amounts_arrive_digit_by_digit(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    body = (
        '{"receipts": ['
        '{"store_id": "S01", "receipt_no": "1", "at": "2026-11-20T10:00:00+08:00", "gross": 123456789012.34},'
        '{"store_id": "S01", "receipt_no": "2", "at": "2026-11-20T10:00:00+08:00", "gross": "0.10"},'
        '{"store_id": "S01", "receipt_no": "3", "at": "2026-11-20T10:00:00", "gross": 1},'
        '{"store_id": "S01", "receipt_no": "4", "at": "2026-11-20T10:00:00Z", "gross": 1, "colour": "red"},'
        '{"store_id": "S01", "receipt_no": "5", "at": "2026-11-20T10:00:00+08:00", "lines": [{"sku": "A"}]}]}'
    )
    answer = sign_in("manager").post("/api/v1/receipts", content=body).json()
    assert answer["accepted"] == 2
    assert [(each["index"], each["receipt_no"], each["field"]) for each in answer["rejected"]] == [
        (2, "3", "at"),
        (3, "4", None),
        (4, "5", "lines[0]"),
    ]
    kept = {receipt.receipt_no: receipt.gross for receipt in chain.sales.recent(SYSTEM, "S01")}
    assert kept == {"1": Decimal("123456789012.34"), "2": Decimal("0.10")}


def test_a_till_posts_for_its_store_and_reads_nothing(chain: Services, client: TestClient) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    client.headers["Authorization"] = f"Bearer {key}"
    receipt = {"store_id": "S01", "receipt_no": "1", "at": "2026-11-20T10:00:00+08:00", "gross": "5"}
    assert client.post("/api/v1/receipts", json={"receipts": [receipt]}).json()["accepted"] == 1
    other = client.post("/api/v1/receipts", json={"receipts": [{**receipt, "store_id": "S02"}]})
    assert other.status_code == 403
    paths = [
        "/api/v1/stores",
        "/api/v1/members",
        "/api/v1/receipts?store=S01",
        "/api/v1/kpi?from=2026-11-01&to=2026-11-02",
    ]
    for path in paths:
        assert client.get(path).status_code == 403, path


def test_stores_are_set_up_over_the_api(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    span = {"weekday": 0, "opens": "10:00", "closes": "22:00"}
    made = browser.post("/api/v1/stores", json={"store_id": "S09", "name": "新店", "hours": [span]})
    assert (made.status_code, made.json()["timezone"]) == (201, "Asia/Shanghai")
    assert browser.post("/api/v1/stores/S09/cameras", json={"camera_id": "S09-C1"}).status_code == 201
    assert browser.post("/api/v1/cameras/S09-C1/lines", json={"line_id": "S09-L1"}).json()["kind"] == "door"
    box = browser.post("/api/v1/stores/S09/devices", json={"name": "box-9"}).json()
    assert len(box["password"]) > 40
    assert box["password"] not in browser.get("/api/v1/stores/S09/devices").text
    assert [each["state"] for each in browser.get("/api/v1/stores/S09/camera-health").json()] == ["never_seen"]
    fact = {"kind": "promotion", "day_from": "2026-11-20", "day_to": "2026-11-21", "title": "周年庆", "store_id": "S09"}
    assert browser.post("/api/v1/facts", json=fact).status_code == 201
    found = browser.get("/api/v1/stores/S09/facts", params={"from": "2026-11-21", "to": "2026-11-30"}).json()
    assert [each["title"] for each in found] == ["周年庆"]
    hours = {"valid_from": "2026-12-01", "hours": [{**span, "closes": "22:10"}]}
    refused = browser.put("/api/v1/stores/S09/hours", json=hours)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "closes")
    assert browser.delete("/api/v1/devices/box-9").status_code == 204
    assert browser.delete("/api/v1/devices/box-9").status_code == 404


def test_every_route_is_described_and_tagged(services: Services) -> None:
    description = create_app(services).openapi()
    tags = {tag["name"] for tag in description["tags"]}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), (method, path)
            assert operation.get("description"), (method, path)
            assert set(operation["tags"]) <= tags, (method, path)
    body = description["paths"]["/api/v1/receipts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "receipt_no" in body["properties"]["receipts"]["items"]["properties"]


@pytest.mark.parametrize("key", ["", "short"])
def test_without_a_secret_key_nothing_starts(settings: Settings, key: str) -> None:
    with pytest.raises(InvalidInput, match="secret key") as refused:
        make_services(settings.model_copy(update={"secret_key": SecretStr(key)}))
    assert refused.value.remedy
