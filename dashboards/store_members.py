"""Members on a store's page: who enrolled today, and four weeks of members beside everybody else, by tier."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from fastapi import Request

from dashboards.desk.showing import Places
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.reasons import reason
from dashboards.store_view import written
from dashboards.viewer import Viewer
from server.kpi.models import KpiValue, Report
from server.membership.visits.shares import Part, weeks_before
from server.stores.models import Store

_WEEKS: Final = 4
_CONVERSIONS: Final = (
    ("member_conversion", N_("Member conversion")),
    ("other_conversion", N_("Conversion of all others")),
    ("member_share", N_("Member share")),
)


def four_weeks(request: Request, viewer: Viewer, store_id: str, today: date) -> Mapping[str, KpiValue]:
    """Figures of the last four weeks by slug, for power hours and for members; none where there is nothing.

    The weeks end with yesterday and are whole, so that no weekday counts more than the others.
    """
    first, last = weeks_before(today, _WEEKS)
    report: Report = request.app.state.services.kpi.report(
        viewer.scope,
        kpis=["power_hours", *(slug for slug, _ in _CONVERSIONS)],
        day_from=first,
        day_to=last,
        store_ids=[store_id],
        group_by="store",
    )
    return report.rows[0].values if report.rows else {}


def members_of_store(
    request: Request, viewer: Viewer, store: Store, today: date, weeks: Mapping[str, KpiValue]
) -> dict[str, Any]:
    """What the members' part of the page shows.

    Args:
        weeks: figures of `four_weeks`.
    """
    services, scope, fmt = request.app.state.services, viewer.scope, Formats(viewer.locale)
    gettext = translations(viewer.locale).gettext
    begins = services.stores.calendar(scope, store.store_id).bounds(today)[0]
    first, last = weeks_before(today, _WEEKS)
    (shares,) = services.member_shares.shares(scope, first, last, [store.store_id])
    places = Places.of(services, scope, [store], viewer.locale)

    def line(part: Part, label: str) -> dict[str, str]:
        return {
            "label": label,
            "members": fmt.number(part.members),
            "visits": fmt.number(part.visits),
            "traffic": fmt.percent(part.traffic_share),
            "transactions": fmt.percent(part.transaction_share),
            "sales": fmt.percent(part.sales_share),
            "amount": fmt.money(part.sales, shares.currency),
        }

    enrolled = services.membership.enrolled_by_store(scope, begins, begins + timedelta(days=1))
    return {
        "enrolled": fmt.number(enrolled.get(store.store_id, 0)),
        "days": fmt.days(first, last),
        "lines": [
            *(line(each, places.tier(each.tier, viewer.locale)) for each in shares.tiers),
            line(shares.members, gettext(N_("All members"))),
        ]
        if shares.tiers
        else [],
        "withheld": gettext(reason(shares.withheld).long) if shares.withheld else "",
        "coverage": fmt.percent(shares.coverage) if shares.coverage is not None else NOTHING,
        "conversions": [_told(weeks.get(slug), gettext(label), fmt) for slug, label in _CONVERSIONS],
    }


def _told(value: KpiValue | None, label: str, fmt: Formats) -> dict[str, str]:
    """A figure of the weeks: with its interval and coverage, or why there is none."""
    gettext = translations(fmt.locale).gettext
    if value is None or value.value is None:
        why = reason(value.withheld if value else "no_data").long
        return {"label": label, "text": NOTHING, "note": gettext(why)}
    parts = []
    if value.low is not None and value.high is not None:
        between = {"low": fmt.percent(value.low), "high": fmt.percent(value.high)}
        parts.append(gettext("95%% sure: %(low)s–%(high)s") % between)
    if value.coverage is not None:
        parts.append(gettext("Coverage %(share)s") % {"share": fmt.percent(value.coverage)})
    return {"label": label, "text": written(value, fmt, ""), "note": " · ".join(parts)}
