"""Every error of the API has the one shape, whoever raised it."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.errors import Unavailable
from server.services import Services
from tests.server.conftest import TurnedClock

KEYS = {"code", "message", "field", "remedy", "detail"}


def error_of(answer: Any) -> dict[str, Any]:
    """The error, after its shape was checked."""
    body = answer.json()
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) == KEYS, error
    assert isinstance(error["code"], str)
    assert error["code"]
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


def test_each_kind_of_error_has_the_one_shape(sign_in: Callable[[str], TestClient], clock: TurnedClock) -> None:
    browser = sign_in("manager")
    send = browser.request
    huge = b'{"receipts": [' + b" " * (33 * 1024 * 1024) + b"]}"
    cases: list[tuple[Any, int, str, str | None]] = [
        (send("GET", "/api/v1/nothing"), 404, "not_found", None),
        (send("PATCH", "/api/v1/me"), 405, "method_not_allowed", None),
        (send("GET", "/api/v1/stores/S02"), 403, "forbidden", "store_id"),
        (send("GET", "/api/v1/keys"), 403, "forbidden", None),
        (send("GET", "/api/v1/members/not-a-uuid"), 422, "invalid_input", "member_id"),
        (send("GET", "/api/v1/members", params={"limit": 0}), 422, "invalid_input", "limit"),
        (send("GET", "/api/v1/members", params={"phone": "12"}), 422, "invalid_input", "phone"),
        (send("GET", "/api/v1/members/00000000-0000-0000-0000-000000000000"), 404, "not_found", "member_id"),
        (send("POST", "/api/v1/session", content=b"{"), 422, "invalid_input", None),
        (send("POST", "/api/v1/session", json=[]), 422, "invalid_input", "body"),
        (send("POST", "/api/v1/session", json={"username": "x"}), 422, "invalid_input", "password"),
        (send("POST", "/api/v1/session", json={"username": "x", "password": "y"}), 401, "not_signed_in", None),
        (send("PUT", "/api/v1/me/locale", json={"locale": "fr"}), 422, "invalid_input", "locale"),
        (send("POST", "/api/v1/receipts", content=b"[]"), 422, "invalid_input", None),
        (send("POST", "/api/v1/receipts", content=b"\xff\xfe"), 422, "invalid_input", None),
        (send("POST", "/api/v1/receipts", json={"receipts": []}), 422, "invalid_input", "receipts"),
        (send("POST", "/api/v1/receipts", json={"receipts": [{}] * 5001}), 413, "too_large", "receipts"),
        (send("POST", "/api/v1/receipts", content=huge), 413, "too_large", None),
        (send("POST", "/api/v1/receipts/csv", data={"store_id": "S01"}), 422, "invalid_input", "file"),
        (send("POST", "/api/v1/members/search", content=b"x" * 2_000_000), 413, "too_large", None),
        (send("GET", "/api/v1/kpi"), 422, "invalid_input", "from"),
        (send("GET", "/api/v1/stores/%00"), 403, "forbidden", "store_id"),
        (send("GET", "/nowhere"), 404, "not_found", None),
    ]
    for answer, status, code, field in cases:
        where = f"{answer.request.method} {answer.request.url}: {answer.text[:200]}"
        assert answer.status_code == status, where
        error = error_of(answer)
        assert error["code"] == code, where
        if field is not None:
            assert error["field"] == field, where
    clock.turn(days=1)
    assert error_of(send("GET", "/api/v1/me"))["code"] == "not_signed_in"


def test_a_text_the_database_can_not_hold_is_the_callers_mistake(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    for path in ("/api/v1/stores/%00", "/api/v1/stores/S01/facts?from=2026-01-01&to=2026-01-02&x=%00"):
        assert browser.get(path).status_code in {200, 404, 422}
    answer = browser.post("/api/v1/stores", json={"store_id": "S09", "name": "a\u0000b"})
    assert answer.status_code == 422
    error_of(answer)


def test_a_validation_error_does_not_repeat_what_was_sent(client: TestClient) -> None:
    answer = client.post("/api/v1/session", json={"username": "x", "password": {"secret": "hunter2"}})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_a_conflict_carries_what_is_there_already(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("desk")
    person = {
        "name": "张伟",
        "phone": "13800138000",
        "home_store": "S01",
        "consents": [{"purpose": "membership", "granted": True, "wording": "yes"}],
    }
    made = browser.post("/api/v1/members", json=person)
    assert made.status_code == 201, made.text
    again = browser.post("/api/v1/members", json={**person, "phone": "+86 138 0013 8000"})
    assert again.status_code == 409
    assert error_of(again)["detail"] == {"member_id": made.json()["member_id"], "card_no": made.json()["card_no"]}


def test_a_failure_nobody_foresaw_and_a_lost_database_have_the_shape_too(
    chain: Services, sign_in: Callable[[str], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = sign_in("hq")

    def broken(*_: object) -> None:
        raise RuntimeError("secret inside")

    with monkeypatch.context() as patch:
        patch.setattr(type(chain.stores), "stores", broken)
        answer = browser.get("/api/v1/stores")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")
    assert "secret inside" not in answer.text

    def lost(*_: object) -> None:
        raise Unavailable("the database can't be used now: gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(chain.db), "ping", lost)
        answer = browser.get("/healthz")
    assert (answer.status_code, answer.headers["retry-after"], error_of(answer)["code"]) == (503, "5", "unavailable")


def test_the_description_says_that_errors_have_the_shape(services: Services) -> None:
    description = create_app(services).openapi()
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            schema = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path)
            assert "422" not in operation["responses"], (method, path)
    assert set(description["components"]["schemas"]["ErrorDetail"]["required"]) == KEYS
