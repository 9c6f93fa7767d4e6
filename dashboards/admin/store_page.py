"""One store as it is set up: its name, how it is sorted, its clock and its week, and what hangs in it.

What bears on a number is changed from a day on and never backwards without saying so: each form names the first day it
holds on, today unless another is given, and says what follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import zip_longest
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.admin.frame import page, refuse
from dashboards.admin.stores_page import STATES, ZONES, store_href, store_states, words
from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import InvalidInput
from server.stores.calendar import DayRule, OpeningSpan, StoreCalendar, WeeklyHours
from server.stores.hours_text import write_hours
from server.stores.models import Camera, Device, Store
from server.stores.public_holidays import HOLIDAY

router = page_router()

DAYS: Final = (
    N_("Monday"),
    N_("Tuesday"),
    N_("Wednesday"),
    N_("Thursday"),
    N_("Friday"),
    N_("Saturday"),
    N_("Sunday"),
    N_("Public holidays"),
)
_NOTES: Final = {
    "added": N_("The store was added. Next: a box for it, and its cameras."),
    "changed": N_("The change is in force."),
    "hours": N_("The hours are set. Numbers of the days concerned follow within a minute."),
    "calendar": N_("The clock is set. Numbers of the days concerned follow within a minute."),
    "labels": N_("Region, format and tags are set from that day on."),
}
_NO_HOURS: Final = N_("Give hours for at least one weekday.")
_BOTH: Final = N_("Give both a beginning and an end, as times of day.")
#: Times that a weekday may open at.
_SPANS: Final = 2
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=300)]
Texts = Annotated[list[str], Sent()]


@dataclass(frozen=True, slots=True)
class WeekRow:
    """A weekday's line of the form: its times as typed."""

    name: str
    times: tuple[tuple[str, str], ...]


@router.get("/admin/stores/{store_id}")
def store_page(request: Request, store_id: str, viewer: Reader, note: str = "") -> Response:
    """A store with the forms that change it."""
    return _page(request, viewer, store_id, note=note)


@router.post("/admin/stores/{store_id}/name")
def rename(request: Request, store_id: str, viewer: Poster, name: Text = "", subdivision: Text = "") -> Response:
    """Give it another name or part of its country."""
    form = Form({"name": name, "subdivision": subdivision})
    try:
        request.app.state.services.store_changes.change(
            viewer.scope, store_id, form.text("name"), form.text("subdivision").upper()
        )
    except InvalidInput as error:
        refuse(form, error)
        return _page(request, viewer, store_id, forms={"name": form}, status=422)
    return _back(store_id, "changed")


@router.post("/admin/stores/{store_id}/labels")
def relabel(
    request: Request,
    store_id: str,
    viewer: Poster,
    valid_from: Text = "",
    region: Text = "",
    format: Text = "",  # noqa: A002
    tags: Text = "",
) -> Response:
    """Sort it otherwise from a day on."""
    form = Form({"valid_from": valid_from, "region": region, "format": format, "tags": tags})
    day = form.day("valid_from")
    if day is not None:
        try:
            request.app.state.services.labels.set_labels(
                viewer.scope,
                store_id,
                day,
                store_format=form.text("format"),
                tags=words(form.text("tags")),
                region=form.text("region"),
            )
        except InvalidInput as error:
            refuse(form, error)
        else:
            return _back(store_id, "labels")
    return _page(request, viewer, store_id, forms={"labels": form}, status=422)


@router.post("/admin/stores/{store_id}/calendar")
def set_calendar(
    request: Request, store_id: str, viewer: Poster, valid_from: Text = "", timezone: Text = "", day_starts: Text = ""
) -> Response:
    """Set its time zone and the start of its business day from a day on."""
    form = Form({"valid_from": valid_from, "timezone": timezone, "day_starts": day_starts})
    day, starts = form.day("valid_from"), form.clock("day_starts")
    if day is not None and starts is not None:
        try:
            request.app.state.services.stores.set_calendar(
                viewer.scope, store_id, DayRule(day, form.text("timezone"), starts)
            )
        except InvalidInput as error:
            refuse(form, error)
        else:
            return _back(store_id, "calendar")
    return _page(request, viewer, store_id, forms={"calendar": form}, status=422)


