"""Which money goes first: pure arithmetic over the top-ups of a card, in whole cents.

The trap is the cent that rounding makes or loses. A share is therefore never rounded by itself: an amount is dealt out
over weights by their running sum, so the parts are whole cents, sum to the amount and none exceeds its weight.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from server.errors import InvalidInput
from server.membership.stored_value.models import (
    NOTHING,
    BonusRule,
    Lot,
    NotEnough,
    OverCap,
    Part,
    SpendOrder,
    ValueSettings,
)

CENT: Final = Decimal("0.01")
MOST: Final = Decimal("999999999.99")


@dataclass(frozen=True, slots=True)
class PaidOut:
    """One top-up's share of a pay-out, all positive: principal given back, bonus withdrawn with it, fee kept."""

    lot: Lot
    principal: Decimal
    bonus: Decimal
    fee: Decimal


def money(amount: Decimal, field: str = "amount") -> Decimal:
    """An amount that can be posted, in whole cents.

    Raises:
        InvalidInput: nothing, negative, too large, or with parts of a cent.
    """
    if not amount.is_finite() or not NOTHING < amount <= MOST:
        raise InvalidInput(f"{field} {amount} is no amount of money", field=field, remedy=f"give {CENT} to {MOST}")
    whole = amount.quantize(CENT)
    if whole != amount:
        raise InvalidInput(f"{field} {amount} has parts of a cent", field=field, remedy="give two decimals at most")
    return whole


