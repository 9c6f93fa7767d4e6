"""Why net sales moved: the change of each store split exactly into traffic, conversion, ATV and refunds. Pure.

Gross sales are a product, visitors x conversion x ATV, so a change in them belongs to all three at once. Taking them
one after the other gives an answer that depends on the order, and what they did together is left over. The logarithmic
mean Divisia index (Ang 2004, Energy Policy 32:1131) has neither fault: with L the logarithmic mean of both periods'
sales, L(a, b) = (a - b) / ln(a / b), the effect of a factor x is L ln(x₁ / x₀), and since the logarithms of a product
add up, so do the effects. Where a factor was zero in one of the periods they are what they tend to as it goes to zero:
the whole change is that factor's (Ang and Liu 2007, Energy Policy 35:1426).

The trap is the camera that failed: fewer seen is not fewer came. Conversion is what it is everywhere else, over the
quarter hours in which doors and tills were both observed, and traffic is the visitors that the transactions stand for
at that conversion; and only stores that were open and watched in both periods are compared. Who was left out is said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

from server.kpi import models
from server.kpi.answers.grouping import Group
from server.kpi.figures.definition import half_seen, unsold
from server.kpi.models import ZERO, Facts

CENT: Final = Decimal("0.01")
_TENTH: Final = Decimal("0.1")
_SIX: Final = Decimal("0.000001")
#: Far more digits than any amount has, so that rounding happens once, at the end.
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_UP)
#: A store that was open on less than this share of the days that it was open on in the other period is not like for
#: like: it opened, closed or was refitted.
OPEN_ALIKE: Final = Decimal("0.8")
#: Why a store was left out, beside the codes of `models`.
OPEN_PARTLY: Final = "open_partly"

#: The facts that are needed.
NEEDS: Final = frozenset(
    {
        *("open_quarters", "camera_quarters", "due_ms", "observed_ms", "required_ms", "till_quarters", "refund_count"),
        *("transactions", "gross_sales", "refunds", "member_transactions"),
        *("matched_transactions", "matched_visitors"),
    }
)


@dataclass(frozen=True, slots=True)
class Side:
    """What a store (or several) did in one of the two periods. Money is in the store's currency.

    Attributes:
        visitors: transactions / conversion: those who came, seen or not.
        conversion: as the KPI, of several stores transactions / visitors; None without visitors.
        atv: gross sales / transactions; None without them, and so is `member_share`, the members' share of them.
    """

    net_sales: Decimal
    gross_sales: Decimal
    refunds: Decimal
    transactions: int
    member_transactions: int
    visitors: Decimal
    conversion: Decimal | None
    atv: Decimal | None
    member_share: Decimal | None


@dataclass(frozen=True, slots=True)
class Effects:
    """What each did to net sales; they add up to the change, to the cent."""

    traffic: Decimal = ZERO
    conversion: Decimal = ZERO
    atv: Decimal = ZERO
    refunds: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """The change in net sales."""
        return self.traffic + self.conversion + self.atv + self.refunds


@dataclass(frozen=True, slots=True)
class StoreChange:
    """Why one store's net sales moved by `change`."""

    store_id: str
    currency: str
    before: Side
    now: Side
    change: Decimal
    effects: Effects


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A store that is not like for like.

    Attributes:
        reason: a stable code; `period` is ``before``, ``now`` or ``both``: where it holds.
        change: in net sales all the same, so that what is told and what is left out make up the whole.
    """

    store_id: str
    currency: str
    reason: str
    period: str
    net_sales_before: Decimal
    net_sales_now: Decimal
    change: Decimal


@dataclass(frozen=True, slots=True)
class ChainChange:
    """The stores of one currency that were compared, as the sum of each of them.

    Attributes:
        stores: how many were compared, and `left_out` how many were not.
        left_out_change: by how much the net sales of those moved.
    """

    currency: str
    stores: int
    before: Side
    now: Side
    change: Decimal
    effects: Effects
    left_out: int
    left_out_change: Decimal


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Why net sales moved between two periods.

    Attributes:
        chain: one for each currency.
        stores: those compared, by id.
        as_of: facts up to here are in it (UTC).
        pending: store-days whose facts have changed and are not in the answer yet.
    """

    day_from: date
    day_to: date
    compared_from: date
    compared_to: date
    as_of: datetime
    pending: int
    chain: tuple[ChainChange, ...]
    stores: tuple[StoreChange, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A store's facts in both periods; None where nothing is known of it.

    Attributes:
        share_before: store-days known of it, as a share of the period's days; `share_now` likewise.
    """

    store_id: str
    currency: str
    before: Group | None
    now: Group | None
    share_before: Decimal
    share_now: Decimal


def divisia(
    before: Sequence[Decimal], now: Sequence[Decimal], change_from: Decimal, change_to: Decimal
) -> list[Decimal]:
    """What each factor of a product did to it, to the cent; rounding falls to the last.

    Args:
        before: the factors, none below zero; `now` likewise.
        change_from: the product before, in cents at most; `change_to` now.
    """
    with localcontext(_CONTEXT):
        change = change_to - change_from
        effects = [ZERO] * len(before)
        gone = next((place for place, pair in enumerate(zip(before, now, strict=True)) if not all(pair)), None)
        if gone is not None or not change_from or not change_to:
            effects[-1 if gone is None else gone] = change
            return effects
        mean = change / (change_to / change_from).ln() if change else change_to
        for place, (was, is_) in enumerate(zip(before[:-1], now[:-1], strict=True)):
            if was != is_:
                effects[place] = (mean * (is_ / was).ln()).quantize(CENT)
        effects[-1] = change - sum(effects[:-1], ZERO)
        return effects


def effects(before: Side, now: Side) -> Effects:
    """Of a single store."""
    was, is_ = ([side.visitors, side.conversion or ZERO, side.atv or ZERO] for side in (before, now))
    traffic, conversion, atv = divisia(was, is_, before.gross_sales, now.gross_sales)
    return Effects(traffic, conversion, atv, before.refunds - now.refunds)


def side_of(facts: Facts) -> Side:
    """Of a single store, with all digits."""
    with localcontext(_CONTEXT):
        visitors = Decimal(facts.matched_visitors)
        if facts.matched_transactions:
            visitors = visitors * facts.transactions / facts.matched_transactions
    return _side(facts.gross_sales, facts.refunds, facts.transactions, facts.member_transactions, visitors)


def _side(gross: Decimal, refunds: Decimal, sold: int, members: int, visitors: Decimal) -> Side:
    with localcontext(_CONTEXT):
        return Side(
            net_sales=gross - refunds,
            gross_sales=gross,
            refunds=refunds,
            transactions=sold,
            member_transactions=members,
            visitors=visitors,
            conversion=sold / visitors if visitors else None,
            atv=gross / sold if sold else None,
            member_share=Decimal(members) / sold if sold else None,
        )


def _shown(side: Side) -> Side:
    """With the digits it is shown with."""

    def cut(value: Decimal | None, places: Decimal) -> Decimal | None:
        return None if value is None else value.quantize(places, ROUND_HALF_UP)

    return replace(
        side,
        visitors=side.visitors.quantize(_TENTH, ROUND_HALF_UP),
        conversion=cut(side.conversion, _SIX),
        atv=cut(side.atv, CENT),
        member_share=cut(side.member_share, _SIX),
    )


def decompose(pairs: Iterable[Pair]) -> tuple[list[StoreChange], list[LeftOut], list[ChainChange]]:
    """Stores that can be compared, those that can't, and the chain by currency; all by id or currency."""
    changes: list[StoreChange] = []
    left_out: list[LeftOut] = []
    for pair in sorted(pairs, key=lambda pair: pair.store_id):
        why = _unlike(pair)
        if why or pair.before is None or pair.now is None:
            left_out.append(_left_out(pair, *(why or (models.NO_DATA, "both"))))
            continue
        before, now = side_of(pair.before.facts), side_of(pair.now.facts)
        change = now.net_sales - before.net_sales
        changes.append(StoreChange(pair.store_id, pair.currency, before, now, change, effects(before, now)))
    currencies = sorted({each.currency for each in changes} | {each.currency for each in left_out})
    chain = [_chain(currency, changes, left_out) for currency in currencies]
    shown = [replace(each, before=_shown(each.before), now=_shown(each.now)) for each in changes]
    return shown, left_out, chain


def _unlike(pair: Pair) -> tuple[str, str] | None:
    """Why a store can't be compared and in which period, if so."""
    before, now = _unfit(pair.before), _unfit(pair.now)
    if before and now:
        return now, "both"
    if before or now:
        return (before, "before") if before else (now or "", "now")
    less, more = sorted((pair.share_before, pair.share_now))
    if less < OPEN_ALIKE * more:
        return OPEN_PARTLY, "before" if pair.share_before < pair.share_now else "now"
    return None


def _unfit(group: Group | None) -> str | None:
    """Why a store's period is no base for comparison."""
    if group is None or not group.periods:
        return models.NO_DATA
    facts = group.facts
    if code := half_seen(facts) or unsold(facts):
        return code
    if not facts.matched_visitors:
        return models.NO_VISITORS
    # Sales, but none at any time that was watched: nothing tells how they came about.
    return models.COVERAGE_BELOW_THRESHOLD if facts.transactions and not facts.matched_transactions else None


def _left_out(pair: Pair, reason: str, period: str) -> LeftOut:
    before = pair.before.facts.net_sales if pair.before else ZERO
    now = pair.now.facts.net_sales if pair.now else ZERO
    return LeftOut(pair.store_id, pair.currency, reason, period, before, now, now - before)


def _chain(currency: str, changes: Sequence[StoreChange], left_out: Sequence[LeftOut]) -> ChainChange:
    own = [each for each in changes if each.currency == currency]
    apart = [each for each in left_out if each.currency == currency]
    return ChainChange(
        currency=currency,
        stores=len(own),
        before=_shown(_together([each.before for each in own])),
        now=_shown(_together([each.now for each in own])),
        change=sum((each.change for each in own), ZERO),
        effects=Effects(
            traffic=sum((each.effects.traffic for each in own), ZERO),
            conversion=sum((each.effects.conversion for each in own), ZERO),
            atv=sum((each.effects.atv for each in own), ZERO),
            refunds=sum((each.effects.refunds for each in own), ZERO),
        ),
        left_out=len(apart),
        left_out_change=sum((each.change for each in apart), ZERO),
    )


def _together(sides: Sequence[Side]) -> Side:
    """Sums, and ratios of sums."""
    with localcontext(_CONTEXT):
        return _side(
            sum((each.gross_sales for each in sides), ZERO),
            sum((each.refunds for each in sides), ZERO),
            sum(each.transactions for each in sides),
            sum(each.member_transactions for each in sides),
            sum((each.visitors for each in sides), ZERO),
        )
