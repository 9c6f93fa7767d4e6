"""Statuses on their way through the worker: kept, and in nobody's way."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from paho.mqtt.publish import multiple

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.models import Answer, Incoming
from server.ingest.service import IngestService
from server.ingest.worker import STATUSES_A_TURN
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
from tests.server.ingest.boxes import Box, boxes, working
from tests.server.ingest.devices import NOW, Sender, add_stores, crossing, scalar
from wire import topics
from wire.messages import MAX_PAYLOAD, MAX_STATUS, Refusal, Status, encode
from wire.topics import Channel

__all__ = ["boxes"]


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
    noted: list[int] = []

    class Measuring(IngestService):
        def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
            taken.extend(len(one.payload) for one in incoming)
            return super().take(incoming)

        def note_status(self, device: str, payload: bytes, received_at: datetime, *, retained: bool = False) -> None:
            noted.append(len(payload))
            super().note_status(device, payload, received_at, retained=retained)

    try:
        with working(db, any_broker, service=Measuring(db, lambda: NOW)):
            box.say(Channel.BATCH, b" " * (2 * MAX_PAYLOAD))
            wait_until(lambda: box.heard, 10, "a refusal")
            # A status is kept for each box until the database takes it: there may be as many of them as boxes.
            box.say(Channel.STATUS, b" " * (MAX_STATUS + 1))
            box.send(Sender("door-1").batch([crossing(1)]))
            wait_until(lambda: box.acked() == 1, 10, "an ack")
            box.say(Channel.STATUS, encode(Status(device="door-1", online=True, pending=7)))
            wait_until(lambda: scalar(db, "SELECT status->>'pending' FROM device WHERE device_id = 'door-1'") == "7")
    finally:
        box.close()
    assert isinstance(box.heard[0], Refusal)
    assert box.heard[0].code == "too_large"
    assert max(taken) == MAX_PAYLOAD + 1
    assert max(noted) <= MAX_STATUS


def test_many_statuses_do_not_hold_up_a_batch(db: Database, any_broker: EmbeddedBroker) -> None:
    """As all boxes' retained ones come at once when a worker connects."""
    add_stores(db)
    noted: list[str] = []
    noted_before: list[int] = []

    class Slow(IngestService):
        def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
            noted_before.append(len(noted))
            return super().take(incoming)

        def note_status(self, device: str, payload: bytes, received_at: datetime, *, retained: bool = False) -> None:
            noted.append(device)
            time.sleep(0.03)

    number = 4 * STATUSES_A_TURN
    words: list[Any] = [(topics.topic(f"box-{each}", Channel.STATUS), b"{}", 1, True) for each in range(number)]
    sign_in: Any = {"username": SERVER_USER, "password": SERVER_PASSWORD}
    multiple(words, hostname=any_broker.host, port=any_broker.port, auth=sign_in)
    any_broker.add_user("door-1", "secret of door-1")
    box = Box(any_broker, "door-1")
    try:
        with working(db, any_broker, service=Slow(db, lambda: NOW)):
            wait_until(lambda: noted, 10, "the first status")
            box.send(Sender("door-1").batch([crossing(1)]))
            wait_until(lambda: box.acked() == 1, 10, "an ack")
            wait_until(lambda: len(noted) == number, 20, "all statuses")
    finally:
        box.close()
    assert noted_before[0] < number
    assert len(set(noted)) == number
