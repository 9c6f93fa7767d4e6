"""The HTTPS way to the server, for shops whose firewall lets nothing else out. Standard library only.

It carries what MQTT would and decides nothing. A posted batch is answered in the same exchange, so its answer comes
back as the message the server would have published; what is no answer of ours (a proxy's error page, a captive portal
that says 200 to everything) must never be taken for one, and counts as a lost connection. Two exchanges may be under
way at once, or a slow backlog would stand before today.
"""

import base64
import contextlib
import http.client
import json
import logging
import queue
import socket
import ssl
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from edge import identity
from edge.link.transport import Closed, Opened, Received, Settled, Sink
from edge.settings import BrokerSettings, HttpsSettings
from wire import messages
from wire.messages import Ack, BatchReply, Refusal, RefusalCode, WireError
from wire.topics import Channel, check_name

log = logging.getLogger(__name__)

#: One for each lane.
_EXCHANGES: Final = 2
#: No answer of ours is longer (bytes); a configuration with many lines is the longest.
_LONGEST_ANSWER: Final = 1024 * 1024
#: A server is not left alone for longer than this because it asks to be (seconds).
_LONGEST_RETRY_AFTER: Final = 300.0
#: Where each channel goes.
_ROUTES: Final = {Channel.BATCH: ("POST", "/api/v1/batches"), Channel.STATUS: ("PUT", "/api/v1/status")}
#: Answers that are about what was sent, not about the way: sending it again at once would bring the same.
_REFUSALS: Final = frozenset({*get_args(RefusalCode), "not_signed_in", "not_found", "invalid_input"})


