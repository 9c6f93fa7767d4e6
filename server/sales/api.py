"""Routes of receipts. The body of a batch is read as bytes and decoded by us, so that no amount is ever a float."""

from typing import Annotated, Any, Final, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.sales.conflicts import Choice, ConflictService
from server.sales.decoding import MOST_RECEIPTS, decode_batch
from server.sales.forms import Importer
from server.sales.models import NewReceipt, OpenConflict, PostResult, Receipt
from server.sales.service import SalesService

router = APIRouter(prefix="/api/v1/receipts", tags=["receipts"])

Poster = Annotated[Scope, Depends(require_role("till", "manager", "hq", "admin"))]
Reader = Annotated[Scope, Depends(require_role("manager", "region", "hq", "admin"))]


class _State(Protocol):
    sales: SalesService
    conflicts: ConflictService


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


_BODY: Final = {"requestBody": {"required": True, "content": {"application/json": {"schema": _receipt_schema()}}}}


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


class ResolutionInput(Input):
    """What was found, and which of the two is right."""

    why: str = Field(default="", max_length=500)
    choice: Choice = "kept"


@router.post("/conflicts/{conflict_id}/resolve", status_code=204, summary="End a conflict")
def resolve(request: Request, scope: Importer, conflict_id: int, body: ResolutionInput) -> Response:
    """Say which of two contents under one number is right.

    With `kept` the receipt that is kept stays, and the other is put away. With `other` the kept one is voided. With
    `both` they are two real sales of a till that began its numbers anew, and nothing is voided. In both of these the
    other is kept under a number of its own: the receipt's, a ~ and the conflict's id.
    """
    cast("_State", request.app.state.services).conflicts.decide(scope, conflict_id, body.choice, body.why)
    return Response(status_code=204)
