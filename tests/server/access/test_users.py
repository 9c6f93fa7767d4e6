"""Users are made, changed and disabled; other rights end sessions; sessions are listed and ended; keys follow keys."""

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import server
from server.access.models import Scope
from server.access.passwords import Passwords
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, NotSignedIn
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock

HERE = "10.0.0.1"


def test_other_rights_end_every_session_and_other_names_none(chain: Services) -> None:
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    chain.access.change_user(SYSTEM, "manager", display_name="陈店长二", locale="en")
    session = chain.access.session(token)
    assert session is not None
    assert (session.user.display_name, session.user.locale, session.user.stores) == ("陈店长二", "en", ["S01"])
    changed = chain.access.change_user(SYSTEM, "manager", stores=["S02", "S01"])
    assert changed.stores == ["S01", "S02"]
    assert chain.access.session(token) is None
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    promoted = chain.access.change_user(SYSTEM, "manager", role="hq")
    assert (promoted.role, promoted.stores) == ("hq", [])
    assert chain.access.session(token) is None
    line = chain.access.audit_trail(SYSTEM, 1)[0]
    assert line.detail["was"] == {"role": "manager", "stores": ["S01", "S02"]}
    assert line.detail["is"] == {"role": "hq", "stores": []}


def test_a_change_that_makes_no_sense_changes_nothing(chain: Services) -> None:
    for change, field in (
        ({"role": "boss"}, "role"),
        ({"role": "hq", "stores": ["S01"]}, "stores"),
        ({"stores": []}, "stores"),
        ({"stores": ["S99"]}, "stores"),
        ({"locale": "fr"}, "locale"),
    ):
        with pytest.raises(InvalidInput) as refused:
            chain.access.change_user(SYSTEM, "manager", **change)
        assert refused.value.field == field
    assert chain.access.user(SYSTEM, "manager").stores == ["S01"]
    with pytest.raises(NotFound):
        chain.access.change_user(SYSTEM, "nobody", display_name="x")


def test_the_last_administrator_can_not_be_lost(chain: Services) -> None:
    for attempt in (
        lambda: chain.access.disable_user(SYSTEM, "admin"),
        lambda: chain.access.change_user(SYSTEM, "admin", role="hq"),
    ):
        with pytest.raises(Forbidden, match="last administrator"):
            attempt()
    chain.access.create_user(SYSTEM, "admin2", PASSWORD, "", "admin")
    chain.access.disable_user(SYSTEM, "admin")
    with pytest.raises(Forbidden):
        chain.access.disable_user(SYSTEM, "admin2")
    chain.access.enable_user(SYSTEM, "admin")
    assert chain.access.sign_in("admin", PASSWORD, HERE).stage == "open"


def test_sessions_are_listed_and_ended_by_their_owner(chain: Services, clock: TurnedClock) -> None:
    first = chain.access.sign_in("manager", PASSWORD, HERE, agent="Firefox/1\r\n" + "x" * 500)
    clock.turn(minutes=5)
    second = chain.access.sign_in("manager", PASSWORD, "10.0.0.2", agent="Chrome/1")
    other = chain.access.sign_in("desk", PASSWORD, HERE)
    found = chain.access.sessions(second.scope, current=second.session_id)
    assert [(each.address, each.is_current) for each in found] == [("10.0.0.2", True), (HERE, False)]
    assert found[1].agent == ("Firefox/1" + "x" * 500)[:200]
    with pytest.raises(NotFound):
        chain.access.end_session(second.scope, other.session_id)
    with pytest.raises(NotFound):
        chain.access.end_session(second.scope, "no uuid")
    assert chain.access.session(other.token) is not None
    chain.access.end_session(second.scope, first.session_id)
    assert chain.access.session(first.token) is None
    third = chain.access.sign_in("manager", PASSWORD, HERE)
    assert chain.access.end_sessions(third.scope, but=third.session_id) == 1
    assert chain.access.session(third.token) is not None


