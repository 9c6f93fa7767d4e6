"""The queue in front of the database: bounded, in order, in groups."""

import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from server.ingest.intake import Arrival, Intake, Limits
from server.ingest.link import Delivery
from server.ingest.models import Incoming
from tests.server.ingest.devices import NOW

LIMITS = Limits(messages=5, size=100, group_messages=3, group_size=50, linger_s=0.0)
_CLIENT = mqtt.Client(CallbackAPIVersion.VERSION2)


def arrival(size: int = 1) -> Arrival:
    payload = b"x" * size
    return Arrival(Incoming("door-1", payload, NOW), Delivery("", payload, False, _CLIENT, 1, 1))


def test_groups_are_in_order_and_bounded() -> None:
    intake = Intake(LIMITS)
    sent = [arrival() for _ in range(5)]
    assert all(intake.put(one, 0) for one in sent)
    assert intake.take(0) == sent[:3]
    assert intake.take(0) == sent[3:]
    assert intake.take(0) == []


def test_a_group_is_bounded_in_bytes_but_takes_one_batch_however_large() -> None:
    intake = Intake(LIMITS)
    assert intake.put(arrival(80), 0)
    assert intake.put(arrival(10), 0)
    assert [len(one.incoming.payload) for one in intake.take(0)] == [80]
    assert [len(one.incoming.payload) for one in intake.take(0)] == [10]
    assert intake.put(arrival(1000), 0)


def test_no_more_is_held_than_the_limits_say() -> None:
    intake = Intake(LIMITS)
    assert [intake.put(arrival(), 0) for _ in range(6)] == [True] * 5 + [False]
    assert (len(intake), intake.size) == (5, 5)
    intake.take(0)
    assert intake.put(arrival(90), 0)
    assert not intake.put(arrival(90), 0)


def test_who_waits_for_room_gets_it() -> None:
    intake = Intake(LIMITS)
    for _ in range(5):
        intake.put(arrival(), 0)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(intake.put(arrival(), 10)))
    thread.start()
    assert len(intake.take(1)) == 3
    thread.join(10)
    assert found == [True]


def test_when_it_is_closed_nobody_waits_for_room_any_longer() -> None:
    intake = Intake(LIMITS)
    for _ in range(5):
        intake.put(arrival(), 0)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(intake.put(arrival(), 60)))
    thread.start()
    intake.close()
    thread.join(10)
    assert found == [False]
    assert len(intake.take(0)) == 3
    assert not intake.put(arrival(), 0)


def test_a_group_waits_a_little_for_more() -> None:
    intake = Intake(Limits(group_messages=2, linger_s=10))
    intake.put(arrival(), 0)
    thread = threading.Thread(target=lambda: intake.put(arrival(), 0))
    thread.start()
    assert len(intake.take(1)) == 2
    thread.join(10)
