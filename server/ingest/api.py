"""Routes of ingest: what was watched and what was not."""

from dataclasses import replace
from datetime import date
from typing import Annotated, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from server.access.api import require_role
from server.access.models import Scope
from server.ingest.ledger import GapLedger, Ledger

router = APIRouter(prefix="/api/v1", tags=["ingest"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]

_json = msgspec.json.Encoder()


class _State(Protocol):
    gaps: GapLedger


def _services(request: Request) -> _State:
    return cast("_State", request.app.state.services)


@router.get("/coverage", summary="What was measured, late, imputed and missing", response_model=Ledger)
def coverage(
    request: Request,
    scope: Reader,
    store_id: Annotated[str, Query(alias="store", max_length=32, description="The store.")],
    day_from: Annotated[date, Query(alias="from", description="First business day.")],
    day_to: Annotated[date, Query(alias="to", description="Last business day, included.")],
    gaps_only: Annotated[bool, Query(description="Leave out the quarter hours that were measured whole.")] = False,
) -> Response:
    """The gap ledger: per camera and quarter hour the seconds that were due within opening hours, in four columns that
    add up to them, and why they were not all measured in time; and what is lost for good, to the number."""
    found = _services(request).gaps.ledger(scope, store_id, day_from, day_to)
    if gaps_only:
        found = replace(found, quarters=tuple(row for row in found.quarters if row.is_gap))
    return Response(_json.encode(found), media_type="application/json")
