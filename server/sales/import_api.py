"""Routes of files of receipts: previewed, brought in behind a job, watched, stopped, and sent again corrected."""

from typing import Annotated, Protocol, cast
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from server.access.models import Scope
from server.files.correction_files import MEDIA_TYPES, FileKind
from server.sales.formats import format_of
from server.sales.forms import FORM, Form, Importer
from server.sales.importing import ImportService
from server.sales.models import ImportJob, ImportResult, Preview
from server.sales.till_formats import FormatService

router = APIRouter(prefix="/api/v1/receipts", tags=["receipts"])


class _State(Protocol):
    imports: ImportService
    formats: FormatService


def _services(request: Request) -> _State:
    return cast("_State", request.app.state.services)


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("/csv", summary="Import a file and wait", openapi_extra=FORM)
def import_file(request: Request, scope: Importer, upload: Form) -> ImportResult:
    """Take receipts from a till's export; rows in a row with the same number are lines of one receipt.

    The answer comes when all is done; for large files there are imports, which answer at once.
    """
    services = _services(request)
    form = upload.format(scope, services.formats)
    return services.imports.run(scope, upload.store_id, upload.file, form, name=upload.name, dry_run=upload.dry_run)


@router.post("/imports/preview", summary="Preview a file", openapi_extra=FORM)
def preview(request: Request, scope: Importer, upload: Form) -> Preview:
    """How a file would be read: its columns and which of ours they are taken for, its first rows, the receipts they
    make, and what is wrong with them. Nothing is kept."""
    services = _services(request)
    return services.imports.preview(scope, upload.store_id, upload.file, upload.format(scope, services.formats))


@router.post("/imports", status_code=202, summary="Import a file", openapi_extra=FORM)
def start_import(request: Request, scope: Importer, upload: Form) -> ImportJob:
    """Bring in a file of any length. The answer is a job, which tells how far it is and can be cancelled; a file that
    can't be read as a whole is refused at once. Safe to send again: what is known counts as repeated."""
    services = _services(request)
    form = upload.format(scope, services.formats)
    return services.imports.start(scope, upload.store_id, upload.file, form, name=upload.name, dry_run=upload.dry_run)


@router.get("/imports", summary="Imports")
def imports(
    request: Request,
    scope: Importer,
    store: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[ImportJob]:
    """The latest imports, latest first."""
    return _services(request).imports.jobs(scope, store, limit)


@router.get("/imports/{import_id}", summary="How far an import is")
def import_job(request: Request, scope: Importer, import_id: UUID) -> ImportJob:
    """One import: its state, how much of the file is read, and what became of its receipts so far."""
    return _services(request).imports.job(scope, import_id)


@router.post("/imports/{import_id}/cancel", summary="Cancel an import")
def cancel(request: Request, scope: Importer, import_id: UUID) -> ImportJob:
    """Stop after the slice at hand. What was written stays, and the same file can be sent again."""
    return _services(request).imports.cancel(scope, import_id)


@router.get(
    "/imports/{import_id}/errors.csv",
    summary="Rows to correct",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def errors_file(request: Request, scope: Importer, import_id: UUID) -> StreamingResponse:
    """The rows that were not taken, as they stood in the file, with what is wrong in columns of its own at the end.
    Correct them and send this file as it is. They are kept for 14 days."""
    return _errors(request, scope, import_id, "csv")


@router.get(
    "/imports/{import_id}/errors.xlsx",
    summary="Rows to correct, as a workbook",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPES["xlsx"]: {}}}},
)
def errors_book(request: Request, scope: Importer, import_id: UUID) -> StreamingResponse:
    """The same rows, for who sent a workbook and corrects it in one."""
    return _errors(request, scope, import_id, "xlsx")


@router.get("/formats", summary="Formats of tills")
def formats(request: Request, scope: Importer) -> dict[str, dict[str, object]]:
    """How the files of each kind of till are read, by name."""
    found = _services(request).formats.all(scope)
    return {name: msgspec.to_builtins(form) for name, form in found.items()}


@router.put(
    "/formats/{name}",
    status_code=204,
    summary="Save a till's format",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
def save_format(request: Request, scope: Importer, name: str, body: Annotated[bytes, Depends(_body)]) -> Response:
    """Say how the files of a kind of till are read: columns, header_row, sheet, date_order, decimal_comma,
    tax_included, kinds, channels. Imports name it as `till`."""
    _services(request).formats.save(scope, name, format_of(body))
    return Response(status_code=204)


@router.delete("/formats/{name}", status_code=204, summary="Forget a till's format")
def delete_format(request: Request, scope: Importer, name: str) -> Response:
    """Forget how the files of a kind of till are read."""
    _services(request).formats.delete(scope, name)
    return Response(status_code=204)


def _errors(request: Request, scope: Scope, import_id: UUID, kind: FileKind) -> StreamingResponse:
    rows = _services(request).imports.refused_file(scope, import_id, kind)
    name = f'attachment; filename="errors-{import_id}.{kind}"'
    return StreamingResponse(rows, media_type=MEDIA_TYPES[kind], headers={"Content-Disposition": name})
