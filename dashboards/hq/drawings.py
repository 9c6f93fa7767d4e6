"""Branches as pictures: visitors against conversion as a quadrant, and each branch's days small beside the others'.

Small pictures share one scale: side by side, the same height must mean the same number, or a kiosk looks like a
flagship. Where a figure is withheld there is no point, and where nobody looked a line has a gap.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from dashboards.formats import Formats
from dashboards.hq.state import Stores
from dashboards.hq.table import Line
from dashboards.i18n import translations
from server.access.models import Locale
from server.kpi.models import Report

#: So many small pictures, the first lines of the table.
_MOST: Final = 24
_WIDTH, _HEIGHT = 160, 48


def quadrant(report: Report, lines: Sequence[Line], state: Stores, locale: Locale) -> dict[str, Any] | None:
    """Each line's visitors and conversion, and the medians that part them; None with fewer than two points."""
    rows = {row.labels[state.by]: row.values for row in report.rows}
    points = [
        {
            "name": line.name,
            "x": int(rows[line.key]["visitors"].value or 0),
            "y": float(rows[line.key]["conversion"].value or 0),
        }
        for line in lines
        if rows[line.key]["visitors"].value is not None and rows[line.key]["conversion"].value is not None
    ]
    if len(points) < 2:
        return None
    gettext = translations(locale).gettext
    return {
        "points": points,
        "x": median(float(str(point["x"])) for point in points),
        "y": median(float(str(point["y"])) for point in points),
        "labels": {"x": gettext("Visitors"), "y": gettext("Conversion")},
    }


def multiples(lines: Sequence[Line], fmt: Formats) -> list[dict[str, Any]]:
    """Small pictures of the first lines' days: runs of points, all by one scale."""
    some = lines[:_MOST]
    top = max((value for line in some for value in line.seen if value is not None), default=0)
    if not top:
        return []
    return [
        {
            "name": line.name,
            "href": line.href,
            "pieces": _pieces(line.seen, top),
            "most": fmt.number(max((value for value in line.seen if value is not None), default=None)),
        }
        for line in some
    ]


def _pieces(values: Sequence[int | None], top: int) -> list[str]:
    """Runs of known values as the points of polylines."""
    step = _WIDTH / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{place * step:.1f},{_HEIGHT - value / top * (_HEIGHT - 4):.1f}")
    # One day alone is drawn as a short stroke, so that it is seen.
    return [" ".join(run if len(run) > 1 else run * 2) for run in runs if run]
