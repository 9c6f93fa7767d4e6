"""The broker configuration we hand out, on a real mosquitto: no certificate, no entry; no voice but one's own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.provisioning import door
from server.provisioning.authority import Ended, Issued
from server.provisioning.door import Credentials, knock, try_door
from server.provisioning.models import Endpoint
from tests.fixtures.mosquitto import DeployedBroker
from tests.fixtures.wait import wait_until
from wire.topics import TO_DEVICE, Channel, pattern, topic

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOW = datetime.now(UTC)
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
MakePeer = Callable[..., "Peer"]


@dataclass
class Peer:
    """A client that writes down what it hears and how it was answered."""

    client: mqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    connected: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, name: str) -> None:
        before = len(self.granted)
        self.client.subscribe(name, qos=1)
        wait_until(lambda: len(self.granted) > before, what=f"an answer to the subscription to {name}")

    def publish(self, name: str, payload: bytes) -> str:
        mid = self.client.publish(name, payload, qos=1).mid
        wait_until(lambda: mid in self.answers, what=f"an answer to the publish on {name}")
        return self.answers[mid]


@pytest.fixture
def connect(deployed: DeployedBroker) -> Iterator[MakePeer]:
    """Connects clients, and disconnects them."""
    peers: list[Peer] = []

    def make(
        who: Credentials, at: Endpoint | None = None, *, client_id: str = "", version: MQTTProtocolVersion = V5
    ) -> Peer:
        where = at or deployed.endpoint
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        client.tls_set_context(who.context())
        peer = Peer(client)
        client.on_connect = lambda *_: peer.connected.set()
        client.on_disconnect = lambda *_: peer.ended.set()
        client.on_message = lambda _c, _u, message: peer.heard.append((message.topic, bytes(message.payload)))
        client.on_subscribe = lambda _c, _u, _mid, codes, _p: peer.granted.append(str(codes[0]))
        client.on_publish = lambda _c, _u, mid, code, _p: peer.answers.update({mid: str(code)})
        client.connect(where.host, where.port)
        client.loop_start()
        peers.append(peer)
        assert peer.connected.wait(10)
        return peer

    yield make
    for peer in peers:
        peer.client.disconnect()
        peer.client.loop_stop()


@pytest.fixture
def box(deployed: DeployedBroker) -> Callable[[str], Credentials]:
    """A box's certificate, as its credentials."""
    return lambda name: deployed.credentials(deployed.issue(name))


def revoke(deployed: DeployedBroker, *issued: Issued) -> None:
    """Write a list of these, and wait until the broker goes by it."""
    deployed.pki.publish(deployed.authority, [Ended(each.serial, NOW) for each in issued], datetime.now(UTC))
    deployed.reload()
    wait_until(lambda: not knock(deployed.endpoint, deployed.canary), what="the broker to go by the list")


# -- who may say and hear what


def test_a_box_speaks_and_hears_under_its_own_name_only(
    deployed: DeployedBroker, connect: MakePeer, box: Callable[[str], Credentials]
) -> None:
    server, door_1 = connect(deployed.server, deployed.inner), connect(box("door-1"))
    server.subscribe(pattern(Channel.BATCH, shared=True))
    door_1.subscribe(topic("door-1", Channel.ACK))
    for name in (topic("door-2", Channel.ACK), pattern(Channel.ACK), "#", "doorline/v1/#", "$SYS/#"):
        door_1.subscribe(name)

    assert door_1.publish(topic("door-1", Channel.BATCH), b"mine") == "Success"
    for name, payload in (("door-2", b"for two"), ("door-10", b"for ten"), ("door-1", b"for one")):
        server.publish(topic(name, Channel.ACK), payload)

    wait_until(lambda: bool(door_1.heard) and bool(server.heard), what="the permitted messages")
    assert server.heard == [(topic("door-1", Channel.BATCH), b"mine")]
    # Last, because mosquitto 2.0.11 also cuts whoever tries it.
    assert door_1.publish(topic("door-2", Channel.BATCH), b"not mine") == "Not authorized"
    assert server.publish(topic("door-1", Channel.BATCH), b"the last word") == "Success"
    wait_until(lambda: server.heard[-1][1] == b"the last word", what="the last word")
    assert len(server.heard) == 2
    # Deliveries of one publisher come in order: after the last, what was said before it would have come.
    assert set(door_1.heard) == {(topic("door-1", Channel.ACK), b"for one"), (topic("door-1", Channel.BATCH), b"mine")}


