"""What tests of the ways to a server share: the real application over HTTP, and a box fed by hand."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from pydantic import SecretStr

from edge.clock import SystemClock, moment
from edge.link.transport import Transport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.uplink import Backoff, Uplink
from server.access.models import Scope
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.stores.models import NewStore
from tests.edge.link.test_mqtt_tls import Authority
from tests.fixtures.ports import free_port
from tests.fixtures.wait import wait_until

DEVICE = "door-1"
SYSTEM = Scope.system("tests")
FAST = Backoff(0.05, 0.2)
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
def stack() -> Iterator[ExitStack]:
    """What a test started, ended in the opposite order: boxes hang up before their server goes."""
    with ExitStack() as found:
        yield found


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


def complete(services: Services, box: Box) -> None:
    """Everything counted so far is in the database, each once, and the box knows it."""
    wait_until(lambda: box.outbox.pending == 0, 30, "the outbox to drain")
    with services.db.read() as connection:
        tracks = [track for (track,) in connection.execute("SELECT track FROM crossing ORDER BY track")]
    assert tracks == list(range(1, box.counted + 1))
