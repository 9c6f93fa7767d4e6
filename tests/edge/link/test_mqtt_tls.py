"""TLS with client certificates, against a mosquitto that takes nothing else."""

import datetime as dt
import ipaddress
import queue
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.link.mqtt import MqttTransport
from edge.link.transport import Closed, Event, Opened
from edge.settings import BrokerSettings
from server.ingest.broker import SERVER_USER, find_mosquitto
from server.ingest.link import BrokerLink
from server.mqtt import BrokerAddress
from tests.fixtures.broker import require_mosquitto
from tests.fixtures.ports import free_port
from tests.fixtures.wait import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._cert = self._sign(self._name, self._key.public_key(), authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool = False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "chain-ca")


@pytest.fixture
def port(tmp_path: Path, authority: Authority) -> Iterator[int]:
    require_mosquitto()
    found = free_port()
    broker = authority.issue("broker")
    (tmp_path / "acl").write_text(f"user {SERVER_USER}\ntopic readwrite #\n\npattern readwrite doorline/v1/%u/#\n")
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {found} 127.0.0.1\nallow_anonymous false\nuser root\ncafile {authority.path}\n"
        f"certfile {broker.cert}\nkeyfile {broker.key}\nrequire_certificate true\nuse_identity_as_username true\n"
        f"acl_file {tmp_path / 'acl'}\n"
    )
    (tmp_path / "acl").chmod(0o700)
    process = subprocess.Popen(
        [str(find_mosquitto()), "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", found)) == 0

    try:
        wait_until(listening, what="the broker")
        yield found
    finally:
        process.terminate()
        process.wait(10)


def outcome(device: str, broker: BrokerSettings) -> Event:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    transport = MqttTransport(device, broker)
    transport.open(1, events.put, None)
    try:
        return events.get(timeout=20)
    finally:
        transport.close()


def settings(port: int, authority: Authority, pair: Pair | None) -> BrokerSettings:
    return BrokerSettings(
        host="127.0.0.1",
        port=port,
        ca_file=str(authority.path),
        cert_file=str(pair.cert) if pair else "",
        key_file=str(pair.key) if pair else "",
    )


def test_a_certificate_is_who_we_are(port: int, authority: Authority) -> None:
    assert isinstance(outcome("door-1", settings(port, authority, authority.issue("door-1"))), Opened)


def test_without_a_certificate_nothing_opens(port: int, authority: Authority) -> None:
    assert isinstance(outcome("door-1", settings(port, authority, None)), Closed)


def test_a_broker_of_another_authority_is_not_spoken_to(port: int, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other-ca")
    said = outcome("door-1", settings(port, other, authority.issue("door-1")))
    assert isinstance(said, Closed)
    assert "certificate" in said.reason.lower()


def test_a_missing_certificate_file_is_named(port: int, authority: Authority, tmp_path: Path) -> None:
    said = outcome("door-1", settings(port, authority, Pair(tmp_path / "gone.pem", tmp_path / "gone.key")))
    assert isinstance(said, Closed)
    assert "gone.pem" in said.reason


def test_the_server_too_has_a_certificate(port: int, authority: Authority) -> None:
    own = authority.issue(SERVER_USER)
    address = BrokerAddress("127.0.0.1", port, SERVER_USER, "", authority.path, own.cert, own.key)
    link = BrokerLink(address, client_id="ingest", receive=lambda _: None, receive_maximum=10)
    link.start()
    try:
        wait_until(lambda: link.ready, what="the server to listen")
    finally:
        link.stop()
