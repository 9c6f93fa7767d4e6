"""The ranges of days a reader may choose, and the period each is compared with. Pure.

A range of whole weeks is compared with the weeks before it, so that Saturdays meet Saturdays; a single day with the same
weekday a week earlier. Comparing thirty days with the thirty before would set five weekends against four.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from dashboards.i18n import N_

DEFAULT: Final = "7d"


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included, and the days to compare with.

    Attributes:
        versus: what it is compared with, in words.
    """

    first: date
    last: date
    before_first: date
    before_last: date
    versus: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A range a reader can choose.

    Attributes:
        days: how many.
        back: how many days before today the last of them lies.
        shift: how many days earlier the period compared with lies; whole weeks.
    """

    label: str
    days: int
    back: int
    shift: int
    versus: str


CHOICES: Final = {
    "today": Choice(N_("Today"), 1, 0, 7, N_("the same weekday last week")),
    "yesterday": Choice(N_("Yesterday"), 1, 1, 7, N_("the same weekday a week before")),
    "7d": Choice(N_("7 days"), 7, 1, 7, N_("the 7 days before")),
    "30d": Choice(N_("30 days"), 30, 1, 35, N_("the same weekdays five weeks before")),
    "90d": Choice(N_("90 days"), 90, 1, 91, N_("the same weekdays 13 weeks before")),
}


def period_of(choice: Choice, today: date) -> Period:
    """The days of a choice, seen from a business day.

    Ranges of several days end yesterday: an unfinished day in them would read as a fall.
    """
    last = today - timedelta(days=choice.back)
    first = last - timedelta(days=choice.days - 1)
    shift = timedelta(days=choice.shift)
    return Period(first, last, first - shift, last - shift, choice.versus)
