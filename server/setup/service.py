"""Says which steps of a chain's first hour are done, by looking at what is there and not at what somebody ticked.

Whoever sets a chain up is interrupted, and some of it is done on the command line; so no step remembers that it was
walked through. A step is done when what it is for has happened: a box is heard and not only added, a camera is seen by
its box, somebody was counted.
"""

from dataclasses import dataclass
from typing import Final, Literal

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.setup import repository
from server.setup.repository import Progress
from server.storage.pool import Database

Step = Literal["store", "box", "camera", "line", "receipts", "count"]
#: In the order of dependence; receipts may come at any time.
STEPS: Final[tuple[Step, ...]] = ("store", "box", "camera", "line", "receipts", "count")


@dataclass(frozen=True, slots=True)
class FirstHour:
    """How far a chain is.

    Attributes:
        done: the steps whose purpose is fulfilled.
        begun: those of which the first half is there, such as a box that was added and not heard yet.
        is_closed: an administrator put the guide away.
    """

    progress: Progress
    done: frozenset[Step]
    begun: frozenset[Step]
    is_closed: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.done) == len(STEPS)

    @property
    def is_shown(self) -> bool:
        """Whether an administrator's day begins with it."""
        return not self.is_over and not self.is_closed

    @property
    def next(self) -> Step | None:
        """The first step that is not done."""
        return next((step for step in STEPS if step not in self.done), None)


class SetupService:
    """The first hour of a chain."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def first_hour(self, scope: Scope) -> FirstHour:
        """How far the chain is.

        Raises:
            Forbidden: unless an admin asks.
        """
        scope.require_role("admin")
        with self._db.read() as conn:
            return judged(repository.progress(conn, scope), is_closed=repository.is_closed(conn))

    def close(self, scope: Scope) -> None:
        """Put the guide away, done or not.

        Raises:
            Forbidden: unless an admin asks.
        """
        scope.require_role("admin")
        now = self._clock()
        with self._db.transaction() as conn:
            repository.close(conn, scope.actor, now)
            audit.record(conn, now, scope.actor, "setup.close")

    def open_again(self, scope: Scope) -> None:
        """Take it out again.

        Raises:
            Forbidden: unless an admin asks.
        """
        scope.require_role("admin")
        with self._db.transaction() as conn:
            repository.open_again(conn)
            audit.record(conn, self._clock(), scope.actor, "setup.open")


def judged(found: Progress | None, *, is_closed: bool) -> FirstHour:
    """Which steps are done, by what there is. Pure."""
    told = found or Progress()
    done: dict[Step, bool] = {
        "store": told.store_id is not None,
        "box": told.box_heard,
        "camera": told.camera_watched,
        "line": told.has_line and told.line_set,
        "receipts": told.has_receipt,
        "count": told.has_crossing,
    }
    begun: dict[Step, bool] = {"box": told.has_box, "camera": told.has_camera, "line": told.has_line}
    return FirstHour(
        told,
        frozenset(step for step, is_done in done.items() if is_done),
        frozenset(step for step, has_begun in begun.items() if has_begun and not done[step]),
        is_closed,
    )
