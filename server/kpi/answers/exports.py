"""A report as JSON, CSV or XLSX, a slice at a time: a chain's year by hour is millions of rows, and none is kept.

A spreadsheet runs a cell beginning with ``=`` as a formula, and a store's region is typed by people. In CSV such texts
are put behind an apostrophe; in XLSX every text is written as a text, which no spreadsheet runs. The total stands last
in each form: a file without it was cut off on the way.
"""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import IO, Any, Final

import msgspec

from server.errors import InvalidInput
from server.files.corrections import neutral
from server.kpi.answers.assembling import Slices
from server.kpi.models import KpiValue, Report, ReportRow

#: Numbers are JSON numbers with all their digits, never binary fractions, so that money arrives to the cent.
json: Final = msgspec.json.Encoder(decimal_format="number")
#: A sheet of XLSX has no more rows than this, its head included.
MOST_SHEET_ROWS: Final = 1_048_576
_CHUNK: Final = 64 * 1024

Cell = str | int | Decimal | None


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its heading, and how its numbers are shown (`text`, `ratio`, `money`, `count`)."""

    name: str
    kind: str = "text"


def as_json(slices: Slices) -> Iterator[bytes]:
    """A report as `models.Report` has it, its rows before its total."""
    later = {"rows", "total", "as_of", "pending", "missing"}
    head = {field.name: getattr(slices.head, field.name) for field in fields(Report) if field.name not in later}
    yield json.encode(head)[:-1] + b',"rows":['
    first = True
    for rows in slices.rows():
        if rows:
            yield (b"" if first else b",") + json.encode(rows)[1:-1]
            first = False
    yield b'],"total":' + json.encode(slices.total) + b',"as_of":' + json.encode(slices.as_of)
    yield b',"pending":' + json.encode(slices.pending)
    yield b',"missing":' + json.encode(slices.missing) + b"}"


def as_csv(slices: Slices) -> Iterator[bytes]:
    """One line a row, the total last."""
    # The mark tells spreadsheets that this is UTF-8; without it, Chinese regions turn into noise.
    yield "\ufeff".encode() + _lines([[column.name for column in _columns(slices.head)]])
    for cells in _tables(slices):
        yield _lines(cells)


def as_xlsx(slices: Slices) -> IO[bytes]:
    """A workbook with one sheet, in a file that is gone once it is closed. Rows go to the disk as they come.

    Raises:
        InvalidInput: more rows than a sheet can have.
    """
    # Imported here: nobody else needs it, and it takes a while.
    from xlsxwriter import Workbook

    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads it closes it
    try:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with Workbook(file, options) as book:
            _fill(book, slices)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _fill(book: Any, slices: Slices) -> None:
    sheet, columns = book.add_worksheet("KPI"), _columns(slices.head)
    forms = {"ratio": "0.0%", "money": "#,##0.00", "count": "#,##0", "text": "General"}
    shown = {kind: book.add_format({"num_format": form}) for kind, form in forms.items()}
    bold = book.add_format({"bold": True})
    sheet.freeze_panes(1, len(slices.head.group_by) or 1)
    sheet.set_column(0, len(columns) - 1, 14)
    for place, column in enumerate(columns):
        sheet.write_string(0, place, column.name, bold)
    number = 0
    for cells in _tables(slices):
        if number + len(cells) >= MOST_SHEET_ROWS:
            raise InvalidInput(
                f"a sheet has room for {MOST_SHEET_ROWS - 1} rows",
                field="format",
                remedy="ask for CSV, for fewer stores or days, or for larger groups",
            )
        for row in cells:
            number += 1
            for place, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, place, cell)
                elif cell is not None:
                    sheet.write_number(number, place, float(cell), shown[columns[place].kind])


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """A file piece by piece; it is closed behind the last, or when nobody wants more."""
    with file:
        while piece := file.read(_CHUNK):
            yield piece


def _columns(head: Report) -> list[_Column]:
    """Per KPI its value, why there is none, the interval's ends, and the value it is compared with; then of the row how
    much was watched, and up to which moment (UTC) it is told."""
    by = head.group_by or ("chain",)
    columns = [_Column(name) for name in by]
    for slug in head.kpis:
        kind = _kind(head.total.values[slug])
        columns += [_Column(slug, kind), _Column(f"{slug}_withheld")]
        columns += [_Column(f"{slug}_low", kind), _Column(f"{slug}_high", kind)]
        if head.compared_from is not None:
            columns.append(_Column(f"{slug}_compared", kind))
    return [*columns, _Column("coverage", "ratio"), _Column("as_of")]


def _kind(value: KpiValue) -> str:
    if value.unit in ("count", "people"):
        return "count"
    return "ratio" if value.unit == "ratio" else "money"


def _tables(slices: Slices) -> Iterator[list[list[Cell]]]:
    """The cells of each slice, then those of the total."""
    head = slices.head
    for rows in slices.rows():
        if head.group_by:
            yield [_cells([row.labels[name] for name in head.group_by], row, head.kpis) for row in rows]
    blank: list[str] = [""] * (max(1, len(head.group_by)) - 1)
    yield [_cells(["total", *blank], slices.total, head.kpis)]


def _cells(labels: Sequence[str], row: ReportRow, kpis: Sequence[str]) -> list[Cell]:
    cells: list[Cell] = [*labels]
    for slug in kpis:
        value = row.values[slug]
        cells += [value.value, value.withheld or "", value.low, value.high]
        if row.compare is not None:
            cells.append(row.compare[slug].value)
    cells.append(None if row.coverage is None else Decimal(f"{row.coverage:.6f}"))
    cells.append(f"{row.as_of:%Y-%m-%dT%H:%M:%SZ}")
    return cells


def _lines(table: Sequence[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[_written(cell) for cell in row] for row in table])
    return out.getvalue().encode()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return neutral(cell)
    return str(cell)
