"""A file's columns with what each is taken for, to be put right by hand.

What a column is taken for stands above its own cells, because a header misleads: whether 金额 is the line's or the
whole receipt's is told by the numbers below it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

from server.errors import DoorlineError
from server.files.sheets import Sheet, open_sheet

_SAMPLES: Final = 6
#: A cell shows its beginning.
_LONGEST: Final = 40
#: Finds our columns in a header; raises DoorlineError for a mapping that can't be.
Recognise = Callable[[Sequence[str], dict[str, str]], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file: what it is called, what it is taken for, and its first cells."""

    header: str
    ours: str
    samples: list[str]


@dataclass(frozen=True, slots=True)
class Mapped:
    """The columns of a file.

    Attributes:
        depth: rows of samples.
    """

    columns: list[Column]
    depth: int


def mapped(
    stream: BinaryIO,
    mapping: dict[str, str],
    recognise: Recognise,
    *,
    header_row: int = 1,
    sheet: str = "",
    decimal_comma: bool | None = None,
) -> Mapped:
    """The columns of a file as a mapping and common headers have it.

    Raises:
        InvalidInput, TooLarge: the file can't be read as a whole.
    """
    opened: Sheet = open_sheet(stream, header_row=header_row, name=sheet, decimal_comma=decimal_comma)
    rows = [row.cells for row in islice(opened.rows(), _SAMPLES)]
    try:
        found = recognise(opened.header, mapping)
    except DoorlineError:
        # A saved mapping of another till: what it names isn't there, and the person at hand sees what is.
        found = recognise(opened.header, {})
    ours = {place: name for name, place in found.items()}
    return Mapped(
        [
            Column(header, ours.get(place, ""), [_shown(row, place) for row in rows])
            for place, header in enumerate(opened.header)
        ],
        len(rows),
    )


def explicit(said: Mapping[str, str], headers: Sequence[str], recognise: Recognise) -> dict[str, str]:
    """A mapping that leaves nothing to be recognised: what was said, and of everything else that would be found by
    itself that the file has none of it."""
    return {**dict.fromkeys(recognise(headers, {}), ""), **said}


def _shown(row: Sequence[str], place: int) -> str:
    text = row[place] if place < len(row) else ""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
