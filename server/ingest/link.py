"""One connection to the broker at a time, made anew when it is lost; MQTT 5 where it is spoken, 3.1.1 otherwise.

paho's traps, and how they are kept out. An exception in a callback kills its network thread while `is_connected()`
stays true: so the network loop runs in a thread of ours that notices. An ack meant for an earlier connection may
acknowledge another message: so each connection is a client object of its own, and a delivery remembers the one it came
by. A publish from another thread may write into the middle of a packet: so writing is left to the network thread.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from server.mqtt import BrokerAddress
from wire import topics
from wire.messages import MAX_PAYLOAD
from wire.topics import Channel

_log = structlog.get_logger(__name__)

_KEEPALIVE: Final = 60
#: A broker that has not answered by then does not understand us (seconds).
_ANSWER_SECONDS: Final = 3.0
#: Longest wait between two attempts to connect (seconds).
_MOST_BACK_OFF: Final = 10.0
#: Most answers that wait inside paho; more are dropped, and asked for again by a resend.
_MOST_QUEUED: Final = 10_000


_VERSIONS: Final = {
    "auto": MQTTProtocolVersion.MQTTv5,
    "5": MQTTProtocolVersion.MQTTv5,
    "3.1.1": MQTTProtocolVersion.MQTTv311,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came, and the connection that must acknowledge it."""

    topic: str
    payload: bytes
    retained: bool
    client: mqtt.Client
    mid: int
    qos: int

    def acknowledge(self) -> None:
        """Tell the broker; nothing happens when that connection is gone."""
        self.client.ack(self.mid, self.qos)

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something over the same connection; dropped when that is gone, for whoever waits will ask again."""
        if self.client.is_connected():
            self.client.publish(topic, payload, qos=1)


class BrokerLink:
    """Keeps a connection up and hands over what arrives.

    Args:
        address: of the broker.
        client_id: unique among all clients of the broker.
        receive: called in the network thread with each message; must not block for long.
        receive_maximum: most messages not yet acknowledged that an MQTT 5 broker may have under way.
    """

    def __init__(
        self, address: BrokerAddress, *, client_id: str, receive: Callable[[Delivery], None], receive_maximum: int
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._receive = receive
        self._receive_maximum = receive_maximum
        self._protocol = _VERSIONS[address.protocol]
        self._stop = threading.Event()
        self._restart = threading.Event()
        self._subscribed = threading.Event()
        self._understood = True
        self._connected = False
        self._failures = 0
        self._client_now: mqtt.Client | None = None
        #: Counts the connections on which we listened; what was said on an earlier one may be forgotten by now.
        self.connection = 0
        self._thread = threading.Thread(target=self._run, name="broker-link", daemon=True)

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """What is spoken with this broker, as far as is known."""
        return self._protocol

    @property
    def ready(self) -> bool:
        """Whether batches are being received now."""
        return self._subscribed.is_set()

    def publish(self, topic: str, payload: bytes, *, connection: int) -> bool:
        """Have something said and retained; False when it can't be now, or not over that connection any more."""
        client = self._client_now
        if client is None or connection != self.connection or not self._subscribed.is_set():
            return False
        return client.publish(topic, payload, qos=1, retain=True).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def start(self) -> None:
        """Begin connecting, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Say good-bye to the broker and end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    def restart(self) -> None:
        """Connect anew; the broker then forgets what was never acknowledged."""
        self._restart.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._restart.clear()
            self._understood, self._connected = True, False
            try:
                client = self._client()
                self._connect(client)
                self._loop(client)
            except OSError as error:
                _log.warning("no connection to the broker", broker=self._where(), reason=str(error))
            except Exception:  # noqa: BLE001
                # Whatever a payload made paho stumble over, the next connection starts afresh.
                _log.exception("the connection to the broker failed", broker=self._where())
            self._subscribed.clear()
            self._client_now = None
            if not self._stop.is_set() and not self._restart.is_set():
                self._after_failure()

    def _loop(self, client: mqtt.Client) -> None:
        self._understood = False
        give_up = time.monotonic() + _ANSWER_SECONDS
        while not self._stop.is_set() and not self._restart.is_set():
            code = client.loop(timeout=0.25)
            if not self._understood and time.monotonic() > give_up:
                _log.warning("the broker does not answer", broker=self._where(), protocol=self._protocol.name)
                return
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                _log.warning("connection to the broker lost", broker=self._where(), reason=mqtt.error_string(code))
                return
        # What was said last still has to be written, and to arrive, before the good-bye.
        for _ in range(40):
            if not client.want_write() or client.loop(timeout=0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        client.disconnect()
        client.loop(timeout=0.05)

    def _after_failure(self) -> None:
        if self._address.protocol == "auto":
            if not self._understood and self._protocol is MQTTProtocolVersion.MQTTv5:
                _log.info("the broker does not seem to speak MQTT 5; trying 3.1.1", broker=self._where())
                self._protocol = MQTTProtocolVersion.MQTTv311
                return
            self._protocol = MQTTProtocolVersion.MQTTv5
        self._failures = 0 if self._connected else self._failures + 1
        # Full jitter, so that workers don't come back all at once.
        self._stop.wait(random.uniform(0, min(_MOST_BACK_OFF, 0.25 * 2 ** min(self._failures, 10))))  # noqa: S311

    def _client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self._protocol,
            manual_ack=True,
            reconnect_on_failure=False,
            clean_session=None if self._protocol is MQTTProtocolVersion.MQTTv5 else True,
        )
        self._address.sign_in(client)
        client.connect_timeout = 5
        client.max_queued_messages_set(_MOST_QUEUED)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        # With this set, a publish only wakes the network thread, which does the writing.
        client.on_socket_register_write = _leave_writing_to_the_loop
        return client

    def _connect(self, client: mqtt.Client) -> None:
        if self._protocol is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = self._receive_maximum
            # No session is kept: what a dead worker had would wait in it, while devices send again to the living.
            properties.SessionExpiryInterval = 0
            client.connect(self._address.host, self._address.port, _KEEPALIVE, clean_start=True, properties=properties)
        else:
            client.connect(self._address.host, self._address.port, _KEEPALIVE)

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._understood = reason.getName() != "Unsupported protocol version"
        self._connected = not reason.is_failure
        if reason.is_failure:
            _log.error("the broker refuses us", broker=self._where(), reason=reason.getName())
            return
        self._subscribe(client, shared=self._protocol is MQTTProtocolVersion.MQTTv5)

    def _subscribe(self, client: mqtt.Client, *, shared: bool) -> None:
        # Status is not shared among workers: retained messages are not sent to shared subscriptions.
        client.subscribe([(topics.pattern(Channel.BATCH, shared=shared), 1), (topics.pattern(Channel.STATUS), 1)])

    def _on_subscribe(
        self, client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if not any(reason.is_failure for reason in reasons):
            self._client_now, self.connection = client, self.connection + 1
            self._subscribed.set()
            _log.info("listening for batches", broker=self._where(), protocol=self._protocol.name)
        elif reasons[0].getName() == "Shared subscriptions not supported":
            _log.warning("the broker has no shared subscriptions: run one ingest worker only")
            self._subscribe(client, shared=False)
        else:
            _log.error(
                "the broker does not let us listen",
                reasons=[reason.getName() for reason in reasons],
                remedy=f"give user {self._address.username} the right to read {topics.ROOT}/#",
            )

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._receive(
            Delivery(
                topic=message.topic,
                # MQTT lets a quarter of a gigabyte through; what is refused for its size need not be kept whole.
                payload=bytes(message.payload[: MAX_PAYLOAD + 1]),
                retained=message.retain,
                client=client,
                mid=message.mid,
                qos=message.qos,
            )
        )

    def _where(self) -> str:
        return f"{self._address.host}:{self._address.port}"


def _leave_writing_to_the_loop(_client: mqtt.Client, _data: Any, _socket: Any) -> None:
    """What paho is to do when there is something to write: nothing but wake its loop."""
