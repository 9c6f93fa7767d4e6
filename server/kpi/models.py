"""What passes between the parts of the KPI package, and from it to pages and exports.

Everything a KPI is made of is in `Facts`, and every field of `Facts` can be added: hours add up to days, days to
months, stores to the chain. A ratio is made last, from the sums. The trap this shape avoids is the mean of ratios,
which gives a corner shop's quiet Monday the weight of a flagship's Saturday. What can't be added (how many people are
inside) is kept apart in `Occupancy`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final

#: Stable codes for why a value is not given.
COVERAGE_BELOW_THRESHOLD: Final = "coverage_below_threshold"
NO_VISITORS: Final = "no_visitors"
NO_RECEIPTS: Final = "no_receipts"
NO_TRANSACTIONS: Final = "no_transactions"
NO_PASSERS_BY: Final = "no_passers_by"
NO_GROUPS: Final = "no_groups"
NO_ROSTER: Final = "no_roster"
NO_STAFF_HOURS: Final = "no_staff_hours"
NO_CHECK_INS: Final = "no_check_ins"
NO_MEMBERS: Final = "no_members"
CLOSED: Final = "closed"
NO_CAMERAS: Final = "no_cameras"
TOO_EARLY: Final = "too_early"
DRIFT_TOO_LARGE: Final = "drift_too_large"
NOT_ADDITIVE: Final = "not_additive"
MIXED_CURRENCIES: Final = "mixed_currencies"
NO_DATA: Final = "no_data"
#: Stable codes for what a reader should know of a value that is given.
TRANSACTIONS_EXCEED_VISITORS: Final = "transactions_exceed_visitors"
TRANSACTIONS_EXCEED_GROUPS: Final = "transactions_exceed_groups"

ZERO: Final = Decimal(0)

#: By audit (number of its correction), in that order, thousandths of an entry.
AuditErrors = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What happened in a store in a quarter hour, or the sum of that over any set of quarter hours.

    Camera time is in milliseconds weighted by door, so that it adds up without rounding; its weights average one.
    "Matched" sums are over the quarter hours in which both sides were observed: the doors to the store's threshold,
    the tills at all that day. Money is in the store's currency. Crossings are as corrected: those of excluded quarter
    hours left out, the rest times the audited factor of their line, in whole people.

    Attributes:
        open_quarters: quarter hours of opening time begun so far.
        entries: crossings inwards on door lines within opening hours, all classes; `exits` likewise outwards.
        groups: buying groups that entered, staff aside.
        passers_by: crossings of street lines within opening hours, both directions.
        all_in: entries whether open or not, for the occupancy; `all_out` likewise.
        camera_quarters: open quarter hours times door cameras installed; none means that nobody could look.
        due_ms: what the door cameras should have watched.
        observed_ms: what they did watch.
        required_ms: what they had to watch for the store's coverage threshold.
        till_quarters: open quarter hours of days on which the tills reported anything.
        sales_squares: sum of squared receipt totals, for the spread of the average; `units_squares` likewise.
        refunds: paid back, as a positive amount.
        other_transactions: of the matched transactions those without a member, on days on which the store takes
            check-ins; `other_visitors` the matched visitors of those days less the members who were seen.
        capture_entries: entries over quarter hours in which doors and street were both observed.
        staff_entries: tagged ones and `staff_estimated`, those expected beyond them from staff hours and the rate.
        counted_entries: what the cameras counted within opening hours, before any correction; `counted_exits` likewise.
        excluded_quarters: open quarter hours of which some line was excluded; `excluded_entries` what it had counted.
        entries_error: what audits leave open of `entries`, in thousandths of an entry: their standard errors added up,
            which is more than all of them leave open together.
        rostered_quarters: open quarter hours of days whose roster is known.
        staff_seconds: of staff on the floor within opening hours.
        star_visitors: visitors over rostered quarter hours with the doors observed; `star_seconds` the staff's.
        dwell_quarters: open quarter hours of days whose occupancy can be believed, excluded ones aside.
        dwell_visitors: visitors of those, as counted; `dwell_seconds` the area under their number inside.
        checkin_quarters: open quarter hours of days on which the store takes check-ins.
        member_visits: distinct members seen in the store on such a day; `member_buyers` those who bought.
        power_milli: share of the week that power hours hold, in thousandths, times open quarter hours.
        imputed_quarters: quarter hours of which some camera time was missing and other weeks told what to expect.
        imputed_entries: expected in that time, counted nowhere else; `imputed_visitors` likewise.
        imputed_seconds: how much camera time that was, weighted as `due_ms`.
        audit_errors: by audit (number of its correction), in that order, its part of `entries_error`. One audit's error
            is the same every day and adds up; what several leave open together says `figures.widening`.
    """

    open_quarters: int = 0
    entries: int = 0
    exits: int = 0
    staff_entries: int = 0
    child_entries: int = 0
    groups: int = 0
    passers_by: int = 0
    all_in: int = 0
    all_out: int = 0
    camera_quarters: int = 0
    due_ms: int = 0
    observed_ms: int = 0
    required_ms: int = 0
    street_quarters: int = 0
    till_quarters: int = 0
    transactions: int = 0
    gross_sales: Decimal = ZERO
    sales_squares: Decimal = ZERO
    units: Decimal = ZERO
    units_squares: Decimal = ZERO
    refund_count: int = 0
    refunds: Decimal = ZERO
    member_transactions: int = 0
    member_sales: Decimal = ZERO
    member_squares: Decimal = ZERO
    matched_quarters: int = 0
    matched_visitors: int = 0
    matched_groups: int = 0
    matched_transactions: int = 0
    matched_sales: Decimal = ZERO
    matched_squares: Decimal = ZERO
    other_transactions: int = 0
    other_visitors: int = 0
    capture_quarters: int = 0
    capture_entries: int = 0
    capture_passers_by: int = 0
    counted_entries: int = 0
    counted_exits: int = 0
    excluded_quarters: int = 0
    excluded_entries: int = 0
    staff_estimated: int = 0
    entries_error: int = 0
    rostered_quarters: int = 0
    staff_seconds: int = 0
    star_visitors: int = 0
    star_seconds: int = 0
    dwell_quarters: int = 0
    dwell_visitors: int = 0
    dwell_seconds: int = 0
    checkin_quarters: int = 0
    member_visits: int = 0
    member_buyers: int = 0
    power_milli: int = 0
    imputed_quarters: int = 0
    imputed_entries: int = 0
    imputed_visitors: int = 0
    imputed_seconds: int = 0
    audit_errors: AuditErrors = ()

    @classmethod
    def total(cls, parts: "Iterable[Facts]") -> "Facts":
        """The sum of the parts, field by field."""
        summed = [part for part in parts if part is not EMPTY]
        if not summed:
            return EMPTY
        sums = map(sum, zip(*map(_fields, summed), strict=True))
        errors = errors_together(part.audit_errors for part in summed if part.audit_errors)
        return cls(*(*sums, errors))  # type: ignore[arg-type]  # one type a field

    @property
    def visitors(self) -> int:
        """Entries less staff entries."""
        return self.entries - self.staff_entries

    @property
    def net_sales(self) -> Decimal:
        """Gross sales less refunds, each on its own day."""
        return self.gross_sales - self.refunds

    @property
    def coverage(self) -> float | None:
        """Share of the due camera time that was watched, 0 to 1; None when none was due."""
        return self.observed_ms / self.due_ms if self.due_ms else None

    @property
    def is_covered(self) -> bool:
        """Whether what was watched reaches the threshold."""
        return self.due_ms > 0 and self.observed_ms >= self.required_ms

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it at all."""
        return not any(_fields(self))


def errors_together(parts: Iterable[AuditErrors]) -> AuditErrors:
    """Errors by audit, added up audit by audit."""
    found: Counter[int] = Counter()
    for part in parts:
        found.update(dict(part))
    return tuple(sorted(found.items()))


#: What adds up as a number.
FACT_NAMES: Final = tuple(item.name for item in fields(Facts) if item.name != "audit_errors")
_fields: Final = attrgetter(*FACT_NAMES)
#: What happens in most quarter hours of the night; one object, so that sums can pass over it.
EMPTY: Final = Facts()


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many people are inside at the end of a period.

    Attributes:
        now: never below zero: when more have left than came in, those who left had been missed coming in.
        peak: the most at the end of any quarter hour of the period.
        drift: people missed so far this business day, by the reasoning of `now`; on a finished day also those who
            never left.
    """

    now: int = 0
    peak: int = 0
    drift: int = 0


