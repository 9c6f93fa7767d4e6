"""Routes of the KPIs: reports as JSON or CSV, and a store live.

Numbers are JSON numbers with all their digits, never binary fractions, so that money arrives to the cent. A CSV is
opened in a spreadsheet, which runs a cell beginning with ``=`` as a formula; a store's region is typed by people, so
such texts are put behind an apostrophe.
"""

import csv
import io
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final, Literal, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from server.access.api import require_role
from server.access.models import Scope
from server.kpi.models import Report, ReportRow
from server.kpi.registry import KPIS
from server.kpi.reports import Compare
from server.kpi.service import KpiService

router = APIRouter(prefix="/api/v1", tags=["kpi"])

#: A till posts receipts and a desk enrols members; the numbers are for those who run stores.
Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]

_json = msgspec.json.Encoder(decimal_format="number")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class _State(Protocol):
    kpi: KpiService


def _service(request: Request) -> KpiService:
    return cast("_State", request.app.state.services).kpi


@router.get("/kpi", summary="KPIs of stores over business days")
def report(
    request: Request,
    scope: Reader,
    day_from: Annotated[date, Query(alias="from", description="First business day.")],
    day_to: Annotated[date, Query(alias="to", description="Last business day, included.")],
    kpi: Annotated[str, Query(description="Slugs, joined by commas.")] = "entries,visitors,transactions,conversion",
    store: Annotated[str | None, Query(description="Stores, joined by commas; all of yours when left out.")] = None,
    group_by: Annotated[
        str, Query(description="chain, or some of: store, region, day, week, month, weekday, hour, hour_of_day.")
    ] = "chain",
    compare: Annotated[Compare | None, Query(description="A period to stand beside it.")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Sums over sums, each value with its coverage and, for ratios, a 95% interval; withheld with a reason."""
    answer = _service(request).report(
        scope,
        kpis=_names(kpi) or [],
        day_from=day_from,
        day_to=day_to,
        store_ids=_names(store),
        group_by=group_by,
        compare=compare,
    )
    if form == "csv":
        name = f"doorline-{day_from}-{day_to}.csv"
        return Response(
            # The mark tells spreadsheets that this is UTF-8; without it, Chinese regions turn into noise.
            ("\ufeff" + "".join(_csv(answer))).encode(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return Response(_json.encode(answer), media_type="application/json")


@router.get("/stores/{store_id}/live", summary="A store today, up to now")
def live(request: Request, store_id: str, scope: Reader) -> Response:
    """Beside the same weekday last week, up to the same minute of the store's clock."""
    return Response(_json.encode(_service(request).live(scope, store_id)), media_type="application/json")


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


def _csv(report: Report) -> Iterator[str]:
    """One line a row, the total last; per KPI its value, why there is none, and the interval's ends."""
    by = report.group_by or ("chain",)
    compared = report.compared_from is not None
    yield _line([*by, *(column for slug in report.kpis for column in _columns(slug, compared=compared)), "coverage"])
    for row in report.rows if report.group_by else ():
        yield _csv_row([_safe(row.labels[name]) for name in by], row, report)
    yield _csv_row(["total", *[""] * (len(by) - 1)], report.total, report)


def _columns(slug: str, *, compared: bool) -> list[str]:
    columns = [slug, f"{slug}_withheld", f"{slug}_low", f"{slug}_high"]
    return [*columns, f"{slug}_compared"] if compared else columns


def _csv_row(labels: list[str], row: ReportRow, report: Report) -> str:
    cells = list(labels)
    for slug in report.kpis:
        value = row.values[slug]
        cells += [_number(value.value), value.withheld or "", _number(value.low), _number(value.high)]
        if row.compare is not None:
            cells.append(_number(row.compare[slug].value))
    cells.append("" if row.coverage is None else f"{row.coverage:.6f}")
    return _line(cells)


def _number(value: object) -> str:
    return "" if value is None else str(value)


def _safe(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
