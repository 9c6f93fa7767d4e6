"""Routes of customer value: gradings, costs, what members are worth, and how the chain stood."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Protocol, cast
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput
from server.inputs import Input
from server.membership.value.models import (
    Band,
    Grading,
    MemberCost,
    MemberValue,
    Occasion,
    SavedGrading,
    ServingCost,
    Stage,
    Standing,
)
from server.membership.value.service import ValueService

router = APIRouter(prefix="/api/v1/value", tags=["members"])

Headquarters = Annotated[Scope, Depends(require_role("admin", "hq"))]
Manager = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]
Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
_TREND = timedelta(days=90)


class _State(Protocol):
    value: ValueService
    clock: Clock


def _state(request: Request) -> _State:
    return cast("_State", request.app.state.services)


class GradingInput(Input):
    """A new version of how members are graded. What is left out is as by default."""

    rules: dict[str, object] = Field(description="Fields of a grading; see the answer of GET.")
    reason: str = Field(max_length=500)


class ServingCostInput(Input):
    """What an occasion costs, in the reporting currency, from a day on."""

    occasion: Occasion
    valid_from: date
    amount: Decimal


class MemberCostInput(Input):
    """What was spent on one member, in the reporting currency; a negative amount takes back."""

    cost_id: UUID = Field(description="Of your own making; known already, it changes nothing.")
    member_id: UUID
    day: date
    amount: Decimal
    what: str = Field(max_length=200)


@dataclass(frozen=True, slots=True)
class GradingAnswer:
    """A version of how members are graded; `rules` are all of its fields."""

    version: int
    rules: dict[str, object]
    saved_by: str
    saved_at: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entered:
    """How many entries are new."""

    entered: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Members by grade of recency and of frequency."""

    r: int
    f: int
    members: int
    value: Decimal


@router.get("/gradings", summary="How members are graded")
def gradings(request: Request, scope: Headquarters) -> list[GradingAnswer]:
    """Versions, the one in force first; none before the first night."""
    return [_told(saved) for saved in _state(request).value.gradings(scope)]


@router.post("/gradings", status_code=201, summary="Change how members are graded")
def save_grading(body: GradingInput, request: Request, scope: Headquarters) -> GradingAnswer:
    """In force from the next night on. Earlier versions stay on record."""
    try:
        rules = msgspec.convert(body.rules, Grading, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"these are no rules: {error}", field="rules", remedy="send the fields that GET answers with"
        ) from error
    return _told(_state(request).value.save_grading(scope, rules, body.reason))


@router.get("/serving-costs", summary="What serving costs")
def serving_costs(request: Request, scope: Headquarters) -> list[ServingCost]:
    """By occasion, with the day from which each holds."""
    return _state(request).value.serving_costs(scope)


@router.put("/serving-costs", status_code=204, summary="Enter what serving costs")
def put_serving_costs(
    body: Annotated[list[ServingCostInput], Field(max_length=200)], request: Request, scope: Headquarters
) -> None:
    """Rates for the same occasion and day take the place of earlier ones."""
    _state(request).value.put_serving_costs(
        scope, [ServingCost(cost.occasion, cost.valid_from, cost.amount) for cost in body]
    )


@router.post("/member-costs", summary="Enter what was spent on members")
def put_member_costs(
    body: Annotated[list[MemberCostInput], Field(max_length=1000)], request: Request, scope: Manager
) -> Entered:
    """All or nothing; an entry whose id is known changes nothing."""
    costs = [MemberCost(cost.cost_id, cost.member_id, cost.day, cost.amount, cost.what) for cost in body]
    return Entered(_state(request).value.put_member_costs(scope, costs))


@router.get("/members", summary="Members by value")
def values(
    request: Request,
    scope: Manager,
    stage: Stage | None = None,
    grades: Annotated[str | None, Query(description="R, F and M, `-` for any: `5-1`.", max_length=3)] = None,
    high: Annotated[bool | None, Query(description="Of high value.")] = None,
    band: Annotated[
        Band | None, Query(description="Of all who bought, the top 20% or the bottom 30% by value.")
    ] = None,
    store: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> list[MemberValue]:
    """Of your stores, the most valuable first (of the bottom the least valuable), as of last night."""
    return _state(request).value.values(
        scope, stage=stage, grades=grades, high=high, band=band, store_id=store, limit=limit, offset=offset
    )


@router.get("/members/{member_id}", summary="What a member is worth")
def value(member_id: UUID, request: Request, scope: Desk) -> MemberValue:
    """Grades, stage and value as of last night."""
    return _state(request).value.value(scope, member_id)


@router.get("/grid", summary="Members by recency and frequency")
def grid(request: Request, scope: Manager, store: Annotated[str | None, Query(max_length=64)] = None) -> list[Cell]:
    """How many members have each pair of grades, and what they are worth together."""
    return [Cell(*row) for row in _state(request).value.grid(scope, store)]


@router.get("/standings", summary="How the chain stood")
def standings(
    request: Request,
    scope: Headquarters,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
) -> list[Standing]:
    """Night by night: members of high value, their share of profit, who makes the top 20% and the bottom 30%."""
    state = _state(request)
    day_to = last or state.clock().date()
    return state.value.standings(scope, first or day_to - _TREND, day_to)


def _told(saved: SavedGrading) -> GradingAnswer:
    return GradingAnswer(
        saved.version, msgspec.to_builtins(saved.rules), saved.saved_by, saved.saved_at.isoformat(), saved.reason
    )
