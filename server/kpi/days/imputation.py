"""What is to be expected in camera time that was not watched, from the same quarter hour of other weeks. Pure.

An estimate stands beside a count and never in it: it says how much a gap may have cost, and no KPI adds it in. It
follows the gap ledger's rule, with the ledger's own numbers: the same weekday and quarter hour on the store's clock in
the four weeks before, watched long enough in at least two of them; where they can't tell, nothing is made up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Final

from server.ingest.gaps import LEAST_WEEKS, WATCHED_ENOUGH
from server.kpi.corrections.in_force import InForce

#: Tenths of a second: less than a minute missing of a quarter hour is not looked into. Frames that came a moment late
#: make a few tenths of every quarter hour, and would have all history read for nobody.
LEAST_MISSING: Final = 600


@dataclass(frozen=True, slots=True)
class PastRow:
    """What a line of a door counted in a quarter hour of another week; no row where its camera watched nothing.

    Attributes:
        day: the business day it is history for.
        tenths: tenths of a second its camera watched.
    """

    store_id: str
    day: date
    camera_id: str
    line_id: str
    quarter: datetime
    entries: int
    visitors: int
    tenths: int


@dataclass(frozen=True, slots=True)
class Past:
    """History for one business day.

    Attributes:
        same_times: for a quarter hour of the day, the same one of the weeks before.
        rows: what is known of those, excluded ones left out, by camera and quarter hour: one for each line.
    """

    same_times: Mapping[datetime, Sequence[datetime]] = field(default_factory=dict)
    rows: Mapping[tuple[str, datetime], Sequence[PastRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, same_times: Mapping[datetime, Sequence[datetime]], rows: Iterable[PastRow]) -> "Past":
        """Put rows in order."""
        by_camera: dict[tuple[str, datetime], list[PastRow]] = {}
        for row in rows:
            by_camera.setdefault((row.camera_id, row.quarter), []).append(row)
        return cls(same_times, by_camera)


@dataclass(frozen=True, slots=True)
class Expected:
    """People to expect in what was not watched of a quarter hour.

    Attributes:
        seconds: how much of it other weeks could tell of, weighted.
    """

    entries: Fraction = Fraction(0)
    visitors: Fraction = Fraction(0)
    seconds: Fraction = Fraction(0)


def expected(
    past: Past, corrections: InForce, quarter: datetime, missing: Mapping[str, int], weights: Mapping[str, int]
) -> Expected:
    """What to expect in a quarter hour.

    Args:
        missing: tenths of a second not watched, by door camera.
        weights: of door cameras, in hundredths.
    """
    entries = visitors = seconds = Fraction(0)
    for camera_id, tenths in missing.items():
        weeks = [past.rows.get((camera_id, at), ()) for at in past.same_times.get(quarter, ())]
        told = [rows for rows in weeks if rows and rows[0].tenths >= WATCHED_ENOUGH]
        if len(told) < LEAST_WEEKS:
            continue
        share = Fraction(tenths, sum(rows[0].tenths for rows in told))
        for row in (row for rows in told for row in rows):
            audit = corrections.audit(row.line_id)
            factor = share * Fraction(audit.factor) if audit else share
            entries += factor * row.entries
            visitors += factor * row.visitors
        seconds += Fraction(tenths * weights.get(camera_id, 100), 1000)
    return Expected(entries, visitors, seconds)


def is_worth_imputing(missing: Mapping[str, int]) -> bool:
    """Whether so many tenths of a second, by camera, are a gap at all."""
    return bool(missing) and max(missing.values()) >= LEAST_MISSING
