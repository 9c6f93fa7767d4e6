"""Stores out of a spreadsheet: read and looked at row by row first, then added together or not at all.

A chain comes with a table of its shops. Half of it taken would leave somebody to find out which half, so a file with a
mistake adds nothing, unless whoever sends it says that the good rows are to be added without the others. What was shown
is looked at anew when it is sent again: another might have added a store of that id meanwhile.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import BinaryIO, Final

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, DoorlineError, InvalidInput
from server.files.sheets import Row, open_sheet
from server.storage.pool import Database
from server.stores import adding, repository
from server.stores.calendar import DEFAULT_DAY_STARTS
from server.stores.hours_text import read_hours, write_hours
from server.stores.models import NewStore

#: Rows of one file, at most.
MOST_ROWS: Final = 2_000
#: What a workbook of them may unpack to (bytes): ten times what so many rows take.
_MOST_UNPACKED: Final = 16 * 2**20
#: Our columns in the order of the template, and what else they may be called.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "store_id": ("store", "id", "code", "门店编号", "门店编码", "店号"),
    "name": ("store name", "名称", "门店名称", "店名"),
    "region": ("area", "区域", "大区"),
    "format": ("type", "业态", "店型"),
    "tags": ("tag", "标签"),
    "timezone": ("time zone", "时区"),
    "country": ("国家",),
    "subdivision": ("state", "省份代码"),
    "currency": ("货币", "币种"),
    "day_starts": ("day starts", "营业日开始"),
    "hours": ("opening hours", "opening_hours", "营业时间"),
}
_NEEDED: Final = ("store_id", "name")
#: What a row that says nothing of it has.
_DEFAULT: Final = NewStore("", "")
#: Rows of the template: what may be written, and how.
EXAMPLES: Final = (
    ("S001", "上海静安店", "华东", "flagship", "mall", "Asia/Shanghai", "CN", "", "CNY", "04:00", "10:00-22:00"),
    (
        "S002",
        "北京三里屯店",
        "华北",
        "outlet",
        "street, new",
        "Asia/Shanghai",
        "CN",
        "",
        "CNY",
        "04:00",
        "Mon-Fri 10:00-22:00; Sat,Sun 09:30-22:30; holidays 10:00-18:00",
    ),
)


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row.

    Attributes:
        field: ours, or None where the row as a whole is meant.
        code: of the error, ``invalid_input`` or ``conflict``; or what it is in particular: ``twice``, ``holidays``.
    """

    field: str | None
    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SheetStore:
    """A row of the file.

    Attributes:
        line: in the file, the header being 1.
        cells: by our column.
        store: what it says, where it can be read.
        fault: why it can't be added.
    """

    line: int
    cells: Mapping[str, str]
    store: NewStore | None
    fault: RowFault | None


@dataclass(frozen=True, slots=True)
class StoreSheet:
    """A file of stores, looked at.

    Attributes:
        unknown: columns that are none of ours and were passed over.
        added: how many were added; 0 where it was only looked at.
    """

    rows: Sequence[SheetStore]
    unknown: Sequence[str] = ()
    added: int = 0

    @property
    def good(self) -> list[NewStore]:
        """What can be added."""
        return [row.store for row in self.rows if row.store is not None and row.fault is None]

    @property
    def faulty(self) -> list[SheetStore]:
        """The rows that can't."""
        return [row for row in self.rows if row.fault is not None]


