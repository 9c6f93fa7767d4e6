"""What was redeemed by mistake, taken back at the desk: points to the lots they came from, a coupon open again.

The wrong member, the wrong number: noticed a minute later, while the customer still stands there. So what the card
lists (`redeemed`) can be taken back here, and nothing older; as with spending it is told first what would be undone,
and done once to a form. The reason stands in the audit trail.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Form, Request, Response

from dashboards.desk.counter import Counter, Poster, Text, counter_of
from dashboards.desk.drawing import Confirm
from dashboards.desk.holdings import title_of
from dashboards.desk.redeemed import Today, standing
from dashboards.desk.spending import Spender
from dashboards.i18n import N_
from dashboards.pages import page_router
from server.errors import Conflict, DoorlineError, InvalidInput
from server.membership.coupons.models import Redemption
from server.membership.idempotency import checked_reason
from server.membership.models import MemberRef
from server.membership.points.models import Entry

router = page_router()

_Redeemed = TypeVar("_Redeemed", Entry, Redemption)
Reason = Annotated[str, Form(max_length=500)]


@router.post("/desk/take-back/points")
def take_points_back(
    request: Request,
    viewer: Spender,
    card: Text = "",
    store: Text = "",
    number: Text = "",
    reason: Reason = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Take a redemption of points back: first what that would undo, then, confirmed, the entry."""
    at = counter_of(request, viewer, store, card)
    typed = {"reason": reason.strip(), "store": store}
    try:
        if sure:
            made = at.services.points.void(at.scope, _number(number), item, reason)
        else:
            checked_reason(reason)
            points, _ = standing(at.services, at.scope, at.member, Today.of(at.services, at.scope, [at.store]))
            found = _one(points, lambda each: each.entry_id, number)
            balance = at.services.points.balance_at_till(at.scope, store, MemberRef(card=at.member.card_no)).balance
    except DoorlineError as error:
        return at.refuse(f"points-{number}", error, typed)
    if not sure:
        rows = [
            (at.gettext(N_("Points back")), at.fmt.number(-found.points)),
            (at.gettext(N_("Points after it")), at.fmt.number(balance - found.points)),
            *_told(at, found, typed["reason"]),
        ]
        title = at.gettext(N_("Take a redemption of %(name)s back?")) % {"name": at.member.name}
        button = at.gettext(N_("Give %(points)s points back")) % {"points": at.fmt.number(-found.points)}
        return at.ask(Confirm(title, rows, "/desk/take-back/points", _fields(at, number, item, typed), button))
    told = {"points": at.fmt.number(made.points), "left": at.fmt.number(made.balance)}
    return at.tell(
        at.gettext(N_("%(points)s points given back")) % told, at.gettext(N_("The member has %(left)s now.")) % told
    )


@router.post("/desk/take-back/coupons")
def take_coupon_back(
    request: Request,
    viewer: Poster,
    card: Text = "",
    store: Text = "",
    number: Text = "",
    reason: Reason = "",
    item: Text = "",
    sure: Text = "",
) -> Response:
    """Take a redemption of a coupon back: first what that would undo, then, confirmed, the coupon is open again."""
    at = counter_of(request, viewer, store, card)
    typed = {"reason": reason.strip(), "store": store}
    try:
        if sure:
            made = at.services.coupon_redemptions.take_back(at.scope, _number(number), item, reason)
        else:
            checked_reason(reason)
            _, coupons = standing(at.services, at.scope, at.member, Today.of(at.services, at.scope, [at.store]))
            found = _one(coupons, lambda each: each.redemption_id, number)
    except DoorlineError as error:
        return at.refuse(f"redemption-{number}", error, typed)
    if not sure:
        off = at.fmt.money(found.discount, found.currency, 2)
        rows = [
            (at.gettext(N_("Coupon")), _coupon_title(at, found)),
            (at.gettext(N_("Was taken off")), off),
            *_told(at, found, typed["reason"]),
        ]
        title = at.gettext(N_("Take a redemption of %(name)s back?")) % {"name": at.member.name}
        button = at.gettext(N_("Give the coupon back"))
        return at.ask(Confirm(title, rows, "/desk/take-back/coupons", _fields(at, number, item, typed), button))
    told = {"amount": at.fmt.money(made.discount, made.currency, 2), "number": made.receipt_no}
    words = at.gettext(N_("%(amount)s is to be paid again on receipt %(number)s."))
    return at.tell(at.gettext(N_("Coupon given back")), words % told)


def _told(at: Counter, found: Entry | Redemption, reason: str) -> list[tuple[str, str]]:
    """What redemptions of both kinds are told with before they are undone."""
    when = at.fmt.clock(found.at, at.store.timezone)
    return [
        (at.gettext(N_("Redeemed")), at.gettext(N_("at %(time)s by %(name)s")) % {"time": when, "name": found.actor}),
        *([(at.gettext(N_("Receipt")), found.receipt_no)] if found.receipt_no else []),
        (at.gettext(N_("Store")), at.store.name),
        (at.gettext(N_("Reason")), reason),
    ]


def _fields(at: Counter, number: str, item: str, typed: dict[str, str]) -> dict[str, str]:
    return {"card": at.member.card_no, "number": number, "item": item, **typed}


def _coupon_title(at: Counter, found: Redemption) -> str:
    who = at.member
    held = at.services.coupons.of_member(at.scope, who.member_id, only_open=False, member_card=who.card_no)
    of = next(each.definition_id for each in held if each.coupon_id == found.coupon_id)
    promised = at.services.coupon_definitions.definitions(at.scope, ended=True)
    return title_of(next(each for each in promised if each.definition_id == of), at.viewer.locale)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidInput("this is no redemption", field="number")
    return int(text)


def _one(listed: Sequence[_Redeemed], number_of: Callable[[_Redeemed], int], number: str) -> _Redeemed:
    """The one with a number.

    Raises:
        Conflict: it is not of today, or was taken back.
    """
    for each in listed:
        if str(number_of(each)) == number:
            return each
    raise Conflict("this redemption is not of today, or was taken back", field="redemption_id")
