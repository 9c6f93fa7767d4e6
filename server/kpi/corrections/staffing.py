"""Staff on the floor, and how many of the entries were theirs. Pure.

A store's own people come and go all day. Where a badge or a uniform is seen, their crossings are tagged and known one
by one. Elsewhere a rate says how often an hour a member of staff comes in through counted doors, and the roster how
many hours there are. Where both speak, tags are a part of what the rate expects, so that nobody is taken off twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from server.kpi.rounding import Carried
from server.stores.calendar import QUARTER

_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class ShiftRow:
    """People rostered from one instant to another (UTC); without them the row says that the day's roster is known."""

    store_id: str
    day: date
    starts_at: datetime | None
    ends_at: datetime | None
    people: Decimal | None


@dataclass(frozen=True, slots=True)
class Roster:
    """A business day's roster; `is_known` is False where nobody entered one, which does not mean that nobody works."""

    is_known: bool = False
    shifts: tuple[tuple[datetime, datetime, Decimal], ...] = ()

    @classmethod
    def of(cls, rows: Sequence[ShiftRow]) -> "Roster":
        """From the rows of one day."""
        shifts = (
            (row.starts_at, row.ends_at, row.people)
            for row in rows
            if row.starts_at is not None and row.ends_at is not None and row.people is not None
        )
        return cls(bool(rows), tuple(shifts))

    def seconds(self, start: datetime, end: datetime) -> Fraction | int:
        """Seconds worked between two instants, by all people together."""
        total: Fraction | int = 0
        for begins, ends, people in self.shifts:
            if begins < end and start < ends:
                whole = int(people)
                both = int((min(end, ends) - max(start, begins)).total_seconds())
                # Shifts are of whole people but where a day's hours are spread over it.
                total += whole * both if whole == people else Fraction(people) * both
        return total


UNKNOWN: Final = Roster()


class Staff:
    """Staff of one day, asked quarter hour by quarter hour in order.

    Args:
        rate: entries an hour for each on the floor; None where nobody set one.
        until: the day is known up to here (UTC).
    """

    def __init__(self, roster: Roster, rate: Decimal | None, until: datetime) -> None:
        self._roster = roster
        self._rate = rate if roster.is_known else None
        self._until = until
        self._worked = Carried()
        self._expected = Carried()

    @property
    def is_rated(self) -> bool:
        """Whether entries are expected of staff by rate and roster."""
        return self._rate is not None

    def seconds(self, quarter: datetime) -> int:
        """Seconds worked in an open quarter hour."""
        return self._worked.add(self._roster.seconds(quarter, min(quarter + QUARTER, self._until)))

    def expected(self, quarter: datetime, share: Fraction) -> Fraction:
        """Entries of staff to expect in a share of a quarter hour, such as the share that was not watched."""
        if self._rate is None:
            return Fraction(0)
        worked = self._roster.seconds(quarter, min(quarter + QUARTER, self._until))
        return Fraction(worked) / _HOUR * Fraction(self._rate) * share

    def untagged(self, quarter: datetime, watched: Fraction, entries: int, tagged: int) -> int:
        """How many of the entries beyond the tagged ones are taken to be staff's.

        Args:
            watched: share of the quarter hour that was watched: who was not seen is not taken off.
            entries: all that came in.
            tagged: those of them known to be staff.
        """
        if self._rate is None:
            return 0
        return self._expected.add(self.expected(quarter, watched) - tagged, most=entries - tagged)
