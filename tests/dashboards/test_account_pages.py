"""Signing in step by step, one's own account and the users page: as forms, and once in a browser with a camera."""

import base64
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from server.access import totp
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, PASSWORD

OWN = "a password of my own"


def csrf_of(text: str) -> str:
    return text.partition('name="csrf_token" value="')[2].partition('"')[0]


@pytest.fixture
def boss(shop: Shop, address: str) -> Iterator[httpx.Client]:
    """An administrator of this file's own: the seed's people belong to all tests."""
    made = {user.username for user in shop.services.access.users(ADMIN)}
    if "boss" not in made:
        shop.services.access.create_user(ADMIN, "boss", PASSWORD, "老板", "admin", locale="en")
    with httpx.Client(base_url=address, headers={"accept-language": "en"}) as client:
        assert client.post("/sign-in", data={"username": "boss", "password": PASSWORD}).status_code == 303
        yield client


def test_a_user_is_invited_signs_in_and_chooses_a_password(boss: httpx.Client, visitor: httpx.Client) -> None:
    form = {"csrf_token": csrf_of(boss.get("/admin/users/new").text), "display_name": "李娜", "locale": "en"}
    without_store = boss.post("/admin/users/new", data={**form, "username": "li.na", "role": "manager"})
    assert (without_store.status_code, "choose one or more" in without_store.text) == (422, True)
    assert "李娜" in without_store.text, "what was typed stays"
    made = boss.post("/admin/users/new", data={**form, "username": "li.na", "role": "manager", "store": "S01"})
    password = made.text.partition("<code>")[2].partition("</code>")[0]
    assert len(password) == 17
    assert password not in str(made.url)
    again = boss.post("/admin/users/new", data={**form, "username": "li.na", "role": "hq"})
    assert again.status_code == 409
    first = visitor.post("/sign-in", data={"username": "li.na", "password": password, "next": "/desk"})
    assert first.headers["location"] == "/sign-in/password?next=/desk"
    assert visitor.get("/desk").status_code == 303, "nothing is open yet"
    assert visitor.get("/sign-in/code").headers["location"] == "/sign-in/password"
    page = visitor.get(first.headers["location"])
    step = {"csrf_token": csrf_of(page.text), "next": "/desk"}
    assert visitor.post("/sign-in/password", data={**step, "new": OWN, "again": "other"}).status_code == 422
    assert visitor.post("/sign-in/password", data={"new": OWN, "again": OWN}).status_code == 403
    done = visitor.post("/sign-in/password", data={**step, "new": OWN, "again": OWN})
    assert (done.status_code, done.headers["location"]) == (303, "/desk")
    assert visitor.get("/desk").status_code == 200
    assert visitor.get("/sign-in/password").headers["location"] == "/sign-in"


def test_rights_are_changed_and_taken_away_on_the_page(boss: httpx.Client, shop: Shop) -> None:
    shop.services.access.create_user(ADMIN, "zhou", PASSWORD, "周静", "desk", ["S01"])
    page = boss.get("/admin/users/zhou")
    form = {"csrf_token": csrf_of(page.text), "display_name": "周静", "locale": "zh", "role": "region"}
    changed = boss.post("/admin/users/zhou", data={**form, "store": ["S01", "S02"]})
    assert changed.headers["location"] == "/admin/users/zhou?note=changed"
    user = shop.services.access.user(ADMIN, "zhou")
    assert (user.role, user.stores) == ("region", ["S01", "S02"])
    for action, note in (("sessions", "ended"), ("codes", "codes"), ("disable", "disabled"), ("enable", "enabled")):
        answer = boss.post(f"/admin/users/zhou/{action}", data={"csrf_token": form["csrf_token"]})
        assert answer.headers["location"] == f"/admin/users/zhou?note={note}"
        assert 'role="status"' in boss.get(answer.headers["location"]).text
    assert "<code>" in boss.post("/admin/users/zhou/password", data={"csrf_token": form["csrf_token"]}).text
    assert boss.post("/admin/users/zhou/disable").status_code == 403, "without the token"
    assert boss.get("/admin/users/nobody").status_code == 404


@pytest.mark.browser
def test_one_time_codes_are_set_up_with_a_camera_and_asked_for(shop: Shop, page: Page) -> None:
    shop.services.access.create_user(ADMIN, "sun", PASSWORD, "孙浩", "hq")
    page.goto("/sign-in?next=/account")
    page.fill("#username", "sun")
    page.fill("#password", PASSWORD)
    page.locator("form[action='/sign-in'] button").click()
    page.get_by_role("link", name="启用动态验证码").click()
    page.locator(".code-picture").evaluate("picture => picture.decode()")
    picture = cv2.imdecode(np.frombuffer(page.locator(".code-picture").screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(cv2.resize(picture, None, fx=3, fy=3))
    told = urlsplit(read)
    assert (told.scheme, told.netloc, told.path) == ("otpauth", "totp", "/Doorline:sun")
    secret = base64.b32decode(parse_qs(told.query)["secret"][0])
    page.fill("#code", totp.code_at(secret, shop.clock.now))
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="继续").click()
    codes = page.locator(".codes code")
    expect(codes).to_have_count(10)
    recovery = codes.first.inner_text()
    page.get_by_role("link", name="我已保存").click()
    expect(page.locator(".badge.good").first).to_have_text("已启用")
    page.get_by_role("button", name="退出").click()
    page.fill("#username", "sun")
    page.fill("#password", PASSWORD)
    page.locator("form[action='/sign-in'] button").click()
    page.wait_for_url("**/sign-in/code")
    page.goto("/hq")
    page.wait_for_url("**/sign-in?next=/hq")
    page.goto("/sign-in/code?next=/account")
    page.fill("#code", recovery)
    page.get_by_role("button", name="继续").click()
    page.wait_for_url("**/account")
    expect(page.get_by_text("还剩 9 个恢复码")).to_be_visible()
