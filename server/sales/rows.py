"""From the rows of a till's export to receipts.

Rows that follow one another with the same number are the lines of one receipt. A number that comes back later in the
file would look like a conflict with itself, so it is refused with the advice to sort. Which numbers came is remembered
on disk once there are many: a set of a few million would be the one thing of an import that grows with its file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from server.sales.csv_format import BOOLEANS, CHANNELS, KINDS, columns_of, decimal_of, time_of
from server.sales.formats import TillFormat
from server.sales.models import Channel, Kind, MemberOf, NewLine, NewReceipt, RowError
from server.sales.sheets import Row, Sheet
from server.stores.calendar import StoreCalendar

_NOUGHT: Final = Decimal(0)
_ONE: Final = Decimal(1)
#: Rows one receipt is read to at most; the check of a receipt's lines says what is wrong with it.
_MOST_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Read:
    """The rows of one receipt, and the receipt they make; or what is wrong with them.

    Attributes:
        line_rows: of each of the receipt's lines, its row in the file.
    """

    rows: list[Row]
    number: str
    new: NewReceipt | None
    line_rows: list[int]
    errors: list[RowError]


class _BadCell(ValueError):
    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.remedy = remedy


class RowReader:
    """The receipts of a sheet.

    Args:
        calendar: of the store, for times without an offset.

    Attributes:
        columns: where each of our columns is.
        rows: data rows read so far.

    Raises:
        InvalidInput: a needed column isn't there, or the format names one that isn't.
    """

    def __init__(self, sheet: Sheet, store_id: str, calendar: StoreCalendar, form: TillFormat) -> None:
        self.columns = columns_of(sheet.header, form.columns)
        self.rows = 0
        self._sheet = sheet
        self._store_id = store_id
        self._calendar = calendar
        self._form = form
        self._width = len(sheet.header)
        self._kinds = KINDS | {word.casefold(): kind for word, kind in form.kinds.items()}
        self._channels = CHANNELS | {word.casefold(): channel for word, channel in form.channels.items()}
        self._place = {name: self.columns.get(name, -1) for name in _USED}

    def __iter__(self) -> Iterator[Read]:
        group: list[Row] = []
        number = ""
        place = self._place["receipt_no"]
        with closing(_Seen()) as seen:
            for row in self._sheet.rows():
                self.rows += 1
                own = row.cells[place].strip() if place < len(row.cells) else ""
                if group and (own != number or len(group) >= _MOST_ROWS):
                    yield self._read(number, group, seen)
                    group = []
                number = own
                group.append(row)
            if group:
                yield self._read(number, group, seen)

    def _read(self, number: str, group: list[Row], seen: "_Seen") -> Read:
        if not number:
            empty = [RowError(row.line, None, "receipt_no", "the receipt number is empty", "give one") for row in group]
            return Read(group, "", None, [], empty)
        if not seen.is_new(number):
            reason = "this receipt number came earlier in the file, with other rows in between"
            error = RowError(group[0].line, number, "receipt_no", reason, "sort the file by receipt number")
            return Read(group, number, None, [], [error])
        errors: list[RowError] = []
        lines: list[NewLine] = []
        line_rows: list[int] = []
        for row in group:
            try:
                self._check_width(row)
                line = self._line(row)
            except _BadCell as error:
                errors.append(RowError(row.line, number, error.column, str(error), error.remedy))
            else:
                if line is not None:
                    lines.append(line)
                    line_rows.append(row.line)
        if not errors:
            try:
                return Read(group, number, self._head(number, group[0], lines), line_rows, [])
            except _BadCell as error:
                errors.append(RowError(group[0].line, number, error.column, str(error), error.remedy))
        return Read(group, number, None, [], errors)

    def _head(self, number: str, row: Row, lines: list[NewLine]) -> NewReceipt:
        """The receipt; what is said of it as a whole is taken from its first row."""
        written = self._cell(row, "at") or f"{self._cell(row, 'date')} {self._cell(row, 'time')}"
        try:
            at = time_of(written, self._calendar, self._form.date_order)
        except ValueError as error:
            raise _BadCell("at", str(error), "write it as 2026-11-21 18:30:00") from error
        card, phone, member_id = (self._cell(row, f"member_{name}") for name in ("card", "phone", "id"))
        member = None
        if card or phone or member_id:
            # One of them is enough, and a till that writes several means the same person.
            member = MemberOf(
                card=card or None,
                phone=phone if phone and not card else None,
                id=member_id if member_id and not card and not phone else None,
            )
        included = self._cell(row, "tax_included")
        return NewReceipt(
            store_id=self._store_id,
            receipt_no=number,
            at=at,
            kind=cast("Kind", self._choice(row, "kind", self._kinds)),
            channel=cast("Channel", self._choice(row, "channel", self._channels)),
            lines=lines,
            gross=self._number(row, "gross"),
            units=self._number(row, "units"),
            currency=self._cell(row, "currency").upper() or None,
            member=member,
            tender=self._cell(row, "tender"),
            cashier=self._cell(row, "cashier"),
            refers_to=self._cell(row, "refers_to") or None,
            tax=self._number(row, "tax"),
            tax_included=self._truth(included) if included else self._form.tax_included,
        )

    def _line(self, row: Row) -> NewLine | None:
        """The row's line; None in a file of totals, or in a row without an article (a void, a total)."""
        sku, price = self._cell(row, "sku"), self._number(row, "unit_price")
        if price is None:
            if sku and self._place["unit_price"] >= 0:
                raise _BadCell("unit_price", "the unit price is empty", "give one; 0 for a gift")
            return None
        quantity = self._number(row, "quantity")
        return NewLine(
            sku=sku,
            unit_price=price,
            quantity=_ONE if quantity is None else quantity,
            discount=self._number(row, "discount") or _NOUGHT,
            cost=self._number(row, "cost"),
            description=self._cell(row, "description"),
            group=self._cell(row, "group"),
            tax=self._number(row, "line_tax"),
        )

    def _check_width(self, row: Row) -> None:
        if len(row.cells) > self._width and any(cell.strip() for cell in row.cells[self._width :]):
            raise _BadCell(
                "", f"the row has {len(row.cells)} columns and the header {self._width}", "put quotes around commas"
            )

    def _cell(self, row: Row, column: str) -> str:
        place = self._place[column]
        return row.cells[place].strip() if 0 <= place < len(row.cells) else ""

    def _number(self, row: Row, column: str) -> Decimal | None:
        text = self._cell(row, column)
        if not text:
            return None
        try:
            return decimal_of(text, comma=self._sheet.comma)
        except ValueError as error:
            raise _BadCell(column, str(error), "write it with digits and a point, such as 19.90") from error

    def _truth(self, text: str) -> bool:
        truth = BOOLEANS.get(text.casefold())
        if truth is None:
            raise _BadCell("tax_included", f"{text!r} is neither yes nor no", "use yes or no")
        return truth

    def _choice(self, row: Row, column: str, choices: dict[str, str]) -> str:
        text = self._cell(row, column)
        chosen = choices.get(text) or choices.get(text.casefold())
        if chosen is None:
            raise _BadCell(
                column, f"{text!r} is not known", f"use one of {', '.join(name for name in choices if name)}"
            )
        return chosen


#: Our columns that are read; `-1` stands for one a file doesn't have.
_USED: Final = (
    *("receipt_no", "at", "date", "time", "kind", "channel", "sku", "description", "group", "quantity", "unit_price"),
    *("discount", "cost", "line_tax", "gross", "tax", "tax_included", "units", "currency", "member_card"),
    *("member_phone", "member_id", "tender", "cashier", "refers_to"),
)


class _Seen:
    """Numbers that came; a database without a name, which SQLite moves to the disk when it grows and then forgets."""

    def __init__(self) -> None:
        # A file is read in one thread and may be let go in another.
        self._numbers = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._numbers.execute("PRAGMA journal_mode = OFF")
        self._numbers.execute("CREATE TABLE seen (number TEXT PRIMARY KEY) WITHOUT ROWID")
        self._numbers.execute("BEGIN")

    def is_new(self, number: str) -> bool:
        """Whether it comes for the first time; it has come then."""
        key = number.encode("utf-8", "surrogatepass")
        return self._numbers.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1

    def close(self) -> None:
        """Forget them."""
        self._numbers.close()
