"""Files of rows, read from end to end without ever being held: CSV and XLSX.

A workbook is read by openpyxl in its read-only mode: it takes 51 MB whatever the number of rows, and its texts where
they stand in a part of their own (so that is bounded, see `unpacking`); calamine, which is twelve times as fast, holds
the whole sheet (107 MB for 100,000 rows, rising with each). Numbers and dates come from
its cells as what they are and are written as a till would write them, so that both kinds of files are read by the same
rules; a float is taken as the up to 15 digits Excel shows, because 0.1 + 0.2 is 0.3 to whoever made the sheet.
"""

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Any, BinaryIO, Final, Protocol, cast

import msgspec

from server.errors import InvalidInput
from server.files.corrections import is_correction, restored
from server.files.text import delimiter_of, encoding_of
from server.files.unpacking import MOST_UNPACKED, check_unpacked

#: A gigabyte without a line break is no header and must not be held as one.
_LONGEST_HEADER: Final = 100_000
_ZIP: Final = b"PK\x03\x04"
_NOT_XLSX: Final = "save it as .xlsx or as CSV"


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row with its number in the file, from 1."""

    line: int
    cells: list[str]


class Sheet(Protocol):
    """A file of rows under a header.

    Attributes:
        header: names of its columns.
        delimiter: between the columns of what is written about it.
        encoding: what it was read in, such as ``gb18030`` or ``xlsx``.
        comma: whether 1,50 is one and a half.
        size: bytes of the file.
        done: bytes read so far, about.
    """

    header: list[str]
    delimiter: str
    encoding: str
    comma: bool
    size: int

    @property
    def done(self) -> int:
        """Bytes read so far, about."""

    def rows(self) -> Iterator[Row]:
        """Rows that are not empty; once.

        Raises:
            InvalidInput: the file can't be read on.
        """


def open_sheet(
    stream: BinaryIO,
    *,
    header_row: int = 1,
    name: str = "",
    decimal_comma: bool | None = None,
    most_unpacked: int = MOST_UNPACKED,
) -> Sheet:
    """A file as a sheet; which kind it is, it says itself by its first bytes.

    Rows that were sent back to be corrected come as they were before (`corrections`), whatever was said of where the
    till's own files have their header: those of ours have it on top, on the first sheet.

    Args:
        stream: seekable.
        header_row: from 1: what stands above is skipped.
        name: of the sheet of a workbook; empty: the first.
        decimal_comma: whether 1,50 is one and a half; None: where columns are parted by semicolons.
        most_unpacked: what a workbook may unpack to (bytes).

    Raises:
        InvalidInput: it can't be read as a whole.
        TooLarge: a workbook that unpacks to more than anybody sends.
    """
    is_plain = header_row == 1 and not name
    try:
        sheet = _sheet(stream, 1, "", decimal_comma, most_unpacked)
    except InvalidInput:
        # What stands above a header, or on a sheet nobody asked for, may be anything.
        if is_plain:
            raise
    else:
        if is_correction(sheet.header):
            return CorrectedSheet(sheet)
        if is_plain:
            return sheet
    return _sheet(stream, header_row, name, decimal_comma, most_unpacked)


def _sheet(stream: BinaryIO, header_row: int, name: str, decimal_comma: bool | None, most_unpacked: int) -> Sheet:
    stream.seek(0)
    head = stream.read(len(_ZIP))
    stream.seek(0)
    if head == _ZIP:
        return XlsxSheet(stream, header_row, name, decimal_comma=bool(decimal_comma), most_unpacked=most_unpacked)
    return CsvSheet(stream, header_row, decimal_comma=decimal_comma)


class CorrectedSheet:
    """A sheet of rows to correct, come back: its cells are those of the file the rows were first in."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.header = [restored(name) for name in sheet.header]
        self.delimiter = sheet.delimiter
        self.encoding = sheet.encoding
        self.comma = sheet.comma
        self.size = sheet.size

    @property
    def done(self) -> int:
        """Bytes read so far, about."""
        return self._sheet.done

    def rows(self) -> Iterator[Row]:
        """Rows that are not empty."""
        return (Row(row.line, [restored(cell) for cell in row.cells]) for row in self._sheet.rows())