@pytest.mark.parametrize("channel", TO_DEVICE)
@pytest.mark.parametrize("name", ["door-1", "door-2"])
def test_only_the_server_says_what_a_box_is_to_do_and_what_was_taken(
    deployed: DeployedBroker, connect: MakePeer, box: Callable[[str], Credentials], name: str, channel: Channel
) -> None:
    """Neither another box nor the box itself can leave a configuration, retained, where a box looks for it."""
    told, liar = connect(box("door-2")), connect(box("door-1"))
    told.subscribe(topic("door-2", channel))
    liar.client.publish(topic(name, channel), b"forged", qos=1, retain=True)
    wait_until(lambda: "Not authorized" in liar.answers.values(), what="the refusal")
    server = connect(deployed.server, deployed.inner)
    server.subscribe(topic(name, channel))
    assert server.publish(topic("door-2", channel), b"the last word") == "Success"
    wait_until(lambda: bool(told.heard), what="the last word")
    assert told.heard == [(topic("door-2", channel), b"the last word")]
    assert b"forged" not in [payload for _, payload in server.heard]


def test_what_a_box_says_as_another_in_the_older_protocol_goes_nowhere(
    deployed: DeployedBroker, connect: MakePeer, box: Callable[[str], Credentials]
) -> None:
    """MQTT 3.1.1 has no word for it: the broker says "taken" and drops it."""
    server, door_1 = connect(deployed.server, deployed.inner), connect(box("door-1"), version=V311)
    server.subscribe(pattern(Channel.BATCH))
    assert door_1.publish(topic("door-1", Channel.BATCH), b"mine") == "Success"
    assert door_1.publish(topic("door-2", Channel.BATCH), b"not mine") == "Success"
    server.publish(topic("door-1", Channel.BATCH), b"the last word")
    wait_until(lambda: bool(server.heard) and server.heard[-1][1] == b"the last word", what="the last word")
    assert [payload for _, payload in server.heard] == [b"mine", b"the last word"]


def test_a_box_can_not_pose_as_the_server(
    deployed: DeployedBroker, connect: MakePeer, box: Callable[[str], Credentials]
) -> None:
    """Nor by the name it gives besides its certificate."""
    door_1, other = connect(box("door-1"), deployed.inner, client_id="doorline-ingest-1"), connect(box("door-2"))
    assert door_1.publish(topic("door-2", Channel.ACK), b"forged") == "Not authorized"
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=V5, reconnect_on_failure=False)
    client.username_pw_set("doorline-server", "guessed")
    client.tls_set_context(box("door-3").context())
    answers: list[str] = []
    client.on_publish = lambda _c, _u, _mid, code, _p: answers.append(str(code))
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("localhost", deployed.port)
    client.loop_start()
    assert connected.wait(10)
    client.publish(topic("door-2", Channel.ACK), b"forged", qos=1)
    wait_until(lambda: bool(answers), what="an answer")
    client.disconnect()
    client.loop_stop()
    assert answers == ["Not authorized"]
    assert other.heard == []


def test_a_box_can_not_end_anothers_session(
    deployed: DeployedBroker, connect: MakePeer, box: Callable[[str], Credentials]
) -> None:
    """A client that takes the id of another ends its session; a box that did so again and again would gag it."""
    victim = connect(box("door-1"), client_id="door-1")
    victim.subscribe(topic("door-1", Channel.BATCH))
    connect(box("door-2"), client_id="door-1")
    assert victim.publish(topic("door-1", Channel.BATCH), b"still here") == "Success"
    assert not victim.ended.is_set()


# -- who came in before


