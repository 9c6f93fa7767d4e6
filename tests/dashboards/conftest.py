"""The pages over a real database and, for the tests in a browser, a real server and Chromium.

The chain is made once for the whole run, into a database of its own: making it takes longer than any test.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from dashboards.app import mount
from server.app import create_app
from server.services import Services, make_services
from server.settings import Settings
from server.storage.embedded import EmbeddedPostgres
from tests.dashboards.seed import NOW, PASSWORD, Chain, seed
from tests.fixtures.browser import Watch, serving
from tests.fixtures.postgres import RUN, create_database, drop_database

_CHAIN = f"pages_chain_{RUN}"


@dataclass
class Clock:
    """The time as tests want it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time go on."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Shop:
    """The application under test."""

    app: FastAPI
    services: Services
    clock: Clock
    chain: Chain
    clients: list[httpx.Client] = field(default_factory=list)


@pytest.fixture(scope="session")
def shop(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Shop]:
    """Three shops with two weeks and more of history, and the pages over them."""
    create_database(postgres, _CHAIN, template=template_database)
    clock = Clock()
    settings = Settings(
        dsn=SecretStr(postgres.dsn_of(_CHAIN)),
        secret_key=SecretStr(base64.b64encode(b"of tests" * 8).decode()),
        argon2_memory_kib=64,
        argon2_time_cost=1,
    )
    with make_services(settings, clock=clock) as services:
        chain = seed(services)
        app = create_app(services)
        mount(app, services)
        yield Shop(app, services, clock, chain)
    drop_database(postgres, _CHAIN)


@pytest.fixture(autouse=True)
def same_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever let time go on in the shop, all have in common, sets it right for whoever comes after."""
    yield
    if "shop" in request.fixturenames:
        request.getfixturevalue("shop").clock.now = NOW


@pytest.fixture(scope="session")
def address(shop: Shop) -> Iterator[str]:
    """Where the pages are served."""
    with serving(shop.app) as served:
        yield served


@pytest.fixture
def visitor(address: str) -> Iterator[httpx.Client]:
    """Somebody not signed in, who follows no redirect by itself."""
    with httpx.Client(base_url=address, headers={"accept-language": "en"}) as client:
        yield client


@pytest.fixture
def as_user(address: str, shop: Shop) -> Iterator[Callable[[str], httpx.Client]]:
    """Makes a client that is signed in as one of the seed's people, reading English."""
    made: list[httpx.Client] = []

    def sign_in(username: str) -> httpx.Client:
        # Long, because a busy machine is no fault of the page's.
        client = httpx.Client(base_url=address, timeout=60)
        made.append(client)
        answer = client.post("/sign-in", data={"username": username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        session = shop.services.access.session(client.cookies["doorline_session"])
        assert session is not None
        shop.services.access.set_locale(session.scope, "en")
        return client

    yield sign_in
    for client in made:
        client.close()


@pytest.fixture
def watch(address: str) -> Iterator[Watch]:
    """Fails the test when a page complains in its console or asks anybody but our server."""
    watching = Watch(address)
    yield watching
    watching.check()


@pytest.fixture
def page(browser: Browser, address: str, watch: Watch) -> Iterator[Page]:
    """A page in a fresh context, reading Chinese unless its user chose otherwise."""
    context = browser.new_context(base_url=address, locale="zh-CN", viewport={"width": 1280, "height": 800})
    # Long, because a busy machine is no fault of the page's; nothing waits once what it waits for shows.
    context.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    made = context.new_page()
    watch.attach(made)
    yield made
    context.close()
