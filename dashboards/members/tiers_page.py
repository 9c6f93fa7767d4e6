"""What tiers ask for and give: seen, tried on last year's receipts, and saved as a version with a reason."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.members.posted import ANY, Posted, posted, refuse
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.versions import history
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, viewer_with
from server.access.models import Locale
from server.errors import Conflict, InvalidInput
from server.membership.tiers import rules as rules_of
from server.membership.tiers.models import TierSimulation
from server.membership.tiers.rules import TierRules
from server.stores.models import Store

router = page_router()

_LEVEL: Final = (
    *("slug", "zh", "en", "spend", "visits", "points", "match", "discount", "multiplier"),
    *("birthday_gift", "birthday_value"),
)
_PLAIN: Final = ("currency", "window_months", "period_months", "grace_days", "down", "rates", "reason", "valid_from")
_WORDS: Final = {
    "slug": N_("Small letters and digits, each name once."),
    "levels": N_("The lowest level is everybody's and asks for nothing."),
    "spend": N_("Enter an amount, or nothing."),
    "visits": N_("Enter a whole number of visits, or nothing."),
    "points": N_("Enter whole points, or nothing."),
    "discount": N_("Enter per cent from 0 to 100."),
    "multiplier": N_("Enter a number such as 1.5."),
    "birthday_value": N_("Enter an amount."),
    "rates": N_("One currency a line, such as EUR=8."),
    "currency": N_("Three letters, such as CNY."),
    "window_months": N_("Enter 1 to 120 months."),
    "period_months": N_("Enter 1 to 120 months."),
    "grace_days": N_("Enter 0 to 366 days."),
    "reason": N_("Say why, in at most 500 letters."),
    "valid_from": N_("Enter a time to come, or nothing."),
}
_MATCHES: Final = (("any", N_("any one is enough")), ("all", N_("all are needed")))
_DOWNS: Final = (("fit", N_("to the level that was earned")), ("one", N_("one level at a time")))
_LISTED: Final = 50
_ORDER: Final = {"spend": Decimal, "discount": Decimal, "multiplier": Decimal, "birthday_value": Decimal}
Reader = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]


@router.get("/members/tiers")
def tiers(request: Request, viewer: Reader, note: str = "") -> Response:
    """The rules in force, and every version."""
    _, rules = request.app.state.services.tiers.rules(viewer.scope)
    return _page(request, viewer, Form(_plain_of(rules)), _rows_of(rules), note=note)


@router.post("/members/tiers/simulation")
def simulate(request: Request, sent: Poster) -> Response:
    """Who would move under these rules, and what it would cost; nothing is saved."""
    rules, simulation = _read(sent), None
    if rules is not None:
        try:
            simulation = request.app.state.services.tier_simulations.simulate(sent.viewer.scope, rules, _LISTED)
        except InvalidInput as error:
            refuse(sent.form, error, _WORDS)
    status = 200 if simulation else 422
    return _page(request, sent.viewer, sent.form, _rows_sent(sent), simulation=simulation, status=status)


@router.post("/members/tiers")
def save(request: Request, sent: Poster) -> Response:
    """Keep a new version."""
    rules = _read(sent)
    starts = _starts(request, sent)
    if rules is not None and not sent.form.problems:
        try:
            request.app.state.services.tiers.save_rules(sent.viewer.scope, rules, sent.form.text("reason"), starts)
        except (InvalidInput, Conflict) as error:
            refuse(sent.form, error, _WORDS)
        else:
            return RedirectResponse("/members/tiers?note=saved", status_code=303)
    return _page(request, sent.viewer, sent.form, _rows_sent(sent), status=422)


def _starts(request: Request, sent: Posted) -> datetime | None:
    """From when the version holds, on the clock of the first store; None: from now."""
    if not sent.form.text("valid_from"):
        return None
    stores: list[Store] = request.app.state.services.stores.stores(sent.viewer.scope)
    at = sent.form.instant("valid_from", zone_of(stores))
    if at is None:
        sent.form.problems["valid_from"] = _WORDS["valid_from"]
        return None
    return at.astimezone(UTC)


def zone_of(stores: list[Store]) -> Any:
    """The zone in which a chain's headquarters read a clock: that of most of its stores."""
    from collections import Counter
    from zoneinfo import ZoneInfo

    common = Counter(store.timezone for store in stores).most_common(1)
    return ZoneInfo(common[0][0] if common else "UTC")


def _read(sent: Posted) -> TierRules | None:
    """What was typed as rules; None with problems noted."""
    form = sent.form
    document: dict[str, Any] = {
        "levels": [_level(row) for row in sent.rows(*_LEVEL, always="match")],
        "currency": form.text("currency"),
        "rates": rates_of(form.text("rates")),
        "window_months": whole(form.text("window_months")),
        "period_months": whole(form.text("period_months")),
        "grace_days": whole(form.text("grace_days")),
        "down": form.text("down") or "fit",
    }
    try:
        return rules_of.read(msgspec.json.encode(document))
    except InvalidInput as error:
        refuse(form, error, _WORDS)
        return None


