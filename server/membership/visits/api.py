"""Routes of visits."""

from datetime import datetime
from typing import Annotated, Literal, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.visits.models import CheckIn, Visit
from server.membership.visits.service import VisitsService

router = APIRouter(prefix="/api/v1/members", tags=["members"])

Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]


class _State(Protocol):
    visits: VisitsService


def _service(request: Request) -> VisitsService:
    return cast("_State", request.app.state.services).visits


class CheckInInput(Input):
    """A member who made themselves known in a store."""

    store: str = Field(max_length=64)
    how: Literal["phone", "card", "qr", "name"]
    key: str = Field(max_length=100, description="Of your own making; the same key again is the same check-in.")
    at: datetime | None = Field(None, description="When, where that was earlier: with a zone, a month ago at most.")


@router.post("/{member_id}/check-ins", status_code=201, summary="Check a member in")
def check_in(member_id: UUID, body: CheckInInput, request: Request, scope: Desk) -> CheckIn:
    """Book that a member is in a store. `is_first` says whether it is the first sign of them there that day."""
    return _service(request).check_in(scope, body.store, member_id, body.how, body.key, body.at)


@router.get("/{member_id}/visits", summary="A member's visits")
def visits(
    member_id: UUID, request: Request, scope: Desk, limit: Annotated[int, Query(ge=1, le=200)] = 20
) -> list[Visit]:
    """One per store and business day, newest first: check-ins, and sales at the till or fetched there."""
    return _service(request).visits(scope, member_id, limit)
