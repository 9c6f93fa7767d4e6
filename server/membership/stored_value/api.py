"""Routes of stored value at desks and tills: cards, and the money on them.

A card's number is as good as the card, so it is sent in bodies only: what stands in an address stands in every proxy's
log. Everything that moves money takes an idempotency key and answers with the posting's receipt.
"""

from decimal import Decimal
from typing import Annotated, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.stored_value.cards import ValueCards
from server.membership.stored_value.models import Card, PostingReceipt
from server.membership.stored_value.service import StoredValueService

router = APIRouter(prefix="/api/v1/stored-value", tags=["stored value"])

Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
Till = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk", "till"))]
Hq = Annotated[Scope, Depends(require_role("admin", "hq"))]


class _State(Protocol):
    stored_value: StoredValueService
    value_cards: ValueCards


def _money(request: Request) -> StoredValueService:
    return cast("_State", request.app.state.services).stored_value


def _cards(request: Request) -> ValueCards:
    return cast("_State", request.app.state.services).value_cards


class Keyed(Input):
    """What every request that changes something says: where, and under which key."""

    store_id: str = Field(max_length=32, description="The store that does it.")
    idempotency_key: str = Field(
        max_length=100,
        description="New for each request, the store's own; the same request again gets the same answer.",
    )


class NewCardInput(Keyed):
    """A card to be opened."""

    member_id: UUID | None = Field(None, description="Left out, the card is unregistered: whoever has it may spend it.")
    member_card: str | None = Field(
        None, max_length=40, description="Number of the member's own card, of a member who is of none of your stores."
    )


class NumberInput(Input):
    """A whole card number."""

    card_no: str = Field(max_length=40)


class TopUpInput(Keyed):
    """Money paid in."""

    amount: Decimal
    card_no: str | None = Field(
        None, max_length=40, description="The whole number, as shown: needed where neither card nor holder is known."
    )
    tender: str = Field("", max_length=50)


class OpeningInput(Keyed):
    """What was on a card of another system."""

    principal: Decimal = Decimal(0)
    bonus: Decimal = Decimal(0)
    reason: str = Field(max_length=500)
    sold_at: AwareDatetime | None = Field(
        None, description="When it was topped up there; left out: long ago, so that no days of cooling off run."
    )


class SpendInput(Keyed):
    """A purchase."""

    amount: Decimal
    card_no: str | None = Field(
        None,
        max_length=40,
        description="The whole number, as shown: always needed of a till, and where neither card nor holder is known.",
    )
    receipt_no: str | None = Field(None, max_length=64)


class ReturnInput(Keyed):
    """Goods taken back."""

    posting_id: int = Field(description="Of the purchase.")
    amount: Decimal | None = Field(None, description="All that is not given back yet, if left out.")
    reason: str = Field("", max_length=500)


class PayOutInput(Keyed):
    """Principal to be paid out."""

    amount: Decimal | None = Field(None, description="Of principal; all of it if left out.")
    tender: str = Field("", max_length=50)
    reason: str = Field("", max_length=500, description="Needed after the days of cooling off.")


class ReasonInput(Input):
    """Where and why."""

    store_id: str = Field(max_length=32)
    reason: str = Field(max_length=500)


class ReplaceInput(ReasonInput):
    """A lost card."""

    lost_no: str = Field(max_length=40, description="The number that works no more from now on.")


class LapseInput(Keyed):
    """Bonus to be withdrawn."""

    reason: str = Field(max_length=500)


class HolderInput(Input):
    """Whose a card becomes."""

    store_id: str = Field(max_length=32)
    member_id: UUID
    card_no: str | None = Field(
        None, max_length=40, description="The whole number, as shown: needed to register a card of nobody."
    )
    reason: str = Field("", max_length=500)


@router.post("/cards", status_code=201, summary="Open a card")
def open_card(body: NewCardInput, request: Request, scope: Desk) -> Card:
    """A new card in the store's currency, a member's or nobody's."""
    return _cards(request).open(
        scope, body.store_id, body.idempotency_key, member_id=body.member_id, member_card=body.member_card
    )


@router.post("/cards/find", summary="Find a card by its number")
def find_card(body: NumberInput, request: Request, scope: Till) -> Card:
    """The card with a whole number, of any store; a number that was replaced is a conflict."""
    return _cards(request).find(scope, body.card_no)


@router.get("/cards/{card_id}", summary="A card")
def read_card(card_id: UUID, request: Request, scope: Till) -> Card:
    """What is on a card that was opened in one of your stores, or whose holder is known there, by top-up."""
    return _money(request).card(scope, card_id)


@router.get("/members/{member_id}/cards", summary="A member's cards")
def member_cards(member_id: UUID, request: Request, scope: Till) -> list[Card]:
    """The cards of a member of your stores and of all who were merged into it, oldest first. A card's whole number is
    for people of the stores that keep it; others get its last four digits."""
    return _money(request).of_member(scope, member_id)


