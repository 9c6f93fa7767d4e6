"""What time does to points: pending ones can be spent once the return window has closed, old ones expire.

Nobody's redemption depends on this having run: `Purse.settle` does the same for one member before anything is spent.
The run keeps balances, lists and the report of what is owed true for those who don't come.
"""

from threading import Event as Flag
from typing import Final

from server.clock import Clock, utc_now
from server.membership.points import expiry_repository, repository
from server.storage.pool import Database

#: Members whose accounts one transaction holds.
BATCH: Final = 5_000
ACTOR: Final = "expiry"


class Expiry:
    """Releases and lets expire whatever is due.

    Args:
        batch: members whose accounts one transaction holds.
    """

    def __init__(self, db: Database, clock: Clock = utc_now, batch: int = BATCH) -> None:
        self._db = db
        self._clock = clock
        self._batch = batch

    def run(self, stop: Flag) -> str | None:
        """Do what is due until none is left or told to stop; what was done, None if nothing.

        Raises:
            Unavailable: the database is away; what was done stands, and the next run goes on.
        """
        now = self._clock()
        with self._db.read() as conn:
            due = expiry_repository.due(conn, now)
        released = expired = 0
        for start in range(0, len(due), self._batch):
            if stop.is_set():
                break
            with self._db.transaction() as conn:
                clear, owing = expiry_repository.hold(conn, due[start : start + self._batch])
                released += expiry_repository.release(conn, clear, now, ACTOR)
                expired += expiry_repository.expire(conn, clear, now, ACTOR)
                if not owing:
                    continue
                purses = repository.hold(conn, owing)
                repository.load_lots(conn, list(purses.values()))
                for purse in purses.values():
                    purse.settle(now, ACTOR)
                    released += sum(each.kind == "release" for each in purse.bookings)
                    expired += sum(each.kind == "expire" for each in purse.bookings)
                repository.write(conn, purses.values())
        if not released and not expired:
            return None
        return f"{released} lots can be spent now, {expired} expired"
