"""What else stands on a store's page of the day: what people said of it, hours left out of it, and power hours."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from babel.dates import get_day_names
from fastapi import Request

from dashboards.entry.corrections_page import what, when
from dashboards.entry.opening_page import KINDS
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.reasons import reason
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.kpi.live import LiveView
from server.kpi.models import KpiValue
from server.stores.models import Store

_SHOWN: Final = 3
_HOUR: Final = timedelta(hours=1)


def said_of_day(request: Request, viewer: Viewer, store: Store, day: date) -> list[dict[str, str]]:
    """Hours of the day's own, its public holiday and the corrections in force on it, as marks."""
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    calendar = services.stores.calendar(scope, store.store_id)
    zone = calendar.zone_on(day)
    marks = [
        {"icon": "event", "title": gettext(dict(KINDS)[each.kind]), "days": fmt.weekday_day(day), "detail": each.name}
        for each in services.opening.holidays(scope, store.country, store.subdivision, day, day)
    ]
    for own in services.opening.exceptions(scope, store.store_id, day, day):
        hours = ", ".join(f"{a:%H:%M}–{b:%H:%M}" for a, b in own.hours) or gettext(N_("Closed"))
        marks.append({"icon": "event", "title": gettext(N_("Hours of its own")), "days": hours, "detail": own.reason})
    start, end = calendar.bounds(day)
    names = {line.line_id: line.name for line in services.stores.lines(scope, store.store_id)}
    for correction in services.corrections.corrections(scope, store.store_id):
        if correction.starts_at is not None and correction.ends_at is not None:
            holds = correction.starts_at < end and correction.ends_at > start
        else:
            holds = correction.holds_on(store.store_id, day)
        if holds:
            marks.append(
                {
                    "icon": "gap",
                    "title": what(correction, names, fmt, gettext),
                    "days": when(correction, fmt, gettext, zone),
                    "detail": correction.reason,
                }
            )
    return marks


def left_out_hours(request: Request, viewer: Viewer, live: LiveView) -> dict[str, str]:
    """Hours of the chart in which some line's crossings are left out, by their keys, with the reason."""
    found: dict[str, str] = {}
    for correction in request.app.state.services.corrections.corrections(viewer.scope, live.store_id):
        if correction.starts_at is None or correction.ends_at is None:
            continue
        for hour in live.hours:
            if correction.starts_at < hour.start + _HOUR and hour.start < correction.ends_at:
                found.setdefault(f"{hour.start:%Y%m%dT%H%MZ}", correction.reason)
    return found


def power_hours(weeks: Mapping[str, KpiValue], locale: Locale) -> dict[str, Any]:
    """The store's power hours of the last weeks: how many, which, the busiest of them, or why they are not known.

    Args:
        weeks: figures of the weeks, by slug.

    Returns:
        ``hours``: weekday (0 is Monday) and hour of each; the rest is text.
    """
    gettext, fmt = translations(locale).gettext, Formats(locale)
    value = weeks.get("power_hours")
    if value is None or value.value is None:
        why = gettext(reason(value.withheld if value else "no_data").long)
        return {"text": NOTHING, "note": why, "busiest": "", "hours": frozenset()}
    names = get_day_names("abbreviated", locale=fmt.babel)
    busiest = [
        f"{names[int(weekday)]} {hour}:00" for weekday, hour in (key.split() for key in list(value.detail)[:_SHOWN])
    ]
    coverage = (
        gettext("Coverage %(share)s") % {"share": fmt.percent(value.coverage)} if value.coverage is not None else ""
    )
    return {
        "text": fmt.number(value.value),
        "busiest": gettext(N_("first of all %(hours)s")) % {"hours": ", ".join(busiest)},
        "note": coverage,
        "hours": frozenset((int(weekday), int(hour)) for weekday, hour in (key.split() for key in value.detail)),
    }