@router.post("/admin/stores/{store_id}/hours")
def set_hours(
    request: Request,
    store_id: str,
    viewer: Poster,
    valid_from: Text = "",
    opens: Texts = [],  # noqa: B006 - FastAPI copies it
    closes: Texts = [],  # noqa: B006
) -> Response:
    """Set its week of opening hours from a day on."""
    form = Form({"valid_from": valid_from})
    pairs = list(zip_longest(opens, closes, fillvalue=""))[: (HOLIDAY + 1) * _SPANS]
    spans = _spans(form, pairs)
    day = form.day("valid_from")
    if not spans and not form.problems:
        form.problems["hours"] = _NO_HOURS
    if day is not None and not form.problems:
        try:
            request.app.state.services.stores.set_hours(viewer.scope, store_id, day, spans)
        except InvalidInput as error:
            refuse(form, error)
        else:
            return _back(store_id, "hours")
    return _page(request, viewer, store_id, forms={"hours": form}, week=_typed(pairs), status=422)


def _spans(form: Form, pairs: Sequence[tuple[str, str]]) -> list[OpeningSpan]:
    """What was typed as spans; a time that can't be read is a problem of the form."""
    found = []
    for place, (first, last) in enumerate(pairs):
        if not first.strip() and not last.strip():
            continue
        own = Form({"opens": first, "closes": last})
        begins, ends = own.clock("opens"), own.clock("closes")
        if begins is None or ends is None:
            form.problems["hours"] = _BOTH
        else:
            found.append(OpeningSpan(place // _SPANS, begins, ends))
    return found


def _typed(pairs: Sequence[tuple[str, str]]) -> list[WeekRow]:
    padded = [*pairs, *[("", "")] * ((HOLIDAY + 1) * _SPANS - len(pairs))]
    return [WeekRow(name, tuple(padded[day * _SPANS : (day + 1) * _SPANS])) for day, name in enumerate(DAYS)]


def _week(hours: WeeklyHours | None) -> list[WeekRow]:
    spans = hours.spans if hours else ()
    pairs: list[tuple[str, str]] = []
    for day in range(HOLIDAY + 1):
        own = [(_plain(span.opens), _plain(span.closes)) for span in spans if span.weekday == day][:_SPANS]
        pairs += [*own, *[("", "")] * (_SPANS - len(own))]
    return _typed(pairs)


def _plain(at: time) -> str:
    return f"{at:%H:%M}"


def _back(store_id: str, note: str) -> Response:
    return RedirectResponse(f"{store_href(store_id)}?note={note}", status_code=303)


def _page(
    request: Request,
    viewer: Viewer,
    store_id: str,
    *,
    note: str = "",
    forms: dict[str, Form] | None = None,
    week: list[WeekRow] | None = None,
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    store: Store = services.stores.store(scope, store_id)
    calendar: StoreCalendar = services.stores.calendar(scope, store_id)
    today = calendar.day_of(services.clock())
    in_force = _in_force(calendar, today)
    cameras: list[Camera] = [each for each in services.stores.cameras(scope, store_id) if each.removed_at is None]
    devices: list[Device] = [each for each in services.stores.devices(scope, store_id) if each.revoked_at is None]
    told = forms or {}
    return page(
        request,
        viewer,
        "store",
        tab="/admin/stores",
        status=status,
        address=store_href(store_id),
        stores=services.stores.stores(scope),
        store=store,
        note=note,
        notes=_NOTES,
        state=STATES[store_states(request, viewer).get(store_id, "none")],
        name_form=told.get("name") or _name_form(store),
        label_form=told.get("labels")
        or Form(
            {
                "valid_from": today.isoformat(),
                "region": store.region,
                "format": store.format,
                "tags": ", ".join(store.tags),
            }
        ),
        calendar_form=told.get("calendar")
        or Form({"valid_from": today.isoformat(), "timezone": store.timezone, "day_starts": _plain(store.day_starts)}),
        hours_form=told.get("hours") or Form({"valid_from": today.isoformat()}),
        week=week or _week(in_force),
        weeks=_weeks(calendar, today, Formats(viewer.locale)),
        zones=ZONES,
        cameras=cameras,
        devices=devices,
    )


def _name_form(store: Store) -> Form:
    return Form({"name": store.name, "subdivision": store.subdivision})


def _in_force(calendar: StoreCalendar, day: date) -> WeeklyHours | None:
    earlier = [week for week in calendar.weeks if week.valid_from <= day]
    return earlier[-1] if earlier else next(iter(calendar.weeks), None)


def _weeks(calendar: StoreCalendar, today: date, fmt: Formats) -> list[dict[str, Any]]:
    """Every version of the week, the latest first, where there is more than one."""
    if len(calendar.weeks) < 2:
        return []
    held = _in_force(calendar, today)
    return [
        {"from": fmt.plain_day(week.valid_from), "hours": write_hours(week.spans), "now": week is held}
        for week in reversed(calendar.weeks)
    ]
