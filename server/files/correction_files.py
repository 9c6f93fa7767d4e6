"""Rows that were not taken, as a file of the kind they came in: who sends a workbook corrects a workbook.

As with CSV (`corrections`) a cell that begins as a formula has an apostrophe in front: here nothing runs a text, but it
would as soon as somebody edits the cell or saves the sheet as CSV. What is plainly a number stands as one, so that sums
can be made; all else is text, or a receipt number would lose its noughts and a date turn into what the reader's Excel
thinks of it. Rows go to the disk as they come: the memory of a million is that of one.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Final, Literal

from server.errors import TooLarge
from server.files.corrections import MARKS, Wrong, corrections, kept_places, neutral

FileKind = Literal["csv", "xlsx"]
#: As what they are sent.
MEDIA_TYPES: Final[Mapping[FileKind, str]] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

#: What a workbook gives back as the very text it was: Excel has fifteen digits, and writes no nought at either end.
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*[1-9])?")
_DIGITS: Final = 15
#: The most a cell holds.
_LONGEST: Final = 32_767
#: Rows of a sheet below its header; what is written beyond is dropped without a word.
MOST_ROWS: Final = 1_048_575
_BLOCK: Final = 1 << 16
_WIDE: Final = 18
_WIDEST: Final = 60


def kind_of(is_workbook: bool) -> FileKind:
    """What goes back for what came."""
    return "xlsx" if is_workbook else "csv"


def correction_file(kind: FileKind, header: Sequence[str], delimiter: str, rows: Iterable[Wrong]) -> Iterator[bytes]:
    """The file, piece by piece.

    Args:
        header: as of `corrections`.
        delimiter: between the columns of CSV.
    """
    return correction_book(header, rows) if kind == "xlsx" else corrections(header, delimiter, rows)


def correction_book(header: Sequence[str], rows: Iterable[Wrong]) -> Iterator[bytes]:
    """The workbook, piece by piece; it is whole on the disk before the first piece is given.

    Args:
        header: as of `corrections`.

    Raises:
        TooLarge: there are more rows than a sheet holds; nothing was given yet.
    """
    with tempfile.TemporaryFile() as file:
        _write(file, header, rows)
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block


def _write(file: IO[bytes], header: Sequence[str], rows: Iterable[Wrong]) -> None:
    # Imported here: nobody else of those who read files needs it, and it takes a while.
    from xlsxwriter import Workbook

    places = kept_places(header)
    with Workbook(file, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("corrections")
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(places) + 1, _WIDE)
        sheet.set_column(len(places) + 2, len(places) + len(MARKS) - 1, _WIDEST)
        bold = book.add_format({"bold": True})
        names = [*[neutral(header[place]) for place in places], *MARKS]
        for column, name in enumerate(names):
            sheet.write_string(0, column, name[:_LONGEST], bold)
        for number, row in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise TooLarge(f"a sheet holds {MOST_ROWS:,} rows, and there are more", remedy="take them as CSV")
            cells = [row.cells[place] if place < len(row.cells) else "" for place in places]
            for column, cell in enumerate([*cells, str(row.line), row.field, row.reason, row.remedy]):
                if _is_number(cell):
                    sheet.write_number(number, column, float(cell))
                elif cell:
                    sheet.write_string(number, column, neutral(cell)[:_LONGEST])


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None and cell != "-0" and sum(map(str.isdigit, cell)) <= _DIGITS
