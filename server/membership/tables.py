"""Rows of a file of members: CSV as spreadsheets write it in China and in Europe, or a workbook.

Read row by row and never held; what a cell says is text, as a person sees it: a phone number that a spreadsheet took
for a number has no `.0` behind it.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, BinaryIO, Final, cast

from server.errors import InvalidInput

_ZIP: Final = b"PK\x03\x04"
_LONGEST_CELL: Final = 10_000
_SAMPLE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A row, with its number in the file, from 1."""

    number: int
    cells: list[str]


def lines(stream: BinaryIO) -> Iterator[Line]:
    """All rows of a file, its header first; empty ones are left out.

    Args:
        stream: a seekable file.

    Raises:
        InvalidInput: when it is neither a workbook (.xlsx) nor text in UTF-8 or GB18030.
    """
    start = stream.read(len(_ZIP))
    stream.seek(0)
    rows = _workbook(stream) if start == _ZIP else _text(stream)
    for number, cells in enumerate(rows, start=1):
        told = [cell.strip() for cell in cells]
        if any(told):
            yield Line(number, told)


def _text(stream: BinaryIO) -> Iterator[Sequence[str]]:
    sample = stream.read(_SAMPLE)
    stream.seek(0)
    encoding = _encoding(sample)
    header = sample.decode(encoding, "replace").partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    text = io.TextIOWrapper(stream, encoding, newline="")
    csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from csv.reader(text, delimiter=delimiter, strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the file can't be read on: {error}", field="file", remedy="save it as CSV in UTF-8, or as .xlsx"
        ) from error
    finally:
        text.detach()


def _encoding(sample: bytes) -> str:
    """UTF-8 unless it can't be; a character cut off at the end of the sample is no evidence."""
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:
            return "gb18030"
    return "utf-8-sig"


def _workbook(stream: BinaryIO) -> Iterator[Sequence[str]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book: Any = load_workbook(stream, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise InvalidInput(
            "the workbook can't be read", field="file", remedy="save it as .xlsx again, or as CSV"
        ) from error
    try:
        for row in cast("Iterator[tuple[object, ...]]", book.worksheets[0].iter_rows(values_only=True)):
            yield [_shown(cell) for cell in row]
    finally:
        book.close()


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time().isoformat() == "00:00:00" else cell.isoformat(sep=" ")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
