"""Days on which a store does not open as its weekday says: exceptions of the store, and public holidays."""

from datetime import date, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.entry.tabs import store_tabs
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, NotFound
from server.stores.calendar import OpeningSpan
from server.stores.models import Store

router = page_router()

KINDS: Final = (
    ("holiday", N_("Public holiday")),
    ("workday", N_("Weekend day worked in exchange")),
    ("ordinary", N_("An ordinary day")),
)
_BACK, _AHEAD = timedelta(days=14), timedelta(days=180)
_CHANGERS: Final = ("admin", "hq", "manager")
_SPANS: Final = N_("Enter when it opens and closes, or say that it is closed.")
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq", "manager"))]
ChainPoster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=200)]


@router.get("/stores/{store_id}/opening")
def opening(request: Request, store_id: str, viewer: Reader, note: str = "") -> Response:
    """The days ahead that are not as their weekday says, and the forms to change that."""
    return _page(request, viewer, store_id, Form(), Form({"kind": "holiday"}), note=note)


@router.post("/stores/{store_id}/opening")
def set_exception(
    request: Request,
    store_id: str,
    viewer: Poster,
    day: Text = "",
    closed: Text = "",
    opens: Text = "",
    closes: Text = "",
    opens_again: Text = "",
    closes_again: Text = "",
    reason: Text = "",
) -> Response:
    """Set when the store opens on one date."""
    form = Form(
        {
            "day": day,
            "closed": closed,
            "opens": opens,
            "closes": closes,
            "opens_again": opens_again,
            "closes_again": closes_again,
            "reason": reason,
        }
    )
    chosen = form.day("day")
    spans: list[OpeningSpan] = []
    for first, last in (("opens", "closes"), ("opens_again", "closes_again")):
        if form.text(first) or form.text(last):
            begins, ends = form.clock(first), form.clock(last)
            if begins is not None and ends is not None:
                spans.append(OpeningSpan(0, begins, ends))
    if bool(spans) == bool(closed) and not form.problems:
        form.problems["spans"] = _SPANS
    if chosen is not None and not form.problems:
        try:
            request.app.state.services.opening.set_exception(viewer.scope, store_id, chosen, spans, form.text("reason"))
        except InvalidInput as error:
            form.refuse(error, hours="opens")
        else:
            return _back(store_id, "saved")
    return _page(request, viewer, store_id, form, Form({"kind": "holiday"}), status=422)


@router.post("/stores/{store_id}/opening/{day}/removal")
def clear_exception(request: Request, store_id: str, day: date, viewer: Poster) -> Response:
    """Leave a date to its weekday again."""
    request.app.state.services.opening.clear_exception(viewer.scope, store_id, day)
    return _back(store_id, "removed")


@router.post("/stores/{store_id}/holidays")
def set_holiday(
    request: Request, store_id: str, viewer: ChainPoster, day: Text = "", kind: Text = "", name: Text = ""
) -> Response:
    """Say what a day is where this store stands, for all stores there."""
    services = request.app.state.services
    store: Store = services.stores.store(viewer.scope, store_id)
    form = Form({"holiday": day, "kind": kind, "name": name})
    chosen = form.day("holiday")
    if chosen is not None:
        try:
            services.opening.set_holiday(
                viewer.scope, store.country, store.subdivision, chosen, form.text("kind"), form.text("name")
            )
        except InvalidInput as error:
            form.refuse(error, day="holiday")
        else:
            return _back(store_id, "saved")
    return _page(request, viewer, store_id, Form(), form, status=422)


@router.post("/stores/{store_id}/holidays/{day}/removal")
def clear_holiday(request: Request, store_id: str, day: date, viewer: ChainPoster) -> Response:
    """Leave a day to the calendar of the country again."""
    services = request.app.state.services
    store: Store = services.stores.store(viewer.scope, store_id)
    try:
        services.opening.clear_holiday(viewer.scope, store.country, store.subdivision, day)
    except NotFound:
        # Said of the whole country, where a part of it has no word of its own.
        services.opening.clear_holiday(viewer.scope, store.country, "", day)
    return _back(store_id, "removed")


def _back(store_id: str, note: str) -> Response:
    return RedirectResponse(f"/stores/{quote(store_id, safe='')}/opening?note={note}", status_code=303)


def _page(
    request: Request,
    viewer: Viewer,
    store_id: str,
    form: Form,
    holiday_form: Form,
    *,
    status: int = 200,
    note: str = "",
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    store: Store = services.stores.store(scope, store_id)
    today: date = services.kpi.today(scope, store_id)
    days = (today - _BACK, today + _AHEAD)
    exceptions = services.opening.exceptions(scope, store_id, *days)
    holidays = services.opening.holidays(scope, store.country, store.subdivision, *days, language=viewer.locale)
    kinds = [(kind, gettext(words)) for kind, words in KINDS]
    return renderer_of(request).page(
        request,
        "entry/opening.html",
        viewer,
        status=status,
        stores=services.stores.stores(scope),
        address=f"/stores/{quote(store_id, safe='')}/opening",
        store=store,
        tabs=store_tabs(store_id, "/opening", viewer.locale),
        form=form,
        holiday_form=holiday_form,
        note=note,
        kinds=kinds,
        week=_week(request, viewer, store_id, today, fmt),
        may_change=scope.has_role(*_CHANGERS),
        may_holidays=scope.has_role("admin", "hq"),
        place=store.country + (f"-{store.subdivision}" if store.subdivision else ""),
        exceptions=[
            {
                "iso": each.day.isoformat(),
                "day": fmt.weekday_day(each.day),
                "hours": ", ".join(f"{a:%H:%M}–{b:%H:%M}" for a, b in each.hours) or gettext(N_("Closed")),
                "reason": each.reason,
            }
            for each in exceptions
        ],
        holidays=[
            {
                "iso": each.day.isoformat(),
                "day": fmt.weekday_day(each.day),
                "kind": dict(kinds)[each.kind],
                "name": each.name,
                "own": each.source == "own",
            }
            for each in holidays
        ],
    )


def _week(request: Request, viewer: Viewer, store_id: str, today: date, fmt: Formats) -> list[dict[str, Any]]:
    """The next seven days as they will be."""
    calendar = request.app.state.services.stores.calendar(viewer.scope, store_id)
    shown = []
    for number in range(7):
        day = today + timedelta(days=number)
        zone = calendar.zone_on(day)
        spans = calendar.open_spans(day)
        shown.append(
            {
                "day": fmt.weekday_day(day),
                "hours": ", ".join(f"{a.astimezone(zone):%H:%M}–{b.astimezone(zone):%H:%M}" for a, b in spans),
            }
        )
    return shown
