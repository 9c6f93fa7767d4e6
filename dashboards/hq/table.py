"""Lines of the table of branches: of each store or region its figures written out, their change, rank and trend.

A figure that is withheld ranks nowhere, and stands last whichever way the table is turned. Amounts are in order within
their currency, currency by currency: a number of yen is not more than a number of euros. A count whose doors were
watched too little has no change beside it: it would say more about the cameras than about the store.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

from dashboards.formats import Delta, Formats
from dashboards.hq.money import Together, currency_of, shared
from dashboards.hq.state import COLUMNS, RANKED, Stores
from dashboards.i18n import N_, translations
from dashboards.sparkline import Sparkline, sparkline
from dashboards.store_view import changed, written
from server.kpi.answers.grouping import DayLine
from server.kpi.models import COVERAGE_BELOW_THRESHOLD, KpiValue, Report, ReportRow
from server.stores.models import Store

#: A store watched for less than this share of a day had an outage on it.
OUTAGE: Final = 0.5
_SPARK_DAYS: Final = 30
_HEADLINES: Final = ("visitors", "transactions", "conversion", "net_sales", "sales_per_visitor", "member_share")
_NONE: Final = KpiValue(None, "count", "no_data")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in the table, written out.

    Attributes:
        withheld: the code when there is none.
        doubt: what stands in place of a change that would say more about the cameras than about the store.
        why: the page of what it is made of, where it is of one day of one store; '' elsewhere.
    """

    text: str
    withheld: str | None
    delta: Delta | None
    doubt: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One store's line, or one region's.

    Attributes:
        key: its id, or the region's name.
        seen: visitors of each day of the trend, None where nobody could count any.
        place: in order of the KPI that is ranked by, from 1, an amount's within its currency; None without one, or
            where it is withheld.
    """

    key: str
    name: str
    second: str
    href: str
    cells: tuple[Cell, ...]
    seen: tuple[int | None, ...]
    place: int | None = None

    @property
    def spark(self) -> Sparkline | None:
        """Its trend."""
        return sparkline(list(self.seen))


def cells(row: ReportRow, state: Stores, fmt: Formats, currency: str) -> tuple[Cell, ...]:
    """A row's figures, column by column."""
    return tuple(cell(slug, row, fmt, currency, with_change=change) for slug, _, change in state.columns)


def cell(slug: str, row: ReportRow, fmt: Formats, currency: str, *, with_change: bool) -> Cell:
    """One figure of a row."""
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


def headlines(total: ReportRow, fmt: Formats, currency: str, together: Together | None) -> list[dict[str, Any]]:
    """The chain's own figures.

    Args:
        together: net sales of several currencies in one, which stand in place of those that can't be added.
    """
    labels = {name: label for name, label, _ in COLUMNS}
    found = []
    for slug in _HEADLINES:
        figure, note = cell(slug, total, fmt, currency, with_change=True), ""
        if slug == "net_sales" and together is not None:
            figure, note = Cell(together.text(fmt), None, None), together.note(fmt)
        found.append({"label": labels[slug], "cell": figure, "note": note})
    return found


def lines(
    report: Report,
    state: Stores,
    stores: Sequence[Store],
    each: Mapping[str, Sequence[DayLine]],
    days: tuple[date, date],
    fmt: Formats,
    one_day: Mapping[str, date],
) -> list[Line]:
    """Every line, in the order asked for.

    Args:
        one_day: by store, the day that is shown where it is a single one: its figures open what they are made of.
        each: of every store, its days.
        days: of the trend, first and last.
    """
    by_id = {store.store_id: store for store in stores}
    start = max(days[0], days[1] - timedelta(days=_SPARK_DAYS - 1))
    shown = [start + timedelta(days=number) for number in range((days[1] - start).days + 1)]
    places = _places(report, state)
    is_mixed = not shared(stores)
    found = []
    for row in report.rows:
        key = row.labels[state.by]
        if state.by == "store":
            store = by_id[key]
            name, second, href = store.name, store.region or store.store_id, f"/stores/{quote(key, safe='')}"
            own = [key]
        else:
            own = [store.store_id for store in stores if store.region == key]
            ngettext = translations(fmt.locale).ngettext
            name = key or translations(fmt.locale).gettext(N_("No region"))
            second = ngettext("%(num)d store", "%(num)d stores", len(own)) % {"num": len(own)}
            href = "/hq" + state.query(by="store", region=key)
        currency = shared([by_id[store_id] for store_id in own])
        if is_mixed and currency:
            second = f"{second} · {currency}"
        seen = _seen(each, own)
        found.append(
            Line(
                key,
                name,
                second,
                href,
                _opening(cells(row, state, fmt, currency), state, href, one_day.get(key)),
                tuple(map(seen.get, shown)),
                places.get(key),
            )
        )
    return _sorted(found, report, state)


