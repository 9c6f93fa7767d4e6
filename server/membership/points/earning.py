"""What a sale earns, and what is left of it after refunds. Pure, exact, and blind to the order things arrive in.

Two traps shaped this. To take back a refund's share of the receipt's total gives value away: who buys one thing at
triple points with nine others and returns just that one would keep two thirds of its points. So a refund takes back
what its own lines had earned. And to round each refund for itself adds up to more or less than was earned; so nothing
is ever worked out per refund: what stands of a sale is what the rest of it earns, rounded down as every sale's points
are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import floor

from server.membership.points.rules import Promotion, Rules


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a receipt; `amount` is what was paid for it, discounts off."""

    sku: str
    group: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Bought:
    """A sale, or a refund, as far as points go.

    Attributes:
        gross: its total, never negative; `net` is without tax, None where the till did not say.
        lines: may be missing; then the total is taken as one.
    """

    store_id: str
    channel: str
    at: datetime
    currency: str
    gross: Decimal
    net: Decimal | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A member's tier at a moment, and how many times the points it earns."""

    tier: str = ""
    multiplier: Decimal = Decimal(1)


@dataclass(slots=True)
class _Share:
    """What lines of one SKU cost and earned."""

    amount: Fraction = field(default_factory=Fraction)
    points: Fraction = field(default_factory=Fraction)


def earned(sale: Bought, rules: Rules, standing: Standing) -> int:
    """Points of a sale of which nothing was returned, rounded down."""
    return _whole(sum((each.points for each in _shares(sale, rules, standing).values()), Fraction()))


def left(sale: Bought, refunds: Sequence[Bought], rules: Rules, standing: Standing) -> int:
    """Points that stand once some of it was returned: those of the rest, rounded down.

    Each SKU returned takes along what that SKU had earned, up to the amount it was sold for; whatever else was given
    back (an unknown SKU, more than it cost, no lines at all) takes its share of all that is left.

    Args:
        refunds: all of them; their order makes no difference.
    """
    shares = _shares(sale, rules, standing)
    returned: dict[str, Fraction] = defaultdict(Fraction)
    for refund in refunds:
        for line in _lines(refund):
            returned[line.sku] += Fraction(line.amount)
    beyond = Fraction()
    for sku, amount in returned.items():
        share = shares.get(sku)
        taken = min(amount, share.amount) if share is not None and share.amount > 0 else Fraction()
        if share is not None and taken > 0:
            share.points -= share.points * taken / share.amount
            share.amount -= taken
        beyond += amount - max(taken, Fraction())
    amount = sum((each.amount for each in shares.values()), Fraction())
    points = sum((each.points for each in shares.values()), Fraction())
    if beyond > 0:
        points = Fraction() if beyond >= amount else points * (amount - beyond) / amount
    return min(_whole(points), earned(sale, rules, standing))


def lost_unlinked(refund: Bought, rules: Rules, standing: Standing) -> int:
    """Points that a refund takes back which names no sale: what it would earn that day, promotions aside."""
    return _whole(sum((each.points for each in _shares(refund, rules, standing, is_sale=False).values()), Fraction()))


def kept(sale: Bought, refunds: Iterable[Bought]) -> Decimal:
    """Money of a sale that was not given back, never below zero."""
    return max(Decimal(0), sale.gross - sum((refund.gross for refund in refunds), Decimal(0)))


def _whole(points: Fraction) -> int:
    return max(0, floor(points))


def _lines(bought: Bought) -> tuple[Line, ...]:
    return bought.lines or (Line("", "", bought.gross),)


def _shares(bought: Bought, rules: Rules, standing: Standing, *, is_sale: bool = True) -> dict[str, _Share]:
    """By SKU, what was paid and what it earned, exactly."""
    shares: dict[str, _Share] = defaultdict(_Share)
    rate = Fraction(rules.rates.get(bought.currency, Decimal(0)))
    if bought.channel not in rules.channels:
        rate = Fraction()
    if rules.basis == "net" and bought.net is not None and bought.gross:
        rate *= Fraction(bought.net) / Fraction(bought.gross)
    rate *= Fraction(standing.multiplier)
    promotions = (
        [each for each in rules.promotions if each.holds(bought.at, bought.store_id, bought.channel, standing.tier)]
        if is_sale and rate
        else []
    )
    for line in _lines(bought):
        share = shares[line.sku]
        amount = Fraction(line.amount)
        share.amount += amount
        share.points += amount * rate * _factor(line, rules, promotions)
    for promotion in promotions:
        _add_bonus(shares, bought, rules, promotion)
    return shares


def _factor(line: Line, rules: Rules, promotions: Iterable[Promotion]) -> Fraction:
    promoted = max((each.factor for each in promotions if each.covers(line.group)), default=Decimal(1))
    return _own_factor(line, rules) * Fraction(promoted)


def _own_factor(line: Line, rules: Rules) -> Fraction:
    return Fraction(next((each.factor for each in rules.groups if each.matches(line.sku, line.group)), Decimal(1)))


def _add_bonus(shares: dict[str, _Share], bought: Bought, rules: Rules, promotion: Promotion) -> None:
    """Spread a bonus over the lines it is given for, so that a refund takes its part of it back.

    Lines that earn nothing at all (gift cards, say) don't count for it either.
    """
    lines = [each for each in _lines(bought) if each.amount > 0 and promotion.covers(each.group)]
    lines = [each for each in lines if _own_factor(each, rules)]
    spent = sum((Fraction(each.amount) for each in lines), Fraction())
    if not promotion.bonus or spent <= 0 or spent < Fraction(promotion.min_spend):
        return
    if promotion.currency is not None and promotion.currency != bought.currency:
        return
    for line in lines:
        shares[line.sku].points += promotion.bonus * Fraction(line.amount) / spent
