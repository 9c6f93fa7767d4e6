"""What happens in a chain on a day, as it might: who comes when, who buys, what it comes to. Pure, and repeatable.

Counts follow a day with a noon and an evening, a week that ends in a weekend and a year that ends in December; stores
differ in size as stores do, a few large and many small. Each day is drawn from the seed and its own date alone, so
that a chain of ten days is the last ten days of a chain of a year, and days can be made in any order.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from cli.bench.binary import Ints, Mask

#: Quarter hours in which a store is open.
OPEN_QUARTERS: Final = 48
HOURS_OPEN: Final = OPEN_QUARTERS // 4
#: Hours after opening between which each shift works.
SHIFTS: Final = ((0, 8), (4, HOURS_OPEN))
#: PostgreSQL counts days and microseconds from here.
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
QUARTER_US: Final = 15 * 60 * 1_000_000
#: Regions with their timezones; a store is in the region of its number, modulo their number.
REGIONS: Final = (
    ("华东", "Asia/Shanghai"),
    ("华北", "Asia/Shanghai"),
    ("华南", "Asia/Shanghai"),
    ("华中", "Asia/Shanghai"),
    ("西南", "Asia/Shanghai"),
    ("西北", "Asia/Urumqi"),
    ("港澳", "Asia/Hong_Kong"),
    ("欧洲", "Europe/Berlin"),
)
#: Of Monday to Sunday.
_WEEK: Final = (0.82, 0.80, 0.84, 0.92, 1.08, 1.42, 1.32)
#: Somebody who came leaves so many quarter hours later, or at closing.
_STAY: Final = 2
#: Every so-manieth store has a camera that looks at the street, takes check-ins of members, or had its door audited.
#: No divisors of one another nor of the number of regions: every region has some of each.
_STREET_EVERY: Final = 7
_CHECKS_IN_EVERY: Final = 3
_AUDITED_EVERY: Final = 5
#: Visitors of an average day for each of staff on a shift.
_VISITORS_A_HEAD: Final = 300

Texts = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Shops:
    """The stores of a chain, one element each.

    Attributes:
        ids: as long as each other.
        opens: hour on the wall; they are open for `HOURS_OPEN` hours.
        size: visitors of an average day.
        buys: share of the visitors who buy.
        spends: median receipt (cents).
        staff: people on each shift.
    """

    ids: Texts
    region: Ints
    opens: Ints
    size: npt.NDArray[np.float64]
    buys: npt.NDArray[np.float64]
    spends: npt.NDArray[np.float64]
    staff: Ints
    street: Mask
    checks_in: Mask
    audited: Mask

    @property
    def count(self) -> int:
        """How many."""
        return len(self.ids)

    def names(self, suffix: str) -> Texts:
        """Their ids with something behind, such as ``-C1``."""
        return np.char.add(self.ids, suffix.encode())

    def openings(self, day: date) -> Ints:
        """When each opens on a day (microseconds since `EPOCH`)."""
        found = np.empty(self.count, dtype=np.int64)
        for region, (_, zone) in enumerate(REGIONS):
            for hour in (9, 10):
                at = datetime.combine(day, time(hour), ZoneInfo(zone))
                mine = (self.region == region) & (self.opens == hour)
                found[mine] = int((at - EPOCH).total_seconds()) * 1_000_000
        return found


@dataclass(frozen=True, slots=True)
class Receipts:
    """Receipts of a day in order of store and quarter hour; one element each.

    Attributes:
        slot: store times `OPEN_QUARTERS` plus quarter hour.
        at: microseconds since `EPOCH`.
        member: whether somebody known bought; nobody does twice a day.
        refund: money paid back at the till.
        pickup: a member fetched what was ordered online; neither sold nor refunded at the till.
    """

    slot: Ints
    at: Ints
    cents: Ints
    units: Ints
    member: Mask
    refund: Mask
    pickup: Mask

    @property
    def sale(self) -> Mask:
        """Rung up at the till."""
        made: Mask = ~(self.refund | self.pickup)
        return made


@dataclass(frozen=True, slots=True)
class Day:
    """One day of all stores. Counts are by store and quarter hour, and are what the cameras saw.

    Attributes:
        watched: whether the door's camera was there.
        crossed: by class and direction; nobody leaves before they came.
        groups: that entered, of the adults.
        passed: on the street, by direction; 0 where no camera looks at it.
    """

    day: date
    starts: Ints
    watched: Mask
    crossed: dict[tuple[str, str], Ints]
    groups: Ints
    passed: dict[str, Ints]
    receipts: Receipts


def shops(count: int, seed: int) -> Shops:
    """So many stores."""
    draw = np.random.default_rng([seed, count, 1])
    numbers = np.arange(1, count + 1)
    width = max(4, len(str(count)))
    opens = draw.choice(np.array([9, 10]), count)
    size = np.clip(draw.lognormal(np.log(260), 0.55, count), 40, 2500)
    return Shops(
        ids=np.array([f"S{number:0{width}d}".encode() for number in numbers], dtype=f"S{width + 1}"),
        region=numbers % len(REGIONS),
        opens=opens,
        size=size,
        buys=np.clip(draw.normal(0.24, 0.06, count), 0.06, 0.5),
        spends=draw.lognormal(np.log(12_000), 0.3, count),
        staff=1 + (size / _VISITORS_A_HEAD).astype(np.int64),
        street=numbers % _STREET_EVERY == 0,
        checks_in=numbers % _CHECKS_IN_EVERY == 0,
        audited=numbers % _AUDITED_EVERY == 0,
    )


def trade(chain: Shops, seed: int, day: date) -> Day:
    """What happens on a day."""
    draw = np.random.default_rng([seed, chain.count, day.toordinal()])
    shape = (chain.count, OPEN_QUARTERS)
    expected = (
        chain.size[:, None]
        * _profile(chain.opens)
        * (_WEEK[day.weekday()] * _season(day))
        * draw.lognormal(0, 0.12, (chain.count, 1))
    )
    came = {
        "adult": draw.poisson(expected * 0.92),
        "child": draw.poisson(expected * 0.08),
        "staff": draw.poisson(0.12, shape),
    }
    came["staff"][:, 0] += 1 + chain.staff
    receipts = _receipts(draw, chain, day, came["adult"])
    watched = _watched(draw, shape)
    crossed = {}
    for name, entered in came.items():
        crossed[name, "in"] = entered * watched
        crossed[name, "out"] = _left(entered) * watched
    on_street = expected * 9 * chain.street[:, None]
    return Day(
        day=day,
        starts=chain.openings(day)[:, None] + np.arange(OPEN_QUARTERS) * QUARTER_US,
        watched=watched,
        crossed=crossed,
        groups=crossed["adult", "in"] - draw.binomial(crossed["adult", "in"], 0.3),
        passed={"in": draw.poisson(on_street * 0.52), "out": draw.poisson(on_street * 0.48)},
        receipts=receipts,
    )


def _profile(opens: Ints) -> npt.NDArray[np.float64]:
    """How a store's visitors spread over its quarter hours: a noon and a higher evening. Sums to one."""
    clock = opens[:, None] + (np.arange(OPEN_QUARTERS) + 0.5) / 4
    weight = 0.15 + 0.7 * np.exp(-(((clock - 12.7) / 1.6) ** 2)) + np.exp(-(((clock - 18.4) / 2.1) ** 2))
    made: npt.NDArray[np.float64] = weight / weight.sum(axis=1, keepdims=True)
    return made


