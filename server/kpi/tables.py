"""Rosters, promotions, events and weather out of a spreadsheet's CSV: all of a file, or nothing of it.

People make these files by hand, so every row is checked and every mistake told by its line before anything is kept; a
file that was half taken would have to be mended by somebody who doesn't know which half. Reading the same file twice
changes nothing. Encodings and signs between columns are found as for the tills' files.
"""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import BinaryIO, Final, Literal, get_args

from server.access.models import Role, Scope
from server.errors import InvalidInput
from server.files.text import decimal_of, delimiter_of, encoding_of
from server.kpi.correction_service import CorrectionsService, Shift
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.facts import FactsService
from server.stores.models import FactKind, NewFact
from server.stores.service import StoresService

#: Rows of one file; a year of a thousand stores is entered month by month.
MOST_ROWS: Final = 50_000
_MOST_ERRORS: Final = 200
#: Our columns, and what else they may be called.
#: Whoever may say what explains a store's numbers; asked before a file is read.
_WRITERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
_FACT_HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "kind": ("kind", "type", "类型"),
    "from": ("from", "day", "date", "day_from", "开始日期", "日期"),
    "to": ("to", "day_to", "until", "结束日期"),
    "title": ("title", "name", "what", "标题", "名称"),
    "detail": ("detail", "note", "说明", "备注"),
    "store": ("store", "store_id", "门店"),
    "region": ("region", "区域", "大区"),
    "temperature": ("temperature", "temperature_c", "气温"),
    "rain": ("rain", "rain_mm", "precipitation", "降水"),
}
_ROSTER_HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "store": ("store", "store_id", "门店"),
    "day": ("day", "date", "日期"),
    "from": ("from", "start", "starts_at", "开始", "上班"),
    "to": ("to", "end", "ends_at", "结束", "下班"),
    "people": ("people", "staff", "人数"),
    "hours": ("hours", "staff_hours", "工时"),
    "note": ("note", "name", "备注"),
}
_KINDS: Final[dict[str, FactKind]] = {
    **{kind: kind for kind in get_args(FactKind)},
    "促销": "promotion",
    "天气": "weather",
    "活动": "event",
}


@dataclass(frozen=True, slots=True)
class TableError:
    """What was wrong with a row; the header is line 1."""

    line: int
    field: str | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TableResult:
    """What became of a file: `kept` is 0 where there is any error.

    Attributes:
        rows: of data.
        kept: facts noted, or days whose roster was set.
        error_count: all of them; `errors` are the first.
    """

    rows: int
    kept: int
    error_count: int
    errors: tuple[TableError, ...]
    encoding: str


class _BadCell(ValueError):
    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        return self.cells.get(column, "")

    def day(self, column: str) -> date:
        plain = unicodedata.normalize("NFKC", self.text(column)).replace("/", "-").replace(".", "-")
        try:
            year, month, day = map(int, plain.split("-"))
            return date(year, month, day)
        except ValueError:
            raise _BadCell(column, f"{self.text(column)!r} is no date", "write it as 2026-11-16") from None

    def clock(self, column: str) -> time:
        plain = unicodedata.normalize("NFKC", self.text(column))
        try:
            return time.fromisoformat(plain if plain[1:2] != ":" else f"0{plain}")
        except ValueError:
            raise _BadCell(column, f"{self.text(column)!r} is no time of day", "write it as 09:30") from None

    def number(self, column: str) -> Decimal | None:
        if not self.text(column):
            return None
        try:
            return decimal_of(self.text(column), comma=True)
        except ValueError as error:
            raise _BadCell(column, str(error), "write it as 7.5") from None


