"""Money on cards at the desk: a card opened, topped up, paid with.

Asked for twice, once told and once done, under the number of the form: as in `spending`.
"""

from decimal import Decimal

from fastapi import Request, Response

from dashboards.desk.counter import Counter, Poster, Text, amount_of, counter_of
from dashboards.desk.drawing import Confirm
from dashboards.desk.holdings import TENDERS
from dashboards.i18n import N_
from dashboards.pages import page_router
from server.errors import DoorlineError, InvalidInput, NotFound
from server.membership.stored_value import parts
from server.membership.stored_value.models import Card

router = page_router()


@router.post("/desk/value-cards")
def open_card(request: Request, viewer: Poster, card: Text = "", store: Text = "", item: Text = "") -> Response:
    """Open a card for stored value for the member."""
    at = counter_of(request, viewer, store, card)
    try:
        who = at.member
        made = at.services.value_cards.open(at.scope, store, item, member_id=who.member_id, member_card=who.card_no)
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
    card_no: Text = "",
    amount: Text = "",
    tender: Text = "cash",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Top a card up: first what comes on top, then, confirmed, the posting."""
    at = counter_of(request, viewer, store, card)
    typed = {"amount": amount.strip(), "tender": tender if tender in TENDERS else "cash", "store": store}
    typed |= _number_of(card_no)
    where = f"top-up-{value_card}"
    try:
        money = parts.money(amount_of(amount))
        found = _card(at, value_card, typed.get("card_no"))
        if sure:
            made = at.services.stored_value.top_up(
                at.scope, found.card_id, store, money, item, tender=typed["tender"], card_no=typed.get("card_no")
            )
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
    card_no: Text = "",
    amount: Text = "",
    receipt_no: Text = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Pay with a card: first what will be left, then, confirmed, the posting."""
    at = counter_of(request, viewer, store, card)
    typed = {"amount": amount.strip(), "receipt_no": receipt_no.strip(), "store": store, **_number_of(card_no)}
    where = f"pay-{value_card}"
    try:
        money = parts.money(amount_of(amount))
        found = _card(at, value_card, typed.get("card_no"))
        if sure:
            made = at.services.stored_value.spend(
                at.scope,
                found.card_id,
                store,
                money,
                item,
                receipt_no=typed["receipt_no"] or None,
                card_no=typed.get("card_no"),
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


def _number_of(card_no: str) -> dict[str, str]:
    """The number as it was typed; nothing where the form didn't ask for it."""
    return {"card_no": card_no.strip()} if card_no.strip() else {}


def _card(at: Counter, card_id: str, card_no: str | None) -> Card:
    """The member's card that was chosen; of a sister shop's member, the one whose number was typed.

    Raises:
        NotFound: the member has no such card, or its number is another.
        InvalidInput: it is in another currency than the store, or has to be shown.
    """
    who = at.member
    held = at.services.stored_value.of_member(at.scope, who.member_id, member_card=who.card_no)
    found = next((each for each in held if str(each.card_id) == card_id), None)
    if found is None:
        raise NotFound("the member has no such card", field="value_card")
    if found.currency != at.store.currency:
        raise InvalidInput("the card is in another currency", field="currency")
    try:
        at.services.stored_value.card(at.scope, found.card_id, card_no=card_no)
    except NotFound as error:
        raise InvalidInput("the card has to be shown", field="card_no") from error
    return found


def _bonus(at: Counter, found: Card, money: Decimal) -> Decimal:
    """What comes on top; refused before anybody takes the customer's money if the card may not hold it."""
    rules = at.services.value_rules.bonus_rules(at.scope, found.currency)
    bonus = parts.bonus_of(money, rules, at.store.store_id, at.services.clock())
    settings = at.services.value_rules.settings(at.scope, found.currency)
    parts.check_cap(settings, found.lots, money, bonus, registered=found.member_id is not None)
    return bonus
