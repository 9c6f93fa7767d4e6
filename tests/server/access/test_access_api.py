"""Sign-in over HTTP: cookies, CSRF, keys and roles."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient) -> None:
    answer = client.post("/api/v1/session", json={"username": "manager", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 201
    assert cookie.startswith("doorline_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert answer.json()["stores"] == ["S01"]


def test_me_says_who_and_the_session_ends(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("hq")
    me = browser.get("/api/v1/me").json()
    assert (me["role"], me["stores"], me["locale"], me["display_name"]) == ("hq", None, "en", "总部")
    assert browser.delete("/api/v1/session").status_code == 204
    assert browser.get("/api/v1/me").status_code == 401


def test_an_unsafe_request_with_a_cookie_needs_the_csrf_token(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("manager")
    token = browser.headers.pop("X-CSRF-Token")
    refused = browser.put("/api/v1/me/locale", json={"locale": "en"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (403, "csrf_token")
    wrong = browser.put(
        "/api/v1/me/locale", json={"locale": "en"}, headers=[(b"X-CSRF-Token", b"\xe9" + token[1:].encode())]
    )
    assert wrong.status_code == 403
    assert browser.get("/api/v1/me").json()["locale"] == "zh"
    right = browser.put("/api/v1/me/locale", json={"locale": "en"}, headers={"X-CSRF-Token": token})
    assert right.status_code == 204
    assert browser.get("/api/v1/me").json()["locale"] == "en"


def test_a_form_may_bring_the_token_as_a_field(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("manager")
    token = browser.headers.pop("X-CSRF-Token")
    files = {"file": ("r.csv", b"receipt_no,at,gross\n1,2026-11-20 10:00,5\n")}
    form = {"store_id": "S01", "dry_run": "true"}
    assert browser.post("/api/v1/receipts/csv", data=form, files=files).status_code == 403
    answer = browser.post("/api/v1/receipts/csv", data={**form, "csrf_token": token}, files=files)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.text


def test_a_key_needs_no_csrf_token_and_beats_a_cookie(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    browser = sign_in("admin")
    del browser.headers["X-CSRF-Token"]
    answer = browser.post("/api/v1/receipts", json={"receipts": [{}]}, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert browser.get("/api/v1/stores", headers={"Authorization": f"Bearer {key}"}).status_code == 403


def test_a_bad_key_is_refused_even_with_a_good_cookie(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    for header in (b"Bearer", b"Bearer dl_000000000000_x", b"Basic YTpi", b"", b"Bearer \xe9"):
        answer = browser.get("/api/v1/me", headers=[(b"Authorization", header)])
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_form_of_another_site_can_not_sign_in(client: TestClient) -> None:
    body = f'{{"username": "manager", "password": "{PASSWORD}"}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post("/api/v1/session", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422, kind
        assert "set-cookie" not in answer.headers


def test_a_locked_sign_in_says_when_to_come_back(client: TestClient) -> None:
    for _ in range(5):
        client.post("/api/v1/session", json={"username": "manager", "password": "wrong password"})
    answer = client.post("/api/v1/session", json={"username": "manager", "password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


def test_an_expired_session_is_no_session(sign_in: Callable[[str], TestClient], clock: TurnedClock) -> None:
    browser = sign_in("manager")
    clock.turn(hours=2)
    assert browser.get("/api/v1/me").status_code == 401


def test_a_changed_password_signs_out(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("manager")
    change = {"current": PASSWORD, "new": "another long one"}
    assert browser.put("/api/v1/me/password", json=change).status_code == 204
    assert browser.get("/api/v1/me").status_code == 401


def test_a_key_is_made_shown_once_listed_and_ended(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    made = browser.post("/api/v1/keys", json={"name": "till 1", "role": "till", "stores": ["S01"]})
    assert made.status_code == 201
    key = made.json()["key"]
    (listed,) = browser.get("/api/v1/keys").json()
    assert key not in str(listed)
    assert browser.delete(f"/api/v1/keys/{listed['key_id']}").status_code == 204
    assert browser.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_only_admin_sees_keys(sign_in: Callable[[str], TestClient]) -> None:
    for user in ("hq", "region", "manager", "desk"):
        assert sign_in(user).get("/api/v1/keys").status_code == 403, user
