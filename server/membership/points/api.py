"""Routes of points: what a member has, spending it, taking that back, adjusting by two people, rules, what is owed.

A card or phone number goes in the body and never in an address, which stands in every proxy's log. Each thing asked for
carries an idempotency key: asked again with the same key and content, it is answered as the first time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Protocol, cast
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Locale, Scope
from server.inputs import Input
from server.membership.models import MemberRef
from server.membership.points import rules as rules_of
from server.membership.points.adjustments import ADJUSTERS, Adjustments
from server.membership.points.models import (
    Adjustment,
    AdjustmentRequest,
    Decision,
    Difference,
    Entry,
    Expiring,
    Liability,
    PointsBalance,
    Redemption,
    SavedRules,
)
from server.membership.points.reports import PointsReports
from server.membership.points.rules import Rules
from server.membership.points.service import READERS, RULERS, SPENDERS, PointsService

router = APIRouter(prefix="/api/v1", tags=["points"])

Reader = Annotated[Scope, Depends(require_role(*READERS))]
Spender = Annotated[Scope, Depends(require_role(*SPENDERS))]
Adjuster = Annotated[Scope, Depends(require_role(*ADJUSTERS))]
Ruler = Annotated[Scope, Depends(require_role(*RULERS))]
_Key = Annotated[str, Field(max_length=100, description="Idempotency key: random, 8 characters at the least.")]


class _Benefits(Protocol):
    """What tiers give, as far as a till applies it."""

    @property
    def discount(self) -> Decimal: ...

    @property
    def multiplier(self) -> Decimal: ...

    @property
    def birthday_gift(self) -> str: ...


class _Tier(Protocol):
    """A member's tier."""

    @property
    def tier(self) -> str: ...

    @property
    def names(self) -> Mapping[Locale, str]: ...

    @property
    def benefits(self) -> _Benefits: ...


class _Tiers(Protocol):
    """Tiers rest on points; so points know of them only what is asked here."""

    def at_till(self, scope: Scope, member_id: UUID) -> _Tier: ...


class _State(Protocol):
    tiers: _Tiers
    points: PointsService
    adjustments: Adjustments
    points_reports: PointsReports


def _state(request: Request) -> _State:
    return cast("_State", request.app.state.services)


class MemberInput(Input):
    """Who is at the desk, by one of these; by id only a member of your own stores."""

    card: str | None = Field(None, max_length=40)
    phone: str | None = Field(None, max_length=60)
    id: UUID | None = None

    def ref(self) -> MemberRef:
        """As the services name it."""
        return MemberRef(self.card, self.phone, None if self.id is None else str(self.id))


class LookInput(Input):
    """A member at a desk."""

    store_id: str = Field(max_length=32)
    member: MemberInput


class RedemptionInput(Input):
    """Points to be spent."""

    store_id: str = Field(max_length=32)
    member: MemberInput
    points: int
    key: _Key
    receipt_no: str | None = Field(None, max_length=100)


class VoidInput(Input):
    """A redemption to be taken back, and why."""

    key: _Key
    reason: str = Field(max_length=500)


class AdjustmentInput(Input):
    """Points to be given, or (less than nothing) taken, and why."""

    points: int
    reason: str = Field(max_length=500)
    key: _Key
    store_id: str | None = Field(None, max_length=32)


class DecisionInput(Input):
    """What a second person says, and why; to decline needs a reason."""

    decision: Decision
    reason: str = Field("", max_length=500)


class RulesInput(Input):
    """New rules: docs/points.md has their fields. Amounts as strings."""

    rules: dict[str, Any]
    reason: str = Field(max_length=500)
    valid_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class TierLook:
    """A member's tier, for whoever rings up: its names by language, per cent off, how many times the points.

    The discount is the till's to take off; points are multiplied once the receipt is in.
    """

    tier: str
    names: dict[Locale, str]
    discount: str
    multiplier: str
    birthday_gift: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the member at the desk has, and what their tier gives."""

    member_id: UUID
    balance: int
    pending: int
    expiring: list[Expiring]
    tier: TierLook


@dataclass(frozen=True, slots=True)
class RulesAnswer:
    """Rules and who saved them; null where nobody did, and nothing is earned."""

    saved: SavedRules | None
    rules: dict[str, Any]


@router.get("/members/{member_id}/points", summary="What a member has")
def read_balance(member_id: UUID, request: Request, scope: Reader) -> PointsBalance:
    """Balance, pending points and what expires next, of a member of your stores."""
    return _state(request).points.balance(scope, member_id)


@router.get("/members/{member_id}/points/entries", summary="A member's ledger")
def list_entries(
    member_id: UUID,
    request: Request,
    scope: Reader,
    before: Annotated[int | None, Query(ge=1, description="The last number seen, to read on.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[Entry]:
    """Entries, newest first."""
    return _state(request).points.entries(scope, member_id, before, limit)


@router.post("/points/look", summary="What the member at the desk has")
def look(body: LookInput, request: Request, scope: Spender) -> Look:
    """By card or whole phone number a member of any store, by id one of your own; with the tier's discount to apply."""
    state = _state(request)
    has = state.points.balance_at_till(scope, body.store_id, body.member.ref())
    tier = state.tiers.at_till(scope, has.member_id)
    gives = tier.benefits
    shown = TierLook(tier.tier, dict(tier.names), str(gives.discount), str(gives.multiplier), gives.birthday_gift)
    return Look(has.member_id, has.balance, has.pending, has.expiring, shown)