def whole(text: str) -> int | str:
    """A whole number where it is one; else the text, which the rules refuse by its field."""
    return int(text) if text.isdecimal() and len(text) < 10 else text


def rates_of(text: str) -> dict[str, str]:
    """``EUR=8`` a line, or with commas between."""
    pairs = (part.partition("=") for part in text.replace(",", "\n").replace("，", "\n").splitlines() if part.strip())
    return {currency.strip().upper(): value.strip() for currency, _, value in pairs}


def _level(row: dict[str, str]) -> dict[str, Any]:
    level: dict[str, Any] = {
        "slug": row["slug"],
        "names": {locale: row[locale] for locale in ("zh", "en") if row[locale]},
        "match": row["match"] or "any",
        "benefits": {
            "discount": row["discount"] or "0",
            "multiplier": row["multiplier"] or "1",
            "birthday_gift": row["birthday_gift"],
            "birthday_value": row["birthday_value"] or "0",
        },
    }
    level |= {"spend": row["spend"]} if row["spend"] else {}
    return level | {name: whole(row[name]) for name in ("visits", "points") if row[name]}


def _rows_sent(sent: Posted) -> list[dict[str, str]]:
    return sent.rows(*_LEVEL, always="match")


def _rows_of(rules: TierRules) -> list[dict[str, str]]:
    def text(value: object) -> str:
        return "" if value is None else f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)

    return [
        {
            "slug": level.slug,
            "zh": level.names.get("zh", ""),
            "en": level.names.get("en", ""),
            "spend": text(level.spend),
            "visits": text(level.visits),
            "points": text(level.points),
            "match": level.match,
            "discount": text(level.benefits.discount),
            "multiplier": text(level.benefits.multiplier),
            "birthday_gift": level.benefits.birthday_gift,
            "birthday_value": text(level.benefits.birthday_value),
        }
        for level in rules.levels
    ]


def _plain_of(rules: TierRules) -> dict[str, str]:
    return {
        "currency": rules.currency,
        "rates": "\n".join(f"{currency}={rate}" for currency, rate in rules.rates.items()),
        "window_months": str(rules.window_months),
        "period_months": str(rules.period_months),
        "grace_days": str(rules.grace_days),
        "down": rules.down,
    }


def _page(
    request: Request,
    viewer: Viewer,
    form: Form,
    rows: list[dict[str, str]],
    *,
    simulation: TierSimulation | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    saved, in_force = services.tiers.rules(scope)
    versions = services.tiers.rules_history(scope)
    zone = zone_of(stores).key
    return renderer_of(request).page(
        request,
        "members/tiers.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/tiers",
        tabs=member_tabs(viewer, "/members/tiers"),
        form=form,
        known=_PLAIN,
        rows=[*rows, dict.fromkeys(_LEVEL, "")],
        matches=[(value, gettext(label)) for value, label in _MATCHES],
        downs=[(value, gettext(label)) for value, label in _DOWNS],
        note=note,
        version=fmt.number(saved.version),
        tried=_told(simulation, in_force, rows, viewer.locale) if simulation else None,
        history=history([(each, msgspec.to_builtins(rules)) for each, rules in versions], saved.version, fmt, zone),
        any_words=ANY,
    )


def _told(simulation: TierSimulation, today: TierRules, rows: list[dict[str, str]], locale: Locale) -> dict[str, Any]:
    """What a trial found, in words."""
    fmt = Formats(locale)
    names = {level.slug: level.names.get(locale) or level.slug for level in today.levels}
    names |= {row["slug"]: row[locale] or row["slug"] for row in rows}
    order = {row["slug"]: place for place, row in enumerate(rows)}

    def money(value: Decimal) -> str:
        return fmt.money(value, simulation.currency, 0)

    def way(one: str, other: str) -> str:
        return "flat" if one == other else "up" if order.get(other, 0) > order.get(one, 0) else "down"

    return {
        "members": fmt.number(simulation.members),
        "moving": fmt.number(simulation.moving),
        "share": fmt.percent(simulation.moving / simulation.members if simulation.members else None),
        "now": money(simulation.cost_now),
        "then": money(simulation.cost_then),
        "more": money(simulation.cost_then - simulation.cost_now),
        "is_more": simulation.cost_then > simulation.cost_now,
        "pairs": [
            {
                "from": names.get(pair.from_tier, pair.from_tier),
                "to": names.get(pair.to_tier, pair.to_tier),
                "way": way(pair.from_tier, pair.to_tier),
                "members": fmt.number(pair.members),
                "now": money(pair.cost_now),
                "then": money(pair.cost_then),
            }
            for pair in simulation.pairs
        ],
        "movers": [
            {
                "card": mover.card_no,
                "href": f"/desk/members/{mover.member_id}",
                "from": names.get(mover.from_tier, mover.from_tier),
                "to": names.get(mover.to_tier, mover.to_tier),
                "way": way(mover.from_tier, mover.to_tier),
                "spend": money(mover.spend),
                "visits": fmt.number(mover.visits),
                "points": fmt.number(mover.points),
            }
            for mover in simulation.movers
        ],
    }
