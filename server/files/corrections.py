"""Rows that were not taken, as a file that is corrected and sent again: CSV for a spreadsheet, which may not run it.

A cell that begins as a formula would be one in whatever program opens the file, so it gets an apostrophe in front, and
what comes back with our columns in its header loses it again. Other files are read as they are: there an apostrophe may
be meant. What had one in front of such a sign already gets a second, so that each cell comes back as it was; a plain
negative number is harmless and stays as it is.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

#: Columns that say what is wrong; taken for none of ours when the file is sent again.
MARKS: Final = ("doorline_line", "doorline_field", "doorline_reason", "doorline_remedy")
#: Begins as what spreadsheets run, with the signs' wide forms, which some turn into the narrow ones.
_RUN: Final = re.compile(r"['\s]*[=+\-@|＝＋－＠\t\r\n]")
_NUMBER: Final = re.compile(r"-?[0-9]+(?:[.,][0-9]+)*")
_BLOCK: Final = 1 << 16


class Wrong(NamedTuple):
    """A row that was not taken.

    Attributes:
        line: in the file it came in, from 1.
        reason: empty where another row is to blame.
    """

    cells: Sequence[str]
    line: int
    field: str
    reason: str
    remedy: str


def neutral(cell: str) -> str:
    """A cell as text that no spreadsheet runs."""
    return f"'{cell}" if _RUN.match(cell) and not _NUMBER.fullmatch(cell) else cell


def restored(cell: str) -> str:
    """What a cell was before it was made `neutral`."""
    return cell[1:] if cell.startswith("'") and _RUN.match(cell, 1) else cell


def is_correction(header: Sequence[str]) -> bool:
    """Whether a file with this header is one of ours, come back."""
    return set(MARKS) <= set(header)


def kept_places(header: Sequence[str]) -> list[int]:
    """Where the columns stand that a file has of its own: what it said was wrong is said anew."""
    return [place for place, name in enumerate(header) if name not in MARKS]


def corrections(header: Sequence[str], delimiter: str, rows: Iterable[Wrong]) -> Iterator[bytes]:
    """The file, piece by piece: what is wrong stands in columns of its own at the end. UTF-8 with a BOM, without which
    Excel guesses.

    Args:
        header: of the file the rows came in; where that was one of these, what it said was wrong is left out.
    """
    places = kept_places(header)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow([*[neutral(header[place]) for place in places], *MARKS])
    yield b"\xef\xbb\xbf"
    for row in rows:
        cells = [neutral(row.cells[place]) if place < len(row.cells) else "" for place in places]
        writer.writerow([*cells, row.line, row.field, neutral(row.reason), neutral(row.remedy)])
        if out.tell() > _BLOCK:
            yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode()
