"""What a browser is told it may do with our answers.

One plain ASGI middleware, not Starlette's `BaseHTTPMiddleware`: that one puts a task and a queue between a stream and
its reader, and live pages are streams. Pages carry no inline script and no inline style, so the policy needs no
exception; pages are not compressed either, because a secret and a reader's input share them (BREACH).
"""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


#: To browsers that came over TLS: don't come without it for a year.
HSTS: Final = "max-age=31536000"


def put_headers(headers: MutableHeaders) -> None:
    """Add every header that the answer has not set itself."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


class SecurityHeaders:
    """Adds the headers to every answer of the application, pages and API alike.

    Args:
        is_behind_tls: whether browsers reach us over TLS only (`cookie_secure`); they are told to keep it so then.
    """

    def __init__(self, app: ASGIApp, *, is_behind_tls: bool = False) -> None:
        self.app = app
        self._is_behind_tls = is_behind_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and dress its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                put_headers(headers)
                if self._is_behind_tls:
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self.app(scope, receive, dressed)
