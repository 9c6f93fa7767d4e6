"""Boxes as a broker knows them, and a worker that listens to it: for tests of what passes between them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.intake import Limits
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.mqtt import BrokerAddress
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.listening import listening
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import NOW
from wire import topics
from wire.messages import Ack, Refusal, Rewind, decode
from wire.topics import Channel

Heard = Ack | Rewind | Refusal


class Box:
    """A device's connection to the broker, hearing what it is told."""

    def __init__(self, broker: EmbeddedBroker, name: str) -> None:
        self.name = name
        self.heard: list[Heard] = []
        self._ready = threading.Event()
        self._published: set[int] = set()
        self._broker = broker
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311, clean_session=True
        )
        self._client.username_pw_set(name, f"secret of {name}")
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect_async(broker.host, broker.port)
        self._client.loop_start()

    def say(self, channel: Channel, payload: bytes) -> None:
        """Publish on an own topic."""
        self.say_on(topics.topic(self.name, channel), payload)

    def say_on(self, topic: str, payload: bytes) -> None:
        """Publish on any topic, once heard is possible."""
        assert self._ready.wait(20)
        self._client.publish(topic, payload, qos=1, retain=topic.endswith("/status"))

    def send(self, batch: Incoming) -> None:
        """Publish a batch."""
        self.say(Channel.BATCH, batch.payload)

    def send_until_acked(self, batch: Incoming, seq: int, timeout: float = 30) -> None:
        """Publish a batch again and again, as a device does on silence, until it is acknowledged up to `seq`."""
        wait_until(lambda: self._send_once(batch, seq), timeout, f"an ack of {seq} to {self.name}")

    def _send_once(self, batch: Incoming, seq: int) -> bool:
        self.send(batch)
        try:
            wait_until(lambda: self.acked() >= seq, 1.0)
        except AssertionError:
            return False
        return True

    def acked(self) -> int:
        """How far it was told everything is committed."""
        return max((reply.seq for reply in self.heard if isinstance(reply, Ack)), default=0)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(topics.topic(self.name, channel), 1) for channel in topics.TO_DEVICE])

    def _hear(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        kinds: dict[str, type[Heard]] = {"ack": Ack, "rewind": Rewind, "refusal": Refusal}
        self.heard.append(decode(bytes(message.payload), kinds[message.topic.rsplit("/", 1)[1]]))


@contextmanager
def connected(broker: EmbeddedBroker) -> Iterator[dict[str, Box]]:
    """Two devices of S01 and one nobody registered, connected."""
    names = ["door-1", "door-2", "stranger"]
    for name in names:
        broker.add_user(name, f"secret of {name}")
    made = {name: Box(broker, name) for name in names}
    try:
        yield made
    finally:
        for box in made.values():
            box.close()


@contextmanager
def working(
    db: Database,
    broker: EmbeddedBroker,
    limits: Limits | None = None,
    protocol: Literal["auto", "5", "3.1.1"] | None = None,
    service: IngestService | None = None,
) -> Iterator[IngestWorker]:
    """A worker in a thread, listening."""
    worker = IngestWorker(
        service or IngestService(db, lambda: NOW),
        BrokerAddress(broker.host, broker.port, SERVER_USER, SERVER_PASSWORD, protocol=protocol or broker.protocol),
        clock=lambda: NOW,
        limits=limits or Limits(),
    )
    with listening(worker):
        yield worker


@pytest.fixture
def boxes(broker: EmbeddedBroker) -> Iterator[dict[str, Box]]:
    """Devices connected to a broker of the test's own: amqtt does not always let a name in again that has just left."""
    with connected(broker) as made:
        yield made
