"""Files of members, brought in behind a page that shows how far they are.

As with files of receipts, a file is a job that any process can show and stop; a process that died is told by its
silence, and the same file sent again goes on where it was, because whoever came before is known. The rows that were not
taken are kept encrypted for as long as somebody needs to correct them: they have names and numbers in them.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import BinaryIO, Final
from uuid import UUID, uuid4

import msgspec
import structlog

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import DoorlineError, InvalidInput, NotFound
from server.files.correction_files import FileKind, correction_file, kind_of
from server.files.corrections import Wrong
from server.files.sheets import Row, open_sheet
from server.files.turns import Turns
from server.membership.importing import MemberImport, MemberImportResult, RowError
from server.membership.imports import repository
from server.membership.imports.models import ImportState, MemberImportJob, RefusedMember, SealedRow
from server.membership.reading import HEADQUARTERS
from server.storage.pool import Database
from server.storage.sealing import Sealer

_log = structlog.get_logger(__name__)
#: A job that gave no sign of life for so long is nobody's any more.
SILENCE: Final = timedelta(minutes=5)
_DIED: Final = "the process that worked on it ended; send the same file again, what is known is passed over"
_ASKED: Final = "stopped on request; who was enrolled stays, and the same file can be sent again"
_PAGE: Final = 1_000
_MOST_COLUMNS: Final = 100


class MemberImports:
    """Files of members as jobs.

    Args:
        importer: enrols the people of a file.
        sealer: for rows that are kept to be corrected.
    """

    def __init__(self, db: Database, importer: MemberImport, sealer: Sealer, clock: Clock = utc_now) -> None:
        self._db = db
        self._importer = importer
        self._sealer = sealer
        self._clock = clock
        self._turns = Turns("member-imports")

    def start(
        self,
        scope: Scope,
        store_id: str,
        stream: BinaryIO,
        basis: str,
        mapping: Mapping[str, str],
        *,
        name: str,
        dry_run: bool,
    ) -> MemberImportJob:
        """Bring in a file while the caller goes on; its job tells how far it is.

        Args:
            stream: copied before this returns.

        Raises:
            As `MemberImport.run`, for what can be known of the file before its rows are read.
        """
        scope.require_role(*HEADQUARTERS)
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the worker
        try:
            stream.seek(0)
            shutil.copyfileobj(stream, copy, 1 << 20)
            self._importer.check(scope, store_id, copy, basis, mapping)
            sheet = open_sheet(copy)
            now = self._clock()
            shown = "".join(sign for sign in name if sign.isprintable())[:200]
            is_workbook = sheet.encoding == "xlsx"
            job = MemberImportJob(
                uuid4(), store_id, shown, "waiting", dry_run, scope.actor, now, now, is_workbook=is_workbook
            )
            with self._db.transaction() as conn:
                repository.insert_job(conn, job, sheet.header, sheet.delimiter)
            self._turns.take(job.import_id)
            self._turns.submit(partial(self._work, scope, job, copy, basis, dict(mapping)))
        except BaseException:
            copy.close()
            raise
        return job

    def jobs(self, scope: Scope, limit: int = 50) -> list[MemberImportJob]:
        """The latest files, latest first."""
        scope.require_role(*HEADQUARTERS)
        self._fail_silent()
        with self._db.read() as conn:
            return repository.jobs(conn, scope, limit)

    def job(self, scope: Scope, import_id: UUID) -> MemberImportJob:
        """One file.

        Raises:
            NotFound: there is none.
        """
        scope.require_role(*HEADQUARTERS)
        self._fail_silent()
        with self._db.read() as conn:
            found = repository.job(conn, scope, import_id)
        if found is None:
            raise NotFound(f"no import {import_id}", field="import_id", remedy="see the list of imports")
        return found

    def cancel(self, scope: Scope, import_id: UUID) -> MemberImportJob:
        """Ask whoever works on a file to stop soon; who was enrolled stays. A file that has ended is left as it is.

        Raises:
            NotFound: there is none.
        """
        found = self.job(scope, import_id)
        with self._db.transaction() as conn:
            if repository.ask_to_cancel(conn, scope, import_id):
                now = self._clock()
                audit.record(
                    conn, now, scope.actor, "member.import_cancelled", subject=str(import_id), store_id=found.store_id
                )
        return self.job(scope, import_id)

    def refused(self, scope: Scope, import_id: UUID) -> Iterator[RefusedMember]:
        """All rows of a file that were not taken, by line, a page at a time.

        Raises:
            NotFound: there is no such file.
        """
        self.job(scope, import_id)
        after = 0
        while True:
            with self._db.read() as conn:
                page = repository.refused(conn, scope, import_id, after, _PAGE)
            for row in page:
                opened = self._sealer.open(f"member-import/{import_id}", row.cells)
                cells = msgspec.json.decode(opened, type=list[str])
                yield RefusedMember(row.line, row.field, row.reason, row.remedy, cells)
            if len(page) < _PAGE:
                return
            after = page[-1].line

    def refused_file(self, scope: Scope, import_id: UUID, kind: FileKind | None = None) -> Iterator[bytes]:
        """The rows that were not taken as a file, to be corrected and sent again as it is: what is wrong stands in
        columns at the end, which no import reads. Who took it is on record: there are names and numbers in it.

        Args:
            kind: as which; as the one they came in, if left out.

        Raises:
            NotFound: there is no such file.
        """
        found = self.job(scope, import_id)
        with self._db.transaction() as conn:
            header, delimiter = repository.header(conn, scope, import_id)
            now = self._clock()
            audit.record(
                conn, now, scope.actor, "member.import_errors_read", subject=str(import_id), store_id=found.store_id
            )
        rows = (
            Wrong(row.cells, row.line, row.field or "", row.reason, row.remedy)
            for row in self.refused(scope, import_id)
        )
        return correction_file(kind or kind_of(found.is_workbook), header, delimiter, rows)

    def formats(self, scope: Scope) -> dict[str, dict[str, str]]:
        """How the files of each old system are read: our columns to its headers, by name."""
        scope.require_role(*HEADQUARTERS)
        with self._db.read() as conn:
            return repository.formats(conn)

    def save_format(self, scope: Scope, name: str, columns: Mapping[str, str]) -> None:
        """Keep how an old system's files are read, instead of what goes by this name now.

        Raises:
            Forbidden: it is for the whole chain.
            InvalidInput: the name, or far too many columns.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        if not 1 <= len(name) <= 50 or not name.replace("-", "").replace("_", "").isalnum():
            raise InvalidInput(
                f"{name!r} is no name of a format", field="name", remedy="use up to 50 letters, digits, -"
            )
        if len(columns) > _MOST_COLUMNS or any(len(text) > 200 for pair in columns.items() for text in pair):
            raise InvalidInput("these are too many columns", field="columns", remedy="name those that are needed")
        now = self._clock()
        with self._db.transaction() as conn:
            repository.put_format(conn, name, columns, scope.actor, now)
            audit.record(conn, now, scope.actor, "member.format_saved", subject=name)

    def delete_format(self, scope: Scope, name: str) -> None:
        """Forget one.

        Raises:
            NotFound: there is none.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        with self._db.transaction() as conn:
            if not repository.delete_format(conn, name):
                raise NotFound(f"no format {name!r}", field="name", remedy="see the list of formats")
            audit.record(conn, self._clock(), scope.actor, "member.format_deleted", subject=name)

    def close(self) -> None:
        """Stop what is at work soon, and wait for it."""
        self._turns.close()

    # -- inside

    def _work(self, scope: Scope, job: MemberImportJob, copy: BinaryIO, basis: str, mapping: dict[str, str]) -> None:
        kept: list[SealedRow] = []
        is_stopped = False

        def refuse(row: Row, error: RowError) -> None:
            cells = msgspec.json.encode([cell.encode("utf-8", "replace").decode() for cell in row.cells])
            sealed = self._sealer.seal(f"member-import/{job.import_id}", cells)
            kept.append(SealedRow(row.line, error.field, error.reason, error.remedy or "", sealed))

        def heard(so_far: MemberImportResult) -> bool:
            nonlocal is_stopped
            now = self._clock()
            mine = self._turns.in_hand()
            with self._db.transaction() as conn:
                repository.insert_refused(conn, job.import_id, kept)
                repository.beat(conn, scope, mine, now)
                is_stopped |= repository.progress(conn, scope, job.import_id, so_far, now)
            kept.clear()
            is_stopped |= self._turns.is_closing
            return is_stopped

        with copy:
            try:
                if not heard(MemberImportResult(job.dry_run)):
                    self._importer.run(
                        scope, job.store_id, copy, basis, mapping, dry_run=job.dry_run, heard=heard, refuse=refuse
                    )
            except DoorlineError as error:
                _log.warning("import failed", import_id=str(job.import_id), reason=error.message)
                self._finish(scope, job, "failed", error.message)
            except BaseException as error:
                # In a thread of its own there is nobody to raise it to.
                _log.exception("import broke", import_id=str(job.import_id))
                self._finish(scope, job, "failed", f"{type(error).__name__}: {error}")
                raise
            else:
                if is_stopped:
                    self._finish(scope, job, "cancelled", _DIED if self._turns.is_closing else _ASKED)
                else:
                    self._finish(scope, job, "done", "")

    def _finish(self, scope: Scope, job: MemberImportJob, state: ImportState, reason: str) -> None:
        self._turns.drop(job.import_id)
        with self._db.transaction() as conn:
            repository.finish(conn, scope, job.import_id, state, reason[:1000], self._clock())

    def _fail_silent(self) -> None:
        now = self._clock()
        with self._db.transaction() as conn:
            repository.fail_silent(conn, now - SILENCE, _DIED, now)