class TableImport:
    """Takes files of facts and of rosters."""

    def __init__(self, stores: StoresService, facts: FactsService, corrections: CorrectionsService) -> None:
        self._stores = stores
        self._facts = facts
        self._corrections = corrections

    def facts(self, scope: Scope, stream: BinaryIO) -> TableResult:
        """Note promotions, events and weather; a row without store and region is the whole chain's.

        Raises:
            Forbidden: a row is of a store or region that isn't the caller's.
            InvalidInput: the file can't be read, or lacks a column.
        """
        scope.require_role(*_WRITERS)
        rows, encoding = _rows(stream, _FACT_HEADERS, ("kind", "from", "title"))
        told: list[NewFact] = []
        errors = _each(rows, lambda row: told.append(_checked(_fact(row))))
        if not errors:
            self._facts.add_all(scope, told)
        return _result(rows, 0 if errors else len(told), errors, encoding)

    def rosters(self, scope: Scope, stream: BinaryIO) -> TableResult:
        """Set the rosters of all store-days in a file, each whole: shifts from and to, or a day's hours.

        Raises:
            Forbidden: a row is of a store that isn't the caller's.
            InvalidInput: the file can't be read, or lacks a column.
        """
        scope.require_role(*_WRITERS)
        rows, encoding = _rows(stream, _ROSTER_HEADERS, ("store", "day"))
        for store_id in {row.text("store") for row in rows}:
            scope.require(store_id)
        calendars = self._stores.calendars(scope, sorted({row.text("store") for row in rows}))
        rosters: dict[tuple[str, date], list[Shift]] = defaultdict(list)

        def take(row: _Row) -> None:
            store_id, day = row.text("store"), row.day("day")
            if store_id not in calendars:
                raise _BadCell("store", f"there is no store {store_id!r}", "check the id")
            shifts = self._shifts(scope, row, store_id, day, calendars[store_id])
            for shift in shifts:
                self._corrections.check_shift(day, shift, calendars[store_id])
            rosters[(store_id, day)] += shifts

        errors = _each(rows, take)
        if not errors:
            self._corrections.set_rosters(scope, rosters)
        return _result(rows, 0 if errors else len(rosters), errors, encoding)

    def _shifts(self, scope: Scope, row: _Row, store_id: str, day: date, calendar: StoreCalendar) -> list[Shift]:
        hours, people = row.number("hours"), row.number("people")
        has_times = bool(row.text("from") or row.text("to"))
        if hours is not None and not has_times:
            return self._corrections.spread(scope, store_id, day, hours, calendar)
        if hours is not None or not has_times:
            raise _BadCell("hours", "a row has either hours, or from and to", "fill in the one or the other")
        starts, ends = row.clock("from"), row.clock("to")
        zone = calendar.zone_on(day)
        start = datetime.combine(day, starts, zone)
        # A shift that begins before the business day does is of the night after the evening.
        if start < calendar.bounds(day)[0]:
            start = datetime.combine(day + ONE_DAY, starts, zone)
        end = datetime.combine(start.date() + (ONE_DAY if ends <= starts else 0 * ONE_DAY), ends, zone)
        return [Shift(start, end, Decimal(1) if people is None else people, row.text("note"))]


def _fact(row: _Row) -> NewFact:
    kind = _KINDS.get(row.text("kind").casefold())
    if kind is None:
        raise _BadCell("kind", f"{row.text('kind')!r} is not known", f"use one of {', '.join(get_args(FactKind))}")
    first = row.day("from")
    return NewFact(
        kind=kind,
        day_from=first,
        day_to=row.day("to") if row.text("to") else first,
        title=row.text("title"),
        detail=row.text("detail"),
        store_id=row.text("store") or None,
        region=row.text("region") or None,
        temperature_c=row.number("temperature"),
        rain_mm=row.number("rain"),
    )


def _checked(fact: NewFact) -> NewFact:
    FactsService.check(fact)
    return fact


def _each(rows: list[_Row], take: Callable[[_Row], None]) -> list[TableError]:
    errors: list[TableError] = []
    for row in rows:
        try:
            take(row)
        except _BadCell as bad:
            errors.append(TableError(row.line, bad.column, str(bad), bad.remedy))
        except InvalidInput as refused:
            errors.append(TableError(row.line, refused.field, refused.message, refused.remedy or ""))
    return errors


def _result(rows: list[_Row], kept: int, errors: list[TableError], encoding: str) -> TableResult:
    return TableResult(len(rows), kept, len(errors), tuple(errors[:_MOST_ERRORS]), encoding)


def cells_of(stream: BinaryIO) -> list[tuple[int, list[str]]]:
    """Every line of a file with its number, the header first; for whoever shows it to be corrected.

    Raises:
        InvalidInput: the file can't be read.
    """
    return list(_lines(stream.read().decode(encoding_of(stream))))


def columns_of(kind: Literal["facts", "roster"], header: Sequence[str]) -> list[str | None]:
    """What we call each column of a header; None for those we don't know."""
    known = _FACT_HEADERS if kind == "facts" else _ROSTER_HEADERS
    return [
        next((ours for ours, names in known.items() if _folded(name) in map(_folded, names)), None) for name in header
    ]


def _rows(stream: BinaryIO, headers: dict[str, tuple[str, ...]], needed: tuple[str, ...]) -> tuple[list[_Row], str]:
    """All rows of a file by our columns, and its encoding.

    Raises:
        InvalidInput: an unknown encoding, no such column, a line too long for its header, or too many rows.
    """
    encoding = encoding_of(stream)
    text = stream.read().decode(encoding)
    lines = _lines(text)
    header = next(lines, (1, []))[1]
    places: dict[str, int] = {}
    for ours, known in headers.items():
        place = next((place for place, name in enumerate(header) if _folded(name) in map(_folded, known)), None)
        if place is not None:
            places[ours] = place
    for name in needed:
        if name not in places:
            raise InvalidInput(
                f"the file has no column {name!r}", field="file", remedy=f"its columns may be {', '.join(headers)}"
            )
    found: list[_Row] = []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(found) == MOST_ROWS:
            raise InvalidInput(f"more than {MOST_ROWS} rows", field="file", remedy="send it in parts")
        found.append(_Row(line, {ours: cells[place].strip() for ours, place in places.items() if place < len(cells)}))
    return found, encoding


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text.partition("\n")[0]))
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise InvalidInput(
            f"line {reader.line_num} can't be read: {error}", field="file", remedy="save it as CSV again"
        ) from error


def _folded(header: str) -> str:
    return unicodedata.normalize("NFKC", header).casefold().strip().replace(" ", "_")
