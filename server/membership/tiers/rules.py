"""What tiers ask for and what they give: one version of the rules, as HQ writes them. Pure.

Levels stand from the lowest to the highest; the lowest is everybody's and asks for nothing. A higher level that asks
for nothing is never earned: it is given by hand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from server.errors import InvalidInput

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MOST: Final = Decimal(10**12)


class Benefits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a level gives.

    Attributes:
        discount: per cent off, for the till.
        multiplier: how many times the points are earned.
        birthday_gift: what it is, in words; `birthday_value` what it costs the chain, in the rules' currency.
    """

    discount: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    birthday_gift: Annotated[str, Meta(max_length=200)] = ""
    birthday_value: Decimal = Decimal(0)


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier.

    Attributes:
        slug: its name in programs.
        names: for people, by language.
        spend: money kept by the chain within the window, in the rules' currency; `visits` business days with a sale, by
            store; `points` earned on receipts. None: not asked for.
        match: whether any one of these is enough, or all are needed.
    """

    slug: str
    names: dict[Literal["zh", "en"], str] = {}
    spend: Decimal | None = None
    visits: Annotated[int, Meta(ge=1)] | None = None
    points: Annotated[int, Meta(ge=1)] | None = None
    match: Literal["any", "all"] = "any"
    benefits: Benefits = Benefits()

    @property
    def asks_for_something(self) -> bool:
        """Whether it can be earned at all, and not only given by hand."""
        return (self.spend, self.visits, self.points) != (None, None, None)

    def is_earned_by(self, done: "Activity") -> bool:
        """Whether what somebody did within the window is enough."""
        asked = [
            has >= wanted
            for has, wanted in ((done.spend, self.spend), (done.visits, self.visits), (done.points, self.points))
            if wanted is not None
        ]
        return bool(asked) and (any(asked) if self.match == "any" else all(asked))


@dataclass(frozen=True, slots=True)
class Activity:
    """What a member did within the window: money in the rules' currency, visits, points earned."""

    spend: Decimal = Decimal(0)
    visits: int = 0
    points: int = 0


class TierRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the rules.

    Attributes:
        levels: from the lowest, which is everybody's, to the highest.
        currency: of `spend` and `birthday_value`.
        rates: what one unit of another currency is worth in it; a currency left out doesn't count.
        window_months: how far back spend, visits and points are looked at.
        period_months: for so long a tier that was reached is kept at least.
        grace_days: for so long more it is kept when it was not earned again.
        down: at the end, to the level that was earned ("fit"), or one level at a time ("one").
    """

    levels: tuple[Level, ...]
    currency: str = "CNY"
    rates: dict[str, Decimal] = {}
    window_months: Annotated[int, Meta(ge=1, le=120)] = 12
    period_months: Annotated[int, Meta(ge=1, le=120)] = 12
    grace_days: Annotated[int, Meta(ge=0, le=366)] = 0
    down: Literal["fit", "one"] = "fit"

    def rank(self, slug: str) -> int:
        """A tier's place, 0 for the lowest and for one that these rules don't know."""
        return next((place for place, level in enumerate(self.levels) if level.slug == slug), 0)

    def earned(self, done: Activity) -> int:
        """Place of the highest level that is earned."""
        return max((place for place, level in enumerate(self.levels) if level.is_earned_by(done)), default=0)

    def level(self, slug: str) -> Level:
        """A level; the lowest for one that these rules don't know."""
        return self.levels[self.rank(slug)]

    def all_rates(self) -> dict[str, Decimal]:
        """Every currency that counts, its own too."""
        return {**self.rates, self.currency: Decimal(1)}


def read(text: str | bytes) -> TierRules:
    """Rules from JSON, checked.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    try:
        rules = stored(text)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise InvalidInput(
            f"the rules can't be read: {reason}",
            field=place.rstrip("`").lstrip(".") or "rules",
            remedy="see the rules in docs/points.md",
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the rules are no JSON: {error}", field="rules", remedy="mind commas and quotes") from error
    check(rules)
    return rules


def stored(text: str | bytes) -> TierRules:
    """Rules from JSON as they were kept: the names of old tiers are what they are."""
    return msgspec.json.decode(text, type=TierRules)


def written(rules: TierRules) -> str:
    """Rules as JSON, amounts as strings."""
    return msgspec.json.encode(rules).decode()


def check(rules: TierRules) -> None:
    """Refuse what can't be meant.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    if not rules.levels:
        raise _wrong("levels", "are none", "give at least the lowest, which is everybody's")
    for currency, rate in rules.all_rates().items():
        if not re.fullmatch("[A-Z]{3}", currency):
            raise _wrong("rates", f"{currency!r} is no currency", "use three letters such as CNY")
        _check_amount(rate, f"rates.{currency}", _MOST)
    slugs = [level.slug for level in rules.levels]
    for place, level in enumerate(rules.levels):
        field = f"levels[{place}]"
        if not _SLUG.fullmatch(level.slug) or slugs.index(level.slug) != place:
            raise _wrong(f"{field}.slug", f"is {level.slug!r}", "use small letters and digits, each name once")
        if place == 0 and level.asks_for_something:
            raise _wrong(field, "asks for something", "the first level is everybody's; put one before it")
        if level.spend is not None:
            _check_amount(level.spend, f"{field}.spend", _MOST)
        _check_amount(level.benefits.discount, f"{field}.benefits.discount", Decimal(100))
        _check_amount(level.benefits.multiplier, f"{field}.benefits.multiplier", Decimal(1000))
        _check_amount(level.benefits.birthday_value, f"{field}.benefits.birthday_value", _MOST)


def _check_amount(amount: Decimal, field: str, largest: Decimal) -> None:
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or not 0 <= amount <= largest or (isinstance(exponent, int) and exponent < -4):
        raise _wrong(field, f"is {amount}", f"give a number from 0 to {largest} with at most four decimals")


def _wrong(field: str, reason: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{field} {reason}", field=field, remedy=remedy)


def in_force(versions: Sequence[tuple[datetime, int, TierRules]], at: datetime) -> tuple[int, TierRules]:
    """The version that holds at a moment; the first one for whatever was before it.

    Args:
        versions: valid_from, number, rules; in any order, at least one.
    """
    ordered = sorted(versions, key=lambda each: each[0])
    _, version, rules = max((each for each in ordered if each[0] <= at), key=lambda each: each[0], default=ordered[0])
    return version, rules