@dataclass(frozen=True, slots=True)
class QuarterFacts:
    """One quarter hour: its UTC start, whether the store is open, and what happened."""

    start: datetime
    is_open: bool
    facts: Facts
    occupancy: Occupancy


@dataclass(frozen=True, slots=True)
class HourFacts:
    """One hour of the store's clock.

    Attributes:
        start: UTC; not always on a UTC hour (Kathmandu), see `StoreHour`.
        local: the same instant on the store's clock.
        is_open: whether the store is open in any part of it.
    """

    start: datetime
    local: datetime
    is_open: bool
    facts: Facts
    occupancy: Occupancy


@dataclass(frozen=True, slots=True)
class DayFacts:
    """One business day of one store.

    Attributes:
        start: first instant (UTC); `end` is the first after it.
        as_of: facts up to here are in it (UTC); `end` for a finished day.
        is_over: whether the business day had ended at `as_of`.
    """

    store_id: str
    day: date
    start: datetime
    end: datetime
    as_of: datetime
    is_over: bool
    facts: Facts
    occupancy: Occupancy
    hours: tuple[HourFacts, ...]
    quarters: tuple[QuarterFacts, ...]


@dataclass(frozen=True, slots=True)
class HourSlot:
    """Visitors of one hour of the week, on the store's clock (weekday 0 = Monday)."""

    weekday: int
    hour: int
    visitors: int


