"""A store's day as words and figures: what the store page shows when it opens, and what an open page is sent after.

Both come from the one function here, so an open page can never show a figure in another form than a fresh one. Pure: a
`LiveView` and a language in, plain data out.
"""

from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal
from typing import Any, Final

from dashboards.formats import NOTHING, Delta, Formats
from dashboards.i18n import N_, translations
from dashboards.reasons import reason
from server.access.models import Locale
from server.kpi.live import LiveHour, LiveView
from server.kpi.models import NO_CAMERAS, KpiValue

#: Slug and label, in the order of the page; the first row is the larger.
FIGURES: Final = (
    ("occupancy", N_("In the shop now")),
    ("visitors", N_("Came in today")),
    ("conversion", N_("Conversion")),
    ("net_sales", N_("Net sales")),
    ("transactions", N_("Transactions")),
    ("atv", N_("Average sale")),
    ("sales_per_visitor", N_("Sales per visitor")),
    ("member_share", N_("Member share")),
)
#: What is shown below, each with how well it was watched.
MORE_FIGURES: Final = (
    ("group_conversion", N_("Group conversion")),
    ("capture_rate", N_("Capture rate")),
    ("dwell", N_("Length of stay, minutes")),
    ("star", N_("Visitors per staff hour")),
    ("upt", N_("Units per sale")),
    ("refunds", N_("Refunds")),
    ("entries", N_("Entries at the doors")),
)
#: Members of the day, beside everybody else.
MEMBER_FIGURES: Final = (
    ("member_visits", N_("Member visits")),
    ("member_conversion", N_("Member conversion")),
    ("other_conversion", N_("Conversion of all others")),
    ("member_sales_share", N_("Member sales share")),
)
ALL_FIGURES: Final = (*FIGURES, *MORE_FIGURES, *MEMBER_FIGURES)
_NO_VALUE: Final = KpiValue(None, "count", "no_data")
_MORE: Final = frozenset(slug for slug, _ in (*MORE_FIGURES, *MEMBER_FIGURES))
#: Beside these stands how well what they are made of was watched.
_WATCHED: Final = frozenset({"visitors", "occupancy", "conversion", "sales_per_visitor"}) | _MORE
#: An hour with fewer visitors has a rate that says nothing; the table shows it, the line leaves it out.
_FEWEST_DRAWN: Final = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One tile: every part already written out in the reader's language.

    Attributes:
        before: the same figure last week, as words; empty when there is none.
        note: what a reader must know beside it: the interval, or why it is withheld.
        missing: whether there is no value to show.
    """

    name: str
    label: str
    text: str
    delta: Delta | None
    before: str
    note: str
    missing: bool


@dataclass(frozen=True, slots=True)
class StoreView:
    """All that moves on a store page. `day` is what the chart and its table are drawn from."""

    as_of: str
    day_label: str
    versus: str
    figures: tuple[Figure, ...]
    coverage: dict[str, Any]
    day: dict[str, Any]


def written(value: KpiValue, fmt: Formats, currency: str) -> str:
    """A KPI's value as text, a dash when it is withheld."""
    if value.value is None:
        return NOTHING
    if value.unit == "ratio":
        return fmt.percent(value.value)
    if value.unit in {"count", "people"}:
        return fmt.number(value.value)
    if value.unit in {"hours", "units", "minutes", "per_hour"}:
        return fmt.number(value.value, 1)
    return fmt.money(value.value, value.unit if value.unit.isupper() else currency)


def changed(now: KpiValue, before: KpiValue, fmt: Formats) -> Delta | None:
    """The change between two answers: points between shares, per cent between amounts."""
    if now.unit == "ratio":
        return fmt.points(now.value, before.value)
    return fmt.change(now.value, before.value)


def store_view(live: LiveView, locale: Locale) -> StoreView:
    """A store's day in one language."""
    fmt = Formats(locale)
    gettext = translations(locale).gettext
    coverage = live.values.get("coverage", _NO_VALUE)
    share = coverage.value
    threshold = live.values.get("conversion", _NO_VALUE).threshold
    low = share is not None and threshold is not None and share < Decimal(str(threshold))
    return StoreView(
        as_of=fmt.clock(live.as_of, live.timezone, seconds=True),
        day_label=fmt.long_day(live.day),
        versus=gettext("Compared with the same weekday last week, up to the same minute"),
        figures=tuple(_figure(slug, label, live, fmt, locale) for slug, label in ALL_FIGURES),
        coverage={
            "text": written(coverage, fmt, live.currency),
            "width": None if share is None else float(min(share, Decimal(1)) * 100),
            "low": low,
        },
        day={
            "date": live.day.isoformat(),
            "labels": {
                "visitors": gettext("Visitors"),
                "last_week": gettext("Last week"),
                "conversion": gettext("Conversion"),
            },
            "hours": [_hour(hour, fmt, live.currency) for hour in _worth_showing(live.hours)],
        },
    )


