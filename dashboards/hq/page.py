"""HQ's page: the chain's branches side by side for a chosen range, against the period before.

A range is counted back from each store's own today, so that "yesterday" is over wherever the store stands; a chain that
spans timezones has two dates in it then, and the page says so. The chart goes by dates and ends with the last one that
is over at every store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response

from dashboards.entry.silences_page import open_silences
from dashboards.formats import NOTHING, Formats
from dashboards.health import chain_health
from dashboards.hq import alike, drawings, money
from dashboards.hq.chart import chart_of, day_table, facts_of
from dashboards.hq.state import APART, RANKED, Stores
from dashboards.hq.table import Line, cells, headers, headlines, is_apart, lines
from dashboards.hq.tabs import tabs
from dashboards.i18n import translations
from dashboards.pages import page_router, renderer_of
from dashboards.periods import CHOICES
from dashboards.viewer import CHAIN_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.kpi.answers.grouping import DayLine
from server.kpi.answers.question import StoreFilter
from server.kpi.models import Report
from server.storage.moment import one_moment
from server.stores.models import Store

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*CHAIN_READERS))]
#: A figure of so long ago is as good as one of now; of longer ago than `_STALE` nobody is making new ones.
_FRESH: Final = timedelta(seconds=10)
_STALE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the table shows, for the page and for files alike.

    Attributes:
        report: by store or region.
        lines: in order; `days` first and last of their trends, `each` store's days of these.
        unlike: stores left out because they can't be compared, with the reason; empty where that wasn't asked for.
        currency: of all these stores, '' where they have several: then `together` says what they sold in one.
        is_apart: whether lines are in order of amounts of several currencies.
    """

    state: Stores
    stores: tuple[Store, ...]
    report: Report
    lines: list[Line]
    days: tuple[date, date]
    each: Mapping[str, Sequence[DayLine]]
    unlike: tuple[alike.Unlike, ...]
    currency: str
    together: money.Together | None
    is_apart: bool


@router.get("/hq")
def hq_page(request: Request, viewer: Reader) -> Response:
    """The chain over a range of days; what it shows stands in the address (`state.Stores`)."""
    state = Stores.of(request.query_params)
    with one_moment():
        every: list[Store] = request.app.state.services.stores.stores(viewer.scope)
        values = _values(request, viewer, state, every) if every else {}
    return renderer_of(request).page(
        request, "hq/stores.html" if every else "hq/empty.html", viewer, stores=every, **values
    )


def _values(request: Request, viewer: Viewer, state: Stores, every: list[Store]) -> dict[str, Any]:
    """All that the page shows."""
    services = request.app.state.services
    shown = shown_of(services, viewer, state, every)
    by_store, (chart_from, chart_to) = shown.report, shown.days
    choice, fmt = CHOICES[state.range], Formats(viewer.locale)
    gettext = translations(viewer.locale).gettext
    ids = [store.store_id for store in shown.stores] if len(shown.stores) < len(every) else None
    by_day: Report = services.kpi.report(
        viewer.scope,
        kpis=["visitors", "conversion"],
        day_from=chart_from,
        day_to=chart_to,
        group_by="day",
        store_ids=ids,
    )
    facts = facts_of(services, viewer, shown.stores, shown.each, chart_from, chart_to)
    regions = sorted({store.region for store in every if store.region})
    return {
        "tabs": tabs("/hq", viewer.locale),
        "state": state,
        "regions": regions,
        "ranked": [(slug, gettext(label)) for slug, label in RANKED.items()],
        "choices": [(key, choice.label, state.query(range=key)) for key, choice in CHOICES.items()],
        "days": fmt.days(by_store.day_from, by_store.day_to),
        "own_days": by_store.day_to > by_store.day_from + timedelta(days=choice.days - 1),
        "versus": gettext(choice.versus),
        "before": _compared(by_store, fmt),
        "columns": headers(state),
        "rows": shown.lines,
        "unlike": shown.unlike,
        "headlines": headlines(by_store.total, fmt, shown.currency, shown.together),
        "rate_missing": shown.together is not None and bool(shown.together.missing),
        "apart": APART if shown.is_apart else "",
        "total": cells(by_store.total, state, fmt, shown.currency),
        "chart": chart_of(by_day, chart_from, chart_to, facts, viewer.locale),
        "chart_days": fmt.days(chart_from, chart_to),
        "facts": facts,
        "day_table": day_table(by_day, fmt, shown.currency),
        "quadrant": drawings.quadrant(by_store, shown.lines, state, viewer.locale),
        "multiples": drawings.multiples(shown.lines, fmt),
        "health": chain_health(services, viewer.scope, every, _watched(services, viewer, shown), viewer.locale),
        "pending": by_store.pending,
        "age": _age(by_store, every, viewer.locale),
        "silences": open_silences(request, viewer, None, every),
        "views": services.views.views(viewer.scope),
        "here": "/hq" + state.query(),
        "query": state.query(),
    }


