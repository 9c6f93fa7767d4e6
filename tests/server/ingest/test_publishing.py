"""Boxes are told what they are to do: over any broker, again by one that was rebuilt, and in the answer to a post."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import pytest
from fastapi.testclient import TestClient
from paho.mqtt.enums import CallbackAPIVersion

from server.access.models import Scope
from server.app import create_app
from server.configs.service import ConfigService
from server.ingest import publishing
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.mqtt import BrokerAddress
from server.services import Services
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
from tests.server.configs.test_checking import GOOD
from tests.server.ingest.devices import NOW, add_stores, crossing
from wire import topics
from wire.config import Config
from wire.messages import BatchReply, decode, encode, make_batch
from wire.topics import Channel

ADMIN = Scope.system("tests")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing.ConfigPublisher.__init__, "__kwdefaults__", {"every_s": 0.05})


@contextmanager
def working(db: Database, broker: EmbeddedBroker) -> Iterator[IngestWorker]:
    address = BrokerAddress(broker.host, broker.port, SERVER_USER, SERVER_PASSWORD, protocol=broker.protocol)
    worker = IngestWorker(IngestService(db), address, configs=ConfigService(db))
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(20)


@contextmanager
def listening(broker: EmbeddedBroker, name: str) -> Iterator[list[Config]]:
    """What a box hears of its configuration, from the moment it comes."""
    broker.add_user(name, "x")
    heard: list[Config] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(name, "x")
    client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]

    def connected(*_: Any) -> None:
        client.subscribe(topics.topic(name, Channel.CONFIG), 1)

    def hear(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        heard.append(decode(bytes(message.payload), Config))

    client.on_connect, client.on_message = connected, hear
    client.connect_async(broker.host, broker.port)
    client.loop_start()
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def revisions(heard: list[Config]) -> list[int]:
    """Without repetitions: amqtt delivers what is retained twice."""
    found = [each.revision for each in heard]
    return [each for place, each in enumerate(found) if found[place - 1 : place] != [each]]


def test_a_box_is_told_at_once_and_one_that_comes_later_too(broker: EmbeddedBroker, db: Database) -> None:
    add_stores(db)
    configs = ConfigService(db)
    configs.put(ADMIN, "door-1", GOOD)
    with working(db, broker), listening(broker, "door-1") as heard, listening(broker, "door-2") as other:
        wait_until(lambda: revisions(heard) == [1], what="the first")
        configs.put(ADMIN, "door-1", GOOD.replace("12", "15"))
        wait_until(lambda: revisions(heard) == [1, 2], what="the second")
        assert heard[-1].camera[0].target_fps == 15
        with listening(broker, "door-1") as later:
            wait_until(lambda: revisions(later) == [2], what="what is retained")
        configs.clear(ADMIN, "door-1")
        wait_until(lambda: revisions(heard) == [1, 2, 3], what="the end of it")
        assert heard[-1].camera == ()
        assert other == []


def test_a_broker_rebuilt_with_an_empty_memory_is_told_again(broker: EmbeddedBroker, db: Database) -> None:
    add_stores(db)
    ConfigService(db).put(ADMIN, "door-1", GOOD)
    with working(db, broker) as worker:
        with listening(broker, "door-1") as heard:
            wait_until(lambda: revisions(heard) == [1], what="the first")
        broker.stop()
        wait_until(lambda: not worker.ready, what="the worker to notice")
        broker.start()
        with listening(broker, "door-1") as heard:
            wait_until(lambda: revisions(heard)[-1:] == [1], 30, "the same from a new broker")


def test_two_workers_end_with_the_newest(broker: EmbeddedBroker, db: Database) -> None:
    add_stores(db)
    configs = ConfigService(db)
    with working(db, broker), working(db, broker), listening(broker, "door-1") as heard:
        for fps in range(1, 21):
            configs.put(ADMIN, "door-1", GOOD.replace("12", str(fps)))
        wait_until(lambda: revisions(heard)[-1:] == [20], what="the newest")
        with listening(broker, "door-1") as later:
            wait_until(lambda: revisions(later)[-1:] == [20], what="the newest to be what is retained")


def test_a_database_that_was_away_delays_it_and_no_more(
    any_broker: EmbeddedBroker, own_postgres: EmbeddedPostgres
) -> None:
    with Database(own_postgres.dsn, 4) as db:
        add_stores(db)
        with working(db, any_broker) as worker, listening(any_broker, "door-1") as heard:
            wait_until(lambda: worker.ready, what="the worker")
            own_postgres.stop()
            own_postgres.start()
            wait_until(lambda: _put(db), 30, "the database to be back")
            wait_until(lambda: revisions(heard) == [1], 30, "the first")


def _put(db: Database) -> bool:
    from server.errors import Unavailable

    try:
        return ConfigService(db).put(ADMIN, "door-1", GOOD).revision == 1
    except Unavailable:
        return False


# -- over HTTPS


@pytest.fixture
def post(services: Services) -> Iterator[Callable[[int], BatchReply]]:
    add_stores(services.db)
    with services.db.transaction() as conn:
        conn.execute("DELETE FROM device WHERE device_id = 'door-1'")
    with services.db.transaction() as conn:
        conn.execute("INSERT INTO store_calendar (store_id, valid_from, timezone) VALUES ('S01', %s, 'UTC')", (NOW,))
    password = services.stores.add_device(ADMIN, "S01", "door-1").password
    seq = 0
    with TestClient(create_app(services)) as client:

        def sent(knows: int) -> BatchReply:
            nonlocal seq
            seq += 1
            batch = make_batch(
                device="door-1",
                epoch="a" * 32,
                oldest=1,
                sent_at=NOW,
                records=[crossing(seq)],
                config_revision=knows,
            )
            answer = client.post("/api/v1/batches", content=encode(batch), auth=("door-1", password))
            assert answer.status_code == 200, answer.text
            return msgspec.json.decode(answer.content, type=BatchReply)

        yield sent


def test_the_answer_to_a_post_brings_what_the_box_does_not_know(
    post: Callable[[int], BatchReply], services: Services
) -> None:
    assert post(0).config is None
    services.configs.put(ADMIN, "door-1", GOOD)
    found = post(0).config
    assert found is not None
    assert (found.device, found.revision, len(found.camera)) == ("door-1", 1, 1)
    assert post(1).config is None
    assert post(7).config is None, "the box knows more than this database"


def test_the_description_of_the_answer_has_it(repository_root: Path, services: Services) -> None:
    described = create_app(services).openapi()["paths"]["/api/v1/batches"]["post"]["responses"]["200"]
    config = described["content"]["application/json"]["schema"]["properties"]["config"]
    assert "camera" in str(config)
    assert (repository_root / "docs" / "asyncapi.yaml").exists()
