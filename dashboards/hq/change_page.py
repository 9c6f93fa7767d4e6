"""Why sales moved: two periods set against each other, for the chain or one store, as a bridge of what each cause did.

The causes add up to the change to the cent (`kpi.answers.decomposition`). Only stores that were open and watched in
both periods are in it; the others are named with the reason, so that nobody wonders where the rest of the change is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from dashboards.formats import NOTHING, Delta, Formats
from dashboards.hq.alike import Unlike, unlike_of
from dashboards.hq.state import COMPARES, Change
from dashboards.hq.tabs import tabs
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.periods import CHOICES
from dashboards.viewer import CHAIN_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.errors import InvalidInput
from server.kpi.answers.decomposition import ChainChange, Decomposition, Effects, Side, StoreChange
from server.kpi.answers.question import StoreFilter
from server.stores.models import Store

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*CHAIN_READERS))]
#: What moves net sales, by the name of its effect.
CAUSES: Final = (
    ("traffic", N_("Visitors")),
    ("conversion", N_("Conversion")),
    ("atv", N_("Average sale")),
    ("refunds", N_("Paid back")),
)
#: Both periods of what the causes are made of, in the order of the causes.
_SIDES: Final = (
    ("visitors", N_("Visitors")),
    ("conversion", N_("Conversion")),
    ("atv", N_("Average sale")),
    ("net_sales", N_("Net sales")),
    ("member_share", N_("Member share")),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page shows.

    Attributes:
        found: None where the days asked for are none; `problem` says so.
        one: what the bridge is of: a store, or the chain; of several currencies that of most stores, as there is no sum
            of amounts in two of them. None where it can't be told.
        unlike: stores left out.
    """

    state: Change
    found: Decomposition | None
    one: ChainChange | StoreChange | None
    name: str
    unlike: tuple[Unlike, ...]
    problem: str = ""


@router.get("/hq/change")
def change_page(request: Request, viewer: Reader) -> Response:
    """Two periods beside each other; which ones stands in the address (`state.Change`)."""
    every: list[Store] = request.app.state.services.stores.stores(viewer.scope)
    if not every:
        return renderer_of(request).page(request, "hq/empty.html", viewer, stores=every)
    state = Change.of(request.query_params).among([store.store_id for store in every])
    answer = answer_of(request.app.state.services, viewer, state, every)
    fmt, gettext = Formats(viewer.locale), translations(viewer.locale).gettext
    found, one = answer.found, answer.one
    names = {store.store_id: store.name for store in every}
    ranges = [(key, gettext(choice.label)) for key, choice in CHOICES.items() if choice.back]
    return renderer_of(request).page(
        request,
        "hq/change.html",
        viewer,
        status=422 if answer.problem else 200,
        stores=every,
        tabs=tabs("/hq/change", viewer.locale),
        state=state,
        answer=answer,
        ranges=[*ranges, ("chosen", gettext(N_("Chosen days")))],
        compares=[(key, gettext(label)) for key, label in COMPARES.items()],
        regions=sorted({store.region for store in every if store.region}),
        every=[(store.store_id, store.name) for store in every],
        days=fmt.days(found.day_from, found.day_to) if found else NOTHING,
        before=fmt.days(found.compared_from, found.compared_to) if found else NOTHING,
        bridge=bridge(one, viewer.locale) if one else None,
        sides=sides(one, fmt) if one else [],
        currency=one.currency if one and not state.store and len(found.chain if found else ()) > 1 else "",
        causes=[gettext(label) for _, label in CAUSES],
        rows=rows_of(found, state, names, fmt) if found else [],
        chain=[chain_row(each, fmt) for each in found.chain] if found and not state.store else [],
        views=request.app.state.services.views.views(viewer.scope),
        here="/hq/change" + state.query(),
        query=state.query(),
    )


