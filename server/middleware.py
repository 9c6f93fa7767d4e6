"""What happens to every request before a route sees it: a name for the log, a bound on its size, headers on its answer.

Plain ASGI, not Starlette's `BaseHTTPMiddleware`, which puts a queue between a stream and its reader. The log has the
path and never the query: people are looked for by phone number.
"""

import re
import time
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wire.messages import MAX_PAYLOAD

_log = structlog.get_logger(__name__)

_MIB: Final = 1024 * 1024
DEFAULT_LIMIT: Final = 1 * _MIB
#: Bodies that may be larger, by exact path.
LIMITS: Final = {
    "/api/v1/receipts": 32 * _MIB,
    "/api/v1/receipts/csv": 1024 * _MIB,
    "/api/v1/receipts/imports": 1024 * _MIB,
    "/api/v1/receipts/imports/preview": 1024 * _MIB,
    "/api/v1/batches": MAX_PAYLOAD,
}
#: Where in a request's scope the address of the connection itself stands, whomever it speaks for.
PEER: Final = "doorline.peer"
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
                _log.info("request", method=scope["method"], path=scope["path"], status=status, ms=took)


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


class BodyLimit:
    """Refuses a body that is too large: by its announced length unread, otherwise as soon as it has become so."""

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

        async def counted() -> Message:
            nonlocal taken
            if announced.isdecimal() and int(announced) > limit:
                raise too_large(limit)
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > limit:
                    raise too_large(limit)
            return message

        await self.app(scope, counted, send)


def too_large(limit: int) -> HTTPException:
    """The refusal of a body; raised while it is read, so that it takes the way of every other error."""
    return HTTPException(413, f"the request's body is larger than {limit // _MIB} MiB")
