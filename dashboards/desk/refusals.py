"""Why something can't be spent, in words a desk can repeat to the customer, in the reader's language.

The services' own messages are English and for programs. What is not foreseen here is told as "it was not taken", with
what to do, and never as a success.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale
from server.errors import DoorlineError, Forbidden, TooManyRequests, Unavailable
from server.membership.coupons.models import CouponRefused, Refusal
from server.membership.points.models import KeyTaken
from server.membership.points.models import NotEnough as NotEnoughPoints
from server.membership.points.rules import Rules
from server.membership.stored_value.models import CardNotUsable, KeyReused, OverCap
from server.membership.stored_value.models import NotEnough as NotEnoughValue

_COUPONS: Final[Mapping[Refusal, str]] = {
    "redeemed": N_("This coupon was used already."),
    "voided": N_("This coupon was taken back."),
    "expired": N_("This coupon has expired."),
    "not_yet": N_("This coupon doesn't hold yet."),
    "other_store": N_("This coupon doesn't hold in this store."),
    "other_currency": N_("This coupon is in another currency."),
    "other_member": N_("This coupon belongs to another member."),
    "no_such_goods": N_("Nothing that was bought is what this coupon is for."),
    "alone": N_("It can't be used together with another coupon of this receipt."),
    "same_again": N_("A coupon of this kind was used on this receipt already."),
    "gift_missing": N_("What is free with this coupon was not bought."),
    "nothing_left": N_("Other coupons of this receipt leave nothing to pay for what it is for."),
}
_FIELDS: Final = {
    "points": N_("Enter a whole number of points."),
    "amount": N_("Enter an amount, such as 1,280.50: commas only between thousands."),
    "gift": N_("Enter an amount, such as 1,280.50: commas only between thousands."),
    "receipt_no": N_("Enter the number of the till's receipt."),
    "card_no": N_("Enter the number on the card itself, all 16 digits: the card is of another store."),
    "currency": N_("This card is in another currency than the store."),
    "advisor": N_("Use 80 letters at the most."),
    "tags": N_("Use 40 letters at the most, and 30 tags."),
    "reason": N_("Say why, in a few words."),
    "redemption_id": N_("It was taken back already, or is not of today."),
    "entry_id": N_("It was taken back already, or is not of today."),
    "text": N_("Use 4,000 letters at the most."),
}
_USED: Final = N_("This form was used for something else already. Open the member anew; nothing more was taken.")
_OTHERWISE: Final = N_("It was not done. Open the member anew and try again.")


def refusal(error: DoorlineError, locale: Locale, currency: str, rules: Rules | None = None) -> str:
    """What to tell.

    Args:
        currency: of the store.
        rules: of points, where points were to be spent.

    Raises:
        Forbidden, TooManyRequests, Unavailable: they are pages of their own.
    """
    if isinstance(error, Forbidden | TooManyRequests | Unavailable):
        raise error
    gettext, fmt = translations(locale).gettext, Formats(locale)
    detail = error.detail or {}
    if isinstance(error, NotEnoughPoints):
        told = gettext(N_("Only %(points)s points can be spent now.")) % {"points": fmt.number(int(detail["balance"]))}
    elif isinstance(error, NotEnoughValue):
        there = fmt.money(Decimal(detail["balance"]), currency, 2)
        told = gettext(N_("Only %(amount)s is on the card.")) % {"amount": there}
    elif isinstance(error, OverCap):
        cap = fmt.money(Decimal(detail["cap"]), currency, 2)
        there = fmt.money(Decimal(detail["balance"]), currency, 2)
        words = gettext(N_("At most %(cap)s may be on a card, and %(balance)s is on it now."))
        told = words % {"cap": cap, "balance": there}
    elif isinstance(error, CouponRefused):
        told = _coupon_told(error, locale, currency)
    elif isinstance(error, CardNotUsable):
        told = gettext(N_("This card is frozen or closed."))
    elif isinstance(error, KeyTaken | KeyReused) or error.field == "idempotency_key":
        told = gettext(_USED)
    elif error.field == "points" and rules is not None and (rules.least > 1 or rules.step > 1):
        words = gettext(N_("Points are spent from %(least)s on, in steps of %(step)s."))
        told = words % {"least": fmt.number(rules.least), "step": fmt.number(rules.step)}
    else:
        told = gettext(_FIELDS.get(error.field or "", _OTHERWISE))
    return told


def _coupon_told(error: CouponRefused, locale: Locale, currency: str) -> str:
    gettext, detail = translations(locale).gettext, error.detail or {}
    if "missing" in detail:
        missing = Formats(locale).money(Decimal(detail["missing"]), currency, 2)
        return gettext(N_("Another %(amount)s has to be spent for this coupon.")) % {"amount": missing}
    return gettext(next((words for code, words in _COUPONS.items() if code == detail.get("reason")), _OTHERWISE))
