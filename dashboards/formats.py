"""Numbers, money, shares, dates and times as a reader of one language writes them.

Every figure on a page goes through here, whether it was rendered by the server or pushed to an open page, so the same
value can never stand in two forms. Dates are given in the store's own time zone, which the caller names: a formatter
that guesses the reader's zone shows a shop in Urumqi the wrong day.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale as BabelLocale
from babel import dates, numbers

from server.access.models import Locale

Number = Decimal | int | float
#: What stands where there is nothing to show.
NOTHING: Final = "—"
#: Both begin their week on a Monday, as the ISO weeks of reports and the lists of weekdays do. A locale that begins it
#: on another day needs those to ask `Formats.babel.first_week_day` first, and a test says so.
_BABEL: Final[dict[Locale, str]] = {"zh": "zh_Hans_CN", "en": "en_GB"}
#: Skeletons Babel has no short name for, by language.
_DAY: Final[dict[Locale, str]] = {"zh": "M月d日", "en": "d MMM"}
_WEEKDAY_DAY: Final[dict[Locale, str]] = {"zh": "M月d日 EEE", "en": "EEE d MMM"}
_LONG: Final[dict[Locale, str]] = {"zh": "y年M月d日 EEEE", "en": "EEEE d MMMM y"}
_PLAIN: Final[dict[Locale, str]] = {"zh": "y-MM-dd", "en": "d MMM y"}
#: Inside one chain everyone knows the currency; its short sign keeps columns narrow.
_SIGNS: Final = {"CNY": "¥", "HKD": "HK$", "TWD": "NT$", "SGD": "S$", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "JP¥"}
#: One of the last place, by how many places there are.
_PLACES: Final = tuple(Decimal(1).scaleb(-digits) for digits in range(8))


@lru_cache(maxsize=20_000)
def _written(rounded: Decimal, digits: int, locale: Locale) -> str:
    """A page has hundreds of numbers, mostly those it had when somebody last looked; writing one takes long."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return str(numbers.format_decimal(rounded, format=pattern, locale=_BABEL[locale]))


@lru_cache(maxsize=5_000)
def _dated(day: date, pattern: str, locale: Locale) -> str:
    """The same few weeks stand on a page several times, and on all pages."""
    return str(dates.format_date(day, pattern, locale=_BABEL[locale]))


@dataclass(frozen=True, slots=True)
class Delta:
    """A change as a reader sees it: which way, and how much."""

    direction: Literal["up", "down", "flat"]
    text: str


@dataclass(frozen=True, slots=True)
class Formats:
    """Formatting for one language."""

    locale: Locale

    @property
    def babel(self) -> BabelLocale:
        """Babel's locale of this language."""
        return BabelLocale.parse(_BABEL[self.locale])

    def number(self, value: Number | None, digits: int = 0) -> str:
        """A plain number with grouping, rounded half up to `digits` places."""
        if value is None:
            return NOTHING
        return _written(_rounded(value, digits), digits, self.locale)

    def percent(self, share: Number | None, digits: int = 1) -> str:
        """A share of one as per cent: 0.1234 is 12.3%."""
        return NOTHING if share is None else self.number(_decimal(share) * 100, digits) + "%"

    def money(self, value: Number | None, currency: str, digits: int | None = None) -> str:
        """An amount with its sign; without `digits`, two places under 100 and none above."""
        if value is None:
            return NOTHING
        exact = _decimal(value)
        places = digits if digits is not None else (2 if abs(exact) < 100 else 0)
        amount = self.number(abs(exact), places)
        minus = "-" if _rounded(exact, places) < 0 else ""
        return f"{minus}{_SIGNS.get(currency, currency + ' ')}{amount}"

    def change(self, now: Number | None, before: Number | None) -> Delta | None:
        """Relative change in per cent; None when there is nothing to compare with, as a day of refunds only."""
        if now is None or before is None or before <= 0:
            return None
        return self._delta((_decimal(now) - _decimal(before)) / _decimal(before) * 100, "%")

    def points(self, now: Number | None, before: Number | None) -> Delta | None:
        """Change between two shares, in percentage points."""
        if now is None or before is None:
            return None
        unit = " 百分点" if self.locale == "zh" else " pp"
        return self._delta((_decimal(now) - _decimal(before)) * 100, unit)

    def _delta(self, amount: Decimal, unit: str) -> Delta:
        rounded = _rounded(amount, 1)
        if rounded == 0:
            return Delta("flat", f"0{unit}")
        sign = "+" if rounded > 0 else "-"
        # Beyond a thousand per cent the tenths are noise and the width hurts.
        text = self.number(abs(rounded), 0 if abs(rounded) >= 100 else 1)
        return Delta("up" if rounded > 0 else "down", f"{sign}{text}{unit}")

    def day(self, day: date) -> str:
        """Month and day: ``11月3日``, ``3 Nov``."""
        return _dated(day, _DAY[self.locale], self.locale)

    def weekday_day(self, day: date) -> str:
        """Month, day and weekday, short."""
        return _dated(day, _WEEKDAY_DAY[self.locale], self.locale)

    def weekday(self, day: date) -> str:
        """The weekday, short."""
        return _dated(day, "EEE", self.locale)

    def long_day(self, day: date) -> str:
        """The whole date with its weekday."""
        return _dated(day, _LONG[self.locale], self.locale)

    def plain_day(self, day: date) -> str:
        """Year, month and day, for lists."""
        return _dated(day, _PLAIN[self.locale], self.locale)

    def local_day(self, at: datetime, zone: str) -> str:
        """The date an instant falls on in `zone`, for lists."""
        return self.plain_day(at.astimezone(ZoneInfo(zone)).date())

    def days(self, first: date, last: date) -> str:
        """A span of days, both included; one day when they are the same."""
        if first == last:
            return self.weekday_day(first)
        return f"{self.day(first)} – {self.day(last)}"

    def clock(self, at: datetime, zone: str, *, seconds: bool = False) -> str:
        """The time of day in `zone`, on 24 hours."""
        return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S" if seconds else "%H:%M")

    def ago(self, span: timedelta) -> str:
        """How long ago something was, in words: ``3 minutes ago``."""
        return dates.format_timedelta(-span, add_direction=True, locale=self.babel)


def _decimal(value: Number) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _rounded(value: Number, digits: int) -> Decimal:
    return _decimal(value).quantize(_PLACES[digits], rounding=ROUND_HALF_UP)
