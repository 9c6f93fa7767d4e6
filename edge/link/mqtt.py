"""The MQTT way to the server, through paho-mqtt.

Every connection gets a client and a network thread of its own. paho's reconnecting client keeps messages of an earlier
connection in an unbounded queue and numbers that can settle other messages; an exception in a callback
kills its network thread while `is_connected()` stays true. Here a thread that ends, however it ends, says so.
"""

import contextlib
import logging
import socket
import threading
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge import identity
from edge.link.transport import Closed, Opened, Received, Settled, Sink
from edge.settings import BrokerSettings
from wire import topics
from wire.topics import Channel

log = logging.getLogger(__name__)

_SUBSCRIBED: Final = (Channel.ACK, Channel.REWIND, Channel.REFUSAL, Channel.CONFIG, Channel.REQUEST)
_UNSUPPORTED_VERSION: Final = 132
#: Seconds for the TCP and TLS handshake.
_CONNECT_TIMEOUT_S: Final = 5.0
#: A CONNECT is not waited for any longer than this (seconds).
_ANSWER_LONGEST_S: Final = 15.0
_V5: Final = MQTTProtocolVersion.MQTTv5
_V311: Final = MQTTProtocolVersion.MQTTv311


class MqttTransport:
    """Implements `edge.link.transport.Transport`. MQTT 5 where the broker speaks it, 3.1.1 where not."""

    def __init__(self, device: str, broker: BrokerSettings, *, client_id: str = "", answer_s: float = 3.0) -> None:
        """Nothing is connected yet.

        Args:
            device: names the topics, and the user where none is configured.
            broker: where, and with what credentials.
            client_id: the session's name at the broker, which has one connection for each; the device's when empty.
            answer_s: how long the first CONNECT may stay unanswered; it grows with every one that does. Some brokers
                that know no MQTT 5 neither refuse it nor hang up, so silence, too, makes us try the other version.
        """
        self._device = topics.check_name(device)
        self._broker = broker
        self._client_id = client_id or device
        self._version = _V5
        self._answer_s = answer_s
        self._unanswered = 0
        self._link: _Link | None = None
        self._certificate = ""
        self._installed = identity.stamp(broker.cert_file)

    @property
    def certificate(self) -> str:
        """See `Transport.certificate`."""
        return self._certificate

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:
        """See `Transport.open`."""
        self.abort()
        self._link = _Link(self, connection, sink, will, self._version)
        self._link.start()

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:
        """See `Transport.send`."""
        if self._link is None:
            raise ConnectionError("not connected")
        if self._broker.cert_file and identity.stamp(self._broker.cert_file) not in (self._installed, None):
            # Said good-bye, so that no will is published of a box that is well.
            self.close()
            raise ConnectionError("a new certificate was installed; connecting anew with it")
        return self._link.send(channel, payload, retain=retain, expires_s=expires_s)

    def close(self) -> None:
        """See `Transport.close`."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def abort(self) -> None:
        """See `Transport.abort`."""
        if self._link is not None:
            self._link.abort()
            self._link = None

    def client(self, connection: int, version: MQTTProtocolVersion) -> Client:
        """A fresh client with our credentials; it asks for a clean session, which is paho's rule for a new client.

        Raises:
            ConfigError: when the password file can't be read.
            OSError: when a certificate can't be read.
        """
        broker = self._broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=version,
            reconnect_on_failure=False,
            userdata=connection,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.username_pw_set(broker.username or self._device, broker.secret() or None)
        if broker.encrypted:
            # Before it is read: a certificate that changes just then is noticed at the next send.
            self._installed = identity.stamp(broker.cert_file)
            context, self._certificate = identity.tls_context(broker)
            client.tls_set_context(context)
        return client

    def connect(self, client: Client) -> None:
        """TCP and TLS; returns once CONNECT is on its way.

        Raises:
            OSError: when the broker can't be reached or its certificate is not to be trusted.
        """
        client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s)

    def learn(self, version: MQTTProtocolVersion, outcome: ReasonCode | None) -> None:
        """Which version to speak next, from how the broker took this one; None when it gave no answer."""
        if outcome is not None and not outcome.is_failure:
            self._unanswered = 0
            return
        self._unanswered += outcome is None
        if outcome is None or outcome.value == _UNSUPPORTED_VERSION:
            self._version = _V311 if version == _V5 else _V5
            log.info("uplink: the broker did not take MQTT %s; trying %s next", _name(version), _name(self._version))

    @property
    def patience_s(self) -> float:
        """How long a CONNECT may stay unanswered (seconds)."""
        return min(self._answer_s * (1 + self._unanswered), _ANSWER_LONGEST_S)

    @property
    def device(self) -> str:
        """Whose topics these are."""
        return self._device


class _Link:
    """One connection: a client, and the thread that serves it until it ends."""

    def __init__(
        self, owner: MqttTransport, connection: int, sink: Sink, will: bytes | None, version: MQTTProtocolVersion
    ) -> None:
        self._owner = owner
        self._connection = connection
        self._sink = sink
        self._will = will
        self._version = version
        self._given_up = threading.Event()
        self._answer: ReasonCode | None = None
        self._reason = ""
        self._client: Client | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"mqtt-{self._connection}", daemon=True).start()

    def _run(self) -> None:
        reached = False
        try:
            client = self._owner.client(self._connection, self._version)
            if self._will is not None:
                client.will_set(topics.topic(self._owner.device, Channel.STATUS), self._will, qos=1, retain=True)
            client.on_connect = self._on_connect
            client.on_subscribe = self._on_subscribe
            client.on_publish = self._on_publish
            client.on_message = self._on_message
            client.on_disconnect = self._on_disconnect
            self._client = client
            self._owner.connect(client)
            reached = True
            if not self._given_up.is_set():
                impatience = threading.Timer(self._owner.patience_s, self._unanswered)
                impatience.daemon = True
                impatience.start()
                code = client.loop_forever()
                impatience.cancel()
                self._reason = self._reason or self._how_it_ended(code)
        except OSError as error:
            self._reason = f"can't reach the broker: {error}"
        except Exception as error:
            # Whatever ends this thread must be told: an uplink that waits on a dead thread is silent for ever.
            log.exception("uplink: the network thread failed")
            self._reason = f"the network thread failed: {error}"
        finally:
            self._hang_up()
            if reached and not self._given_up.is_set() and (self._answer is None or self._answer.is_failure):
                # Before `Closed`, upon which the uplink may connect again at once.
                self._owner.learn(self._version, self._answer)
            self._sink(Closed(self._connection, self._reason or "closed"))

    def send(self, channel: Channel, payload: bytes, *, retain: bool, expires_s: float | None) -> int:
        if self._client is None:
            raise ConnectionError("not connected")
        properties = None
        if expires_s is not None and self._version == _V5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(1, round(expires_s))
        info = self._client.publish(
            topics.topic(self._owner.device, channel), payload, qos=1, retain=retain, properties=properties
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError(_ended(info.rc))
        return info.mid

    def close(self) -> None:
        self._given_up.set()
        if self._client is not None:
            self._client.disconnect()

    def abort(self) -> None:
        self._given_up.set()
        self._hang_up()

    def _how_it_ended(self, code: MQTTErrorCode) -> str:
        if self._answer is None and self._owner.certificate:
            # Under TLS 1.3 a broker that does not want our certificate just hangs up, after we think we are in.
            return (
                "the broker hung up before it answered: it may not take this box's certificate (revoked, expired, or "
                "of another authority)"
            )
        return _ended(code)

    def _unanswered(self) -> None:
        if self._answer is None:
            self._reason = "the broker does not answer"
            self._hang_up()

    def _hang_up(self) -> None:
        """Wake the network thread out of a socket that may never speak again."""
        sock: Any = None if self._client is None else self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):  # already gone is what was wanted
                sock.shutdown(socket.SHUT_RDWR)

    # -- paho's callbacks: they run in the network thread and do nothing but note and pass on ----------------------

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _props: Properties | None
    ) -> None:
        self._answer = code
        if code.is_failure:
            self._reason = f"the broker refused us: {code}"
            client.disconnect()
            return
        self._owner.learn(self._version, code)
        client.subscribe([(topics.topic(self._owner.device, channel), 1) for channel in _SUBSCRIBED])

    def _on_subscribe(
        self, client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _props: Properties | None
    ) -> None:
        refused = [channel.value for channel, code in zip(_SUBSCRIBED, codes, strict=False) if code.is_failure]
        if refused:
            self._reason = (
                f"the broker lets us not subscribe to {', '.join(refused)}: its access list must allow the user "
                f"{topics.ROOT}/{self._owner.device}/#"
            )
            client.disconnect()
            return
        self._sink(Opened(self._connection, f"MQTT {_name(self._version)}"))

    def _on_publish(self, _client: Client, _data: Any, mid: int, code: ReasonCode, _props: Properties | None) -> None:
        self._sink(Settled(self._connection, mid, str(code) if code.is_failure else ""))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            _, channel = topics.parse(message.topic)
        except topics.TopicError as error:
            log.warning("uplink: %s", error)
            return
        self._sink(Received(self._connection, channel, bytes(message.payload)))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, code: ReasonCode, _props: Properties | None
    ) -> None:
        if not self._reason and self._answer is not None:
            side = "the broker ended the connection" if flags.is_disconnect_packet_from_server else "connection lost"
            self._reason = f"{side}: {code}" if code.is_failure else side


def _name(version: MQTTProtocolVersion) -> str:
    return "5" if version == _V5 else "3.1.1"


def _ended(code: MQTTErrorCode) -> str:
    return "closed" if code == MQTTErrorCode.MQTT_ERR_SUCCESS else f"connection lost ({code.name})"
