"""Routes of rates, and of sales in the chain's own currency."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.inputs import Input
from server.sales.models import Channel
from server.sales.rate_repository import Rate
from server.sales.rates import NewRate, RatesService, SalesTotals

router = APIRouter(prefix="/api/v1", tags=["receipts"])

Reader = Annotated[Scope, Depends(require_role("manager", "region", "hq", "admin"))]
Writer = Annotated[Scope, Depends(require_role("hq", "admin"))]


class RateInput(Input):
    """What one unit of a currency is worth in the reporting currency from a day on, until the next rate."""

    currency: str = Field(min_length=3, max_length=3)
    valid_from: date
    rate: Decimal


class RatesInput(Input):
    """Rates."""

    rates: list[RateInput] = Field(min_length=1, max_length=20_000)


class Entered(Input):
    """How many rates are new, or other than before."""

    changed: int


class _State(Protocol):
    rates: RatesService


def _service(request: Request) -> RatesService:
    return cast("_State", request.app.state.services).rates


@router.get("/rates", summary="Exchange rates")
def rates(
    request: Request, scope: Reader, currency: Annotated[str | None, Query(min_length=3, max_length=3)] = None
) -> list[Rate]:
    """Rates into the reporting currency, by currency, the latest first."""
    return _service(request).rates(scope, currency)


@router.post("/rates", summary="Enter exchange rates")
def put_rates(request: Request, scope: Writer, body: RatesInput) -> Entered:
    """Enter rates, all or none; one of the same day is replaced, and what it was stands in the audit trail. Send a rate
    as a string, to have every digit taken."""
    new = [NewRate(rate.currency, rate.valid_from, rate.rate) for rate in body.rates]
    return Entered(changed=_service(request).put(scope, new))


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/rates/csv",
    summary="Enter exchange rates by CSV",
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def import_rates(request: Request, scope: Writer, body: Annotated[bytes, Depends(_body)]) -> Entered:
    """Enter the rates of a CSV in UTF-8 with the columns currency, valid_from, rate; all or none."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("the file is not UTF-8", field="file", remedy="save it as CSV in UTF-8") from error
    return Entered(changed=_service(request).import_csv(scope, text))


@router.get("/receipts/totals", summary="Sales in the chain's own currency")
def totals(
    request: Request,
    scope: Reader,
    day_from: Annotated[date, Query(alias="from")],
    day_to: Annotated[date, Query(alias="to")],
    store: Annotated[list[str] | None, Query(max_length=32)] = None,
    channel: Channel | None = None,
) -> SalesTotals:
    """What stores sold over business days: gross, refunds, net of tax, and in the reporting currency, each day at its
    own rate. Where a rate is missing the total is withheld, and `missing` says which and for which days."""
    return _service(request).totals(scope, day_from, day_to, store_ids=store, channel=channel or "")
