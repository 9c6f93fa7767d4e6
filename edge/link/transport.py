"""What the uplink needs of a way to the server, whatever that way is.

The uplink decides what is said and when; a transport only carries it. All it has to tell comes back as events on a
queue, each with the number of the connection it belongs to, so that nothing said on an earlier connection can be
taken for an answer on this one and no library's callback ever runs our rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wire.topics import Channel


@dataclass(frozen=True, slots=True)
class Opened:
    """The server can hear us and we it."""

    connection: int
    detail: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection ended, or never came to be; why, for a person."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message for this device."""

    connection: int
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """The next hop took a message, or (`refused` is not empty) would not."""

    connection: int
    token: int
    refused: str


Event = Opened | Closed | Received | Settled
Sink = Callable[[Event], None]


class Transport(Protocol):
    """A way to the server. Only the uplink's thread calls it; none of its methods waits for the network."""

    @property
    def certificate(self) -> str:
        """SHA-256 fingerprint of the certificate the present connection was opened with; empty for none."""
        ...

    def open(self, connection: int, sink: Sink, will: bytes | None) -> None:
        """Begin to connect; `Opened` or `Closed` follows.

        Args:
            connection: number that every event of this connection carries.
            sink: takes the events, from any thread, without blocking.
            will: status to be published by the other side if we vanish; None for none.
        """
        ...

    def send(self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: float | None = None) -> int:
        """Hand a message over; `Settled` with the returned token follows.

        Raises:
            ConnectionError: when there is no connection.
        """
        ...

    def close(self) -> None:
        """Say good-bye, so that the will is not published."""
        ...

    def abort(self) -> None:
        """Drop a connection that is no longer believed in; its `Closed` may or may not follow."""
        ...
