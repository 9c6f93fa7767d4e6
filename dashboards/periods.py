"""The ranges of days a reader may choose, and what each is compared with. Pure.

A single day is compared with the same weekday a week earlier, and today only up to the same minute; longer ranges with
the days just before them. They end yesterday: an unfinished day in them would read as a fall.
"""

from dataclasses import dataclass
from typing import Final

from dashboards.i18n import N_
from server.kpi.answers.question import Compare

DEFAULT: Final = "7d"


@dataclass(frozen=True, slots=True)
class Choice:
    """A range a reader can choose.

    Attributes:
        days: how many.
        back: how many days before a store's own today the last of them lies.
        compare: the report's name for what it is compared with; `versus` says it in words.
    """

    label: str
    days: int
    back: int
    compare: Compare
    versus: str


CHOICES: Final = {
    "today": Choice(N_("Today"), 1, 0, "last_week", N_("the same weekday last week")),
    "yesterday": Choice(N_("Yesterday"), 1, 1, "last_week", N_("the same weekday a week before")),
    "7d": Choice(N_("7 days"), 7, 1, "previous_period", N_("the 7 days before")),
    "30d": Choice(N_("30 days"), 30, 1, "previous_period", N_("the 30 days before")),
    "90d": Choice(N_("90 days"), 90, 1, "previous_period", N_("the 90 days before")),
}