@router.post("/points/redemptions", status_code=201, summary="Spend points")
def redeem(body: RedemptionInput, request: Request, scope: Spender) -> Redemption:
    """Take points for money off. Of two desks that spend the last points at once, one is answered with a conflict."""
    return _state(request).points.redeem(
        scope, body.store_id, body.member.ref(), body.points, body.key, body.receipt_no
    )


@router.post("/points/redemptions/{entry_id}/void", status_code=201, summary="Take a redemption back")
def void(entry_id: int, body: VoidInput, request: Request, scope: Spender) -> Entry:
    """The points return to where they came from; once."""
    return _state(request).points.void(scope, entry_id, body.key, body.reason)


@router.post("/members/{member_id}/points/adjustments", status_code=201, summary="Give or take points by hand")
def adjust(member_id: UUID, body: AdjustmentInput, request: Request, scope: Adjuster) -> Adjustment:
    """Booked at once up to the rules' limit a day; over it, a request that waits for somebody else."""
    return _state(request).adjustments.adjust(scope, member_id, body.points, body.reason, body.key, body.store_id)


@router.get("/points/requests", summary="Adjustments that wait for a second person")
def list_requests(
    request: Request,
    scope: Adjuster,
    decided: Annotated[bool, Query(description="Those decided instead, newest first.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[AdjustmentRequest]:
    """About members of your stores, oldest first."""
    return _state(request).adjustments.requests(scope, decided=decided, limit=limit)


@router.post("/points/requests/{request_id}/decision", summary="Approve or decline an adjustment")
def decide(request_id: int, body: DecisionInput, request: Request, scope: Adjuster) -> AdjustmentRequest:
    """Not by who asked, and not by a key."""
    return _state(request).adjustments.decide(scope, request_id, body.decision, body.reason)


@router.get("/points/rules", summary="The rules in force")
def read_rules(request: Request, scope: Reader) -> RulesAnswer:
    """How points are earned today, and what they are worth."""
    return _answer(*_state(request).points.rules(scope))


@router.get("/points/rules/history", summary="All versions of the rules")
def list_rules(request: Request, scope: Ruler) -> list[RulesAnswer]:
    """Newest first, those to come too: what, who, when and why."""
    return [_answer(saved, rules) for saved, rules in _state(request).points.rules_history(scope)]


@router.post("/points/rules", status_code=201, summary="Save new rules")
def save_rules(body: RulesInput, request: Request, scope: Ruler) -> RulesAnswer:
    """They hold from `valid_from` on (now if left out); what was earned before stays."""
    rules = rules_of.read(msgspec.json.encode(body.rules))
    return _answer(_state(request).points.save_rules(scope, rules, body.reason, body.valid_from), rules)


@router.get("/points/liability", summary="What is owed in points")
def liability(
    request: Request,
    scope: Ruler,
    currency: Annotated[str, Query(pattern="^[A-Z]{3}$", description="One in which the rules give points a value.")],
    at: Annotated[datetime | None, Query(description="As of then; now if left out.")] = None,
) -> Liability:
    """Points outstanding in money, by the age of their lots and the month they expire in."""
    return _state(request).points_reports.liability(scope, currency, at)


@router.get("/points/check", summary="Whether the books agree")
def check(request: Request, scope: Ruler) -> list[Difference]:
    """Whatever of balances, ledger and lots does not add up; an empty list when all does."""
    return _state(request).points_reports.check(scope)


def _answer(saved: SavedRules | None, rules: Rules) -> RulesAnswer:
    return RulesAnswer(saved, msgspec.to_builtins(rules))
