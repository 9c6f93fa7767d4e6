"""Files at work behind a request: in a thread of this process, one after the other.

Two at once would take as long, and twice the memory. Which of them are in this process's hands is known, so that all of
them can give a sign of life; whoever waits in the queue of a process that died is found by its silence.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID


class Turns:
    """The files one service has in hand; `name` is what its thread is called."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._mine: set[UUID] = set()
        self._worker: ThreadPoolExecutor | None = None

    @property
    def is_closing(self) -> bool:
        """Whether what is at work should stop soon."""
        return self._closing.is_set()

    def take(self, number: UUID) -> None:
        """Have a file in hand from now on, waiting or at work."""
        with self._lock:
            self._mine.add(number)

    def drop(self, number: UUID) -> None:
        """Have it in hand no longer."""
        with self._lock:
            self._mine.discard(number)

    def in_hand(self) -> list[UUID]:
        """Those that wait, and the one at work."""
        with self._lock:
            return list(self._mine)

    def submit(self, work: Callable[[], object]) -> None:
        """Do this once all that was given before is done."""
        with self._lock:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix=self._name)
            worker = self._worker
        worker.submit(work)

    def close(self) -> None:
        """Let what is at work stop, and wait for it."""
        self._closing.set()
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=True, cancel_futures=False)
