"""Routes of tiers: where a member stands, a tier by hand, the rules, and what other rules would do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol, cast
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.tiers import rules as rules_of
from server.membership.tiers.models import MemberTier, Mover, SavedTierRules, TierChange, TierPair, TierSimulation
from server.membership.tiers.rules import TierRules
from server.membership.tiers.service import GIVERS, READERS, RULERS, TiersService
from server.membership.tiers.simulation import TierSimulations

router = APIRouter(prefix="/api/v1", tags=["tiers"])

Reader = Annotated[Scope, Depends(require_role(*READERS))]
Giver = Annotated[Scope, Depends(require_role(*GIVERS))]
Ruler = Annotated[Scope, Depends(require_role(*RULERS))]


class _State(Protocol):
    tiers: TiersService
    tier_simulations: TierSimulations


def _state(request: Request) -> _State:
    return cast("_State", request.app.state.services)


class TierInput(Input):
    """A tier to be given by hand, and why."""

    tier: str = Field(max_length=32)
    reason: str = Field(max_length=500)
    until: datetime | None = Field(None, description="Kept at least until then; a period of the rules if left out.")


class SimulationInput(Input):
    """Rules to be tried: docs/points.md has their fields. Amounts as strings."""

    rules: dict[str, Any]


class TierRulesInput(Input):
    """New rules: docs/points.md has their fields. Amounts as strings."""

    rules: dict[str, Any]
    reason: str = Field(max_length=500)
    valid_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActivityAnswer:
    """Money in the rules' currency, visits and points, within the rules' window."""

    spend: str
    visits: int
    points: int


@dataclass(frozen=True, slots=True)
class TierAnswer:
    """A member's tier, what it gives, and how far the next one is."""

    member_id: UUID
    tier: str
    since: datetime
    period_end: datetime | None
    grace_until: datetime | None
    discount: str
    multiplier: str
    birthday_gift: str
    done: ActivityAnswer
    next_tier: str | None
    to_go: ActivityAnswer | None
    history: list[TierChange]


@dataclass(frozen=True, slots=True)
class TierRulesAnswer:
    """Rules and who saved them."""

    saved: SavedTierRules
    rules: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SimulationAnswer:
    """Who would move, and what benefits would cost a year."""

    currency: str
    members: int
    moving: int
    cost_now: str
    cost_then: str
    pairs: list[TierPair]
    movers: list[Mover]


@router.get("/members/{member_id}/tier", summary="Where a member stands")
def read_tier(member_id: UUID, request: Request, scope: Reader) -> TierAnswer:
    """Tier, benefits, what was done within the window, how far the next tier is, and every change."""
    return _tier(_state(request).tiers.tier(scope, member_id))


@router.post("/members/{member_id}/tier", status_code=201, summary="Give a tier by hand")
def give_tier(member_id: UUID, body: TierInput, request: Request, scope: Giver) -> TierAnswer:
    """Kept for a period at least; then it has to be earned."""
    return _tier(_state(request).tiers.give(scope, member_id, body.tier, body.reason, body.until))


@router.get("/tiers/rules", summary="The rules in force")
def read_tier_rules(request: Request, scope: Reader) -> TierRulesAnswer:
    """What each tier asks for and gives."""
    return _answer(*_state(request).tiers.rules(scope))


@router.get("/tiers/rules/history", summary="All versions of the rules")
def list_tier_rules(request: Request, scope: Ruler) -> list[TierRulesAnswer]:
    """Newest first, those to come too: what, who, when and why."""
    return [_answer(saved, rules) for saved, rules in _state(request).tiers.rules_history(scope)]


@router.post("/tiers/rules", status_code=201, summary="Save new rules")
def save_tier_rules(body: TierRulesInput, request: Request, scope: Ruler) -> TierRulesAnswer:
    """Whoever is higher by them goes up in the next night; nobody goes down before their period ends."""
    rules = rules_of.read(msgspec.json.encode(body.rules))
    return _answer(_state(request).tiers.save_rules(scope, rules, body.reason, body.valid_from), rules)


@router.post("/tiers/simulate", summary="Try rules before they are saved")
def simulate_tiers(
    body: SimulationInput,
    request: Request,
    scope: Ruler,
    limit: Annotated[int, Query(ge=0, le=10_000, description="So many of those who would move are listed.")] = 100,
) -> SimulationAnswer:
    """Members by the tier they have and would have, those who would move, and the cost on last year's spend."""
    found: TierSimulation = _state(request).tier_simulations.simulate(
        scope, rules_of.read(msgspec.json.encode(body.rules)), limit
    )
    return SimulationAnswer(
        found.currency,
        found.members,
        found.moving,
        str(found.cost_now),
        str(found.cost_then),
        found.pairs,
        found.movers,
    )


def _tier(found: MemberTier) -> TierAnswer:
    done = ActivityAnswer(str(found.done.spend), found.done.visits, found.done.points)
    ahead = found.to_go
    return TierAnswer(
        member_id=found.member_id,
        tier=found.tier,
        since=found.since,
        period_end=found.period_end,
        grace_until=found.grace_until,
        discount=str(found.benefits.discount),
        multiplier=str(found.benefits.multiplier),
        birthday_gift=found.benefits.birthday_gift,
        done=done,
        next_tier=found.next_tier,
        to_go=None if ahead is None else ActivityAnswer(str(ahead.spend), ahead.visits, ahead.points),
        history=found.history,
    )


def _answer(saved: SavedTierRules, rules: TierRules) -> TierRulesAnswer:
    return TierRulesAnswer(saved, msgspec.to_builtins(rules))
