"""What happens to every request before a route sees it: a name for the log, bounds on its size, its time and how many
of them there are, headers on its answer.

Plain ASGI, not Starlette's `BaseHTTPMiddleware`, which puts a queue between a stream and its reader. The log has the
path and never the query: people are looked for by phone number. A path that is itself a key stands there without it.
"""

import asyncio
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wire.messages import MAX_PAYLOAD

_log = structlog.get_logger(__name__)

_MIB: Final = 1024 * 1024
DEFAULT_LIMIT: Final = 1 * _MIB
#: Bodies that may be larger, by exact path.
LIMITS: Final = {
    "/api/v1/receipts": 32 * _MIB,
    "/api/v1/member-attachments": 6 * _MIB,
    "/api/v1/receipts/csv": 1024 * _MIB,
    "/api/v1/receipts/imports": 1024 * _MIB,
    "/api/v1/receipts/imports/preview": 1024 * _MIB,
    "/admin/stores/file": 5 * _MIB,
    "/admin/stores/file/add": 16 * _MIB,
    "/imports/receipts": 1024 * _MIB,
    "/imports/receipts/preview": 1024 * _MIB,
    "/imports/receipts/formats": 1024 * _MIB,
    "/imports/members": 256 * _MIB,
    "/imports/members/preview": 256 * _MIB,
    "/imports/members/formats": 256 * _MIB,
    "/api/v1/batches": MAX_PAYLOAD,
}
#: A body may pause for so long (seconds) at its start, and has to bring so many bytes a second on average after that.
BODY_GRACE: Final = 30.0
BODY_RATE: Final = 4096
#: Addresses whose requests are counted at a time; beyond, those that made none lately are forgotten.
_MOST_ADDRESSES: Final = 20_000
#: Where in a request's scope the address of the connection itself stands, whomever it speaks for.
PEER: Final = "doorline.peer"
#: Below these whatever follows is a key, and whoever reads the log must not have it.
_KEYED: Final = ("/c/",)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_API_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Peer:
    """Notes who is at the other end of the connection, before a proxy's headers replace it by whom it speaks for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the peer's address."""
        client = scope.get("client")
        await self.app({**scope, PEER: client[0] if client else ""}, receive, send)


class RequestLog:
    """Gives a request an id, which stands in every log line of it and in the answer's ``X-Request-ID``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Log one request with its status and milliseconds."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        status = 0
        began = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, named)
            finally:
                took = round((time.perf_counter() - began) * 1000, 1)
                _log.info("request", method=scope["method"], path=_loggable(scope["path"]), status=status, ms=took)


def _loggable(path: str) -> str:
    """The path, without a key that stands in it."""
    return next((f"{prefix}..." for prefix in _KEYED if path.startswith(prefix)), path)


class ApiHeaders:
    """Dresses the API's answers; what an answer has set itself stays. Pages have headers of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and dress its answer."""
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", "/healthz", "/openapi.json")):
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _API_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, dressed)


class RateLimit:
    """Refuses requests of an address that makes too many: a bucket of tokens for each, filled again as time goes by.

    Counted in this process alone: two processes let through twice as many, which is still a bound. This machine itself
    is not counted, nor what has no address, such as a socket in the file system.

    Args:
        per_minute: on average; a sixth of it may come at once. 0: no bound.
        clock: seconds that only grow.
    """

    def __init__(self, app: ASGIApp, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._rate = per_minute / 60
        self._burst = max(1.0, per_minute / 6)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a token, or refuse."""
        client = scope.get("client")
        if scope["type"] != "http" or not self._rate or client is None or not self._is_counted(client[0]):
            await self.app(scope, receive, send)
            return
        wait = self._wait(client[0])
        if wait <= 0:
            await self.app(scope, receive, send)
            return
        seconds = int(wait) + 1
        error = {
            "code": "too_many_requests",
            "message": "too many requests from this address",
            "field": None,
            "remedy": f"wait {seconds} seconds, then try again",
            "detail": None,
        }
        _log.warning("too many requests", address=client[0])
        answer = JSONResponse({"error": error}, 429, {"Retry-After": str(seconds)})
        await answer(scope, receive, send)

    @staticmethod
    def _is_counted(host: str) -> bool:
        try:
            return not ip_address(host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def _wait(self, host: str) -> float:
        """Seconds until there is a token; nothing, and it is taken, when there is one."""
        now = self._clock()
        tokens, at = self._buckets.get(host, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens >= 1:
            self._buckets[host] = (tokens - 1, now)
            if len(self._buckets) > _MOST_ADDRESSES:
                self._forget(now)
            return 0.0
        return (1 - tokens) / self._rate

    def _forget(self, now: float) -> None:
        """Those whose bucket is full again; where there are none, the half that asked longest ago."""
        whole = self._burst / self._rate
        kept = {host: bucket for host, bucket in self._buckets.items() if now - bucket[1] < whole}
        if len(kept) > _MOST_ADDRESSES:
            newest = sorted(kept.items(), key=lambda item: item[1][1])[len(kept) // 2 :]
            kept = dict(newest)
        self._buckets = kept


class BodyLimit:
    """Refuses a body that is too large, by its announced length unread, otherwise as soon as it has become so; and one
    that comes so slowly that its sender only means to keep us waiting.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = LIMITS.get(scope["path"], DEFAULT_LIMIT)
        announced = Headers(scope=scope).get("content-length", "")
        taken = 0
        is_whole = False
        began: float | None = None

        async def counted() -> Message:
            nonlocal taken, is_whole, began
            if announced.isdecimal() and int(announced) > limit:
                raise too_large(limit)
            if is_whole:
                return await receive()
            now = time.monotonic()
            began = now if began is None else began
            try:
                message = await asyncio.wait_for(receive(), began + BODY_GRACE + taken / BODY_RATE - now)
            except TimeoutError as error:
                raise HTTPException(408, "the request's body came too slowly") from error
            if message["type"] == "http.request":
                is_whole = not message.get("more_body", False)
                taken += len(message.get("body", b""))
                if taken > limit:
                    raise too_large(limit)
            return message

        await self.app(scope, counted, send)


def too_large(limit: int) -> HTTPException:
    """The refusal of a body; raised while it is read, so that it takes the way of every other error."""
    return HTTPException(413, f"the request's body is larger than {limit // _MIB} MiB")
