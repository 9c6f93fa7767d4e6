"""What a KPI is: one small class that says what it is called, what it reads and how its answer is made.

The rules they share live here once: when a value is withheld, in which order of reasons, and how figures are rounded.
The trap avoided is a page that works out "conversion" by itself and differs from the export in the third digit.
"""

from abc import ABC, abstractmethod
from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar, Literal

from server.kpi import models
from server.kpi.figures.interval import Interval
from server.kpi.models import Facts, KpiValue, Period

Unit = Literal["count", "ratio", "money", "people", "units", "hours", "minutes", "per_hour"]
RollUp = Literal["sum", "ratio of sums", "end of period", "hours of the week"]

_PLACES = {
    "ratio": Decimal("0.000001"),
    "money": Decimal("0.01"),
    "units": Decimal("0.001"),
    "minutes": Decimal("0.01"),
    "per_hour": Decimal("0.01"),
}


class Kpi(ABC):
    """One KPI.

    Attributes:
        slug: its name in addresses, exports and code; never changes.
        unit: `money` becomes the store's currency in a report.
        formula: in words; a page has it in the reader's language.
        needs: the fields of `Facts` it reads.
        rolls_up: how its value over several periods is made.
        coverage_bound: whether cameras have a part in it, so that its value carries a coverage.
        of_money: whether sums of money go into it, whatever its unit: amounts in two currencies make no share.
    """

    slug: ClassVar[str]
    unit: ClassVar[Unit]
    formula: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    rolls_up: ClassVar[RollUp]
    coverage_bound: ClassVar[bool] = True
    of_money: ClassVar[bool] = False

    @abstractmethod
    def of(self, period: Period) -> KpiValue:
        """Its value in a period, or why there is none."""


class Count(Kpi):
    """Something counted or added up: rolls up as a sum."""

    rolls_up = "sum"
    unit: ClassVar[Unit] = "count"

    @abstractmethod
    def amount(self, facts: Facts) -> int | Decimal:
        """The sum itself."""

    @abstractmethod
    def withheld(self, facts: Facts) -> str | None:
        """Why there is no answer, if there is none."""

    def of(self, period: Period) -> KpiValue:
        """The sum, or why there is none."""
        facts = period.facts
        code = self.withheld(facts)
        return KpiValue(
            value=None if code else rounded(self.amount(facts), self.unit),
            unit=self.unit,
            withheld=code,
            coverage=facts.coverage if self.coverage_bound else None,
        )


class Ratio(Kpi):
    """One sum over another: rolls up as a ratio of sums."""

    rolls_up = "ratio of sums"
    unit: ClassVar[Unit] = "ratio"
    #: Whether it is withheld while the coverage is below the store's threshold.
    needs_coverage: ClassVar[bool] = True

    @abstractmethod
    def numerator(self, facts: Facts) -> int | Decimal:
        """What is divided."""

    @abstractmethod
    def denominator(self, facts: Facts) -> int | Decimal:
        """By what; the value is withheld where it is 0."""

    @abstractmethod
    def withheld(self, facts: Facts) -> str | None:
        """Why there is no answer, if there is none; must give a code where the denominator is 0."""

    @abstractmethod
    def interval(self, facts: Facts) -> Interval | None:
        """The 95% interval; asked only where the denominator is above 0."""

    def of(self, period: Period) -> KpiValue:
        """The ratio with its interval, or why there is none; the figures behind it either way."""
        facts = period.facts
        code = self.withheld(facts)
        over, under = self.numerator(facts), self.denominator(facts)
        between = None if code else self.interval(facts)
        return KpiValue(
            value=None if code else rounded(Decimal(over) / under, self.unit),
            unit=self.unit,
            withheld=code,
            coverage=facts.coverage if self.coverage_bound else None,
            low=between[0] if between else None,
            high=between[1] if between else None,
            numerator=over,
            denominator=under,
            threshold=threshold(facts) if self.needs_coverage else None,
        )


def rounded(value: int | Decimal, unit: str) -> int | Decimal:
    """A value as it is shown: money to the cent, half a cent upwards; a ratio to six decimals; a count as it is."""
    places = _PLACES.get(unit)
    return value if places is None else Decimal(value).quantize(places, ROUND_HALF_UP)


def threshold(facts: Facts) -> float | None:
    """The coverage asked for: the stores' thresholds, weighted by what was due of each."""
    return round(facts.required_ms / facts.due_ms, 6) if facts.due_ms else None


def unseen(facts: Facts) -> str | None:
    """Why nothing could be counted at the doors, if so: the store is closed, or has no camera at a door."""
    if not facts.open_quarters:
        return models.CLOSED
    if not facts.camera_quarters:
        return models.NO_CAMERAS
    return None


def half_seen(facts: Facts) -> str | None:
    """Why a ratio over visitors can't be given, if so, as far as the cameras go."""
    if code := unseen(facts):
        return code
    if not facts.due_ms:
        return models.TOO_EARLY
    if not facts.is_covered:
        return models.COVERAGE_BELOW_THRESHOLD
    return None


def unsold(facts: Facts) -> str | None:
    """Why nothing can be said of sales, if so: the tills reported nothing, which is not the same as selling nothing."""
    if facts.till_quarters or facts.transactions or facts.refund_count:
        return None
    return models.NO_RECEIPTS if facts.open_quarters else models.CLOSED
