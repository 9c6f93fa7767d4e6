"""The store manager's page: how the shop does now, today by the hour, its cameras, and the last two weeks."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from dashboards.entry.silences_page import open_silences
from dashboards.entry.tabs import store_tabs
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.reasons import reason
from dashboards.store_marks import left_out_hours, power_hours, said_of_day
from dashboards.store_members import four_weeks, members_of_store
from dashboards.store_view import FIGURES, MORE_FIGURES, store_view, written
from dashboards.store_week import week_heat
from dashboards.unrostered import unrostered
from dashboards.viewer import STORE_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.kpi.models import COVERAGE_BELOW_THRESHOLD, ReportRow
from server.storage.moment import one_moment
from server.stores.calendar import StoreCalendar
from server.stores.models import CameraHealth, Fact

router = page_router()

FACT_ICONS: Final = {"promotion": "tag", "weather": "rain", "event": "event"}
_STATES: Final = {
    "ok": (N_("Working"), "good"),
    "offline": (N_("No picture"), "bad"),
    "frozen": (N_("Frozen"), "bad"),
    "dark": (N_("Too dark"), "warn"),
    "covered": (N_("Covered"), "bad"),
    "stalled": (N_("Too slow"), "warn"),
    "never_seen": (N_("Not heard yet"), "warn"),
}
_DAYS: Final = 14
_TALLEST: Final = 60


@dataclass(frozen=True, slots=True)
class StripDay:
    """One day of the strip, written out. `why` says why there is no rate; `watched` how much of the day was."""

    day: str
    watched: str
    label: str
    weekday: str
    visitors: str
    rate: str
    why: str
    rate_missing: bool
    height: float
    today: bool
    partial: bool
    flags: tuple[dict[str, str], ...]


@router.get("/stores/{store_id}")
def store_page(
    request: Request, store_id: str, viewer: Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
) -> Response:
    """The page of one store."""
    with one_moment():
        shown = _shown(request, store_id, viewer)
    return renderer_of(request).page(request, "store.html", viewer, **shown)


def _shown(request: Request, store_id: str, viewer: Viewer) -> dict[str, Any]:
    """All that the page shows."""
    services, scope = request.app.state.services, viewer.scope
    stores = services.stores.stores(scope)
    store = services.stores.store(scope, store_id)
    live = services.kpi.live(scope, store_id)
    first = live.day - timedelta(days=_DAYS - 1)
    facts = services.facts.of_store(scope, store_id, first, live.day)
    report = services.kpi.report(
        scope,
        store_ids=[store_id],
        kpis=["visitors", "conversion"],
        day_from=first,
        day_to=live.day,
        group_by="day",
    )
    fmt = Formats(viewer.locale)
    calendar = services.stores.calendar(scope, store_id)
    weeks = four_weeks(request, viewer, store_id, live.day)
    power = power_hours(weeks, viewer.locale)
    return {
        "stores": stores,
        "store": store,
        "view": store_view(live, viewer.locale),
        "hours_label": _hours_label(calendar, live.day, live.is_open, viewer.locale),
        "cameras": camera_panel(list(live.cameras), viewer.locale),
        "tabs": store_tabs(store_id, "", viewer.locale),
        "lead": len(FIGURES),
        "more": len(FIGURES) + len(MORE_FIGURES),
        "power": power,
        "members": members_of_store(request, viewer, store, live.day, weeks),
        "week": week_heat(request, viewer, store_id, live.day, live.as_of, power["hours"]),
        "silences": open_silences(request, viewer, store_id, stores),
        "facts": [
            *(_mark(fact, fmt) for fact in facts if fact.day_from <= live.day <= fact.day_to),
            *said_of_day(request, viewer, store, live.day),
        ],
        "left_out": left_out_hours(request, viewer, live),
        "unrostered": [
            day.isoformat()
            for day in unrostered(services, scope, store_id, [first + timedelta(days=each) for each in range(_DAYS)])
        ],
        "fortnight": _strip(report.rows, first, live.day, facts, viewer.locale),
    }


def _hours_label(calendar: StoreCalendar, day: date, is_open: bool, locale: Locale) -> str:
    gettext = translations(locale).gettext
    zone, spans = calendar.zone_on(day), calendar.open_spans(day)
    if not spans:
        return gettext("Closed today")
    if spans == [calendar.bounds(day)]:
        return gettext("open 24 hours")
    times = ", ".join(f"{a.astimezone(zone):%H:%M}–{b.astimezone(zone):%H:%M}" for a, b in spans)
    words = gettext("open %(times)s") if is_open else gettext("closed now, open %(times)s")
    return words % {"times": times}


def camera_panel(cameras: list[CameraHealth], locale: Locale) -> dict[str, Any]:
    """The cameras in one line with what to do, and each of them."""
    texts = translations(locale)
    lines = [
        {
            "name": camera.name,
            "state": texts.gettext(_STATES[camera.state][0]),
            "kind": _STATES[camera.state][1],
            "text": "",
        }
        for camera in cameras
    ]
    troubled = [camera for camera in cameras if not camera.online]
    if not cameras:
        return {
            "kind": "warn",
            "icon": "gap",
            "title": texts.gettext("No camera is set up"),
            "text": texts.gettext("Visitors can't be counted until a camera watches the door."),
            "list": lines,
        }
    if not troubled:
        working = texts.ngettext("%(num)d camera is working", "All %(num)d cameras are working", len(cameras))
        return {
            "kind": "good",
            "icon": "ok",
            "title": working % {"num": len(cameras)},
            "text": texts.gettext("Nothing to do."),
            "list": lines,
        }
    title = texts.ngettext("%(num)d camera needs a look", "%(num)d cameras need a look", len(troubled))
    unheard = all(camera.state == "never_seen" for camera in troubled)
    if unheard:
        title = texts.ngettext(
            "%(num)d camera has not been heard yet", "%(num)d cameras have not been heard yet", len(troubled)
        )
    # The same remedy for several cameras is said once.
    remedies = dict.fromkeys(camera.message for camera in troubled if camera.message)
    return {
        "kind": "warn" if unheard else "bad",
        "icon": "camera",
        "title": title % {"num": len(troubled)},
        "text": " ".join(remedies),
        "list": lines,
    }


def _mark(fact: Fact, fmt: Formats) -> dict[str, str]:
    return {
        "icon": FACT_ICONS[fact.kind],
        "title": fact.title,
        "detail": fact.detail,
        "days": fmt.days(fact.day_from, fact.day_to),
    }


def _strip(rows: tuple[ReportRow, ...], first: date, today: date, facts: list[Fact], locale: Locale) -> list[StripDay]:
    fmt, gettext = Formats(locale), translations(locale).gettext
    by_day = {row.labels["day"]: row for row in rows}
    counts = [row.values["visitors"].value or 0 for row in rows]
    most = float(max(counts, default=0)) or 1.0
    watched = gettext("Coverage %(share)s")
    days: list[StripDay] = []
    for offset in range(_DAYS):
        day = first + timedelta(days=offset)
        row = by_day.get(day.isoformat())
        visitors = row.values["visitors"] if row else None
        rate = row.values["conversion"] if row else None
        why = gettext(reason(rate.withheld).long) if rate and rate.value is None else ""
        low = rate is not None and rate.withheld == COVERAGE_BELOW_THRESHOLD
        flags = [
            {"icon": FACT_ICONS[fact.kind], "title": fact.title}
            for fact in facts
            if fact.day_from <= day <= fact.day_to
        ]
        if low:
            flags.append({"icon": "gap", "title": why})
        days.append(
            StripDay(
                day=day.isoformat(),
                watched=watched % {"share": fmt.percent(row.coverage)} if row and row.coverage is not None else "",
                label=fmt.day(day),
                weekday=fmt.weekday(day),
                visitors=fmt.number(visitors.value) if visitors else NOTHING,
                rate=written(rate, fmt, "") if rate else NOTHING,
                why=why,
                rate_missing=rate is None or rate.value is None,
                height=round(float(visitors.value or 0) / most * _TALLEST, 1) if visitors else 0,
                today=day == today,
                partial=low or day == today,
                flags=tuple(flags),
            )
        )
    return days
