"""KPIs of the doors and the street: what cameras alone can tell."""

from dataclasses import replace
from decimal import Decimal

from server.kpi import models
from server.kpi.days.facts import POWER_SHARE, drift_is_large
from server.kpi.figures.definition import Count, Kpi, Ratio, half_seen, rounded, unseen
from server.kpi.figures.interval import Interval, rate, ratio_of_counts
from server.kpi.figures.widening import audited, mean_of_stays
from server.kpi.models import Facts, HourSlot, KpiValue, Period

_COVERAGE = ("open_quarters", "camera_quarters", "due_ms", "observed_ms", "required_ms")
#: What other weeks make us expect in the time not watched; beside a count, never in it.
_IMPUTED = ("imputed_entries", "imputed_visitors", "imputed_quarters")
#: What an audit leaves open.
_AUDITED = ("entries", "entries_error")


class _Counted(Count):
    """Counted at the doors. Not withheld for low coverage: it is what was seen, and its coverage stands beside it."""

    def withheld(self, facts: Facts) -> str | None:
        return unseen(facts)


class Entries(_Counted):
    """Everyone who came in while the store was open."""

    slug = "entries"
    formula = "crossings inwards on door lines, within opening hours"
    needs = ("entries", *_IMPUTED, *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Entries of all classes."""
        return facts.entries

    def of(self, period: Period) -> KpiValue:
        """The sum; in the detail, apart, what is to be expected in the time not watched."""
        return _beside(super().of(period), period.facts, period.facts.imputed_entries)


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
    formula = "entries - staff entries (tagged, or staff hours x the store's rate)"
    needs = ("entries", "staff_entries", *_IMPUTED, *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """Entries less those of staff."""
        return facts.visitors

    def of(self, period: Period) -> KpiValue:
        """The sum; in the detail, apart, what is to be expected in the time not watched."""
        return _beside(super().of(period), period.facts, period.facts.imputed_visitors)


class ImputedVisitors(_Counted):
    """Visitors to be expected in the time not watched. No other KPI adds them in."""

    slug = "imputed_visitors"
    formula = "visitors of the same weekday and quarter hour of other weeks, for the camera time that is missing"
    needs = ("imputed_visitors", *_COVERAGE)

    def amount(self, facts: Facts) -> int:
        """As many as other weeks make us expect; where they can't tell, none."""
        return facts.imputed_visitors


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
    needs = ("capture_entries", "capture_passers_by", "street_quarters", *_AUDITED, *_COVERAGE)

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
        return audited(
            facts,
            facts.capture_entries / facts.capture_passers_by,
            ratio_of_counts(facts.capture_entries, facts.capture_passers_by),
        )


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
        elif drift_is_large(occupancy.drift, facts.all_in):
            code = models.DRIFT_TOO_LARGE
        return KpiValue(
            value=None if code else occupancy.now,
            unit=self.unit,
            withheld=code,
            coverage=facts.coverage,
            detail={"drift": str(occupancy.drift), "peak": str(occupancy.peak)},
        )


class Dwell(Ratio):
    """How long a visitor stays, without following anybody: Little's law, people inside = arrivals x stay."""

    slug = "dwell"
    unit = "minutes"
    formula = "area under occupancy within opening hours, staff taken off both, / visitors (Little's law)"
    needs = ("dwell_seconds", "dwell_visitors", "dwell_quarters", *_COVERAGE)

    def numerator(self, facts: Facts) -> Decimal:
        """Minutes that all visitors together were inside, on days whose occupancy can be believed."""
        return (Decimal(facts.dwell_seconds) / 60).quantize(Decimal("0.000001"))

    def denominator(self, facts: Facts) -> int:
        """Visitors of those days."""
        return facts.dwell_visitors

    def withheld(self, facts: Facts) -> str | None:
        """The doors were not seen, or too many people were missed to know who is inside, or nobody came."""
        if code := half_seen(facts):
            return code
        if not facts.dwell_quarters:
            return models.DRIFT_TOO_LARGE
        return None if facts.dwell_visitors else models.NO_VISITORS

    def interval(self, facts: Facts) -> Interval | None:
        """From the number of visitors; a counter's share of misses makes both sides smaller alike."""
        return mean_of_stays(facts.dwell_seconds / 60 / facts.dwell_visitors, facts.dwell_visitors)


class Star(Ratio):
    """How many visitors there are for each hour that staff work on the floor."""

    slug = "star"
    unit = "per_hour"
    formula = "visitors / staff hours on the floor, over the quarter hours in which the doors were observed"
    needs = ("star_visitors", "star_seconds", "rostered_quarters", *_AUDITED, *_COVERAGE)

    def numerator(self, facts: Facts) -> int:
        """Visitors while the roster is known."""
        return facts.star_visitors

    def denominator(self, facts: Facts) -> Decimal:
        """Staff hours."""
        return Decimal(facts.star_seconds) / 3600

    def withheld(self, facts: Facts) -> str | None:
        """The doors were not seen, or nobody entered a roster, or nobody was on it."""
        if code := half_seen(facts):
            return code
        if not facts.rostered_quarters:
            return models.NO_ROSTER
        return None if facts.star_seconds else models.NO_STAFF_HOURS

    def interval(self, facts: Facts) -> Interval:
        """The visitors are counted, the hours known."""
        hours = facts.star_seconds / 3600
        return audited(facts, facts.star_visitors / hours, rate(facts.star_visitors, hours))


class PowerHours(Kpi):
    """The busiest hours of the store's week."""

    slug = "power_hours"
    unit = "hours"
    formula = "the fewest hours of the week that hold 40% (configurable) of its visitors"
    needs = ("entries", "staff_entries", "power_milli", *_COVERAGE)
    rolls_up = "hours of the week"

    def of(self, period: Period) -> KpiValue:
        """How many hours it takes, and which ones: ``{"5 14": "320"}`` is Saturday at two with 320 visitors."""
        if period.profile is None:
            return KpiValue(None, self.unit, models.NOT_ADDITIVE)
        busiest = power_hours(period.profile, held(period.facts))
        code = unseen(period.facts) or (None if busiest else models.NO_VISITORS)
        return KpiValue(
            value=None if code else len(busiest),
            unit=self.unit,
            withheld=code,
            coverage=period.facts.coverage,
            detail={f"{slot.weekday} {slot.hour:02d}": str(slot.visitors) for slot in busiest},
        )


def held(facts: Facts) -> Decimal:
    """The share of the week that is asked for: the stores' own, weighted by their opening time as thresholds are."""
    return Decimal(facts.power_milli) / (1000 * facts.open_quarters) if facts.power_milli else POWER_SHARE


def _beside(value: KpiValue, facts: Facts, imputed: int) -> KpiValue:
    return replace(value, detail={"imputed": str(imputed)}) if facts.imputed_quarters else value


def power_hours(profile: tuple[HourSlot, ...], share: Decimal = POWER_SHARE) -> list[HourSlot]:
    """The busiest hours, busiest first, until they hold the share; earlier in the week first among equals."""
    wanted = share * sum(slot.visitors for slot in profile)
    chosen: list[HourSlot] = []
    so_far = 0
    for slot in sorted(profile, key=lambda slot: (-slot.visitors, slot.weekday, slot.hour)):
        if so_far >= wanted:
            break
        chosen.append(slot)
        so_far += slot.visitors
    return chosen