class CsvSheet:
    """A CSV file, in whichever of the encodings tills use."""

    def __init__(self, stream: BinaryIO, header_row: int, *, decimal_comma: bool | None) -> None:
        self.encoding = encoding_of(stream)
        self.size = _size(stream)
        self._borrowed = _Borrowed(stream)
        text = io.TextIOWrapper(io.BufferedReader(self._borrowed, 1 << 16), self.encoding, newline="")
        self._above = header_row
        for _ in range(header_row - 1):
            text.readline(_LONGEST_HEADER)
        header = text.readline(_LONGEST_HEADER)
        if len(header) == _LONGEST_HEADER:
            raise InvalidInput(
                f"the header is longer than {_LONGEST_HEADER:,} characters", field="file", remedy="save it as CSV"
            )
        self.delimiter = delimiter_of(header)
        self.comma = self.delimiter == ";" if decimal_comma is None else decimal_comma
        self.header = [name.strip() for name in next(csv.reader([header], delimiter=self.delimiter), [])]
        self._reader = csv.reader(text, delimiter=self.delimiter)

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._borrowed.taken

    def rows(self) -> Iterator[Row]:
        """Rows that are not empty."""
        first = self._above + 1
        reader = self._reader
        try:
            for cells in reader:
                if cells and (cells[0].strip() or any(cell.strip() for cell in cells)):
                    yield Row(first, cells)
                first = self._above + 1 + reader.line_num
        except csv.Error as error:
            raise InvalidInput(
                f"line {first} can't be read: {error}", field="file", remedy="look for a quotation mark without its end"
            ) from error


class XlsxSheet:
    """A sheet of a workbook, cell by cell."""

    def __init__(
        self, stream: BinaryIO, header_row: int, name: str, *, decimal_comma: bool, most_unpacked: int
    ) -> None:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

        self.encoding = "xlsx"
        self.delimiter = ","
        self.comma = decimal_comma
        self.size = _size(stream)
        try:
            with zipfile.ZipFile(stream) as packed:
                check_unpacked(packed, most_unpacked)
            stream.seek(0)
            book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError) as error:
            raise InvalidInput(f"the workbook can't be read: {error}", field="file", remedy=_NOT_XLSX) from error
        if name and name not in book.sheetnames:
            there = ", ".join(book.sheetnames)
            raise InvalidInput(f"the workbook has no sheet {name!r}", field="sheet", remedy=f"it has {there}")
        sheet = book[name] if name else book.worksheets[0]
        # What a program wrote into a file as its extent may be wrong, and openpyxl would stop there.
        sheet.reset_dimensions()
        self._line = header_row
        self._cells: Iterator[Sequence[Any]] = sheet.iter_rows(min_row=header_row, values_only=True)
        self.header = [_written(cell).strip() for cell in next(self._cells, ())]
        while self.header and not self.header[-1]:
            self.header.pop()
        # Where its rows stand in the packed file is openpyxl's secret; so progress goes by rows alone.
        self._rows = 0

    @property
    def done(self) -> int:
        """Nothing until the end: a packed file doesn't say how far it was read."""
        return 0

    def rows(self) -> Iterator[Row]:
        """Rows that are not empty."""
        try:
            for cells in self._cells:
                self._line += 1
                written = [_written(cell) for cell in cells]
                if any(written):
                    yield Row(self._line, written)
        except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError, EOFError) as error:
            raise InvalidInput(
                f"row {self._line + 1} can't be read: {error}", field="file", remedy="save the workbook again"
            ) from error


def _written(value: object) -> str:
    """A cell as a till would write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = format(value, ".15g")
        return format(int(value), "d") if "e" in text and value.is_integer() else text
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") if value.microsecond == 0 else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return _BREAKS.sub(" ", str(value))


_BREAKS: Final = re.compile(r"[\r\n\t]+")


def _size(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


class _Borrowed(io.RawIOBase):
    """A stream that TextIOWrapper may close without closing the caller's; it says how much was taken of it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.taken += len(data)
        return len(data)
