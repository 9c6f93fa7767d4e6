"""How points are earned and what they are worth: seen, saved as a version, and what is owed in them today."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.members.posted import Posted, posted, refuse
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.tiers_page import whole, zone_of
from dashboards.members.versions import history
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, viewer_with
from server.access.models import Locale
from server.errors import Conflict, InvalidInput
from server.membership.points import rules as rules_of
from server.membership.points.models import Liability
from server.membership.points.rules import Rules

router = page_router()

_MONEY: Final = ("currency", "rate", "value")
_GROUP: Final = ("g_groups", "g_skus", "g_factor")
_PROMOTION: Final = (
    *("p_name", "p_starts", "p_ends", "p_factor", "p_bonus", "p_min_spend", "p_currency"),
    *("p_stores", "p_groups", "p_channels", "p_tiers"),
)
_PLAIN: Final = (
    *("basis", "channels", "return_days", "expires_months", "at_month_end", "timezone", "least", "step"),
    *("adjust_limit", "given_back_days", "reason", "valid_from"),
)
_PREFIXES: Final = {"groups": "g_", "promotions": "p_"}
_WORDS: Final = {
    "rates": N_("Points for one unit of money: a number from 0 on, with at most six decimals."),
    "value": N_("Money for one point: a number from 0 on, with at most six decimals."),
    "factor": N_("A number; of a promotion 1 or more."),
    "groups": N_("Name the groups or articles it is about."),
    "name": N_("Give it a name."),
    "starts": N_("Enter when it begins."),
    "ends": N_("Enter an end after the beginning."),
    "bonus": N_("Enter whole points."),
    "promotions": N_("It needs a name, a time, and a factor above 1 or a bonus."),
    "min_spend": N_("Enter an amount."),
    "currency": N_("Use three letters, such as CNY."),
    "channels": N_("Use till, online and pickup."),
    "return_days": N_("Enter 0 to 366 days."),
    "expires_months": N_("Enter 1 to 240 months, or nothing."),
    "given_back_days": N_("Enter 0 to 366 days."),
    "least": N_("Enter 1 or more, a multiple of the steps."),
    "step": N_("Enter 1 or more."),
    "adjust_limit": N_("Enter whole points from 0 on."),
    "timezone": N_("Use a name such as Asia/Shanghai."),
    "reason": N_("Say why, in at most 500 letters."),
    "valid_from": N_("Enter a time to come, or nothing."),
}
_CHANNELS: Final = {"till": N_("till"), "online": N_("online"), "pickup": N_("pick-up")}
_BASES: Final = (("gross", N_("what was paid")), ("net", N_("what was paid less the tax")))
Reader = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]


@router.get("/members/points")
def points(request: Request, viewer: Reader, note: str = "") -> Response:
    """The rules in force, every version, and what is owed."""
    _, rules = request.app.state.services.points.rules(viewer.scope)
    return _page(request, viewer, Form(_plain_of(rules)), _rows_of(rules), set(rules.channels), note=note)


@router.post("/members/points")
def save(request: Request, sent: Poster) -> Response:
    """Keep a new version."""
    services, form = request.app.state.services, sent.form
    rules, starts = _read(sent), None
    if form.text("valid_from"):
        at = form.instant("valid_from", zone_of(services.stores.stores(sent.viewer.scope)))
        starts = None if at is None else at.astimezone(UTC)
    if rules is not None and not form.problems:
        try:
            services.points.save_rules(sent.viewer.scope, rules, form.text("reason"), starts)
        except (InvalidInput, Conflict) as error:
            refuse(form, error, _WORDS, _PREFIXES)
        else:
            return RedirectResponse("/members/points?note=saved", status_code=303)
    rows = (sent.rows(*_MONEY), sent.rows(*_GROUP), sent.rows(*_PROMOTION))
    return _page(request, sent.viewer, form, rows, set(sent.lists.get("channels", ())), status=422)


Rows = tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]


def _read(sent: Posted) -> Rules | None:
    """What was typed as rules; None with problems noted."""
    form, money = sent.form, sent.rows(*_MONEY)
    zone = _zone(form.text("timezone"))
    document: dict[str, Any] = {
        "rates": {row["currency"].upper(): row["rate"] for row in money if row["rate"]},
        "value": {row["currency"].upper(): row["value"] for row in money if row["value"]},
        "basis": form.text("basis") or "gross",
        "channels": [name for name in _CHANNELS if name in sent.lists.get("channels", ())],
        "groups": [
            {"groups": names_of(row["g_groups"]), "skus": names_of(row["g_skus"]), "factor": row["g_factor"] or "1"}
            for row in sent.rows(*_GROUP)
        ],
        "promotions": [_promotion(row, zone) for row in sent.rows(*_PROMOTION)],
        "at_month_end": form.text("at_month_end") == "yes",
        "timezone": form.text("timezone") or "UTC",
        **{
            name: whole(form.text(name)) for name in ("return_days", "least", "step", "adjust_limit", "given_back_days")
        },
    }
    if form.text("expires_months"):
        document["expires_months"] = whole(form.text("expires_months"))
    try:
        return rules_of.read(msgspec.json.encode(document))
    except InvalidInput as error:
        refuse(form, error, _WORDS, _PREFIXES)
        return None


def names_of(text: str) -> list[str]:
    """Names with commas between."""
    return [name.strip() for name in text.replace("，", ",").split(",") if name.strip()]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")  # the name itself is refused with the rules


def _instant(text: str, zone: ZoneInfo) -> str:
    """A time of the rules' clock with its offset; what is none stays, and is refused by its field."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).isoformat()
    except ValueError:
        return text


