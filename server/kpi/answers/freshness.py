"""Which store-days a question has computed on the spot, which are read as they were kept, and how old those are. Pure.

A few stores are told to the minute: their running day, the day beside it cut at the same minute, and whatever was
changed and not joined yet. Of a chain that would take as long as computing all of it, so no question has more than
`MOST_ON_THE_SPOT` store-days computed. Beyond that, running days are read as the jobs process last kept them, together
with the day beside them as it was cut then, and the answer says of which moment the oldest of them is. What somebody
has just said of a number (a correction, opening hours, a roster) goes before what machines send: whoever said it looks
whether it worked.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

#: At most so many store-days are computed for one question: half a second.
MOST_ON_THE_SPOT: Final = 100
#: A running day's row is as good as computing it while it is younger than this and nothing has come since.
FRESH_FOR: Final = timedelta(seconds=60)
#: Why hours are marked where no person said anything.
BY_MACHINES: Final = ("ingest", "receipt", "check_in", "dead_letter", "repair", "learnt", "migration")

StoreDay = tuple[str, date]


@dataclass(slots=True)
class Allowance:
    """How many store-days may still be computed for a question."""

    left: int = MOST_ON_THE_SPOT

    def take(self, number: int) -> bool:
        """Use some of it up, or nothing when there isn't so much."""
        if number > self.left:
            return False
        self.left -= number
        return True


@dataclass(frozen=True, slots=True)
class Running:
    """A row of a day that was still running when it was computed.

    Attributes:
        computed_at: UTC.
        has_beside: whether the day a week before is kept beside it, up to the same minute.
    """

    computed_at: datetime
    has_beside: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """A running store-day of a question.

    Attributes:
        beside: the earlier day that it is compared with, None when with none.
        row: as it was kept; None: it wasn't.
        marked: whether something has changed since; `said` whether somebody said so, of either day.
    """

    store_day: StoreDay
    beside: StoreDay | None
    row: Running | None
    marked: bool
    said: bool

    @property
    def cost(self) -> int:
        """Store-days to compute."""
        return 1 if self.beside is None else 2


@dataclass(frozen=True, slots=True)
class Late:
    """A store-day of the past whose kept row is not what would be computed now.

    Attributes:
        row: of a day that nobody has computed since it was over.
    """

    store_day: StoreDay
    marked: bool
    said: bool
    row: Running | None = None


@dataclass(slots=True)
class Chosen:
    """What becomes of a question's store-days.

    Attributes:
        computed: on the spot, with the days beside them.
        kept: running days that are read as they were kept, and when that was.
        late: of the past, computed on the spot.
        as_of: of the past, read although they were still running when they were computed.
        unknown: running days of which nothing is kept and nothing is computed: neither they nor the days beside them
            may be counted.
        unread: of the past, changed and not computed for it; some have no row at all.
        apart: of each period, the one asked for first, days that are known and left out, because nothing is known yet
            of the day that they stand beside.
        pending: changed or unknown, and not in the answer, and those that are left out beside them.
    """

    computed: list[Unit] = field(default_factory=list)
    kept: list[Unit] = field(default_factory=list)
    late: set[StoreDay] = field(default_factory=set)
    as_of: dict[StoreDay, datetime] = field(default_factory=dict)
    unknown: list[Unit] = field(default_factory=list)
    unread: set[StoreDay] = field(default_factory=set)
    apart: tuple[set[StoreDay], set[StoreDay]] = field(default_factory=lambda: (set(), set()))
    pending: int = 0


def choose(units: list[Unit], late: list[Late], allowance: Allowance, now: datetime, *, keeps_beside: bool) -> Chosen:
    """What is computed on the spot and what is read.

    Args:
        units: running days; `late` days of the past.
        keeps_beside: whether what is kept beside a running day is what it is to be compared with.
    """
    chosen = Chosen()
    stale = [unit for unit in units if not _is_fresh(unit, now, keeps_beside=keeps_beside)]
    fresh = {unit.store_day for unit in units} - {unit.store_day for unit in stale}
    chosen.kept = [unit for unit in units if unit.store_day in fresh]
    if allowance.take(sum(unit.cost for unit in stale)):
        chosen.computed = stale
    else:
        for unit in sorted(stale, key=lambda unit: (not unit.said, unit.row is not None, unit.store_day)):
            if (unit.said or unit.row is None) and allowance.take(unit.cost):
                chosen.computed.append(unit)
            elif unit.row is not None:
                chosen.kept.append(unit)
            else:
                chosen.unknown.append(unit)
                chosen.pending += 1
    # The latest day first, behind what somebody has just said: it is looked at most.
    for each in sorted(late, key=lambda each: (each.said, each.store_day[1], each.store_day[0]), reverse=True):
        if allowance.take(1):
            chosen.late.add(each.store_day)
            continue
        chosen.pending += int(each.marked)
        if each.row is None:
            chosen.unread.add(each.store_day)
        else:
            chosen.as_of[each.store_day] = each.row.computed_at
    return chosen


def _is_fresh(unit: Unit, now: datetime, *, keeps_beside: bool) -> bool:
    row = unit.row
    if row is None or unit.marked or unit.said or not now - FRESH_FOR < row.computed_at <= now:
        return False
    return unit.beside is None or (keeps_beside and row.has_beside)