def test_an_administrator_ends_other_peoples_sessions_and_nobody_else(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    session = chain.access.sign_in("desk", PASSWORD, HERE)
    for name in ("hq", "region", "manager"):
        with pytest.raises(Forbidden):
            chain.access.sessions(scope_of(name), "desk")
        with pytest.raises(Forbidden):
            chain.access.end_sessions(scope_of(name), "desk")
    assert [each.session_id for each in chain.access.sessions(scope_of("admin"), "desk")] == [session.session_id]
    assert chain.access.end_sessions(scope_of("admin"), "desk") == 1
    assert chain.access.session(session.token) is None


def test_a_key_has_no_sessions_to_end(chain: Services) -> None:
    scope = chain.access.api_key(chain.access.create_api_key(SYSTEM, "bi", "hq"))
    with pytest.raises(Forbidden):
        chain.access.sessions(scope)
    with pytest.raises(Forbidden):
        chain.access.end_sessions(scope)


def test_a_password_hashed_at_other_cost_is_hashed_anew_at_sign_in(chain: Services) -> None:
    def stored() -> str:
        with chain.db.read() as conn:
            row = conn.execute("SELECT password_hash FROM app_user WHERE username = 'manager'").fetchone()
        assert row is not None
        return str(row[0])

    weak = Passwords(memory_kib=32, time_cost=1).hash(PASSWORD)
    with chain.db.transaction() as conn:
        conn.execute("UPDATE app_user SET password_hash = %s WHERE username = 'manager'", (weak,))
    session = chain.access.sign_in("manager", PASSWORD, HERE)
    assert "m=64,t=1,p=2" in stored()
    assert chain.access.session(session.token) is not None
    assert chain.access.sign_in("manager", PASSWORD, HERE).stage == "open"


def test_a_rotated_key_is_taken_beside_the_new_one_for_a_while(chain: Services, clock: TurnedClock) -> None:
    ends = clock.now + timedelta(days=90)
    old = chain.access.create_api_key(SYSTEM, "till 3", "till", ["S01"], ends, ["receipts:write"])
    old_id = chain.access.api_keys(SYSTEM)[0].key_id
    clock.turn(days=80)
    new = chain.access.rotate_api_key(SYSTEM, old_id, timedelta(hours=24))
    for key in (old, new):
        scope = chain.access.api_key(key)
        assert (scope.role, scope.stores, scope.rights) == ("till", frozenset({"S01"}), frozenset({"receipts:write"}))
    follower = chain.access.api_keys(SYSTEM)[0]
    assert (follower.follows, follower.expires_at) == (old_id, clock.now + timedelta(days=90))
    with pytest.raises(Conflict):
        chain.access.rotate_api_key(SYSTEM, old_id, timedelta(hours=24))
    clock.turn(hours=24)
    with pytest.raises(NotSignedIn):
        chain.access.api_key(old)
    assert chain.access.api_key(new)
    with pytest.raises(NotFound):
        chain.access.rotate_api_key(SYSTEM, old_id, timedelta(0))


def test_who_lost_the_new_key_ends_it_and_makes_another_for_as_long(chain: Services, clock: TurnedClock) -> None:
    chain.access.create_api_key(SYSTEM, "till 4", "till", ["S01"])
    old_id = chain.access.api_keys(SYSTEM)[0].key_id
    clock.turn(days=1)
    chain.access.rotate_api_key(SYSTEM, old_id, timedelta(hours=72))
    chain.access.revoke_api_key(SYSTEM, chain.access.api_keys(SYSTEM)[0].key_id)
    chain.access.rotate_api_key(SYSTEM, old_id, timedelta(hours=24))
    live = [each for each in chain.access.api_keys(SYSTEM) if each.follows == old_id and each.revoked_at is None]
    assert [each.expires_at for each in live] == [None], "made without an end, as the first one"


def test_an_overlap_never_lets_a_key_live_longer(chain: Services, clock: TurnedClock) -> None:
    old = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"], clock.now + timedelta(hours=1))
    chain.access.rotate_api_key(SYSTEM, chain.access.api_keys(SYSTEM)[0].key_id, timedelta(days=30))
    clock.turn(hours=1)
    with pytest.raises(NotSignedIn):
        chain.access.api_key(old)
    for overlap in (timedelta(days=31), timedelta(seconds=-1)):
        with pytest.raises(InvalidInput):
            chain.access.rotate_api_key(SYSTEM, chain.access.api_keys(SYSTEM)[0].key_id, overlap)


def test_a_key_does_what_it_was_made_for_and_nothing_else(chain: Services, client: TestClient) -> None:
    key = chain.access.create_api_key(SYSTEM, "bi", "hq", rights=["stores:read", "kpi:read"])
    bearer = {"Authorization": f"Bearer {key}"}
    assert client.get("/api/v1/stores", headers=bearer).status_code == 200
    assert client.get("/api/v1/me", headers=bearer).status_code == 200
    refused = client.post("/api/v1/stores", json={"store_id": "S09", "name": "x"}, headers=bearer)
    assert (refused.status_code, "stores:write" in refused.text) == (403, True)
    assert client.get("/api/v1/members", headers=bearer).status_code == 403
    for wrong in ("kpi", "kpi:all", "KPI:read", ":read", "kpi:read "):
        with pytest.raises(InvalidInput):
            chain.access.create_api_key(SYSTEM, "bi", "hq", rights=[wrong])


def test_users_by_the_api(sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    body = {"username": "Li.Na", "display_name": "李娜", "role": "desk", "stores": ["S01"]}
    made = browser.post("/api/v1/users", json=body)
    assert made.status_code == 201
    assert (made.json()["user"]["username"], made.json()["user"]["must_change"]) == ("li.na", True)
    assert browser.post("/api/v1/users", json=body).status_code == 409
    assert browser.post("/api/v1/users", json={**body, "password": "x" * 12}).status_code == 422
    changed = browser.patch("/api/v1/users/li.na", json={"role": "manager"}).json()
    assert (changed["role"], changed["stores"]) == ("manager", ["S01"])
    assert {each["username"] for each in browser.get("/api/v1/users").json()} > {"li.na", "admin"}
    assert "password" not in browser.get("/api/v1/users/li.na").text
    reset = browser.post("/api/v1/users/li.na/password").json()
    assert reset["temporary_password"] != made.json()["temporary_password"]
    assert browser.post("/api/v1/users/li.na/disable").status_code == 204
    assert browser.post("/api/v1/users/li.na/enable").status_code == 204
    assert browser.get("/api/v1/users/nobody").status_code == 404
    lines = browser.get("/api/v1/audit-trail", params={"limit": 3}).json()
    assert [line["action"] for line in lines] == ["user.enable", "user.disable", "user.password"]
    assert reset["temporary_password"] not in str(lines)
    older = browser.get("/api/v1/audit-trail", params={"limit": 1, "before": lines[-1]["audit_id"]}).json()
    assert older[0]["audit_id"] < lines[-1]["audit_id"]
    verdict = browser.get("/api/v1/audit-trail/verdict").json()
    assert verdict["faults"] == []
    assert verdict["head"] == browser.get("/api/v1/audit-trail/head").json()


def test_only_an_administrator_reaches_users_and_the_trail(sign_in: Callable[[str], TestClient]) -> None:
    for user in ("hq", "region", "manager", "desk"):
        browser = sign_in(user)
        for path in ("users", "users/admin", "users/admin/sessions", "keys", "audit-trail", "audit-trail/verdict"):
            assert browser.get(f"/api/v1/{path}").status_code == 403, (user, path)
        assert browser.patch("/api/v1/users/manager", json={"role": "admin"}).status_code == 403


def test_a_key_of_an_administrator_for_one_store_manages_no_users(chain: Services, client: TestClient) -> None:
    key = chain.access.create_api_key(SYSTEM, "setup", "admin", ["S01"])
    bearer = {"Authorization": f"Bearer {key}"}
    for path in ("users", "keys", "audit-trail", "audit-trail/head"):
        assert client.get(f"/api/v1/{path}", headers=bearer).status_code == 403, path


def test_ones_own_sessions_by_the_api(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    other = chain.access.sign_in("manager", PASSWORD, "10.0.0.9")
    browser = sign_in("manager")
    listed = browser.get("/api/v1/me/sessions").json()
    assert sorted(each["is_current"] for each in listed) == [False, True]
    assert other.token not in str(listed)
    assert browser.delete(f"/api/v1/me/sessions/{other.session_id}").status_code == 204
    assert chain.access.session(other.token) is None
    assert browser.delete(f"/api/v1/me/sessions/{other.session_id}").status_code == 404
    chain.access.sign_in("manager", PASSWORD, "10.0.0.9")
    assert browser.delete("/api/v1/me/sessions").status_code == 204
    assert len(browser.get("/api/v1/me/sessions").json()) == 1


def test_nobody_is_called_what_the_server_calls_itself_in_the_trail(chain: Services) -> None:
    """Every name by which its own jobs write is refused: what is found in the code, and not a list of ours."""
    found: set[str] = set()
    for path in Path(server.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Scope.system"):
                found |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ACTOR":
                found |= {str(node.value.value)} if isinstance(node.value, ast.Constant) else set()
    assert {"jobs", "retention", "expiry"} <= found, "what was not found is not looked at"
    for name in sorted({"system", *found}):
        with pytest.raises(InvalidInput, match="calls itself") as refused:
            chain.access.create_user(SYSTEM, name.upper(), PASSWORD, "", "admin")
        assert refused.value.field == "username"
