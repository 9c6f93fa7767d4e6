"""The worker between a real broker and a real database, with each of them taken away for a while."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.publish import single

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.intake import Limits
from server.ingest.link import BrokerAddress, Delivery
from server.ingest.models import Answer, Incoming
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.listening import listening
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import NOW, Sender, add_stores, assert_roll_ups_equal_raw, crossing, scalar
from wire import topics
from wire.messages import MAX_PAYLOAD, Ack, Refusal, Rewind, Status, decode, encode
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


@pytest.fixture
def boxes(broker: EmbeddedBroker) -> Iterator[dict[str, Box]]:
    """Devices connected to a broker of the test's own: amqtt does not always let a name in again that has just left."""
    with connected(broker) as made:
        yield made


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


def test_a_batch_is_committed_and_acked(db: Database, broker: EmbeddedBroker, boxes: dict[str, Box]) -> None:
    add_stores(db)
    door, stranger = Sender("door-1"), Sender("stranger")
    with working(db, broker) as worker:
        boxes["door-1"].send(door.batch([crossing(1), crossing(2)]))
        wait_until(lambda: boxes["door-1"].heard, 10, "an ack")
        boxes["door-1"].send(door.batch([crossing(9)]))
        wait_until(lambda: len(boxes["door-1"].heard) == 2, 10, "a rewind")
        boxes["stranger"].send(stranger.batch([crossing(1)]))
        wait_until(lambda: boxes["stranger"].heard, 10, "a refusal")
        assert worker.counters.batches == 3
    assert boxes["door-1"].heard == [Ack(epoch=door.epoch, seq=2), Rewind(epoch=door.epoch, seq=3)]
    [refusal] = boxes["stranger"].heard
    assert isinstance(refusal, Refusal)
    assert refusal.code == "unknown_device"
    assert boxes["door-2"].heard == []
    assert scalar(db, "SELECT count(*) FROM crossing") == 2


def test_poison_does_not_stop_the_rest(db: Database, broker: EmbeddedBroker, boxes: dict[str, Box]) -> None:
    add_stores(db)
    box, door = boxes["door-1"], Sender("door-1")
    with working(db, broker):
        for payload in (b"", b"\xff", b"{}", b"[" * 10_000, door.batch([crossing(1)]).payload[:-5]):
            box.say(Channel.BATCH, payload)
            box.say(Channel.STATUS, payload)
        # A topic of no channel at all, which only the server's own user could say anything on.
        single(
            f"{topics.ROOT}/door-1/nonsense",
            b"x",
            qos=1,
            hostname=broker.host,
            port=broker.port,
            auth={"username": SERVER_USER, "password": SERVER_PASSWORD},
        )
        box.send(door.batch([crossing(1)]))
        wait_until(lambda: box.acked() == 1, 10, "an ack after the poison")
    assert [type(reply).__name__ for reply in box.heard] == ["Refusal"] * 5 + ["Ack"]


def test_a_device_speaks_for_itself_only(db: Database, broker: EmbeddedBroker, boxes: dict[str, Box]) -> None:
    add_stores(db)
    door, other = Sender("door-1"), Sender("door-2")
    with working(db, broker):
        boxes["door-2"].say_on(topics.topic("door-1", Channel.BATCH), door.batch([crossing(1)]).payload)
        boxes["door-2"].send(other.batch([crossing(1)]))
        wait_until(lambda: boxes["door-2"].acked() == 1, 10, "an ack")
    assert scalar(db, "SELECT string_agg(device_id, ',') FROM crossing") == "door-2"
    assert boxes["door-1"].heard == []


def test_the_status_is_kept(db: Database, broker: EmbeddedBroker, boxes: dict[str, Box]) -> None:
    add_stores(db)
    word = Status(device="door-1", online=True, at=NOW, pending=7, version="1.0")
    boxes["door-1"].say(Channel.STATUS, encode(word))
    with working(db, broker):
        query = "SELECT count(*) FROM device WHERE device_id = 'door-1' AND status->>'pending' = '7'"
        wait_until(lambda: scalar(db, query) == 1, 10, "the retained status")


