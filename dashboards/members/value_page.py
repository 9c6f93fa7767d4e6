"""What members are worth: where they stand, who brings the profit, how that goes, and who is in each corner of it.

A reader of some stores sees their own members; what is of the whole chain (shares of profit and their trend) is HQ's.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response

from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.membership.value.models import STAGES, Band, Stage, Standing

router = page_router()

STAGE_WORDS: Final = {
    "new": N_("new"),
    "active": N_("active"),
    "at_risk": N_("at risk"),
    "dormant": N_("dormant"),
    "lost": N_("lost"),
    "won_back": N_("won back"),
}
BAND_WORDS: Final[dict[Band, str]] = {
    "top": N_("of the top %(share)s of buyers"),
    "bottom": N_("of the bottom %(share)s of buyers"),
}
_BANDS: Final[dict[Band, str]] = {"top": "20%", "bottom": "30%"}
_TREND: Final = timedelta(days=365)
_LISTED: Final = 50
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Grades = Annotated[str, Query(max_length=3)]


@router.get("/members/value")
def value(request: Request, viewer: Reader, store: str = "") -> Response:
    """The map of grades, the stages, and for HQ who brings the profit."""
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    chosen = store or None
    currency = services.value.reporting
    standings: Sequence[Standing] = ()
    if scope.has_role(*HEADQUARTERS):
        today = services.clock().date()
        standings = services.value.standings(scope, today - _TREND, today)
    counts = {each.stage: each for each in services.value.stages(scope, chosen)}
    members = sum(each.members for each in counts.values())
    return renderer_of(request).page(
        request,
        "members/value.html",
        viewer,
        stores=stores,
        tabs=member_tabs(viewer, "/members/value"),
        store=store,
        choices=[("", gettext(N_("all stores"))), *((each.store_id, each.name) for each in stores)],
        is_hq=scope.has_role(*HEADQUARTERS),
        grid=_grid(services.value.grid(scope, chosen), currency, fmt, store),
        stages=[
            {
                "href": _to(stage=stage, store=store),
                "name": gettext(STAGE_WORDS[stage]),
                "members": fmt.number(counts[stage].members if stage in counts else 0),
                "share": fmt.percent(counts[stage].members / members, 0) if stage in counts else "0%",
                "width": round(100 * counts[stage].members / members, 1) if stage in counts else 0,
            }
            for stage in STAGES
        ],
        members=members,
        latest=_latest(standings, currency, fmt) if standings else None,
        high_href=_to(high="1", store=store),
        top_href=_to(band="top", store=store),
        bottom_href=_to(band="bottom", store=store),
        chart=_chart(standings, viewer.locale) if len(standings) > 1 else None,
        table=[_day(each, currency, fmt) for each in reversed(standings)],
    )


@router.get("/members/value/members")
def members(
    request: Request,
    viewer: Reader,
    stage: Stage | None = None,
    grades: Grades = "",
    high: bool = False,
    band: Band | None = None,
    store: str = "",
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """Who is meant, the most valuable first; numbers are masked."""
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    names = {each.store_id: each.name for each in stores}
    currency = services.value.reporting
    found = services.value.values(
        scope,
        stage=stage,
        grades=grades or None,
        high=True if high else None,
        band=band,
        store_id=store or None,
        limit=_LISTED + 1,
        offset=offset,
    )
    page = found[:_LISTED]
    people = services.membership.summaries(scope, [each.member_id for each in page])
    asked = {"stage": stage or "", "grades": grades, "high": "1" if high else "", "band": band or "", "store": store}
    return renderer_of(request).page(
        request,
        "members/value_members.html",
        viewer,
        stores=stores,
        tabs=member_tabs(viewer, "/members/value"),
        back=f"/members/value?store={store}" if store else "/members/value",
        who=_who(stage, grades, band, store, fmt, names, high=high),
        rows=[
            {
                "href": f"/desk/members/{each.member_id}",
                "name": people[each.member_id].name if each.member_id in people else NOTHING,
                "phone": people[each.member_id].phone if each.member_id in people else "",
                "store": names.get(each.home_store, each.home_store),
                "grades": "".join(str(grade) for grade in (each.r, each.f, each.m) if grade) or NOTHING,
                "stage": gettext(STAGE_WORDS[each.stage]),
                "last": fmt.plain_day(each.last_bought) if each.last_bought else NOTHING,
                "days": fmt.number(each.frequency),
                "spent": fmt.money(each.monetary, currency, 0),
                "value": fmt.money(each.value, currency, 0),
                "cost": fmt.money(each.cost, currency, 0),
                "high": each.high,
            }
            for each in page
        ],
        earlier=_to(**asked, offset=str(max(0, offset - _LISTED))) if offset else "",
        later=_to(**asked, offset=str(offset + _LISTED)) if len(found) > _LISTED else "",
    )


def _to(**asked: str) -> str:
    """The list of members who are meant."""
    return "/members/value/members?" + urlencode({name: text for name, text in asked.items() if text})


def _who(
    stage: Stage | None, grades: str, band: Band | None, store: str, fmt: Formats, names: dict[str, str], *, high: bool
) -> str:
    gettext = translations(fmt.locale).gettext
    parts = [
        gettext(N_("stage: %(stage)s")) % {"stage": gettext(STAGE_WORDS[stage])} if stage else "",
        gettext(N_("grades R, F, M: %(grades)s")) % {"grades": grades.replace("-", "·")} if grades else "",
        gettext(N_("of high value")) if high else "",
        gettext(BAND_WORDS[band]) % {"share": _BANDS[band]} if band else "",
        names.get(store, store),
    ]
    return " · ".join(part for part in parts if part) or gettext(N_("everybody"))


def _grid(
    cells: Sequence[tuple[int, int, int, Decimal]], currency: str, fmt: Formats, store: str
) -> list[dict[str, Any]]:
    """Rows of grades of frequency from 5 down, each with its cells of recency from 1 up."""
    by_place = {(r, f): (members, value) for r, f, members, value in cells}
    most = max((members for members, _ in by_place.values()), default=1)
    rows = []
    for f in range(5, 0, -1):
        row = []
        for r in range(1, 6):
            members, worth = by_place.get((r, f), (0, Decimal(0)))
            row.append(
                {
                    "members": fmt.number(members),
                    "none": not members,
                    "worth": fmt.money(worth, currency, 0),
                    "href": _to(grades=f"{r}{f}-", store=store),
                    "heat": 0 if not members else min(4, 1 + int(4 * members / most)),
                    "r": r,
                    "f": f,
                }
            )
        rows.append({"f": f, "cells": row})
    return rows


def _latest(standings: Sequence[Standing], currency: str, fmt: Formats) -> dict[str, Any]:
    last = standings[-1]
    before = next((each for each in standings if (last.day - each.day).days <= 90), last)
    return {
        "day": fmt.plain_day(last.day),
        "buyers": fmt.number(last.buyers),
        "members": fmt.number(last.members),
        "high": fmt.number(last.high),
        "high_share": fmt.percent(last.high_share),
        "change": fmt.points(last.high_share, before.high_share) if before is not last else None,
        "since": fmt.plain_day(before.day),
        "profit": fmt.money(last.profit, currency, 0),
        "high_profit": _share(last.high_profit, last.profit, fmt),
        "top": _share(last.top_profit, last.profit, fmt),
        "top_money": fmt.money(last.top_profit, currency, 0),
        "bottom": _share(last.bottom_profit, last.profit, fmt),
        "bottom_money": fmt.money(last.bottom_profit, currency, 0),
        "unknown": fmt.money(last.unknown_sales, currency, 0) if last.unknown_sales else "",
        "left_out": last.left_out,
    }


def _share(part: Decimal, whole: Decimal, fmt: Formats) -> str:
    """Of a loss nobody has a share."""
    return fmt.percent(part / whole) if whole > 0 else NOTHING


def _day(each: Standing, currency: str, fmt: Formats) -> dict[str, str]:
    return {
        "day": fmt.plain_day(each.day),
        "buyers": fmt.number(each.buyers),
        "high": fmt.number(each.high),
        "share": fmt.percent(each.high_share),
        "high_profit": _share(each.high_profit, each.profit, fmt),
        "top": _share(each.top_profit, each.profit, fmt),
        "bottom": _share(each.bottom_profit, each.profit, fmt),
        "profit": fmt.money(each.profit, currency, 0),
    }


def _chart(standings: Sequence[Standing], locale: Locale) -> dict[str, Any]:
    gettext = translations(locale).gettext
    return {
        "days": [
            {
                "day": each.day.isoformat(),
                "share": each.high_share,
                "profit": float(each.high_profit / each.profit) if each.profit > 0 else None,
            }
            for each in standings
        ],
        "labels": {
            "share": gettext(N_("Share of buyers who are of high value")),
            "profit": gettext(N_("Their share of profit")),
        },
        "tickformat": "%-m月%-d日" if locale == "zh" else "%-d %b",
        "hoverformat": "%Y年%-m月%-d日" if locale == "zh" else "%-d %b %Y",
    }