@router.get("/cards/{card_id}/postings", summary="A card's statement")
def statement(
    card_id: UUID, request: Request, scope: Desk, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> list[PostingReceipt]:
    """The receipts of a card, newest first."""
    return _money(request).statement(scope, card_id, limit)


@router.get("/postings/{posting_id}", summary="A receipt")
def receipt(posting_id: int, request: Request, scope: Till) -> PostingReceipt:
    """The receipt of a posting made in one of your stores."""
    return _money(request).receipt(scope, posting_id)


@router.post("/cards/{card_id}/top-ups", status_code=201, summary="Pay money in")
def top_up(card_id: UUID, body: TopUpInput, request: Request, scope: Till) -> PostingReceipt:
    """Principal onto the card, with the bonus that the rules give."""
    return _money(request).top_up(
        scope,
        card_id,
        body.store_id,
        body.amount,
        body.idempotency_key,
        tender=body.tender,
        card_no=body.card_no,
    )


@router.post("/cards/{card_id}/openings", status_code=201, summary="Bring in a balance")
def bring_in(card_id: UUID, body: OpeningInput, request: Request, scope: Hq) -> PostingReceipt:
    """What was on a card of the system before this one."""
    return _money(request).bring_in(
        scope, card_id, body.store_id, body.principal, body.bonus, body.idempotency_key, body.reason, body.sold_at
    )


@router.post("/cards/{card_id}/purchases", status_code=201, summary="Pay with a card")
def spend(card_id: UUID, body: SpendInput, request: Request, scope: Till) -> PostingReceipt:
    """Take an amount off the card; the receipt says how much of it was principal and how much bonus. With the card's
    number in every store of its currency; without it people may, at the desk of a store where the holder is known."""
    return _money(request).spend(
        scope,
        card_id,
        body.store_id,
        body.amount,
        body.idempotency_key,
        receipt_no=body.receipt_no,
        card_no=body.card_no,
    )


@router.post("/cards/{card_id}/returns", status_code=201, summary="Give back what paid for returned goods")
def give_back(card_id: UUID, body: ReturnInput, request: Request, scope: Till) -> PostingReceipt:
    """To the same principal and bonus that paid, in proportion."""
    return _money(request).give_back(
        scope, card_id, body.posting_id, body.store_id, body.amount, body.idempotency_key, reason=body.reason
    )


@router.post("/cards/{card_id}/pay-outs", status_code=201, summary="Pay principal out")
def pay_out(card_id: UUID, body: PayOutInput, request: Request, scope: Desk) -> PostingReceipt:
    """The holder's own money back, in the stores that keep the card, or by headquarters; the bonus it brought is
    withdrawn in proportion."""
    return _money(request).pay_out(
        scope,
        card_id,
        body.store_id,
        body.amount,
        body.idempotency_key,
        tender=body.tender,
        reason=body.reason,
    )


@router.post("/cards/{card_id}/lapses", status_code=201, summary="Withdraw all bonus")
def lapse(card_id: UUID, body: LapseInput, request: Request, scope: Hq) -> PostingReceipt:
    """Bonus only: principal never lapses."""
    return _money(request).lapse(scope, card_id, body.store_id, body.idempotency_key, body.reason)


@router.post("/cards/{card_id}/freeze", summary="Freeze a card")
def freeze(card_id: UUID, body: ReasonInput, request: Request, scope: Desk) -> Card:
    """Nothing is taken from it until it is thawed or replaced."""
    return _cards(request).freeze(scope, card_id, body.store_id, body.reason)


@router.post("/cards/{card_id}/thaw", summary="Thaw a card")
def thaw(card_id: UUID, body: ReasonInput, request: Request, scope: Desk) -> Card:
    """It can be used again."""
    return _cards(request).thaw(scope, card_id, body.store_id, body.reason)


@router.post("/cards/{card_id}/replacement", summary="Replace a lost card")
def replace(card_id: UUID, body: ReplaceInput, request: Request, scope: Desk) -> Card:
    """A new number for what is on it; the lost one works no more."""
    return _cards(request).replace(scope, card_id, body.store_id, body.lost_no, body.reason)


@router.put("/cards/{card_id}/holder", summary="Register a card, or hand it over")
def set_holder(card_id: UUID, body: HolderInput, request: Request, scope: Desk) -> Card:
    """Nobody's card becomes a member's; with a reason, a manager hands a member's card to another member."""
    if body.reason.strip():
        return _cards(request).hand_over(scope, card_id, body.store_id, body.member_id, body.reason)
    return _cards(request).register(scope, card_id, body.store_id, body.member_id, card_no=body.card_no)
