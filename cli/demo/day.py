"""One business day of one store: who came, when they left, who bought. Pure, and the same every time it is asked.

Times are microseconds since 1970 (UTC) in arrays: a day of the flagship is 3,000 crossings, and 90 days of five
stores would take a minute as objects.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cli.demo.chain import DemoStore
from cli.demo.story import Story, dice
from server.stores.calendar import StoreCalendar

Micros = NDArray[np.int64]
SECOND: Final = 1_000_000
_MINUTE: Final = 60 * SECOND
_PARTY_SIZES: Final = (1, 2, 3, 4)
_PARTY_SHARES: Final = (0.72, 0.2, 0.055, 0.025)
_MEAN_PARTY: Final = sum(size * share for size, share in zip(_PARTY_SIZES, _PARTY_SHARES, strict=True))
#: Share of people a camera misses, each way; it is why occupancy drifts by a person or two.
_MISSED: Final = 0.002


@dataclass(frozen=True, slots=True)
class Crossings:
    """People over the door line, in order of time; one entry an array element.

    Attributes:
        at: microseconds since 1970.
        inward: whether they came in.
        staff: whether they wear the tag of those who work there.
        track: number of the track; `opens` tells whether it opened a group.
    """

    at: Micros
    inward: NDArray[np.bool_]
    staff: NDArray[np.bool_]
    opens: NDArray[np.bool_]
    track: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    def where(self, chosen: NDArray[np.bool_]) -> "Crossings":
        """Those chosen."""
        return Crossings(
            self.at[chosen], self.inward[chosen], self.staff[chosen], self.opens[chosen], self.track[chosen]
        )

    def between(self, start: datetime, end: datetime) -> "Crossings":
        """Those from `start` up to, not including, `end`."""
        return self.where((self.at >= micros(start)) & (self.at < micros(end)))

    def outside(self, start: datetime, end: datetime) -> "Crossings":
        """Those before `start` or from `end` on."""
        return self.where((self.at < micros(start)) | (self.at >= micros(end)))


@dataclass(frozen=True, slots=True)
class Purchase:
    """Someone paid: when, and a number that is theirs within the day."""

    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class StoreDay:
    """What happened."""

    crossings: Crossings
    purchases: list[Purchase]


def micros(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return round(at.timestamp() * SECOND)


def moment(at: int) -> datetime:
    """The time (UTC) of microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def store_day(story: Story, store: DemoStore, calendar: StoreCalendar, day: date) -> StoreDay:
    """Make a day.

    Args:
        calendar: the store's, for its opening hours.
        day: the business day.
    """
    rng = dice(store, day, "day")
    parties = _parties(rng, story, store, calendar, day)
    sizes = rng.choice(_PARTY_SIZES, len(parties), p=_PARTY_SHARES).astype(np.int64)
    wished = rng.lognormal(np.log(store.stay_minutes) - 0.18, 0.6, len(parties)) * _MINUTE
    stays: Micros = np.clip(wished, 1.5 * _MINUTE, _latest(calendar, day, parties)).astype(np.int64)
    share = np.minimum(0.9, story.conversion(store, day) * sizes)
    buys = rng.random(len(parties)) < share
    paid = parties + (stays * rng.uniform(0.62, 0.94, len(parties))).astype(np.int64)
    return StoreDay(
        _crossings(rng, store, calendar, day, parties, sizes, stays),
        [Purchase(moment(int(paid[number])), int(number)) for number in np.flatnonzero(buys)],
    )


def _parties(rng: np.random.Generator, story: Story, store: DemoStore, calendar: StoreCalendar, day: date) -> Micros:
    """When each party comes in, in order."""
    arrivals: list[Micros] = []
    for start, end in calendar.open_spans(day):
        for quarter in range(micros(start), micros(end), 15 * _MINUTE):
            expected = 15 * story.visitors_per_minute(store, moment(quarter + 450 * SECOND)) / _MEAN_PARTY
            arrivals.append(quarter + rng.integers(0, 15 * _MINUTE, rng.poisson(expected)))
    found = np.sort(np.concatenate(arrivals)) if arrivals else np.empty(0, np.int64)
    return found.astype(np.int64)


def _latest(calendar: StoreCalendar, day: date, parties: Micros) -> Micros:
    """How long each party may stay at most: until shortly after the store closes."""
    limit = np.full(len(parties), 4 * 60 * _MINUTE, np.int64)
    for start, end in calendar.open_spans(day):
        within = (parties >= micros(start)) & (parties < micros(end))
        limit[within] = np.maximum(micros(end) + 4 * _MINUTE - parties[within], 2 * _MINUTE)
    return np.minimum(limit, 3 * 60 * _MINUTE)


def _crossings(
    rng: np.random.Generator,
    store: DemoStore,
    calendar: StoreCalendar,
    day: date,
    parties: Micros,
    sizes: NDArray[np.int64],
    stays: NDArray[np.int64],
) -> Crossings:
    people = int(sizes.sum())
    party = np.repeat(np.arange(len(parties)), sizes)
    place = np.arange(people) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    behind = place * (0.8 * SECOND) + rng.integers(0, SECOND // 2, people)
    coming = parties[party] + behind.astype(np.int64)
    going = parties[party] + stays[party] + (place * 1.1 * SECOND).astype(np.int64)
    staff_in, staff_out = _staff(rng, store, calendar, day)
    at = np.concatenate([coming, going, staff_in, staff_out])
    total = len(at)
    inward = np.zeros(total, bool)
    inward[:people] = True
    inward[2 * people : 2 * people + len(staff_in)] = True
    staff = np.arange(total) >= 2 * people
    opens = np.concatenate([place == 0, place == 0, np.ones(total - 2 * people, bool)])
    order = np.argsort(at, kind="stable")
    order = order[rng.random(total) >= _MISSED]
    made = Crossings(at[order], inward[order], staff[order], opens[order], np.arange(1, len(order) + 1))
    start, end = calendar.bounds(day)
    return made.between(start, end)


def _staff(rng: np.random.Generator, store: DemoStore, calendar: StoreCalendar, day: date) -> tuple[Micros, Micros]:
    """When those who work there come and go: shifts, and a meal outside."""
    coming: list[int] = []
    going: list[int] = []
    for start, end in calendar.open_spans(day):
        for number in range(store.staff):
            length = min(micros(end) - micros(start), 9 * 60 * _MINUTE)
            latest = micros(end) - length
            begin = micros(start) + (latest - micros(start)) * number // max(1, store.staff - 1)
            begin -= int(rng.integers(5, 25)) * _MINUTE
            finish = begin + length + int(rng.integers(15, 40)) * _MINUTE
            meal = begin + int(rng.uniform(0.38, 0.6) * (finish - begin))
            coming += [begin, meal + int(rng.integers(22, 45)) * _MINUTE]
            going += [meal, finish]
    return np.array(coming, np.int64), np.array(going, np.int64)
