"""The route of members' shares of traffic and sales."""

from datetime import date
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request

from server.access.api import require_role
from server.access.models import Scope
from server.membership.visits.shares import READERS, MemberShares, StoreShares

router = APIRouter(prefix="/api/v1", tags=["members"])

Reader = Annotated[Scope, Depends(require_role(*READERS))]


class _State(Protocol):
    member_shares: MemberShares


@router.get("/member-shares", summary="Members' share of traffic and sales, by store and tier")
def member_shares(
    request: Request,
    scope: Reader,
    day_from: Annotated[date, Query(alias="from", description="First business day, each store's own.")],
    day_to: Annotated[date, Query(alias="to", description="The last one, included.")],
    store: Annotated[list[str] | None, Query(description="Left out: all of yours.")] = None,
) -> list[StoreShares]:
    """Visits, buyers, transactions and sales of members by the tier they had then, and their shares of the whole.

    Shares of the visitors are withheld, with the reason, where the store takes no check-ins or too little was watched.
    `as_of` and `pending` say how old the numbers are that all these are shares of.
    """
    return cast("_State", request.app.state.services).member_shares.shares(scope, day_from, day_to, store)
