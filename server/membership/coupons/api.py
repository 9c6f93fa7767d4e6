"""Routes of coupons: what HQ defines, what desks issue, what tills ask about and redeem.

A code is as good as the coupon, so it is sent in bodies only.
"""

from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from typing import Annotated, Protocol, cast
from uuid import UUID

import segno
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.coupons.definitions import CouponDefinitions
from server.membership.coupons.models import (
    Basket,
    BasketLine,
    Coupon,
    Definition,
    IssueOn,
    Kind,
    NewDefinition,
    OnRefund,
    Quote,
    Redemption,
    Stacking,
)
from server.membership.coupons.service import CouponsService
from server.membership.coupons.taking_back import CouponRedemptions

router = APIRouter(prefix="/api/v1/coupons", tags=["coupons"])

Hq = Annotated[Scope, Depends(require_role("admin", "hq"))]
Manager = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]
Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
Till = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk", "till"))]
Name = Annotated[str, Field(max_length=64)]


class _State(Protocol):
    coupons: CouponsService
    coupon_definitions: CouponDefinitions
    coupon_redemptions: CouponRedemptions


def _coupons(request: Request) -> CouponsService:
    return cast("_State", request.app.state.services).coupons


def _definitions(request: Request) -> CouponDefinitions:
    return cast("_State", request.app.state.services).coupon_definitions


class DefinitionInput(Input):
    """What is promised; lists that are left out mean all."""

    title: dict[str, str] = Field(max_length=10, description="By language, such as zh and en.")
    kind: Kind
    currency: str = Field(pattern="^[A-Z]{3}$")
    value: Decimal = Field(Decimal(0), description="The amount off, or the percentage.")
    most_off: Decimal | None = Field(None, description="The most a percentage takes off.")
    gift_sku: str | None = Field(None, max_length=64, description="One piece of it is free.")
    minimum_spend: Decimal = Decimal(0)
    sku_groups: list[Name] | None = Field(None, max_length=1000)
    store_ids: list[Name] | None = Field(None, max_length=1000)
    stacking: Stacking = "others"
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    valid_days: int | None = Field(None, description="For how many days from its issue.")
    most_per_member: int | None = None
    most_in_all: int | None = None
    on_refund: OnRefund = Field("restore", description="Whether a whole refund gives it back.")
    issue_on: IssueOn | None = Field(None, description="What it is issued on by itself; by hand if left out.")
    tiers: list[Name] | None = Field(None, max_length=50)
    days: int | None = None
    asks_consent: bool = Field(True, description="Issued by rule only to who agreed to marketing.")


class IssueInput(Input):
    """A coupon to be issued by hand."""

    definition_id: int
    member_id: UUID | None = Field(None, description="Left out, it is of whoever has the code.")
    idempotency_key: str = Field(max_length=100)


class LineInput(Input):
    """Goods of a basket."""

    sku: str = Field(max_length=64)
    amount: Decimal = Field(description="In all, after the till's own discounts.")
    quantity: Decimal = Decimal(1)
    group: str | None = Field(None, max_length=64)


class BasketInput(Input):
    """A coupon and what somebody is about to buy."""

    code: str = Field(max_length=40, description="As typed, spoken or scanned.")
    store_id: str = Field(max_length=32)
    currency: str = Field(pattern="^[A-Z]{3}$")
    lines: list[LineInput] = Field(max_length=1000)
    member_id: UUID | None = None
    receipt_no: str = Field("", max_length=64, description="Of the sale; needed to redeem.")


class RedeemInput(BasketInput):
    """A coupon to be used."""

    idempotency_key: str = Field(max_length=100)


class VoidInput(Input):
    """Why a coupon is taken back."""

    reason: str = Field(max_length=500)


class TakeBackInput(VoidInput):
    """Why a redemption is taken back."""

    idempotency_key: str = Field(max_length=100)


@router.get("/definitions", summary="What is promised")
def list_definitions(request: Request, scope: Desk, ended: Annotated[bool, Query()] = False) -> list[Definition]:
    """Definitions in force, or all that ever were."""
    return _definitions(request).definitions(scope, ended=ended)


@router.post("/definitions", status_code=201, summary="Define a coupon")
def add_definition(body: DefinitionInput, request: Request, scope: Hq) -> Definition:
    """It is never changed: end it and define another."""
    return _definitions(request).add(scope, NewDefinition(**body.model_dump()))


@router.delete("/definitions/{definition_id}", status_code=204, summary="Issue no more of a coupon")
def end_definition(definition_id: int, request: Request, scope: Hq) -> None:
    """Coupons that are out hold as long as they were to."""
    _definitions(request).end(scope, definition_id)


@router.post("", status_code=201, summary="Issue a coupon by hand")
def issue(body: IssueInput, request: Request, scope: Desk) -> Coupon:
    """To a member, or, by HQ, to whoever gets the code."""
    return _coupons(request).issue(scope, body.definition_id, body.member_id, body.idempotency_key)


@router.get("/members/{member_id}", summary="A member's coupons")
def member_coupons(
    member_id: UUID,
    request: Request,
    scope: Till,
    everything: Annotated[bool, Query(alias="all", description="Also those that were used or are over.")] = False,
) -> list[Coupon]:
    """Of a member of your stores; what ends first comes first. A till gets them without their codes: the customer shows
    one."""
    return _coupons(request).of_member(scope, member_id, only_open=not everything)


@router.post("/quote", summary="What would a coupon give on this basket?")
def quote(body: BasketInput, request: Request, scope: Till) -> Quote:
    """The discount, or why there is none; nothing is changed by asking."""
    return _coupons(request).quote(scope, body.code, _basket(body), body.receipt_no)


@router.post("/redemptions", status_code=201, summary="Redeem a coupon")
def redeem(body: RedeemInput, request: Request, scope: Till) -> Redemption:
    """Once; the same request again gets the same answer, and a second till is told that it was used."""
    return _coupons(request).redeem(scope, body.code, _basket(body), body.receipt_no, body.idempotency_key)


@router.post("/redemptions/{redemption_id}/take-back", summary="Take a redemption back")
def take_back(redemption_id: int, body: TakeBackInput, request: Request, scope: Till) -> Redemption:
    """One made by mistake: the coupon is open again for as long as it holds. Once; the same request again gets the same
    answer."""
    redemptions = cast("_State", request.app.state.services).coupon_redemptions
    return redemptions.take_back(scope, redemption_id, body.idempotency_key, body.reason)


@router.post("/{coupon_id}/void", summary="Take a coupon back")
def void(coupon_id: UUID, body: VoidInput, request: Request, scope: Manager) -> Coupon:
    """Only one that was not used, of a member whose home is one of your stores."""
    return _coupons(request).void(scope, coupon_id, body.reason)


@router.get(
    "/{coupon_id}/qr",
    summary="A coupon as QR code",
    responses={200: {"content": {"image/svg+xml": {}}}},
    response_class=Response,
)
def qr(coupon_id: UUID, request: Request, scope: Desk) -> Response:
    """An SVG with the code in it, to print or to show."""
    code = _coupons(request).code(scope, coupon_id)
    image = BytesIO()
    segno.make(code, error="m", micro=False).save(image, kind="svg", scale=8, border=4)
    return Response(image.getvalue(), media_type="image/svg+xml")


def _basket(body: BasketInput) -> Basket:
    lines: Sequence[BasketLine] = [BasketLine(line.sku, line.amount, line.quantity, line.group) for line in body.lines]
    return Basket(body.store_id, body.currency, lines, body.member_id)