class StoreSheets:
    """Takes files of stores."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def look(self, scope: Scope, stream: BinaryIO) -> StoreSheet:
        """What adding a file (CSV or XLSX) would do.

        Raises:
            Forbidden: unless admin or HQ asks.
            InvalidInput: the file can't be read, lacks a column or has too many rows.
        """
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        rows, unknown = _read(stream)
        with self._db.read() as conn:
            known = {store.store_id for store in repository.stores(conn, scope)}
        return StoreSheet([_judged(row, known) for row in _each_once(rows)], unknown)

    def add(self, scope: Scope, stream: BinaryIO, *, good_only: bool = False) -> StoreSheet:
        """Add the stores of a file in one transaction.

        Args:
            good_only: leave out the rows that can't be added; otherwise one of them keeps all others out.

        Raises:
            as `look`.
        """
        found = self.look(scope, stream)
        if not found.good or (found.faulty and not good_only):
            return found
        now = self._clock()
        try:
            with self._db.transaction() as conn:
                for store in found.good:
                    adding.insert(conn, scope, store, now)
        except Conflict:
            # Another added one of these since we looked.
            stream.seek(0)
            return self.look(scope, stream)
        return StoreSheet(found.rows, found.unknown, len(found.good))


def table_of(rows: Sequence[SheetStore]) -> list[list[str]]:
    """The rows as a table under our own names, to be shown, mended and sent again."""
    return [list(COLUMNS), *([row.cells.get(column, "") for column in COLUMNS] for row in rows)]


def _read(stream: BinaryIO) -> tuple[list[SheetStore], list[str]]:
    sheet = open_sheet(stream, most_unpacked=_MOST_UNPACKED)
    ours = [_column(name) for name in sheet.header]
    for own in COLUMNS:
        alike = [name for name, what in zip(sheet.header, ours, strict=True) if what == own]
        if len(alike) > 1:
            raise InvalidInput(
                f"the columns {' and '.join(map(repr, alike))} are both taken for {own!r}",
                field="file",
                remedy=f"take one of them out, or name the right one {own} and the others otherwise",
                detail={"twice": ", ".join(alike)},
            )
    for needed in _NEEDED:
        if needed not in ours:
            raise InvalidInput(
                f"the file has no column {needed!r}",
                field="file",
                remedy=f"name its columns {', '.join(COLUMNS)}; the template has them all",
            )
    rows: list[SheetStore] = []
    for row in sheet.rows():
        if len(rows) >= MOST_ROWS:
            raise InvalidInput(f"the file has more than {MOST_ROWS} rows", field="file", remedy="send it in parts")
        rows.append(_of_row(row, ours))
    return rows, [name for name, own in zip(sheet.header, ours, strict=True) if not own and name]


def _column(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).strip().lower()
    return next((own for own, others in COLUMNS.items() if plain == own or plain in others), "")


def _of_row(row: Row, ours: Sequence[str]) -> SheetStore:
    cells = {own: text.strip() for own, text in zip(ours, row.cells, strict=False) if own}
    try:
        store = _store(cells)
        adding.check(store)
    except DoorlineError as error:
        return SheetStore(row.line, cells, None, _fault(error))
    return SheetStore(row.line, {**cells, "hours": write_hours(store.hours)}, store, None)


def _store(cells: Mapping[str, str]) -> NewStore:
    def text(column: str, otherwise: str = "") -> str:
        return cells.get(column, "") or otherwise

    tags = unicodedata.normalize("NFKC", text("tags")).replace("、", ",").replace(";", ",")
    return NewStore(
        store_id=text("store_id"),
        name=text("name"),
        timezone=text("timezone", _DEFAULT.timezone),
        region=text("region"),
        country=text("country", _DEFAULT.country).upper(),
        currency=text("currency", _DEFAULT.currency).upper(),
        day_starts=_clock(text("day_starts")),
        hours=read_hours(text("hours")),
        subdivision=text("subdivision").upper(),
        format=text("format"),
        tags=sorted({tag.strip() for tag in tags.split(",") if tag.strip()}),
    )


def _clock(text: str) -> time:
    if not text:
        return DEFAULT_DAY_STARTS
    plain = unicodedata.normalize("NFKC", text)
    try:
        return time.fromisoformat(plain if plain[1:2] != ":" else f"0{plain}")
    except ValueError:
        raise InvalidInput(f"{text!r} is no time of day", field="day_starts", remedy="write it as 04:00") from None


def _each_once(rows: Sequence[SheetStore]) -> Iterator[SheetStore]:
    """The rows, of which those that repeat an id are faulty."""
    seen: dict[str, int] = {}
    for row in rows:
        store = row.store
        if store is not None and store.store_id in seen:
            reason = f"{store.store_id!r} stands in line {seen[store.store_id]} already"
            fault = RowFault("store_id", "twice", reason, "give each store its own id")
            yield SheetStore(row.line, row.cells, None, fault)
            continue
        if store is not None:
            seen[store.store_id] = row.line
        yield row


def _judged(row: SheetStore, known: set[str]) -> SheetStore:
    if row.store is None or row.store.store_id not in known:
        return row
    reason = f"there is a store {row.store.store_id!r} already"
    fault = RowFault("store_id", "conflict", reason, "leave the row out, or change the store on its page")
    return SheetStore(row.line, row.cells, None, fault)


def _fault(error: DoorlineError) -> RowFault:
    return RowFault(error.field, (error.detail or {}).get("why", error.code), error.message, error.remedy or "")
