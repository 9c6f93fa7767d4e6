"""KPIs of the doors and the street: what cameras alone can tell."""

from decimal import Decimal

from server.kpi import models
from server.kpi.definition import Count, Kpi, Ratio, half_seen, rounded, unseen
from server.kpi.interval import Interval, ratio_of_counts
from server.kpi.models import Facts, HourSlot, KpiValue, Period

_COVERAGE = ("open_quarters", "camera_quarters", "due_ms", "observed_ms", "required_ms")
#: Share of the week's visitors that the power hours hold.
POWER_SHARE = Decimal("0.40")
#: Occupancy is withheld when more people than this were missed, and more than a tenth of those who came.
DRIFT_ALLOWED = 10


class _Counted(Count):
    """Counted at the doors. Not withheld for low coverage: it is what was seen, and its coverage stands beside it."""

    def withheld(self, facts: Facts) -> str | None:
        return unseen(facts)


class Entries(_Counted):
    """Everyone who came in while the store was open."""

    slug = "entries"
    formula = "crossings inwards on door lines, within opening hours"
    needs = ("entries", *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Entries of all classes."""
        return facts.entries


class Exits(_Counted):
    """Everyone who went out while the store was open."""

    slug = "exits"
    formula = "crossings outwards on door lines, within opening hours"
    needs = ("exits", *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Exits of all classes."""
        return facts.exits


class Visitors(_Counted):
    """Everyone who came in and might buy."""

    slug = "visitors"
    formula = "entries - staff entries"
    needs = ("entries", "staff_entries", *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Entries less those of staff."""
        return facts.visitors


class PassersBy(Count):
    """Everyone who walked past outside while the store was open."""

    slug = "passers_by"
    formula = "crossings of street lines, both directions, within opening hours"
    needs = ("passers_by", "street_quarters", *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Crossings of street lines."""
        return facts.passers_by

    def withheld(self, facts: Facts) -> str | None:
        """No camera looks at the street, or the store is closed."""
        if not facts.open_quarters:
            return models.CLOSED
        return None if facts.street_quarters else models.NO_CAMERAS


class CaptureRate(Ratio):
    """Of those who walked past, how many came in."""

    slug = "capture_rate"
    formula = "entries / passers-by, over the quarter hours in which doors and street were both observed"
    needs = ("capture_entries", "capture_passers_by", "street_quarters", *_COVERAGE)

    def numerator(self, facts: Facts) -> int:
        """Entries of the matched quarter hours."""
        return facts.capture_entries

    def denominator(self, facts: Facts) -> int:
        """Passers-by of the matched quarter hours."""
        return facts.capture_passers_by

    def withheld(self, facts: Facts) -> str | None:
        """The doors were not seen, or the street was not, or was empty."""
        if code := half_seen(facts):
            return code
        if not facts.street_quarters:
            return models.NO_CAMERAS
        return None if facts.capture_passers_by else models.NO_PASSERS_BY

    def interval(self, facts: Facts) -> Interval:
        """Those who enter need not pass the street line, so it may exceed 100%."""
        return ratio_of_counts(facts.capture_entries, facts.capture_passers_by)


class Coverage(Ratio):
    """How much of what should have been watched was watched."""

    slug = "coverage"
    formula = "observed / due camera seconds in opening hours, doors weighted by the traffic expected of each"
    needs = _COVERAGE
    needs_coverage = False

    def numerator(self, facts: Facts) -> Decimal:
        """Weighted seconds watched."""
        return Decimal(facts.observed_ms) / 1000

    def denominator(self, facts: Facts) -> int:
        """Weighted seconds due, as milliseconds (`of` turns both into seconds)."""
        return facts.due_ms

    def withheld(self, facts: Facts) -> str | None:
        """Nothing was due."""
        return unseen(facts) or (None if facts.due_ms else models.TOO_EARLY)

    def interval(self, facts: Facts) -> None:
        """None: it is measured, not sampled."""

    def of(self, period: Period) -> KpiValue:
        """Observed over due, both in seconds."""
        facts = period.facts
        code = self.withheld(facts)
        return KpiValue(
            value=None if code else rounded(Decimal(facts.observed_ms) / facts.due_ms, self.unit),
            unit=self.unit,
            withheld=code,
            coverage=facts.coverage,
            numerator=self.numerator(facts),
            denominator=Decimal(facts.due_ms) / 1000,
            threshold=None if code else facts.required_ms / facts.due_ms,
        )


class OccupancyNow(Kpi):
    """How many people are inside at the end of the period; now, for today."""

    slug = "occupancy"
    unit = "people"
    formula = "all crossings in - out since the business day began; never below zero, what was missed is its drift"
    needs = ("all_in", "all_out", "camera_quarters", "open_quarters", "due_ms", "observed_ms")
    rolls_up = "end of period"

    def of(self, period: Period) -> KpiValue:
        """The people inside, or why that can't be said; the drift in the detail either way."""
        facts, occupancy = period.facts, period.occupancy
        if occupancy is None:
            return KpiValue(None, self.unit, models.NOT_ADDITIVE)
        code = None
        if not facts.camera_quarters and not facts.all_in and not facts.all_out:
            code = unseen(facts)
        elif occupancy.drift > max(DRIFT_ALLOWED, facts.all_in // 10):
            code = models.DRIFT_TOO_LARGE
        return KpiValue(
            value=None if code else occupancy.now,
            unit=self.unit,
            withheld=code,
            coverage=facts.coverage,
            detail={"drift": str(occupancy.drift), "peak": str(occupancy.peak)},
        )


class PowerHours(Kpi):
    """The busiest hours of the store's week."""

    slug = "power_hours"
    unit = "hours"
    formula = "the fewest hours of the week that hold 40% of its visitors"
    needs = ("entries", "staff_entries", *_COVERAGE)
    rolls_up = "hours of the week"

    def of(self, period: Period) -> KpiValue:
        """How many hours it takes, and which ones: ``{"5 14": "320"}`` is Saturday at two with 320 visitors."""
        if period.profile is None:
            return KpiValue(None, self.unit, models.NOT_ADDITIVE)
        busiest = power_hours(period.profile)
        code = unseen(period.facts) or (None if busiest else models.NO_VISITORS)
        return KpiValue(
            value=None if code else len(busiest),
            unit=self.unit,
            withheld=code,
            coverage=period.facts.coverage,
            detail={f"{slot.weekday} {slot.hour:02d}": str(slot.visitors) for slot in busiest},
        )


def power_hours(profile: tuple[HourSlot, ...], held: Decimal = POWER_SHARE) -> list[HourSlot]:
    """The busiest hours, busiest first, until they hold the share; earlier in the week first among equals."""
    wanted = held * sum(slot.visitors for slot in profile)
    chosen: list[HourSlot] = []
    so_far = 0
    for slot in sorted(profile, key=lambda slot: (-slot.visitors, slot.weekday, slot.hour)):
        if so_far >= wanted:
            break
        chosen.append(slot)
        so_far += slot.visitors
    return chosen
