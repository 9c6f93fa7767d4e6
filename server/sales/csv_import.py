"""Receipts out of a CSV file, row by row, without holding the file.

Rows that follow one another with the same number are the lines of one receipt. A number that comes back later in the
file would look like a conflict with itself, so it is refused with the advice to sort.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO, Final, cast

from server.errors import InvalidInput
from server.sales.csv_format import (
    CHANNELS,
    KINDS,
    columns_of,
    decimal_of,
    delimiter_of,
    encoding_of,
    time_of,
)
from server.sales.models import (
    Channel,
    ImportResult,
    Kind,
    MemberOf,
    NewLine,
    NewReceipt,
    PostResult,
    Problem,
    RowError,
)
from server.stores.calendar import StoreCalendar

#: Our column names to the headers of a file.
Mapping = dict[str, str]

_MOST_ERRORS: Final = 1_000
#: A gigabyte without a line break is no header and must not be held as one.
_LONGEST_HEADER: Final = 100_000
_LINE: Final = re.compile(r"lines\[(\d+)\].*")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


class _BadCell(ValueError):
    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.remedy = remedy


class CsvReceipts:
    """The receipts of a file: iterating gives (first line, receipt), or the errors of one that can't be read.

    Attributes:
        rows: data rows read so far.
        encoding: what it was read in.

    Raises:
        InvalidInput: for a file that can't be read as a whole.
    """

    def __init__(self, stream: BinaryIO, store_id: str, calendar: StoreCalendar, mapping: Mapping) -> None:
        self.rows = 0
        self.encoding = encoding_of(stream)
        self._store_id = store_id
        self._calendar = calendar
        text = io.TextIOWrapper(io.BufferedReader(_Borrowed(stream)), self.encoding, newline="")
        header = text.readline(_LONGEST_HEADER)
        if len(header) == _LONGEST_HEADER:
            raise InvalidInput(
                f"the header is longer than {_LONGEST_HEADER:,} characters", field="file", remedy="save it as CSV"
            )
        self._delimiter = delimiter_of(header)
        names = next(csv.reader([header], delimiter=self._delimiter), [])
        self._columns = columns_of([name.strip() for name in names], mapping)
        self._width = len(names)
        self._reader = csv.reader(text, delimiter=self._delimiter)
        self._seen: set[str] = set()

    def __iter__(self) -> Iterator[tuple[int, NewReceipt] | list[RowError]]:
        group: list[_Row] = []
        number = ""
        for row in self._data_rows():
            own = self._cell(row, "receipt_no")
            if group and own != number:
                yield self._receipt(number, group)
                group = []
            number = own
            group.append(row)
        if group:
            yield self._receipt(number, group)

    def _data_rows(self) -> Iterator[_Row]:
        first = 2
        try:
            for cells in self._reader:
                if any(cell.strip() for cell in cells):
                    self.rows += 1
                    yield _Row(first, cells)
                first = self._reader.line_num + 2
        except csv.Error as error:
            raise InvalidInput(
                f"line {first} can't be read: {error}", field="file", remedy="look for a quotation mark without its end"
            ) from error

    def _receipt(self, number: str, group: list[_Row]) -> tuple[int, NewReceipt] | list[RowError]:
        first = group[0]
        if not number:
            return [RowError(row.line, None, "receipt_no", "the receipt number is empty", "give one") for row in group]
        if number in self._seen:
            reason = "this receipt number came earlier in the file, with other rows in between"
            return [RowError(first.line, number, "receipt_no", reason, "sort the file by receipt number")]
        self._seen.add(number)
        errors: list[RowError] = []
        lines: list[NewLine] = []
        for row in group:
            try:
                self._check_width(row)
                line = self._line(row)
                if line is not None:
                    lines.append(line)
            except _BadCell as error:
                errors.append(RowError(row.line, number, error.column, str(error), error.remedy))
        if not errors:
            try:
                return first.line, self._head(number, first, lines)
            except _BadCell as error:
                errors.append(RowError(first.line, number, error.column, str(error), error.remedy))
        return errors

    def _head(self, number: str, row: _Row, lines: list[NewLine]) -> NewReceipt:
        """The receipt; what is said of it as a whole is taken from its first row."""
        written = self._cell(row, "at") or f"{self._cell(row, 'date')} {self._cell(row, 'time')}"
        try:
            at = time_of(written, self._calendar)
        except ValueError as error:
            raise _BadCell("at", str(error), "write it as 2026-11-21 18:30:00") from error
        card, phone = self._cell(row, "member_card"), self._cell(row, "member_phone")
        return NewReceipt(
            store_id=self._store_id,
            receipt_no=number,
            at=at,
            kind=cast("Kind", self._choice(row, "kind", KINDS)),
            channel=cast("Channel", self._choice(row, "channel", CHANNELS)),
            lines=lines,
            gross=self._number(row, "gross"),
            units=self._number(row, "units"),
            currency=self._cell(row, "currency").upper() or None,
            member=MemberOf(card=card or None, phone=None if card else phone) if card or phone else None,
            tender=self._cell(row, "tender"),
            cashier=self._cell(row, "cashier"),
            refers_to=self._cell(row, "refers_to") or None,
        )

    def _line(self, row: _Row) -> NewLine | None:
        """The row's line; None in a file of totals, or in a row without an article (a void, a total)."""
        sku, price = self._cell(row, "sku"), self._number(row, "unit_price")
        if price is None:
            if sku and "unit_price" in self._columns:
                raise _BadCell("unit_price", "the unit price is empty", "give one; 0 for a gift")
            return None
        return NewLine(
            sku=sku,
            unit_price=price,
            quantity=self._number(row, "quantity", Decimal(1)) or Decimal(0),
            discount=self._number(row, "discount", Decimal(0)) or Decimal(0),
            cost=self._number(row, "cost"),
            description=self._cell(row, "description"),
        )

    def _check_width(self, row: _Row) -> None:
        if len(row.cells) > self._width and any(cell.strip() for cell in row.cells[self._width :]):
            raise _BadCell(
                "", f"the row has {len(row.cells)} columns and the header {self._width}", "put quotes around commas"
            )

    def _cell(self, row: _Row, column: str) -> str:
        place = self._columns.get(column)
        return row.cells[place].strip() if place is not None and place < len(row.cells) else ""

    def _number(self, row: _Row, column: str, default: Decimal | None = None) -> Decimal | None:
        text = self._cell(row, column)
        if not text:
            return default
        try:
            return decimal_of(text, comma=self._delimiter == ";")
        except ValueError as error:
            raise _BadCell(column, str(error), "write it with digits and a point, such as 19.90") from error

    def _choice(self, row: _Row, column: str, choices: dict[str, str]) -> str:
        text = self._cell(row, column)
        chosen = choices.get(text.casefold())
        if chosen is None:
            raise _BadCell(
                column, f"{text!r} is not known", f"use one of {', '.join(name for name in choices if name)}"
            )
        return chosen


