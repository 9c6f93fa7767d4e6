"""Files as jobs: tried, watched, stopped, corrected and sent again; of either kind, and each receipt once."""

import csv
import io
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import xlsxwriter
from fastapi.testclient import TestClient
from openpyxl import load_workbook

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.files.correction_files import FileKind
from server.jobs.outside import ImportRetention
from server.sales.formats import TillFormat, format_of
from server.sales.importing import SILENCE
from server.sales.models import ImportResult, NewReceipt
from server.services import Services
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock

#: A workbook knows no timezones.
AT = datetime(2026, 11, 20, 10, 5)  # noqa: DTZ001
HEAD = "receipt_no,at,sku,quantity,unit_price,member_phone\n"


def load(services: Services, text: str, form: TillFormat | None = None, **more: Any) -> ImportResult:
    return services.imports.run(SYSTEM, "S01", io.BytesIO(text.encode()), form, name="till.csv", **more)


def workbook(rows: list[list[object]]) -> io.BytesIO:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("November")
    when = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    for line, row in enumerate(rows):
        for place, value in enumerate(row):
            if isinstance(value, datetime):
                sheet.write_datetime(line, place, value, when)
            else:
                sheet.write(line, place, value)
    book.close()
    return out


def refused_file(services: Services, result: ImportResult, kind: FileKind | None = None) -> bytes:
    return b"".join(services.imports.refused_file(SYSTEM, result.import_id, kind))


def kept(services: Services) -> list[tuple[str, Decimal]]:
    return sorted((each.receipt_no, each.gross) for each in services.sales.recent(SYSTEM, "S01", 500))


def count(services: Services) -> int:
    with services.db.read() as conn:
        row = conn.execute("SELECT count(*) FROM receipt").fetchone()
    assert row is not None
    return int(row[0])


def test_a_workbook_is_read_as_a_till_would_write_it(chain: Services) -> None:
    book = workbook(
        [
            ["小票号", "交易时间", "货号", "数量", "单价", "手机号"],
            [1001, AT, 6901234567890, 2, 19.9, 13800138000],
            [1001, AT, "B2", 0.3, 0.1 + 0.2, ""],
            [],
            ["1002", "2026-11-20 10:20", "A1", 1, "x", ""],
        ]
    )
    result = chain.imports.run(SYSTEM, "S01", book, name="november.xlsx")
    assert (result.encoding, result.rows, result.accepted, result.rejected) == ("xlsx", 3, 1, 1)
    assert [(error.line, error.field) for error in result.errors] == [(5, "unit_price")]
    (receipt,) = chain.sales.recent(SYSTEM, "S01")
    assert (receipt.receipt_no, receipt.gross, receipt.at.isoformat()) == (
        "1001",
        Decimal("39.89"),
        "2026-11-20T02:05:00+00:00",
    )
    with chain.db.read() as conn:
        assert conn.execute("SELECT sku, unit_price FROM receipt_line ORDER BY line_no").fetchall() == [
            ("6901234567890", Decimal("19.90")),
            ("B2", Decimal("0.30")),
        ]


def test_a_workbook_whose_table_begins_further_down_on_another_sheet(chain: Services) -> None:
    book = workbook([["Report of November"], [], ["receipt_no", "at", "gross"], ["1", "2026-11-20 10:00", 5]])
    form = format_of(b'{"header_row": 3, "sheet": "November"}')
    assert chain.imports.run(SYSTEM, "S01", book, form).accepted == 1
    with pytest.raises(InvalidInput, match="no sheet 'May'"):
        chain.imports.run(SYSTEM, "S01", book, TillFormat(sheet="May"))
    with pytest.raises(InvalidInput, match="can't be read"):
        chain.imports.run(SYSTEM, "S01", io.BytesIO(b"PK\x03\x04 and nothing else"))


