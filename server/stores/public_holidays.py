"""Public holidays of a country or a part of it, from libraries that know them; loaded when first asked for. Pure.

China moves working days about to make long weekends, and says so one year at a time: `chinesecalendar` has what was
announced, and where it ends `holidays` still knows the feasts themselves. What a library says can be wrong for a shop
(a local fair, a day announced last week), so whoever asks lays the chain's own word over it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final, Literal

DayKind = Literal["holiday", "workday", "ordinary"]
Source = Literal["library", "own"]
Language = Literal["zh", "en"]

#: As `holidays` writes them.
_SPELLED: Final[Mapping[Language, str]] = {"zh": "zh_CN", "en": "en_US"}

#: In a set of opening hours, the weekday that stands for a public holiday.
HOLIDAY: Final = 7


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day that is not as its weekday says.

    Attributes:
        kind: ``holiday``; ``workday``, a weekend day worked in exchange; or ``ordinary``, neither of them after all.
        source: who says so.
    """

    day: date
    kind: DayKind
    name: str
    source: Source = "library"


@lru_cache(maxsize=512)
def known(country: str, subdivision: str, year: int, language: Language = "en") -> Mapping[date, Holiday]:
    """What the libraries know of a year, by day; nothing of a country they don't know.

    Args:
        country: ISO 3166, two letters.
        subdivision: the part of it, such as BY; one they don't know is taken for the whole country.
        language: of the names, where a library has them in it; otherwise they are in English where it has that.
    """
    if country == "CN":
        announced = _announced_in_china(year, language)
        if announced:
            return announced
    import holidays

    found: Any
    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=year, language=_SPELLED[language])
    except NotImplementedError:
        if not subdivision:
            return {}
        return known(country, "", year, language)
    return {day: Holiday(day, "holiday", str(name)) for day, name in sorted(found.items()) if day.year == year}


def _announced_in_china(year: int, language: Language) -> dict[date, Holiday]:
    import chinese_calendar

    chinese = {each.value: each.chinese for each in chinese_calendar.Holiday} if language == "zh" else {}
    days = {
        day: Holiday(day, "holiday", str(chinese.get(name, name)))
        for day, name in chinese_calendar.holidays.items()
        if day.year == year
    }
    for day, name in chinese_calendar.workdays.items():
        if day.year == year:
            days[day] = Holiday(day, "workday", str(chinese.get(name, name)))
    return dict(sorted(days.items()))


def in_place(country: str, subdivision: str, own: Mapping[date, Holiday]) -> Callable[[date], bool]:
    """Whether a day is a public holiday there.

    Args:
        own: what the chain says itself; it goes before the libraries.
    """

    def is_holiday(day: date) -> bool:
        said = own.get(day) or known(country, subdivision, day.year).get(day)
        return said is not None and said.kind == "holiday"

    return is_holiday
