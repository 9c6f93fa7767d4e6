"""One moment for all that a page reads: its services share one read-only transaction, and it knows one time.

A page asks many services, and each of them opens a read of its own. Read apart, its numbers are of as many moments: a
receipt that comes in between stands in the day's sales and not in the week's, and most of the time goes into
transactions. Within `one_moment` the first read of each database begins a transaction and the others are given the
same; what was looked up may be remembered, for it can't change. The trap avoided is a bound connection that leaks: into
another thread, which would use it after it was given back, or into a write, which must never be part of a snapshot that
is read. So a moment is its thread's alone, and a write within it is refused (ADR 37).
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from server.clock import Clock
from server.errors import Unavailable

Connection = psycopg.Connection[TupleRow]
_Found = TypeVar("_Found")
_Key = TypeVar("_Key", bound=Hashable)
#: Stands for what was looked for and is not there.
_NOTHING: Final = object()


class _Moment:
    """What one block has opened and found out.

    Args:
        stack: whatever is put on it ends with the block.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.thread = threading.get_ident()
        self._stack = stack
        self._connections: dict[object, Connection] = {}
        self._found: dict[Hashable, Any] = {}

    def connection(self, of: object, begin: Callable[[], AbstractContextManager[Connection]]) -> Connection:
        """The connection on which `of` is read, in a transaction that was begun here or before."""
        if of not in self._connections:
            self._connections[of] = self._stack.enter_context(begin())
        connection = self._connections[of]
        if connection.closed or connection.info.transaction_status == TransactionStatus.INERROR:
            # To go on in another transaction would be to tell of two moments as if they were one.
            raise Unavailable("a read of this page broke off, and what it has read can't be gone on with")
        return connection

    def recalled(self, keys: Sequence[_Key], find: Callable[[list[_Key]], Mapping[_Key, _Found]]) -> dict[_Key, _Found]:
        """What was found for the keys, `find` being asked for those alone that were never asked for."""
        if unknown := [key for key in keys if key not in self._found]:
            found = find(unknown)
            self._found |= {key: found.get(key, _NOTHING) for key in unknown}
        return {key: self._found[key] for key in keys if self._found[key] is not _NOTHING}


_CURRENT: Final[ContextVar[_Moment | None]] = ContextVar("moment", default=None)


@contextmanager
def one_moment() -> Iterator[None]:
    """Read all that is read in the block from one read-only transaction of each database; no write may happen in it.

    Read in it what a page shows and leave it before anything is written out: nobody's slow line may hold a transaction
    open. A block within a block is part of it. Also a decorator, of functions that are not asynchronous.

    Raises:
        Unavailable: the database was lost before the transaction came to its end.
    """
    if current() is not None:
        yield
        return
    with ExitStack() as stack:
        token = _CURRENT.set(_Moment(stack))
        try:
            yield
        finally:
            _CURRENT.reset(token)


def current() -> _Moment | None:
    """The moment this thread is reading, if it is."""
    moment = _CURRENT.get()
    # Work that is handed to another thread takes its context along, and is read there by itself.
    return moment if moment is not None and moment.thread == threading.get_ident() else None


def recalled(keys: Sequence[_Key], find: Callable[[list[_Key]], Mapping[_Key, _Found]]) -> dict[_Key, _Found]:
    """What there is for some keys, each looked for once within a moment; outside of one, each time anew.

    Args:
        keys: each names what is found, where and for whom: something of the caller's own, the database or connection,
            and whatever the answer depends on, the scope included.
        find: given those that are not known yet, gives what there is of them; nobody may change it afterwards.
    """
    moment = current()
    return dict(find(list(keys))) if moment is None else moment.recalled(keys, find)


def remembered(key: Hashable, find: Callable[[], _Found]) -> _Found:
    """The same of one key, of which there is something."""
    return recalled([key], lambda _: {key: find()})[key]


def still(clock: Clock) -> Clock:
    """The same clock, which stands still within a moment, so that all that is told then is told up to the same time."""

    def now() -> datetime:
        return remembered(now, clock)

    return now
