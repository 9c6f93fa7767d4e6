"""Spending at the desk: points and coupons redeemed, cards opened, topped up and paid with.

Each is asked for twice: a form, then what it would do with a button that does it. The number of the form goes along as
idempotency key, so that a double click, a reload or an answer that was lost takes nothing twice. A member is named by
the card's number, which travels in the body: whoever shows it may spend in any store of the chain. None of this is ever
kept for later by a browser without a network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Form, Request, Response

from dashboards.desk.drawing import Confirm, Done, Trouble, draw
from dashboards.desk.holdings import TENDERS, title_of, what_it_gives
from dashboards.desk.refusals import refusal
from dashboards.entry.forms import read_number
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import MEMBER_READERS, Viewer, posting
from server.access.models import Scope
from server.errors import DoorlineError, InvalidInput, NotFound
from server.membership.coupons.models import Basket, BasketLine, Coupon, CouponRefused, Definition, Quote
from server.membership.models import Member, MemberRef
from server.membership.points.models import NotEnough
from server.membership.points.rules import Rules
from server.membership.points.service import SPENDERS
from server.membership.stored_value import parts
from server.membership.stored_value.models import Card, OverCap
from server.membership.stored_value.models import NotEnough as NotEnoughValue
from server.services import Services
from server.stores.models import Store

router = page_router()

Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]
#: Points are spent by those who may spend them through the API.
Spender = Annotated[Viewer, Depends(posting(*(role for role in MEMBER_READERS if role in SPENDERS)))]
Text = Annotated[str, Form(max_length=64)]
#: What is bought without a till telling of its goods stands as one line of this name.
_PURCHASE: Final = "desk"


@dataclass(frozen=True, slots=True)
class _Counter:
    """Who stands in which store, and who serves them."""

    request: Request
    viewer: Viewer
    store: Store
    member: Member

    @property
    def services(self) -> Services:
        services: Services = self.request.app.state.services
        return services

    @property
    def scope(self) -> Scope:
        return self.viewer.scope

    @property
    def fmt(self) -> Formats:
        return Formats(self.viewer.locale)

    def gettext(self, words: str) -> str:
        return translations(self.viewer.locale).gettext(words)

    def money(self, amount: Decimal) -> str:
        return self.fmt.money(amount, self.store.currency, 2)

    def ask(self, confirm: Confirm) -> Response:
        """The member with what is to be confirmed."""
        return draw(self.request, self.viewer, member=self.member, confirm=confirm)

    def tell(self, title: str, text: str) -> Response:
        """The member as they are now, with what was done."""
        return draw(self.request, self.viewer, member=self.member, done=Done(title, text))

    def refuse(self, where: str, error: DoorlineError, typed: dict[str, str], rules: Rules | None = None) -> Response:
        """The member with what was refused beside its form."""
        text = refusal(error, self.viewer.locale, self.store.currency, rules)
        field = _field_of(error)
        trouble = Trouble(where, text, typed, field if field in typed else "")
        return draw(self.request, self.viewer, member=self.member, trouble=trouble, status=error.status)


def _counter(request: Request, viewer: Viewer, store_id: str, card: str) -> _Counter:
    services: Services = request.app.state.services
    viewer.scope.require(store_id)
    store = services.stores.store(viewer.scope, store_id)
    member = services.membership.find_by_card(viewer.scope, card)
    if member is None:
        raise NotFound("nobody has this card", field="card", remedy="find the member again")
    return _Counter(request, viewer, store, member)


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
    at = _counter(request, viewer, store, card)
    _, rules = at.services.points.rules(at.scope)
    typed = {"points": points.strip(), "receipt_no": receipt_no.strip(), "store": store}
    ref = MemberRef(card=at.member.card_no)
    try:
        wanted = _whole(points)
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
    at = _counter(request, viewer, store, card)
    typed = {"amount": amount.strip(), "gift": gift.strip(), "receipt_no": receipt_no.strip(), "store": store}
    where = f"coupon-{coupon}"
    try:
        found, promise = _coupon(at, coupon)
        basket = _basket(at, promise, _amount(amount), _amount(gift, "gift") if gift.strip() else Decimal(0))
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


def _quoted(at: _Counter, code: str, basket: Basket, receipt_no: str) -> Quote:
    quote = at.services.coupons.quote(at.scope, code, basket, receipt_no)
    if quote.refusal is not None:
        raise CouponRefused(quote)
    return quote


def _coupon_to_confirm(
    at: _Counter, found: Coupon, promise: Definition, quote: Quote, typed: dict[str, str], item: str
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


def _coupon(at: _Counter, coupon_id: str) -> tuple[Coupon, Definition]:
    """A coupon of the member, used or not: the services say why one that was used gives nothing."""
    held = at.services.coupons.of_member(at.scope, at.member.member_id, only_open=False)
    found = next((each for each in held if str(each.coupon_id) == coupon_id), None)
    if found is None or found.code is None:
        raise NotFound("the member has no such coupon", field="coupon")
    promised = at.services.coupon_definitions.definitions(at.scope, ended=True)
    return found, next(each for each in promised if each.definition_id == found.definition_id)


def _basket(at: _Counter, promise: Definition, amount: Decimal, gift: Decimal) -> Basket:
    """What was bought, as the desk says it: an amount of goods the coupon is for, and the piece that is free."""
    group = promise.sku_groups[0] if promise.sku_groups else None
    lines = [BasketLine(_PURCHASE, amount, group=group)]
    if promise.gift_sku is not None:
        lines.append(BasketLine(promise.gift_sku, gift, group=group))
    return Basket(at.store.store_id, at.store.currency, lines, at.member.member_id)


# -- money on cards


@router.post("/desk/value-cards")
def open_card(request: Request, viewer: Poster, card: Text = "", store: Text = "", item: Text = "") -> Response:
    """Open a card for stored value for the member."""
    at = _counter(request, viewer, store, card)
    try:
        made = at.services.value_cards.open(at.scope, store, item, member_id=at.member.member_id)
    except DoorlineError as error:
        return at.refuse("value", error, {"store": store})
    told = {"number": " ".join((made.card_no or "")[place : place + 4] for place in range(0, 16, 4))}
    return at.tell(at.gettext(N_("Card opened")), at.gettext(N_("Its number is %(number)s.")) % told)


@router.post("/desk/top-ups")
def top_up(
    request: Request,
    viewer: Poster,
    card: Text = "",
    store: Text = "",
    value_card: Text = "",
    amount: Text = "",
    tender: Text = "cash",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Top a card up: first what comes on top, then, confirmed, the posting."""
    at = _counter(request, viewer, store, card)
    typed = {"amount": amount.strip(), "tender": tender if tender in TENDERS else "cash", "store": store}
    where = f"top-up-{value_card}"
    try:
        money = parts.money(_amount(amount))
        found = _card(at, value_card)
        if sure:
            made = at.services.stored_value.top_up(at.scope, found.card_id, store, money, item, tender=typed["tender"])
        else:
            bonus = _bonus(at, found, money)
    except DoorlineError as error:
        return at.refuse(where, error, typed)
    if not sure:
        by = TENDERS[typed["tender"]]
        rows = [
            (at.gettext(N_("Paid in")), at.money(money)),
            (at.gettext(N_("Paid by")), at.gettext(by)),
            (at.gettext(N_("Bonus on top")), at.money(bonus)),
            (at.gettext(N_("On the card after it")), at.money(found.balance + money + bonus)),
            (at.gettext(N_("Store")), at.store.name),
        ]
        fields = {"card": at.member.card_no, "value_card": value_card, "item": item, **typed}
        title = at.gettext(N_("Top up the card of %(name)s?")) % {"name": at.member.name}
        button = at.gettext(N_("Take %(amount)s and top up")) % {"amount": at.money(money)}
        return at.ask(Confirm(title, rows, "/desk/top-ups", fields, button))
    told = {
        "amount": at.money(made.principal),
        "bonus": at.money(made.bonus),
        "left": at.money(made.principal_after + made.bonus_after),
    }
    words = at.gettext(N_("%(amount)s paid in, %(bonus)s bonus on top. %(left)s is on the card."))
    return at.tell(at.gettext(N_("Topped up")), words % told)


