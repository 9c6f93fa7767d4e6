"""Spending at the desk: points and coupons redeemed.

Each is asked for twice: a form, then what it would do with a button that does it. The number of the form goes along as
idempotency key, so that a double click, a reload or an answer that was lost takes nothing twice. None of this is ever
kept for later by a browser without a network.
"""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Request, Response

from dashboards.desk.counter import Counter, Poster, Text, amount_of, counter_of, whole_of
from dashboards.desk.drawing import Confirm
from dashboards.desk.holdings import title_of, what_it_gives
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import MEMBER_READERS, Viewer, posting
from server.errors import DoorlineError, InvalidInput, NotFound
from server.membership.coupons.models import Basket, BasketLine, Coupon, CouponRefused, Definition, Quote
from server.membership.models import MemberRef
from server.membership.points.models import NotEnough
from server.membership.points.rules import Rules
from server.membership.points.service import SPENDERS

router = page_router()

#: Points are spent by those who may spend them through the API.
Spender = Annotated[Viewer, Depends(posting(*(role for role in MEMBER_READERS if role in SPENDERS)))]
#: What is bought without a till telling of its goods stands as one line of this name.
_PURCHASE: Final = "desk"


# -- points


@router.post("/desk/spend/points")
def points(
    request: Request,
    viewer: Spender,
    card: Text = "",
    store: Text = "",
    points: Text = "",
    receipt_no: Text = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Redeem points: first what that would give, then, confirmed, the redemption."""
    at = counter_of(request, viewer, store, card)
    _, rules = at.services.points.rules(at.scope)
    typed = {"points": points.strip(), "receipt_no": receipt_no.strip(), "store": store}
    ref = MemberRef(card=at.member.card_no)
    try:
        wanted = whole_of(points)
        if sure:
            made = at.services.points.redeem(at.scope, store, ref, wanted, item, typed["receipt_no"] or None)
        else:
            balance = at.services.points.balance_at_till(at.scope, store, ref).balance
            _check_points(wanted, balance, rules)
    except DoorlineError as error:
        return at.refuse("points", error, typed, rules)
    if not sure:
        worth = rules.value.get(at.store.currency)
        rows = [
            (at.gettext(N_("Points")), at.fmt.number(wanted)),
            (at.gettext(N_("Worth")), at.money(worth * wanted) if worth else "—"),
            (at.gettext(N_("Left after it")), at.fmt.number(balance - wanted)),
            (at.gettext(N_("Store")), at.store.name),
        ]
        fields = {"card": at.member.card_no, "item": item, **typed}
        return at.ask(
            Confirm(
                at.gettext(N_("Redeem points of %(name)s?")) % {"name": at.member.name},
                rows,
                "/desk/spend/points",
                fields,
                at.gettext(N_("Redeem %(points)s points")) % {"points": at.fmt.number(wanted)},
            )
        )
    told = {"points": at.fmt.number(-made.entry.points), "left": at.fmt.number(made.entry.balance)}
    if made.worth is None:
        return at.tell(at.gettext(N_("%(points)s points redeemed")) % told, at.gettext(N_("%(left)s are left.")) % told)
    told |= {"worth": at.money(made.worth.amount)}
    words = at.gettext(N_("Take %(worth)s off the bill. %(left)s are left."))
    return at.tell(at.gettext(N_("%(points)s points redeemed")) % told, words % told)


def _check_points(wanted: int, balance: int, rules: Rules) -> None:
    """What the service would refuse, said before anybody confirms it."""
    if wanted < rules.least or wanted % rules.step:
        raise InvalidInput(f"{wanted} points can't be spent", field="points")
    if wanted > balance:
        raise NotEnough(wanted, balance, 0)


# -- coupons


@router.post("/desk/spend/coupons")
def coupons(
    request: Request,
    viewer: Poster,
    card: Text = "",
    store: Text = "",
    coupon: Text = "",
    amount: Text = "",
    gift: Text = "",
    receipt_no: Text = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Redeem a coupon on a receipt: first what it gives on this amount, then, confirmed, the redemption."""
    at = counter_of(request, viewer, store, card)
    typed = {"amount": amount.strip(), "gift": gift.strip(), "receipt_no": receipt_no.strip(), "store": store}
    where = f"coupon-{coupon}"
    try:
        found, promise = _coupon(at, coupon)
        basket = _basket(at, promise, amount_of(amount), amount_of(gift, "gift") if gift.strip() else Decimal(0))
        if not typed["receipt_no"]:
            raise InvalidInput("on which receipt?", field="receipt_no")
        code = found.code or ""
        if sure:
            made = at.services.coupons.redeem(at.scope, code, basket, typed["receipt_no"], item)
            given = at.fmt.money(made.discount, made.currency, 2)
        else:
            quote = _quoted(at, code, basket, typed["receipt_no"])
    except DoorlineError as error:
        return at.refuse(where, error, typed)
    if not sure:
        return at.ask(_coupon_to_confirm(at, found, promise, quote, typed, item))
    words = at.gettext(N_("Take %(amount)s off receipt %(number)s."))
    told = {"amount": given, "number": made.receipt_no}
    return at.tell(at.gettext(N_("Coupon redeemed")), words % told)


def _quoted(at: Counter, code: str, basket: Basket, receipt_no: str) -> Quote:
    quote = at.services.coupons.quote(at.scope, code, basket, receipt_no)
    if quote.refusal is not None:
        raise CouponRefused(quote)
    return quote


def _coupon_to_confirm(
    at: Counter, found: Coupon, promise: Definition, quote: Quote, typed: dict[str, str], item: str
) -> Confirm:
    rows = [
        (at.gettext(N_("Coupon")), f"{title_of(promise, at.viewer.locale)} · {what_it_gives(promise, at.fmt)}"),
        (at.gettext(N_("Amount of the purchase")), at.fmt.money(quote.spent, quote.currency, 2)),
        (at.gettext(N_("Taken off")), at.fmt.money(quote.discount, quote.currency, 2)),
        (at.gettext(N_("Receipt")), typed["receipt_no"]),
        (at.gettext(N_("Store")), at.store.name),
    ]
    fields = {
        "card": at.member.card_no,
        "coupon": str(found.coupon_id),
        "item": item,
        **typed,
    }
    title = at.gettext(N_("Redeem this coupon of %(name)s?")) % {"name": at.member.name}
    return Confirm(title, rows, "/desk/spend/coupons", fields, at.gettext(N_("Redeem the coupon")))


def _coupon(at: Counter, coupon_id: str) -> tuple[Coupon, Definition]:
    """A coupon of the member, used or not: the services say why one that was used gives nothing."""
    who = at.member
    held = at.services.coupons.of_member(at.scope, who.member_id, only_open=False, member_card=who.card_no)
    found = next((each for each in held if str(each.coupon_id) == coupon_id), None)
    if found is None or found.code is None:
        raise NotFound("the member has no such coupon", field="coupon")
    promised = at.services.coupon_definitions.definitions(at.scope, ended=True)
    return found, next(each for each in promised if each.definition_id == found.definition_id)


def _basket(at: Counter, promise: Definition, amount: Decimal, gift: Decimal) -> Basket:
    """What was bought, as the desk says it: an amount of goods the coupon is for, and the piece that is free."""
    group = promise.sku_groups[0] if promise.sku_groups else None
    lines = [BasketLine(_PURCHASE, amount, group=group)]
    if promise.gift_sku is not None:
        lines.append(BasketLine(promise.gift_sku, gift, group=group))
    return Basket(at.store.store_id, at.store.currency, lines, at.member.member_id)
