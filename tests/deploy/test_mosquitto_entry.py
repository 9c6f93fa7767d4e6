"""Who comes in at all, on a real mosquitto with the configuration we hand out: no certificate of ours, no entry."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.provisioning.authority import Authority
from server.provisioning.door import Credentials, Tried, knock, try_door
from server.provisioning.models import Endpoint
from tests.fixtures.mosquitto import DEPLOY, DeployedBroker

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOW = datetime.now(UTC)
V5 = MQTTProtocolVersion.MQTTv5


def test_a_known_certificate_enters_and_the_door_is_found_sound(deployed: DeployedBroker) -> None:
    assert knock(deployed.endpoint, deployed.credentials(deployed.issue("door-1")))
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
        "- ./pki/broker/ca.crt:/front/boxes/ca.crt:ro",
        "- ./pki:/var/lib/doorline/pki",
    ]
