"""Receipts out of files as tills write them."""

import io
from collections.abc import Callable
from datetime import UTC
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.files.sheets import open_sheet
from server.sales.csv_format import time_of
from server.sales.formats import TillFormat
from server.sales.models import ImportResult
from server.sales.rows import RowReader
from server.services import Services
from server.stores.calendar import DayRule, StoreCalendar
from server.stores.models import EVER
from tests.server.conftest import SYSTEM


def load(
    services: Services,
    text: str | bytes,
    store: str = "S01",
    mapping: dict[str, str] | None = None,
    dry_run: bool = False,
) -> ImportResult:
    data = text.encode() if isinstance(text, str) else text
    return services.imports.run(SYSTEM, store, io.BytesIO(data), TillFormat(columns=mapping or {}), dry_run=dry_run)


LINES = """receipt_no,at,sku,quantity,unit_price,discount,gross
1001,2026-11-20 10:05,A1,2,19.90,0,47.13
1001,2026-11-20 10:05,B2,1,7.33,,47.13
1002,2026/11/20 10:20:30,A1,1,19.90,,
"""


def test_rows_of_one_number_are_lines_and_local_times_are_the_stores(chain: Services) -> None:
    result = load(chain, LINES)
    assert (result.rows, result.receipts, result.accepted, result.errors) == (3, 2, 2, [])
    newest, first = chain.sales.recent(SYSTEM, "S01")
    assert (first.gross, first.units, first.at.isoformat()) == (
        Decimal("47.13"),
        Decimal("3.000"),
        "2026-11-20T02:05:00+00:00",
    )
    assert (newest.gross, newest.at.isoformat()) == (Decimal("19.90"), "2026-11-20T02:20:30+00:00")
    again = load(chain, LINES)
    assert (again.accepted, again.repeated) == (0, 2)


def test_a_gb18030_file_with_chinese_headers_is_understood(chain: Services) -> None:
    text = (
        "小票号,日期,时间,商品编码,品名,数量,单价,优惠,支付方式,收银员\r\n"
        "9,2026/11/20,9:05:00,6901,青岛啤酒,6,￥5.50,0.5,微信,王芳\r\n"
    )
    result = load(chain, text.encode("gb18030"))
    assert (result.encoding, result.accepted, result.errors) == ("gb18030", 1, [])
    (kept,) = chain.sales.recent(SYSTEM, "S01")
    assert (kept.gross, kept.tender, kept.cashier, kept.at.hour) == (Decimal("32.50"), "微信", "王芳", 1)
    with chain.db.read() as conn:
        assert conn.execute("SELECT description FROM receipt_line").fetchall() == [("青岛啤酒",)]


def test_bom_semicolons_decimal_commas_and_quotes(chain: Services) -> None:
    text = '\ufeffReceipt-No;At;Total;Cashier\n"7";2026-11-19T10:00:00+01:00;"1234,50";"Müller; Jörg"\n'
    result = load(chain, text, store="B01")
    assert (result.accepted, result.errors) == (1, []), result
    (kept,) = chain.sales.recent(SYSTEM, "B01")
    assert (kept.gross, kept.cashier, kept.currency, kept.at.hour) == (Decimal("1234.50"), "Müller; Jörg", "EUR", 9)


def test_a_wrong_row_is_told_by_its_line_and_the_rest_is_taken(chain: Services) -> None:
    text = (
        "receipt_no,at,sku,quantity,unit_price,kind\n"
        "1,2026-11-20 10:00,A,1,10,\n"
        "2,2026-11-20 10:01,A,one,10,\n"
        "2,2026-11-20 10:01,B,1,1O,\n"
        "\n"
        "3,20.11.26,A,1,10,\n"
        ",2026-11-20 10:03,A,1,10,\n"
        "4,2026-11-20 10:04,A,1,10,swap\n"
        "1,2026-11-20 10:00,B,1,10,\n"
        "5,2026-11-20 10:05,A,1,10,\n"
        "5,2026-11-20 10:05,,1,10,\n"
        "6,2026-11-20 10:06,A,1,10,,,extra\n"
        "7,2026-11-20 10:07,A,1,10,\n"
    )
    result = load(chain, text)
    assert [(error.line, error.receipt_no, error.field) for error in result.errors] == [
        (3, "2", "quantity"),
        (4, "2", "unit_price"),
        (6, "3", "at"),
        (7, None, "receipt_no"),
        (8, "4", "kind"),
        (9, "1", "receipt_no"),
        (11, "5", "lines[1].sku"),
        (12, "6", ""),
    ]
    assert all(error.reason and error.remedy for error in result.errors)
    assert (result.receipts, result.accepted, result.rejected) == (9, 2, 7)


def test_a_dry_run_says_what_would_be_and_keeps_nothing(chain: Services) -> None:
    result = load(chain, LINES + "1003,2026-11-20 10:20,A1,1,x,,\n", dry_run=True)
    assert (result.dry_run, result.accepted, result.rejected) == (True, 2, 1)
    assert chain.sales.recent(SYSTEM, "S01") == []
    assert load(chain, LINES).accepted == 2


