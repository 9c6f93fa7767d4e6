"""From the rows of a till's export to receipts.

Rows that follow one another with the same number are the lines of one receipt. A number that comes back later in the
file would look like a conflict with itself, so it is refused with the advice to sort (`Read.again`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from operator import itemgetter
from typing import Final, cast

import msgspec

from server.files.sheets import Row, Sheet
from server.files.text import decimal_of
from server.sales.csv_format import BOOLEANS, CHANNELS, KINDS, columns_of, time_of
from server.sales.formats import TillFormat
from server.sales.models import Channel, Kind, MemberOf, NewLine, NewReceipt, RowError
from server.stores.calendar import StoreCalendar

_NOUGHT: Final = Decimal(0)
_ONE: Final = Decimal(1)
#: Numbers that are remembered by how they are written.
_MOST_NUMBERS: Final = 4_000
#: Lines that are remembered by their cells.
_MOST_LINES: Final = 20_000
#: Manners that are remembered.
_MOST_MANNERS: Final = 4_000
#: Days that are remembered, and how long a usual time is.
_MOST_DAYS: Final = 4_000
_USUAL: Final = len("2026-11-21 18:30:00")
#: Rows one receipt is read to at most; the check of a receipt's lines says what is wrong with it.
_MOST_ROWS: Final = 5_000


class Read(msgspec.Struct, frozen=True, gc=False):
    """The rows of one receipt, and the receipt they make; or what is wrong with them.

    Attributes:
        line_rows: of each of the receipt's lines, its row in the file.
    """

    rows: list[Row]
    number: str
    new: NewReceipt | None
    line_rows: list[int]
    errors: list[RowError]

    def again(self) -> "Read":
        """The same, refused because its number came before."""
        reason = "this receipt number came earlier in the file, with other rows in between"
        error = RowError(self.rows[0].line, self.number, "receipt_no", reason, "sort the file by receipt number")
        return Read(self.rows, self.number, None, [], [error])


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
        # Quantities, discounts and round prices are the same few hundred texts all through a file.
        self._numbers: dict[str, Decimal] = {}
        # And the same article at the same price is the same line: one object, which is checked once (`LineMemo`).
        self._lines: dict[tuple[str, ...], NewLine] = {}
        # And most receipts are sales at the same tills, paid in one of five ways.
        self._manners: dict[tuple[str, ...], _Manner] = {}
        # And a till writes some hundred receipts a day.
        self._days: dict[str, tuple[date, tzinfo | None]] = {}
        self._kinds = KINDS | {word.casefold(): kind for word, kind in form.kinds.items()}
        self._channels = CHANNELS | {word.casefold(): channel for word, channel in form.channels.items()}
        self._place = {name: self.columns.get(name, self._width) for name in _USED}
        self._has_totals = not self.columns.keys().isdisjoint(("gross", "units", "tax"))
        self._of_line = self._cells_of(_OF_LINES)
        self._of_manner = self._cells_of(_OF_MANNERS)
        self._of_member = self._cells_of(_OF_MEMBERS)

    def __iter__(self) -> Iterator[Read]:
        group: list[Row] = []
        number = ""
        place = self._place["receipt_no"]
        for row in self._sheet.rows():
            self.rows += 1
            cells = row.cells
            own = cells[place].strip() if place < len(cells) else ""
            if own == number and group and len(group) < _MOST_ROWS:
                group.append(row)
                continue
            if group:
                yield self._read(number, group)
            number = own
            group = [row]
        if group:
            yield self._read(number, group)

    def _read(self, number: str, group: list[Row]) -> Read:
        if not number:
            empty = [RowError(row.line, None, "receipt_no", "the receipt number is empty", "give one") for row in group]
            return Read(group, "", None, [], empty)
        errors: list[RowError] = []
        lines: list[NewLine] = []
        line_rows: list[int] = []
        head: list[str] | None = None
        known, of_line, width = self._lines, self._of_line, self._width
        for row in group:
            cells = [*row.cells, ""] if len(row.cells) == width else self._fitted(row.cells)
            head = head or cells
            line = known.get(of_line(cells))
            if line is None or len(row.cells) > width:
                try:
                    self._check_width(row)
                    line = self._line(cells)
                except _BadCell as error:
                    errors.append(RowError(row.line, number, error.column, str(error), error.remedy))
                    continue
            if line is not None:
                lines.append(line)
                line_rows.append(row.line)
        if not errors and head is not None:
            try:
                return Read(group, number, self._head(number, head, lines), line_rows, [])
            except _BadCell as error:
                errors.append(RowError(group[0].line, number, error.column, str(error), error.remedy))
        return Read(group, number, None, [], errors)

    def _head(self, number: str, row: list[str], lines: list[NewLine]) -> NewReceipt:
        """The receipt; what is said of it as a whole is taken from its first row."""
        written = self._cell(row, "at") or f"{self._cell(row, 'date')} {self._cell(row, 'time')}"
        at = self._time(written)
        manner = self._manner(row)
        gross = units = tax = None
        if self._has_totals:
            gross, units, tax = self._number(row, "gross"), self._number(row, "units"), self._number(row, "tax")
        included = self._cell(row, "tax_included")
        return NewReceipt(
            store_id=self._store_id,
            receipt_no=number,
            at=at,
            kind=manner.kind,
            channel=manner.channel,
            lines=lines,
            gross=gross,
            units=units,
            currency=manner.currency,
            member=_member(*self._of_member(row)),
            tender=manner.tender,
            cashier=manner.cashier,
            refers_to=self._cell(row, "refers_to") or None,
            tax=tax,
            tax_included=self._truth(included) if included else self._form.tax_included,
        )

    def _time(self, text: str) -> datetime:
        # As most tills write it; a time with an offset is longer, and its day is not the store's.
        is_usual = len(text) == _USUAL and text[10] in " T" and text[13] == ":" == text[16]
        known = self._days.get(text[:10]) if is_usual else None
        if known is not None:
            with suppress(ValueError):
                return datetime.combine(known[0], time.fromisoformat(text[11:]), known[1])
        try:
            at = time_of(text, self._calendar, self._form.date_order)
        except ValueError as error:
            raise _BadCell("at", str(error), "write it as 2026-11-21 18:30:00") from error
        if is_usual and len(self._days) < _MOST_DAYS:
            self._days[text[:10]] = at.date(), at.tzinfo
        return at

    def _manner(self, row: list[str]) -> "_Manner":
        key = self._of_manner(row)
        known = self._manners.get(key)
        if known is not None:
            return known
        manner = _Manner(
            kind=cast("Kind", self._choice(row, "kind", self._kinds)),
            channel=cast("Channel", self._choice(row, "channel", self._channels)),
            currency=self._cell(row, "currency").upper() or None,
            tender=self._cell(row, "tender"),
            cashier=self._cell(row, "cashier"),
        )
        if len(self._manners) < _MOST_MANNERS:
            self._manners[key] = manner
        return manner

    def _line(self, cells: list[str]) -> NewLine | None:
        """The row's line; None in a file of totals, or in a row without an article (a void, a total)."""
        place = self._place
        sku, price = cells[place["sku"]].strip(), self._number(cells, "unit_price")
        if price is None:
            if sku and place["unit_price"] < self._width:
                raise _BadCell("unit_price", "the unit price is empty", "give one; 0 for a gift")
            return None
        quantity = self._number(cells, "quantity")
        line = NewLine(
            sku=sku,
            unit_price=price,
            quantity=_ONE if quantity is None else quantity,
            discount=self._number(cells, "discount") or _NOUGHT,
            cost=self._number(cells, "cost"),
            description=cells[place["description"]].strip(),
            group=cells[place["group"]].strip(),
            tax=self._number(cells, "line_tax"),
        )
        if len(self._lines) < _MOST_LINES:
            self._lines[self._of_line(cells)] = line
        return line

    def _check_width(self, row: Row) -> None:
        if len(row.cells) > self._width and any(cell.strip() for cell in row.cells[self._width :]):
            raise _BadCell(
                "", f"the row has {len(row.cells)} columns and the header {self._width}", "put quotes around commas"
            )

    def _fitted(self, cells: list[str]) -> list[str]:
        """As many cells as the header has, and an empty one where columns stand that a file doesn't have."""
        return [*cells[: self._width], *[""] * (self._width + 1 - len(cells)), ""][: self._width + 1]

    def _cells_of(self, names: Sequence[str]) -> Callable[[list[str]], tuple[str, ...]]:
        return itemgetter(*[self._place[name] for name in names])

    def _cell(self, cells: list[str], column: str) -> str:
        return cells[self._place[column]].strip()

    def _number(self, cells: list[str], column: str) -> Decimal | None:
        text = cells[self._place[column]].strip()
        if not text:
            return None
        known = self._numbers.get(text)
        if known is not None:
            return known
        try:
            value = decimal_of(text, comma=self._sheet.comma)
        except ValueError as error:
            raise _BadCell(column, str(error), "write it with digits and a point, such as 19.90") from error
        if len(self._numbers) < _MOST_NUMBERS:
            self._numbers[text] = value
        return value

    def _truth(self, text: str) -> bool:
        truth = BOOLEANS.get(text.casefold())
        if truth is None:
            raise _BadCell("tax_included", f"{text!r} is neither yes nor no", "use yes or no")
        return truth

    def _choice(self, row: list[str], column: str, choices: dict[str, str]) -> str:
        text = self._cell(row, column)
        chosen = choices.get(text) or choices.get(text.casefold())
        if chosen is None:
            raise _BadCell(
                column, f"{text!r} is not known", f"use one of {', '.join(name for name in choices if name)}"
            )
        return chosen


class _Manner(msgspec.Struct, frozen=True, gc=False):
    """What many receipts have in common."""

    kind: Kind
    channel: Channel
    currency: str | None
    tender: str
    cashier: str


def _member(card: str, phone: str, member_id: str) -> MemberOf | None:
    """One of them is enough, and a till that writes several means the same person."""
    if card := card.strip():
        return MemberOf(card=card)
    if phone := phone.strip():
        return MemberOf(phone=phone)
    if member_id := member_id.strip():
        return MemberOf(id=member_id)
    return None


#: Our columns that a line is made of, what many receipts have in common, and those that name a member.
_OF_LINES: Final = ("sku", "description", "group", "quantity", "unit_price", "discount", "cost", "line_tax")
_OF_MANNERS: Final = ("kind", "channel", "currency", "tender", "cashier")
_OF_MEMBERS: Final = ("member_card", "member_phone", "member_id")
#: All that are read.
_USED: Final = (
    *("receipt_no", "at", "date", "time", "gross", "tax", "tax_included", "units", "refers_to"),
    *(*_OF_LINES, *_OF_MANNERS, *_OF_MEMBERS),
)
