"""Who is on the floor: a business day's whole roster, entered as shifts or as hours.

A day nobody entered is unknown and not unstaffed, so "nobody works that day" is said with a box of its own and never by
an empty form.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form, shift_bounds
from dashboards.entry.tabs import store_tabs
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_
from dashboards.pages import page_router, renderer_of
from dashboards.unrostered import unrostered
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput
from server.kpi.correction_service import Shift
from server.stores.calendar import StoreCalendar

router = page_router()

#: Rows of a form: as many shifts as there are, and some to fill in.
_SPARE: Final = 3
_BACK, _AHEAD = timedelta(days=7), timedelta(days=13)
_SAY: Final = N_("Enter shifts, or the day's hours, or say that nobody works.")
_ONE: Final = N_("Enter shifts, or the day's hours, or that nobody works: one of the three.")
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]
Text = Annotated[str, Sent(max_length=60)]
Texts = Annotated[list[str], Sent(max_length=60)]


@router.get("/stores/{store_id}/roster")
def roster(request: Request, store_id: str, viewer: Reader, day: date | None = None, note: str = "") -> Response:
    """A store's rosters of some weeks, and one day's to change."""
    services = request.app.state.services
    chosen = day or services.kpi.today(viewer.scope, store_id)
    held = services.corrections.roster(viewer.scope, store_id, chosen)
    calendar = services.stores.calendar(viewer.scope, store_id)
    rows = _rows_of(held or [], calendar, chosen)
    form = Form({"day": chosen.isoformat(), "nobody": "1" if held == [] else ""})
    return _page(request, viewer, store_id, chosen, form, rows, note=note)


@router.post("/stores/{store_id}/roster")
def set_roster(
    request: Request,
    store_id: str,
    viewer: Poster,
    day: Text = "",
    hours: Text = "",
    nobody: Text = "",
    starts: Texts = [],  # noqa: B006 - FastAPI copies it
    ends: Texts = [],  # noqa: B006
    people: Texts = [],  # noqa: B006
    notes: Texts = [],  # noqa: B006
) -> Response:
    """Put a day's roster in place of the one it had."""
    services = request.app.state.services
    form = Form({"day": day, "hours": hours, "nobody": nobody})
    rows = [
        dict(zip(("starts", "ends", "people", "note"), each, strict=True))
        for each in zip_longest(starts, ends, people, notes, fillvalue="")
    ]
    filled = [row for row in rows if any(row[name].strip() for name in ("starts", "ends", "people"))]
    chosen = form.day("day")
    calendar = services.stores.calendar(viewer.scope, store_id)
    if chosen is not None:
        said = sum((bool(filled), bool(form.text("hours")), bool(nobody)))
        if said != 1:
            form.problems["roster"] = _ONE if said else _SAY
        shifts = _shifts(form, filled, chosen, calendar)
        if not form.problems:
            try:
                if form.text("hours"):
                    shifts = services.corrections.spread(
                        viewer.scope, store_id, chosen, form.number("hours") or Decimal(0), calendar
                    )
                services.corrections.set_roster(viewer.scope, store_id, chosen, shifts)
            except InvalidInput as error:
                form.refuse(error)
            else:
                return RedirectResponse(
                    f"/stores/{quote(store_id, safe='')}/roster?day={chosen}&note=saved", status_code=303
                )
    shown = chosen or services.kpi.today(viewer.scope, store_id)
    return _page(request, viewer, store_id, shown, form, filled + [_EMPTY] * _SPARE, status=422)


_EMPTY: Final = {"starts": "", "ends": "", "people": "", "note": ""}


def _shifts(form: Form, rows: Sequence[dict[str, str]], day: date, calendar: StoreCalendar) -> list[Shift]:
    """What was filled in as shifts; a problem is noted under the row's own name."""
    found = []
    start, zone = calendar.bounds(day)[0], calendar.zone_on(day)
    if form.text("hours"):
        form.number("hours")
    for number, row in enumerate(rows):
        own = Form(row)
        begins, ends = own.clock("starts"), own.clock("ends")
        people = own.number("people") if own.text("people") else Decimal(1)
        if begins and ends and people is not None:
            found.append(Shift(*shift_bounds(day, begins, ends, start, zone), people, row["note"].strip()))
        for name, words in own.problems.items():
            form.problems[f"{name}-{number}"] = _TIME if name in {"starts", "ends"} else words
    return found


_TIME: Final = N_("Enter a time of day, such as 09:30.")


def _rows_of(shifts: Sequence[Shift], calendar: StoreCalendar, day: date) -> list[dict[str, str]]:
    zone = calendar.zone_on(day)
    rows = [
        {
            "starts": f"{each.starts_at.astimezone(zone):%H:%M}",
            "ends": f"{each.ends_at.astimezone(zone):%H:%M}",
            "people": _plain(each.people),
            "note": each.note,
        }
        for each in shifts
    ]
    return rows + [_EMPTY] * _SPARE


def _plain(people: Decimal) -> str:
    text = f"{people:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _page(
    request: Request,
    viewer: Viewer,
    store_id: str,
    day: date,
    form: Form,
    rows: Sequence[dict[str, str]],
    *,
    status: int = 200,
    note: str = "",
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    fmt = Formats(viewer.locale)
    calendar = services.stores.calendar(scope, store_id)
    today = services.kpi.today(scope, store_id)
    shown = [day - _BACK + timedelta(days=number) for number in range((_BACK + _AHEAD).days + 1)]
    held = services.corrections.rosters(scope, store_id, shown)
    zone = calendar.zone_on(day)
    spans = calendar.open_spans(day)
    return renderer_of(request).page(
        request,
        "entry/roster.html",
        viewer,
        status=status,
        stores=services.stores.stores(scope),
        address=f"/stores/{quote(store_id, safe='')}/roster?day={day}",
        store=services.stores.store(scope, store_id),
        tabs=store_tabs(store_id, "/roster", viewer.locale),
        form=form,
        rows=rows,
        note=note,
        day_label=fmt.long_day(day),
        opening=", ".join(f"{a.astimezone(zone):%H:%M}–{b.astimezone(zone):%H:%M}" for a, b in spans),
        unrostered=len(unrostered(services, scope, store_id, [each for each in shown if each <= today])),
        days=[_day(each, held[each], fmt, chosen=each == day, today=each == today) for each in shown],
    )


def _day(day: date, held: Sequence[Shift] | None, fmt: Formats, *, chosen: bool, today: bool) -> dict[str, Any]:
    hours: Decimal | None = None
    if held is not None:
        seconds = sum(
            (Decimal((each.ends_at - each.starts_at).total_seconds()) * each.people for each in held), Decimal(0)
        )
        hours = seconds / 3600
    return {
        "iso": day.isoformat(),
        "label": fmt.day(day),
        "weekday": fmt.weekday(day),
        "known": held is not None,
        "hours": NOTHING if hours is None else fmt.number(hours, 1),
        "chosen": chosen,
        "today": today,
    }
