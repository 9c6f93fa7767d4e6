"""What stands between a browser, or somebody who only looks like one, and the server: each a test of its own."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dashboards.app import mount
from server import middleware
from server.app import create_app
from server.middleware import RateLimit
from server.patience import PatientProtocol
from server.services import Services, make_services
from server.settings import Settings
from tests.fixtures.wait import wait_until
from tests.server.conftest import TurnedClock
from tests.server.matrix import routes


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """Serve an application as `doorline web` does; gives its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", http=PatientProtocol))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, what="the web server")
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=30)


def said(port: int, *parts: bytes) -> bytes:
    """Everything a server says to these parts of a request, until it hangs up."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            return answer
    return answer


def test_a_head_that_never_ends_is_given_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.2)
    with listening(create_app(services)) as port:
        assert said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
        assert said(port) == b""
        whole = said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert whole.startswith(b"HTTP/1.1 200")


def test_a_body_that_never_comes_is_given_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_GRACE", 0.2)
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    body = b'{"username": "x", "password": "y"}'
    with listening(create_app(services)) as port:
        slow = said(port, head + b"Content-Length: 40\r\n\r\n" + body)
        assert slow.startswith(b"HTTP/1.1 408")
        assert b'"code":"request_timeout"' in slow
        whole = said(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert whole.startswith(b"HTTP/1.1 401")


@pytest.fixture
def hasty(settings: Settings, chain: Services, clock: TurnedClock) -> Iterator[Callable[[str], TestClient]]:
    """Browsers at an address of their choice, before a server that takes 60 requests a minute from each."""
    with make_services(settings.model_copy(update={"requests_per_minute": 60}), clock) as made:
        app = create_app(made)

        def at(address: str) -> TestClient:
            return TestClient(app, client=(address, 50_000), raise_server_exceptions=False)

        yield at


def test_an_address_that_asks_too_much_is_told_to_wait(hasty: Callable[[str], TestClient]) -> None:
    greedy = hasty("203.0.113.5")
    answers = [greedy.get("/api/v1/nothing") for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].status_code == 404
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].json()["error"]["code"] == "too_many_requests"
    assert refused[0].headers["x-content-type-options"] == "nosniff"
    assert hasty("203.0.113.6").get("/api/v1/nothing").status_code == 404
    for own in ("127.0.0.1", "::1", "testclient"):
        assert {hasty(own).get("/api/v1/nothing").status_code for _ in range(30)} == {404}, own


def test_a_bucket_fills_again_and_nobody_is_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_MOST_ADDRESSES", 10)
    seconds = [0.0]

    async def nothing(*_: object) -> None:
        """An application that answers nothing."""

    limit = RateLimit(nothing, 60, lambda: seconds[0])
    assert [limit._wait("a") for _ in range(10)] == [0.0] * 10
    assert limit._wait("a") == pytest.approx(1.0)
    seconds[0] += 1
    assert limit._wait("a") == 0.0
    assert limit._wait("a") > 0
    for number in range(100):
        limit._wait(f"b{number}")
    assert len(limit._buckets) <= 11
    seconds[0] += 60
    for number in range(11):
        limit._wait(f"c{number}")
    assert {host[0] for host in limit._buckets} == {"c"}, "those whose bucket is full again were forgotten"


@pytest.fixture
def paged(chain: Services) -> Iterator[FastAPI]:
    """The API and the pages."""
    app = create_app(chain)
    mount(app, chain)
    yield app
    app.state.live.close()


def test_only_over_tls_browsers_are_told_to_keep_to_it(chain: Services, settings: Settings) -> None:
    for is_secure in (False, True):
        secured = settings.model_copy(update={"cookie_secure": is_secure})
        with make_services(secured) as made:
            app = create_app(made)
            mount(app, made)
            with TestClient(app) as browser:
                for path in ("/sign-in", "/api/v1/me", "/healthz"):
                    told = browser.get(path).headers.get("strict-transport-security")
                    assert (told == "max-age=31536000") is is_secure, path


def test_no_secret_travels_in_an_address(paged: FastAPI) -> None:
    """Addresses stand in histories and logs. The provider's `code` is the one exception: it is worth nothing twice."""
    secret = re.compile(r"pass|token|secret|csrf|^key$|phone|^code$|birthday|otp")
    for route in routes(paged):
        asked = [param.alias for param in route.route.dependant.query_params]
        held = [name for name in asked if secret.search(name)]
        assert held == ([] if route.path != "/sign-in/external/back" else ["code"]) or route.name in KNOWN, route.name


#: A last few digits are asked for by programs of old; the page sends whole numbers in a body.
KNOWN = {"GET /api/v1/members"}


def test_the_log_of_a_request_holds_its_path_and_no_question(
    chain: Services, paged: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(paged) as browser:
        browser.get("/api/v1/members", params={"phone": "13912345678"})
        browser.get("/sign-in/external/back", params={"code": "planted-secret", "state": "planted-state"})
        browser.post("/api/v1/session", json={"username": "manager", "password": "planted-password"})
        browser.post("/sign-in", data={"username": "manager", "password": "planted-password"})
        browser.get("/api/v1/me", headers={"Authorization": "Bearer planted-key"})
    logged = capsys.readouterr().err
    assert "/api/v1/members" in logged
    assert not [each for each in ("13912345678", "planted") if each in logged]


def test_the_server_is_given_no_address_to_fetch(paged: FastAPI) -> None:
    """Cameras' addresses stay in the box, which alone opens them; a webhook's address is checked where it is taken."""
    document = paged.openapi()
    wanted = re.compile(r"(^|_)(url|uri|address|host)$")
    held: set[str] = set()
    seen: set[str] = set()
    left = [each.schema.get("requestBody", {}) for each in routes(paged)]
    while left:
        names = set(re.findall(r"#/components/schemas/(\w+)", str(left.pop()))) - seen
        seen |= names
        for name in names:
            schema = document["components"]["schemas"][name]
            left.append(schema)
            held |= {f"{name}.{field}" for field in schema.get("properties", {}) if wanted.search(field)}
    assert len(seen) > 10
    assert all(re.search("hook", each, re.I) for each in held), held


@pytest.mark.parametrize("path", ["/assets/..%2f..%2fserver/settings.py", "/assets/%2e%2e/%2e%2e/pyproject.toml"])
def test_no_path_climbs_out_of_the_files_that_are_served(paged: FastAPI, path: str) -> None:
    with TestClient(paged) as browser:
        assert browser.get(path).status_code == 404


def test_every_file_that_is_taken_has_a_bound(paged: FastAPI) -> None:
    """A route that takes a file has a bound of its own, or the small one of everything else."""
    taking = [
        route.path
        for route in routes(paged)
        if "multipart/form-data" in route.schema.get("requestBody", {}).get("content", {})
    ]
    assert taking
    for path in taking:
        assert middleware.LIMITS.get(path, middleware.DEFAULT_LIMIT) <= 1024 * 1024 * 1024
    with TestClient(paged) as browser:
        refused = browser.post(
            "/api/v1/session",
            content=b"x" * (middleware.DEFAULT_LIMIT + 1),
            headers={"Content-Type": "application/json"},
        )
    assert refused.status_code == 413