def test_a_mapping_names_columns_we_would_not_recognise(chain: Services) -> None:
    text = "Bon,Wann,Summe,Karte\n1,2026-11-20 10:00,5.00,1234567890\n"
    with pytest.raises(InvalidInput, match="no column for receipt_no") as refused:
        load(chain, text)
    assert refused.value.field == "mapping"
    mapping = {"receipt_no": "bon", "at": "Wann", "gross": "Summe", "member_card": "Karte"}
    result = load(chain, text, mapping=mapping)
    assert (result.accepted, [note.line for note in result.notes]) == (1, [2])
    with pytest.raises(InvalidInput, match="no column 'Betrag'"):
        load(chain, text, mapping={**mapping, "gross": "Betrag"})
    with pytest.raises(InvalidInput, match="'price' is no column of ours"):
        load(chain, text, mapping={"price": "Summe"})


def test_kinds_in_words_and_times_across_a_clock_change(chain: Services) -> None:
    text = (
        "小票号,交易时间,类型,金额,原单号\n"
        "1,2026-10-25 01:30,销售,10,\n"
        "2,2026-10-25 03:30,退货,4,1\n"
        "3,2026-10-25 03:40,作废,,1\n"
    )
    result = load(chain, text, store="B01")
    assert (result.accepted, result.errors) == (3, [])
    kept = {receipt.receipt_no: receipt for receipt in chain.sales.recent(SYSTEM, "B01")}
    assert [kept[n].kind for n in "123"] == ["sale", "refund", "void"]
    assert (kept["2"].at - kept["1"].at).total_seconds() == 3 * 3600
    assert kept["1"].voided_at == kept["3"].at


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-21 18:30", "2026-11-21T10:30:00"),
        ("2026/11/2 9:05:07", "2026-11-02T01:05:07"),
        ("2026.11.21 18:30:00", "2026-11-21T10:30:00"),
        # Fractions of a second, as databases export them; read as an offset they would be hours off.
        ("2026-11-21 18:30:00.123", "2026-11-21T10:30:00.123000"),
        ("2026-11-21 18:30:00.1234", "2026-11-21T10:30:00.123400"),
        ("2026-11-21 18:30:00.123456", "2026-11-21T10:30:00.123456"),
        ("2026-11-21T18:30:00.5+01:00", "2026-11-21T17:30:00.500000"),
        ("2026-11-21T18:30:00Z", "2026-11-21T18:30:00"),
    ],
)
def test_times_are_read_as_they_are_written(written: str, utc: str) -> None:
    at = time_of(written, StoreCalendar([DayRule(EVER, "Asia/Shanghai")]))
    assert at.astimezone(UTC).isoformat() == f"{utc}+00:00"


@pytest.mark.parametrize(
    ("written", "order", "day"),
    [
        ("3/4/2026 18:30", "dmy", "2026-04-03"),
        ("3/4/2026 18:30", "mdy", "2026-03-04"),
        ("03.04.2026 18:30:05", "dmy", "2026-04-03"),
        ("2026-04-03 18:30", "dmy", "2026-04-03"),
    ],
)
def test_which_of_two_numbers_is_the_month_is_said_and_not_guessed(written: str, order: str, day: str) -> None:
    calendar = StoreCalendar([DayRule(EVER, "Asia/Shanghai")])
    assert time_of(written, calendar, order).date().isoformat() == day
    if not written.startswith("2026"):
        with pytest.raises(ValueError, match="no date"):
            time_of(written, calendar)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no column for receipt_no"),
        (b"a,b\n1,2\n", "no column for receipt_no"),
        (b"receipt_no,at\n1,2\n", "no column for gross or unit_price"),
        (b"receipt_no,date,gross\n", r"no column for at \(or date and time\)"),
        (b"receipt_no,at,unit_price\n", "no column for sku"),
        (b"receipt_no,at,gross\n1,\x81\x20,3\n", "encoding is not known"),
        (b"x" * 150_000 + b",receipt_no,at,gross\n", "header is longer"),
        (b'receipt_no,at,gross\n1,2,"' + b"x" * 200_000, "line 2 can't be read"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(data: bytes, match: str) -> None:
    calendar = StoreCalendar([DayRule(EVER, "Asia/Shanghai")])
    with pytest.raises(InvalidInput, match=match):
        list(RowReader(open_sheet(io.BytesIO(data)), "S01", calendar, TillFormat()))


def test_many_rows_are_written_in_slices_with_progress(chain: Services) -> None:
    rows = [f"{number},2026-11-20 10:00,1.00\n" for number in range(1_050)]
    chain.imports.slice_rows = 500
    seen: list[tuple[int, int, int]] = []
    stream = io.BytesIO(("receipt_no,at,gross\n" + "".join(rows)).encode())
    result = chain.imports.run(SYSTEM, "S01", stream, progress=lambda *told: seen.append(told))
    size = len(stream.getvalue())
    assert (result.accepted, seen[-1], len(seen)) == (1_050, (1_050, size, size), 3)
    assert [rows for rows, _, _ in seen] == [500, 1_000, 1_050]
    assert not stream.closed
    assert chain.access.audit_trail(SYSTEM, 1)[0].action == "receipts.import"


def test_managers_import_for_their_own_store_only(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    manager = scope_of("manager")
    assert chain.imports.run(manager, "S01", io.BytesIO(LINES.encode())).accepted == 2
    with pytest.raises(Forbidden):
        chain.imports.run(manager, "S02", io.BytesIO(LINES.encode()))
    for other in ("desk", "region"):
        with pytest.raises(Forbidden):
            chain.imports.run(scope_of(other), "S01", io.BytesIO(LINES.encode()))
    with pytest.raises(NotFound):
        chain.imports.run(SYSTEM, "S99", io.BytesIO(LINES.encode()))
