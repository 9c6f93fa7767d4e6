"""The queue between the network and the database: bounded in messages and in bytes, emptied in groups.

Bounded, because a database that is away for an hour must cost neither memory nor a message; in groups, because a commit
costs the same for one batch as for fifty.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from server.ingest.link import Delivery
from server.ingest.models import Incoming


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch and how it came."""

    incoming: Incoming
    delivery: Delivery


@dataclass(frozen=True)
class Limits:
    """How much is held and how much is committed at once.

    Attributes:
        messages: most batches waiting.
        size: most bytes waiting; one batch is let in however large it is.
        group_messages: most batches in one transaction.
        group_size: bytes after which a group is closed.
        linger_s: how long a group that is not full waits for more.
    """

    messages: int = 256
    size: int = 64 * 1024 * 1024
    group_messages: int = 64
    group_size: int = 8 * 1024 * 1024
    linger_s: float = 0.005


DEFAULT_LIMITS: Final = Limits()


class Intake:
    """Batches waiting for their commit."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._waiting: deque[Arrival] = deque()
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes waiting."""
        return self._size

    def put(self, arrival: Arrival, wait_s: float) -> bool:
        """Append a batch; False when there was no room for it within `wait_s`."""
        length = len(arrival.incoming.payload)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(length), wait_s)
            if self._closed or not self._has_room(length):
                return False
            self._waiting.append(arrival)
            self._size += length
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Take no more, and let nobody wait for room any longer: nobody will make any."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, wait_s: float) -> list[Arrival]:
        """The next group, oldest first; empty when nothing came within `wait_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waiting) > 0, wait_s):
                return []
            give_up = time.monotonic() + self._limits.linger_s
            while len(self._waiting) < self._limits.group_messages and self._size < self._limits.group_size:
                left = give_up - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._group()

    def _group(self) -> list[Arrival]:
        group: list[Arrival] = []
        size = 0
        while self._waiting and len(group) < self._limits.group_messages:
            length = len(self._waiting[0].incoming.payload)
            if group and size + length > self._limits.group_size:
                break
            group.append(self._waiting.popleft())
            size += length
        self._size -= size
        self._changed.notify_all()
        return group

    def _has_room(self, length: int) -> bool:
        if not self._waiting:
            return True
        return len(self._waiting) < self._limits.messages and self._size + length <= self._limits.size
