"""The HTTPS way against the real server, and against what answers in its place in the worst shops."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr

from edge.check import check_https
from edge.clock import SystemClock, moment
from edge.findings import Finding
from edge.link.fallback import FallbackTransport
from edge.link.https import HttpsTransport, proxy_of
from edge.link.mqtt import MqttTransport
from edge.link.transport import Transport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import BrokerSettings, DeviceSettings, EdgeConfig, HttpsSettings, OutboxSettings
from edge.uplink import Backoff, Uplink
from server.access.models import Scope
from server.app import create_app
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.link import BrokerAddress
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.services import Services, make_services
from server.settings import Settings
from server.storage.pool import Database
from server.stores.models import NewStore
from tests.edge.link.test_mqtt_tls import Authority
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.listening import listening
from tests.fixtures.processes import free_port
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until
from tests.fixtures.webproxy import WebProxy
from wire import messages
from wire.config import Config

DEVICE = "door-1"
SYSTEM = Scope.system("tests")
FAST = Backoff(0.05, 0.2)
FILE = """
[[camera]]
id = "S01-C1"
[[camera.line]]
id = "S01-L1"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
"""
SECRET = "c2l4dGVlbiBieXRlcyB0d2ljZSBvdmVyIG9uZSBrZXk="


class Box:
    """An outbox with an uplink on it, fed by hand."""

    def __init__(
        self, path: Path, transport: Transport, *, refusal_backoff: Backoff = FAST, resend_after_s: float = 3
    ) -> None:
        self.told: list[bytes] = []
        self.known = 0
        self.clock = SystemClock()
        self.outbox = Outbox(path, self.clock, commit_every_s=0, max_batch=10)
        self.uplink = Uplink(
            self.outbox,
            transport,
            self.clock,
            device=DEVICE,
            flush_after_s=0.05,
            max_batch=10,
            resend_after_s=resend_after_s,
            on_config=self.told.append,
            config_known=lambda: self.known,
            backoff=FAST,
            refusal_backoff=refusal_backoff,
        )
        self.counted = 0
        self.uplink.start()

    def count(self, number: int) -> None:
        for _ in range(number):
            self.counted += 1
            crossing = Crossing("S01-L1", "in", self.counted, 0, 0.0, 0.9, self.counted)
            self.outbox.append_crossing("S01-C1", crossing, moment(self.clock))

    def stop(self) -> None:
        self.uplink.stop()
        self.outbox.close()


@pytest.fixture
def services(db_dsn: str) -> Iterator[Services]:
    settings = Settings(
        dsn=SecretStr(db_dsn),
        secret_key=SecretStr(SECRET),
        argon2_memory_kib=64,
        argon2_time_cost=1,
        _env_file=None,  # type: ignore[call-arg]
    )
    with make_services(settings) as made:
        made.stores.add_store(SYSTEM, NewStore("S01", "S01"))
        made.stores.add_camera(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
        yield made


@pytest.fixture
def password(services: Services) -> str:
    return services.stores.add_device(SYSTEM, "S01", DEVICE).password


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "web-ca")


@contextmanager
def web(services: Services, authority: Authority | None = None) -> Iterator[int]:
    """The real application on a free port, with TLS where there is an authority."""
    pair = None if authority is None else authority.issue("web")
    port = free_port()
    config = uvicorn.Config(
        create_app(services),
        port=port,
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=3,
        ssl_certfile=None if pair is None else str(pair.cert),
        ssl_keyfile=None if pair is None else str(pair.key),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, 20, "the web server")
    try:
        yield port
    finally:
        # The box may still hold its connections open; it is their end that lets the server go in good order.
        server.should_exit = True
        thread.join(20)


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
def stack() -> Iterator[ExitStack]:
    """What a test started, ended in the opposite order: boxes hang up before their server goes."""
    with ExitStack() as found:
        yield found


@pytest.fixture
def make_box(tmp_path: Path, stack: ExitStack) -> MakeBox:

    def make(url: str, password: str = "x", **settings: Any) -> Box:
        https = HttpsSettings(url=url, **{"timeout_s": 5.0, "proxy": "none", **settings})
        transport = HttpsTransport(DEVICE, https, BrokerSettings(host="nowhere", password=password))
        box = Box(tmp_path / "outbox.sqlite", transport)
        stack.callback(box.stop)
        return box

    return make


def complete(services: Services, box: Box) -> None:
    """Everything counted so far is in the database, each once, and the box knows it."""
    wait_until(lambda: box.outbox.pending == 0, 30, "the outbox to drain")
    with services.db.read() as connection:
        tracks = [track for (track,) in connection.execute("SELECT track FROM crossing ORDER BY track")]
    assert tracks == list(range(1, box.counted + 1))


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


@contextmanager
def working(db: Database, broker: EmbeddedBroker) -> Iterator[IngestWorker]:
    address = BrokerAddress(broker.host, broker.port, SERVER_USER, SERVER_PASSWORD, protocol=broker.protocol)
    worker = IngestWorker(IngestService(db), address)
    with listening(worker):
        yield worker


def test_https_is_taken_while_mqtt_is_shut_and_left_when_it_opens(
    services: Services, password: str, any_broker: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    any_broker.add_user(DEVICE, password)
    with (
        working(services.db, any_broker) as worker,
        web(services) as port,
        Proxy(any_broker.host, any_broker.port) as firewall,
    ):
        settings = BrokerSettings(host="127.0.0.1", port=firewall.port, password=password, keepalive_s=5)
        https = HttpsSettings(url=f"http://127.0.0.1:{port}", proxy="none")
        transport = FallbackTransport(
            MqttTransport(DEVICE, settings, answer_s=0.5),
            HttpsTransport(DEVICE, https, settings),
            lambda: MqttTransport(DEVICE, settings, client_id=f"{DEVICE}-probe", answer_s=0.5),
            after_s=0.5,
            retry_s=0.3,
        )
        box = Box(tmp_path / "outbox.sqlite", transport)
        try:
            box.count(25)
            complete(services, box)
            by_mqtt = worker.counters.batches
            assert by_mqtt > 0
            firewall.cut()
            box.count(25)
            complete(services, box)
            assert "connected (HTTPS)" in caplog.text
            firewall.heal()
            wait_until(lambda: "MQTT is open again" in caplog.text, 30, "the way back")
            wait_until(lambda: box.uplink.connected, 20, "the connection")
            box.count(25)
            complete(services, box)
            wait_until(lambda: worker.counters.batches > by_mqtt, 10, "batches over MQTT again")
        finally:
            box.stop()


def test_a_broker_behind_which_nobody_listens_gives_way_too(
    services: Services, password: str, any_broker: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is up and takes everything; ingest is down. Once it listens again, MQTT is left no more."""
    caplog.set_level("INFO")
    any_broker.add_user(DEVICE, password)
    with web(services) as port:
        settings = BrokerSettings(host="127.0.0.1", port=any_broker.port, password=password, keepalive_s=5)
        https = HttpsSettings(url=f"http://127.0.0.1:{port}", proxy="none")
        transport = FallbackTransport(
            MqttTransport(DEVICE, settings, answer_s=0.5),
            HttpsTransport(DEVICE, https, settings),
            lambda: MqttTransport(DEVICE, settings, client_id=f"{DEVICE}-probe", answer_s=0.5),
            after_s=0.5,
            retry_s=1.5,
            least_s=0.0,
        )
        box = Box(tmp_path / "outbox.sqlite", transport, resend_after_s=0.3)
        try:
            box.count(25)
            complete(services, box)
            assert "nobody answered over MQTT" in caplog.text
            assert "connected (HTTPS)" in caplog.text
            [device] = services.stores.devices(SYSTEM, "S01")
            assert device.status is not None
            assert device.status["online"] is True, "its last will must not call it dead"
            wait_until(lambda: "MQTT is open again" in caplog.text, 30, "a look whether MQTT is of use")
            box.count(25)
            complete(services, box)
            with working(services.db, any_broker) as worker:
                wait_until(lambda: box.uplink.connected, 20, "the connection")

                def by_mqtt() -> bool:
                    box.count(1)
                    return worker.counters.batches > 0

                wait_until(by_mqtt, 60, "batches over MQTT")
                caplog.clear()
                for _ in range(10):
                    box.count(1)
                    wait_until(lambda: box.outbox.pending == 0, 20, "the outbox to drain")
                complete(services, box)
        finally:
            box.stop()


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


def test_where_https_fails_too_both_are_tried_in_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = BrokerSettings(host="127.0.0.1", port=free_port(), password="x")
    https = HttpsSettings(url=f"http://127.0.0.1:{free_port()}", proxy="none")
    transport = FallbackTransport(
        MqttTransport(DEVICE, settings),
        HttpsTransport(DEVICE, https, settings),
        lambda: MqttTransport(DEVICE, settings, client_id="probe"),
        after_s=0,
        retry_s=60,
    )
    box = Box(tmp_path / "outbox.sqlite", transport)
    try:
        wait_until(lambda: {"the broker", "the server"} <= reached(caplog.text), 20, "both to be tried")
    finally:
        box.stop()


def reached(text: str) -> set[str]:
    return {what for what in ("the broker", "the server") if f"can't reach {what}" in text}


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
