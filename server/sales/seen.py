"""Which receipt numbers came in a file.

A set of a few million numbers would be the one thing of an import that grows with its file; so they go into a database
without a name, which SQLite moves to the disk when it grows and then forgets. A slice at a time in one statement: each
statement lets go of Python's lock, and to get that back from the thread that writes costs more than the looking up.
"""

import json
import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Self


class Seen:
    """Numbers that came so far. To be closed."""

    def __init__(self) -> None:
        # A file is read in one thread and may be let go in another.
        self._numbers = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._numbers.execute("PRAGMA journal_mode = OFF")
        self._numbers.execute("CREATE TABLE seen (number TEXT PRIMARY KEY) WITHOUT ROWID")
        self._numbers.execute("BEGIN")

    def again(self, numbers: Sequence[str]) -> set[int]:
        """Places of those that came before, in the sequence or in one given earlier; all have come then."""
        firsts: dict[str, int] = {}
        repeated = {place for place, number in enumerate(numbers) if firsts.setdefault(number, place) != place}
        # Escaped, so that half of a character from a broken file is no matter.
        text = json.dumps(list(firsts))
        known = self._numbers.execute(
            "SELECT value FROM json_each(?) JOIN seen ON seen.number = value", (text,)
        ).fetchall()
        self._numbers.execute("INSERT OR IGNORE INTO seen SELECT value FROM json_each(?)", (text,))
        return repeated | {firsts[number] for (number,) in known}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._numbers.close()
