"""The chain by the day, and what explains its days: promotions, weather, events and cameras that were away."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from dashboards.formats import NOTHING, Formats
from dashboards.hq.table import OUTAGE, Cell
from dashboards.i18n import translations
from dashboards.store_view import written
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.kpi.answers.grouping import DayLine
from server.kpi.models import Report
from server.stores.models import Store

Daily = Mapping[str, Sequence[DayLine]]
#: So many outages stand in the chart: those of the most stores and days.
_MOSTOUTAGES: Final = 12


def facts_of(
    services: Any, viewer: Viewer, stores: Sequence[Store], each: Daily, first: date, last: date
) -> list[dict[str, Any]]:
    """What explains days of the chart, each once, with the stores it holds for."""
    fmt, gettext = Formats(viewer.locale), translations(viewer.locale).gettext
    found: dict[tuple[str, str, date, date], list[str]] = {}
    for fact in services.facts.of_stores(viewer.scope, first, last):
        names = [
            store.name
            for store in stores
            if fact.store_id in (None, store.store_id) and fact.region in (None, store.region)
        ]
        if names:
            found.setdefault((fact.kind, fact.title, fact.day_from, fact.day_to), []).extend(names)
    dark: dict[tuple[str, str, date, date], list[str]] = {}
    for store in stores:
        for start, end in _outages(each.get(store.store_id, ())):
            dark.setdefault(("outage", gettext("Camera outage"), start, end), []).append(store.name)
    # Of a thousand stores some are always dark; a chart full of that would say nothing of the rest.
    found |= dict(
        sorted(dark.items(), key=lambda pair: -len(pair[1]) * ((pair[0][3] - pair[0][2]).days + 1))[:_MOSTOUTAGES]
    )
    ordered = sorted(found.items(), key=lambda pair: (pair[0][2], pair[0][1]))
    shown = []
    for number, ((kind, title, day_from, day_to), names) in enumerate(ordered, start=1):
        everywhere = len(names) == len(stores) > 1
        where = gettext("all stores") if everywhere else ", ".join(names[:3]) + ("…" if len(names) > 3 else "")
        start, end = max(day_from, first), min(day_to, last)
        middle = datetime.combine(start, time()) + (datetime.combine(end, time()) - datetime.combine(start, time())) / 2
        shown.append(
            {
                "number": number,
                "kind": kind,
                "title": title,
                "where": where,
                "days": fmt.days(day_from, day_to),
                "x0": (datetime.combine(start, time()) - timedelta(hours=12)).isoformat(),
                "x1": (datetime.combine(end, time()) + timedelta(hours=12)).isoformat(),
                "middle": middle.isoformat(),
            }
        )
    return shown


def _outages(lines: Sequence[DayLine]) -> list[tuple[date, date]]:
    """Runs of days on which a store was hardly watched."""
    runs: list[tuple[date, date]] = []
    for line in lines:
        if line.coverage is None or line.coverage >= OUTAGE:
            continue
        if runs and line.day - runs[-1][1] == timedelta(days=1):
            runs[-1] = (runs[-1][0], line.day)
        else:
            runs.append((line.day, line.day))
    return runs


def chart_of(report: Report, first: date, last: date, facts: list[dict[str, Any]], locale: Locale) -> dict[str, Any]:
    """What the chart is drawn from."""
    gettext, fmt = translations(locale).gettext, Formats(locale)
    by_day = {row.labels["day"]: row for row in report.rows}
    days = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        row = by_day.get(day.isoformat())
        visitors = row.values["visitors"].value if row else None
        conversion = row.values["conversion"].value if row else None
        days.append(
            {
                "day": day.isoformat(),
                "label": fmt.weekday_day(day),
                "visitors": None if visitors is None else int(visitors),
                "conversion": None if conversion is None else float(conversion),
            }
        )
    keep = ("number", "kind", "x0", "x1", "middle")
    return {
        "days": days,
        "facts": [{name: fact[name] for name in keep} for fact in facts],
        "labels": {"visitors": gettext("Visitors"), "conversion": gettext("Conversion")},
        "tickformat": "%-m月%-d日" if locale == "zh" else "%-d %b",
        "hoverformat": "%-m月%-d日" if locale == "zh" else "%a %-d %b",
    }


def day_table(report: Report, fmt: Formats, currency: str) -> list[dict[str, Any]]:
    """The same as lines, the latest first."""
    return [
        {
            "day": fmt.weekday_day(date.fromisoformat(row.labels["day"])),
            "visitors": written(row.values["visitors"], fmt, currency),
            "conversion": Cell(
                written(row.values["conversion"], fmt, currency),
                row.values["conversion"].withheld,
                None,
            ),
            "coverage": fmt.percent(row.coverage) if row.coverage is not None else NOTHING,
        }
        for row in reversed(report.rows)
    ]
