"""Promotions, events and weather: entered and taken away, of a store on its page, of a region or the chain on HQ's."""

from datetime import date, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form, Gettext
from dashboards.entry.tabs import store_tabs
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, NotFound
from server.stores.models import Fact, NewFact

router = page_router()

KINDS: Final = (("promotion", N_("Promotion")), ("event", N_("Event")), ("weather", N_("Weather")))
ICONS: Final = {"promotion": "tag", "weather": "rain", "event": "event"}
_FIELDS: Final = ("kind", "day_from", "day_to", "title", "detail", "place", "temperature_c", "rain_mm")
_BACK, _AHEAD = timedelta(days=60), timedelta(days=120)
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]
ChainReader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
ChainPoster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=200)]
Long = Annotated[str, Sent(max_length=2000)]


@router.get("/stores/{store_id}/facts")
def of_store(request: Request, store_id: str, viewer: Reader, note: str = "") -> Response:
    """What explains a store's days, and the form to add to it."""
    return _page(request, viewer, store_id, Form(_fresh(request, viewer, store_id)), note=note)


@router.get("/facts")
def of_chain(request: Request, viewer: ChainReader, note: str = "") -> Response:
    """What explains the days of all stores, and the form for a region or the whole chain."""
    return _page(request, viewer, None, Form(_fresh(request, viewer, None)), note=note)


@router.post("/stores/{store_id}/facts")
def add_to_store(
    request: Request,
    store_id: str,
    viewer: Poster,
    kind: Text = "",
    day_from: Text = "",
    day_to: Text = "",
    title: Text = "",
    detail: Long = "",
    temperature_c: Text = "",
    rain_mm: Text = "",
) -> Response:
    """Note something of one store."""
    form = Form(dict(zip(_FIELDS, (kind, day_from, day_to, title, detail, "", temperature_c, rain_mm), strict=True)))
    return _add(request, viewer, store_id, form)


@router.post("/facts")
def add_to_chain(
    request: Request,
    viewer: ChainPoster,
    kind: Text = "",
    day_from: Text = "",
    day_to: Text = "",
    title: Text = "",
    detail: Long = "",
    place: Text = "",
    temperature_c: Text = "",
    rain_mm: Text = "",
) -> Response:
    """Note something of a region or of the whole chain."""
    form = Form(dict(zip(_FIELDS, (kind, day_from, day_to, title, detail, place, temperature_c, rain_mm), strict=True)))
    return _add(request, viewer, None, form)


@router.post("/facts/{fact_id}/removal")
def remove(request: Request, fact_id: int, viewer: Poster, store: Text = "") -> Response:
    """Take one away."""
    request.app.state.services.facts.remove(viewer.scope, fact_id)
    return RedirectResponse(f"{_home(store or None)}?note=removed", status_code=303)


def _add(request: Request, viewer: Viewer, store_id: str | None, form: Form) -> Response:
    first = form.day("day_from")
    last = form.day("day_to", optional=True) or first
    temperature, rain = form.number("temperature_c"), form.number("rain_mm")
    if first and last and not form.problems:
        try:
            request.app.state.services.facts.add(
                viewer.scope,
                NewFact(
                    kind=form.text("kind"),  # type: ignore[arg-type]  # refused by the service where it is none
                    day_from=first,
                    day_to=last,
                    title=form.text("title"),
                    detail=form.text("detail"),
                    store_id=store_id,
                    region=form.text("place") or None,
                    temperature_c=temperature,
                    rain_mm=rain,
                ),
            )
        except (InvalidInput, NotFound) as error:
            form.refuse(error, region="place")
        else:
            return RedirectResponse(f"{_home(store_id)}?note=added", status_code=303)
    return _page(request, viewer, store_id, form, status=422)


def _home(store_id: str | None) -> str:
    return f"/stores/{quote(store_id, safe='')}/facts" if store_id else "/facts"


def _fresh(request: Request, viewer: Viewer, store_id: str | None) -> dict[str, str]:
    today = _today(request, viewer, store_id)
    return {"kind": "promotion", "day_from": today.isoformat(), "day_to": today.isoformat()}


def _today(request: Request, viewer: Viewer, store_id: str | None) -> date:
    services = request.app.state.services
    if store_id is not None:
        today: date = services.kpi.today(viewer.scope, store_id)
        return today
    now: date = services.clock().date()
    return now


def _page(
    request: Request, viewer: Viewer, store_id: str | None, form: Form, *, status: int = 200, note: str = ""
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    today = _today(request, viewer, store_id)
    days = (today - _BACK, today + _AHEAD)
    found = (
        services.facts.of_store(scope, store_id, *days)
        if store_id is not None
        else services.facts.of_stores(scope, *days)
    )
    names = {store.store_id: store.name for store in stores}
    regions = sorted({store.region for store in stores if store.region})
    may_chain = scope.has_role("admin", "hq")
    return renderer_of(request).page(
        request,
        "entry/facts.html",
        viewer,
        status=status,
        stores=stores,
        address=_home(store_id),
        store=services.stores.store(scope, store_id) if store_id is not None else None,
        tabs=store_tabs(store_id, "/facts", viewer.locale) if store_id is not None else [],
        form=form,
        note=note,
        kinds=[(kind, gettext(words)) for kind, words in KINDS],
        places=[("", gettext(N_("The whole chain"))), *((region, region) for region in regions)],
        facts=[
            _line(fact, names, fmt, gettext, today, may=fact.store_id is not None or may_chain)
            for fact in sorted(found, key=lambda fact: (fact.day_from, fact.fact_id), reverse=True)
        ],
    )


def _line(
    fact: Fact, names: dict[str, str], fmt: Formats, gettext: Gettext, today: date, *, may: bool
) -> dict[str, Any]:
    place = names.get(fact.store_id, fact.store_id) if fact.store_id else fact.region
    measured = [
        words % {"value": fmt.number(value, 1)}
        for words, value in (
            (gettext(N_("%(value)s °C")), fact.temperature_c),
            (gettext(N_("%(value)s mm")), fact.rain_mm),
        )
        if value is not None
    ]
    return {
        "id": fact.fact_id,
        "icon": ICONS[fact.kind],
        "kind": gettext(dict(KINDS)[fact.kind]),
        "days": fmt.days(fact.day_from, fact.day_to),
        "title": fact.title,
        "detail": " · ".join([*([fact.detail] if fact.detail else []), *measured]),
        "place": place or gettext(N_("The whole chain")),
        "now": fact.day_from <= today <= fact.day_to,
        "may_remove": may,
    }
