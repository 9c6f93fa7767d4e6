"""HQ's page: the chain's branches side by side for a chosen range, against the period before.

A range is counted back from each store's own today, so that "yesterday" is over wherever the store stands; a chain that
spans timezones has two dates in it then, and the page says so. The chart goes by dates and ends with the last one that
is over at every store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response

from dashboards.entry.silences_page import open_silences
from dashboards.formats import NOTHING, Delta, Formats
from dashboards.health import chain_health
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.periods import CHOICES, DEFAULT
from dashboards.sparkline import Sparkline, sparkline
from dashboards.store_view import changed, written
from dashboards.viewer import CHAIN_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.kpi.answers.grouping import DayLine
from server.kpi.models import COVERAGE_BELOW_THRESHOLD, KpiValue, Report, ReportRow
from server.stores.models import Store

router = page_router()

Daily = Mapping[str, Sequence[DayLine]]

#: Columns in order: slug, label, whether its change stands under it.
COLUMNS: Final = (
    ("visitors", N_("Visitors"), True),
    ("transactions", N_("Transactions"), False),
    ("conversion", N_("Conversion"), True),
    ("atv", N_("Average sale"), False),
    ("net_sales", N_("Net sales"), True),
    ("sales_per_visitor", N_("Sales per visitor"), False),
    ("member_share", N_("Member share"), False),
    ("coverage", N_("Coverage"), False),
)
_KPIS: Final = [slug for slug, _, _ in COLUMNS]
_HEADLINES: Final = ("visitors", "transactions", "conversion", "net_sales", "sales_per_visitor", "member_share")
#: A store watched for less than this share of a day had an outage on it.
_OUTAGE: Final = 0.5
_SPARK_DAYS: Final = 30
#: So many outages stand in the chart: those of the most stores and days.
_MOST_OUTAGES: Final = 12
#: A figure of so long ago is as good as one of now; of longer ago than `_STALE` nobody is making new ones.
_FRESH: Final = timedelta(seconds=10)
_STALE: Final = timedelta(minutes=15)
_NONE: Final = KpiValue(None, "count", "no_data")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in the table, written out.

    Attributes:
        withheld: the code when there is none.
        doubt: what stands in place of a change that would say more about the cameras than about the store.
    """

    text: str
    withheld: str | None
    delta: Delta | None
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One store's line."""

    store: Store
    cells: tuple[Cell, ...]
    spark: Sparkline | None


@router.get("/hq")
def hq_page(
    request: Request,
    viewer: Annotated[Viewer, Depends(viewer_with(*CHAIN_READERS))],
    range: str = DEFAULT,  # noqa: A002  it stands in the address
    sort: str = "store",
) -> Response:
    """The chain over a range of days."""
    services, scope = request.app.state.services, viewer.scope
    stores: list[Store] = services.stores.stores(scope)
    chosen = range if range in CHOICES else DEFAULT
    choice = CHOICES[chosen]
    if not stores:
        return renderer_of(request).page(request, "hq_empty.html", viewer, stores=stores)
    by_store: Report = services.kpi.recent(
        scope,
        kpis=_KPIS,
        days=choice.days,
        back=choice.back,
        group_by="store",
        compare=choice.compare,
        compared=[slug for slug, _, changes in COLUMNS if changes],
    )
    first, last = by_store.day_from, by_store.day_to
    earliest = first + timedelta(days=choice.days - 1)
    # A day that is still running, or has begun at some stores only, would end every line with a fall.
    chart_to = earliest if choice.back else earliest - timedelta(days=1)
    chart_from = min(first, chart_to - timedelta(days=13))
    by_day: Report = services.kpi.report(
        scope, kpis=["visitors", "conversion"], day_from=chart_from, day_to=chart_to, group_by="day"
    )
    each: Daily = services.kpi.daily(scope, chart_from, chart_to)
    fmt = Formats(viewer.locale)
    gettext = translations(viewer.locale).gettext
    currency = stores[0].currency
    rows = _rows(by_store, each, stores, chart_from, chart_to, fmt, currency)
    facts = _facts(services, viewer, stores, each, chart_from, chart_to)
    return renderer_of(request).page(
        request,
        "hq.html",
        viewer,
        stores=stores,
        choices=[(key, choice.label, "?" + urlencode({"range": key, "sort": sort})) for key, choice in CHOICES.items()],
        chosen=chosen,
        days=fmt.days(first, last),
        own_days=last > earliest,
        versus=gettext(choice.versus),
        before=_compared(by_store, fmt),
        columns=_headers(chosen, sort),
        rows=_sorted(rows, by_store, sort),
        headlines=[_headline(slug, by_store.total, fmt, currency) for slug in _HEADLINES],
        total=_cells(by_store.total, fmt, currency),
        chart=_chart(by_day, chart_from, chart_to, facts, viewer.locale),
        chart_days=fmt.days(chart_from, chart_to),
        facts=facts,
        day_table=_day_table(by_day, fmt, currency),
        health=chain_health(services, scope, stores, by_store, viewer.locale),
        pending=by_store.pending,
        age=_age(by_store, stores, viewer.locale),
        silences=open_silences(request, viewer, None, stores),
    )


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