def test_a_revoked_certificate_is_refused_once_the_list_is_read(
    deployed: DeployedBroker, box: Callable[[str], Credentials]
) -> None:
    lost, kept = deployed.issue("door-1"), deployed.issue("door-2")
    assert knock(deployed.endpoint, deployed.credentials(lost))
    revoke(deployed, lost)
    for at in (deployed.endpoint, deployed.inner):
        assert not knock(at, deployed.credentials(lost))
        assert knock(at, deployed.credentials(kept))
    # Another certificate for the same box is another matter.
    assert knock(deployed.endpoint, box("door-1"))


def test_an_open_session_outlives_the_list_and_ends_when_it_is_cut(deployed: DeployedBroker, connect: MakePeer) -> None:
    """The first half is what mosquitto does, and why the second is there."""
    issued = deployed.issue("door-1")
    server = connect(deployed.server, deployed.inner)
    server.subscribe(pattern(Channel.BATCH))
    thief = connect(deployed.credentials(issued), client_id="an id of its own choice")
    revoke(deployed, issued)
    assert thief.publish(topic("door-1", Channel.BATCH), b"still in") == "Success"

    door.cut(deployed.inner, deployed.server, "door-1")
    assert thief.ended.wait(10)
    assert not knock(deployed.endpoint, deployed.credentials(issued))
    assert server.publish(topic("door-1", Channel.BATCH), b"the last word") == "Success"
    wait_until(lambda: server.heard[-1][1] == b"the last word", what="the last word")
    assert [payload for _, payload in server.heard] == [b"still in", b"the last word"]


def test_a_tls_session_begun_before_does_not_bring_a_revoked_certificate_back(deployed: DeployedBroker) -> None:
    """A resumed session shows no certificate, so it must not be resumed."""
    issued = deployed.issue("door-1")
    context = deployed.context(issued)
    with (
        socket.create_connection(("localhost", deployed.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as first,
    ):
        first.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        assert first.recv(4)[:1] == b"\x20"
        session = first.session
    assert session is not None
    revoke(deployed, issued)
    with socket.create_connection(("localhost", deployed.port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as again:
                again.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
                assert again.recv(4) == b""
        except OSError:
            return


def test_a_broker_that_goes_by_no_list_is_found_out(deployed: DeployedBroker) -> None:
    """As mosquitto 2.0.11 does, without a word to anybody, when it can't read its list."""
    deployed.stop()
    deployed.start(leave_out="crlfile")
    tried = try_door(deployed.endpoint, deployed.server, deployed.canary)
    assert (tried.knows_us, tried.has_the_list, tried.sound) == (True, False, False)


def test_after_a_damaged_list_the_next_one_is_gone_by(deployed: DeployedBroker) -> None:
    lost = deployed.issue("door-1")
    revoke(deployed, lost)
    (deployed.pki.path / "broker" / "crl.pem").write_text("damaged")
    deployed.reload()
    (deployed.pki.path / "broker" / "crl.pem").unlink()
    revoke(deployed, lost)
    assert try_door(deployed.endpoint, deployed.server, deployed.canary).sound
    assert not knock(deployed.endpoint, deployed.credentials(lost))


def test_a_renewed_broker_and_authority_are_taken_up_without_a_restart(deployed: DeployedBroker) -> None:
    old_box = deployed.credentials(deployed.issue("door-1"))
    started = deployed.process.pid
    renewed = deployed.pki.renew("ca", deployed.authority, "a passphrase of some length")
    deployed.pki.renew("broker", renewed, "a passphrase of some length", ["127.0.0.1"])
    deployed.authority = renewed
    revoke(deployed)
    presented = ssl.PEM_cert_to_DER_cert((deployed.pki.path / "broker" / "broker.crt").read_text())

    def shown() -> bytes | None:
        context = deployed.context(deployed.issue("door-2"))
        with (
            socket.create_connection(("localhost", deployed.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert(binary_form=True)

    wait_until(lambda: shown() == presented, what="the broker to show its new certificate")
    assert knock(deployed.endpoint, old_box)
    assert knock(deployed.endpoint, deployed.credentials(deployed.issue("door-3")))
    assert deployed.process.pid == started
    assert deployed.process.poll() is None
