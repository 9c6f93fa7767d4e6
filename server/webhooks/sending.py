"""One delivery over the wire: signed, to the address that was looked at, with an end to every wait.

By the standard library: it follows no redirect, asks no proxy of the environment, and lets the connection be made to a
given address while TLS still asks for the name. The signature covers the moment of sending, so that what somebody picks
up cannot be sent again later:

    Doorline-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>
"""

import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from server.webhooks.addresses import Barred, Endpoint, Network, Resolver, endpoint_of, pinned, resolve

#: Seconds until an attempt to connect, or a wait for one answer, is given up; and until all of it is.
_STEP: Final = 10.0
_WHOLE: Final = 20.0
_ANSWER: Final = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        status: of HTTP; None when there was no answer.
        reason: why it failed; empty when it didn't.
    """

    status: int | None
    reason: str

    @property
    def is_done(self) -> bool:
        """Whether the subscriber has it."""
        return not self.reason


def signature(secret: str, at: datetime, body: bytes) -> str:
    """What goes into the header ``Doorline-Signature``.

    Args:
        at: aware; whole seconds count.
    """
    stamp = str(int(at.timestamp()))
    digest = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256")
    return f"t={stamp},v1={digest.hex()}"


class Sender:
    """Sends deliveries.

    Args:
        allowed: private networks they may go to all the same.
        context: of TLS; whom to trust.
    """

    def __init__(
        self, allowed: Sequence[Network], resolver: Resolver = resolve, context: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._context = context

    def check(self, url: str) -> None:
        """Refuse an address deliveries may not go to.

        Raises:
            InvalidInput: it is none.
            Barred: it leads into the house.
            OSError: its name has no address now.
        """
        pinned(endpoint_of(url), self._allowed, self._resolver)

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Post a body; anything but an answer of 2xx is a failure."""
        try:
            endpoint = endpoint_of(url)
            address = pinned(endpoint, self._allowed, self._resolver)
            return self._post(endpoint, address, headers, body)
        except Barred as error:
            return Outcome(None, str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Outcome(None, f"{type(error).__name__}: {error}")

    def _post(self, endpoint: Endpoint, address: str, headers: dict[str, str], body: bytes) -> Outcome:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_STEP)
        plain = socket.create_connection((address, endpoint.port), timeout=_STEP)
        # A peer that sends one byte a time answers every wait in time, and never ends.
        cut = threading.Timer(_WHOLE, _cut, (plain,))
        cut.daemon = True
        cut.start()
        try:
            if endpoint.scheme == "https":
                context = self._context or _context()
                connection.sock = context.wrap_socket(plain, server_hostname=endpoint.host)
            else:
                connection.sock = plain
            connection.request("POST", endpoint.target, body, headers)
            answer = connection.getresponse()
            said = answer.read(_ANSWER)
        finally:
            cut.cancel()
            connection.close()
            plain.close()
        if 200 <= answer.status < 300:
            return Outcome(answer.status, "")
        if 300 <= answer.status < 400:
            return Outcome(answer.status, f"answered {answer.status}: redirects are not followed")
        text = "".join(sign if sign.isprintable() else " " for sign in said.decode("utf-8", "replace"))[:200].strip()
        return Outcome(answer.status, f"answered {answer.status}" + (f": {text}" if text else ""))


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended meanwhile


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