def test_a_status_that_cannot_be_kept_does_not_stop_the_worker(
    db: Database, any_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retained as it is, it would stop every worker at its start."""
    add_stores(db)
    any_broker.add_user("door-1", "secret of door-1")
    keep = IngestService.note_status

    def unforeseen(service: IngestService, device: str, payload: bytes, *rest: Any, **more: Any) -> None:
        if b"poison" in payload:
            raise RuntimeError("nobody thought of this")
        keep(service, device, payload, *rest, **more)

    monkeypatch.setattr(IngestService, "note_status", unforeseen)
    box = Box(any_broker, "door-1")
    try:
        with working(db, any_broker):
            box.say(Channel.STATUS, encode(Status(device="door-1", online=True, problem="poison")))
            box.send(Sender("door-1").batch([crossing(1)]))
            wait_until(lambda: box.acked() == 1, 10, "an ack")
            box.say(Channel.STATUS, encode(Status(device="door-1", online=True, pending=7)))
            query = "SELECT count(*) FROM device WHERE status->>'pending' = '7'"
            wait_until(lambda: scalar(db, query) == 1, 10, "the next status")
    finally:
        box.close()


def test_of_a_message_beyond_all_size_only_the_beginning_is_kept(db: Database, any_broker: EmbeddedBroker) -> None:
    add_stores(db)
    any_broker.add_user("door-1", "secret of door-1")
    box = Box(any_broker, "door-1")
    taken: list[int] = []

    class Measuring(IngestService):
        def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
            taken.extend(len(one.payload) for one in incoming)
            return super().take(incoming)

    try:
        with working(db, any_broker, service=Measuring(db, lambda: NOW)):
            box.say(Channel.BATCH, b" " * (2 * MAX_PAYLOAD))
            wait_until(lambda: box.heard, 10, "a refusal")
    finally:
        box.close()
    [refusal] = box.heard
    assert isinstance(refusal, Refusal)
    assert refusal.code == "too_large"
    assert taken == [MAX_PAYLOAD + 1]


def test_the_brokers_protocol_is_found_out(
    db: Database, broker: EmbeddedBroker, boxes: dict[str, Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.link._ANSWER_SECONDS", 0.5)
    add_stores(db)
    with working(db, broker, protocol="auto"):
        boxes["door-1"].send(Sender("door-1").batch([crossing(1)]))
        wait_until(lambda: boxes["door-1"].acked() == 1, 10, "an ack")


def test_many_batches_are_committed_in_groups(db: Database, broker: EmbeddedBroker, boxes: dict[str, Box]) -> None:
    add_stores(db)
    senders = [Sender("door-1") for _ in range(60)]
    with working(db, broker, Limits(linger_s=0.05)) as worker:
        for sender in senders:
            boxes["door-1"].send(sender.batch([crossing(seq) for seq in range(1, 6)]))
        wait_until(lambda: len(boxes["door-1"].heard) == 60, 20, "60 acks")
        assert worker.counters.groups < 60
    assert scalar(db, "SELECT count(*) FROM crossing") == 300
    assert_roll_ups_equal_raw(db)


def test_a_killed_broker_costs_nothing(db: Database, broker: EmbeddedBroker) -> None:
    add_stores(db)
    door = Sender("door-1")
    with connected(broker) as boxes, working(db, broker) as worker:
        boxes["door-1"].send_until_acked(door.batch([crossing(1)]), 1)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        wait_until(lambda: not worker.ready, 20, "the worker to notice")
        broker.stop()
        broker.start()
        boxes["door-1"].send_until_acked(door.batch([crossing(2)]), 2)
    assert scalar(db, "SELECT count(*) FROM crossing") == 2


def test_a_database_away_slows_intake_and_loses_nothing(
    own_postgres: EmbeddedPostgres,
    broker: EmbeddedBroker,
    boxes: dict[str, Box],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.storage.pool.CONNECT_SECONDS", 1)
    senders = [Sender("door-1") for _ in range(20)]
    batches = [sender.batch([crossing(1), crossing(2)]) for sender in senders]
    with Database(own_postgres.dsn, size=2) as db:
        add_stores(db)
        with working(db, broker, Limits(messages=8, group_messages=4)) as worker:
            box = boxes["door-1"]
            box.send_until_acked(Sender("door-1").batch([crossing(1)]), 1)
            box.heard.clear()
            own_postgres.stop()
            for batch in batches:
                box.send(batch)
            wait_until(lambda: worker.counters.retries > 0, 20, "the worker to notice")
            assert box.heard == []
            assert worker.waiting[0] <= 8
            own_postgres.start()
            wait_until(lambda: _all_acked(box, senders, batches), 60, "every batch to be acked")
        assert scalar(db, "SELECT count(*) FROM crossing") == 41
        assert_roll_ups_equal_raw(db)


class Held(IngestService):
    """A service whose commits wait until they are let go; `taken` counts what waits for them."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, lambda: NOW)
        self.let_go = threading.Event()
        self.taken = 0

    def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
        self.taken += len(incoming)
        assert self.let_go.wait(60)
        return super().take(incoming)


def test_neither_the_broker_nor_the_device_is_told_before_the_commit(
    db: Database, broker: EmbeddedBroker, boxes: dict[str, Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_stores(db)
    told: list[int] = []
    acknowledge = Delivery.acknowledge

    def noted(delivery: Delivery) -> None:
        told.append(scalar(db, "SELECT count(*) FROM crossing"))
        acknowledge(delivery)

    monkeypatch.setattr(Delivery, "acknowledge", noted)
    service, box = Held(db), boxes["door-1"]
    with working(db, broker, service=service):
        box.send(Sender("door-1").batch([crossing(1), crossing(2)]))
        wait_until(lambda: service.taken == 1, 10, "the batch to be taken up")
        assert (told, box.heard) == ([], [])
        service.let_go.set()
        wait_until(lambda: box.acked() == 2, 10, "an ack")
        wait_until(lambda: told, 10, "the broker to be told")
    assert told == [2]


def test_what_waits_is_bounded_in_bytes_and_nothing_is_lost_by_it(
    db: Database, broker: EmbeddedBroker, boxes: dict[str, Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow database, and a flood: what there is no room for is let go, and sent again by whoever still has it."""
    monkeypatch.setattr("server.ingest.worker._ROOM_SECONDS", 0.05)
    add_stores(db)
    service, box = Held(db), boxes["door-1"]
    senders = [Sender("door-1") for _ in range(40)]
    batches = [sender.batch([crossing(seq) for seq in range(1, 101)]) for sender in senders]
    size = len(batches[0].payload)
    limits = Limits(messages=1000, size=5 * size + 1, group_messages=4)
    with working(db, broker, limits, service=service) as worker:
        most = 0

        def flooded() -> bool:
            nonlocal most
            most = max(most, worker.waiting[1])
            return worker.counters.let_go > 0

        for batch in batches:
            box.send(batch)
        wait_until(flooded, 30, "some batches to be let go")
        assert 0 < most <= limits.size
        service.let_go.set()
        wait_until(lambda: _all_acked(box, senders, batches), 60, "every batch to be acked")
    assert scalar(db, "SELECT count(*) FROM crossing") == 4000
    assert_roll_ups_equal_raw(db)


def _all_acked(box: Box, senders: list[Sender], batches: list[Incoming]) -> bool:
    acked = {reply.epoch for reply in box.heard if isinstance(reply, Ack)}
    missing = [batch for sender, batch in zip(senders, batches, strict=True) if sender.epoch not in acked]
    for batch in missing:
        box.send(batch)
    try:
        wait_until(lambda: len(box.heard) >= len(batches), 1.0)
    except AssertionError:
        return False
    return not missing


@pytest.mark.mosquitto
def test_two_workers_share_the_work(db: Database, tmp_path: Path) -> None:
    from tests.fixtures.broker import require_mosquitto

    require_mosquitto()
    add_stores(db)
    users = {SERVER_USER: SERVER_PASSWORD, "door-1": "secret of door-1"}
    with (
        EmbeddedBroker(tmp_path / "broker", users=users, kind="mosquitto") as broker,
        working(db, broker) as one,
        working(db, broker) as other,
    ):
        box = Box(broker, "door-1")
        try:
            for sender in [Sender("door-1") for _ in range(20)]:
                box.send(sender.batch([crossing(1)]))
            wait_until(lambda: len(box.heard) == 20, 20, "20 acks")
        finally:
            box.close()
        assert one.counters.batches + other.counters.batches == 20
        assert min(one.counters.batches, other.counters.batches) > 0
    assert scalar(db, "SELECT count(*) FROM crossing") == 20
