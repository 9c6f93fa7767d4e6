"""What is really said between box, broker and server is as the contract has it: quality, retention, expiry, form.

A listener of the server's own hears everything on the broker as deployed while a box, its uplink and a worker do what
they do; each message is held to the table and to `docs/asyncapi.yaml`.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.backoff import Backoff
from edge.clock import SystemClock, moment
from edge.link.mqtt import MqttTransport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.uplink import Uplink
from server.configs.service import ConfigService
from server.ingest import contract
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.storage.pool import Database
from tests.fixtures.listening import listening
from tests.fixtures.mosquitto import DeployedBroker
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM
from tests.server.ingest.devices import Sender, add_stores, crossing
from tests.wire.test_asyncapi_judged import JUDGES
from wire import topics
from wire.topics import Channel

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
RESEND_S = 7.0
WANTED = """
[[camera]]
id = "S01-C1"

  [[camera.line]]
  id = "S01-L1"
  start = [0.1, 0.5]
  end = [0.9, 0.5]
  inside = [0.5, 0.9]
"""


@dataclass(frozen=True)
class Said:
    """A message as a broker passes it on, by whom it is about."""

    device: str
    payload: bytes
    qos: int
    retained: bool
    expires_s: int | None


@pytest.fixture
def said(deployed: DeployedBroker) -> Iterator[dict[Channel, list[Said]]]:
    """Everything that is said from now on, by channel."""
    heard: dict[Channel, list[Said]] = defaultdict(list)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(deployed.server.context())
    ready = threading.Event()

    def hear(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        device, channel = topics.parse(message.topic)
        expires = getattr(message.properties, "MessageExpiryInterval", None)
        heard[channel].append(Said(device, bytes(message.payload), message.qos, message.retain, expires))

    def listen(*_: object) -> None:
        client.subscribe([(f"{topics.ROOT}/#", SubscribeOptions(qos=1, retainAsPublished=True))])

    client.on_connect = listen
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = hear
    client.connect("localhost", deployed.inner_port)
    client.loop_start()
    assert ready.wait(10)
    yield heard
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def worker(db: Database, deployed: DeployedBroker) -> Iterator[None]:
    add_stores(db)
    ConfigService(db).put(SYSTEM, "door-1", WANTED, "")
    with listening(IngestWorker(IngestService(db), deployed.server_address, configs=ConfigService(db))):
        yield


@pytest.fixture
def box(deployed: DeployedBroker, tmp_path: Path) -> Iterator[tuple[Outbox, MqttTransport]]:
    """A box's outbox, and its uplink running over its transport."""
    clock = SystemClock()
    outbox = Outbox(tmp_path / "outbox.sqlite", clock, commit_every_s=0)
    transport = MqttTransport("door-1", deployed.box_settings(deployed.issue("door-1")), answer_s=1.0)
    uplink = Uplink(
        outbox,
        transport,
        clock,
        device="door-1",
        flush_after_s=0.02,
        resend_after_s=RESEND_S,
        backoff=Backoff(0.05, 0.2),
    )
    uplink.start()
    yield outbox, transport
    uplink.stop()
    outbox.close()


def test_every_message_has_the_quality_retention_and_form_of_the_contract(
    said: dict[Channel, list[Said]],
    worker: None,
    box: tuple[Outbox, MqttTransport],
    deployed: DeployedBroker,
) -> None:
    outbox, transport = box
    outbox.append_crossing("S01-C1", Crossing("S01-L1", "in", 1, 0, 0.0, 0.9, 1), moment(SystemClock()))
    wait_until(lambda: said[Channel.ACK], what="an ack")
    # A hole, and something that is no batch, from a box that is not well.
    other = MqttTransport("door-2", deployed.box_settings(deployed.issue("door-2")), answer_s=1.0)
    opened: list[object] = []
    other.open(1, opened.append, None)
    wait_until(lambda: opened, what="door-2 to connect")
    other.send(Channel.BATCH, Sender("door-2").batch([crossing(9)]).payload)
    other.send(Channel.BATCH, b"{}")
    wait_until(lambda: said[Channel.REWIND] and said[Channel.REFUSAL] and said[Channel.CONFIG], what="all answers")
    other.close()
    # And a line that breaks without a good-bye.
    transport.abort()
    wait_until(lambda: [True for each in said[Channel.STATUS] if will(each)], what="the last will")

    for channel in (*topics.FROM_DEVICE, *topics.TO_DEVICE):
        if channel in (Channel.REQUEST, Channel.REPLY):
            continue  # nobody asked anything here
        assert said[channel], channel
        kind = contract.MESSAGES[channel]
        assert kind is not None
        for each in said[channel]:
            assert each.qos == 1, channel
            assert each.retained == (channel in (Channel.STATUS, Channel.CONFIG)), channel
            if each.payload != b"{}":
                assert JUDGES[kind.__name__].is_valid(json.loads(each.payload)), each
    assert {each.expires_s for each in said[Channel.BATCH] if each.device == "door-1"} <= {6, 7}
    assert {each.device for each in said[Channel.ACK]} == {"door-1"}
    assert {each.device for channel in (Channel.REWIND, Channel.REFUSAL) for each in said[channel]} == {"door-2"}


def will(status: Said) -> bool:
    word = json.loads(status.payload)
    return word["online"] is False and word["at"] is None


@pytest.mark.parametrize("attempt", [0, 3, 50])
def test_boxes_do_not_come_back_all_at_once(attempt: int) -> None:
    """Full jitter: anywhere between at once and the longest, which doubles up to a bound."""
    backoff = Backoff(1.0, 60.0)
    longest = min(60.0, 2.0**attempt)
    waits = [backoff.delay(attempt) for _ in range(500)]
    assert all(0 <= each <= longest for each in waits)
    assert min(waits) < 0.1 * longest
    assert max(waits) > 0.9 * longest
