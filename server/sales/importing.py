"""Files of tills, brought in: tried or kept, at once or behind a page that shows how far they are.

A file is a job with an id. Whoever works on it notes after each slice how far it is, and reads there whether somebody
asked to stop; so any process can show and stop what another does. A process that died is told by its silence: the job
is failed then, and the same file sent again goes on where it was, because what is known is passed over.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import BinaryIO, Final
from uuid import UUID, uuid4

import msgspec
import structlog

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import DoorlineError, NotFound
from server.files.correction_files import FileKind, correction_file, kind_of
from server.files.corrections import Wrong
from server.files.sheets import Sheet, open_sheet
from server.files.turns import Turns
from server.sales import import_repository as repository
from server.sales.file_import import SLICE_ROWS, FileImport
from server.sales.formats import TillFormat
from server.sales.import_repository import Counts, SealedRow
from server.sales.models import (
    ImportJob,
    ImportResult,
    ImportState,
    NewReceipt,
    Preview,
    PreviewColumn,
    PreviewReceipt,
    RefusedRow,
)
from server.sales.rows import RowReader
from server.sales.service import SalesService
from server.storage.pool import Database
from server.storage.sealing import Sealer
from server.stores.service import StoresService

_log = structlog.get_logger(__name__)

_IMPORTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
#: A job that gave no sign of life for so long is nobody's any more; a slice takes seconds.
SILENCE: Final = timedelta(minutes=5)
_DIED: Final = "the process that worked on it ended; send the same file again, what is known is passed over"
_ASKED: Final = "stopped on request; what was written stays, and the same file can be sent again"
_PREVIEWED: Final = 20
_PAGE: Final = 2_000

#: Hears rows read, bytes read about, and bytes in all.
Progress = Callable[[int, int, int], None]


class ImportService:
    """Files of receipts.

    Args:
        sales: takes the receipts.
        sealer: for rows that are kept to be corrected.

    Attributes:
        slice_rows: rows that are written at a time.
    """

    def __init__(
        self, db: Database, stores: StoresService, sales: SalesService, sealer: Sealer, clock: Clock = utc_now
    ) -> None:
        self.slice_rows = SLICE_ROWS
        self._db = db
        self._stores = stores
        self._sales = sales
        self._sealer = sealer
        self._clock = clock
        self._turns = Turns("imports")

    def preview(self, scope: Scope, store_id: str, stream: BinaryIO, form: TillFormat) -> Preview:
        """How a file would be read: its columns, its first rows and the receipts they make. Nothing is kept.

        Raises:
            Forbidden, NotFound: for the store.
            InvalidInput: the file as a whole can't be read, or a needed column isn't found.
        """
        scope.require_role(*_IMPORTERS)
        calendar = self._stores.calendar(scope, store_id)
        sheet = open_sheet(stream, header_row=form.header_row, name=form.sheet, decimal_comma=form.decimal_comma)
        reader = RowReader(sheet, store_id, calendar, form)
        ours = {place: name for name, place in reader.columns.items()}
        first = list(islice(reader, _PREVIEWED))
        return Preview(
            encoding=sheet.encoding,
            delimiter=sheet.delimiter,
            columns=[PreviewColumn(header, ours.get(place)) for place, header in enumerate(sheet.header)],
            rows=[row.cells for read in first for row in read.rows][:_PREVIEWED],
            receipts=[_previewed(read.new) for read in first if read.new is not None],
            errors=[error for read in first for error in read.errors],
        )

    def run(
        self,
        scope: Scope,
        store_id: str,
        stream: BinaryIO,
        form: TillFormat | None = None,
        *,
        name: str = "",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> ImportResult:
        """Bring in a file, and come back when it is done.

        It is read once from end to end and written in slices, so its size doesn't matter.

        Args:
            stream: seekable; CSV in UTF-8, UTF-16 or GB18030, or XLSX.
            name: of the file, for the record.
            dry_run: check everything, keep nothing.
            progress: called after each slice.

        Raises:
            Forbidden, NotFound: for the store.
            InvalidInput: the file as a whole can't be read: no header, a needed column missing, wrong encoding.
        """
        form = form or TillFormat()
        sheet, reader = self._opened(scope, store_id, stream, form)
        job = self._new_job(scope, store_id, sheet, name, dry_run=dry_run, state="running")
        return self._work(scope, job, sheet, reader, progress)

    def start(
        self, scope: Scope, store_id: str, stream: BinaryIO, form: TillFormat, *, name: str, dry_run: bool
    ) -> ImportJob:
        """Bring in a file while the caller goes on; its job tells how far it is.

        Args:
            stream: copied before this returns.

        Raises:
            As `run`, for what can be known of the file before its rows are read.
        """
        scope.require_role(*_IMPORTERS)
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the worker
        try:
            stream.seek(0)
            shutil.copyfileobj(stream, copy, 1 << 20)
            sheet, reader = self._opened(scope, store_id, copy, form)
            job = self._new_job(scope, store_id, sheet, name, dry_run=dry_run, state="waiting")
            self._turns.submit(partial(self._work_behind, scope, job, sheet, reader, copy))
        except BaseException:
            copy.close()
            raise
        return job

    def jobs(self, scope: Scope, store_id: str | None = None, limit: int = 50) -> list[ImportJob]:
        """The latest files, latest first."""
        scope.require_role(*_IMPORTERS)
        if store_id is not None:
            scope.require(store_id)
        self._fail_silent()
        with self._db.read() as conn:
            return repository.jobs(conn, scope, store_id, limit)

    def job(self, scope: Scope, import_id: UUID) -> ImportJob:
        """One file.

        Raises:
            NotFound: there is none, or it is of somebody else's store.
        """
        scope.require_role(*_IMPORTERS)
        self._fail_silent()
        with self._db.read() as conn:
            found = repository.job(conn, scope, import_id)
        if found is None:
            raise NotFound(f"no import {import_id}", field="import_id", remedy="see the list of imports")
        return found

    def cancel(self, scope: Scope, import_id: UUID) -> ImportJob:
        """Ask whoever works on a file to stop after the slice at hand; what was written stays. A file that has ended is
        left as it is.

        Raises:
            NotFound: as `job`.
        """
        found = self.job(scope, import_id)
        with self._db.transaction() as conn:
            if repository.ask_to_cancel(conn, scope, import_id):
                audit.record(
                    conn,
                    self._clock(),
                    scope.actor,
                    "receipts.import_cancelled",
                    subject=str(import_id),
                    store_id=found.store_id,
                )
        return self.job(scope, import_id)

    def refused(self, scope: Scope, import_id: UUID) -> Iterator[RefusedRow]:
        """All rows of a file that were not taken, by line, a page at a time.

        Raises:
            NotFound: as `job`.
        """
        self.job(scope, import_id)
        after = 0
        while True:
            with self._db.read() as conn:
                page = repository.refused(conn, scope, import_id, after, _PAGE)
            for row in page:
                yield RefusedRow(
                    row.line, row.receipt_no, row.field, row.reason, row.remedy, self._cells(import_id, row.cells)
                )
            if len(page) < _PAGE:
                return
            after = page[-1].line

    def refused_file(self, scope: Scope, import_id: UUID, kind: FileKind | None = None) -> Iterator[bytes]:
        """The rows that were not taken as a file, to be corrected and sent again as it is (`correction_files`).

        Who took it is on record: it has in it what the till wrote, phone numbers too.

        Args:
            kind: as which; as the one they came in, if left out.

        Raises:
            NotFound: as `job`.
        """
        found = self.job(scope, import_id)
        with self._db.transaction() as conn:
            header, delimiter = repository.header(conn, scope, import_id)
            audit.record(
                conn,
                self._clock(),
                scope.actor,
                "receipts.import_errors_read",
                subject=str(import_id),
                store_id=found.store_id,
            )
        rows = (
            Wrong(row.cells, row.line, row.field or "", row.reason, row.remedy)
            for row in self.refused(scope, import_id)
        )
        return correction_file(kind or kind_of(found.is_workbook), header, delimiter, rows)

    def close(self) -> None:
        """Stop what is at work after its slice, and wait for it."""
        self._turns.close()

    # -- inside

    def _opened(self, scope: Scope, store_id: str, stream: BinaryIO, form: TillFormat) -> tuple[Sheet, RowReader]:
        scope.require_role(*_IMPORTERS)
        calendar = self._stores.calendar(scope, store_id)
        sheet = open_sheet(stream, header_row=form.header_row, name=form.sheet, decimal_comma=form.decimal_comma)
        return sheet, RowReader(sheet, store_id, calendar, form)

    def _new_job(
        self, scope: Scope, store_id: str, sheet: Sheet, name: str, *, dry_run: bool, state: ImportState
    ) -> ImportJob:
        now = self._clock()
        job = ImportJob(uuid4(), store_id, _printable(name), state, dry_run, sheet.size, scope.actor, now, now)
        job = replace(job, is_workbook=sheet.encoding == "xlsx")
        with self._db.transaction() as conn:
            repository.insert_job(conn, job, sheet.header, sheet.delimiter)
        self._turns.take(job.import_id)
        return job

    def _work_behind(self, scope: Scope, job: ImportJob, sheet: Sheet, reader: RowReader, copy: BinaryIO) -> None:
        with copy:
            try:
                self._work(scope, job, sheet, reader, None)
            except DoorlineError as error:
                _log.warning("import failed", import_id=str(job.import_id), reason=error.message)
            except Exception:
                # In a thread of its own there is nobody to raise it to.
                _log.exception("import broke", import_id=str(job.import_id))
                raise

    def _work(
        self, scope: Scope, job: ImportJob, sheet: Sheet, reader: RowReader, progress: Progress | None
    ) -> ImportResult:
        check = self._sales.slices(scope, keep=not job.dry_run)

        def heard(counts: Counts) -> bool:
            stop = self._note(job, counts)
            if progress is not None:
                progress(counts.rows, counts.done, sheet.size)
            return stop

        way = FileImport(sheet, reader, check, lambda rows: self._keep(job, rows), heard, self.slice_rows)
        try:
            is_done = not self._turns.is_closing and way.run()
        except BaseException as error:
            reason = error.message if isinstance(error, DoorlineError) else f"{type(error).__name__}: {error}"
            self._finish(scope, job, "failed", reason, way, reader)
            raise
        if is_done:
            self._finish(scope, job, "done", "", way, reader)
        else:
            self._finish(scope, job, "cancelled", _DIED if self._turns.is_closing else _ASKED, way, reader)
        return way.tally.result(job.import_id, reader.rows, sheet.encoding, dry_run=job.dry_run)

    def _note(self, job: ImportJob, counts: Counts) -> bool:
        now = self._clock()
        mine = self._turns.in_hand()
        with self._db.transaction() as conn:
            repository.beat(conn, mine, now)
            return repository.progress(conn, job.import_id, counts, now) or self._turns.is_closing

    def _keep(self, job: ImportJob, rows: Sequence[RefusedRow]) -> None:
        sealed = [
            SealedRow(
                row.line,
                row.receipt_no,
                row.field,
                row.reason,
                row.remedy,
                self._sealer.seal(f"import/{job.import_id}", msgspec.json.encode([_clean(cell) for cell in row.cells])),
            )
            for row in rows
        ]
        with self._db.transaction() as conn:
            repository.copy_refused(conn, job.import_id, sealed)

    def _cells(self, import_id: UUID, sealed: bytes) -> list[str]:
        return msgspec.json.decode(self._sealer.open(f"import/{import_id}", sealed), type=list[str])

    def _finish(
        self, scope: Scope, job: ImportJob, state: ImportState, reason: str, way: FileImport, reader: RowReader
    ) -> None:
        now = self._clock()
        self._turns.drop(job.import_id)
        tally = way.tally
        with self._db.transaction() as conn:
            repository.finish(conn, job.import_id, state, reason[:1000], now)
            if job.dry_run:
                return
            audit.record(
                conn,
                now,
                scope.actor,
                "receipts.import",
                subject=str(job.import_id),
                store_id=job.store_id,
                detail={
                    "file": job.file_name,
                    "state": state,
                    "rows": reader.rows,
                    "accepted": tally.accepted,
                    "repeated": tally.repeated,
                    "conflicts": tally.conflicts,
                    "rejected": tally.rejected,
                },
            )

    def _fail_silent(self) -> None:
        now = self._clock()
        with self._db.transaction() as conn:
            repository.fail_silent(conn, now - SILENCE, _DIED, now)


def _previewed(new: NewReceipt) -> PreviewReceipt:
    return PreviewReceipt(new.receipt_no, new.at, new.kind, new.channel, len(new.lines), new.gross, new.tax_included)


def _printable(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable())[:200]


def _clean(cell: str) -> str:
    """What can be written again: half of a character can't."""
    return cell.encode("utf-8", "replace").decode()
