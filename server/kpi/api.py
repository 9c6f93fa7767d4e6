"""Routes of the KPIs: reports as JSON, CSV or XLSX, why sales moved, and a store live."""

from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain
from typing import Annotated, Final, Literal, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.kpi.answers import exports
from server.kpi.answers.assembling import Slices
from server.kpi.answers.question import Compare, Comparison, DayRange, Question, StoreFilter
from server.kpi.figures.registry import KPIS
from server.kpi.service import KpiService

router = APIRouter(prefix="/api/v1", tags=["kpi"])

#: A till posts receipts and a desk enrols members; the numbers are for those who run stores.
Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]

Form = Literal["json", "csv", "xlsx"]
_TYPES: Final[dict[Form, str]] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class _State(Protocol):
    kpi: KpiService


def _service(request: Request) -> KpiService:
    return cast("_State", request.app.state.services).kpi


def _stores(
    store: Annotated[str | None, Query(description="Stores, joined by commas; all of yours when left out.")] = None,
    region: Annotated[str | None, Query(description="Regions, joined by commas.")] = None,
    store_format: Annotated[str | None, Query(description="Formats of stores, joined by commas.")] = None,
    tag: Annotated[str | None, Query(description="Tags, joined by commas; a store must have all.")] = None,
) -> StoreFilter:
    return StoreFilter(_names(store), _names(region), _names(store_format), tuple(_names(tag) or ()))


def _comparison(
    compare: Annotated[Compare | None, Query(description="A period to stand beside it.")] = None,
    compare_from: Annotated[date | None, Query(description="Or its first day.")] = None,
    compare_to: Annotated[date | None, Query(description="Its last day; as many days on, when left out.")] = None,
) -> Comparison | None:
    if compare_from is None:
        if compare_to is not None:
            raise InvalidInput("compare_to without compare_from", field="compare_from", remedy="name the first day too")
        return compare
    if compare is not None:
        raise InvalidInput("both compare and compare_from", field="compare", remedy="name one of the two")
    return DayRange(compare_from, compare_to)


First = Annotated[date, Query(alias="from", description="First business day.")]
Last = Annotated[date, Query(alias="to", description="Last business day, included.")]
Where = Annotated[StoreFilter, Depends(_stores)]
Beside = Annotated[Comparison | None, Depends(_comparison)]


@router.get("/kpi", summary="KPIs of stores over business days")
def report(
    request: Request,
    scope: Reader,
    day_from: First,
    day_to: Last,
    where: Where,
    compare: Beside,
    kpi: Annotated[str, Query(description="Slugs, joined by commas.")] = "entries,visitors,transactions,conversion",
    group_by: Annotated[
        str,
        Query(description="chain, or some of: store, region, day, week, month, weekday, hour, hour_of_day, quarter."),
    ] = "chain",
    form: Annotated[Form, Query(alias="format")] = "json",
    as_of: Annotated[
        AwareDatetime | None,
        Query(description="As it was answered at this moment: nothing corrected or sent in since is in it."),
    ] = None,
) -> Response:
    """Sums over sums, each value with its coverage and, for ratios, a 95% interval; withheld with a reason.

    `as_of` in the answer, and in each of its rows, is the moment up to which all of it is told. Of few stores that is
    now. Of so many that their running days can't be computed while somebody waits, those are read as the jobs process
    last kept them, and `as_of` is when the oldest of them was (`answered_at` is now): look at it before you take today
    for the present. `pending` store-days have changed and are not in the answer yet. Where nothing was computed so far
    of a day of the past, the day beside it is left out as well, and counted there.

    With `as_of` it is made of the answers that stood then, of days and of hours: `missing` says of how many store-days
    there was none (a day that was still running had none yet). Quarter hours are not kept and can't be asked for so.
    Filters and regions are by what stores are now known to have been on each day.
    """
    question = Question(_names(kpi) or [], day_from, day_to, where, group_by, compare, as_of)
    slices = _service(request).slices(scope, question)
    name = f"doorline-{day_from}-{day_to}.{form}"
    headers = {} if form == "json" else {"Content-Disposition": f'attachment; filename="{name}"'}
    if form == "xlsx":
        pieces = exports.chunks(exports.as_xlsx(slices))
    else:
        pieces = _begun({"json": exports.as_json, "csv": exports.as_csv}[form], slices)
    return StreamingResponse(pieces, media_type=_TYPES[form], headers=headers)


def _begun(made: Callable[[Slices], Iterator[bytes]], slices: Slices) -> Iterator[bytes]:
    """With its head and first rows made: what goes wrong with them is answered as an error, not as half a file."""
    pieces = made(slices)
    return chain([next(pieces), next(pieces)], pieces)


@router.get("/kpi/decomposition", summary="Why net sales moved")
def decomposition(
    request: Request, scope: Reader, day_from: First, day_to: Last, where: Where, compare: Beside
) -> Response:
    """A change in net sales as what traffic, conversion, ATV and refunds did, per store and in sum, to the cent.

    Only stores open and watched in both periods are compared; the others are named with the reason.
    """
    answer = _service(request).decomposition(
        scope, day_from=day_from, day_to=day_to, compare=compare or "previous_period", where=where
    )
    return Response(exports.json.encode(answer), media_type="application/json")


@router.get("/kpi/explain", summary="Why this number?")
def explain(
    request: Request,
    scope: Reader,
    kpi: Annotated[str, Query(description="Its slug.")],
    store: Annotated[str, Query(description="The store.")],
    day: Annotated[date, Query(description="The business day.")],
    hour: Annotated[AwareDatetime | None, Query(description="First instant of an hour of that day.")] = None,
    quarter: Annotated[AwareDatetime | None, Query(description="First instant of a quarter hour of that day.")] = None,
    limit: Annotated[int, Query(description="Crossings listed, and receipts.")] = 500,
) -> Response:
    """From one number to its crossings, receipts, corrections and settings in force, and the answers given before."""
    answer = _service(request).explain(scope, kpi, store, day, hour=hour, quarter=quarter, limit=limit)
    return Response(exports.json.encode(answer), media_type="application/json")


@router.get("/stores/{store_id}/live", summary="A store today, up to now")
def live(request: Request, store_id: str, scope: Reader) -> Response:
    """Beside the same weekday last week, up to the same minute of the store's clock."""
    return Response(exports.json.encode(_service(request).live(scope, store_id)), media_type="application/json")


@router.get("/kpi/definitions", summary="Every KPI, as it is defined")
def definitions(scope: Reader) -> list[dict[str, str]]:  # noqa: ARG001  # signed in, that is all
    """Slug, unit, formula and how it rolls up."""
    return [
        {"slug": kpi.slug, "unit": kpi.unit, "formula": kpi.formula, "rolls_up": kpi.rolls_up} for kpi in KPIS.values()
    ]


def _names(joined: str | None) -> list[str] | None:
    if joined is None:
        return None
    return [name.strip() for name in joined.split(",") if name.strip()]
