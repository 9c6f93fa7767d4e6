"""A thousand boxes in two hundred shops: what they send, without end, and the line they send it over."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.models import Incoming
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from wire import topics
from wire.messages import Crossing, encode, make_batch
from wire.topics import Channel

DEVICES, STORES, RECORDS = 1000, 200, 50


def store_of(device: str) -> str:
    """The shop a box is in."""
    return f"S{int(device.removeprefix('box-')) % STORES}"


def fill(db: Database) -> None:
    """Stores, cameras, lines and devices."""
    with db.transaction() as connection:
        numbers = f"generate_series(0, {STORES - 1}) AS n"
        connection.execute(f"INSERT INTO store (store_id, name) SELECT 'S' || n, 'x' FROM {numbers}".encode())
        connection.execute(
            "INSERT INTO camera (camera_id, store_id, name, installed_at)"
            f" SELECT 'S' || n || '-C1', 'S' || n, 'x', '2026-01-01' FROM {numbers}".encode()
        )
        connection.execute(
            "INSERT INTO line (line_id, camera_id, store_id, name)"
            f" SELECT 'S' || n || '-L1', 'S' || n || '-C1', 'S' || n, 'x' FROM {numbers}".encode()
        )
        connection.execute(
            f"INSERT INTO device (device_id, store_id) SELECT 'box-' || n, 'S' || n % {STORES}"
            f" FROM generate_series(0, {DEVICES - 1}) AS n".encode()
        )


def messages(seed: int) -> Iterator[Incoming]:
    """Batches of all boxes in turn, without end: each box's epoch goes on from where it was."""
    draw = random.Random(seed)
    epochs = [f"{draw.getrandbits(128):032x}" for _ in range(DEVICES)]
    now = datetime.now(UTC)
    first = 1
    while True:
        for number in range(DEVICES):
            device = f"box-{number}"
            store = store_of(device)
            records = [
                Crossing(
                    seq=first + place,
                    at=now - timedelta(seconds=60 - place),
                    camera=f"{store}-C1",
                    line=f"{store}-L1",
                    direction="in" if draw.random() < 0.5 else "out",
                    track=draw.randrange(10**6),
                    confidence=round(draw.random(), 3),
                    tags=("child",) if draw.random() < 0.1 else (),
                )
                for place in range(RECORDS)
            ]
            made = make_batch(
                device=device, epoch=epochs[number], oldest=1, sent_at=now, records=records, nonce="0" * 16
            )
            yield Incoming(device, encode(made), now)
        first += RECORDS


class Boxes:
    """All boxes over one connection.

    Args:
        broker: which.
        hear: called with each ack as it came, from another thread.
    """

    def __init__(self, broker: EmbeddedBroker, hear: Callable[[bytes], None] = lambda _: None) -> None:
        self.acked = 0
        self._hear = hear
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="boxes", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(SERVER_USER, SERVER_PASSWORD)
        self._client.max_inflight_messages_set(2000)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.ROOT}/+/ack", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)

    def send(self, incoming: Incoming) -> None:
        self._client.publish(topics.topic(incoming.device, Channel.BATCH), incoming.payload, qos=1)

    def __enter__(self) -> Self:
        self._client.loop_start()
        if not self._ready.wait(20):
            raise SystemExit("the broker does not answer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.acked += 1
        self._hear(bytes(message.payload))
