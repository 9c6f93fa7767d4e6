"""A spreadsheet's CSV of facts or rosters: taken whole, or shown with what is wrong with each row to be put right.

Nothing of a file with a mistake is kept, so it comes back whole: the rows that were refused as fields, the rest unseen
in the form. What is sent again is the same file with those cells as they stand now, checked anew from the first row.
"""

import csv
import io
from collections import defaultdict
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import Depends, File, Request, Response, UploadFile
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import words_for
from dashboards.i18n import N_
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput
from server.kpi.tables import TableError as RowError
from server.kpi.tables import TableResult, cells_of, columns_of

router = page_router()

Kind = Literal["facts", "roster"]
#: A file that is corrected on a page is no larger; a larger one is mended where it was made.
MOST_BYTES: Final = 1_000_000
#: So many refused rows are shown as fields.
_MOST_SHOWN: Final = 50
_COLUMNS: Final = {
    "facts": "kind, from, to, title, detail, store, region, temperature, rain",
    "roster": "store, day, from, to, people, hours, note",
}
_EXAMPLES: Final = {
    "facts": "kind,from,to,title,store\npromotion,2026-11-27,2026-11-30,Black Friday,S01\n",
    "roster": "store,day,from,to,people\nS01,2026-11-16,10:00,18:00,3\nS01,2026-11-16,14:00,22:00,2.5\n",
}
_NOT_READ: Final = N_("The file can't be read, or lacks a column.")
_TOO_LARGE: Final = N_("The file is too large for this page; send it in parts.")
_NO_FILE: Final = N_("Choose a file.")
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]


@router.get("/entries/file")
def choose(request: Request, viewer: Reader, kind: Kind = "facts", store: str = "") -> Response:
    """Where a file is chosen."""
    return _page(request, viewer, kind, store)


@router.post("/entries/file")
def take(
    request: Request,
    viewer: Poster,
    kind: Annotated[Kind, Sent()],
    file: Annotated[UploadFile | None, File()] = None,
    store: Annotated[str, Sent(max_length=64)] = "",
) -> Response:
    """Take a file, or show what is wrong with its rows."""
    data = file.file.read(MOST_BYTES + 1) if file is not None else b""
    if not data:
        return _page(request, viewer, kind, store, problem=_NO_FILE, status=422)
    if len(data) > MOST_BYTES:
        return _page(request, viewer, kind, store, problem=_TOO_LARGE, status=422)
    return _taken(request, viewer, kind, store, data)


@router.post("/entries/file/again")
def again(
    request: Request,
    viewer: Poster,
    kind: Annotated[Kind, Sent()],
    content: Annotated[str, Sent(max_length=MOST_BYTES)],
    store: Annotated[str, Sent(max_length=64)] = "",
    rows: Annotated[list[int], Sent()] = [],  # noqa: B006 - FastAPI copies it
    cells: Annotated[list[str], Sent()] = [],  # noqa: B006
) -> Response:
    """The same file with some rows put right: `cells` are those rows' cells, one row after the other."""
    table = [list(own) for own in csv.reader(io.StringIO(content, newline=""))]
    width = len(table[0]) if table else 0
    for place, row in enumerate(rows):
        if 0 < row < len(table):
            table[row] = cells[place * width : (place + 1) * width]
    return _taken(request, viewer, kind, store, _written(table).encode())


def _taken(request: Request, viewer: Viewer, kind: Kind, store: str, data: bytes) -> Response:
    tables = request.app.state.services.tables
    read = tables.facts if kind == "facts" else tables.rosters
    try:
        result: TableResult = read(viewer.scope, io.BytesIO(data))
        lines = cells_of(io.BytesIO(data))
    except InvalidInput:
        return _page(request, viewer, kind, store, problem=_NOT_READ, status=422)
    if result.error_count:
        return _page(request, viewer, kind, store, result=result, lines=lines, status=422)
    home = _home(kind, store)
    note = "added" if kind == "facts" else "saved"
    return RedirectResponse(f"{home}{'&' if '?' in home else '?'}note={note}", status_code=303)


def _home(kind: Kind, store: str) -> str:
    if not store:
        return "/facts" if kind == "facts" else "/entries/file?kind=roster"
    return f"/stores/{quote(store, safe='')}/{'facts' if kind == 'facts' else 'roster'}"


def _written(table: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


def _page(
    request: Request,
    viewer: Viewer,
    kind: Kind,
    store: str,
    *,
    problem: str = "",
    result: TableResult | None = None,
    lines: list[tuple[int, list[str]]] | None = None,
    status: int = 200,
) -> Response:
    refused = _refused(kind, result, lines) if result is not None and lines else []
    return renderer_of(request).page(
        request,
        "entry/file.html",
        viewer,
        status=status,
        stores=request.app.state.services.stores.stores(viewer.scope),
        address=f"/entries/file?kind={kind}&store={quote(store, safe='')}",
        kind=kind,
        store=store,
        home=_home(kind, store) if store or (kind == "facts" and viewer.scope.has_role("admin", "hq")) else "",
        problem=problem,
        columns=_COLUMNS[kind],
        example=_EXAMPLES[kind],
        header=lines[0][1] if lines else [],
        refused=refused[:_MOST_SHOWN],
        more=max(0, (result.error_count if result else 0) - _MOST_SHOWN),
        row_count=result.rows if result else 0,
        error_count=result.error_count if result else 0,
        content=_written([cells for _, cells in lines]) if lines else "",
        note=request.query_params.get("note", ""),
    )


def _refused(kind: Kind, result: TableResult, lines: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
    """The refused rows, each with its cells and, beside the one that is wrong, why."""
    header = lines[0][1]
    ours = columns_of(kind, header)
    by_line: dict[int, list[RowError]] = defaultdict(list)
    for error in result.errors:
        by_line[error.line].append(error)
    found = []
    for place, (line, cells) in enumerate(lines):
        if place and line in by_line:
            error = by_line[line][0]
            wrong = _COLUMN_OF.get(error.field or "", error.field)
            found.append(
                {
                    "row": place,
                    "line": line,
                    "why": words_for(error.field),
                    "cells": [
                        {"text": cells[at] if at < len(cells) else "", "wrong": ours[at] == wrong}
                        for at in range(len(header))
                    ],
                }
            )
    return found


#: Fields of the services by the column of a file they come of.
_COLUMN_OF: Final = {
    "day_from": "from",
    "day_to": "to",
    "store_id": "store",
    "temperature_c": "temperature",
    "rain_mm": "rain",
    "shifts": "to",
}
