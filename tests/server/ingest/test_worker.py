"""The worker between a real broker and a real database, with each of them taken away for a while."""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from paho.mqtt.publish import single

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.intake import Limits
from server.ingest.link import Delivery
from server.ingest.models import Answer, Incoming
from server.ingest.service import IngestService
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
from tests.server.ingest.boxes import Box, boxes, connected, working
from tests.server.ingest.devices import NOW, Sender, add_stores, assert_roll_ups_equal_raw, crossing, scalar
from wire import topics
from wire.messages import Ack, Refusal, Rewind
from wire.topics import Channel

__all__ = ["boxes"]


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