def _season(day: date) -> float:
    """A year with its most in December and a dent in summer."""
    turn = 2 * np.pi * (day.timetuple().tm_yday - 350) / 365
    return float(1 + 0.14 * np.cos(turn) + 0.05 * np.cos(2 * turn))


def _left(came: Ints) -> Ints:
    left = np.zeros_like(came)
    left[:, _STAY:] = came[:, :-_STAY]
    left[:, -1] += came[:, -_STAY:].sum(axis=1)
    return left


def _watched(draw: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """One store in fifty loses its camera for a while."""
    places = np.arange(shape[1])
    first = draw.integers(0, shape[1], (shape[0], 1))
    length = np.where(draw.random((shape[0], 1)) < 0.02, draw.geometric(0.12, (shape[0], 1)), 0)
    watched: Mask = (places < first) | (places >= first + length)
    return watched


def _receipts(draw: np.random.Generator, chain: Shops, day: date, adults: Ints) -> Receipts:
    sold = draw.binomial(adults, chain.buys[:, None]).ravel()
    refunded, fetched = draw.binomial(sold, 0.02), draw.binomial(sold, 0.05)
    each = np.arange(sold.size)
    slot = np.concatenate([np.repeat(each, counts) for counts in (sold, refunded, fetched)])
    place = np.arange(slot.size)
    pickup = place >= sold.sum() + refunded.sum()
    refund = (place >= sold.sum()) & ~pickup
    store = slot // OPEN_QUARTERS
    cents = np.maximum(100, chain.spends[store] * draw.lognormal(0, 0.6, slot.size)).astype(np.int64)
    opened = chain.openings(day)
    return Receipts(
        slot=slot,
        at=opened[store] + slot % OPEN_QUARTERS * QUARTER_US + draw.integers(0, QUARTER_US, slot.size),
        cents=cents,
        units=1 + draw.poisson(0.9, slot.size),
        member=pickup | ((draw.random(slot.size) < 0.34) & ~refund),
        refund=refund,
        pickup=pickup,
    )


def spread(draw: np.random.Generator, starts: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Counts by quarter hour as instants: each one's place in `counts` laid flat, and when it was."""
    flat: npt.NDArray[Any] = counts.ravel()
    place = np.repeat(np.arange(flat.size), flat)
    return place, starts.ravel()[place] + draw.integers(0, QUARTER_US, place.size)