@dataclass(frozen=True, slots=True)
class _Job:
    """One message to send."""

    token: int
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: status, body (cut off beyond what we would ever read), and how long to stay away (seconds)."""

    status: int
    body: bytes
    retry_after: float


class HttpsTransport:
    """Implements `edge.link.transport.Transport`."""

    def __init__(self, device: str, settings: HttpsSettings, broker: BrokerSettings) -> None:
        """Nothing is connected yet.

        Args:
            device: our name at the server.
            settings: where the server is.
            broker: the password or client certificate we show; the same as to the broker.
        """
        self._device = check_name(device)
        self._settings = settings
        self._broker = broker
        self._link: _Link | None = None
        self._installed = identity.stamp(broker.cert_file)
        self._certificate = ""
        #: Until then (monotonic) the server does not want to hear of us.
        self.not_before = 0.0

    @property
    def certificate(self) -> str:
        """See `Transport.certificate`."""
        return self._certificate

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:  # noqa: ARG002 - HTTP knows no last will
        """See `Transport.open`. There is no will: a box that says nothing for a while is known to be gone."""
        self.abort()
        self._link = _Link(self, connection, sink)
        self._link.start()

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:  # noqa: ARG002 - it is posted at once, or not at all
        """See `Transport.send`."""
        if self._link is None:
            raise ConnectionError("not connected")
        if self._broker.cert_file and identity.stamp(self._broker.cert_file) not in (self._installed, None):
            self.close()
            raise ConnectionError("a new certificate was installed; connecting anew with it")
        return self._link.send(channel, payload)

    def close(self) -> None:
        """See `Transport.close`."""
        self.abort()

    def abort(self) -> None:
        """See `Transport.abort`."""
        if self._link is not None:
            self._link.give_up()
            self._link = None

    def connection(self) -> http.client.HTTPConnection:
        """A connection, by a proxy where one is set; nothing goes over the network yet.

        Raises:
            OSError: a certificate can't be read.
        """
        settings, url = self._settings, urlsplit(self._settings.url)
        proxy = proxy_of(settings)
        host, port = (url.hostname or "", url.port) if proxy is None else (proxy.hostname or "", proxy.port or 3128)
        if url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=settings.timeout_s)
        made = http.client.HTTPSConnection(host, port, timeout=settings.timeout_s, context=self._context())
        if proxy is not None:
            made.set_tunnel(url.hostname or "", url.port or 443, headers=_proxy_headers(proxy))
        return made

    def request(self, connection: http.client.HTTPConnection, job: _Job) -> None:
        """Send one message.

        Raises:
            OSError, http.client.HTTPException: it could not be sent.
            ConfigError: the password file can't be read.
        """
        url = urlsplit(self._settings.url)
        method, path = _ROUTES[job.channel]
        target = url.path.rstrip("/") + path
        headers = {"Content-Type": "application/json", "User-Agent": "doorline-edge", **self._credentials()}
        proxy = proxy_of(self._settings)
        if proxy is not None and url.scheme == "http":
            target = f"http://{url.netloc}{target}"
            headers.update(_proxy_headers(proxy))
        # A server that refuses before it has read everything hangs up on us; its answer is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body=job.payload, headers=headers)

    def _context(self) -> ssl.SSLContext:
        # Before it is read: a certificate that changes just then is noticed at the next send.
        self._installed = identity.stamp(self._broker.cert_file)
        context, self._certificate = identity.tls_context(
            msgspec.structs.replace(self._broker, ca_file=self._settings.ca_file)
        )
        return context

    def _credentials(self) -> dict[str, str]:
        secret = self._broker.secret()
        if not secret:
            return {}
        pair = f"{self._broker.username or self._device}:{secret}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class _Link:
    """One connection as the uplink sees it: some exchanges side by side, until one of them fails."""

    def __init__(self, owner: HttpsTransport, connection: int, sink: Sink) -> None:
        self._owner = owner
        self._connection = connection
        self._sink = sink
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()
        self._tokens = 0

    def start(self) -> None:
        threading.Thread(target=self._first, name=f"https-{self._connection}", daemon=True).start()

    def send(self, channel: Channel, payload: bytes) -> int:
        if self._given_up.is_set():
            raise ConnectionError("not connected")
        with self._lock:
            self._tokens += 1
            token = self._tokens
        if channel in _ROUTES:
            self._jobs.put(_Job(token, channel, payload))
        else:
            self._sink(Settled(self._connection, token, f"{channel.value} is not carried over HTTPS"))
        return token

    def give_up(self) -> None:
        """End every exchange, wherever it hangs."""
        self._given_up.set()
        for _ in range(_EXCHANGES):
            self._jobs.put(None)
        with self._lock:
            for connection in self._open:
                _hang_up(connection)

    def _first(self) -> None:
        """Connect, say so, then exchange."""
        self._given_up.wait(max(0.0, self._owner.not_before - time.monotonic()))
        if self._given_up.is_set():
            return
        try:
            connection = self._connect()
        except (OSError, http.client.HTTPException) as error:
            self._fail(f"can't reach the server: {error}")
            return
        self._sink(Opened(self._connection, "HTTPS"))
        for number in range(1, _EXCHANGES):
            name = f"https-{self._connection}-{number}"
            threading.Thread(target=self._exchange, args=(None,), name=name, daemon=True).start()
        self._exchange(connection)

    def _exchange(self, connection: http.client.HTTPConnection | None) -> None:
        """Send one message after the other and hand on what is answered; any trouble ends the whole link."""
        try:
            while not self._given_up.is_set() and (job := self._jobs.get()) is not None:
                connection, answer = self._ask(connection, job)
                if not self._tell(job, answer):
                    break
        except (OSError, http.client.HTTPException) as error:
            self._fail(f"connection lost: {error or type(error).__name__}")
        except Exception as error:
            # Whatever ends this thread must be told: an uplink that waits on a dead thread is silent for ever.
            log.exception("uplink: an exchange failed")
            self._fail(f"an exchange failed: {error}")
        finally:
            if connection is not None:
                self._forget(connection)

    def _ask(
        self, connection: http.client.HTTPConnection | None, job: _Job
    ) -> tuple[http.client.HTTPConnection, _Answer]:
        """One exchange. A connection that lay idle may be gone by now; a batch sent twice is counted once, so anew."""
        if connection is not None and connection.sock is not None:
            try:
                return connection, self._answer(connection, job)
            except (OSError, http.client.HTTPException):
                if self._given_up.is_set():
                    raise
        if connection is not None:
            self._forget(connection)
        connection = self._connect()
        try:
            return connection, self._answer(connection, job)
        except BaseException:
            self._forget(connection)
            raise

    def _answer(self, connection: http.client.HTTPConnection, job: _Job) -> _Answer:
        self._owner.request(connection, job)
        response = connection.getresponse()
        body = response.read(_LONGEST_ANSWER + 1)
        if len(body) > _LONGEST_ANSWER:
            raise http.client.HTTPException("an endless answer, which is none of our server's")
        return _Answer(response.status, body, _seconds(response.getheader("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        connection = self._owner.connection()
        with self._lock:
            self._open.add(connection)
        try:
            connection.connect()
        except BaseException:
            self._forget(connection)
            raise
        if self._given_up.is_set():
            self._forget(connection)
            raise ConnectionAbortedError("given up")
        return connection

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _fail(self, reason: str) -> None:
        if not self._given_up.is_set():
            self.give_up()
            self._sink(Closed(self._connection, reason))

    # -- what an answer means --------------------------------------------------------------------------------------

    def _tell(self, job: _Job, answer: _Answer) -> bool:
        """Hand on what was answered. False when the link is of no use any more."""
        if answer.status == http.HTTPStatus.NO_CONTENT and job.channel is Channel.STATUS:
            self._sink(Settled(self._connection, job.token, ""))
            return True
        if answer.status == http.HTTPStatus.OK and job.channel is Channel.BATCH:
            return self._tell_reply(job, answer.body)
        refusal = _refusal(answer.body)
        if refusal is None or answer.status in _COME_AGAIN:
            self._owner.not_before = time.monotonic() + answer.retry_after
            self._fail(_no_answer(answer.status, refusal))
            return False
        self._sink(Settled(self._connection, job.token, ""))
        self._sink(Received(self._connection, Channel.REFUSAL, messages.encode(refusal)))
        return True

    def _tell_reply(self, job: _Job, body: bytes) -> bool:
        try:
            reply = messages.decode(body, BatchReply)
        except WireError as error:
            self._fail(f"what answered is not our server (a proxy, a sign-in page?): {error}")
            return False
        self._sink(Settled(self._connection, job.token, ""))
        channel = Channel.ACK if isinstance(reply.reply, Ack) else Channel.REWIND
        self._sink(Received(self._connection, channel, messages.encode(reply.reply)))
        if reply.config is not None:
            self._sink(Received(self._connection, Channel.CONFIG, messages.encode(reply.config)))
        return True


#: The server, or what stands in front of it, can't answer now; nothing is wrong with what was sent.
_COME_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})


def proxy_of(settings: HttpsSettings) -> SplitResult | None:
    """The proxy to go by: the one that is set, or the environment's (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), or none."""
    url = urlsplit(settings.url)
    if settings.proxy:
        return None if settings.proxy == "none" else urlsplit(settings.proxy)
    named = urllib.request.getproxies().get(url.scheme)
    if not named or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _refusal(body: bytes) -> Refusal | None:
    """An error of our server as the refusal it stands for; None for anything else."""
    try:
        error: Any = json.loads(body)["error"]
        detail = error["detail"] or {}
        first = detail.get("first_seq")
        refusal = Refusal(
            code=str(error["code"]),
            reason=str(error["message"]),
            epoch=detail.get("epoch"),
            first_seq=None if first is None else int(first),
        )
        # Made of a stranger's values; what is not of the contract would be refused by whoever reads it.
        refusal = messages.decode(messages.encode(refusal), Refusal)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return refusal if refusal.code in _REFUSALS else None


def _no_answer(status: int, refusal: Refusal | None) -> str:
    if 300 <= status < 400:
        return f"redirected ({status}): set https.url to the server's own address"
    return f"the server can't answer now ({status}{f': {refusal.reason}' if refusal else ''})"


def _seconds(header: str | None) -> float:
    """How long to stay away; a date, which some proxies send, is not worth reading."""
    return min(float(header), _LONGEST_RETRY_AFTER) if header and header.isdecimal() else 0.0


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Wake whoever waits on it."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):  # already gone is what was wanted
            sock.shutdown(socket.SHUT_RDWR)
