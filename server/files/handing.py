"""Handing Python over quickly between a thread that works and one that waits for the database.

Python is run by one thread at a time, and who works keeps it for 5 ms unless it has to wait itself. Whoever talks to a
database lets go of it at each word and gets it back 5 ms later: a slice of a file is some sixty words, after each of
which the database has nothing to do. Asked back after a tenth of that, it costs the thread that works next to nothing
and the database is kept busy.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds after which a thread that works is asked to let another have its turn.
QUICK: Final = 5e-4

_lock = threading.Lock()
_under_way = 0
_usual = 0.0


@contextmanager
def handed_over_quickly() -> Iterator[None]:
    """Hand Python over quickly during the block; as before once the last of such blocks, in any thread, has ended."""
    global _under_way, _usual
    with _lock:
        if not _under_way:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(QUICK, _usual))
        _under_way += 1
    try:
        yield
    finally:
        with _lock:
            _under_way -= 1
            if not _under_way:
                sys.setswitchinterval(_usual)
