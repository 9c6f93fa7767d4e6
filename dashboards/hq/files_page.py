"""What is seen on a page of headquarters as a file: the same lines in the same order, as XLSX, CSV or PDF."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Final, Literal

from fastapi import Depends, Request, Response

from dashboards.formats import Formats
from dashboards.hq import change_page, page, paper
from dashboards.hq.money import Together, shared
from dashboards.hq.paper import Figure, Paper
from dashboards.hq.state import APART, Change, Stores
from dashboards.hq.table import cell, rank_label
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.periods import CHOICES
from dashboards.reasons import reason
from dashboards.store_view import written
from dashboards.viewer import CHAIN_READERS, Viewer, viewer_with
from server.errors import NotFound
from server.kpi.models import KpiValue, ReportRow
from server.stores.models import Store

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*CHAIN_READERS))]
Form = Literal["xlsx", "csv", "pdf"]
_MAKERS: Final[dict[Form, tuple[Callable[[Paper], bytes], str]]] = {
    "xlsx": (paper.as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": (paper.as_csv, "text/csv; charset=utf-8"),
    "pdf": (paper.as_pdf, "application/pdf"),
}


@router.get("/hq/stores.{form}")
def stores_file(request: Request, form: Form, viewer: Reader) -> Response:
    """The table of branches as it is set out."""
    services = request.app.state.services
    every = _stores(request, viewer)
    shown = page.shown_of(services, viewer, Stores.of(request.query_params), every)
    state, report = shown.state, shown.report
    fmt, gettext = Formats(viewer.locale), translations(viewer.locale).gettext
    notes = [
        fmt.days(report.day_from, report.day_to),
        gettext(CHOICES[state.range].versus),
        *([state.region] if state.region else []),
        *([gettext(N_("Like for like"))] if state.alike else []),
        *([gettext(N_("Ranked by")) + " " + gettext(rank_label(state))] if state.rank else []),
        *([gettext(APART)] if shown.is_apart else []),
        *([_together(shown.together, fmt)] if shown.together else []),
        gettext(N_("As of %(time)s UTC")) % {"time": f"{report.as_of:%Y-%m-%d %H:%M}"},
    ]
    heads = [gettext(N_("Store") if state.by == "store" else N_("Region"))]
    for _, label, has_change in state.columns:
        heads += [gettext(label), *([gettext(N_("Difference"))] if has_change else [])]
    heads.append(gettext(N_("Currency")))
    own: dict[str, list[Store]] = defaultdict(list)
    for store in shown.stores:
        own[store.store_id if state.by == "store" else store.region].append(store)
    rows = {row.labels[state.by]: row for row in report.rows}

    def figures(row: ReportRow, currency: str) -> list[Figure]:
        found = []
        for slug, _, has_change in state.columns:
            value = row.values[slug]
            found.append(_figure(value, fmt, currency, gettext))
            if has_change:
                # What the page withholds or doubts, a file doesn't tell either.
                shown_there = cell(slug, row, fmt, currency, with_change=True)
                found.append(Figure(shown_there.delta.text if shown_there.delta else shown_there.doubt))
        return [*found, Figure(currency)]

    lines = [[Figure(line.name), *figures(rows[line.key], shared(own[line.key]))] for line in shown.lines]
    total = [
        Figure(gettext(N_("Sum of these") if state.is_part else N_("Whole chain"))),
        *figures(report.total, shown.currency),
    ]
    made = Paper(gettext(N_("Branches")), tuple(notes), tuple(heads), (*lines, total), viewer.locale)
    return _answer(form, made, "branches", report.day_to)


@router.get("/hq/change.{form}")
def change_file(request: Request, form: Form, viewer: Reader) -> Response:
    """Why sales moved, store by store, with their sum."""
    every = _stores(request, viewer)
    state = Change.of(request.query_params).among([store.store_id for store in every])
    answer = change_page.answer_of(request.app.state.services, viewer, state, every)
    if answer.found is None:
        raise NotFound("there are no such days", remedy="check the dates")
    found, fmt, gettext = answer.found, Formats(viewer.locale), translations(viewer.locale).gettext
    heads = (N_("Store"), N_("Net sales before"), N_("Net sales now"), N_("Difference"))
    causes = [*(label for _, label in change_page.CAUSES), N_("Currency")]
    rows = change_page.rows_of(found, state, {store.store_id: store.name for store in every}, fmt)
    chain = [change_page.chain_row(each, fmt) for each in found.chain] if not state.store else []
    lines = [
        [
            Figure(row.name or gettext(N_("Sum of these"))),
            *(Figure(text, amount, "money") for text, amount in zip(row.texts, row.amounts, strict=True)),
            Figure(row.currency),
        ]
        for row in (*rows, *chain)
    ]
    notes = (
        answer.name,
        gettext(N_("%(days)s against %(before)s"))
        % {
            "days": fmt.days(found.day_from, found.day_to),
            "before": fmt.days(found.compared_from, found.compared_to),
        },
        *(f"{gettext(N_('Left out'))}: {each.name}, {each.why}" for each in answer.unlike),
    )
    made = Paper(
        gettext(N_("Why sales moved")),
        notes,
        tuple(gettext(head) for head in (*heads, *causes)),
        tuple(lines),
        viewer.locale,
    )
    return _answer(form, made, "change", found.day_to)


def _stores(request: Request, viewer: Viewer) -> Sequence[Store]:
    every: list[Store] = request.app.state.services.stores.stores(viewer.scope)
    if not every:
        raise NotFound("there is no store yet", remedy="add one")
    return every


def _together(found: Together, fmt: Formats) -> str:
    return f"{translations(fmt.locale).gettext('Net sales')}: {found.text(fmt)} ({found.note(fmt)})"


def _figure(value: KpiValue, fmt: Formats, currency: str, gettext: Callable[[str], str]) -> Figure:
    if value.value is None:
        return Figure(gettext(reason(value.withheld).short))
    kind = {"ratio": "ratio", "count": "count", "people": "count"}.get(value.unit, "money")
    return Figure(written(value, fmt, currency), value.value, kind)


def _answer(form: Form, made: Paper, name: str, day: date) -> Response:
    make, kind = _MAKERS[form]
    headers = {"Content-Disposition": f'attachment; filename="doorline-{name}-{day}.{form}"'}
    return Response(make(made), media_type=kind, headers=headers)
