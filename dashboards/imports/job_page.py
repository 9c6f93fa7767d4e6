"""One file on its way: how far it is, what became of it, and its refused rows to be corrected and sent again.

The page asks for itself again while the file is at work (`static/js/parts.js`), so what moves is written by the same
template as what stands, and a browser without scripts has the same page to reload.
"""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from dashboards.imports.jobs import MOST_SHOWN, errors_of, job_line
from dashboards.imports.tabs import HEADQUARTERS, IMPORTERS, import_tabs
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.files.correction_files import MEDIA_TYPES, FileKind

router = page_router()

_RECEIPTS: Final = "/imports/receipts"
_MEMBERS: Final = "/imports/members"
Importer = Annotated[Viewer, Depends(viewer_with(*IMPORTERS))]
ImporterPosting = Annotated[Viewer, Depends(posting(*IMPORTERS))]
Headquarters = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
HeadquartersPosting = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]


@router.get("/imports/receipts/{import_id}")
def receipts(request: Request, import_id: UUID, viewer: Importer) -> Response:
    """A file of receipts."""
    return _page(request, viewer, request.app.state.services.imports, import_id, _RECEIPTS)


@router.post("/imports/receipts/{import_id}/cancel")
def cancel_receipts(request: Request, import_id: UUID, viewer: ImporterPosting) -> Response:
    """Stop after the slice at hand."""
    request.app.state.services.imports.cancel(viewer.scope, import_id)
    return RedirectResponse(f"{_RECEIPTS}/{import_id}", status_code=303)


@router.get("/imports/receipts/{import_id}/errors.csv")
def receipt_errors(request: Request, import_id: UUID, viewer: Importer) -> Response:
    """The refused rows as a file."""
    return _file(request.app.state.services.imports, viewer, import_id, "csv")


@router.get("/imports/receipts/{import_id}/errors.xlsx")
def receipt_errors_book(request: Request, import_id: UUID, viewer: Importer) -> Response:
    """The same as a workbook."""
    return _file(request.app.state.services.imports, viewer, import_id, "xlsx")


@router.get("/imports/members/{import_id}")
def members(request: Request, import_id: UUID, viewer: Headquarters) -> Response:
    """A file of members."""
    return _page(request, viewer, request.app.state.services.member_imports, import_id, _MEMBERS)


@router.post("/imports/members/{import_id}/cancel")
def cancel_members(request: Request, import_id: UUID, viewer: HeadquartersPosting) -> Response:
    """Stop soon; who was enrolled stays."""
    request.app.state.services.member_imports.cancel(viewer.scope, import_id)
    return RedirectResponse(f"{_MEMBERS}/{import_id}", status_code=303)


@router.get("/imports/members/{import_id}/errors.csv")
def member_errors(request: Request, import_id: UUID, viewer: Headquarters) -> Response:
    """The refused rows as a file."""
    return _file(request.app.state.services.member_imports, viewer, import_id, "csv")


@router.get("/imports/members/{import_id}/errors.xlsx")
def member_errors_book(request: Request, import_id: UUID, viewer: Headquarters) -> Response:
    """The same as a workbook."""
    return _file(request.app.state.services.member_imports, viewer, import_id, "xlsx")


def _page(request: Request, viewer: Viewer, imports: Any, import_id: UUID, base: str) -> Response:
    stores = request.app.state.services.stores.stores(viewer.scope)
    job = imports.job(viewer.scope, import_id)
    line = job_line(job, stores, viewer.locale, base=base)
    errors = errors_of(imports.refused(viewer.scope, import_id), viewer.locale) if job.finished_at else []
    back = "/imports" if base == _RECEIPTS else _MEMBERS
    return renderer_of(request).page(
        request,
        "imports/job.html",
        viewer,
        stores=stores,
        tabs=import_tabs(viewer, back),
        back=back,
        is_receipts=base == _RECEIPTS,
        job=line,
        errors=errors,
        is_cut=len(errors) >= MOST_SHOWN,
    )


def _file(imports: Any, viewer: Viewer, import_id: UUID, kind: FileKind) -> Response:
    name = f"errors-{import_id}.{kind}"
    return StreamingResponse(
        imports.refused_file(viewer.scope, import_id, kind),
        media_type=MEDIA_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
