"""`doorline ingest`: from the broker into the database, group by group.

The network thread only queues. One thread, the caller's, commits groups of batches and answers after the commit: first
the ack to the device, then the PUBACK to the broker. While the database is away that thread keeps trying and the queue
fills; when it is full the network thread waits a little, then lets the message go unanswered, because the device sends
again what nobody answered. So nothing is lost, and memory is bounded.
"""

import os
import random
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import structlog

from server.clock import Clock, utc_now
from server.configs.service import ConfigService
from server.errors import Unavailable
from server.ingest.intake import DEFAULT_LIMITS, Arrival, Intake, Limits
from server.ingest.link import BrokerLink, Delivery
from server.ingest.models import Incoming
from server.ingest.publishing import ConfigPublisher
from server.ingest.service import IngestService
from server.mqtt import BrokerAddress
from wire import topics
from wire.messages import MAX_STATUS, WireError, encode
from wire.topics import Channel, TopicError

_log = structlog.get_logger(__name__)

#: How long the network thread waits for room; well below the keep-alive, or the broker would hang up.
_ROOM_SECONDS: Final = 5.0
_MOST_BACK_OFF: Final = 5.0
#: A group that fails so often, each time at a database that could write just before, is taken apart.
_STRIKES: Final = 3
#: Most statuses kept between two groups: all boxes' come at once when a worker connects.
STATUSES_A_TURN: Final = 16
#: How often an idle worker looks whether it is to stop (seconds).
_IDLE_SECONDS: Final = 0.2


@dataclass
class Counters:
    """What a worker has done since it started."""

    batches: int = 0
    groups: int = 0
    let_go: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class _StatusWord:
    payload: bytes
    received_at: datetime
    retained: bool


class IngestWorker:
    """One worker; several may run side by side on brokers that share subscriptions.

    Args:
        service: what commits.
        address: of the broker.
        clock: what time it is.
        limits: of queue and groups.
        configs: what boxes are to do, told to them over the same connection; None leaves that to other workers.
    """

    def __init__(
        self,
        service: IngestService,
        address: BrokerAddress,
        *,
        clock: Clock = utc_now,
        limits: Limits = DEFAULT_LIMITS,
        configs: ConfigService | None = None,
    ) -> None:
        self.counters = Counters()
        self._service = service
        self._clock = clock
        self._intake = Intake(limits)
        self._statuses: dict[str, _StatusWord] = {}
        self._statuses_lock = threading.Lock()
        self._full = False
        self._link = BrokerLink(
            address,
            client_id=f"doorline-ingest-{socket.gethostname()[:16]}-{os.getpid()}-{secrets.token_hex(4)}",
            receive=self._receive,
            receive_maximum=limits.messages,
        )
        self._publisher = None if configs is None else ConfigPublisher(configs, self._link)

    @property
    def ready(self) -> bool:
        """Whether it is connected and listening."""
        return self._link.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Batches and bytes in the queue."""
        return len(self._intake), self._intake.size

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is being committed then is finished and answered."""
        self._link.start()
        if self._publisher is not None:
            self._publisher.start()
        try:
            while not stop.is_set():
                more = self._keep_statuses()
                group = self._intake.take(0 if more else _IDLE_SECONDS)
                if group:
                    self._commit(group, stop)
                elif self._full:
                    # Messages were let go; the broker still counts them as under way until we connect anew.
                    self._full = False
                    self._link.restart()
        finally:
            self._intake.close()
            if self._publisher is not None:
                self._publisher.stop()
            self._link.stop()

    def _receive(self, delivery: Delivery) -> None:
        try:
            device, channel = topics.parse(delivery.topic)
        except TopicError as error:
            _log.warning("a message on an unknown topic is dropped", reason=str(error))
            delivery.acknowledge()
            return
        if channel is Channel.STATUS:
            if len(delivery.payload) > MAX_STATUS:
                _log.warning("a status that is too large is dropped", device=device, size=len(delivery.payload))
            else:
                with self._statuses_lock:
                    self._statuses[device] = _StatusWord(delivery.payload, self._clock(), delivery.retained)
            delivery.acknowledge()
        elif channel is Channel.BATCH:
            arrival = Arrival(Incoming(device, delivery.payload, self._clock()), delivery)
            if not self._intake.put(arrival, _ROOM_SECONDS):
                self.counters.let_go += 1
                self._full = True

    def _commit(self, group: Sequence[Arrival], stop: threading.Event) -> None:
        batches = [arrival.incoming for arrival in group]
        failures = strikes = 0
        while True:
            try:
                answers = self._service.take(batches)
                break
            except Unavailable as error:
                failures += 1
                self.counters.retries += 1
                if failures == 1:
                    _log.warning("the database is away; keeping what came and trying again", reason=error.message)
                if stop.wait(random.uniform(0, min(_MOST_BACK_OFF, 0.1 * 2 ** min(failures, 10)))):  # noqa: S311
                    return
                if strikes == _STRIKES:
                    self._take_apart(group, stop)
                    return
                strikes += self._service.is_writable()
        if failures:
            _log.info("the database is back", attempts=failures)
        for answer, arrival in zip(answers, group, strict=True):
            arrival.delivery.publish(topics.topic(answer.device, answer.channel), encode(answer.reply))
            arrival.delivery.acknowledge()
        self.counters.batches += len(group)
        self.counters.groups += 1

    def _take_apart(self, group: Sequence[Arrival], stop: threading.Event) -> None:
        """Commit the halves of a group that takes the database down each time; of one batch nothing is said.

        Its box sends it again when it hears nothing. Until then the others have their turn.
        """
        if len(group) == 1:
            _log.error("a batch at which the database goes away is let go", device=group[0].incoming.device)
            self.counters.let_go += 1
            self._full = True
            return
        middle = len(group) // 2
        self._commit(group[:middle], stop)
        self._commit(group[middle:], stop)

    def _keep_statuses(self) -> bool:
        """Keep some of the statuses that wait; whether more can be kept at once."""
        with self._statuses_lock:
            words = dict(islice(self._statuses.items(), STATUSES_A_TURN))
            for device in words:
                del self._statuses[device]
        for device, word in words.items():
            try:
                self._service.note_status(device, word.payload, word.received_at, retained=word.retained)
            except WireError as error:
                _log.warning("a status that can't be read is dropped", device=device, reason=str(error))
            except Unavailable:
                with self._statuses_lock:
                    # A newer word may have come meanwhile; that one is kept.
                    self._statuses = {**words, **self._statuses}
                return False
            except Exception:  # noqa: BLE001 - a retained one would come again at every start and stop each
                _log.exception("a status that can't be kept is dropped", device=device)
        return bool(self._statuses)