def test_rows_that_are_not_taken_come_back_in_a_file_to_be_corrected_and_sent_again(chain: Services) -> None:
    first = load(
        chain,
        HEAD
        + "1,2026-11-20 10:00,A,1,10,\n"
        + "2,2026-11-20 10:01,A,one,10,13800138000\n"
        + '2,2026-11-20 10:01,"B, large",1,5,\n'
        + "3,2026-11-20 10:02,A,1,10,\n",
    )
    assert (first.accepted, first.rejected) == (2, 1)
    data = refused_file(chain, first)
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert rows[0][:2] == ["receipt_no", "at"]
    assert [(row[0], row[6], row[7], bool(row[8])) for row in rows[1:]] == [
        ("2", "3", "quantity", True),
        ("2", "4", "", False),
    ], "all rows of the receipt, and what is wrong beside the one to blame"
    corrected = data.decode("utf-8-sig").replace(",one,", ",1,")
    second = load(chain, corrected)
    assert (second.accepted, second.rejected, second.errors) == (1, 0, [])
    assert kept(chain) == [("1", Decimal(10)), ("2", Decimal(15)), ("3", Decimal(10))]
    with chain.db.read() as conn:
        (stored,) = conn.execute("SELECT string_agg(cells::text, '') FROM sales_import_error").fetchone() or ("",)
    assert b"13800138000".hex() not in stored, "a phone number lies in the database in the clear"
    assert chain.access.audit_trail(SYSTEM, 5)[1].action == "receipts.import_errors_read"


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_would_run_in_a_spreadsheet_does_not_and_comes_back_as_it_was(chain: Services, kind: str) -> None:
    """Also by way of a workbook, and a second time; what was written with an apostrophe keeps it."""
    texts = ["=1+1", "+8613800138000", "@SUM(A1)", "'=1", " =1", "-2+3", "＝1", "'quoted", "-", "plain"]
    head = "receipt_no,at,sku,description,quantity,unit_price,=note\n"
    result = load(
        chain, head + "".join(f"{place},2026-11-20 10:00,=A,{text},one,-1.50,x\n" for place, text in enumerate(texts))
    )
    assert result.rejected == len(texts)
    for _ in range(2):
        rows = list(csv.reader(io.StringIO(refused_file(chain, result, "csv").decode("utf-8-sig"))))
        assert [cell for row in rows for cell in row if cell[:1] in {"=", "+", "@", "＝", "-"}] == ["-1.50"] * len(
            texts
        )
        assert [row[3] for row in rows[1:]][-3:] == ["'quoted", "'-", "plain"]
        sent = workbook(list(rows)) if kind == "xlsx" else io.BytesIO(_written(rows))  # type: ignore[arg-type]
        result = chain.imports.run(SYSTEM, "S01", sent)
        assert [row.cells[:6] for row in chain.imports.refused(SYSTEM, result.import_id)] == [
            [str(place), "2026-11-20 10:00", "=A", text, "one", "-1.50"] for place, text in enumerate(texts)
        ]
    corrected = [[cell.replace("one", "1").replace("-1.50", "1.50") for cell in row] for row in rows]
    assert chain.imports.run(SYSTEM, "S01", io.BytesIO(_written(corrected))).accepted == len(texts)
    with chain.db.read() as conn:
        found = conn.execute("SELECT description FROM receipt_line ORDER BY receipt_no").fetchall()
    assert [text for (text,) in found] == [text.strip() for text in texts]