def _promotion(row: dict[str, str], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "name": row["p_name"],
        "starts": _instant(row["p_starts"], zone),
        "ends": _instant(row["p_ends"], zone),
        "factor": row["p_factor"] or "1",
        "bonus": whole(row["p_bonus"] or "0"),
        "min_spend": row["p_min_spend"] or "0",
        "currency": row["p_currency"].strip().upper() or None,
        "stores": names_of(row["p_stores"]),
        "groups": names_of(row["p_groups"]),
        "channels": names_of(row["p_channels"]),
        "tiers": names_of(row["p_tiers"]),
    }


def _rows_of(rules: Rules) -> Rows:
    zone = _zone(rules.timezone)

    def text(value: Decimal | None) -> str:
        return "" if value is None else f"{value.normalize():f}"

    money = [
        {"currency": currency, "rate": text(rules.rates.get(currency)), "value": text(rules.value.get(currency))}
        for currency in dict.fromkeys([*rules.rates, *rules.value])
    ]
    groups = [
        {"g_groups": ", ".join(each.groups), "g_skus": ", ".join(each.skus), "g_factor": text(each.factor)}
        for each in rules.groups
    ]
    promotions = [
        {
            "p_name": each.name,
            "p_starts": f"{each.starts.astimezone(zone):%Y-%m-%dT%H:%M}",
            "p_ends": f"{each.ends.astimezone(zone):%Y-%m-%dT%H:%M}",
            "p_factor": text(each.factor),
            "p_bonus": str(each.bonus),
            "p_min_spend": text(each.min_spend),
            "p_currency": each.currency or "",
            "p_stores": ", ".join(each.stores),
            "p_groups": ", ".join(each.groups),
            "p_channels": ", ".join(each.channels),
            "p_tiers": ", ".join(each.tiers),
        }
        for each in rules.promotions
    ]
    return money, groups, promotions


def _plain_of(rules: Rules) -> dict[str, str]:
    return {
        "basis": rules.basis,
        "return_days": str(rules.return_days),
        "expires_months": "" if rules.expires_months is None else str(rules.expires_months),
        "at_month_end": "yes" if rules.at_month_end else "",
        "timezone": rules.timezone,
        "least": str(rules.least),
        "step": str(rules.step),
        "adjust_limit": str(rules.adjust_limit),
        "given_back_days": str(rules.given_back_days),
    }


def _page(
    request: Request, viewer: Viewer, form: Form, rows: Rows, channels: set[str], *, note: str = "", status: int = 200
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    saved, in_force = services.points.rules(scope)
    versions = services.points.rules_history(scope)
    # One more of each, to be filled in.
    money, groups, promotions = (
        [*own, dict.fromkeys(names, "")] for own, names in zip(rows, (_MONEY, _GROUP, _PROMOTION), strict=True)
    )
    own_place = {f"{name}-{place}" for names in (_GROUP, _PROMOTION) for name in names for place in range(100)}
    return renderer_of(request).page(
        request,
        "members/points.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/points",
        tabs=member_tabs(viewer, "/members/points"),
        form=form,
        known={*_PLAIN, *own_place},
        money=money,
        groups=groups,
        promotions=promotions,
        channels=[(name, gettext(label), name in channels) for name, label in _CHANNELS.items()],
        bases=[(value, gettext(label)) for value, label in _BASES],
        note=note,
        version=None if saved is None else fmt.number(saved.version),
        owed=[_owed(services.points_reports.liability(scope, currency), viewer.locale) for currency in in_force.value],
        history=history(
            [(each, msgspec.to_builtins(rules)) for each, rules in versions],
            None if saved is None else saved.version,
            fmt,
            zone_of(stores).key,
        ),
    )


def _owed(report: Liability, locale: Locale) -> dict[str, Any]:
    """What is owed in points, in words."""
    gettext, fmt = translations(locale).gettext, Formats(locale)

    def money(value: Decimal) -> str:
        return fmt.money(value, report.currency, 2)

    return {
        "currency": report.currency,
        "value": f"{report.value.normalize():f}",
        "points": fmt.number(report.points),
        "pending": fmt.number(report.pending),
        "below": fmt.number(report.owed),
        "worth": money(report.worth),
        "rows": [
            {
                "age": gettext(N_("this year"))
                if not row.age
                else gettext(N_("%(years)s years ago")) % {"years": row.age},
                "expires": NOTHING if row.expires is None else f"{row.expires:%Y-%m}",
                "pending": row.is_pending,
                "members": fmt.number(row.members),
                "points": fmt.number(row.points),
                "worth": money(row.worth),
            }
            for row in report.rows
        ],
    }
