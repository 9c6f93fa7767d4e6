"""What a coupon gives on a basket, and if nothing, why not. Pure: no clock, no database.

A till must be able to tell the customer before it is too late to change the basket, so asking and redeeming are one
rule: what is quoted is what is redeemed, unless somebody else was faster.

The trap is the second coupon of a receipt: reckoned on the whole basket like the first, two of them take off more than
is paid. So a coupon sees what the others left of the goods it is for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Final

from server.membership.coupons.models import Basket, BasketLine, Coupon, Definition, Quote, Refusal, Taken

_CENT: Final = Decimal("0.01")
#: What a division leaves behind is no part of a cent.
_CRUMB: Final = Decimal("1E-9")
_NOTHING: Final = Decimal("0.00")
_TOLD: Final[dict[Refusal, str]] = {
    "redeemed": "this coupon was used",
    "voided": "this coupon was taken back",
    "expired": "this coupon has expired",
    "not_yet": "this coupon doesn't hold yet",
    "other_store": "this coupon doesn't hold in this store",
    "other_currency": "this coupon is in another currency",
    "other_member": "this coupon belongs to another member",
    "no_such_goods": "nothing in the basket is what this coupon is for",
    "too_little": "more has to be spent on what this coupon is for",
    "alone": "this coupon and another of the receipt can't be used together",
    "same_again": "a coupon of this kind is used on the receipt already",
    "gift_missing": "what is free with this coupon is not in the basket",
    "nothing_left": "other coupons of the receipt leave nothing to pay for what this coupon is for",
}


def quote(
    coupon: Coupon,
    definition: Definition,
    basket: Basket,
    at: datetime,
    *,
    beside: Sequence[Taken] = (),
    family: Sequence[object] = (),
) -> Quote:
    """What a coupon gives.

    Args:
        at: when it would be redeemed (aware).
        beside: the other coupons of the same receipt, in the order in which they were used.
        family: ids that mean the basket's member: it and all who were merged into it.
    """
    goods = [line for line in basket.lines if _is_for(definition, line)]
    spent = sum((line.amount for line in goods), _NOTHING)
    gift = next((line for line in basket.lines if line.sku == definition.gift_sku), None)
    left = _left(basket.lines, beside)
    to_pay = sum((left[place] for place, line in enumerate(basket.lines) if _is_for(definition, line)), _NOTHING)
    if definition.kind == "gift":
        to_pay = sum((left[place] for place, line in enumerate(basket.lines) if line is gift), _NOTHING)
    to_pay = to_pay.quantize(_CRUMB)
    refusal = _refusal(coupon, definition, basket, at, [each.definition for each in beside], family)
    if refusal is None:
        refusal = _refused_goods(definition, goods, spent, gift)
    if refusal is None and beside and to_pay < _CENT:
        refusal = "nothing_left"
    missing = definition.minimum_spend - spent if refusal == "too_little" else None
    return Quote(
        coupon=coupon,
        title=definition.title,
        currency=definition.currency,
        discount=_NOTHING if refusal else _discount(definition, to_pay, gift),
        spent=spent,
        refusal=refusal,
        told="" if refusal is None else _TOLD[refusal] + (f": {missing} {definition.currency}" if missing else ""),
        missing=missing,
        gift_sku=definition.gift_sku,
    )


def validity(definition: Definition, issued_at: datetime) -> tuple[datetime, datetime]:
    """From when to when a coupon holds that is issued at a moment (aware); over at once where the promise is."""
    start = max(definition.valid_from, issued_at)
    ends = [] if definition.valid_until is None else [definition.valid_until]
    if definition.valid_days is not None:
        ends.append(start + timedelta(days=definition.valid_days))
    return start, min(ends)


def _refusal(
    coupon: Coupon,
    definition: Definition,
    basket: Basket,
    at: datetime,
    beside: Sequence[Definition],
    family: Sequence[object],
) -> Refusal | None:
    if coupon.state != "open":
        return coupon.state
    if at >= coupon.valid_until:
        return "expired"
    if at < coupon.valid_from:
        return "not_yet"
    if definition.store_ids is not None and basket.store_id not in definition.store_ids:
        return "other_store"
    if basket.currency != definition.currency:
        return "other_currency"
    if basket.member_id is not None and coupon.member_id is not None and coupon.member_id not in family:
        return "other_member"
    if beside and (definition.stacking == "alone" or any(each.stacking == "alone" for each in beside)):
        return "alone"
    if definition.stacking != "any" and any(each.definition_id == definition.definition_id for each in beside):
        return "same_again"
    return None


def _refused_goods(
    definition: Definition, goods: Sequence[BasketLine], spent: Decimal, gift: BasketLine | None
) -> Refusal | None:
    if not goods and (definition.sku_groups is not None or definition.kind != "gift"):
        return "no_such_goods"
    if spent < definition.minimum_spend:
        return "too_little"
    if definition.kind == "gift" and gift is None:
        return "gift_missing"
    return None


def _is_for(definition: Definition, line: BasketLine) -> bool:
    return definition.sku_groups is None or (line.group is not None and line.group in definition.sku_groups)


def _left(lines: Sequence[BasketLine], beside: Sequence[Taken]) -> list[Decimal]:
    """What is to be paid still of each line: what a coupon takes off is spread over its goods by what was left of them.

    Where the basket has become smaller than it was when a coupon was used, the others bear what its goods can't.
    """
    left = [line.amount for line in lines]
    for each in beside:
        definition = each.definition
        if definition.kind == "gift":
            own = [place for place, line in enumerate(lines) if line.sku == definition.gift_sku][:1]
        else:
            own = [place for place, line in enumerate(lines) if _is_for(definition, line)]
        over = _spread(left, own, each.discount)
        _spread(left, range(len(left)), over)
    return left


def _spread(left: list[Decimal], places: Sequence[int], discount: Decimal) -> Decimal:
    """Take a discount off lines in proportion; what they could not bear."""
    whole = sum((left[place] for place in places), _NOTHING)
    off = min(discount, whole)
    if whole:
        for place in places:
            left[place] -= left[place] * off / whole
    return discount - off


def _discount(definition: Definition, to_pay: Decimal, gift: BasketLine | None) -> Decimal:
    """Never more than there is to pay for the goods; parts of a cent in the chain's favour."""
    if definition.kind == "gift":
        if gift is None or gift.quantity <= 0:
            return _NOTHING
        return min(gift.amount / max(gift.quantity, Decimal(1)), to_pay).quantize(_CENT, ROUND_DOWN)
    if definition.kind == "amount":
        return min(definition.value, to_pay).quantize(_CENT, ROUND_DOWN)
    off = (to_pay * definition.value / 100).quantize(_CENT, ROUND_DOWN)
    return min(off, off if definition.most_off is None else definition.most_off)
