"""Posting over HTTPS, against the real server, and against what answers in its place in the worst shops."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.check import check_https
from edge.findings import Finding
from edge.link.https import HttpsTransport, proxy_of
from edge.settings import BrokerSettings, DeviceSettings, EdgeConfig, HttpsSettings, OutboxSettings
from server.services import Services
from tests.edge.link.site import DEVICE, SYSTEM, Box, complete, password, services, stack, web
from tests.edge.link.test_mqtt_tls import Authority
from tests.fixtures.ports import free_port
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until
from tests.fixtures.webproxy import WebProxy
from wire import messages
from wire.config import Config

__all__ = ["password", "services", "stack"]

FILE = """
[[camera]]
id = "S01-C1"
[[camera.line]]
id = "S01-L1"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "web-ca")


Answering = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answering) -> Iterator[int]:
    """A web server that is none of ours."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        do_PUT = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def say(asked: http.server.BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    asked.send_response(status)
    for name, text in headers.items():
        asked.send_header(name.replace("_", "-"), text)
    asked.send_header("Content-Length", str(len(body)))
    asked.end_headers()
    asked.wfile.write(body)


MakeBox = Callable[..., Box]


@pytest.fixture
def make_box(tmp_path: Path, stack: ExitStack) -> MakeBox:

    def make(url: str, password: str = "x", **settings: Any) -> Box:
        https = HttpsSettings(url=url, **{"timeout_s": 5.0, "proxy": "none", **settings})
        transport = HttpsTransport(DEVICE, https, BrokerSettings(host="nowhere", password=password))
        box = Box(tmp_path / "outbox.sqlite", transport)
        stack.callback(box.stop)
        return box

    return make


def test_counts_arrive_encrypted_and_the_status_too(
    services: Services, password: str, authority: Authority, make_box: MakeBox, stack: ExitStack
) -> None:
    port = stack.enter_context(web(services, authority))
    box = make_box(f"https://127.0.0.1:{port}", password, ca_file=str(authority.path))
    box.count(25)
    complete(services, box)
    [device] = services.stores.devices(SYSTEM, "S01")
    assert device.status is not None
    assert device.status["online"] is True
    box.uplink.stop()
    [device] = services.stores.devices(SYSTEM, "S01")
    assert device.status is not None
    assert device.status["online"] is False


def test_a_server_that_can_not_prove_itself_is_told_nothing(
    services: Services,
    password: str,
    authority: Authority,
    make_box: MakeBox,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = stack.enter_context(web(services, authority))
    box = make_box(f"https://127.0.0.1:{port}", password)
    box.count(1)
    wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, what="the reason in the log")
    assert not box.uplink.connected
    assert box.outbox.pending == 1
    assert password not in caplog.text


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_proxy_is_gone_through_with_its_password(
    services: Services, password: str, authority: Authority, make_box: MakeBox, stack: ExitStack, encrypted: bool
) -> None:
    port = stack.enter_context(web(services, authority if encrypted else None))
    with WebProxy("shop", "p@ss") as proxy:
        box = make_box(
            f"http{'s' * encrypted}://127.0.0.1:{port}",
            password,
            ca_file=str(authority.path),
            proxy=f"http://shop:p%40ss@{proxy.address}",
        )
        box.count(15)
        complete(services, box)
        assert proxy.seen
        assert proxy.refused == 0


def test_a_proxy_that_refuses_is_named(make_box: MakeBox, stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    with WebProxy("shop", "secret") as proxy:
        box = make_box("https://127.0.0.1:1", proxy=f"http://{proxy.address}")
        box.count(1)
        wait_until(lambda: "407" in caplog.text, what="the reason in the log")
        assert box.outbox.pending == 1


def test_the_environments_proxy_counts_unless_the_host_is_left_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    ours = HttpsSettings(url="https://doorline.example.com")
    assert proxy_of(ours) is None
    monkeypatch.setenv("https_proxy", "proxy.example.com:3128")
    found = proxy_of(ours)
    assert found is not None
    assert (found.hostname, found.port) == ("proxy.example.com", 3128)
    assert proxy_of(HttpsSettings(url="http://doorline.example.com")) is None
    assert proxy_of(HttpsSettings(url="https://doorline.example.com", proxy="none")) is None
    monkeypatch.setenv("no_proxy", "example.org,.example.com")
    assert proxy_of(ours) is None


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: say(asked, 200, b"<html>Welcome to the mall's WiFi. Please sign in.</html>"),
        lambda asked: say(asked, 200, b"{}"),
        lambda asked: say(asked, 204),
        lambda asked: say(asked, 302, Location="https://portal.example.com"),
        lambda asked: say(asked, 403, b"blocked by the firewall"),
        lambda asked: say(asked, 500, b'{"error": 5}'),
        lambda asked: say(asked, 200, b" " * (1024 * 1024 + 1)),
    ],
)
def test_what_is_no_answer_of_ours_is_never_taken_for_one(
    answer: Answering, make_box: MakeBox, stack: ExitStack
) -> None:
    asked: list[str] = []

    def counted(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.path.endswith("/batches"):
            asked.append(request.path)
            answer(request)
        else:
            say(request, 204)

    with answering(counted) as port:
        box = make_box(f"http://127.0.0.1:{port}")
        box.count(3)
        wait_until(lambda: len(asked) >= 3, 20, "the batch to be tried again")
        assert box.outbox.pending == 3


def test_a_server_that_asks_for_patience_gets_it(make_box: MakeBox, stack: ExitStack) -> None:
    times: list[float] = []

    def busy(asked: http.server.BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        say(asked, 503, b"", Retry_After="1")

    with answering(busy) as port:
        box = make_box(f"http://127.0.0.1:{port}")
        box.count(1)
        # Two exchanges may be under way when the first is told to stay away.
        wait_until(lambda: len(times) >= 5, 30, "some attempts")
    assert times[4] - times[0] >= 2 * 0.9
    assert box.outbox.pending == 1


def test_a_refusal_keeps_everything_and_says_why(
    services: Services, authority: Authority, make_box: MakeBox, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    port = stack.enter_context(web(services))
    box = make_box(f"http://127.0.0.1:{port}", "wrong")
    box.count(3)
    wait_until(lambda: "not_signed_in" in caplog.text, what="the reason in the log")
    assert box.outbox.pending == 3
    assert box.uplink.connected


def test_cut_and_stalled_and_reset_exchanges_lose_nothing(
    services: Services, password: str, make_box: MakeBox, stack: ExitStack
) -> None:
    port = stack.enter_context(web(services))
    with Proxy("127.0.0.1", port) as proxy:
        box = make_box(f"http://127.0.0.1:{proxy.port}", password, timeout_s=1.0)
        box.count(5)
        complete(services, box)
        for trouble in (proxy.cut, proxy.stall):
            trouble()
            box.count(5)
            wait_until(lambda: not box.uplink.connected, 20, "the trouble to be noticed")
            proxy.heal()
            complete(services, box)
        proxy.reset()
        box.count(5)
        complete(services, box)


def test_a_connection_that_lay_idle_too_long_is_made_anew(
    services: Services, password: str, make_box: MakeBox, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    port = stack.enter_context(web(services))
    with Proxy("127.0.0.1", port) as proxy:
        box = make_box(f"http://127.0.0.1:{proxy.port}", password)
        box.count(1)
        complete(services, box)
        proxy.reset()  # nobody is told before the next exchange
        box.count(1)
        complete(services, box)
    assert "connection lost" not in caplog.text


def test_a_backlog_does_not_stand_before_today(make_box: MakeBox, stack: ExitStack) -> None:
    held = threading.Event()
    epochs: list[bytes] = []

    def slow_for_the_first(asked: http.server.BaseHTTPRequestHandler) -> None:
        if asked.path.endswith("/batches"):
            epochs.append(b"")
            if len(epochs) == 1:
                held.wait(10)
        say(asked, 204)

    with answering(slow_for_the_first) as port:
        box = make_box(f"http://127.0.0.1:{port}")
        box.count(40)
        wait_until(lambda: epochs, what="the backlog's first batch")
        box.outbox.begin_epoch()
        box.count(1)
        wait_until(lambda: len(epochs) >= 2, 5, "today's batch beside it")
        held.set()


def test_what_is_set_from_afar_comes_with_the_answers_to_posts(
    services: Services, password: str, make_box: MakeBox, stack: ExitStack
) -> None:
    port = stack.enter_context(web(services))
    box = make_box(f"http://127.0.0.1:{port}", password)
    box.count(1)
    complete(services, box)
    assert box.told == []
    services.configs.put(SYSTEM, DEVICE, FILE)
    box.count(1)
    complete(services, box)
    wait_until(lambda: len(box.told) == 1, 10, "the configuration")
    told = messages.decode(box.told[0], Config)
    assert (told.revision, told.camera[0].id) == (1, "S01-C1")
    box.known = 1
    for _ in range(3):
        box.count(1)
        complete(services, box)
    assert len(box.told) == 1


def test_the_certificate_is_checked_by_default() -> None:
    transport = HttpsTransport(DEVICE, HttpsSettings(url="https://x", proxy="none"), BrokerSettings(host="x"))
    context = transport._context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_check_before_leaving_the_shop_tries_the_way_and_the_password(
    services: Services, password: str, stack: ExitStack
) -> None:
    port = stack.enter_context(web(services))

    def found(port: int, secret: str) -> Finding:
        settings = EdgeConfig(
            device=DeviceSettings(name=DEVICE),
            broker=BrokerSettings(host="nowhere", password=secret),
            https=HttpsSettings(url=f"http://127.0.0.1:{port}", proxy="none", timeout_s=5),
            outbox=OutboxSettings(path="outbox.sqlite"),
            camera=(),
        )
        return check_https(settings)

    assert found(port, password).verdict == "ok"
    wrong = found(port, "wrong")
    assert (wrong.verdict, "password" in wrong.what) == ("wrong", True)
    assert found(free_port(), password).verdict == "wrong"
    [device] = services.stores.devices(SYSTEM, "S01")
    assert device.status is None, "the check said something in the box's name"
