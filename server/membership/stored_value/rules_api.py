"""Routes of stored value for HQ and the books: its rules, what stores owe each other, what the chain owes holders."""

from decimal import Decimal
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.stored_value.models import (
    BonusBearer,
    BonusRule,
    Liability,
    NewBonusRule,
    SettlementRow,
    SpendOrder,
    ValueSettings,
)
from server.membership.stored_value.rules import ValueRules
from server.membership.stored_value.settlement import Settled, Settlement

router = APIRouter(prefix="/api/v1/stored-value", tags=["stored value"])

Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
Manager = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]
Hq = Annotated[Scope, Depends(require_role("admin", "hq"))]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class _State(Protocol):
    value_rules: ValueRules
    settlement: Settlement


def _rules(request: Request) -> ValueRules:
    return cast("_State", request.app.state.services).value_rules


def _settlement(request: Request) -> Settlement:
    return cast("_State", request.app.state.services).settlement


class SettingsInput(Input):
    """The rules of a currency, all at once."""

    cap_registered: Decimal | None = Field(description="Most on a member's card after a top-up; null: no cap.")
    cap_unregistered: Decimal | None = Field(description="Most on an unregistered card.")
    cap_counts_bonus: bool = True
    spend_order: SpendOrder = "proportional"
    cooling_off_days: int = 7
    late_fee_percent: Decimal = Decimal(0)
    bonus_borne_by: BonusBearer = "seller"


class BonusRuleInput(Input):
    """What a top-up of at least `from_amount` brings on top."""

    currency: Currency
    from_amount: Decimal
    amount: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)
    store_ids: list[Annotated[str, Field(max_length=32)]] | None = Field(None, max_length=1000)
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None


class SettleInput(Input):
    """What one store paid another."""

    payer: str = Field(max_length=32)
    payee: str = Field(max_length=32)
    currency: Currency
    amount: Decimal
    idempotency_key: str = Field(max_length=100)


@router.get("/settings/{currency}", summary="The rules of a currency")
def read_settings(currency: str, request: Request, scope: Desk) -> ValueSettings:
    """Caps, cooling off and the order of spending; the defaults until somebody sets others."""
    return _rules(request).settings(scope, currency)


@router.put("/settings/{currency}", summary="Set the rules of a currency")
def put_settings(currency: str, body: SettingsInput, request: Request, scope: Hq) -> ValueSettings:
    """They hold for what is posted from now on."""
    return _rules(request).set(scope, ValueSettings(currency, **body.model_dump()))


@router.get("/bonus-rules", summary="What top-ups bring on top")
def list_bonus_rules(
    request: Request, scope: Desk, currency: Annotated[str | None, Query(max_length=3)] = None
) -> list[BonusRule]:
    """The rules that were not ended."""
    return _rules(request).bonus_rules(scope, currency)


@router.post("/bonus-rules", status_code=201, summary="Add a bonus rule")
def add_bonus_rule(body: BonusRuleInput, request: Request, scope: Hq) -> BonusRule:
    """Of several that a top-up reaches, the one that gives most counts."""
    fields = body.model_dump()
    stores = fields.pop("store_ids")
    return _rules(request).add_bonus_rule(
        scope, NewBonusRule(**fields, store_ids=None if stores is None else tuple(stores))
    )


@router.delete("/bonus-rules/{rule_id}", status_code=204, summary="End a bonus rule")
def end_bonus_rule(rule_id: int, request: Request, scope: Hq) -> None:
    """What it gave stays given."""
    _rules(request).end_bonus_rule(scope, rule_id)


@router.get("/settlement", summary="Who sold and who served")
def settlement(
    request: Request,
    scope: Manager,
    start: Annotated[AwareDatetime, Query(alias="from", description="First moment, with offset.")],
    end: Annotated[AwareDatetime, Query(alias="to", description="First moment after the period, with offset.")],
) -> list[SettlementRow]:
    """By pair of stores: what was spent, paid out and settled within a period, and what is owed now."""
    return _settlement(request).report(scope, start, end)


@router.post("/settlements", status_code=201, summary="Note that a store paid another")
def settle(body: SettleInput, request: Request, scope: Hq) -> Settled:
    """Posts the payment; no more than is owed."""
    return _settlement(request).settle(scope, body.payer, body.payee, body.currency, body.amount, body.idempotency_key)


@router.get("/liability", summary="What is owed to holders of cards")
def liability(request: Request, scope: Manager) -> list[Liability]:
    """Principal and bonus left on cards, by currency and the store that sold them."""
    return _settlement(request).liability(scope)
