"""Rows as the text COPY takes, for whoever writes many at once.

psycopg's own way of handing rows to COPY adapts them cell by cell in Python; where the digits of a price are its text
already, putting a row together as text costs a fraction of that. The trap is the four signs that mean something there.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final, LiteralString

from server.storage.pool import Connection

#: How COPY writes that there is nothing.
NULL: Final = "\\N"
#: Rows that are handed over at a time.
_AT_ONCE: Final = 1_000
_SIGNS: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def cell(text: str) -> str:
    """A text as a cell."""
    return text if text.isalnum() else text.translate(_SIGNS)


def cell_or_null(text: str | None) -> str:
    """A text as a cell, or that there is none."""
    return NULL if text is None else cell(text)


def printed(text: str) -> str:
    """A text without control characters (JSON as msgspec writes it, what was checked to be printable) as a cell."""
    return text.replace("\\", "\\\\") if "\\" in text else text


def copy_rows(conn: Connection, statement: LiteralString, rows: Iterable[str]) -> None:
    """Write rows.

    Args:
        statement: ``COPY ... FROM STDIN``, in text format.
        rows: cells parted by tabs, each row with a line feed at its end; an element may be several rows, or none.
    """
    left = iter(rows)
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        while some := list(islice(left, _AT_ONCE)):
            copy.write("".join(some))
