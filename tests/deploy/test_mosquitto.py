"""The broker configuration we hand out, in front of a real mosquitto: no certificate, no entry; no voice but one's own.

The file itself is what is tested: only its paths and its port are changed, so that the configuration a chain installs
can't drift away from the one that was tried.
"""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from server.ingest.broker import find_mosquitto
from tests.fixtures.broker import require_mosquitto
from tests.fixtures.wait import wait_until
from wire.topics import Channel, pattern, topic

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
pytestmark = pytest.mark.mosquitto


@dataclass
class Authority:
    """A certificate authority of the test's own, in one folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Doorline test CA")])
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        certificate = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self._write("ca", certificate.sign(self.key, hashes.SHA256()), self.key)

    def issue(self, file: str, common_name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        certificate = self._builder(subject, key).add_extension(names, critical=False)
        self._write(file, certificate.sign(self.key, hashes.SHA256()), key)

    def context(self, file: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if file:
            context.load_cert_chain(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
        )

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        pem = serialization.Encoding.PEM
        (self.folder / f"{file}.crt").write_bytes(certificate.public_bytes(pem))
        (self.folder / f"{file}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


@dataclass
class Peer:
    """A client that writes down what it hears and how its publishes were answered."""

    client: mqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    connected: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, name: str) -> None:
        before = len(self.granted)
        self.client.subscribe(name, qos=1)
        wait_until(lambda: len(self.granted) > before, timeout=10, what=f"an answer to the subscription to {name}")

    def publish(self, name: str, payload: bytes) -> str:
        mid = self.client.publish(name, payload, qos=1).mid
        wait_until(lambda: mid in self.answers, timeout=10, what=f"an answer to the publish on {name}")
        return self.answers[mid]


def connect(port: int, context: ssl.SSLContext) -> Peer:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set_context(context)
    peer = Peer(client)
    client.on_connect = lambda *_: peer.connected.set()
    client.on_message = lambda _c, _u, message: peer.heard.append((message.topic, bytes(message.payload)))
    client.on_subscribe = lambda _c, _u, _mid, codes, _p: peer.granted.append(str(codes[0]))
    client.on_publish = lambda _c, _u, mid, code, _p: peer.answers.update({mid: str(code)})
    client.connect("localhost", port)
    client.loop_start()
    assert peer.connected.wait(10)
    return peer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[int, Authority]]:
    require_mosquitto()
    authority = Authority(tmp_path / "certs")
    for file, name in [("broker", "localhost"), ("server", "doorline-server"), ("one", "door-1")]:
        authority.issue(file, name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(DEPLOY / "acl", tmp_path / "acl")
    given = (DEPLOY / "mosquitto.conf").read_text()
    assert "listener 8883\n" in given
    config = (
        given.replace("/mosquitto/certs", str(authority.folder))
        .replace("/mosquitto/config/acl", str(tmp_path / "acl"))
        .replace("listener 8883\n", f"listener {port} 127.0.0.1\n" + ("user root\n" if os.geteuid() == 0 else ""))
    )
    (tmp_path / "mosquitto.conf").write_text(config)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(find_mosquitto()), "-c", str(tmp_path / "mosquitto.conf")], stdout=log, stderr=log
        )
        try:
            wait_until(lambda: _listens(port), timeout=10, what="mosquitto to listen")
            yield port, authority
        finally:
            process.terminate()
            process.wait(10)


def test_a_device_speaks_and_hears_under_its_own_name_only(broker: tuple[int, Authority]) -> None:
    port, authority = broker
    server, door = connect(port, authority.context("server")), connect(port, authority.context("one"))
    server.subscribe(pattern(Channel.BATCH, shared=True))
    door.subscribe(topic("door-1", Channel.ACK))
    door.subscribe(topic("door-2", Channel.ACK))

    assert door.publish(topic("door-1", Channel.BATCH), b"mine") == "Success"
    server.publish(topic("door-2", Channel.ACK), b"for two")
    server.publish(topic("door-1", Channel.ACK), b"for one")

    wait_until(lambda: bool(door.heard) and bool(server.heard), timeout=10, what="the permitted messages")
    assert server.heard == [(topic("door-1", Channel.BATCH), b"mine")]
    assert door.heard == [(topic("door-1", Channel.ACK), b"for one")]
    # Last, because mosquitto 2.0.11 also cuts whoever tries it.
    assert door.publish(topic("door-2", Channel.BATCH), b"not mine") == "Not authorized"
    assert server.publish(topic("door-1", Channel.BATCH), b"the last word") == "Success"
    wait_until(lambda: server.heard[-1][1] == b"the last word", timeout=10, what="the last word")
    assert len(server.heard) == 2
    for peer in (server, door):
        peer.client.disconnect()
        peer.client.loop_stop()


def test_a_known_certificate_enters(broker: tuple[int, Authority]) -> None:
    port, authority = broker
    assert knock(port, authority.context("one"))[:1] == b"\x20"


def test_nobody_enters_without_a_certificate(broker: tuple[int, Authority]) -> None:
    port, authority = broker
    with pytest.raises(ssl.SSLError):
        knock(port, authority.context(None))


def test_a_certificate_of_another_authority_is_not_taken(broker: tuple[int, Authority], tmp_path: Path) -> None:
    port, authority = broker
    stranger = Authority(tmp_path / "stranger")
    stranger.issue("one", "door-1")
    context = authority.context(None)
    context.load_cert_chain(stranger.folder / "one.crt", stranger.folder / "one.key")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        knock(port, context)


def knock(port: int, context: ssl.SSLContext) -> bytes:
    """Say MQTT's CONNECT over TLS and return the broker's answer."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        return secured.recv(4)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
