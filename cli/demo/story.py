"""What happened in the demo's past, and how many people that brought to a store at any hour. Pure.

Both the history and the simulated boxes of the present ask here, so that yesterday and today have one shape. Chance
is drawn from the store and the day alone: the same day comes out the same whenever it is made, which lets a later run
fill the hours between without contradicting what is there.
"""

import functools
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from cli.demo.chain import STORES, TIMEZONE, DemoStore

_ZONE: Final = ZoneInfo(TIMEZONE)


@dataclass(frozen=True, slots=True)
class Days:
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Outage:
    """A camera that saw nothing from `start` to `end` (UTC), and why."""

    store_id: str
    start: datetime
    end: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Story:
    """The past as it stands before `today`, a date on the stores' clocks.

    Attributes:
        promotion: a week of it, in all stores.
        rain: a wet spell, in the stores of `rain_stores`.
        outages: hours a camera was away.
    """

    today: date

    @property
    def promotion(self) -> Days:
        """A members' week, some three weeks ago."""
        return Days(self.today - timedelta(days=24), self.today - timedelta(days=18))

    @property
    def rain(self) -> Days:
        """Four wet days, some ten days ago."""
        return Days(self.today - timedelta(days=12), self.today - timedelta(days=9))

    rain_stores: tuple[str, ...] = ("S01", "S05")

    @property
    def outages(self) -> tuple[Outage, ...]:
        """A box without power for an afternoon, and a camera behind a poster for a morning."""
        return (
            _outage("S03", self.today - timedelta(days=4), 13, 6.5, "offline"),
            _outage("S05", self.today - timedelta(days=33), 10, 3.0, "covered"),
            _outage("S02", self.today - timedelta(days=61), 2, 9.0, "offline"),
        )

    def factor(self, store: DemoStore, day: date) -> float:
        """A day's visitors against the store's ordinary day."""
        factor = store.weekdays[day.weekday()] * _season(day) * _luck(store, day)
        if _is_national_week(day):
            factor *= 1.42 if store.scene != "oblique" else 1.2
        if day in self.promotion:
            factor *= 1.22
        if day in self.rain and store.store_id in self.rain_stores:
            factor *= 0.66
        return factor

    def conversion(self, store: DemoStore, day: date) -> float:
        """Share of the day's visitors who buy: more in a promotion, fewer in a crush."""
        busy = self.factor(store, day)
        share = store.conversion * (1.0 - 0.13 * (busy - 1.0))
        if day in self.promotion:
            share *= 1.2
        return min(0.6, share)

    def visitors_per_minute(self, store: DemoStore, at: datetime) -> float:
        """People coming in a minute at an instant (aware), were the store open then."""
        local = at.astimezone(_ZONE)
        day = (local - timedelta(hours=4)).date()
        here = local.hour + local.minute / 60 - 0.5
        low = math.floor(here)
        # Between the middles of two hours the weight slides from one to the other.
        weight = store.hours[low % 24] * (1 - (here - low)) + store.hours[(low + 1) % 24] * (here - low)
        if store.hours[local.hour] == 0:
            weight = 0.0
        return store.visitors * self.factor(store, day) * weight / sum(store.hours) / 60


def _season(day: date) -> float:
    """The slow swell of a year, highest in December."""
    return 1.0 + 0.09 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 350) / 365)


def _is_national_week(day: date) -> bool:
    return day.month == 10 and day.day <= 7


@functools.lru_cache(maxsize=4096)
def _luck(store: DemoStore, day: date) -> float:
    return float(dice(store, day, "luck").lognormal(0.0, 0.07))


def dice(store: DemoStore, day: date, purpose: str) -> np.random.Generator:
    """Chance that belongs to one store, day and purpose alone."""
    return np.random.default_rng([STORES.index(store), day.toordinal(), *purpose.encode()])


def _outage(store_id: str, day: date, hour: int, hours: float, state: str) -> Outage:
    start = datetime(day.year, day.month, day.day, hour, tzinfo=_ZONE).astimezone(UTC)
    return Outage(store_id, start, start + timedelta(hours=hours), state)
