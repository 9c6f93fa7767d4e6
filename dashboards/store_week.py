"""A store's last seven days by the hour: a table whose cells are coloured, each opening what its number is made of.

It is a table and not a picture, so it reads the same to a screen reader and on paper. An hour that was not watched
enough is marked, for an empty shop and a dead camera look alike in colours; the store's power hours are framed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request

from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.viewer import Viewer
from server.kpi.models import ReportRow
from server.stores.calendar import StoreCalendar

_DAYS: Final = 7
_LEVELS: Final = 5
_HOUR: Final = timedelta(hours=1)
#: Below this share of its due time an hour is marked.
_ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of a day. `level` is 0 to 5; empty `href`: the hour is no part of the day, or still to come."""

    text: str
    level: int
    href: str
    title: str
    is_low: bool
    is_power: bool


def week_heat(
    request: Request, viewer: Viewer, store_id: str, today: date, now: datetime, power: Collection[tuple[int, int]]
) -> dict[str, Any]:
    """The week up to today.

    Args:
        now: aware; later hours are still to come.
        power: weekday (0 is Monday) and hour of the store's power hours.
    """
    services, scope, fmt = request.app.state.services, viewer.scope, Formats(viewer.locale)
    calendar: StoreCalendar = services.stores.calendar(scope, store_id)
    first = today - timedelta(days=_DAYS - 1)
    report = services.kpi.report(
        scope, kpis=["visitors"], day_from=first, day_to=today, store_ids=[store_id], group_by="day,hour"
    )
    most = max((int(row.values["visitors"].value or 0) for row in report.rows), default=0)
    days = [first + timedelta(days=offset) for offset in range(_DAYS)]
    rows = _by_hour(calendar, report.rows)
    hours = _hours(calendar, days, rows)
    base = f"/stores/{quote(store_id, safe='')}/why/visitors"
    watched = translations(viewer.locale).gettext(N_("Coverage %(share)s"))

    def cell(day: date, hour: int) -> Cell:
        at, row = rows.get((day, hour), (now, None))
        if row is None or at > now:
            return Cell("", 0, "", "", is_low=False, is_power=False)
        value = row.values["visitors"]
        count = int(value.value or 0)
        is_low = row.coverage is not None and row.coverage < _ENOUGH
        return Cell(
            text=fmt.number(value.value),
            level=0 if not count or not most else max(1, round(count / most * _LEVELS)),
            # Of an instant in UTC the colons and the plus alone mean something in an address.
            href=f"{base}?day={day.isoformat()}&hour={at.isoformat().replace(':', '%3A').replace('+', '%2B')}",
            title=watched % {"share": fmt.percent(row.coverage) if row.coverage is not None else NOTHING},
            is_low=is_low,
            is_power=(day.weekday(), hour) in power,
        )

    return {
        "hours": [f"{hour:02d}" for hour in hours],
        "days": [
            {
                "weekday": fmt.weekday(day),
                "label": fmt.day(day),
                "today": day == today,
                "cells": [cell(day, hour) for hour in hours],
            }
            for day in days
        ],
        "any_low": any(row.coverage is not None and row.coverage < _ENOUGH for _, row in rows.values()),
        "any_power": bool(power),
    }


def _by_hour(calendar: StoreCalendar, rows: Iterable[ReportRow]) -> dict[tuple[date, int], tuple[datetime, ReportRow]]:
    """When each hour of the clock begins on a business day (UTC), with its row; the first of one that comes twice."""
    found: dict[tuple[date, int], tuple[datetime, ReportRow]] = {}
    for row in sorted(rows, key=lambda row: row.labels["hour"]):
        day, at = date.fromisoformat(row.labels["day"]), datetime.fromisoformat(row.labels["hour"])
        found.setdefault((day, at.astimezone(calendar.zone_on(day)).hour), (at, row))
    return found


def _hours(
    calendar: StoreCalendar, days: list[date], rows: Mapping[tuple[date, int], tuple[datetime, ReportRow]]
) -> list[int]:
    """Hours of the clock in which the store is open on any of the days, or somebody came, as the business day runs."""
    shown = {hour for (_, hour), (_, row) in rows.items() if row.values["visitors"].value}
    for day in days:
        zone = calendar.zone_on(day)
        for start, end in calendar.open_spans(day):
            at = start
            while at < end:
                shown.add(at.astimezone(zone).hour)
                at += _HOUR
    begins = calendar.bounds(days[-1])[0].astimezone(calendar.zone_on(days[-1])).hour
    return sorted(shown, key=lambda hour: (hour - begins) % 24)
