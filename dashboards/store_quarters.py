"""A store's day by quarter hour, beside the same weekday last week: what the chart of the day is drawn from.

It is asked for apart from the live figures, again when an hour's count has moved, and then not more than every quarter
of a minute: ninety-six quarter hours are too many to send with every arrival.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import JSONResponse

from dashboards.formats import NOTHING, Formats
from dashboards.pages import page_router
from dashboards.viewer import STORE_READERS, Viewer, unasked, viewer_with
from server.kpi.models import KpiValue

router = page_router()

_QUARTER: Final = timedelta(minutes=15)
_FORMAT: Final = "%Y-%m-%dT%H:%MZ"


@router.get("/stores/{store_id}/quarters")
@unasked
def quarters(
    request: Request, store_id: str, viewer: Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
) -> JSONResponse:
    """The running day by quarter hour."""
    return JSONResponse({"quarters": quarters_of(request, viewer, store_id)}, headers={"Cache-Control": "no-store"})


def quarters_of(request: Request, viewer: Viewer, store_id: str) -> list[dict[str, Any]]:
    """Every quarter hour in which the store is open or somebody came, with its words for the table and, once it has
    begun, the page of what its visitors are made of."""
    services, scope, fmt = request.app.state.services, viewer.scope, Formats(viewer.locale)
    today = services.kpi.today(scope, store_id)
    calendar = services.stores.calendar(scope, store_id)
    zone, now = calendar.zone_on(today).key, services.clock()
    found = {}
    for day in (today, today - timedelta(days=7)):
        report = services.kpi.report(
            scope,
            kpis=["visitors", "transactions"],
            day_from=day,
            day_to=day,
            store_ids=[store_id],
            group_by="quarter",
        )
        shift = today - day
        for row in report.rows:
            at = datetime.strptime(row.labels["quarter"], _FORMAT).replace(tzinfo=UTC) + shift
            found[day == today, at] = row
    base = f"/stores/{quote(store_id, safe='')}/why/visitors?day={today.isoformat()}&quarter="
    opened = frozenset(calendar.open_quarters(today))
    start, end = calendar.bounds(today)
    shown = []
    at = start
    while at < end:
        row, before = found.get((True, at)), found.get((False, at))
        if at in opened or _count(row) or _count(before):
            past = at <= now
            visitors = row.values["visitors"] if row and past else None
            shown.append(
                {
                    "label": fmt.clock(at, zone),
                    "href": base + at.astimezone(UTC).strftime(_FORMAT) if past else "",
                    "open": at in opened,
                    "visitors": _plain(visitors),
                    "last_week": _plain(before.values["visitors"] if before else None),
                    "cells": [
                        _text(visitors, fmt),
                        _text(before.values["visitors"] if before else None, fmt),
                        _text(row.values["transactions"] if row and past else None, fmt),
                        fmt.percent(row.coverage) if row and past and row.coverage is not None else NOTHING,
                    ],
                }
            )
        at += _QUARTER
    return shown


def _count(row: Any) -> int:
    return 0 if row is None else int(row.values["visitors"].value or 0)


def _plain(value: KpiValue | None) -> int | None:
    return None if value is None or value.value is None else int(value.value)


def _text(value: KpiValue | None, fmt: Formats) -> str:
    return NOTHING if value is None else fmt.number(value.value)