def answer_of(services: Any, viewer: Viewer, state: Change, every: Sequence[Store]) -> Answer:
    """What was asked, answered; days that are none are a problem to be shown, not an error."""
    gettext = translations(viewer.locale).gettext
    names = {store.store_id: store.name for store in every}
    name = names.get(state.store, "") or state.region or gettext(N_("Whole chain"))
    today = min(services.stores.todays(viewer.scope, services.clock()).values())
    where = StoreFilter(regions=[state.region]) if state.region and not state.store else StoreFilter()
    if state.store:
        where = StoreFilter(store_ids=[state.store])
    try:
        first, last = state.days(today)
        found: Decomposition = services.kpi.decomposition(
            viewer.scope, day_from=first, day_to=last, compare=state.comparison, where=where
        )
    except InvalidInput:
        words = gettext(N_("These days can't be compared: check the dates, the first before the last."))
        return Answer(state, None, None, name, (), words)
    compared = [each for each in found.chain if each.stores]
    one: ChainChange | StoreChange | None = max(compared, key=lambda each: each.stores, default=None)
    if state.store:
        one = next(iter(found.stores), None)
    return Answer(state, found, one, name, unlike_of(found.left_out, every, viewer))


def bridge(one: ChainChange | StoreChange, locale: Locale) -> dict[str, Any]:
    """What the waterfall is drawn from, and its table: from the one period's net sales to the other's."""
    fmt, gettext = Formats(locale), translations(locale).gettext
    steps = [_step(gettext(N_("Net sales before")), one.before.net_sales, "absolute", one.currency, fmt)]
    heights = [one.before.net_sales]
    for cause, label in CAUSES:
        effect: Decimal = getattr(one.effects, cause)
        steps.append(_step(gettext(label), effect, "relative", one.currency, fmt))
        heights.append(heights[-1] + effect)
    steps.append(_step(gettext(N_("Net sales now")), one.now.net_sales, "total", one.currency, fmt))
    low, high = min(heights), max(heights)
    # Bars from zero would show two equal towers and nothing between them; the scale says where it begins.
    room = (high - low) * 3 or max(abs(high) / 10, Decimal(1))
    bottom = max(min(low - room / 3, low), Decimal(0)) if low >= 0 else low - room / 3
    return {"steps": steps, "range": [float(bottom), float(high + room / 4)]}


def _step(label: str, amount: Decimal, measure: str, currency: str, fmt: Formats) -> dict[str, Any]:
    text = fmt.money(amount, currency)
    signed = f"+{text}" if measure == "relative" and amount > 0 else text
    return {"label": label, "amount": float(amount), "measure": measure, "text": signed}


def sides(one: ChainChange | StoreChange, fmt: Formats) -> list[dict[str, Any]]:
    """Both periods' figures beside each other."""
    return [
        {
            "label": label,
            "before": _figure(slug, one.before, one.currency, fmt),
            "now": _figure(slug, one.now, one.currency, fmt),
            "delta": _moved(slug, one, fmt),
        }
        for slug, label in _SIDES
    ]


def _figure(slug: str, side: Side, currency: str, fmt: Formats) -> str:
    value: Decimal | None = getattr(side, slug)
    if slug in ("conversion", "member_share"):
        return fmt.percent(value)
    return fmt.number(value) if slug == "visitors" else fmt.money(value, currency)


def _moved(slug: str, one: ChainChange | StoreChange, fmt: Formats) -> Delta | None:
    now, before = getattr(one.now, slug), getattr(one.before, slug)
    return fmt.points(now, before) if slug in ("conversion", "member_share") else fmt.change(now, before)


@dataclass(frozen=True, slots=True)
class Row:
    """A store's line, or the chain's: both periods' net sales, the change and what each cause did."""

    name: str
    href: str
    currency: str
    amounts: tuple[Decimal, ...]
    texts: tuple[str, ...]


def rows_of(found: Decomposition, state: Change, names: dict[str, str], fmt: Formats) -> list[Row]:
    """Every store that was compared, the largest change first."""
    ordered = sorted(found.stores, key=lambda each: (-abs(each.change), each.store_id))
    return [
        _row(names.get(each.store_id, each.store_id), "/hq/change" + state.query(store=each.store_id), each, fmt)
        for each in ordered
    ]


def chain_row(chain: ChainChange, fmt: Formats) -> Row:
    """The sum of the stores of one currency."""
    return _row("", "", chain, fmt)


def _row(name: str, href: str, one: ChainChange | StoreChange, fmt: Formats) -> Row:
    effects: Effects = one.effects
    causes = [getattr(effects, cause) for cause, _ in CAUSES]
    amounts = (one.before.net_sales, one.now.net_sales, one.change, *causes)
    return Row(name, href, one.currency, amounts, tuple(fmt.money(amount, one.currency) for amount in amounts))
