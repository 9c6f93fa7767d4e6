"""Whose fault it is that batches could not be written, and which of them are let wait for it.

A transaction takes batches of many boxes, so one that the database chokes on stops them all. Most failures name
themselves; two look like a database that is away and are none: a statement that is cut off for its length, and one that
needs more memory or locks than there are. Waiting for those would be waiting for ever, with everybody else in the queue
behind them. The trap is the other way round: a database that takes nothing from anybody (a standby, a read-only one,
one that has run out of transaction numbers) fails in words that seem to be about the batch. So before a batch is
blamed, the database has to show that it can write at all.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import psycopg
from psycopg import errors

from server.errors import Unavailable
from server.ingest import repository
from server.ingest.reading import Batch
from server.storage.pool import Database

#: How long the database may take to show that it can write.
_PROOF_MS: Final = 2000
#: How long a batch that took too long waits until it is tried again.
REST: Final = timedelta(minutes=5)
#: After this nobody remembers it.
_REMEMBERED: Final = timedelta(hours=6)
_MOST_REMEMBERED: Final = 10_000

_OF_A_BATCH: Final = (errors.QueryCanceled, errors.OutOfMemory)
#: A batch's place in its group, and the batch.
Placed = tuple[int, Batch]
Group = list[Placed]


def may_be_of_a_batch(error: Unavailable) -> bool:
    """Whether what was asked for may be why the database could not be used."""
    return isinstance(error.__cause__, _OF_A_BATCH)


def took_too_long(error: BaseException) -> bool:
    """Whether the database cut a statement off."""
    return isinstance(error.__cause__, errors.QueryCanceled)


def require_writable(db: Database) -> None:
    """Nothing, where the database can write what ingest writes.

    Raises:
        Unavailable: it can't, whatever it is asked to write; or not now, because somebody has a table locked.
    """
    try:
        with db.transaction() as connection:
            repository.prove_writable(connection, _PROOF_MS)
    except psycopg.Error as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(f"the database takes nothing from anybody now: {said}") from error


class Suspects:
    """Epochs whose batch took longer than the database is given for it.

    Such a batch comes again and again, and each time costs as long as the database is given. So it rests between two
    trials, is tried by itself, and one of all suspects at a time: however many there are, most of the time is everybody
    else's.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], datetime] = {}
        self._next_trial: datetime | None = None

    def sort_out(self, batches: Sequence[Placed], now: datetime) -> tuple[Group, Placed | None, Group]:
        """The batches to take together, one to be tried by itself if it is time, and those to wait."""
        together: Group = []
        waiting: Group = []
        trial: Placed | None = None
        for placed in batches:
            since = self._known.get(_key(placed[1]))
            if since is None or now - since > _REMEMBERED:
                together.append(placed)
            elif trial is None and now - since >= REST and (self._next_trial is None or now >= self._next_trial):
                trial = placed
            else:
                waiting.append(placed)
        return together, trial, waiting

    def note(self, batch: Batch, now: datetime, took: timedelta) -> None:
        """It took too long: the database gave up after `took`."""
        if len(self._known) >= _MOST_REMEMBERED:
            # Listed first: of a web server's threads another may be adding to it.
            self._known = {key: since for key, since in list(self._known.items()) if now - since < REST}
        self._known[_key(batch)] = now
        self._next_trial = now + 4 * took

    def clear(self, batch: Batch) -> None:
        """It could be written after all."""
        self._known.pop(_key(batch), None)


def _key(batch: Batch) -> tuple[str, str]:
    return batch.envelope.device, batch.envelope.epoch
