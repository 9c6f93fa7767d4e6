"""A small day with what people say of it: corrections, a roster, other weeks. Open from ten to twelve UTC.

All watched unless a test says otherwise.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from server.kpi.corrections.in_force import Audit, InForce
from server.kpi.corrections.staffing import Roster
from server.kpi.days import facts as facts_module
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DayInputs, DaySettings, ReceiptRow, VisitRow
from server.kpi.days.imputation import Past
from server.kpi.days.watching import CoverageRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import DayFacts, KpiValue, Period
from tests.server.kpi.small_day import CALENDAR, DAY, DOOR, NEXT_WEEK, all_watched, at, traffic

TEN = ["10:00", "10:15", "10:30", "10:45", "11:00", "11:15", "11:30", "11:45"]
#: Two people from ten to twelve: four hours.
TWO = Roster(True, ((at("10:00"), at("12:00"), Decimal(2)),))
#: Of 100 counted 2 never were, and 5 more there were: a factor of 1.03, with an error of sqrt(5 + 2 + 2) / 100 = 0.03.
AUDIT = Audit(100, 5, 2)
WEEKS_BEFORE = [at("10:00") - timedelta(weeks=week) for week in (1, 2, 3, 4)]


def day(
    rows: Sequence[TrafficRow] = (),
    coverage: Sequence[CoverageRow] | None = None,
    receipts: Sequence[ReceiptRow] = (),
    *,
    corrections: InForce | None = None,
    roster: Roster | None = None,
    visits: Sequence[VisitRow] = (),
    past: Past | None = None,
    settings: DaySettings | None = None,
    as_of: datetime = NEXT_WEEK,
) -> DayFacts:
    return facts_module.build(
        DayInputs(
            store_id="S",
            day=DAY,
            calendar=CALENDAR,
            as_of=as_of,
            traffic=rows,
            coverage=all_watched() if coverage is None else coverage,
            cameras=[DOOR],
            receipts=receipts,
            weights={},
            settings=settings or DaySettings(),
            corrections=corrections or InForce(),
            roster=roster or Roster(),
            visits=visits,
            past=past or Past(),
        )
    )


def every_quarter(came: int, left: int = 0) -> list[TrafficRow]:
    return [row for quarter in TEN for row in traffic(quarter, came, left)]


def asked(found: DayFacts, slug: str) -> KpiValue:
    return KPIS[slug].of(Period(found.facts, found.occupancy))


def by_quarter(found: DayFacts, name: str) -> list[int]:
    return [getattr(quarter.facts, name) for quarter in found.quarters if quarter.is_open]
