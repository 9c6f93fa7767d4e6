"""Workbooks made to unpack to far more than was sent: refused before anything of them is unpacked."""

import io
import zipfile
from collections.abc import Callable

import pytest
from xlsxwriter import Workbook

from server.errors import InvalidInput, TooLarge
from server.files.sheets import open_sheet
from server.files.unpacking import MOST_TEXTS

_ROWS = [["receipt_no", "at"], ["1", "2026-11-01 10:00"]]


def workbook() -> bytes:
    out = io.BytesIO()
    with Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for line, row in enumerate(_ROWS):
            sheet.write_row(line, 0, row)
    return out.getvalue()


def swollen(name: str, by: int, *, called: str = "", piece: bytes = b"<si><t>A</t></si>", tight: bool = True) -> bytes:
    """A workbook one of whose parts has `by` bytes more, of one piece over and over, before its root ends.

    Args:
        called: the part's name in the packed file; empty: as it was.
        tight: packed; otherwise kept as it is.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as plain, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            content = plain.read(entry)
            if entry.filename == name:
                head, mark, tail = content.rpartition(b"</")
                kind = zipfile.ZIP_DEFLATED if tight else zipfile.ZIP_STORED
                packed.writestr(called or name, head + piece * (by // len(piece)) + mark + tail, kind)
            elif entry.filename == "[Content_Types].xml" and called:
                packed.writestr(entry, content.replace(name.encode(), called.encode()))
            else:
                packed.writestr(entry, content)
    return out.getvalue()


def test_a_workbook_as_people_send_it_is_read() -> None:
    sheet = open_sheet(io.BytesIO(workbook()))
    assert (sheet.header, [row.cells for row in sheet.rows()]) == (_ROWS[0], _ROWS[1:])


@pytest.mark.parametrize(
    ("bomb", "most", "why"),
    [
        (lambda: swollen("xl/sharedStrings.xml", 4_000_000), 2**31, "sharedStrings.xml in the workbook is packed more"),
        (lambda: swollen("xl/worksheets/sheet1.xml", 4_000_000, piece=b"<row/>"), 2**31, "packed more than 100 to 1"),
        (lambda: swollen("xl/sharedStrings.xml", MOST_TEXTS, tight=False), 2**31, "unpacks to more than 64 MiB"),
        (lambda: swollen("xl/styles.xml", 2**24, piece=b"<x/>", tight=False), 2**31, "more than 16 MiB"),
        # Texts that are called a sheet are texts.
        (
            lambda: swollen("xl/sharedStrings.xml", MOST_TEXTS, called="xl/worksheets/sheet9.xml", tight=False),
            2**31,
            "sheet9.xml in the workbook unpacks to more than",
        ),
        (lambda: swollen("xl/worksheets/sheet1.xml", 2**21, piece=b"<row/>", tight=False), 2**21, "more than 2 MiB"),
    ],
)
def test_what_unpacks_to_more_than_anybody_sends_is_refused(bomb: Callable[[], bytes], most: int, why: str) -> None:
    with pytest.raises(TooLarge, match=why) as refused:
        open_sheet(io.BytesIO(bomb()), most_unpacked=most)
    assert (refused.value.field, refused.value.remedy) == ("file", "send it as CSV, or in parts")


def test_a_packed_file_that_is_no_workbook_is_told_so() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("notes.txt", "nothing")
    with pytest.raises(InvalidInput, match="the workbook can't be read"):
        open_sheet(io.BytesIO(out.getvalue()))