def event(view: StoreView) -> dict[str, Any]:
    """What an open page is sent."""
    figures: list[dict[str, Any]] = [
        {
            "name": figure.name,
            "text": figure.text,
            "delta": {"direction": figure.delta.direction, "text": figure.delta.text} if figure.delta else None,
            "note": figure.note,
            "before": figure.before,
            "missing": figure.missing,
        }
        for figure in view.figures
    ]
    return {"as_of": view.as_of, "figures": figures, "coverage": view.coverage, "day": view.day}


def _figure(slug: str, label: str, live: LiveView, fmt: Formats, locale: Locale) -> Figure:
    gettext = translations(locale).gettext
    now = live.values.get(slug, _NO_VALUE)
    before = live.last_week.get(slug, _NO_VALUE)
    delta = None if slug == "occupancy" else changed(now, before, fmt)
    beside = ""
    if before.value is not None:
        beside = gettext("Last week %(value)s") % {"value": written(before, fmt, live.currency)}
    return Figure(
        name=slug,
        label=gettext(label),
        text=written(now, fmt, live.currency),
        delta=delta,
        before=beside,
        note=_note(slug, now, fmt, locale),
        missing=now.value is None,
    )


def _note(slug: str, now: KpiValue, fmt: Formats, locale: Locale) -> str:
    gettext = translations(locale).gettext
    if slug == "capture_rate" and now.withheld == NO_CAMERAS:
        return gettext("No camera watches the street, so passers-by can't be counted.")
    if now.value is None:
        return gettext(reason(now.withheld).long)
    parts = []
    if (slug == "conversion" or slug in _MORE) and now.low is not None and now.high is not None:
        low, high = (written(replace(now, value=each), fmt, "") for each in (now.low, now.high))
        parts.append(gettext("95%% sure: %(low)s–%(high)s") % {"low": low, "high": high})
    if slug in _WATCHED and now.coverage is not None:
        parts.append(gettext("Coverage %(share)s") % {"share": fmt.percent(now.coverage)})
    return " · ".join(parts)


def _worth_showing(hours: tuple[LiveHour, ...]) -> list[LiveHour]:
    """The open hours with one closed hour either side, and every hour in which somebody came."""
    busy = [
        index
        for index, hour in enumerate(hours)
        if hour.is_open or any(_count(values) for values in (hour.values, hour.last_week))
    ]
    if not busy:
        return list(hours)
    return list(hours[max(0, busy[0] - 1) : busy[-1] + 2])


def _count(values: Any) -> int:
    found = values.get("entries")
    return int(found.value or 0) if found else 0


def _hour(hour: LiveHour, fmt: Formats, currency: str) -> dict[str, Any]:
    def cell(values: Any, slug: str) -> str:
        return written(values[slug], fmt, currency) if slug in values else NOTHING

    def plain(values: Any, slug: str) -> float | int | None:
        found = values.get(slug)
        if found is None or found.value is None:
            return None
        return float(found.value) if found.unit == "ratio" else int(found.value)

    conversion = hour.values.get("conversion", _NO_VALUE)
    share = conversion.coverage
    enough = hour.is_past and (conversion.denominator or 0) >= _FEWEST_DRAWN
    return {
        "key": hour.start.strftime("%Y%m%dT%H%MZ"),
        "label": hour.label,
        "at": hour.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if hour.is_past else "",
        "open": hour.is_open,
        "visitors": plain(hour.values, "visitors") if hour.is_past else None,
        "last_week": plain(hour.last_week, "visitors"),
        "conversion": plain(hour.values, "conversion") if enough else None,
        "cells": {
            "visitors": cell(hour.values, "visitors") if hour.is_past else NOTHING,
            "last_week": cell(hour.last_week, "visitors"),
            "transactions": cell(hour.values, "transactions") if hour.is_past else NOTHING,
            "conversion": cell(hour.values, "conversion") if hour.is_past else NOTHING,
            "coverage": fmt.percent(share) if hour.is_past else NOTHING,
        },
    }
