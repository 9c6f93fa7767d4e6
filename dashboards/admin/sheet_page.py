"""Stores out of a spreadsheet, two hundred at once: shown first, with what is wrong row by row, and then added.

With a mistake in it a file adds nothing, unless whoever sends it chooses the good rows without the others; the page
says which it will be before it happens. The file travels in the form between the two steps, so nothing is kept of a
file that nobody took.
"""

import csv
import io
from typing import Annotated, Any, Final

from fastapi import Depends, File, Request, Response, UploadFile
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.admin.frame import page, words_of
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import InvalidInput, TooLarge
from server.stores.spreadsheet import COLUMNS, EXAMPLES, MOST_ROWS, SheetStore, StoreSheet, table_of

router = page_router()

MOST_BYTES: Final = 4_000_000
#: So many rows are shown of a file; the faulty ones first.
_MOST_SHOWN: Final = 300
_SHOWN: Final = ("store_id", "name", "region", "format", "tags", "timezone", "hours")
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NO_FILE: Final = N_("Choose a file.")
_TOO_LARGE: Final = N_("The file is too large; send it in parts.")
_NOT_READ: Final = N_("The file can't be read, lacks a column, or has too many rows.")
_TWICE: Final = N_("These columns mean the same. Take all but one of them out, or name them otherwise.")
_EMPTY: Final = N_("There is no row in the file.")
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq"))]


@router.get("/admin/stores/file")
def choose(request: Request, viewer: Reader, added: int = 0) -> Response:
    """Where a file is chosen."""
    return _page(request, viewer, added=added)


@router.get("/admin/stores/template.xlsx")
def template(viewer: Reader) -> Response:  # noqa: ARG001  # whoever may not is refused
    """A spreadsheet with all columns and two rows that show how they are written."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    if sheet is None:
        sheet = book.create_sheet()
    sheet.title = "stores"
    sheet.append(list(COLUMNS))
    for row in EXAMPLES:
        sheet.append(list(row))
    for place in range(1, len(COLUMNS) + 1):
        sheet.cell(1, place).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(place)].width = 18 if place < len(COLUMNS) else 60
    sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return _download(out.getvalue(), _XLSX, "stores.xlsx")


@router.get("/admin/stores/template.csv")
def template_csv(viewer: Reader) -> Response:  # noqa: ARG001
    """The same as CSV; with a mark at its beginning, so that a spreadsheet reads it as UTF-8."""
    return _download(f"\ufeff{_written([list(COLUMNS), *map(list, EXAMPLES)])}".encode(), "text/csv", "stores.csv")


@router.post("/admin/stores/file")
def look(request: Request, viewer: Poster, file: Annotated[UploadFile | None, File()] = None) -> Response:
    """Show what adding a file would do."""
    data = file.file.read(MOST_BYTES + 1) if file is not None else b""
    if not data:
        return _page(request, viewer, problem=_NO_FILE, status=422)
    if len(data) > MOST_BYTES:
        return _page(request, viewer, problem=_TOO_LARGE, status=422)
    return _looked_at(request, viewer, io.BytesIO(data))


@router.post("/admin/stores/file/add")
def add(
    request: Request,
    viewer: Poster,
    content: Annotated[str, Sent(max_length=MOST_BYTES)] = "",
    which: Annotated[str, Sent(max_length=10)] = "all",
) -> Response:
    """Add what was shown: all of it, or the good rows without the others."""
    try:
        result: StoreSheet = request.app.state.services.store_sheets.add(
            viewer.scope, io.BytesIO(content.encode()), good_only=which == "good"
        )
    except (InvalidInput, TooLarge):
        return _page(request, viewer, problem=_NOT_READ, status=422)
    if not result.added:
        return _page(request, viewer, result=result, status=422)
    return RedirectResponse(f"/admin/stores/file?added={result.added}", status_code=303)


def _looked_at(request: Request, viewer: Viewer, stream: io.BytesIO) -> Response:
    try:
        result: StoreSheet = request.app.state.services.store_sheets.look(viewer.scope, stream)
    except (InvalidInput, TooLarge) as error:
        twice = (error.detail or {}).get("twice", "")
        return _page(request, viewer, problem=_TWICE if twice else _NOT_READ, twice=twice, status=422)
    if not result.rows:
        return _page(request, viewer, problem=_EMPTY, status=422)
    return _page(request, viewer, result=result, status=422 if result.faulty else 200)


def _download(body: bytes, media_type: str, name: str) -> Response:
    return Response(body, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _written(table: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


def _page(
    request: Request,
    viewer: Viewer,
    *,
    problem: str = "",
    twice: str = "",
    result: StoreSheet | None = None,
    added: int = 0,
    status: int = 200,
) -> Response:
    ordered = [] if result is None else [*result.faulty, *(row for row in result.rows if row.fault is None)]
    return page(
        request,
        viewer,
        "sheet",
        tab="/admin/stores",
        status=status,
        address="/admin/stores/file",
        stores=request.app.state.services.stores.stores(viewer.scope),
        problem=problem,
        twice=twice,
        added=added,
        most=MOST_ROWS,
        columns=list(COLUMNS),
        shown=_SHOWN,
        result=result,
        good=0 if result is None else len(result.good),
        faulty=0 if result is None else len(result.faulty),
        rows=[_row(row) for row in ordered[:_MOST_SHOWN]],
        more=max(0, len(ordered) - _MOST_SHOWN),
        content="" if result is None else _written(table_of(result.rows)),
    )


def _row(row: SheetStore) -> dict[str, Any]:
    return {
        "line": row.line,
        "cells": [(column, row.cells.get(column, "")) for column in _SHOWN],
        "wrong": row.fault.field if row.fault else "",
        "why": words_of(row.fault.code, row.fault.field or "") if row.fault else "",
    }