def shown_of(services: Any, viewer: Viewer, state: Stores, every: Sequence[Store]) -> Shown:
    """What the table shows as it is set out."""
    choice, scope = CHOICES[state.range], viewer.scope
    where = StoreFilter(regions=[state.region]) if state.region else StoreFilter()
    unlike: tuple[alike.Unlike, ...] = ()
    if state.alike:
        fit, unlike = alike.sorted_out(services, viewer, choice, where, every)
        where = StoreFilter(store_ids=fit, regions=where.regions)
    report: Report = services.kpi.recent(
        scope,
        kpis=[slug for slug, _, _ in state.columns],
        days=choice.days,
        back=choice.back,
        group_by=state.by,
        compare=choice.compare,
        compared=[slug for slug, _, changes in state.columns if changes],
        where=where,
    )
    first = report.day_from
    earliest = first + timedelta(days=choice.days - 1)
    # A day that is still running, or has begun at some stores only, would end every line with a fall.
    last = earliest if choice.back else earliest - timedelta(days=1)
    first = min(first, last - timedelta(days=13))
    own = set(report.store_ids)
    stores = tuple(store for store in every if store.store_id in own)
    each = services.kpi.daily(scope, first, last)
    one_day: dict[str, date] = {}
    if choice.days == 1 and state.by == "store":
        todays = services.stores.todays(scope, services.clock())
        one_day = {store_id: today - timedelta(days=choice.back) for store_id, today in todays.items()}
    return Shown(
        state=state,
        stores=stores,
        report=report,
        lines=lines(report, state, stores, each, (first, last), Formats(viewer.locale), one_day),
        days=(first, last),
        each=each,
        unlike=unlike,
        currency=money.shared(stores),
        together=money.together(services, viewer, state, stores),
        is_apart=is_apart(report, state),
    )


def _watched(services: Any, viewer: Viewer, shown: Shown) -> Report:
    """What is shown, by store: which one was watched too little is lost in the sums of regions."""
    state = shown.state
    if state.by == "store":
        return shown.report
    choice, ids = CHOICES[state.range], shown.report.store_ids
    report: Report = services.kpi.recent(
        viewer.scope,
        kpis=["visitors", "conversion"],
        days=choice.days,
        back=choice.back,
        group_by="store",
        where=StoreFilter(store_ids=ids) if state.region or state.alike else StoreFilter(),
    )
    return report


def _age(report: Report, stores: Sequence[Store], locale: Locale) -> dict[str, Any] | None:
    """How old the oldest of the figures is; None when all of them are of now."""
    behind = report.answered_at - report.as_of
    if behind < _FRESH:
        return None
    fmt, gettext = Formats(locale), translations(locale).gettext
    zones = {store.timezone for store in stores}
    zone = stores[0].timezone
    at = fmt.clock(report.as_of, zone) + (f" ({zone})" if len(zones) > 1 else "")
    if behind >= timedelta(days=1):
        at = f"{fmt.day(report.as_of.astimezone(ZoneInfo(zone)).date())} {at}"
    words = gettext("As of %(time)s, %(ago)s: the oldest of these figures.") % {"time": at, "ago": fmt.ago(behind)}
    return {"text": words, "stale": behind > _STALE}


def _compared(report: Report, fmt: Formats) -> str:
    if report.compared_from is None or report.compared_to is None:
        return NOTHING
    return fmt.days(report.compared_from, report.compared_to)
