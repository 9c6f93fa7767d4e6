"""How members are graded: cuts that can be moved, with what would change before it is saved, and what serving costs."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, get_args

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.members.posted import ANY, Posted, posted
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.members.versions import changes
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, viewer_with
from server.access.models import Locale
from server.errors import InvalidInput
from server.membership.value.models import Grading, GradingTrial, Occasion, SavedGrading, ServingCost

router = page_router()

_CUTS: Final = ("recency_cuts", "frequency_cuts", "monetary_cuts")
_NUMBERS: Final = (
    *("window_days", "new_days", "at_risk_after", "dormant_after", "lost_after", "won_back_days"),
    *("least_purchases", "high_from"),
)
_WORDS: Final = {
    "recency_cuts": N_("Four falling numbers of days, such as 180, 90, 30, 14; or nothing: fifths."),
    "frequency_cuts": N_("Four rising numbers of days on which they bought, such as 2, 4, 8, 12; or nothing: fifths."),
    "monetary_cuts": N_("Four rising amounts, such as 200, 800, 2000, 5000; or nothing: fifths."),
    "window_days": N_("Enter 1 to 3650 days."),
    "new_days": N_("Enter 1 to 3650 days."),
    "at_risk_after": N_("A number: at risk before dormant, dormant before lost."),
    "dormant_after": N_("A number: at risk before dormant, dormant before lost."),
    "lost_after": N_("A number: at risk before dormant, dormant before lost."),
    "won_back_days": N_("Enter 1 to 3650 days."),
    "least_purchases": N_("Enter 2 to 50."),
    "high_from": N_("Enter an amount, or nothing."),
    "reason": N_("Say why, in at most 500 letters."),
    "amount": N_("Enter an amount from 0 on."),
    "valid_from": N_("Enter a date, such as 2026-11-16."),
}
_OCCASIONS: Final = {
    "sale": N_("A sale"),
    "refund": N_("A refund"),
    "visit": N_("A visit"),
    "month": N_("A month of being a member"),
}
_OF: Final = {"r": N_("How lately they bought"), "f": N_("How often"), "m": N_("For how much")}
Reader = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]


@router.get("/members/gradings")
def gradings(request: Request, viewer: Reader, note: str = "") -> Response:
    """The cuts in force, every version, and what serving costs."""
    saved = request.app.state.services.value.grading(viewer.scope)
    return _page(request, viewer, Form(_plain_of(saved.rules if saved else Grading())), note=note)


@router.post("/members/gradings/trial")
def attempt(request: Request, sent: Poster) -> Response:
    """What these cuts would do, by last night's figures; nothing is saved."""
    rules, trial = _read(sent.form), None
    if rules is not None:
        try:
            trial = request.app.state.services.value.try_grading(sent.viewer.scope, rules)
        except InvalidInput as error:
            sent.form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
    return _page(request, sent.viewer, sent.form, trial=trial, status=200 if trial else 422)


@router.post("/members/gradings")
def save(request: Request, sent: Poster) -> Response:
    """In force from the next night on."""
    rules = _read(sent.form)
    if rules is not None:
        try:
            request.app.state.services.value.save_grading(sent.viewer.scope, rules, sent.form.text("reason"))
        except InvalidInput as error:
            sent.form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        else:
            return RedirectResponse("/members/gradings?note=saved", status_code=303)
    return _page(request, sent.viewer, sent.form, status=422)


@router.post("/members/gradings/costs")
def cost(request: Request, sent: Poster) -> Response:
    """Enter what an occasion costs, from a day on."""
    services, form = request.app.state.services, sent.form
    day, amount = form.day("valid_from"), form.number("amount", optional=False)
    occasion = form.text("occasion")
    if day is not None and amount is not None and occasion in get_args(Occasion):
        try:
            services.value.put_serving_costs(sent.viewer.scope, [ServingCost(occasion, day, amount)])  # type: ignore[arg-type]
        except InvalidInput:
            form.problems["amount"] = _WORDS["amount"]
        else:
            return RedirectResponse("/members/gradings?note=entered", status_code=303)
    saved = services.value.grading(sent.viewer.scope)
    plain = Form(_plain_of(saved.rules if saved else Grading()))
    return _page(request, sent.viewer, plain, costing=form, status=422)


