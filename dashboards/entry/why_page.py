"""Why this number: the explanation that the API gives, for people: from a figure down to its crossings and receipts."""

from datetime import date, datetime
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from pydantic import AwareDatetime

from dashboards.entry.corrections_page import what, when
from dashboards.entry.forms import Gettext
from dashboards.entry.tabs import store_tabs
from dashboards.entry.words import COUNTED_AS, FACT_WORDS, KPI_WORDS, SOLD_AS
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import translations
from dashboards.pages import page_router, renderer_of
from dashboards.reasons import reason
from dashboards.store_view import written
from dashboards.unrostered import unrostered
from dashboards.viewer import STORE_READERS, Viewer, viewer_with
from server.errors import NotFound
from server.kpi.answers.explaining import Explanation
from server.kpi.models import KpiValue

router = page_router()

_LISTED: Final = 100
#: What staff are taken off, or what is divided by that.
_LESS_STAFF: Final = frozenset(
    {"visitors", "conversion", "group_conversion", "sales_per_visitor", "other_conversion", "dwell"}
)
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]


@router.get("/stores/{store_id}/why/{kpi}")
def why(
    request: Request,
    store_id: str,
    kpi: str,
    viewer: Reader,
    day: date | None = None,
    hour: AwareDatetime | None = None,
    quarter: AwareDatetime | None = None,
) -> Response:
    """All that one number of a day, or of an hour or a quarter hour of it, is made of."""
    services, scope = request.app.state.services, viewer.scope
    words = KPI_WORDS.get(kpi)
    if words is None:
        raise NotFound(f"there is no KPI {kpi!r}")
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    store = services.stores.store(scope, store_id)
    chosen = day or services.kpi.today(scope, store_id)
    told: Explanation = services.kpi.explain(scope, kpi, store_id, chosen, hour=hour, quarter=quarter, limit=_LISTED)
    names = {line.line_id: line.name for line in services.stores.lines(scope, store_id)}
    zone = services.stores.calendar(scope, store_id).zone_on(chosen)

    def clock(at: datetime) -> str:
        return fmt.clock(at, zone.key)

    def moment(at: datetime) -> str:
        return f"{fmt.local_day(at, zone.key)} {clock(at)}"

    return renderer_of(request).page(
        request,
        "entry/why.html",
        viewer,
        stores=services.stores.stores(scope),
        store=store,
        tabs=store_tabs(store_id, "/why", viewer.locale),
        base=f"/stores/{quote(store_id, safe='')}/why/",
        kpi=kpi,
        kpis=[(slug, gettext(each.name)) for slug, each in KPI_WORDS.items() if slug != "power_hours"],
        name=gettext(words.name),
        how=gettext(words.how),
        day=chosen.isoformat(),
        day_label=fmt.long_day(chosen),
        span=f"{clock(told.start)}–{clock(told.end)}",
        is_hour=hour is not None or quarter is not None,
        value=_value(told.value, fmt, store.currency, gettext),
        unrostered=kpi in _LESS_STAFF and bool(unrostered(services, scope, store_id, [chosen])),
        threshold=fmt.percent(told.threshold),
        facts=[
            (gettext(FACT_WORDS[key]), fmt.number(amount, 2 if key.endswith(("sales", "refunds")) else 0))
            for key, amount in told.facts.items()
            if key in FACT_WORDS
        ],
        corrections=[
            {
                "what": what(each, names, fmt, gettext),
                "when": when(each, fmt, gettext, zone),
                "why": each.reason,
                "by": each.made_by,
            }
            for each in told.corrections
        ],
        quarters=[
            {
                "at": clock(each.start),
                "counted": fmt.number(each.counted_entries),
                "entries": fmt.number(each.entries),
                "staff": fmt.number(each.staff_entries),
                "transactions": fmt.number(each.transactions),
                "sales": fmt.money(each.gross_sales, store.currency),
                "observed": NOTHING if each.observed is None else fmt.percent(each.observed),
                "matched": each.matched,
                "open": each.is_open,
            }
            for each in told.quarters
        ],
        answers=[
            {
                "version": each.version,
                "value": written(each.value, fmt, store.currency),
                "why": gettext(reason(each.value.withheld).short) if each.value.value is None else "",
                "from": moment(each.computed_at),
                "until": moment(each.superseded_at) if each.superseded_at else "",
                "provisional": each.provisional,
            }
            for each in told.answers
        ],
        crossing_count=told.crossing_count,
        crossings=[
            {
                "at": fmt.clock(each.crossing.at, zone.key, seconds=True),
                "line": names.get(each.crossing.line_id, each.crossing.line_id),
                "as": gettext(COUNTED_AS[each.counted_as]),
            }
            for each in told.crossings
        ],
        receipt_count=told.receipt_count,
        receipts=[
            {
                "at": fmt.clock(each.receipt.at, zone.key, seconds=True),
                "number": each.receipt.receipt_no,
                "total": fmt.money(each.receipt.gross, store.currency, 2),
                "as": gettext(SOLD_AS[each.counted_as]),
            }
            for each in told.receipts
        ],
        raw_from=moment(told.raw_from) if told.raw_from else "",
    )


def _value(value: KpiValue, fmt: Formats, currency: str, gettext: Gettext) -> dict[str, str]:
    """The number itself, its interval, its coverage, and why it is withheld."""
    between = ""
    if value.value is not None and value.low is not None and value.high is not None:
        low, high = (KpiValue(each, value.unit) for each in (value.low, value.high))
        between = f"{written(low, fmt, currency)}–{written(high, fmt, currency)}"
    return {
        "text": written(value, fmt, currency),
        "between": between,
        "withheld": gettext(reason(value.withheld).long) if value.value is None else "",
        "coverage": NOTHING if value.coverage is None else fmt.percent(value.coverage),
        "over": NOTHING if value.numerator is None else fmt.number(value.numerator),
        "under": NOTHING if value.denominator is None else fmt.number(value.denominator),
    }