@router.post("/desk/spend/value")
def pay(
    request: Request,
    viewer: Poster,
    card: Text = "",
    store: Text = "",
    value_card: Text = "",
    amount: Text = "",
    receipt_no: Text = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Pay with a card: first what will be left, then, confirmed, the posting."""
    at = _counter(request, viewer, store, card)
    typed = {"amount": amount.strip(), "receipt_no": receipt_no.strip(), "store": store}
    where = f"pay-{value_card}"
    try:
        money = parts.money(_amount(amount))
        found = _card(at, value_card)
        if sure:
            made = at.services.stored_value.spend(
                at.scope, found.card_id, store, money, item, receipt_no=typed["receipt_no"] or None
            )
        else:
            settings = at.services.value_rules.settings(at.scope, found.currency)
            taken = parts.spend(found.lots, money, settings.spend_order, found.currency)
    except DoorlineError as error:
        return at.refuse(where, error, typed)
    if not sure:
        principal, bonus = (-each for each in parts.summed(taken))
        rows = [
            (at.gettext(N_("To pay")), at.money(money)),
            (at.gettext(N_("Of it principal")), at.money(principal)),
            (at.gettext(N_("Of it bonus")), at.money(bonus)),
            (at.gettext(N_("On the card after it")), at.money(found.balance - money)),
            (at.gettext(N_("Store")), at.store.name),
        ]
        fields = {"card": at.member.card_no, "value_card": value_card, "item": item, **typed}
        title = at.gettext(N_("Pay with the card of %(name)s?")) % {"name": at.member.name}
        button = at.gettext(N_("Pay %(amount)s")) % {"amount": at.money(money)}
        return at.ask(Confirm(title, rows, "/desk/spend/value", fields, button))
    told = {
        "amount": at.money(-made.amount),
        "principal": at.money(-made.principal),
        "bonus": at.money(-made.bonus),
        "left": at.money(made.principal_after + made.bonus_after),
    }
    words = at.gettext(N_("%(principal)s of principal and %(bonus)s of bonus. %(left)s is left on the card."))
    return at.tell(at.gettext(N_("%(amount)s paid")) % told, words % told)


def _card(at: _Counter, card_id: str) -> Card:
    held = at.services.stored_value.of_member(at.scope, at.member.member_id)
    found = next((each for each in held if str(each.card_id) == card_id), None)
    if found is None:
        raise NotFound("the member has no such card", field="value_card")
    if found.currency != at.store.currency:
        raise InvalidInput("the card is in another currency", field="currency")
    return found


def _bonus(at: _Counter, found: Card, money: Decimal) -> Decimal:
    """What comes on top; refused before anybody takes the customer's money if the card may not hold it."""
    rules = at.services.value_rules.bonus_rules(at.scope, found.currency)
    bonus = parts.bonus_of(money, rules, at.store.store_id, at.services.clock())
    settings = at.services.value_rules.settings(at.scope, found.currency)
    parts.check_cap(settings, found.lots, money, bonus, registered=found.member_id is not None)
    return bonus


# -- what was typed


def _field_of(error: DoorlineError) -> str:
    """Which field of the form a refusal is about; empty where it is about none."""
    if isinstance(error, NotEnough):
        return "points"
    if isinstance(error, NotEnoughValue | OverCap) or (
        isinstance(error, CouponRefused) and "missing" in _detail(error)
    ):
        return "amount"
    return error.field or ""


def _detail(error: DoorlineError) -> Mapping[str, object]:
    return error.detail or {}


def _whole(text: str) -> int:
    found = read_number(text)
    if found is None or found != found.to_integral_value() or not 0 < found <= 10**9:
        raise InvalidInput("this is no number of points", field="points")
    return int(found)


def _amount(text: str, field: str = "amount") -> Decimal:
    amount = read_number(text)
    if amount is None or not 0 <= amount <= 10**9:
        raise InvalidInput("this is no amount", field=field, remedy="use a point for decimals, such as 128.00")
    return amount
