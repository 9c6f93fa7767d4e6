"""Records in memory on their way to the disk: what makes one fsync a second enough, and what carries a dead disk.

Camera threads only ever touch this, so a memory card that takes a second for an fsync stops no camera. While the disk
takes nothing the buffer is bounded by folding its oldest records into sums; only what can't be folded is ever
dropped, and that is counted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from edge.outbox.dating import renumbered, stands_for
from edge.outbox.folding import can_fold, fold
from wire.messages import Record, Tally

#: A tally with more sums than this is folded to quarter hours next time.
_MANY_SUMS: Final = 2000
#: And one that has more than this stays as it is: a server takes no record of any size.
_MOST_SUMS: Final = 6000


@dataclass(frozen=True, slots=True)
class Draft:
    """A record without its number.

    Attributes:
        uptime: set while it waits for a date.
        appended: when, on the process's monotonic clock.
        marks: numbers to be kept in the transaction that keeps the record.
        at_risk: of the records it is, how many nobody would count again if they never reached the disk.
    """

    record: Record
    uptime: float | None
    appended: float
    marks: tuple[tuple[str, int], ...] = ()
    at_risk: int = 0


class Buffer:
    """A queue with one reader. `add` may be called from any thread; the rest belongs to whoever commits."""

    def __init__(self, limit: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._drafts: deque[Draft] = deque()
        self._count = 0
        #: Of the records waiting, how many nobody would count again.
        self.at_risk = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Records waiting, each tally counted as what it stands for."""
        return self._count

    def add(
        self,
        record: Record,
        uptime: float | None,
        marks: tuple[tuple[str, int], ...] = (),
        *,
        counted_again: bool = False,
    ) -> None:
        """Append one record; `counted_again` where its source would be counted again if it never reached the disk."""
        at_risk = 0 if counted_again else stands_for(record)
        with self._changed:
            self._drafts.append(Draft(record, uptime, self._monotonic(), marks, at_risk))
            self._count += stands_for(record)
            self.at_risk += at_risk
            if len(self._drafts) == 1:
                self._changed.notify_all()

    def peek(self) -> list[Draft]:
        """All that wait, oldest first; they stay until `drop`."""
        with self._changed:
            return list(self._drafts)

    def drop(self, number: int) -> None:
        """The oldest `number` drafts are on disk."""
        with self._changed:
            for _ in range(number):
                self._pop()

    def wait(self, timeout_s: float) -> float | None:
        """Wait until something is there, or is woken; when the oldest was appended, or None."""
        with self._changed:
            if not self._drafts:
                self._changed.wait(timeout_s)
            return self._drafts[0].appended if self._drafts else None

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._changed.notify_all()

    def shrink(self) -> int:
        """Bring it below its limit by folding, or, where nothing can be folded, by dropping. How many were lost.

        What is counted again only after a new start is among them: until then it is missing.
        """
        lost = 0
        with self._changed:
            while len(self._drafts) > self._limit:
                start, length = self._run()
                if length < 2:
                    number = max(1, self._limit // 10)
                    lost += sum(self._pop() for _ in range(number))
                    continue
                self._fold(start, length)
        return lost

    def _pop(self) -> int:
        """Take out the oldest; how many records it is."""
        draft = self._drafts.popleft()
        number = stands_for(draft.record)
        self._count -= number
        self.at_risk -= draft.at_risk
        return number

    def _run(self) -> tuple[int, int]:
        """Where the first stretch of foldable drafts begins, and its length (at most half the limit)."""
        start = length = sums = 0
        for place, draft in enumerate(self._drafts):
            foldable, more = draft.uptime is None and can_fold(draft.record), _sums(draft.record)
            if foldable and sums + more <= _MOST_SUMS:
                length, sums = length + 1, sums + more
                if length >= max(2, self._limit // 2):
                    break
            elif length >= 2:
                break
            else:
                start, length, sums = (place, 1, more) if foldable else (place + 1, 0, 0)
        return start, length

    def _fold(self, start: int, length: int) -> None:
        drafts = list(islice(self._drafts, start, start + length))
        records: list[Record] = []
        number = 0
        for draft in drafts:
            records.append(renumbered(draft.record, number))
            number = records[-1].seq
        many = sum(_sums(each) for each in records if isinstance(each, Tally)) > _MANY_SUMS
        marks = dict(mark for draft in drafts for mark in draft.marks)
        at_risk = sum(draft.at_risk for draft in drafts)
        tally = Draft(fold(records, 900 if many else 60), None, drafts[0].appended, tuple(marks.items()), at_risk)
        rest = list(self._drafts)
        rest[start : start + length] = [tally]
        self._drafts = deque(rest)


def _sums(record: Record) -> int:
    """How many sums it can add to a tally, at most."""
    return len(record.crossings) + len(record.coverage) if isinstance(record, Tally) else 1