def _cells(row: ReportRow, fmt: Formats, currency: str) -> tuple[Cell, ...]:
    return tuple(_cell(slug, row, fmt, currency, with_change=change) for slug, _, change in COLUMNS)


def _cell(slug: str, row: ReportRow, fmt: Formats, currency: str, *, with_change: bool) -> Cell:
    value = row.values.get(slug, _NONE)
    before = row.compare.get(slug) if row.compare and with_change else None
    if slug == "visitors" and _is_low(row.values):
        gettext = translations(fmt.locale).gettext
        doubt = gettext("coverage %(share)s") % {"share": fmt.percent(row.coverage)}
        return Cell(written(value, fmt, currency), value.withheld if value.value is None else None, None, doubt)
    if slug == "visitors" and row.compare and _is_low(row.compare):
        before = None
    return Cell(
        text=written(value, fmt, currency),
        withheld=value.withheld if value.value is None else None,
        delta=changed(value, before, fmt) if before else None,
    )


def _is_low(values: Mapping[str, KpiValue]) -> bool:
    """Whether the doors were watched too little for a count to be compared."""
    conversion = values.get("conversion", _NONE)
    return conversion.withheld == COVERAGE_BELOW_THRESHOLD


def _headline(slug: str, total: ReportRow, fmt: Formats, currency: str) -> dict[str, Any]:
    labels = {name: label for name, label, _ in COLUMNS}
    return {"label": labels[slug], "cell": _cell(slug, total, fmt, currency, with_change=True)}


def _rows(
    report: Report, each: Daily, stores: list[Store], first: date, last: date, fmt: Formats, currency: str
) -> dict[str, Row]:
    start = max(first, last - timedelta(days=_SPARK_DAYS - 1))
    days = [start + timedelta(days=n) for n in range((last - start).days + 1)]

    def seen(store_id: str) -> list[int | None]:
        own = {
            line.day: line.visitors
            for line in each.get(store_id, ())
            if line.coverage is not None and line.coverage >= _OUTAGE
        }
        return [own.get(day) for day in days]

    by_id = {store.store_id: store for store in stores}
    return {
        row.labels["store"]: Row(
            store=by_id[row.labels["store"]],
            cells=_cells(row, fmt, by_id[row.labels["store"]].currency or currency),
            spark=sparkline(seen(row.labels["store"])),
        )
        for row in report.rows
    }


def _sorted(rows: Mapping[str, Row], report: Report, sort: str) -> list[Row]:
    """By a column; a withheld figure stands last either way, since it ranks nowhere."""
    slug, down = sort.removeprefix("-"), sort.startswith("-")
    if slug not in _KPIS:
        return sorted(rows.values(), key=lambda row: row.store.store_id, reverse=down)
    values = {row.labels["store"]: row.values[slug].value for row in report.rows}

    def key(row: Row) -> tuple[bool, Decimal, str]:
        value = values[row.store.store_id]
        amount = Decimal(value or 0)
        return value is None, -amount if down else amount, row.store.store_id

    return sorted(rows.values(), key=key)


def _headers(chosen: str, sort: str) -> list[dict[str, Any]]:
    headers = []
    for slug, label in (("store", N_("Store")), *((slug, label) for slug, label, _ in COLUMNS)):
        active = sort.removeprefix("-") == slug
        down = sort.startswith("-")
        # Figures begin with the largest, names with the first.
        target = slug if (active and down) or (slug == "store" and not active) else f"-{slug}"
        headers.append(
            {
                "slug": slug,
                "label": label,
                "href": "?" + urlencode({"range": chosen, "sort": target}),
                "sorted": ("descending" if down else "ascending") if active else "",
            }
        )
    return headers


def _facts(
    services: Any, viewer: Viewer, stores: list[Store], each: Daily, first: date, last: date
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
        sorted(dark.items(), key=lambda pair: -len(pair[1]) * ((pair[0][3] - pair[0][2]).days + 1))[:_MOST_OUTAGES]
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
        if line.coverage is None or line.coverage >= _OUTAGE:
            continue
        if runs and line.day - runs[-1][1] == timedelta(days=1):
            runs[-1] = (runs[-1][0], line.day)
        else:
            runs.append((line.day, line.day))
    return runs


def _chart(report: Report, first: date, last: date, facts: list[dict[str, Any]], locale: Locale) -> dict[str, Any]:
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


def _day_table(report: Report, fmt: Formats, currency: str) -> list[dict[str, Any]]:
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
