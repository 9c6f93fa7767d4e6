"""One file on its way into the books, in slices.

While one slice is written the next is read and checked, and no more than these two are ever held: a million rows need
the memory of ten thousand. The trap is to let the thread that writes check, too: the reading is done by the time that
thread begins to wait for the database, and nothing overlaps. What was written stays when a later row is wrong or
somebody stops, and the same file can be sent again.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from server.files.sheets import Sheet
from server.sales.decoding import MOST_RECEIPTS
from server.sales.import_repository import Counts
from server.sales.models import ImportResult, NewReceipt, PostResult, Problem, RefusedRow, RowError
from server.sales.rows import Read, RowReader
from server.sales.seen import Seen

#: A slice is written when it has so many rows; or as many receipts as a batch may have.
SLICE_ROWS: Final = 10_000
_MOST_ERRORS: Final = 1_000
_LINE: Final = re.compile(r"lines\[(\d+)\].*")

#: Checks a slice, and gives what tries or keeps it; a receipt's index in it is its place in the slice.
Check = Callable[[Sequence[tuple[int, NewReceipt]]], Callable[[], PostResult]]
#: Keeps rows that were not taken.
Refuse = Callable[[Sequence[RefusedRow]], None]
#: Hears how far it is, and says whether to stop.
Heard = Callable[[Counts], bool]


@dataclass(slots=True)
class Tally:
    """What became of a file so far; the first errors by line, the others by number."""

    receipts: int = 0
    accepted: int = 0
    repeated: int = 0
    conflicts: int = 0
    rejected: int = 0
    error_count: int = 0
    note_count: int = 0
    errors: list[RowError] = field(default_factory=list)
    notes: list[RowError] = field(default_factory=list)

    def counts(self, done: int, rows: int) -> Counts:
        """As it is kept."""
        return Counts(
            done,
            rows,
            self.receipts,
            self.accepted,
            self.repeated,
            self.conflicts,
            self.rejected,
            self.error_count,
            self.note_count,
        )

    def result(self, import_id: UUID, rows: int, encoding: str, *, dry_run: bool) -> ImportResult:
        """As it is told."""
        return ImportResult(
            import_id=import_id,
            rows=rows,
            receipts=self.receipts,
            accepted=self.accepted,
            repeated=self.repeated,
            conflicts=self.conflicts,
            rejected=self.rejected,
            error_count=self.error_count,
            errors=sorted(self.errors, key=lambda error: error.line),
            notes=self.notes,
            dry_run=dry_run,
            encoding=encoding,
        )


@dataclass(slots=True)
class _Slice:
    """Receipts of a part of a file, those that could be read and those that could not."""

    reads: list[Read] = field(default_factory=list)
    rows: int = 0
    #: Where the file was read to when it was full.
    done: int = 0
    read_rows: int = 0


class FileImport:
    """A file's way.

    Args:
        check: checks a slice, in the thread that reads; what it gives is called in the one that writes.
        refuse: keeps the rows that were not taken.
        heard: called after each slice.
        slice_rows: rows of a slice; one receipt is never cut.
    """

    def __init__(
        self,
        sheet: Sheet,
        reader: RowReader,
        check: Check,
        refuse: Refuse,
        heard: Heard,
        slice_rows: int = SLICE_ROWS,
    ) -> None:
        self._slice_rows = slice_rows
        self._sheet = sheet
        self._reader = reader
        self._check = check
        self._refuse = refuse
        self._heard = heard
        self._stopped = False
        self.tally = Tally()

    def run(self) -> bool:
        """Go to the end; False when stopped before.

        Raises:
            InvalidInput: the file can't be read on. What was written before stays.
        """
        with Seen() as seen, ThreadPoolExecutor(1, thread_name_prefix="import") as writer:
            writing: Future[None] | None = None
            for part in self._slices():
                for place in seen.again([read.number for read in part.reads]):
                    if part.reads[place].number:
                        part.reads[place] = part.reads[place].again()
                good = [(place, read.new) for place, read in enumerate(part.reads) if read.new is not None]
                post = self._check(good) if good else PostResult
                if writing is not None:
                    writing.result()
                if self._stopped:
                    return False
                writing = writer.submit(self._write, part, len(good), post)
            if writing is not None:
                writing.result()
        return True

    def _slices(self) -> Iterator[_Slice]:
        part = _Slice()
        rows = 0
        for read in self._reader:
            if part.reads and (part.rows + len(read.rows) > self._slice_rows or len(part.reads) >= MOST_RECEIPTS):
                yield part
                part = _Slice()
            part.reads.append(read)
            part.rows += len(read.rows)
            rows += len(read.rows)
            part.done, part.read_rows = self._sheet.done, rows
        if part.reads:
            yield part

    def _write(self, part: _Slice, good: int, post: Callable[[], PostResult]) -> None:
        result = post()
        tally = self.tally
        tally.receipts += len(part.reads)
        tally.accepted += result.accepted
        tally.repeated += result.repeated
        tally.conflicts += len(result.conflicts)
        tally.rejected += len(result.rejected) + len(part.reads) - good
        tally.note_count += len(result.notes)
        left = _MOST_ERRORS - len(tally.notes)
        tally.notes.extend(_row_error(part.reads[note.index], note) for note in result.notes[:left])
        wrong = {place: read.errors for place, read in enumerate(part.reads) if read.errors}
        for problem in (*result.rejected, *result.conflicts):
            wrong[problem.index] = [_row_error(part.reads[problem.index], problem)]
        if wrong:
            self._keep(part, wrong)
        self._stopped = self._heard(tally.counts(part.done, part.read_rows))

    def _keep(self, part: _Slice, wrong: dict[int, list[RowError]]) -> None:
        tally = self.tally
        rows: list[RefusedRow] = []
        for place in sorted(wrong):
            tally.error_count += len(wrong[place])
            tally.errors.extend(wrong[place][: _MOST_ERRORS - len(tally.errors)])
            rows.extend(_refused(part.reads[place], wrong[place]))
        self._refuse(rows)


def _refused(read: Read, errors: Sequence[RowError]) -> Iterator[RefusedRow]:
    """All rows of a receipt that was not taken, each with what is wrong with it."""
    by_line = {error.line: error for error in errors}
    for row in read.rows:
        error = by_line.get(row.line)
        if error is None:
            yield RefusedRow(row.line, read.number or None, None, "", "", row.cells)
        else:
            yield RefusedRow(row.line, read.number or None, error.field, error.reason, error.remedy, row.cells)


def _row_error(read: Read, problem: Problem) -> RowError:
    """In a file, a receipt stands where its first row does, and its lines where theirs do."""
    line = read.rows[0].line
    within = _LINE.fullmatch(problem.field or "")
    if within and int(within[1]) < len(read.line_rows):
        line = read.line_rows[int(within[1])]
    return RowError(line, problem.receipt_no, problem.field, problem.reason, problem.remedy)
