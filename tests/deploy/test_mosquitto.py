"""The broker configuration we hand out, on a real mosquitto: no certificate, no entry; no voice but one's own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.provisioning import door
from server.provisioning.authority import Authority, Ended, Issued
from server.provisioning.door import Credentials, Tried, knock, try_door
from server.provisioning.models import Endpoint
from tests.fixtures.mosquitto import DEPLOY, DeployedBroker
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


# -- who comes in at all


def test_a_known_certificate_enters_and_the_door_is_found_sound(
    deployed: DeployedBroker, box: Callable[[str], Credentials]
) -> None:
    assert knock(deployed.endpoint, box("door-1"))
    for at in (deployed.endpoint, deployed.inner):
        assert try_door(at, deployed.server, deployed.canary) == Tried(at, True, True, True)


@pytest.mark.parametrize("listener", ["endpoint", "inner"])
def test_nobody_enters_without_a_certificate(deployed: DeployedBroker, listener: str) -> None:
    at: Endpoint = getattr(deployed, listener)
    assert not knock(at, deployed.credentials(None))


def test_a_name_and_password_do_not_do_for_a_certificate(deployed: DeployedBroker) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=V5, reconnect_on_failure=False)
    client.username_pw_set("door-1", "the right one, for all it knows")
    client.tls_set_context(deployed.context(None))
    connected, ended = threading.Event(), threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_disconnect = lambda *_: ended.set()
    client.connect("localhost", deployed.port)
    client.loop_start()
    assert ended.wait(10)
    client.loop_stop()
    assert not connected.is_set()


def test_a_certificate_of_another_authority_is_not_taken(deployed: DeployedBroker) -> None:
    """Though it says the same name."""
    stranger = Authority.create("Doorline test CA", NOW)
    assert not knock(deployed.endpoint, deployed.credentials(stranger.issue_client("door-1", NOW)))
    assert not knock(deployed.endpoint, deployed.credentials(stranger.issue_client("doorline-server", NOW)))


def test_an_expired_certificate_is_not_taken(deployed: DeployedBroker) -> None:
    expired = deployed.authority.issue_client("door-1", NOW - timedelta(days=10), timedelta(days=9))
    assert not knock(deployed.endpoint, deployed.credentials(expired))


def test_the_brokers_own_certificate_does_not_let_anybody_in(deployed: DeployedBroker) -> None:
    folder = deployed.pki.path / "broker"
    own = Credentials(folder / "ca.crt", folder / "broker.crt", folder / "broker.key")
    assert not knock(deployed.endpoint, own)


def test_old_tls_is_not_spoken(deployed: DeployedBroker) -> None:
    context = deployed.context(deployed.issue("door-1"))
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("localhost", deployed.port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("port", ["port", "inner_port"])
@pytest.mark.parametrize(
    "words",
    [b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"],
    ids=["mqtt", "websocket"],
)
def test_in_the_clear_nothing_is_answered(deployed: DeployedBroker, port: str, words: bytes) -> None:
    with socket.create_connection(("localhost", getattr(deployed, port)), timeout=10) as plain:
        plain.sendall(words)
        said = b""
        try:
            while more := plain.recv(64):
                said += more
        except ConnectionResetError:
            pass
    assert said == b"" or said[0] == 0x15, "at most a TLS alert"


def test_a_websocket_is_not_opened_within_tls_either(deployed: DeployedBroker) -> None:
    context = deployed.context(deployed.issue("door-1"))
    with (
        socket.create_connection(("localhost", deployed.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(
            b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        )
        try:
            assert b"101" not in secured.recv(64)
        except OSError:
            return


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


# -- the files


def test_the_configuration_closes_what_is_open_by_default() -> None:
    lines = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    settings = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    listeners = [value for key, value in settings if key == "listener"]
    said = [(key, value) for key, value in settings]
    assert listeners == ["8883", "8884"]
    assert said.count(("protocol", "mqtt")) == 2
    assert not any(key == "protocol" and value != "mqtt" for key, value in said)
    for pair in (("require_certificate", "true"), ("use_identity_as_username", "true")):
        assert said.count(pair) == 2
    assert said.count(("crlfile", "/mosquitto/certs/crl.pem")) == 2
    for pair in (
        ("allow_anonymous", "false"),
        ("max_queued_messages", "0"),
        ("max_queued_bytes", "0"),
        ("persistence", "false"),
        ("use_username_as_clientid", "true"),
    ):
        assert said.count(pair) == 1
    assert not any(key in {"password_file", "psk_file", "bridge_cafile"} for key, _ in said)


def test_compose_opens_the_boxes_port_alone() -> None:
    text = (DEPLOY.parent / "compose.yaml").read_text(encoding="utf-8")
    assert '"8883:8883"' in text
    assert "8884:" not in text
    assert 'DOORLINE_BROKER_PORT: "8884"' in text
    # Who is given which folder of the authority's: nobody but the operator's own service sees the whole.
    mounts = [line.strip() for line in text.splitlines() if "./pki" in line]
    assert mounts == [
        "- ./pki/server:/run/doorline/certs:ro",
        "- ./pki/broker:/mosquitto/certs:ro",
        "- ./pki:/var/lib/doorline/pki",
    ]
