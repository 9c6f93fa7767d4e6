"""Files of members as jobs: watched, stopped, what was not taken told and sent again; for headquarters only."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from openpyxl import load_workbook

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound, Unavailable
from server.membership.importing import MemberImport, MemberImportResult
from server.membership.imports import repository
from server.membership.imports.models import MemberImportJob
from server.membership.imports.service import SILENCE, MemberImports
from server.services import Services
from server.storage.sealing import Sealer
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock

BASIS = "2024 年入会时在门店签署的会员协议"
FILE = """会员编号,姓名,手机,积分
A1,张伟,13800138000,120
A2,李娜,1390013,
A3,王五,13800138000,5
"""


def finished(chain: Services, import_id: UUID) -> MemberImportJob:
    """The job once it has ended."""
    return wait_until(
        lambda: job if (job := chain.member_imports.job(SYSTEM, import_id)).finished_at else None, what="the import"
    )


def test_a_file_is_tried_taken_and_its_refused_rows_come_back_corrected(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    hq = scope_of("hq")

    def send(content: bytes, *, dry_run: bool = False) -> MemberImportJob:
        job = chain.member_imports.start(hq, "S01", io.BytesIO(content), BASIS, {}, name="old.csv", dry_run=dry_run)
        return finished(chain, job.import_id)

    tried = send(FILE.encode(), dry_run=True)
    assert (tried.state, tried.rows, tried.enrolled, tried.duplicate_count, tried.error_count) == ("done", 3, 1, 1, 1)
    assert chain.membership.count(SYSTEM) == 0
    done = send(FILE.encode("gb18030"))
    assert (done.enrolled, done.opened, done.duplicate_count, done.error_count) == (1, 1, 1, 1)
    told = list(chain.member_imports.refused(hq, done.import_id))
    assert [(row.line, row.field, row.cells[0]) for row in told] == [(3, "phone", "A2"), (4, "duplicate", "A3")]
    with chain.db.read() as conn:
        (kept,) = conn.execute("SELECT string_agg(cells::text, '') FROM member_import_error").fetchone() or ("",)
    assert "1390013" not in bytes.fromhex(kept.replace("\\x", "")).decode("latin-1"), "rows are kept encrypted"

    text = b"".join(chain.member_imports.refused_file(hq, done.import_id)).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["doorline_line"] for row in rows] == ["3", "4"]
    again = send(text.replace("1390013", "13900139001").encode())
    assert (again.enrolled, again.duplicate_count, again.error_count) == (1, 1, 0)
    assert {job.import_id for job in chain.member_imports.jobs(hq)} == {
        tried.import_id,
        done.import_id,
        again.import_id,
    }
    # Who sends a workbook gets one back, and sends it again.
    book = load_workbook(io.BytesIO(b"".join(chain.member_imports.refused_file(hq, done.import_id, "xlsx"))))
    sheet = book.worksheets[0]
    assert [cell.value for cell in sheet["A"]][1:] == ["A2", "A3"]
    phones = next(column for column in sheet.iter_cols() if column[1].value == 1390013)
    phones[1].value = "13900139009"
    corrected = io.BytesIO()
    book.save(corrected)
    last = send(corrected.getvalue())
    assert (last.is_workbook, last.enrolled, last.known, last.duplicate_count) == (True, 0, 1, 1)
    assert b"".join(chain.member_imports.refused_file(hq, last.import_id))[:2] == b"PK"
    with pytest.raises(Forbidden):
        chain.member_imports.jobs(scope_of("manager"))
    with pytest.raises(NotFound):
        chain.member_imports.job(hq, uuid4())


def test_a_file_that_lacks_a_column_is_refused_at_once_and_a_column_may_be_said_not_to_be_there(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    hq = scope_of("hq")
    start = chain.member_imports.start
    with pytest.raises(InvalidInput) as refused:
        start(hq, "S01", io.BytesIO("姓名,电邮\n张伟,x\n".encode()), BASIS, {}, name="x", dry_run=True)
    assert refused.value.field == "phone"
    with pytest.raises(InvalidInput) as refused:
        start(hq, "S01", io.BytesIO(FILE.encode()), "short", {}, name="x", dry_run=True)
    assert refused.value.field == "basis"
    assert chain.member_imports.jobs(hq) == []
    job = start(hq, "S01", io.BytesIO(FILE.encode()), BASIS, {"points": ""}, name="x", dry_run=False)
    assert finished(chain, job.import_id).opened == 0
    chain.member_imports.save_format(hq, "旧系统", {"name": "姓名", "points": ""})
    assert chain.member_imports.formats(hq) == {"旧系统": {"name": "姓名", "points": ""}}
    with pytest.raises(InvalidInput):
        chain.member_imports.save_format(hq, "../x", {})
    chain.member_imports.delete_format(hq, "旧系统")
    with pytest.raises(NotFound):
        chain.member_imports.delete_format(hq, "旧系统")


def test_a_file_is_stopped_on_request_and_one_nobody_works_on_fails(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hq = scope_of("hq")
    # After each row, so that the request comes between two of them.
    monkeypatch.setattr("server.membership.importing._EVERY", 1)
    imports = MemberImports(chain.db, chain.members.imports, Sealer([("k", b"k" * 32)]), clock)
    run = MemberImport.run

    def stopped_by_somebody(self: MemberImport, *args: object, **more: object) -> MemberImportResult:
        (job,) = imports.jobs(hq)
        imports.cancel(hq, job.import_id)
        return run(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(MemberImport, "run", stopped_by_somebody)
    job = imports.start(hq, "S01", io.BytesIO(FILE.encode()), BASIS, {}, name="x", dry_run=False)
    found = finished(chain, job.import_id)
    imports.close()
    assert (found.state, found.rows, found.enrolled) == ("cancelled", 1, 1)
    assert "stopped on request" in found.reason

    lost = MemberImportJob(uuid4(), "S01", "x", "running", False, "hq", clock.now, clock.now)
    with chain.db.transaction() as conn:
        repository.insert_job(conn, lost, ["name"], ",")
    assert chain.member_imports.job(hq, lost.import_id).state == "running"
    clock.turn(seconds=(SILENCE + timedelta(seconds=1)).total_seconds())
    assert chain.member_imports.job(hq, lost.import_id).state == "failed"
    with chain.db.transaction() as conn:
        repository.purge(conn, clock.now + timedelta(days=1), clock.now + timedelta(days=1))
    assert chain.member_imports.jobs(hq) == []


def test_what_a_file_did_before_it_broke_off_is_kept_and_on_record(
    chain: Services, scope_of: Callable[[str], Scope], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third row meets a fault of ours; the second, refused shortly before, is there to be corrected."""
    hq = scope_of("hq")
    take = MemberImport._take

    def breaks(self: MemberImport, scope: Scope, read: object, *rest: object) -> object:
        if read.new.external_no == "A3":  # type: ignore[attr-defined]  # a row as it was read
            raise Unavailable("the database is away")
        return take(self, scope, read, *rest)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(MemberImport, "_take", breaks)
    job = chain.member_imports.start(hq, "S01", io.BytesIO(FILE.encode()), BASIS, {}, name="x", dry_run=False)
    failed = finished(chain, job.import_id)
    assert (failed.state, failed.rows, failed.enrolled, failed.error_count) == ("failed", 3, 1, 1)
    assert failed.reason == "the database is away"
    assert [row.line for row in chain.member_imports.refused(hq, job.import_id)] == [3]
    with chain.db.read() as conn:
        found = conn.execute("SELECT detail FROM audit WHERE action = 'member.import'").fetchall()
    assert found == [({"rows": 3, "enrolled": 1, "opened": 1, "failed": True},)]
