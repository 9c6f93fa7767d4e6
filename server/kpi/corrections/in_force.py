"""What a number is corrected by, and which of it is in force on a day. Pure.

A correction is a person's word against the camera's, so it has a name, a reason and a time of validity, and is never
changed: one that no longer holds is withdrawn and another made, or yesterday's answer could not be reproduced tomorrow.
What is in force is told for a moment too: a correction made since then was not in force then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import inf, sqrt
from typing import Final, Literal

from server.stores.calendar import QUARTER

CorrectionKind = Literal["staff_rate", "group_factor", "accuracy", "excluded"]
#: An audit that leaves a larger share open than this is none: it counted too few people to say anything.
LARGEST_ERROR: Final = 0.2


@dataclass(frozen=True, slots=True)
class Audit:
    """A hand count beside the counter's: of `counted` crossings `invented` never were; `missed` are not among them.

    Attributes:
        number: of its correction; what is corrected by one and the same audit errs together.
    """

    counted: int
    missed: int
    invented: int
    number: int = 0

    @property
    def factor(self) -> Decimal:
        """True crossings for each that was counted, to six decimals."""
        return (Decimal(self.counted + self.missed - self.invented) / self.counted).quantize(Decimal("0.000001"))

    @property
    def error(self) -> float:
        """Standard error of the factor.

        factor = 1 + (missed - invented) / counted. Misses and inventions are rare and independent, so each is taken as
        Poisson; with nothing known before, such a mean is left with variance n + 1 by a count of n (the posterior is a
        gamma distribution), so an audit without a mistake does not prove that there are none. The variance of the
        difference is (missed + invented + 2), and that of the factor this over counted squared.
        """
        return sqrt(self.missed + self.invented + 2) / self.counted

    @property
    def relative_error(self) -> float:
        """Standard error of the factor as a share of it; without end where nothing true was counted."""
        return self.error / float(self.factor) if self.factor > 0 else inf


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """A correction to be made.

    Attributes:
        reason: why, in words.
        store_id: None is the chain's default (staff_rate and group_factor only).
        day_from: first business day of its validity, each store's own; `day_to` the last, None: until further notice.
        value: of staff_rate: times an hour that a member of staff comes in; of group_factor: visitors to a group.
        line_id: of accuracy and excluded; None means all lines (accuracy: all door lines).
        audit: of accuracy.
        starts_at: of excluded (aware); `ends_at` is excluded from it. Widened to the quarter hours they lie in.
    """

    kind: CorrectionKind
    reason: str
    store_id: str | None = None
    day_from: date | None = None
    day_to: date | None = None
    value: Decimal | None = None
    line_id: str | None = None
    audit: Audit | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction as kept.

    Attributes:
        camera_id: of the line, None without one.
        value: of accuracy: the audit's factor; None for excluded.
        made_at: UTC, as all moments; `withdrawn_at` None while it stands.
    """

    correction_id: int
    store_id: str | None
    kind: CorrectionKind
    line_id: str | None
    camera_id: str | None
    day_from: date | None
    day_to: date | None
    starts_at: datetime | None
    ends_at: datetime | None
    value: Decimal | None
    counted: int | None
    missed: int | None
    invented: int | None
    reason: str
    made_by: str
    made_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawn_reason: str | None

    def holds_on(self, store_id: str, day: date) -> bool:
        """Whether a business day of a store lies in its validity; an excluded interval is asked by quarter hour."""
        if self.store_id not in (None, store_id) or self.day_from is None:
            return False
        return self.day_from <= day and (self.day_to is None or day <= self.day_to)

    def stood_at(self, moment: datetime) -> bool:
        """Whether it had been made by a moment, and not been withdrawn."""
        return self.made_at <= moment and (self.withdrawn_at is None or self.withdrawn_at > moment)


@dataclass(frozen=True, slots=True)
class Excluded:
    """Crossings of a line (None: of all lines) that are no visits, between two quarter hours (UTC)."""

    line_id: str | None
    camera_id: str | None
    starts_at: datetime
    ends_at: datetime

    def holds(self, quarter: datetime) -> bool:
        """Whether a quarter hour lies in it."""
        return self.starts_at < quarter + QUARTER and quarter < self.ends_at


@dataclass(frozen=True, slots=True)
class InForce:
    """The corrections of one store-day, each kind settled.

    Attributes:
        staff_rate: entries for each hour that a member of staff is on the floor; None where nobody said.
        group_factor: visitors to a buying group; None: groups are as the cameras formed them.
        audits: by line; None stands for every door line that has no audit of its own.
    """

    staff_rate: Decimal | None = None
    group_factor: Decimal | None = None
    audits: Mapping[str | None, Audit] = field(default_factory=dict)
    excluded: tuple[Excluded, ...] = ()

    def audit(self, line_id: str) -> Audit | None:
        """The audit in force of a door line."""
        return self.audits.get(line_id) or self.audits.get(None)

    def excludes_line(self, line_id: str, quarter: datetime) -> bool:
        """Whether what a line counted in a quarter hour is to be left out."""
        return any(each.line_id in (None, line_id) and each.holds(quarter) for each in self.excluded)

    def excludes_camera(self, camera_id: str, quarter: datetime) -> bool:
        """Whether what a camera watched in a quarter hour is to count as not watched."""
        return any(
            (each.line_id is None or each.camera_id == camera_id) and each.holds(quarter) for each in self.excluded
        )


NOTHING: Final = InForce()


def in_force(corrections: Iterable[Correction], store_id: str, day: date, bounds: tuple[datetime, datetime]) -> InForce:
    """What is in force on a store-day: a store's own before the chain's, then the later validity, then the later word.

    Args:
        corrections: those that stand, of any store and day.
        bounds: of the business day (UTC).
    """
    ranked = sorted(
        (each for each in corrections if each.holds_on(store_id, day)),
        key=lambda each: (each.store_id is not None, each.day_from or day, each.made_at, each.correction_id),
    )
    rates: dict[str, Decimal | None] = {each.kind: each.value for each in ranked if each.kind != "accuracy"}
    audits = {
        each.line_id: Audit(each.counted, each.missed, each.invented, each.correction_id)
        for each in ranked
        if each.counted is not None and each.missed is not None and each.invented is not None
    }
    start, end = bounds
    excluded = tuple(
        Excluded(each.line_id, each.camera_id, each.starts_at, each.ends_at)
        for each in corrections
        if each.store_id == store_id
        and each.starts_at is not None
        and each.ends_at is not None
        and each.starts_at < end
        and each.ends_at > start
    )
    if not ranked and not excluded:
        return NOTHING
    return InForce(rates.get("staff_rate"), rates.get("group_factor"), audits, excluded)


def quarters_around(starts_at: datetime, ends_at: datetime) -> tuple[datetime, datetime]:
    """The quarter hours an interval lies in: the roll-up knows no less, and outlives the raw rows."""
    start = starts_at - _into_quarter(starts_at)
    into = _into_quarter(ends_at)
    return start, ends_at - into + (QUARTER if into else timedelta(0))


def _into_quarter(at: datetime) -> timedelta:
    return timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
