"""Signing in, out, and the language: what a browser sends and what it gets back."""

import re
from collections.abc import Callable

import httpx
import pytest

from tests.dashboards.conftest import Shop
from tests.dashboards.seed import PASSWORD


def csrf_of(page: str) -> str:
    """The token in a page's first form that has one."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None, "no form with a token"
    return found.group(1)


@pytest.mark.parametrize(
    ("username", "home"),
    [("manager", "/stores/S01"), ("hq", "/hq"), ("admin", "/hq"), ("desk", "/desk")],
)
def test_each_role_lands_on_its_own_page(visitor: httpx.Client, username: str, home: str) -> None:
    answer = visitor.post("/sign-in", data={"username": username, "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, home)
    assert visitor.get("/").headers["location"] == home


def test_the_cookie_is_out_of_reach_of_scripts(visitor: httpx.Client) -> None:
    answer = visitor.post("/sign-in", data={"username": "hq", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_a_stranger_is_sent_to_sign_in_and_back(visitor: httpx.Client) -> None:
    answer = visitor.get("/hq?range=30d")
    assert answer.status_code == 303
    way = answer.headers["location"]
    assert way == "/sign-in?next=/hq%3Frange%3D30d"
    form = visitor.get(way)
    assert 'name="next" value="/hq?range=30d"' in form.text
    answer = visitor.post("/sign-in", data={"username": "hq", "password": PASSWORD, "next": "/hq?range=30d"})
    assert answer.headers["location"] == "/hq?range=30d"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "hq"])
def test_nobody_is_forwarded_to_another_site(visitor: httpx.Client, target: str) -> None:
    answer = visitor.post("/sign-in", data={"username": "hq", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/hq"


def test_a_wrong_password_says_so_and_keeps_the_name(visitor: httpx.Client) -> None:
    answer = visitor.post("/sign-in", data={"username": "nobody<b>", "password": "wrong"})
    assert answer.status_code == 401
    assert "go together" in answer.text
    assert 'value="nobody&lt;b&gt;"' in answer.text
    assert "doorline_session" not in answer.headers.get("set-cookie", "")


def test_nothing_entered_is_said_without_asking_the_database(visitor: httpx.Client) -> None:
    answer = visitor.post("/sign-in", data={"username": " ", "password": ""})
    assert answer.status_code == 422
    assert "Enter your user name" in answer.text


def test_signing_out_ends_the_session(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("hq")
    token = csrf_of(client.get("/hq").text)
    answer = client.post("/sign-out", data={"csrf_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert client.get("/hq").status_code == 303


def test_where_cookies_are_for_tls_only_all_of_them_are(
    as_user: Callable[[str], httpx.Client], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_user("hq")
    token = csrf_of(client.get("/hq").text)
    monkeypatch.setattr(shop.services.settings, "cookie_secure", True)
    answer = client.post("/sign-out", data={"csrf_token": token})
    cookies = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"doorline_session", "doorline_locale"}
    assert all("; secure" in cookie.lower() for cookie in cookies), cookies


@pytest.mark.parametrize("token", ["", "wrong"])
def test_signing_out_needs_the_token(as_user: Callable[[str], httpx.Client], token: str) -> None:
    client = as_user("hq")
    assert client.post("/sign-out", data={"csrf_token": token}).status_code == 403
    assert client.get("/hq").status_code == 200


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}], ids=["origin", "fetch"]
)
def test_a_form_from_another_site_is_refused(visitor: httpx.Client, headers: dict[str, str]) -> None:
    answer = visitor.post("/sign-in", data={"username": "hq", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_browser_decides_the_language_until_somebody_does(visitor: httpx.Client) -> None:
    assert '<html lang="en">' in visitor.get("/sign-in").text
    assert '<html lang="zh-Hans">' in visitor.get("/sign-in", headers={"accept-language": "zh-TW,zh;q=0.9"}).text
    assert '<html lang="zh-Hans">' in visitor.get("/sign-in", headers={"accept-language": "fr"}).text
    answer = visitor.post("/language", data={"locale": "zh", "next": "/sign-in"})
    assert answer.headers["location"] == "/sign-in"
    assert '<html lang="zh-Hans">' in visitor.get("/sign-in").text


def test_a_users_language_is_kept_with_the_user(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("admin")
    page = client.get("/hq")
    assert '<html lang="en">' in page.text
    data = {"locale": "zh", "next": "/hq?range=today", "csrf_token": csrf_of(page.text)}
    assert client.post("/language", data=data).headers["location"] == "/hq?range=today"
    assert '<html lang="zh-Hans">' in client.get("/hq").text
    session = shop.services.access.session(client.cookies["doorline_session"])
    assert session is not None
    assert session.user.locale == "zh"


def test_an_unknown_language_is_refused(visitor: httpx.Client) -> None:
    assert visitor.post("/language", data={"locale": "xx"}).status_code == 422
