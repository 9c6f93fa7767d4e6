"""What a member has to spend: points, coupons and the money on their cards, as the desk shows them.

Whoever shows a card or says a whole number may spend in any store of the chain, so this is shown of a sister shop's
member, too, who stands at the counter; what they bought there and what was noted of them is not. Money is the
exception: a telephone number is known to many, so a card of a sister shop's member is paid with by its own number.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale, Scope
from server.membership import pictures
from server.membership.coupons import codes
from server.membership.coupons.models import Coupon, Definition
from server.membership.models import Member, MemberRef
from server.membership.points.models import PointsBalance
from server.membership.points.service import SPENDERS
from server.membership.stored_value.models import Card
from server.services import Services
from server.stores.models import Store

#: Coupons that are drawn with their codes; a member with more is a test, or a campaign gone wrong.
_MOST_COUPONS: Final = 12
_LAST_DIGITS: Final = 4
_CARD_STATES: Final = {"frozen": N_("frozen"), "closed": N_("closed")}
#: How a top-up is paid, as it stands on the receipt.
TENDERS: Final = {
    "cash": N_("Cash"),
    "card": N_("Bank card"),
    "wechat": N_("WeChat Pay"),
    "alipay": N_("Alipay"),
}


@dataclass(frozen=True, slots=True)
class Counter:
    """Where the member stands: a store of the reader's, and its currency."""

    store_id: str
    currency: str
    zone: str

    @classmethod
    def of(cls, member: Member, stores: list[Store]) -> "Counter | None":
        """The member's own store where it is the reader's, the reader's first one otherwise; None without any."""
        chosen = next((each for each in stores if each.store_id == member.home_store), stores[0] if stores else None)
        return None if chosen is None else cls(chosen.store_id, chosen.currency, chosen.timezone)


def holdings(
    services: Services, scope: Scope, member: Member, counter: Counter, locale: Locale, *, own: bool
) -> dict[str, Any]:
    """Points, coupons and cards of a member.

    Args:
        own: whether the member is of the reader's stores; of others only what can be spent is shown.
    """
    fmt = Formats(locale)
    cards = services.stored_value.of_member(scope, member.member_id, member_card=member.card_no)
    return {
        "points": _points(services, scope, member, counter, fmt, own=own),
        "coupons": _coupons(services, scope, member, counter, fmt),
        "cards": [_card(each, fmt, locale, chosen=own or scope.allows(each.store_id)) for each in cards],
    }


def _points(
    services: Services, scope: Scope, member: Member, counter: Counter, fmt: Formats, *, own: bool
) -> dict[str, Any] | None:
    may_spend = scope.has_role(*SPENDERS)
    if own:
        balance = services.points.balance(scope, member.member_id)
    elif may_spend:
        balance = services.points.balance_at_till(scope, counter.store_id, MemberRef(card=member.card_no))
    else:
        return None
    _, rules = services.points.rules(scope)
    worth = rules.value.get(counter.currency)
    return {
        "balance": fmt.number(balance.balance),
        "pending": fmt.number(balance.pending) if balance.pending else "",
        "expiring": _expiring(balance, counter, fmt),
        "worth": fmt.money(worth * balance.balance, counter.currency) if worth and balance.balance > 0 else "",
        "least": rules.least,
        "step": rules.step,
        "may_redeem": may_spend and balance.balance >= rules.least,
    }


def _expiring(balance: PointsBalance, counter: Counter, fmt: Formats) -> list[dict[str, str]]:
    return [
        {"points": fmt.number(each.points), "at": fmt.local_day(each.at, counter.zone)} for each in balance.expiring[:1]
    ]


def _coupons(services: Services, scope: Scope, member: Member, counter: Counter, fmt: Formats) -> list[dict[str, Any]]:
    held = services.coupons.of_member(scope, member.member_id, member_card=member.card_no)[:_MOST_COUPONS]
    if not held:
        return []
    promised = {each.definition_id: each for each in services.coupon_definitions.definitions(scope, ended=True)}
    return [_coupon(each, promised[each.definition_id], counter, fmt) for each in held]


def _coupon(coupon: Coupon, promise: Definition, counter: Counter, fmt: Formats) -> dict[str, Any]:
    gettext = translations(fmt.locale).gettext
    terms = [what_it_gives(promise, fmt)]
    if promise.minimum_spend:
        least = fmt.money(promise.minimum_spend, promise.currency)
        terms.append(gettext(N_("from %(amount)s on")) % {"amount": least})
    if promise.store_ids is not None and counter.store_id not in promise.store_ids:
        terms.append(gettext(N_("not in this store")))
    return {
        "id": str(coupon.coupon_id),
        "title": title_of(promise, fmt.locale),
        "terms": " · ".join(terms),
        "code": codes.spoken(coupon.code) if coupon.code else "",
        "qr": pictures.qr_of(coupon.code) if coupon.code else None,
        "until": fmt.local_day(coupon.valid_until, counter.zone),
        "from": fmt.local_day(coupon.valid_from, counter.zone),
        "is_gift": promise.kind == "gift",
    }


def title_of(promise: Definition, locale: Locale) -> str:
    """A coupon's title in the reader's language, or in any it has."""
    return promise.title.get(locale) or next(iter(promise.title.values()), "")


def what_it_gives(promise: Definition, fmt: Formats) -> str:
    """What a coupon takes off, or gives."""
    gettext = translations(fmt.locale).gettext
    if promise.kind == "gift":
        return gettext(N_("%(goods)s for free")) % {"goods": promise.gift_sku or ""}
    if promise.kind == "amount":
        return gettext(N_("%(amount)s off")) % {"amount": fmt.money(promise.value, promise.currency)}
    # Two places at most, and no more than there are: 12.5 per cent is no 13.
    digits = max(0, -int(promise.value.normalize().as_tuple().exponent))
    off = gettext(N_("%(share)s off")) % {"share": fmt.percent(promise.value / Decimal(100), min(digits, 2))}
    if promise.most_off is None:
        return off
    return off + gettext(N_(", %(amount)s at most")) % {"amount": fmt.money(promise.most_off, promise.currency)}


def _card(card: Card, fmt: Formats, locale: Locale, *, chosen: bool) -> dict[str, Any]:
    """A card of stored value; `chosen` where it is enough to choose it, as it or its holder is known in the store."""
    gettext = translations(locale).gettext
    return {
        "id": str(card.card_id),
        "no": gettext(N_("ends in %(digits)s")) % {"digits": card.card_no[-_LAST_DIGITS:]} if card.card_no else NOTHING,
        "balance": fmt.money(card.balance, card.currency, 2),
        "principal": fmt.money(card.principal, card.currency, 2),
        "bonus": fmt.money(card.bonus, card.currency, 2) if card.bonus else "",
        "state": gettext(_CARD_STATES[card.state]) if card.state != "active" else "",
        "has_money": card.balance > 0,
        "asks_number": not chosen,
    }