def _written(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def test_a_workbook_goes_back_as_a_workbook_and_is_corrected_in_it(chain: Services) -> None:
    """Whatever the till's format says of where its files have their header: ours has it on top."""
    above: list[list[object]] = [["November"], []]
    head: list[object] = ["receipt_no", "at", "sku", "description", "quantity", "unit_price", "cashier"]
    rows: list[list[object]] = [
        head,
        ["007", AT, "A", "=1+1", "one", 19.9, "'quoted"],
        [8, AT, "B", "+86 138", 2, 5, "-"],
        ["12345678901234567", AT, "C", "plain", "two", 0.5, ""],
    ]
    form = format_of(b'{"header_row": 3}')
    first = chain.imports.run(SYSTEM, "S01", workbook([*above, *rows]), form)
    assert (first.accepted, first.rejected) == (1, 2)
    assert chain.imports.job(SYSTEM, first.import_id).is_workbook
    book = load_workbook(io.BytesIO(refused_file(chain, first)))
    sheet = book.worksheets[0]
    given = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert [row[:7] for row in given[1:]] == [
        ["007", "2026-11-20 10:05:00", "A", "'=1+1", "one", 19.9, "'quoted"],
        ["12345678901234567", "2026-11-20 10:05:00", "C", "plain", "two", 0.5, None],
    ]
    assert [row[7:9] for row in given[1:]] == [[4, "quantity"], [6, "quantity"]]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s", "n"}, "a formula"
    sheet["E2"], sheet["E3"] = 1, 2
    corrected = io.BytesIO()
    book.save(corrected)
    second = chain.imports.run(SYSTEM, "S01", corrected, form)
    assert (second.accepted, second.rejected, second.errors) == (2, 0, [])
    assert [number for number, _ in kept(chain)] == ["007", "12345678901234567", "8"]
    with chain.db.read() as conn:
        found = conn.execute("SELECT description FROM receipt_line WHERE receipt_no = '007'").fetchone()
    assert found == ("=1+1",), "as it was in the till's file"
    assert refused_file(chain, first, "csv").startswith(b"\xef\xbb\xbf")


def test_what_only_the_service_finds_wrong_is_told_by_its_own_row(chain: Services) -> None:
    result = load(
        chain,
        HEAD
        + "1,2026-11-20 10:00,A,1,10,\n"
        + "\n"
        + "1,2026-11-20 10:00,B,1,10.005,\n"
        + "2,2027-11-20 10:00,A,1,1,\n",
    )
    assert [(error.line, error.field) for error in result.errors] == [(4, "lines[1].unit_price"), (5, "at")]
    assert result.rejected == 2


def test_the_same_file_again_changes_nothing_and_a_conflict_is_told_with_its_rows(chain: Services) -> None:
    text = HEAD + "".join(f"{number},2026-11-20 10:00,A,1,{number}.00,\n" for number in range(1, 50))
    assert load(chain, text).accepted == 49
    before = kept(chain)
    again = load(chain, text)
    assert (again.accepted, again.repeated, again.error_count) == (0, 49, 0)
    other = load(chain, HEAD + "7,2026-11-20 10:00,A,1,99.00,\n")
    assert (other.conflicts, other.error_count) == (1, 1)
    assert "99.00" in refused_file(chain, other).decode()
    assert kept(chain) == before
    assert len(chain.sales.open_conflicts(SYSTEM)) == 1


def test_a_number_that_comes_back_later_is_found_across_slices(chain: Services) -> None:
    middle = "".join(f"{number},2026-11-20 10:00,A,1,1.00,\n" for number in range(2, 500))
    chain.imports.slice_rows = 100
    result = load(
        chain, HEAD + "1,2026-11-20 10:00,A,1,1.00,\n" + middle + "1,2026-11-20 10:00,B,1,1.00,\n", dry_run=True
    )
    assert (result.accepted, [error.line for error in result.errors]) == (499, [501])
    assert kept(chain) == []


def test_a_format_says_what_a_file_does_not(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    form = format_of(
        '{"columns": {"receipt_no": "Bon", "at": "Wann", "gross": "Summe", "kind": "Art"}, "date_order": "dmy",'
        ' "decimal_comma": true, "tax_included": true, "kinds": {"Rückgabe": "refund"}}'
    )
    chain.formats.save(scope_of("hq"), "kasse", form)
    text = 'Bon;Wann;Summe;Art;VAT\n1;03.11.2026 10:00;"11,90";sale;1,90\n2;03.11.2026 10:05;"5,00";Rückgabe;\n'
    found = chain.formats.named(SYSTEM, "kasse")
    assert load(chain, text, found).accepted == 2
    refund, sale = chain.sales.recent(SYSTEM, "S01")
    assert (sale.tax, sale.tax_included, sale.net) == (Decimal("1.90"), True, Decimal("10.00"))
    assert (refund.kind, refund.tax, refund.net) == ("refund", None, None)
    assert [entry.action for entry in chain.access.audit_trail(SYSTEM, 2)][1] == "receipts.format_saved"
    with pytest.raises(Forbidden):
        chain.formats.save(scope_of("manager"), "kasse", form)
    with pytest.raises(InvalidInput, match="can't be read"):
        format_of(b'{"colums": {}}')
    chain.formats.delete(SYSTEM, "kasse")
    with pytest.raises(NotFound):
        chain.formats.named(SYSTEM, "kasse")


def test_a_preview_says_what_each_column_is_taken_for(chain: Services) -> None:
    text = "receipt_no,at,gross,Laune\n1,2026-11-20 10:00,5.00,gut\n2,20.11.26,5.00,\n"
    seen = chain.imports.preview(SYSTEM, "S01", io.BytesIO(text.encode()), TillFormat())
    assert [(column.header, column.ours) for column in seen.columns] == [
        ("receipt_no", "receipt_no"),
        ("at", "at"),
        ("gross", "gross"),
        ("Laune", None),
    ]
    assert [receipt.gross for receipt in seen.receipts] == [Decimal("5.00")]
    assert [(error.line, error.field) for error in seen.errors] == [(3, "at")]
    assert kept(chain) == []
    assert chain.imports.jobs(SYSTEM) == []


def test_a_job_is_watched_and_stopped_from_elsewhere_and_what_was_written_stays(chain: Services) -> None:
    """The slice at hand is finished; the same file again goes on where it was."""
    text = HEAD + "".join(f"{number},2026-11-20 10:00,A,1,1.00,\n" for number in range(1_600))
    chain.imports.slice_rows = 500
    asked: list[str] = []

    def ask(rows: int, _done: int, _size: int) -> None:
        (job,) = chain.imports.jobs(SYSTEM)
        assert (job.state, job.rows, job.accepted) == ("running", rows, rows)
        assert 0 < job.done <= job.size
        if not asked:
            asked.append(chain.imports.cancel(SYSTEM, job.import_id).state)

    result = load(chain, text, progress=ask)
    (job,) = chain.imports.jobs(SYSTEM)
    assert job.state == "cancelled"
    assert 500 <= result.accepted < 1_600
    assert job.accepted == result.accepted == count(chain)
    again = load(chain, text)
    assert (again.repeated, again.accepted) == (result.accepted, 1_600 - result.accepted)


def test_a_slice_checked_before_its_store_changed_is_checked_again(chain: Services) -> None:
    new = NewReceipt(store_id="S01", receipt_no="R1", at=chain.clock(), gross=Decimal(5), currency="CNY")
    write = chain.sales.slices(SYSTEM, keep=True)([(0, new)])
    with chain.db.transaction() as conn:
        conn.execute("UPDATE store SET currency = 'EUR' WHERE store_id = 'S01'")
    (problem,) = write().rejected
    assert problem.field == "currency"


def test_a_job_whose_process_died_is_told_by_its_silence(chain: Services, clock: TurnedClock) -> None:
    load(chain, HEAD + "1,2026-11-20 10:00,A,1,1.00,\n")
    with chain.db.transaction() as conn:
        conn.execute("UPDATE sales_import SET state = 'running', finished_at = NULL")
    assert chain.imports.jobs(SYSTEM)[0].state == "running"
    clock.now += SILENCE + timedelta(seconds=1)
    (job,) = chain.imports.jobs(SYSTEM)
    assert job.state == "failed"
    assert "send the same file again" in job.reason


def test_rows_to_correct_go_after_a_fortnight(chain: Services, clock: TurnedClock) -> None:
    result = load(chain, HEAD + "1,2026-11-20 10:00,A,one,1.00,\n")
    job = ImportRetention(chain.db, clock)
    clock.turn(days=13)
    assert job.run(threading.Event()) is None
    clock.turn(days=2)
    assert job.run(threading.Event()) == "1 rows to correct deleted"
    assert list(chain.imports.refused(SYSTEM, result.import_id)) == []


def test_a_manager_sees_the_files_of_the_own_store_only(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    result = load(chain, HEAD + "1,2026-11-20 10:00,A,1,1.00,\n")
    text = io.BytesIO((HEAD + "1,2026-11-20 10:00,A,1,1.00,\n").encode())
    other = chain.imports.run(SYSTEM, "S02", text)
    manager = scope_of("manager")
    assert [job.import_id for job in chain.imports.jobs(manager)] == [result.import_id]
    for refused in (chain.imports.job, chain.imports.cancel, chain.imports.refused_file):
        with pytest.raises(NotFound):
            refused(manager, other.import_id)
    with pytest.raises(Forbidden):
        chain.imports.jobs(scope_of("desk"))


def test_the_api_answers_at_once_tells_how_far_it_is_and_gives_back_what_is_wrong(
    chain: Services, sign_in: Callable[[str], TestClient]
) -> None:
    hq = sign_in("hq")
    text = HEAD + "1,2026-11-20 10:00,A,1,10,\n2,2026-11-20 10:01,A,one,10,\n"
    saved = hq.put("/api/v1/receipts/formats/acme", content=b'{"tax_included": true}')
    assert saved.status_code == 204, saved.text
    assert hq.get("/api/v1/receipts/formats").json()["acme"]["tax_included"] is True
    form = {"store_id": "S01", "till": "acme"}
    seen = hq.post("/api/v1/receipts/imports/preview", data=form, files={"file": ("a.csv", text)})
    assert [column["ours"] for column in seen.json()["columns"]][:2] == ["receipt_no", "at"]
    started = hq.post("/api/v1/receipts/imports", data=form, files={"file": ("a.csv", text)})
    assert started.status_code == 202, started.text
    path = f"/api/v1/receipts/imports/{started.json()['import_id']}"
    job = wait_until(lambda: (now := hq.get(path).json())["state"] == "done" and now, what="the import to end")
    assert (job["file_name"], job["rows"], job["accepted"], job["rejected"]) == ("a.csv", 2, 1, 1)
    assert job["done"] == job["size"] == len(text)
    errors = hq.get(f"{path}/errors.csv")
    assert errors.headers["content-type"] == "text/csv; charset=utf-8"
    assert b"2,2026-11-20 10:01,A,one,10,,3,quantity," in errors.content
    assert hq.post(f"{path}/cancel").json()["state"] == "done"
    assert [each["import_id"] for each in hq.get("/api/v1/receipts/imports?store=S01").json()] == [job["import_id"]]
    wrong = hq.post("/api/v1/receipts/imports", data=form, files={"file": ("a.csv", "a,b\n1,2\n")})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "mapping")


def test_a_server_that_ends_stops_its_imports_and_says_so(chain: Services) -> None:
    chain.imports.close()
    result = load(chain, HEAD + "1,2026-11-20 10:00,A,1,1.00,\n")
    assert result.accepted == 0
    assert chain.imports.job(SYSTEM, result.import_id).state == "cancelled"
