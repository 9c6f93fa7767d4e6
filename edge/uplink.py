"""The outbox's way to the server: what to send, and when to send it again; what an answer changes is in `link.answers`.

One thread owns every rule; a transport only carries. The traps: a message broker's "taken" is not a commit, so only the
server's own ack lets a record go; silence means send again, never assume; a backlog of three days must not stand
before the customer who walks in now, so there are two lanes with one batch in flight each; and a thousand boxes
whose broker came back must not all call in the same second, hence full jitter.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from edge.backoff import Backoff as Backoff
from edge.clock import Clock, moment
from edge.link.answers import Answers
from edge.link.lanes import Flight, LaneState
from edge.link.replies import Replies
from edge.link.transport import Closed, Event, Opened, Received, Settled, Transport
from edge.link.word import Report as Report
from edge.link.word import Word
from edge.outbox import Outbox
from wire import messages
from wire.messages import Ack, Refusal, Rewind, WireError
from wire.topics import Channel

log = logging.getLogger(__name__)

#: Silence is answered with ever longer pauses up to this (seconds), or `resend_after_s` where that is more.
_LONGEST_SILENCE_S: Final = 60.0
#: A connection that does not come to be in this time is given up (seconds).
_OPEN_TIMEOUT_S: Final = 30.0
#: How long a good-bye may take (seconds).
_FAREWELL_S: Final = 2.0
_IDLE_S: Final = 1.0


@dataclass(slots=True)
class _Link:
    """The connection as the uplink sees it; `state` is closed, opening or open."""

    number: int = 0
    state: str = "closed"
    attempts: int = 0
    next_at: float = 0.0
    deadline: float = 0.0
    problem: str = ""
    tokens: set[int] = field(default_factory=set)


class Uplink:
    """Sends what the outbox holds until the server has it. `start` once, `stop` once."""

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        clock: Clock,
        *,
        device: str,
        flush_after_s: float = 5.0,
        max_batch: int = 2000,
        resend_after_s: float = 15.0,
        version: str = "",
        report: Callable[[], Report] = Report,
        on_config: Callable[[bytes], None] | None = None,
        config_known: Callable[[], int] = lambda: 0,
        on_request: Callable[[bytes], None] | None = None,
        backoff: Backoff | None = None,
        refusal_backoff: Backoff | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            outbox: what to send; its `on_commit` becomes ours.
            transport: the way to the server.
            clock: dates `sent_at` and the status.
            device: our name in every message.
            flush_after_s, max_batch, resend_after_s: see `edge.config.OutboxSettings`.
            version: of the software, for the status.
            report: asked for cameras and problems, from the uplink's thread.
            on_config: given what the server wants us to be, as it came, from the uplink's thread.
            config_known: the newest revision of it that we know of, said in each batch.
            on_request: given what the server asks, as it came, from the uplink's thread; `reply` takes the answer.
            backoff: between attempts to connect.
            refusal_backoff: after the server refused a batch.
        """
        self._outbox = outbox
        self._transport = transport
        self._clock = clock
        self._device = device
        self._flush_after_s = flush_after_s
        self._max_batch = max_batch
        self._resend_after_s = resend_after_s
        self._word = Word(device, version, outbox, clock, report)
        self._on_config = on_config
        self._config_known = config_known
        self._on_request = on_request
        self._replies = Replies()
        self._backoff = backoff or Backoff()
        self._answers = Answers(
            outbox,
            max_batch=max_batch,
            backoff=self._backoff,
            refusal_backoff=refusal_backoff or Backoff(10.0, 300.0),
        )
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._link = _Link()
        self._hurry = False
        self._stopping = threading.Event()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        outbox.on_commit = self.wake

    def start(self) -> None:
        """Begin to connect and to send."""
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Say good-bye and end."""
        self._stopping.set()
        self.wake()
        self._thread.join(timeout_s)

    def wake(self) -> None:
        """Look again now: something was committed, or changed in the status. From any thread."""
        self._events.put(None)

    def reply(self, payload: bytes, until: float) -> None:
        """Send an answer, once, unless that can't be done before `until` (monotonic). From any thread."""
        self._replies.put(payload, until)
        self.wake()

    def hurry(self) -> None:
        """Send what there is without waiting for more, from now on. From any thread."""
        if not self._hurry:
            self._hurry = True
            self.wake()

    @property
    def connected(self) -> bool:
        """Whether the server's broker hears us now."""
        return self._open.is_set()

    # -- the loop --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._handle(self._next_event(self._step(time.monotonic())))
            except Exception as error:
                # The thread that delivers must outlive its own mistakes; they are said aloud instead.
                log.exception("uplink: unexpected error; starting over with a new connection")
                self._lose(f"unexpected error in the uplink: {error}")
        self._farewell()

    def _next_event(self, timeout_s: float) -> Event | None:
        try:
            return self._events.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def _step(self, now: float) -> float:
        """Do what is due; seconds until something may be due again."""
        link = self._link
        if link.state == "closed":
            if now < link.next_at:
                return link.next_at - now
            self._connect(now)
        if link.state == "opening":
            if now < link.deadline:
                return link.deadline - now
            self._lose("nobody answers")
            return 0.0
        self._say_status(now)
        for payload, left in self._replies.take(now) if link.state == "open" else ():
            self._say(Channel.REPLY, payload, expires_s=left)
        due = []
        for lane in self._answers.lanes.values():
            if link.state != "open":
                return 0.0  # lost on the way: there is nothing to say it on
            due.append(self._serve(lane, now))
        return max(0.0, min([_IDLE_S, *(at - now for at in due)]))

    def _connect(self, now: float) -> None:
        link = self._link
        link.number += 1
        link.state = "opening"
        link.deadline = now + _OPEN_TIMEOUT_S
        self._transport.open(link.number, self._events.put, messages.encode(self._word.will()))

    def _lose(self, reason: str) -> None:
        """The connection is no more: everything in flight is open again, and we come back after a while."""
        link = self._link
        self._transport.abort()
        self._open.clear()
        delay = self._backoff.delay(link.attempts)
        link.attempts += 1
        link.state, link.next_at = "closed", time.monotonic() + delay
        if reason != link.problem:
            log.warning("uplink: %s; trying again within %.0f s", reason, max(1.0, delay))
        link.problem = reason
        link.tokens.clear()
        self._outbox.will_send(None)
        for lane in self._answers.lanes.values():
            lane.flight = None

    # -- events ----------------------------------------------------------------------------------------------------

    def _handle(self, event: Event | None) -> None:
        if event is None or event.connection != self._link.number or self._link.state == "closed":
            return
        match event:
            case Opened(detail=detail):
                self._opened(detail)
            case Closed(reason=reason):
                self._lose(reason)
            case Settled(token=token, refused=refused):
                self._settled(token, refused)
            case Received(channel=channel, payload=payload):
                self._received(channel, payload)

    def _opened(self, detail: str) -> None:
        link = self._link
        link.state, link.problem = "open", ""
        self._open.set()
        self._word.forget()
        log.info("uplink: connected (%s), %d records to send", detail, self._outbox.pending)
        self._answers.spare_today()

    def _settled(self, token: int, refused: str) -> None:
        self._link.tokens.discard(token)
        if not refused:
            return
        for lane in self._answers.lanes.values():
            if lane.flight is not None and token in lane.flight.tokens:
                self._answers.refuse(lane, f"the broker would not take a batch ({refused}): check its access list")

    def _received(self, channel: Channel, payload: bytes) -> None:
        try:
            match channel:
                case Channel.ACK:
                    if self._answers.acked(messages.decode(payload, Ack)):
                        self._link.attempts = 0
                case Channel.REWIND:
                    self._answers.rewound(messages.decode(payload, Rewind))
                case Channel.REFUSAL:
                    self._answers.refused(messages.decode(payload, Refusal))
                case Channel.CONFIG if self._on_config is not None:
                    self._on_config(payload)
                case Channel.REQUEST if self._on_request is not None:
                    self._on_request(payload)
                case _:
                    log.debug("uplink: nothing to do for a message on %s", channel.value)
        except WireError as error:
            log.warning("uplink: a message on %s is not of the contract: %s", channel.value, error)
            self._answers.problem_now = f"a message on {channel.value} is not of the contract: {error}"

    # -- sending ---------------------------------------------------------------------------------------------------

    def _serve(self, lane: LaneState, now: float) -> float:
        """Send what is due in a lane; when (monotonic) something may be due again."""
        flight = lane.flight
        if flight is not None:
            if now < flight.resend_at:
                return flight.resend_at
            if flight.tokens & self._link.tokens:
                self._lose("nobody takes anything any more")
                return now
            lane.silences += 1
            lane.flight = None
            log.warning("uplink: no answer to %d records of the %s lane; sending again", flight.count, lane.name)
            if lane.silences >= 3 and not self._answers.problem_now:
                self._answers.problem_now = "the server does not answer; everything is kept and sent again"
        if now < lane.not_before:
            return lane.not_before
        due = self._due(lane, now)
        if lane.name == "live":
            self._outbox.will_send(None if self._hurry else self._flush_after_s)
        return due if due > now else self._send(lane, now)

    def _due(self, lane: LaneState, now: float) -> float:
        waiting = self._outbox.waiting(lane.name)
        if waiting.count == 0:
            return now + _IDLE_S
        if waiting.since is None or waiting.count >= self._max_batch or lane.silences or self._hurry:
            return now
        return waiting.since + self._flush_after_s

    def _send(self, lane: LaneState, now: float) -> float:
        held = self._outbox.next_batch(lane.name)
        if held is None:
            # Perhaps only until the next commit, which tells by itself if it has anything new.
            return now + min(_IDLE_S, self._outbox.commit_every_s or _IDLE_S)
        batch = messages.make_batch(
            device=self._device,
            epoch=held.epoch,
            oldest=held.oldest,
            sent_at=moment(self._clock).at or datetime.now(UTC),
            records=held.records,
            config_revision=self._config_known(),
            nonce=self._answers.nonces.make(held.epoch),
        )
        wait = min(self._resend_after_s * 2.0 ** min(lane.silences, 10), max(self._resend_after_s, _LONGEST_SILENCE_S))
        token = self._say(Channel.BATCH, messages.encode(batch), expires_s=wait)
        if token is None:
            return now
        count = batch.last_seq - batch.first_seq + 1
        lane.flight = Flight(held.epoch, batch.first_seq, batch.last_seq, count, now + wait, frozenset({token}))
        return now + wait

    def _say(
        self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None
    ) -> int | None:
        try:
            token = self._transport.send(channel, payload, retain=retain, expires_s=expires_s)
        except ConnectionError as error:
            self._lose(str(error))
            return None
        self._link.tokens.add(token)
        return token

    # -- status ----------------------------------------------------------------------------------------------------

    def _say_status(self, now: float) -> None:
        status = self._word.now(online=True, problem=self._answers.problem, certificate=self._transport.certificate)
        if not self._word.due(status, now):
            return
        if self._say(Channel.STATUS, messages.encode(status), retain=True) is not None:
            self._word.said(status, now)

    def _farewell(self) -> None:
        """An offline status of our own, with the last numbers, instead of the will."""
        if self._link.state == "open":
            last = self._word.now(online=False, problem=self._answers.problem, certificate=self._transport.certificate)
            token = self._say(Channel.STATUS, messages.encode(last), retain=True)
            until = time.monotonic() + _FAREWELL_S
            while token in self._link.tokens and (left := until - time.monotonic()) > 0:
                event = self._next_event(left)
                if isinstance(event, Settled | Closed):
                    self._handle(event)
            self._transport.close()
        else:
            self._transport.abort()
        self._open.clear()