@dataclass(frozen=True, slots=True)
class Period:
    """All that a KPI may read: the sums, and what can't be summed where the period has it."""

    facts: Facts
    occupancy: Occupancy | None = None
    profile: tuple[HourSlot, ...] | None = None


@dataclass(frozen=True, slots=True)
class KpiValue:
    """A KPI's answer for one period.

    Attributes:
        value: None when withheld. Counts are int, ratios (0.25 is 25%) have six decimals, money two.
        unit: ``count``, ``ratio``, ``people``, ``hours``, ``minutes``, ``per_hour``, ``units`` or a currency (``CNY``).
        withheld: a stable code when there is no value.
        coverage: share of due camera time watched; None where no camera has a part in it, or none was due.
        low: lower end of the 95% interval, for ratios; `high` the upper.
        numerator: what was divided, also when withheld; None for what is no ratio.
        denominator: by what it was divided, also when withheld.
        threshold: coverage asked for, where one is.
        detail: anything more a reader needs, such as which hours are the power hours.
    """

    value: Decimal | int | None
    unit: str
    withheld: str | None = None
    coverage: float | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    numerator: Decimal | int | None = None
    denominator: Decimal | int | None = None
    threshold: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One group of a report.

    Attributes:
        key: the group's labels joined by ``/``; empty for the chain.
        labels: by dimension: ``{"store": "S01", "day": "2026-11-21"}``.
        values: by KPI slug.
        compare: the same for the period compared with; None when none was asked for.
        coverage: share of the due camera time watched in the whole group.
        periods: store-days in the group; store-hours where grouped by hours.
        as_of: facts up to here are in it (UTC). Grouped by hours it is the report's for all rows.
    """

    key: str
    labels: Mapping[str, str]
    values: Mapping[str, KpiValue]
    compare: Mapping[str, KpiValue] | None
    coverage: float | None
    periods: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """KPIs of stores over days.

    Attributes:
        rows: in order of their keys.
        total: all of them as one group.
        as_of: facts up to here are in it (UTC), or the moment at which it was answered so. Of few stores it is now; of
            many, whose running days are read as they were last kept, it is when the oldest of those was.
        answered_at: when it was asked (UTC).
        compared_from: first day of the period compared with; None when none was asked for.
        pending: store-days whose facts have changed and are not in the answer yet; of running ones, those of which
            nothing is kept; and where nothing has been computed yet of a day of the past, the day beside it, which is
            left out as well, so that like stands against like.
        missing: store-days that had no answer at the moment asked for, or whose hours of then are not kept.
    """

    store_ids: tuple[str, ...]
    kpis: tuple[str, ...]
    group_by: tuple[str, ...]
    day_from: date
    day_to: date
    compared_from: date | None
    compared_to: date | None
    as_of: datetime
    pending: int
    rows: tuple[ReportRow, ...]
    total: ReportRow
    answered_at: datetime
    missing: int = 0
