"""One question to one box over the broker, and its answer, on a connection of its own that ends with it.

A web process need not be connected all day for the picture somebody wants once a month. The traps: a broker takes a
message whether or not anybody is there to read it, so what is known of the box (its retained status, the broker's word
that nobody listens) is looked at before the wait is used up; and an answer to an earlier question must not be taken for
this one's.
"""

import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from server.mqtt import BrokerAddress
from wire import topics
from wire.asking import MAX_ANSWER, Answer, Given, Request, decode_answer
from wire.messages import MAX_STATUS, Status, WireError, decode, encode
from wire.topics import Channel

_log = structlog.get_logger(__name__)

#: A broker that has not answered by then does not understand us, where another version can be tried (seconds).
_ANSWER_SECONDS: Final = 3.0
#: For the connection, and then for each answer of a broker that understands us.
_CONNECT_SECONDS: Final = 5.0
#: What an answer takes on its way beyond the time its box has for it (seconds).
GRACE_SECONDS: Final = 2.0
_NO_MATCHING_SUBSCRIBERS: Final = 16
_UNSUPPORTED: Final = "Unsupported protocol version"
_V5, _V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311

#: answered; absent (the box is not connected to this broker); silent (it said nothing in time); no_broker.
Outcome = Literal["answered", "absent", "silent", "no_broker"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a question.

    Attributes:
        given: the answer, where there is one.
        reason: for a person, where there is none and the broker is why.
        said_at: the box's own time of the status it left with the broker; None where it left none.
    """

    outcome: Outcome
    given: Given | None = None
    reason: str = ""
    said_at: datetime | None = None


class Exchange:
    """Asks boxes by one broker. May be used by several threads at once.

    Args:
        address: of the broker.
    """

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._protocol = _V311 if address.protocol == "3.1.1" else _V5

    def ask(self, request: Request, stop: threading.Event) -> Heard:
        """Ask and wait, for as long as the request says and a little more.

        Args:
            request: what is asked, and of whom.
            stop: set it and the wait is over.
        """
        first = _Conversation(self._address, request, self._protocol, stop)
        heard = first.hold()
        if first.understood or self._address.protocol != "auto" or self._protocol is _V311 or stop.is_set():
            return heard
        second = _Conversation(self._address, request, _V311, stop)
        heard = second.hold()
        if second.understood:
            self._protocol = _V311
        return heard


class _Conversation:
    """One connection, from beginning to end."""

    def __init__(
        self, address: BrokerAddress, request: Request, protocol: MQTTProtocolVersion, stop: threading.Event
    ) -> None:
        #: Whether the broker answered in this version of the protocol.
        self.understood = False
        self._address = address
        self._request = request
        self._protocol = protocol
        self._stop = stop
        self._reason = ""
        self._asked = False
        self._away = False
        self._until = self._asked_until = 0.0
        self._mid = -1
        self._said_at: datetime | None = None
        self._heard: Heard | None = None

    def hold(self) -> Heard:
        """Ask, and wait."""
        try:
            client = self._client()
            self._connect(client)
            self._loop(client)
            client.disconnect()
            client.loop(timeout=0.05)
        except (OSError, ValueError) as error:
            self._reason = self._reason or str(error)
        if self._heard is not None:
            return self._heard
        if not self._asked:
            return Heard("no_broker", reason=self._reason or "the broker does not answer")
        return Heard("absent" if self._away else "silent", said_at=self._said_at)

    def _loop(self, client: mqtt.Client) -> None:
        guesses = self._protocol is _V5 and self._address.protocol == "auto"
        self._until = time.monotonic() + (_ANSWER_SECONDS if guesses else _CONNECT_SECONDS)
        while self._heard is None and not self._reason and not self._stop.is_set() and time.monotonic() < self._until:
            code = client.loop(timeout=0.1)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._reason = self._reason or f"connection to the broker lost: {mqtt.error_string(code)}"

    def _client(self) -> mqtt.Client:
        # Of a machine's name no more than says which it is; no device's name begins like this.
        name = f"{topics.CENTRAL_PREFIX}asks-{socket.gethostname()[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=self._protocol,
            reconnect_on_failure=False,
            clean_session=None if self._protocol is _V5 else True,
        )
        self._address.sign_in(client)
        client.connect_timeout = _CONNECT_SECONDS
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _connect(self, client: mqtt.Client) -> None:
        properties = None
        if self._protocol is _V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            # What is larger than any answer of ours does not even reach us.
            properties.MaximumPacketSize = MAX_ANSWER + 1024
            properties.SessionExpiryInterval = 0
        client.connect(self._address.host, self._address.port, 30, properties=properties)

    def _topic(self, channel: Channel) -> str:
        return topics.topic(self._request.device, channel)

    # -- paho's callbacks, in the thread that loops ----------------------------------------------------------------

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self.understood = reason.getName() != _UNSUPPORTED
        if reason.is_failure:
            self._reason = f"the broker refuses us: {reason.getName()}"
            return
        self._until = time.monotonic() + _CONNECT_SECONDS
        client.subscribe([(self._topic(Channel.REPLY), 1), (self._topic(Channel.STATUS), 1)])

    def _on_subscribe(self, client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _more: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._reason = f"the broker does not let user {self._address.username} hear what boxes answer"
            return
        properties = None
        if self._protocol is _V5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(1, round(self._request.within_s))
        self._asked = True
        self._asked_until = time.monotonic() + self._request.within_s + GRACE_SECONDS
        self._wait()
        sent = client.publish(self._topic(Channel.REQUEST), encode(self._request), qos=1, properties=properties)
        self._mid = sent.mid

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        if mid == self._mid and reason.value == _NO_MATCHING_SUBSCRIBERS and self._heard is None:
            self._heard = Heard("absent", said_at=self._said_at)
        elif reason.is_failure:
            self._reason = f"the broker does not let user {self._address.username} ask boxes: {reason.getName()}"

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if self._heard is not None:
            return
        try:
            if message.topic == self._topic(Channel.STATUS):
                self._take_status(bytes(message.payload[: MAX_STATUS + 1]))
            elif not message.retain:
                self._take_answer(decode_answer(bytes(message.payload[: MAX_ANSWER + 1])))
        except WireError as error:
            _log.warning("what a box says is not of the contract", device=self._request.device, reason=str(error))

    def _take_status(self, payload: bytes) -> None:
        status = decode(payload, Status)
        self._said_at = status.at or self._said_at
        self._away = not status.online
        if self._asked:
            self._wait()

    def _wait(self) -> None:
        """A box that is just coming back says so within moments; until then its last good-bye is what a broker has."""
        moments = time.monotonic() + GRACE_SECONDS
        self._until = min(self._asked_until, moments) if self._away else self._asked_until

    def _take_answer(self, answer: Answer) -> None:
        if (answer.device, answer.id) == (self._request.device, self._request.id):
            self._heard = Heard("answered", answer.given, said_at=self._said_at)
