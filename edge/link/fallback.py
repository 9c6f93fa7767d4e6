"""Which way a box takes to its server: MQTT, and HTTPS once MQTT has been shut for a while.

MQTT is the better way (the server can speak first, a last will tells at once who died), so while HTTPS is in use MQTT
is tried again beside it, by a client of another name that disturbs nothing. The two ways need not be kept apart: what
went out on one and again on the other is counted once.

The trap is a broker that is well while nobody listens behind it: it takes everything, and nothing is answered. So MQTT
counts as shut, too, when a batch stays unanswered. Once that happened it is given less time to prove itself, or each
look at it would hold up the counts once more.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from edge.link.https import HttpsTransport
from edge.link.mqtt import MqttTransport
from edge.link.transport import Closed, Event, Opened, Received, Sink, Transport
from edge.settings import EdgeConfig
from wire.topics import Channel

log = logging.getLogger(__name__)

#: A look whether MQTT is open takes so many attempts, each at most so long (seconds).
_ATTEMPTS: Final = 3
_LOOK_S: Final = 20.0
#: A way on which nothing was answered before has at most so long to answer (seconds).
_SECOND_CHANCE_S: Final = 30.0
_ANSWERS: Final = frozenset({Channel.ACK, Channel.REWIND, Channel.REFUSAL})


def make_transport(config: EdgeConfig) -> Transport:
    """The way that is configured."""
    name, https = config.device.name, config.https
    if not https.url:
        return MqttTransport(name, config.broker)
    if https.use == "always":
        return HttpsTransport(name, https, config.broker)
    return FallbackTransport(
        MqttTransport(name, config.broker),
        HttpsTransport(name, https, config.broker),
        lambda: MqttTransport(name, config.broker, client_id=f"{name}-probe"),
        after_s=https.after_s,
        retry_s=https.retry_mqtt_s,
    )


class FallbackTransport:
    """Implements `edge.link.transport.Transport` by one of two others at a time."""

    def __init__(
        self,
        first: Transport,
        second: Transport,
        make_probe: Callable[[], Transport],
        *,
        after_s: float,
        retry_s: float,
        least_s: float = 10.0,
    ) -> None:
        """Nothing is connected yet.

        Args:
            first: the way to take as long as it opens.
            second: the way to take once the first was shut for a while.
            make_probe: a first way of another name, to see whether it opens again.
            after_s: so long the first may be shut, or leave a batch unanswered.
            retry_s: so long between two looks whether it opens again.
            least_s: so long a batch may stay unanswered on the first whatever `after_s` says.
        """
        self._first = first
        self._second = second
        self._make_probe = make_probe
        self._after_s = after_s
        self._retry_s = retry_s
        self._least_s = least_s
        self._lock = threading.Lock()
        self._shut_since: float | None = None
        self._asked_at: float | None = None
        self._was_silent = False
        self._second_failed = False
        self._way: Transport | None = None
        self._probing: threading.Event | None = None

    @property
    def certificate(self) -> str:
        """See `Transport.certificate`."""
        return "" if self._way is None else self._way.certificate

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:
        """See `Transport.open`."""
        self.abort()
        if not self._takes_second():
            self._way = self._first
            self._first.open(connection, self._watching_first(sink), will)
            return
        log.info("uplink: MQTT has been of no use for %.0f s; trying HTTPS", self._after_s)
        self._asked_at = None
        self._way = self._second
        self._probing = threading.Event()
        args = (self._probing, connection, sink)
        threading.Thread(target=self._probe, args=args, name="mqtt-probe", daemon=True).start()
        self._second.open(connection, self._watching_second(sink), will)

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:
        """See `Transport.send`."""
        if self._way is None:
            raise ConnectionError("not connected")
        if channel is Channel.BATCH and self._way is self._first:
            self._asked()
        return self._way.send(channel, payload, retain=retain, expires_s=expires_s)

    def _asked(self) -> None:
        """Another batch goes out on the first way; give it up when none was answered for too long.

        Raises:
            ConnectionError: it is given up.
        """
        with self._lock:
            now = time.monotonic()
            self._asked_at = now if self._asked_at is None else self._asked_at
            patience = min(self._after_s, _SECOND_CHANCE_S) if self._was_silent else self._after_s
            patience = max(patience, self._least_s)
            if now - self._asked_at < patience:
                return
            self._was_silent = True
            # Shut since so long that it is the other's turn at once.
            self._shut_since = now - self._after_s
        # With a good-bye, or its last will would call us dead while we speak on the other way.
        self.close()
        raise ConnectionError(f"nobody answered over MQTT for {patience:.0f} s, though the broker takes what we send")

    def close(self) -> None:
        """See `Transport.close`."""
        self._end(lambda way: way.close())

    def abort(self) -> None:
        """See `Transport.abort`."""
        self._end(lambda way: way.abort())

    def _end(self, end: Callable[[Transport], None]) -> None:
        if self._probing is not None:
            self._probing.set()
            self._probing = None
        if self._way is not None:
            end(self._way)
            self._way = None

    def _takes_second(self) -> bool:
        """Whether it is the second's turn: the first was shut for long, and the second did not just fail, too."""
        with self._lock:
            now = time.monotonic()
            self._shut_since = now if self._shut_since is None else self._shut_since
            turn = now - self._shut_since >= self._after_s and not self._second_failed
            self._second_failed = False
            return turn

    def _watching_first(self, sink: Sink) -> Sink:
        def watched(event: Event) -> None:
            with self._lock:
                if isinstance(event, Opened):
                    self._shut_since = None
                elif isinstance(event, Closed) and self._shut_since is None:
                    self._shut_since = time.monotonic()
                elif isinstance(event, Received) and event.channel in _ANSWERS:
                    self._asked_at, self._was_silent = None, False
            sink(event)

        return watched

    def _watching_second(self, sink: Sink) -> Sink:
        def watched(event: Event) -> None:
            if isinstance(event, Closed):
                with self._lock:
                    self._second_failed = True
            sink(event)

        return watched

    def _probe(self, ended: threading.Event, connection: int, sink: Sink) -> None:
        """Look from time to time whether the first way opens again; then the connection on the second ends."""
        probe = self._make_probe()
        while not ended.wait(self._retry_s):
            if self._opens(probe, ended):
                with self._lock:
                    self._shut_since = None
                sink(Closed(connection, "MQTT is open again; leaving HTTPS"))
                return

    def _opens(self, probe: Transport, ended: threading.Event) -> bool:
        """One look; a broker of the older protocol is spoken to in it by the second or third attempt."""
        for attempt in range(_ATTEMPTS):
            heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
            probe.open(attempt, heard.put, None)
            try:
                first = heard.get(timeout=_LOOK_S)
            except queue.Empty:
                first = None
            finally:
                probe.close()
            if ended.is_set():
                return False
            if isinstance(first, Opened):
                return True
        return False
