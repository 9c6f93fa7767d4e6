"""Stored value for headquarters and the books: its rules by currency, what is owed to holders, who owes whom."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.members.points_page import names_of
from dashboards.members.posted import ANY, Posted, posted
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput, NotFound
from server.membership.stored_value.models import BonusRule, NewBonusRule, SettlementRow, ValueSettings

router = page_router()

_ORDERS: Final = (
    ("proportional", N_("principal and bonus in proportion")),
    ("principal_first", N_("all principal first")),
    ("bonus_first", N_("all bonus first")),
)
_BEARERS: Final = (("seller", N_("the store that sold the card")), ("server", N_("the store that served")))
_WORDS: Final = {
    "cap_registered": N_("Enter an amount with at most two decimals, or nothing."),
    "cap_unregistered": N_("Enter an amount with at most two decimals, or nothing."),
    "cooling_off_days": N_("Enter 0 to 365 days."),
    "late_fee_percent": N_("Enter 0 or more, and less than 100."),
    "from_amount": N_("Enter an amount above nought."),
    "amount": N_("Enter an amount or a percentage."),
    "percent": N_("Enter a percentage up to 1000."),
    "valid_until": N_("Enter an end after the beginning, or nothing."),
    "payer": N_("Choose two stores."),
}
_SAME: Final = N_("A store pays another one: choose two different stores.")
_OWED: Final = N_("So much is not owed.")
_PERIOD: Final = timedelta(days=30)
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]
Ender = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]
Code = Annotated[str, Sent(max_length=3)]


@router.get("/members/stored-value")
def stored_value(
    request: Request, viewer: Reader, currency: str = "", since: str = "", until: str = "", note: str = ""
) -> Response:
    """Everything about one currency, and the settlement of some days."""
    chosen = Form({"since": since, "until": until})
    return _page(request, viewer, currency, {}, chosen, note=note)


@router.post("/members/stored-value/settings")
def settings(request: Request, sent: Poster) -> Response:
    """Set the rules of a currency."""
    form, currency = sent.form, sent.form.text("currency")
    registered, unregistered = form.number("cap_registered"), form.number("cap_unregistered")
    fee, days = form.number("late_fee_percent", optional=False), form.text("cooling_off_days")
    if not days.isdecimal() or len(days) > 4:
        form.problems["cooling_off_days"] = _WORDS["cooling_off_days"]
    if not form.problems:
        new = ValueSettings(
            currency,
            cap_registered=registered,
            cap_unregistered=unregistered,
            cap_counts_bonus=form.text("cap_counts_bonus") == "yes",
            spend_order=form.text("spend_order"),  # type: ignore[arg-type]  # refused where it is none
            cooling_off_days=int(days),
            late_fee_percent=fee or Decimal(0),
            bonus_borne_by=form.text("bonus_borne_by"),  # type: ignore[arg-type]
        )
        try:
            request.app.state.services.value_rules.set(sent.viewer.scope, new)
        except InvalidInput as error:
            form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        else:
            return RedirectResponse(f"/members/stored-value?currency={currency}&note=set", status_code=303)
    return _page(request, sent.viewer, currency, {"settings": form}, Form(), status=422)


@router.post("/members/stored-value/bonus")
def add_bonus(request: Request, sent: Poster) -> Response:
    """Add a bonus rule."""
    services, form, currency = request.app.state.services, sent.form, sent.form.text("currency")
    zone = zone_of(services.stores.stores(sent.viewer.scope))
    least = form.number("from_amount", optional=False)
    amount, percent = form.number("amount"), form.number("percent")
    until = form.instant("valid_until", zone) if form.text("valid_until") else None
    if not form.problems and least is not None:
        new = NewBonusRule(
            currency,
            least,
            amount or Decimal(0),
            percent or Decimal(0),
            store_ids=tuple(names_of(form.text("store_ids"))) or None,
            valid_until=None if until is None else until.astimezone(UTC),
        )
        try:
            services.value_rules.add_bonus_rule(sent.viewer.scope, new)
        except InvalidInput as error:
            form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        else:
            return RedirectResponse(f"/members/stored-value?currency={currency}&note=added", status_code=303)
    return _page(request, sent.viewer, currency, {"bonus": form}, Form(), status=422)


@router.post("/members/stored-value/bonus/{rule_id}/end")
def end_bonus(request: Request, rule_id: int, viewer: Ender, currency: Code = "") -> Response:
    """End a bonus rule."""
    request.app.state.services.value_rules.end_bonus_rule(viewer.scope, rule_id)
    return RedirectResponse(f"/members/stored-value?currency={currency[:3]}&note=ended", status_code=303)


@router.post("/members/stored-value/settlements")
def settle(request: Request, sent: Poster) -> Response:
    """Note that one store paid another."""
    form, currency = sent.form, sent.form.text("currency")
    amount = form.number("paid", optional=False)
    if not form.text("payer") or not form.text("payee"):
        form.problems["payer"] = _WORDS["payer"]
    elif form.text("payer") == form.text("payee"):
        form.problems["payee"] = _SAME
    if amount is not None and not form.problems:
        try:
            request.app.state.services.settlement.settle(
                sent.viewer.scope, form.text("payer"), form.text("payee"), currency, amount, form.text("key")
            )
        except NotFound:
            form.problems["payer"] = _WORDS["payer"]
        except (InvalidInput, Conflict):
            form.problems["paid"] = _OWED
        else:
            return RedirectResponse(f"/members/stored-value?currency={currency}&note=settled", status_code=303)
    return _page(request, sent.viewer, currency, {"settle": form}, Form(), status=422)


def _page(
    request: Request,
    viewer: Viewer,
    currency: str,
    forms: dict[str, Form],
    chosen: Form,
    *,
    note: str = "",
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    names = {store.store_id: store.name for store in stores}
    currencies = list(dict.fromkeys(store.currency for store in stores)) or ["CNY"]
    used = currency if currency in currencies else currencies[0]
    zone = zone_of(stores)
    rules: list[BonusRule] = services.value_rules.bonus_rules(scope, used)
    set_now = services.value_rules.settings(scope, used)
    first, last = _days(chosen, services.clock().astimezone(zone).date())
    start, end = _bounds(first, last, zone)
    rows = [row for row in services.settlement.report(scope, start, end) if row.currency == used]
    owed = [each for each in services.settlement.liability(scope) if each.currency == used]

    def money(value: Decimal) -> str:
        return fmt.money(value, used, 2)

    return renderer_of(request).page(
        request,
        "members/stored_value.html",
        viewer,
        status=status,
        stores=stores,
        address=f"/members/stored-value?currency={used}",
        tabs=member_tabs(viewer, "/members/stored-value"),
        note=note,
        currency=used,
        currencies=currencies,
        may_set=scope.has_role(*HEADQUARTERS),
        form=forms.get("settings") or Form(_plain_of(set_now)),
        bonus=forms.get("bonus") or Form(),
        settle=forms.get("settle") or Form({"key": uuid4().hex}),
        period=Form({"since": first.isoformat(), "until": last.isoformat()}, chosen.problems),
        orders=[(value, gettext(label)) for value, label in _ORDERS],
        bearers=[(value, gettext(label)) for value, label in _BEARERS],
        facts=_facts(set_now, fmt, gettext),
        rules=[
            {
                "id": each.rule_id,
                "from": money(each.from_amount),
                "gives": " + ".join(
                    part
                    for part in (
                        money(each.amount) if each.amount else "",
                        f"{each.percent.normalize():f}%" if each.percent else "",
                    )
                    if part
                ),
                "where": gettext(N_("all stores")) if each.store_ids is None else ", ".join(each.store_ids),
                "until": "" if each.valid_until is None else fmt.local_day(each.valid_until, zone.key),
            }
            for each in rules
        ],
        owed=[
            {
                "store": names.get(each.store_id, each.store_id),
                "cards": fmt.number(each.cards),
                "principal": money(each.principal),
                "bonus": money(each.bonus),
            }
            for each in owed
        ],
        total={
            "cards": fmt.number(sum(each.cards for each in owed)),
            "principal": money(sum((each.principal for each in owed), Decimal(0))),
            "bonus": money(sum((each.bonus for each in owed), Decimal(0))),
        },
        pairs=[_pair(row, names, money) for row in rows],
        choices=[(store.store_id, store.name) for store in stores if store.currency == used],
    )


def _pair(row: SettlementRow, names: dict[str, str], money: Any) -> dict[str, Any]:
    return {
        "sold": names.get(row.sold_by, row.sold_by),
        "served": names.get(row.served_by, row.served_by),
        "is_own": row.sold_by == row.served_by,
        "principal": money(row.principal),
        "bonus": money(row.bonus),
        "paid_out": money(row.paid_out),
        "settled": money(row.settled),
        "owed": money(row.owed),
        "is_owed": row.owed > 0 and row.sold_by != row.served_by,
    }


def _days(chosen: Form, today: date) -> tuple[date, date]:
    """The days that were chosen, both included; the last thirty where none were, or none that can be."""
    first = chosen.day("since", optional=True)
    last = chosen.day("until", optional=True)
    if chosen.problems or first is None or last is None or last < first:
        return today - _PERIOD, today
    return first, last


def _bounds(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    start = datetime.combine(first, time(), zone).astimezone(UTC)
    return start, datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)


def _plain_of(now: ValueSettings) -> dict[str, str]:
    def text(value: Decimal | None) -> str:
        return "" if value is None else f"{value.normalize():f}"

    return {
        "cap_registered": text(now.cap_registered),
        "cap_unregistered": text(now.cap_unregistered),
        "cap_counts_bonus": "yes" if now.cap_counts_bonus else "",
        "spend_order": now.spend_order,
        "cooling_off_days": str(now.cooling_off_days),
        "late_fee_percent": text(now.late_fee_percent),
        "bonus_borne_by": now.bonus_borne_by,
    }


def _facts(now: ValueSettings, fmt: Formats, gettext: Any) -> list[tuple[str, str]]:
    """The rules of a currency for whoever may not set them."""

    def cap(value: Decimal | None) -> str:
        return gettext(N_("no limit")) if value is None else fmt.money(value, now.currency, 2)

    return [
        (gettext(N_("Most on a member's card")), cap(now.cap_registered)),
        (gettext(N_("Most on an unregistered card")), cap(now.cap_unregistered)),
        (gettext(N_("A purchase takes")), gettext(dict(_ORDERS)[now.spend_order])),
        (gettext(N_("Paid back on demand for days")), fmt.number(now.cooling_off_days)),
        (gettext(N_("Fee after that, in per cent")), f"{now.late_fee_percent.normalize():f}"),
        (gettext(N_("Bonus is borne by")), gettext(dict(_BEARERS)[now.bonus_borne_by])),
    ]
