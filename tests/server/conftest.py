"""The server's services over a fresh database, a clock that tests turn, and a small chain to work on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from server import logs
from server.access.models import Scope
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.stores.calendar import OpeningSpan
from server.stores.models import NewStore

PASSWORD = "correct horse battery"
SECRET = "c2l4dGVlbiBieXRlcyB0d2ljZSBvdmVyIG9uZSBrZXk="
SYSTEM = Scope.system("tests")

logs.configure(json=True)


@dataclass
class TurnedClock:
    """A clock that stands until a test turns it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 20, 4, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> TurnedClock:
    """Friday 2026-11-20, noon in Shanghai."""
    return TurnedClock()


@pytest.fixture
def settings(db_dsn: str, tmp_path: Path) -> Settings:
    """Settings over the test's own database, with cheap passwords."""
    return Settings(
        dsn=SecretStr(db_dsn),
        pool_size=6,
        secret_key=SecretStr(SECRET),
        messages_dir=tmp_path / "messages",
        argon2_memory_kib=64,
        argon2_time_cost=1,
        _env_file=None,  # type: ignore[call-arg]
    )


@pytest.fixture
def services(settings: Settings, clock: TurnedClock) -> Iterator[Services]:
    """All services over an empty database."""
    with make_services(settings, clock) as made:
        yield made


@pytest.fixture
def chain(services: Services) -> Services:
    """Stores S01 (Shanghai), S02 (Beijing) and B01 (Berlin), and a person of each role."""
    hours = tuple(OpeningSpan(weekday, time(10), time(22)) for weekday in range(7))
    for store in (
        NewStore("S01", "静安店", region="华东", hours=hours),
        NewStore("S02", "三里屯店", region="华北", hours=hours),
        NewStore("B01", "Mitte", "Europe/Berlin", "EU", "DE", "EUR", hours=hours),
    ):
        services.stores.add_store(SYSTEM, store)
    create = services.access.create_user
    create(SYSTEM, "admin", PASSWORD, "管理员", "admin")
    create(SYSTEM, "hq", PASSWORD, "总部", "hq", locale="en")
    create(SYSTEM, "region", PASSWORD, "大区", "region", ["S01", "S02"])
    create(SYSTEM, "manager", PASSWORD, "陈店长", "manager", ["S01"])
    create(SYSTEM, "desk", PASSWORD, "服务台", "desk", ["S01"])
    create(SYSTEM, "desk2", PASSWORD, "服务台二", "desk", ["S02"])
    return services


@pytest.fixture
def scope_of(chain: Services) -> Callable[[str], Scope]:
    """The scope of a person of the chain, by user name."""
    users = {user.username: user.scope() for user in chain.access.users(SYSTEM)}
    return users.__getitem__


@pytest.fixture
def client(chain: Services) -> Iterator[TestClient]:
    """A browser before the chain's API, signed in as nobody."""
    with TestClient(create_app(chain), raise_server_exceptions=False) as browser:
        yield browser


@pytest.fixture
def sign_in(client: TestClient) -> Callable[[str], TestClient]:
    """Sign the browser in as somebody; unsafe requests then bring the CSRF token."""

    def signed_in(username: str) -> TestClient:
        answer = client.post("/api/v1/session", json={"username": username, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client

    return signed_in
