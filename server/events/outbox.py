"""Events are recorded in the writer's transaction and taken in the consumer's.

The trap of every outbox read by a rising number: numbers are given out in the order of asking, so a slow transaction
commits a low one after its reader has passed it, and the event is never seen. Events are therefore read in the order of
transactions, and only those of transactions before the oldest that is still under way. One that takes long holds all
events back for as long as it runs, also those of other databases of the same server; it delays, and loses nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import chain, islice
from typing import Final, LiteralString

from server.events import repository
from server.events.models import Event, Lag, NewEvent
from server.storage.pool import Connection

#: From so many on a statement of their own costs less than their arrays.
_MANY: Final = 100


def record(conn: Connection, event: NewEvent) -> None:
    """Say that something happens.

    Args:
        conn: the transaction in which it happens: the event is there if and only if that commits.
    """
    record_all(conn, [event])


def record_all(conn: Connection, events: Iterable[NewEvent]) -> None:
    """Say that several things happen, in this order; as `record`, by one write."""
    left = iter(events)
    some = list(islice(left, _MANY))
    if not some:
        return
    # Many are written as they are put together: a batch of bodies is never held.
    write = partial(repository.insert, conn, some)
    if len(some) == _MANY:
        write = partial(repository.copy, conn, chain(some, left))
    if not write():
        repository.begin_life(conn)
        write()


def record_selected(conn: Connection, query: LiteralString, params: Mapping[str, object]) -> int:
    """Record what a query of the caller's says happens, without fetching it.

    Args:
        conn: the transaction in which it happens.
        query: gives kind, store_id, subject, body (jsonb), in the order to be told.
        params: of the query, by name.

    Returns:
        How many events.
    """
    _settle(conn)
    return repository.insert_selected(conn, query, params)


def take(conn: Connection, consumer: str, kinds: Collection[str], limit: int) -> list[Event]:
    """The next events for a consumer, which is moved past them in the caller's transaction.

    What the caller writes and that the events were taken is one commit: if it is rolled back, they come again. A
    consumer seen for the first time begins with the oldest event that is kept.

    Args:
        conn: a transaction, READ COMMITTED.
        consumer: its name, such as ``points``; two processes under one name take turns.
        kinds: the only ones it wants; it passes the others.
        limit: the most to take.

    Returns:
        In commit-safe order; empty when there is nothing, or when somebody else is at it.
    """
    cursor = repository.lock_cursor(conn, consumer)
    if cursor is None:
        return []
    _settle(conn)
    events, passed = repository.after(conn, cursor, sorted(kinds), limit)
    repository.move(conn, consumer, passed)
    return events


def forget(conn: Connection, consumer: str) -> bool:
    """Give up a consumer that is no more, so that events need not be kept for it; False when there is none."""
    return repository.delete_cursor(conn, consumer)


def lags(conn: Connection) -> list[Lag]:
    """How far each consumer is behind, by name."""
    return repository.lags(conn)


def _settle(conn: Connection) -> None:
    if not repository.is_at_home(conn):
        repository.begin_life(conn)