class _Borrowed(io.RawIOBase):
    """A stream that TextIOWrapper may close without closing the caller's."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class ImportTally:
    """Adds up what became of a file's receipts; keeps the first errors and counts the rest."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self._receipts = self._accepted = self._repeated = self._conflicts = self._rejected = self._count = 0
        self._errors: list[RowError] = []
        self._notes: list[RowError] = []

    def refuse(self, errors: list[RowError]) -> None:
        """A receipt whose rows could not be read."""
        self._receipts += 1
        self._rejected += 1
        for error in errors:
            self._keep(error)

    def add(self, result: PostResult, rows: int) -> None:
        """A batch; a receipt's index in it is its first line in the file. `rows` are read so far."""
        self._accepted += result.accepted
        self._repeated += result.repeated
        self._conflicts += len(result.conflicts)
        self._rejected += len(result.rejected)
        self._receipts += result.accepted + result.repeated + len(result.conflicts) + len(result.rejected)
        for problem in (*result.rejected, *result.conflicts):
            self._keep(_row_error(problem))
        self._notes.extend(_row_error(note) for note in result.notes[: _MOST_ERRORS - len(self._notes)])
        if self._progress is not None:
            self._progress(rows)

    def result(self, rows: int, encoding: str, *, dry_run: bool) -> ImportResult:
        """The sum."""
        return ImportResult(
            rows=rows,
            receipts=self._receipts,
            accepted=self._accepted,
            repeated=self._repeated,
            conflicts=self._conflicts,
            rejected=self._rejected,
            error_count=self._count,
            errors=sorted(self._errors, key=lambda error: error.line),
            notes=self._notes,
            dry_run=dry_run,
            encoding=encoding,
        )

    def _keep(self, error: RowError) -> None:
        self._count += 1
        if len(self._errors) < _MOST_ERRORS:
            self._errors.append(error)


def _row_error(problem: Problem) -> RowError:
    """In a file a receipt's index is its first line; its lines follow one a row."""
    within = _LINE.fullmatch(problem.field or "")
    line = problem.index + (int(within[1]) if within else 0)
    return RowError(line, problem.receipt_no, problem.field, problem.reason, problem.remedy)