def deal(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """An amount dealt out in proportion to weights; both in whole cents, the amount at most the weights' sum.

    Each part lies within a cent of its exact share, and never above its weight.
    """
    cents, total = _cents(amount), sum(map(_cents, weights))
    if not 0 <= cents <= total:
        raise ValueError(f"{amount} can't be dealt out over {total} cents")
    parts, running, given = [], 0, 0
    for weight in weights:
        running += _cents(weight)
        until = running * cents // total if total else 0
        parts.append(Decimal(until - given) * CENT)
        given = until
    return parts


def spend(lots: Sequence[Lot], amount: Decimal, order: SpendOrder, currency: str) -> list[Part]:
    """What a purchase takes of each top-up (negative).

    Args:
        lots: oldest first.

    Raises:
        NotEnough: less is on the card.
    """
    there = sum((lot.principal_left + lot.bonus_left for lot in lots), NOTHING)
    if amount > there:
        raise NotEnough(amount, there, currency)
    if order == "proportional":
        taken = _in_turn(amount, [lot.principal_left + lot.bonus_left for lot in lots])
        shares = [deal(take, [lot.principal_left, lot.bonus_left]) for lot, take in zip(lots, taken, strict=True)]
        principal, bonus = [share[0] for share in shares], [share[1] for share in shares]
    else:
        principals, bonuses = [lot.principal_left for lot in lots], [lot.bonus_left for lot in lots]
        if order == "principal_first":
            principal = _in_turn(min(amount, sum(principals, NOTHING)), principals)
            bonus = _in_turn(amount - sum(principal, NOTHING), bonuses)
        else:
            bonus = _in_turn(min(amount, sum(bonuses, NOTHING)), bonuses)
            principal = _in_turn(amount - sum(bonus, NOTHING), principals)
    return [
        Part(lot.lot_id, lot.store_id, -one, -other)
        for lot, one, other in zip(lots, principal, bonus, strict=True)
        if one or other
    ]


def give_back(spent: Sequence[Part], returned: Iterable[Part], amount: Decimal, currency: str) -> list[Part]:
    """What goods taken back give to each top-up (positive): the parts they were paid with, in proportion to what of
    those has not been given back yet. So the last return gives back exactly what is left.

    Args:
        spent: of the purchase (negative).
        returned: of earlier returns of it (positive).

    Raises:
        InvalidInput: more than was spent and not given back yet.
    """
    left = {(part.lot_id, part.store_id): (-part.principal, -part.bonus) for part in spent}
    for part in returned:
        principal, bonus = left[(part.lot_id, part.store_id)]
        left[(part.lot_id, part.store_id)] = (principal - part.principal, bonus - part.bonus)
    there = sum((principal + bonus for principal, bonus in left.values()), NOTHING)
    if amount > there:
        raise InvalidInput(
            f"{amount} {currency} can't be given back: {there} {currency} of this purchase are left",
            field="amount",
            remedy="give back no more than was paid with the card and is not given back yet",
        )
    dealt = deal(amount, [weight for pair in left.values() for weight in pair])
    return [
        Part(lot_id, store_id, dealt[2 * place], dealt[2 * place + 1])
        for place, (lot_id, store_id) in enumerate(left)
        if dealt[2 * place] or dealt[2 * place + 1]
    ]


def pay_out(
    lots: Sequence[Lot], amount: Decimal | None, settings: ValueSettings, now: datetime
) -> tuple[list[PaidOut], bool]:
    """What paying out principal takes of each top-up, and whether all of it is within its days of cooling off.

    The latest top-up goes first, as it is the one whose days still run. With principal goes the bonus it brought: as
    large a share of what is left of the one as of the other, parts of a cent in the chain's favour, so that all is
    withdrawn with the last of the principal.

    Args:
        amount: of principal; None: all of it.

    Raises:
        NotEnough: less principal is on the card, or none at all.
    """
    there = sum((lot.principal_left for lot in lots), NOTHING)
    wanted = there if amount is None else amount
    if wanted > there or not there:
        raise NotEnough(wanted, there, settings.currency)
    newest_first = list(reversed(lots))
    days = timedelta(days=settings.cooling_off_days)
    found, all_cooling = [], True
    for lot, take in zip(newest_first, _in_turn(wanted, [lot.principal_left for lot in newest_first]), strict=True):
        if not take:
            continue
        cooling = now < lot.sold_at + days
        all_cooling = all_cooling and cooling
        kept = (lot.bonus_left * (lot.principal_left - take) / lot.principal_left).quantize(CENT, ROUND_DOWN)
        fee = NOTHING if cooling else (take * settings.late_fee_percent / 100).quantize(CENT, ROUND_HALF_UP)
        found.append(PaidOut(lot, take, lot.bonus_left - kept, min(fee, take)))
    return found, all_cooling


def bonus_of(amount: Decimal, rules: Iterable[BonusRule], store_id: str, at: datetime) -> Decimal:
    """What a top-up brings on top: of the rules in force there and then that it reaches, the one that gives most."""
    given = [
        rule.amount + (amount * rule.percent / 100).quantize(CENT, ROUND_DOWN)
        for rule in rules
        if rule.ended_at is None
        and amount >= rule.from_amount
        and rule.valid_from <= at
        and (rule.valid_until is None or at < rule.valid_until)
        and (rule.store_ids is None or store_id in rule.store_ids)
    ]
    return max(given, default=NOTHING)


def check_cap(
    settings: ValueSettings, lots: Iterable[Lot], principal: Decimal, bonus: Decimal, *, registered: bool
) -> None:
    """Refuse a top-up after which more would be on the card than may be.

    Raises:
        OverCap: saying how much may still be paid in.
    """
    cap = settings.cap_registered if registered else settings.cap_unregistered
    if cap is None:
        return
    there = sum(
        (lot.principal_left + (lot.bonus_left if settings.cap_counts_bonus else NOTHING) for lot in lots), NOTHING
    )
    new = principal + (bonus if settings.cap_counts_bonus else NOTHING)
    if there + new <= cap:
        return
    kind = "a registered" if registered else "an unregistered"
    raise OverCap(
        f"{there + new} {settings.currency} would be on the card, bonus "
        f"{'included' if settings.cap_counts_bonus else 'aside'}; at most {cap} may be on {kind} one",
        field="amount",
        remedy=f"pay in less: {there} {settings.currency} are on it now"
        + ("" if registered else ", or register the card to a member"),
        detail={"cap": str(cap), "balance": str(there)},
    )


def summed(parts: Iterable[Part]) -> tuple[Decimal, Decimal]:
    """Principal and bonus of parts."""
    principal, bonus = NOTHING, NOTHING
    for part in parts:
        principal, bonus = principal + part.principal, bonus + part.bonus
    return principal, bonus


def with_part(lot: Lot, part: Part) -> Lot:
    """A top-up after a posting."""
    return replace(lot, principal_left=lot.principal_left + part.principal, bonus_left=lot.bonus_left + part.bonus)


def _in_turn(amount: Decimal, there: Sequence[Decimal]) -> list[Decimal]:
    """Each in its turn gives all it has until the amount is reached."""
    taken = []
    for each in there:
        take = min(amount, each)
        taken.append(take)
        amount -= take
    return taken


def _cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))
