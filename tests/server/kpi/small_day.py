"""The smallest day that shows a rule: open from ten to twelve UTC, one door, rows given. For tests of facts."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from server.ingest.gaps import UPLOAD_LAG
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import DayInputs, DaySettings, ReceiptRow, build
from server.kpi.days.watching import CameraRow, CoverageRow
from server.kpi.figures.registry import KPIS
from server.kpi.models import DayFacts, Period
from server.stores.calendar import DayRule, OpeningSpan, StoreCalendar, WeeklyHours

DAY = date(2026, 11, 16)
EVER = date(2000, 1, 1)
#: Open 10:00 to 12:00 UTC every day; the day begins at 04:00.
CALENDAR = StoreCalendar(
    [DayRule(EVER, "UTC")], [WeeklyHours(EVER, tuple(OpeningSpan(day, time(10), time(12)) for day in range(7)))]
)
NEXT_WEEK = datetime(2026, 11, 23, tzinfo=UTC)
DOOR = CameraRow("S", "C1", datetime(2026, 1, 1, tzinfo=UTC), None, at_door=True, at_street=False)


def at(text: str) -> datetime:
    return datetime.combine(DAY, time.fromisoformat(text), UTC)


def traffic(
    quarter: str, came: int = 0, left: int = 0, *, crossing_class: str = "adult", kind: str = "door"
) -> list[TrafficRow]:
    return [
        TrafficRow("S", DAY, at(quarter), kind, direction, crossing_class, count, count)
        for direction, count in (("in", came), ("out", left))
        if count
    ]


def watched(quarter: str, minutes: Sequence[float] = (60.0,) * 15, camera: str = "C1") -> CoverageRow:
    return CoverageRow("S", DAY, camera, at(quarter), [float(seconds) for seconds in minutes])


def all_watched(camera: str = "C1") -> list[CoverageRow]:
    return [watched(f"{hour}:{minute:02d}", camera=camera) for hour in (10, 11) for minute in (0, 15, 30, 45)]


def sold(quarter: str, *totals: str, received: int | None = None) -> ReceiptRow:
    amounts = [Decimal(total) for total in totals]
    return ReceiptRow(
        "S",
        DAY,
        at(quarter),
        len(amounts) if received is None else received,
        len(amounts),
        sum(amounts, Decimal(0)),
        sum((amount * amount for amount in amounts), Decimal(0)),
        Decimal(len(amounts)),
        Decimal(len(amounts)),
        0,
        Decimal(0),
        0,
        Decimal(0),
        Decimal(0),
    )


def day(
    traffic_rows: Sequence[TrafficRow] = (),
    coverage: Sequence[CoverageRow] | None = None,
    receipts: Sequence[ReceiptRow] = (),
    *,
    cameras: Sequence[CameraRow] = (DOOR,),
    as_of: datetime = NEXT_WEEK,
    threshold: str = "0.9",
    weights: dict[str, int] | None = None,
    calendar: StoreCalendar = CALENDAR,
    lag: timedelta = UPLOAD_LAG,
) -> DayFacts:
    return build(
        DayInputs(
            store_id="S",
            day=DAY,
            calendar=calendar,
            as_of=as_of,
            settings=DaySettings(threshold=Decimal(threshold)),
            traffic=traffic_rows,
            coverage=all_watched() if coverage is None else coverage,
            cameras=cameras,
            receipts=receipts,
            weights=weights or {},
            lag=lag,
        )
    )


def withheld(found: DayFacts, slug: str) -> str | None:
    return KPIS[slug].of(Period(found.facts, found.occupancy)).withheld


def value(found: DayFacts, slug: str) -> object:
    return KPIS[slug].of(Period(found.facts, found.occupancy)).value
