"""How points are earned and what they are worth: one version of the rules, as HQ writes them. Pure.

They are read by msgspec, which takes a Decimal from the digits themselves (a rate of 0.1 is no float) and refuses
what it does not know: a misspelt rule that is passed over in silence is found out by members.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from server.errors import InvalidInput

Aware = Annotated[datetime, Meta(tz=True)]
_Name = Annotated[str, Meta(min_length=1, max_length=100)]
#: A million points for one unit of money is a slip of the pen.
_LARGEST: Final = Decimal(1_000_000)


class GroupRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines that earn more, less or (factor 0) nothing. Where several match a line, the first one counts.

    Attributes:
        groups: SKU groups as the till names them.
        skus: single SKUs; one that ends in ``*`` stands for all that begin like it.
    """

    factor: Decimal
    groups: tuple[_Name, ...] = ()
    skus: tuple[_Name, ...] = ()

    def matches(self, sku: str, group: str) -> bool:
        """Whether a line is meant."""
        return group in self.groups or any(
            sku.startswith(each[:-1]) if each.endswith("*") else sku == each for each in self.skus
        )


class Promotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For a time, more points: `factor` times as many, or `bonus` more on a receipt of `min_spend` and above.

    An empty list of stores, groups, channels or tiers means all of them. Of several factors a line gets the greatest
    one; bonuses add up.

    Attributes:
        starts: first moment; `ends` is excluded. The receipt's own time counts.
        min_spend: on the lines of its groups.
        currency: of `min_spend`: 100 yuan are not 100 yen. Left out, it is the receipt's, whatever that is.
    """

    name: _Name
    starts: Aware
    ends: Aware
    factor: Decimal = Decimal(1)
    bonus: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    min_spend: Decimal = Decimal(0)
    currency: str | None = None
    stores: tuple[_Name, ...] = ()
    groups: tuple[_Name, ...] = ()
    channels: tuple[_Name, ...] = ()
    tiers: tuple[_Name, ...] = ()

    def holds(self, at: datetime, store_id: str, channel: str, tier: str) -> bool:
        """Whether it holds for a receipt."""
        return (
            self.starts <= at < self.ends
            and (not self.stores or store_id in self.stores)
            and (not self.channels or channel in self.channels)
            and (not self.tiers or tier in self.tiers)
        )

    def covers(self, group: str) -> bool:
        """Whether it holds for a line of a SKU group."""
        return not self.groups or group in self.groups


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the rules. Without any (the default) nothing is earned.

    Attributes:
        rates: points for one unit of a currency, by its code; a currency left out earns nothing.
        basis: what points are earned on; ``net`` is without tax, and gross where the till did not say it.
        channels: sales that earn.
        groups: SKU groups that earn otherwise.
        return_days: for so long after a sale its points are pending; 0: they can be spent at once.
        expires_months: so many months after the sale what was earned on it expires; None: never.
        at_month_end: not on the day itself, but when the month in which it lies has ended.
        timezone: in which that month ends (IANA).
        value: money that one point is worth, by currency: at the till, and in the report of what is owed.
        least: the fewest points that can be spent; `step`: they are spent in multiples of it.
        adjust_limit: up to so many points a day and member one person may adjust alone.
        given_back_days: points whose redemption is voided after they would have expired live on for so long.
    """

    rates: dict[str, Decimal] = {}
    basis: Literal["gross", "net"] = "gross"
    channels: tuple[Literal["till", "online", "pickup"], ...] = ("till", "online", "pickup")
    groups: tuple[GroupRule, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    return_days: Annotated[int, Meta(ge=0, le=366)] = 0
    expires_months: Annotated[int, Meta(ge=1, le=240)] | None = None
    at_month_end: bool = False
    timezone: str = "UTC"
    value: dict[str, Decimal] = {}
    least: Annotated[int, Meta(ge=1)] = 1
    step: Annotated[int, Meta(ge=1)] = 1
    adjust_limit: Annotated[int, Meta(ge=0)] = 1000
    given_back_days: Annotated[int, Meta(ge=0, le=366)] = 30

    def available_at(self, sold_at: datetime) -> datetime:
        """When points of a sale can be spent (UTC)."""
        return sold_at.astimezone(UTC) + timedelta(days=self.return_days)

    def expires_at(self, sold_at: datetime) -> datetime | None:
        """When points of a sale expire (UTC); None: never. Never before they could be spent for a day."""
        if self.expires_months is None:
            return None
        local = sold_at.astimezone(ZoneInfo(self.timezone))
        end = _months_later(local, self.expires_months)
        if self.at_month_end:
            end = _months_later(end.replace(day=1, hour=0, minute=0, second=0, microsecond=0), 1)
        return max(end.astimezone(UTC), self.available_at(sold_at) + timedelta(days=1))

    def given_back_until(self, now: datetime) -> datetime:
        """How long points live on that were given back after they would have expired."""
        return now + timedelta(days=self.given_back_days)


#: What holds where nobody has saved any.
NO_RULES: Final = Rules()


def _months_later(at: datetime, months: int) -> datetime:
    """The same day of a later month on the same clock, or that month's last day."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    for day in (at.day, 30, 29, 28):
        try:
            return at.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")


def read(text: str | bytes) -> Rules:
    """Rules from JSON, checked.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    try:
        rules = msgspec.json.decode(text, type=Rules)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise InvalidInput(
            f"the rules can't be read: {reason}",
            field=place.rstrip("`").lstrip(".") or "rules",
            remedy="see the rules in docs/points.md",
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"the rules are no JSON: {error}", field="rules", remedy="check commas and quotes"
        ) from error
    check(rules)
    return rules


def written(rules: Rules) -> str:
    """Rules as JSON, amounts as strings."""
    return msgspec.json.encode(rules).decode()


def check(rules: Rules) -> None:
    """Refuse what can't be meant.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    for currency, rate in rules.rates.items():
        _check_currency(currency, "rates")
        _check_amount(rate, f"rates.{currency}")
    for currency, value in rules.value.items():
        _check_currency(currency, "value")
        _check_amount(value, f"value.{currency}")
    for place, group in enumerate(rules.groups):
        _check_amount(group.factor, f"groups[{place}].factor")
        if not group.groups and not group.skus:
            raise _wrong(f"groups[{place}]", "names no SKU group and no SKU", "name the lines it is about")
    for place, each in enumerate(rules.promotions):
        _check_promotion(each, f"promotions[{place}]")
    if rules.least % rules.step:
        raise _wrong("least", f"is {rules.least} and no multiple of step, {rules.step}", "choose one that is")
    try:
        ZoneInfo(rules.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise _wrong("timezone", f"{rules.timezone!r} is not known", "use a name such as Asia/Shanghai") from error


def _check_promotion(promotion: Promotion, field: str) -> None:
    _check_amount(promotion.factor, f"{field}.factor")
    _check_amount(promotion.min_spend, f"{field}.min_spend", largest=Decimal(10**9))
    if promotion.currency is not None:
        _check_currency(promotion.currency, f"{field}.currency")
    if promotion.factor < 1:
        raise _wrong(f"{field}.factor", "is below 1", "a promotion gives more; for less there are groups")
    if promotion.ends <= promotion.starts:
        raise _wrong(f"{field}.ends", "is not after its start", "give the moment it ends")
    if promotion.factor == 1 and not promotion.bonus:
        raise _wrong(field, "gives neither a factor nor a bonus", "give one of them")


def _check_currency(currency: str, field: str) -> None:
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise _wrong(field, f"{currency!r} is no currency", "use three letters such as CNY")


def _check_amount(amount: Decimal, field: str, largest: Decimal = _LARGEST) -> None:
    if not amount.is_finite() or not 0 <= amount <= largest or _decimals(amount) > 6:
        raise _wrong(field, f"is {amount}", f"give a number from 0 to {largest} with at most six decimals")


def _decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _wrong(field: str, reason: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{field} {reason}", field=field, remedy=remedy)


def in_force(versions: Sequence[tuple[datetime, int, Rules]], at: datetime) -> tuple[int, Rules]:
    """The version that holds at a moment, 0 and no rules before the first.

    Args:
        versions: valid_from, number, rules; in any order.
    """
    holding = [each for each in versions if each[0] <= at]
    if not holding:
        return 0, NO_RULES
    _, version, rules = max(holding, key=lambda each: each[0])
    return version, rules