def _read(form: Form) -> Grading | None:
    """What was typed as a grading; None with problems noted."""
    given: dict[str, Any] = {}
    for name in _CUTS:
        parts = [part.strip() for part in form.text(name).replace("，", ",").split(",") if part.strip()]
        if parts:
            given[name] = parts
    given |= {name: form.text(name) for name in _NUMBERS if form.text(name)}
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, Grading, strict=False)
        except msgspec.ValidationError:
            form.problems[name] = _WORDS[name]
    return None if form.problems else msgspec.convert(given, Grading, strict=False)


def _plain_of(rules: Grading) -> dict[str, str]:
    def text(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, tuple):
            return ", ".join(map(text, value))
        return f"{value.normalize():f}" if isinstance(value, Decimal) else f"{value:g}"

    return {name: text(getattr(rules, name)) for name in (*_CUTS, *_NUMBERS)}


def _page(
    request: Request,
    viewer: Viewer,
    form: Form,
    *,
    trial: GradingTrial | None = None,
    costing: Form | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    saved: list[SavedGrading] = services.value.gradings(scope)
    today: date = services.clock().astimezone(zone_of(stores)).date()
    return renderer_of(request).page(
        request,
        "members/gradings.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/gradings",
        tabs=member_tabs(viewer, "/members/value"),
        form=form,
        costing=costing or Form({"valid_from": today.isoformat()}),
        note=note,
        currency=services.value.reporting,
        trial=_told(trial, viewer.locale) if trial else None,
        occasions=[(value, gettext(label)) for value, label in _OCCASIONS.items()],
        costs=[
            {
                "what": gettext(_OCCASIONS[each.occasion]),
                "from": fmt.plain_day(each.valid_from),
                "amount": fmt.money(each.amount, services.value.reporting, 2),
            }
            for each in reversed(services.value.serving_costs(scope))
        ],
        history=_history(saved, fmt, zone_of(stores).key),
    )


def _history(saved: list[SavedGrading], fmt: Formats, zone: str) -> list[dict[str, Any]]:
    """Versions as the other rules have them: newest first, each with what it changed."""
    told = []
    for place, each in enumerate(saved):
        before = msgspec.to_builtins(saved[place + 1].rules) if place + 1 < len(saved) else {}
        moment = f"{fmt.local_day(each.saved_at, zone)} {fmt.clock(each.saved_at, zone)}"
        told.append(
            {
                "version": fmt.number(each.version),
                "is_current": not place,
                "is_coming": False,
                "is_update": False,
                "from": moment,
                "by": each.saved_by,
                "at": moment,
                "why": each.reason,
                "changes": changes(before, msgspec.to_builtins(each.rules)),
                "more": 0,
            }
        )
    return told


def _told(trial: GradingTrial, locale: Locale) -> dict[str, Any]:
    gettext, fmt = translations(locale).gettext, Formats(locale)
    return {
        "buyers": fmt.number(trial.buyers),
        "moved": fmt.number(trial.moved),
        "share": fmt.percent(trial.moved / trial.buyers if trial.buyers else None),
        "high_now": fmt.number(trial.high_now),
        "high_then": fmt.number(trial.high_then),
        "grades": [
            {
                "of": gettext(words),
                "cells": [
                    {
                        "grade": each.grade,
                        "now": fmt.number(each.now),
                        "then": fmt.number(each.then),
                        "same": each.now == each.then,
                    }
                    for each in trial.grades
                    if each.of == of
                ],
            }
            for of, words in _OF.items()
        ],
    }