def _opening(figures: tuple[Cell, ...], state: Stores, store: str, day: date | None) -> tuple[Cell, ...]:
    """Figures of one day of a store, each with the page of what it is made of."""
    if day is None or state.by != "store":
        return figures
    return tuple(
        replace(figure, why=f"{store}/why/{slug}?day={day.isoformat()}")
        for (slug, _, _), figure in zip(state.columns, figures, strict=True)
    )


def _seen(each: Mapping[str, Sequence[DayLine]], stores: Sequence[str]) -> dict[date, int]:
    """Visitors of some stores by the day; of those that were not watched well enough nothing is known."""
    found: dict[date, int] = {}
    for line in chain.from_iterable(each.get(store_id, ()) for store_id in stores):
        if line.visitors is not None and line.coverage is not None and line.coverage >= OUTAGE:
            found[line.day] = found.get(line.day, 0) + line.visitors
    return found


def _places(report: Report, state: Stores) -> dict[str, int]:
    if not state.rank:
        return {}
    known = [row for row in report.rows if row.values[state.rank].value is not None]
    known.sort(key=lambda row: (-Decimal(row.values[state.rank].value or 0), row.labels[state.by]))
    places: dict[str, int] = {}
    taken: Counter[str] = Counter()
    for row in known:
        currency = currency_of(row.values[state.rank])
        taken[currency] += 1
        places[row.labels[state.by]] = taken[currency]
    return places


def _sorted(found: Sequence[Line], report: Report, state: Stores) -> list[Line]:
    slug, down = state.order.removeprefix("-"), state.order.startswith("-")
    if slug == "store":
        return sorted(found, key=lambda line: line.key, reverse=down)
    values = {row.labels[state.by]: row.values[slug] for row in report.rows}

    def key(line: Line) -> tuple[bool, str, Decimal, str]:
        value = values[line.key]
        amount = Decimal(value.value or 0)
        return value.value is None, currency_of(value), -amount if down else amount, line.key

    return sorted(found, key=key)


def is_apart(report: Report, state: Stores) -> bool:
    """Whether the lines are in order of amounts of several currencies, and so within each of these."""
    slug = state.order.removeprefix("-")
    amounts = (row.values[slug] for row in report.rows if slug != "store")
    return len({currency_of(value) for value in amounts if value.value is not None}) > 1


def headers(state: Stores) -> list[dict[str, Any]]:
    """The heads of the columns, each a link that sorts by it."""
    found = []
    first = ("store", N_("Store") if state.by == "store" else N_("Region"))
    for slug, label in (first, *((slug, label) for slug, label, _ in state.columns)):
        active = state.order.removeprefix("-") == slug
        down = state.order.startswith("-")
        # Figures begin with the largest, names with the first.
        target = slug if (active and down) or (slug == "store" and not active) else f"-{slug}"
        found.append(
            {
                "slug": slug,
                "label": label,
                # A ranking is in order of its rank; another order is another page.
                "href": state.query(sort=target, rank=state.rank if slug != "store" else ""),
                "sorted": ("descending" if down else "ascending") if active else "",
            }
        )
    return found


def rank_label(state: Stores) -> str:
    """What lines are ranked by, as a message of the catalogue; '' for nothing."""
    return RANKED.get(state.rank, "")
