"""Keys of tills by pages: handed over once, replaced with an overlap, ended, and listed with what becomes of them."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.access.models import Scope
from server.errors import NotSignedIn
from tests.dashboards.conftest import Shop
from tests.dashboards.test_account_pages import csrf_of

_MADE = re.compile(r'id="made-key">(dl_([0-9a-f]{12})_[\w-]{43})<')
_KNOWN = re.compile(r'name="after" value="(\w*)"')


def test_a_key_is_made_replaced_and_ended(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("admin")
    access = shop.services.access
    csrf = csrf_of(client.get("/account").text)

    def send(path: str, status: int, **fields: Any) -> httpx.Response:
        answer = client.post(path, data={"csrf_token": csrf, **fields})
        assert answer.status_code == status, answer.text[:2000]
        return answer

    def handed(answer: httpx.Response) -> tuple[str, str]:
        found = _MADE.search(answer.text)
        assert found, answer.text[:2000]
        assert answer.headers["cache-control"] == "no-store"
        return found[1], found[2]

    def known() -> str:
        found = _KNOWN.search(client.get("/admin/keys/new").text)
        assert found
        return found[1]

    def scope_of(key: str) -> Scope:
        return access.api_key(key)

    # The step about tills leads here, with its store chosen, and sending receipts alone.
    assert re.search(r'href="/admin/keys/new\?store=\w+"', client.get("/setup").text)
    form = client.get("/admin/keys/new?store=S01").text
    assert re.search(r'value="S01" checked', form)
    assert re.search(r'value="receipts:write" checked', form)
    assert form.count(" checked") == 2

    # A mistake comes back beside its field, with what was typed.
    wanted: dict[str, Any] = {"role": "till", "use": ["receipts:write"], "days": "365", "after": known()}
    wrong = send("/admin/keys/new", 422, **wanted, name="till 3", rights="everything", store=["S01"]).text
    assert 'id="rights-error"' in wrong
    assert 'value="till 3"' in wrong
    assert 'id="stores-error"' in send("/admin/keys/new", 422, **wanted, name="till 3").text
    assert 'id="name-error"' in send("/admin/keys/new", 422, **wanted, name=" ", store=["S01"]).text

    made = {**wanted, "name": "till 3", "store": ["S01"], "rights": "members:read"}
    key, key_id = handed(send("/admin/keys/new", 200, **made))
    assert scope_of(key).stores == frozenset({"S01"})
    assert scope_of(key).rights == frozenset({"receipts:write", "members:read"})
    # The answer is loaded anew: nothing more is made, and it says so.
    again = send("/admin/keys/new", 409, **made).text
    assert "A key was made since this page was opened" in again
    assert [each.key_id for each in access.api_keys(Scope.system("tests")) if each.name == "till 3"] == [key_id]

    page = client.get(f"/admin/keys/{key_id}").text
    assert key not in page
    assert "members:read, receipts:write" in page
    other, other_id = handed(send(f"/admin/keys/{key_id}/rotate", 200, overlap="72", after=known()))
    assert scope_of(other).rights == scope_of(key).rights, "both are taken for a while"
    assert "ends soon" in client.get(f"/admin/keys/{key_id}").text
    assert f"/admin/keys/{other_id}" in client.get(f"/admin/keys/{key_id}").text
    send(f"/admin/keys/{key_id}/rotate", 409, overlap="72", after="0")
    send(f"/admin/keys/{key_id}/rotate", 422, overlap="5000", after=known())

    shop.clock.now += timedelta(hours=73)
    client = as_user("admin")
    csrf = csrf_of(client.get("/account").text)
    with pytest.raises(NotSignedIn):
        scope_of(key)
    scope_of(other)
    shown = client.get("/admin/keys").text
    assert (key_id in shown, other_id in shown) == (False, True)
    assert "its time was over" in client.get("/admin/keys?ended=true").text

    assert 'id="confirm-error"' in send(f"/admin/keys/{other_id}/end", 422, confirm="till 4").text
    scope_of(other)
    answer = send(f"/admin/keys/{other_id}/end", 303, confirm="till 3")
    assert "The key is ended" in client.get(answer.headers["location"]).text
    with pytest.raises(NotSignedIn):
        scope_of(other)
    assert "ended by hand" in client.get(f"/admin/keys/{other_id}").text
    assert client.get("/admin/keys/000000000000").status_code == 404
