"""Routes of the days on which a store's weekday does not say when it opens."""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import CurrentScope, require_role
from server.access.models import Scope
from server.inputs import Input
from server.stores.calendar import OpeningSpan
from server.stores.models import OpeningException
from server.stores.opening import OpeningService
from server.stores.public_holidays import DayKind, Holiday

router = APIRouter(prefix="/api/v1", tags=["stores"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
First = Annotated[date, Query(alias="from")]
Last = Annotated[date, Query(alias="to")]
Place = Annotated[str, Query(max_length=3, description="ISO 3166-2 without the country; left out: the whole of it.")]


class _State(Protocol):
    opening: OpeningService


def _service(request: Request) -> OpeningService:
    return cast("_State", request.app.state.services).opening


class FromTo(Input):
    """Opening hours; `closes` at or before `opens` is past midnight."""

    opens: time
    closes: time


class ExceptionInput(Input):
    """When a store opens on one date."""

    hours: list[FromTo] = Field(max_length=10, description="None: closed all day.")
    reason: str = Field("", max_length=200)


class HolidayInput(Input):
    """What a day is."""

    kind: DayKind
    name: str = Field("", max_length=200)


@router.get("/stores/{store_id}/exceptions", summary="Dates with hours of their own")
def list_exceptions(
    store_id: str, request: Request, scope: Reader, day_from: First, day_to: Last
) -> Sequence[OpeningException]:
    """When a store opens on dates on which its weekday does not say so."""
    return _service(request).exceptions(scope, store_id, day_from, day_to)


@router.put("/stores/{store_id}/exceptions/{day}", status_code=204, summary="Set the hours of a date")
def set_exception(store_id: str, day: date, body: ExceptionInput, request: Request, scope: CurrentScope) -> None:
    """Set when a store opens on one date; what was answered for it is computed anew."""
    spans = [OpeningSpan(day.weekday(), each.opens, each.closes) for each in body.hours]
    _service(request).set_exception(scope, store_id, day, spans, body.reason)


@router.delete("/stores/{store_id}/exceptions/{day}", status_code=204, summary="Leave a date to its weekday")
def clear_exception(store_id: str, day: date, request: Request, scope: CurrentScope) -> None:
    """Let the weekday's hours hold again."""
    _service(request).clear_exception(scope, store_id, day)


@router.get("/holidays/{country}", summary="Public holidays")
def list_holidays(
    country: str, request: Request, scope: Reader, day_from: First, day_to: Last, subdivision: Place = ""
) -> Sequence[Holiday]:
    """Days that are not as their weekday says, and who says so: a library, or the chain itself."""
    return _service(request).holidays(scope, country, subdivision, day_from, day_to)


@router.put("/holidays/{country}/{day}", status_code=204, summary="Say what a day is")
def set_holiday(
    country: str, day: date, body: HolidayInput, request: Request, scope: CurrentScope, subdivision: Place = ""
) -> None:
    """Whatever a library says."""
    _service(request).set_holiday(scope, country, subdivision, day, body.kind, body.name)


@router.delete("/holidays/{country}/{day}", status_code=204, summary="Leave a day to the libraries")
def clear_holiday(country: str, day: date, request: Request, scope: CurrentScope, subdivision: Place = "") -> None:
    """Let what a library says hold again."""
    _service(request).clear_holiday(scope, country, subdivision, day)
