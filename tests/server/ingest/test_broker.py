"""The embedded broker: one rule, whichever broker it is."""

import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest import passwords
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.storage.embedded_errors import EmbeddedError
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
from wire import topics
from wire.topics import Channel, TopicError


class Listener:
    """A client that is let in or not, and hears what it may."""

    def __init__(self) -> None:
        self.let_in: bool | None = None
        self.heard: list[str] = []
        self.subscribed = threading.Event()


@contextmanager
def client(
    broker: EmbeddedBroker, user: str | None, password: str | None, subscribe: str = ""
) -> Iterator[tuple[mqtt.Client, Listener]]:
    """A connected client, or one that was refused."""
    listener = Listener()
    made = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, reconnect_on_failure=False)
    if user is not None:
        made.username_pw_set(user, password)

    def connected(_client: mqtt.Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        listener.let_in = not getattr(reason, "is_failure", True)
        if listener.let_in and subscribe:
            made.subscribe(subscribe, 1)

    def gone(*_: object) -> None:
        if listener.let_in is None:
            listener.let_in = False

    made.on_connect = connected
    made.on_disconnect = gone
    made.on_subscribe = lambda *_: listener.subscribed.set()
    made.on_message = lambda _client, _data, message: listener.heard.append(message.topic)
    made.connect(broker.host, broker.port)
    made.loop_start()
    try:
        wait_until(lambda: listener.let_in is not None, 10, "an answer to CONNECT")
        if listener.let_in and subscribe:
            assert listener.subscribed.wait(10)
        yield made, listener
    finally:
        made.disconnect()
        made.loop_stop()


@pytest.mark.parametrize(
    ("user", "password"), [(None, None), ("door-1", "wrong"), ("door-1", ""), ("nobody", "x"), (SERVER_USER, "x")]
)
def test_without_the_right_password_nobody_is_let_in(
    kept_broker: EmbeddedBroker, user: str | None, password: str | None
) -> None:
    kept_broker.add_user("door-1", "right")
    with client(kept_broker, user, password) as (_, listener):
        assert listener.let_in is False


def test_users_come_and_go_while_it_runs(kept_broker: EmbeddedBroker) -> None:
    def let_in(password: str) -> bool | None:
        with client(kept_broker, "door-1", password) as (_, listener):
            return listener.let_in

    assert not let_in("first")
    kept_broker.add_user("door-1", "first")
    wait_until(lambda: let_in("first"), 10, "the new user to be let in")
    kept_broker.add_user("door-1", "second")
    wait_until(lambda: let_in("second"), 10, "the new password to be taken")
    assert not let_in("first")
    kept_broker.remove_user("door-1")
    wait_until(lambda: not let_in("second"), 10, "the removed user to be kept out")


def test_a_device_reaches_its_own_topics_only(kept_broker: EmbeddedBroker) -> None:
    for name in ("door-1", "door-2", "door-10"):
        kept_broker.add_user(name, "x")
    own = topics.topic("door-1", Channel.BATCH)
    with (
        client(kept_broker, SERVER_USER, SERVER_PASSWORD, "#") as (server, everything),
        client(kept_broker, "door-2", "x", topics.topic("door-1", Channel.ACK)) as (other, overheard),
        client(kept_broker, "door-1", "x", topics.topic("door-1", Channel.ACK)) as (device, told),
    ):
        other.publish(own, b"forged", qos=1)
        other.publish("doorline/v1/door-20/batch", b"forged", qos=1)
        other.publish("elsewhere", b"forged", qos=1)
        device.publish(own, b"true", qos=1)
        wait_until(lambda: own in everything.heard, 10, "the server to hear the device")
        server.publish(topics.topic("door-1", Channel.ACK), b"ack", qos=1)
        wait_until(lambda: told.heard, 10, "the device to hear the server")
        assert everything.heard.count(own) == 1
        assert not {"doorline/v1/door-20/batch", "elsewhere"} & set(everything.heard)
        assert overheard.heard == []


def forge(broker: EmbeddedBroker, liar: str, topic: str) -> None:
    with client(broker, liar, "x") as (made, _):
        said = made.publish(topic, b"forged", qos=1, retain=True)
        # Some brokers say "taken" and drop it, others end the connection of whoever tries.
        wait_until(lambda: said.is_published() or not made.is_connected(), 10, "the broker to have looked")


def test_only_the_server_says_what_a_device_is_to_do(kept_broker: EmbeddedBroker) -> None:
    """Nor may the device itself: what is retained there would outlive whoever had its password for a minute."""
    for name in ("door-1", "door-2"):
        kept_broker.add_user(name, "x")
    config = topics.topic("door-1", Channel.CONFIG)
    with (
        client(kept_broker, SERVER_USER, SERVER_PASSWORD, "#") as (server, everything),
        client(kept_broker, "door-1", "x", config) as (_, told),
    ):
        for liar, channel in itertools.product(("door-1", "door-2"), topics.TO_DEVICE):
            forge(kept_broker, liar, topics.topic("door-1", channel))
        server.publish(config, b"true", qos=1)
        wait_until(lambda: told.heard, 10, "the device to hear the server")
        wait_until(lambda: everything.heard, 10, "the server to hear itself")
        assert told.heard == everything.heard == [config]
    with client(kept_broker, "door-1", "x", config) as (_, told):
        assert told.heard == []  # nothing was retained


def test_what_was_added_is_known_after_a_restart(broker: EmbeddedBroker) -> None:
    broker.add_user("door-1", "x")
    broker.stop()
    with broker, client(broker, "door-1", "x") as (_, listener):
        assert listener.let_in


def test_passwords_are_kept_hashed_and_to_the_owner(kept_broker: EmbeddedBroker) -> None:
    file = kept_broker.directory / "passwords"
    assert SERVER_PASSWORD not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert passwords.verify_password(SERVER_PASSWORD, passwords.read(file)[SERVER_USER])
    assert not passwords.verify_password("other", passwords.read(file)[SERVER_USER])
    assert not passwords.verify_password("x", "plain")


def test_a_name_that_reaches_into_other_topics_is_refused(kept_broker: EmbeddedBroker) -> None:
    for name in ("+", "#", "a/b", "", "a:b", "a\nb"):
        with pytest.raises(TopicError):
            kept_broker.add_user(name, "x")


def test_it_listens_on_the_loopback_only(kept_broker: EmbeddedBroker) -> None:
    with socket.socket() as probe:
        # Another address of the loopback network; a broker on all addresses would answer there too.
        assert probe.connect_ex(("127.0.0.2", kept_broker.port)) != 0


def test_a_port_in_use_is_said(kept_broker: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=f"port {kept_broker.port}"):
        EmbeddedBroker(tmp_path / "second", kept_broker.port, kind=kept_broker.kind).start()


SLOW_TO_ITS_FEET = """#!{python}
import re, signal, socket, sys, time
port = int(re.search(r"listener (\\d+)", open(sys.argv[-1]).read())[1])
listening = socket.create_server(("127.0.0.1", port))
time.sleep(0.3)  # what a busy machine may put between the two
signal.signal(signal.SIGHUP, lambda *_: None)
while True:
    peer, _ = listening.accept()
    if peer.recv(100):
        peer.sendall(b"\\x20\\x02\\x00\\x05")
    peer.close()
"""


def test_a_user_added_at_once_does_not_end_a_broker_that_is_still_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens before it can take the signal to read its users anew; this one takes its time in between."""
    program = tmp_path / "mosquitto"
    program.write_text(SLOW_TO_ITS_FEET.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr("server.ingest.broker.find_mosquitto", lambda: program)
    with EmbeddedBroker(tmp_path / "broker", kind="mosquitto") as broker:
        broker.add_user("door-1", "x")
        with socket.create_connection((broker.host, broker.port), timeout=10) as peer:
            peer.sendall(b"?")
            assert peer.recv(1), broker.running
        assert broker.running


def test_mosquitto_where_it_is_absent_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.broker.find_mosquitto", lambda: None)
    with pytest.raises(EmbeddedError, match="not installed"):
        EmbeddedBroker(tmp_path, kind="mosquitto")
    assert EmbeddedBroker(tmp_path).kind == "amqtt"
