"""Routes of receipts. The body of a batch is read as bytes and decoded by us, so that no amount is ever a float.

A file is up to a gigabyte, and the framework would take in a form that is a parameter of a route before it asks who
sends it; so the form is read by a dependency that asks first.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import FormData, UploadFile

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.sales.csv_import import Mapping
from server.sales.decoding import MOST_RECEIPTS, decode_batch
from server.sales.models import ImportResult, NewReceipt, OpenConflict, PostResult, Receipt
from server.sales.service import SalesService

router = APIRouter(prefix="/api/v1/receipts", tags=["receipts"])

Poster = Annotated[Scope, Depends(require_role("till", "manager", "hq", "admin"))]
Importer = Annotated[Scope, Depends(require_role("manager", "hq", "admin"))]
Reader = Annotated[Scope, Depends(require_role("manager", "region", "hq", "admin"))]


class _State(Protocol):
    sales: SalesService


def _service(request: Request) -> SalesService:
    return cast("_State", request.app.state.services).sales


def _receipt_schema() -> dict[str, Any]:
    """The body's schema for the API's description, with nothing referred to elsewhere."""
    (schema,), parts = msgspec.json.schema_components([NewReceipt], ref_template="{name}")

    def inlined(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inlined(parts[node["$ref"]])
            return {key: inlined(value) for key, value in node.items()}
        return [inlined(each) for each in node] if isinstance(node, list) else node

    return {
        "type": "object",
        "required": ["receipts"],
        "additionalProperties": False,
        "properties": {
            "receipts": {"type": "array", "minItems": 1, "maxItems": MOST_RECEIPTS, "items": inlined(schema)}
        },
    }


_LONGEST_FIELD: Final = 4_000
_TRUE: Final = frozenset({"true", "1", "on", "yes"})
_FALSE: Final = frozenset({"", "false", "0", "off", "no"})
_EXAMPLE: Final = 'send {"at": "时间"}'
_BODY: Final = {"requestBody": {"required": True, "content": {"application/json": {"schema": _receipt_schema()}}}}


_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "store_id"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "UTF-8 or GB18030; comma, semicolon or tab.",
                        },
                        "store_id": {"type": "string"},
                        "mapping": {"type": "string", "description": "JSON: our columns to the file's headers."},
                        "dry_run": {
                            "type": "boolean",
                            "default": False,
                            "description": "Check everything, keep nothing.",
                        },
                    },
                }
            }
        },
    }
}


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("", summary="Post receipts", openapi_extra=_BODY)
def post_receipts(request: Request, scope: Poster, body: Annotated[bytes, Depends(_body)]) -> PostResult:
    """Post up to 5,000 receipts. Safe to send again: what is known with the same content counts as repeated.

    A receipt that is wrong is rejected with its field, the reason and what to do, and does not hold up the others. A
    known number with other content is a conflict: the first stays, the other is put aside for a person. Amounts may be
    strings or numbers; both are read digit by digit.
    """
    receipts, problems = decode_batch(body)
    result = _service(request).post_indexed(scope, receipts)
    result.rejected.extend(problems)
    result.rejected.sort(key=lambda problem: problem.index)
    return result


@dataclass(frozen=True, slots=True)
class Upload:
    """A form with a file in it."""

    file: BinaryIO
    store_id: str
    mapping: Mapping
    dry_run: bool


async def _upload(request: Request, _scope: Importer) -> Upload:
    """The form of whoever may send one."""
    return _upload_of(await request.form(max_files=1, max_fields=10))


@router.post("/csv", summary="Import a CSV file", openapi_extra=_FORM)
def import_csv(request: Request, scope: Importer, upload: Annotated[Upload, Depends(_upload)]) -> ImportResult:
    """Take receipts from a till's export; rows in a row with the same number are lines of one receipt."""
    return _service(request).import_csv(scope, upload.store_id, upload.file, upload.mapping, dry_run=upload.dry_run)


@router.get("", summary="Newest receipts")
def recent(
    request: Request,
    scope: Reader,
    store: Annotated[str, Query(max_length=32)],
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[Receipt]:
    """The newest receipts of a store."""
    return _service(request).recent(scope, store, limit)


@router.get("/conflicts", summary="Conflicts that wait for a person")
def conflicts(
    request: Request, scope: Reader, store: Annotated[str | None, Query(max_length=32)] = None
) -> list[OpenConflict]:
    """Receipts that came again with other content, oldest first."""
    return _service(request).open_conflicts(scope, store)


def _upload_of(form: FormData) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InvalidInput("there is no file", field="file", remedy="send it as multipart/form-data, in the field file")
    store_id = _text(form, "store_id").strip()
    if not store_id:
        raise InvalidInput("no store is given", field="store_id", remedy="say which store sold")
    return Upload(file.file, store_id, _mapping(_text(form, "mapping")), _truth(_text(form, "dry_run"), "dry_run"))


def _text(form: FormData, field: str) -> str:
    value = form.get(field, "")
    if not isinstance(value, str) or len(value) > _LONGEST_FIELD:
        raise InvalidInput(f"{field} is no short text", field=field, remedy="see this route in the API's description")
    return value


def _truth(text: str, field: str) -> bool:
    plain = text.strip().lower()
    if plain not in _TRUE | _FALSE:
        raise InvalidInput(f"{text!r} is neither true nor false", field=field, remedy="send true or false")
    return plain in _TRUE


def _mapping(text: str) -> Mapping:
    if not text.strip():
        return {}
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            f"the mapping is not JSON: {error}", field="mapping", remedy='send {"at": "时间"}'
        ) from error
    if not isinstance(mapping, dict) or not all(isinstance(value, str) for value in mapping.values()):
        raise InvalidInput("the mapping is no object of texts", field="mapping", remedy=_EXAMPLE)
    return mapping
