"""Whose turn it is to use the processor, when cameras want more of it than there is.

What is shared is time and not frames: turn by turn, one camera with a slow detector would hold all others to its own
pace. So a step is one turn, about as many turns run at once as there are processors, and the next goes to the camera
that has had the least time for its weight; cameras of one kind then look at equally many frames, and a slow one at
fewer, while the others get all they need. A camera that was idle brings no credit with it, and one that never comes
back from its turn (a driver may hang) stops nobody.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

#: A turn longer than this is no longer waited for (seconds).
PATIENCE_S: Final = 10.0


def processors() -> int:
    """How many this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return max(1, os.cpu_count() or 1)


class Member:
    """One camera at the gate."""

    def __init__(self, gate: "FairGate", order: int, weight: float) -> None:
        self._gate = gate
        self.order = order
        self.weight = weight
        #: Time had, for its weight (seconds); what was missed while idle is counted as had.
        self.had = 0.0
        self.since = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it."""
        self._gate.enter(self)
        try:
            yield
        finally:
            self._gate.leave(self)


class FairGate:
    """Lets so many through at once, in shares of time. A member takes one turn at a time.

    Args:
        slots: how many turns may run at once; one more than there are processors when left out, for one of those that
            run mostly waits for the interpreter.
        patience_s: a turn longer than this no longer takes a slot.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        slots: int | None = None,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = slots or processors() + 1
        self._patience_s = patience_s
        self._clock = clock
        self._changed = threading.Condition()
        self._members = 0
        self._running: set[Member] = set()
        self._waiting: set[Member] = set()
        self._now = 0.0

    def member(self, weight: float = 1.0) -> Member:
        """Another camera; one of twice the weight gets twice the time where there is too little for all."""
        with self._changed:
            self._members += 1
            return Member(self, self._members, weight)

    def enter(self, member: Member) -> None:
        """Wait until it is the member's turn; `Member.turn` does this."""
        with self._changed:
            member.had = max(member.had, self._now)
            self._waiting.add(member)
            try:
                while not self._may_go(member):
                    self._changed.wait(self._patience_s)
            finally:
                self._waiting.discard(member)
            self._running.add(member)
            self._now = max(self._now, member.had)
            member.since = self._clock()
            if self._waiting:
                self._changed.notify_all()

    def leave(self, member: Member) -> None:
        """The member's turn is over; `Member.turn` does this."""
        with self._changed:
            self._running.discard(member)
            # What it hung for beyond our patience nobody waited for, and it is not made to pay for that.
            member.had += min(self._clock() - member.since, self._patience_s) / member.weight
            if self._waiting:
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        with self._changed:
            return len(self._waiting)

    def _may_go(self, member: Member) -> bool:
        oldest = self._clock() - self._patience_s
        if sum(each.since >= oldest for each in self._running) >= self._slots:
            return False
        return all((member.had, member.order) <= (each.had, each.order) for each in self._waiting)
