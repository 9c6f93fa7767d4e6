"""Answers on their way out: handed over by any thread, sent by the uplink's, dropped once nobody waits for them.

They are no records: what the link loses of them is not sent again, and an answer that could not leave in time is none.
"""

import threading
from collections import deque
from typing import Final

#: More than can be asked at once; the oldest would go first.
_MOST: Final = 16


class Replies:
    """Payloads, each with the moment (monotonic) from which nobody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[bytes, float]] = deque(maxlen=_MOST)

    def put(self, payload: bytes, until: float) -> None:
        """Hand one over."""
        with self._lock:
            self._waiting.append((payload, until))

    def take(self, now: float) -> list[tuple[bytes, float]]:
        """All that somebody waits for still, with the seconds left; the others are gone."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque(maxlen=_MOST)
        return [(payload, until - now) for payload, until in waiting if until > now]
