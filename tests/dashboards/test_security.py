"""What every answer tells a browser, which files are served, and that people get errors as pages, programs as JSON."""

import gzip
import re
from collections.abc import Callable

import httpx
import pytest

from dashboards.assets import Assets
from tests.dashboards.conftest import Shop

PAGES = [("manager", "/stores/S01"), ("hq", "/hq"), ("hq", "/styleguide"), ("desk", "/desk")]


@pytest.mark.parametrize(("username", "path"), PAGES)
def test_pages_are_locked_down_and_never_kept(as_user: Callable[[str], httpx.Client], username: str, path: str) -> None:
    answer = as_user(username).get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("username", "path"), PAGES)
def test_pages_hold_nothing_the_policy_forbids(
    as_user: Callable[[str], httpx.Client], username: str, path: str
) -> None:
    text = as_user(username).get(path).text
    scripts = re.findall(r"<script[^>]*>", text)
    assert all('src="/assets/' in tag or 'type="application/json"' in tag for tag in scripts)
    assert "<style" not in text
    assert not re.search(r"\s(?:on\w+|style)=", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_every_file_a_page_names_is_there_for_a_year(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("manager")
    text = client.get("/stores/S01").text
    paths = set(re.findall(r'"(/assets/[^"#]+)', text))
    assert any(path.endswith("plotly.min.js") for path in paths)
    assert any(path.endswith(".css") for path in paths)
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_files_are_compressed_for_those_who_ask(visitor: httpx.Client, shop: Shop) -> None:
    path = shop.app.state.renderer.assets.plotly_url
    with visitor.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
    plain = visitor.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 2


@pytest.mark.parametrize("path", ["/assets/x/css/base.css", "/assets/../app.py", "/assets/%2e%2e/%2e%2e/etc/passwd"])
def test_only_known_files_are_served(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code == 404


def test_a_changed_file_changes_the_address(shop: Shop) -> None:
    assets = shop.app.state.renderer.assets
    assert Assets.load().url("css/base.css") == assets.url("css/base.css")
    with pytest.raises(KeyError, match="no asset"):
        assets.url("css/nothing.css")


def test_people_get_a_page_and_programs_json(visitor: httpx.Client) -> None:
    page = visitor.get("/nowhere")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "There is nothing here" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    answer = visitor.get("/api/v1/nowhere")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_wrong_method_is_a_page_too(visitor: httpx.Client) -> None:
    answer = visitor.post("/hq")
    assert answer.status_code == 405
    assert "There is nothing here" in answer.text


@pytest.mark.parametrize(
    ("username", "path"),
    [
        ("manager", "/stores/S02"),
        ("manager", "/stores/NONE"),
        ("manager", "/hq"),
        ("desk", "/hq"),
        ("desk", "/stores/S01"),
    ],
)
def test_what_is_not_yours_is_refused_in_words(
    as_user: Callable[[str], httpx.Client], username: str, path: str
) -> None:
    answer = as_user(username).get(path)
    assert answer.status_code == 403
    assert "not yours to open" in answer.text


def test_a_page_of_an_error_calls_a_managers_store_by_its_name(as_user: Callable[[str], httpx.Client]) -> None:
    client = as_user("manager")
    for path in ("/hq", "/nowhere", "/styleguide"):
        page = client.get(path).text
        links = re.findall(r'<a href="/stores/S01"[^>]*>([^<]+)</a>', page)
        assert links == ["上海静安旗舰店"], path


def test_a_store_that_is_not_there_is_missing_for_hq(as_user: Callable[[str], httpx.Client]) -> None:
    assert as_user("hq").get("/stores/NONE").status_code == 404


@pytest.mark.parametrize(
    ("username", "path", "status"),
    [("", "/stores/S01/live", 401), ("desk", "/stores/S01/live", 403), ("manager", "/stores/S02/live", 403)],
)
def test_a_stream_is_as_private_as_its_page(
    as_user: Callable[[str], httpx.Client], visitor: httpx.Client, username: str, path: str, status: int
) -> None:
    client = as_user(username) if username else visitor
    assert client.get(path).status_code == status


def test_a_failure_nobody_foresaw_is_a_page_with_all_headers(
    as_user: Callable[[str], httpx.Client], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_user("manager")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(type(shop.services.kpi), "live", broken)
    answer = client.get("/stores/S01")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "on purpose" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
