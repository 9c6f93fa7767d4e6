"""From roll-ups, coverage and receipts to the facts of one business day. Pure: no clock, no database.

Opening hours are applied here and nowhere else, and so are the three rules that keep zero apart from "not looking":
what camera time was due (the register of cameras, not the cameras that report), which quarter hours were observed, and
which of them the tills and the doors were both there for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from server.kpi.models import EMPTY, DayFacts, Facts, HourFacts, Occupancy, QuarterFacts
from server.stores.calendar import QUARTER, StoreCalendar

_MINUTE: Final = timedelta(minutes=1)
#: A minute is due once it has been over for so long: a box sends each minute only when it is complete.
UPLOAD_LAG: Final = timedelta(seconds=90)
#: A sale rung up so soon after closing is to someone who came in before it, and counts with the last open quarter
#: hour; later ones (wrong opening hours, say) have no visitors to be matched with and are left out of conversion.
AFTER_CLOSING: Final = timedelta(minutes=30)
#: Weight of a door of average traffic; weights are whole hundredths so that weighted time adds up exactly.
EVEN_WEIGHT: Final = 100
#: No door weighs less than this: a quiet one that fails must still be seen to fail.
LEAST_WEIGHT: Final = 5
#: A door's own rate is trusted once it was watched for so long (seconds) in the history looked at.
TRUSTED_AFTER: Final = 4 * 3600


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """Crossings of one line kind in one quarter hour, by direction and class."""

    store_id: str
    day: date
    quarter: datetime
    kind: str
    direction: str
    crossing_class: str
    crossings: int
    groups: int


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Seconds watched in each minute of a camera's quarter hour."""

    store_id: str
    day: date
    camera_id: str
    quarter: datetime
    minute_seconds: list[float]


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera in the register, and what its lines look at."""

    store_id: str
    camera_id: str
    installed_at: datetime
    removed_at: datetime | None
    at_door: bool
    at_street: bool


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """Receipts of the till channel in one quarter hour, summed.

    Attributes:
        received: how many receipts of any kind, voided ones too: whether the tills said anything.
    """

    store_id: str
    day: date
    quarter: datetime
    received: int
    transactions: int
    gross_sales: Decimal
    sales_squares: Decimal
    units: Decimal
    units_squares: Decimal
    refund_count: int
    refunds: Decimal
    member_transactions: int
    member_sales: Decimal
    member_squares: Decimal


@dataclass(frozen=True, slots=True)
class DoorHistory:
    """What a door camera saw over the weeks before: entries, and for how many seconds it looked."""

    store_id: str
    day: date
    camera_id: str
    entries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DayInputs:
    """All that a day's facts are made of.

    Attributes:
        as_of: facts up to here (UTC), exclusive; the rows given must not lie beyond it.
        lag: how long a minute must be over to be due; zero for a moment in the past.
        threshold: share of the due camera time from which a quarter hour counts as observed.
        weights: of door cameras, see `door_weights`; a camera left out weighs `EVEN_WEIGHT`.
    """

    store_id: str
    day: date
    calendar: StoreCalendar
    as_of: datetime
    threshold: Decimal
    traffic: Sequence[TrafficRow]
    coverage: Sequence[CoverageRow]
    cameras: Sequence[CameraRow]
    receipts: Sequence[ReceiptRow]
    weights: Mapping[str, int]
    lag: timedelta = UPLOAD_LAG


@dataclass(slots=True)
class _Watched:
    """Camera time of one quarter hour."""

    cameras: int = 0
    due: int = 0
    observed: int = 0

    def reaches(self, threshold: Decimal) -> bool:
        return self.due > 0 and self.observed >= int(threshold * self.due)


def build(inputs: DayInputs) -> DayFacts:
    """The facts of one business day up to a moment, by quarter hour, hour and in all."""
    start, end = inputs.calendar.bounds(inputs.day)
    until = max(start, min(end, inputs.as_of))
    all_open = inputs.calendar.open_quarters(inputs.day)
    opened = [quarter for quarter in all_open if quarter < until]
    quarters = _quarters(inputs, start, until, opened)
    by_start = {quarter.start: quarter for quarter in quarters}
    ever_open = set(all_open)
    hours = []
    last = Occupancy()
    for hour in inputs.calendar.hours(inputs.day):
        own = [by_start[quarter] for quarter in hour.quarters if quarter in by_start]
        if own:
            last = Occupancy(own[-1].occupancy.now, max(q.occupancy.peak for q in own), own[-1].occupancy.drift)
        hours.append(
            HourFacts(
                start=hour.start,
                local=hour.local,
                is_open=not ever_open.isdisjoint(hour.quarters),
                facts=Facts.total(quarter.facts for quarter in own),
                occupancy=last if own else Occupancy(),
            )
        )
    is_over = inputs.as_of >= end
    return DayFacts(
        store_id=inputs.store_id,
        day=inputs.day,
        start=start,
        end=end,
        as_of=until,
        is_over=is_over,
        facts=Facts.total(quarter.facts for quarter in quarters),
        occupancy=_of_day(quarters, is_over=is_over),
        hours=tuple(hours),
        quarters=tuple(quarters),
    )


def door_weights(history: Iterable[DoorHistory]) -> dict[str, int]:
    """How much each door of one store counts in its coverage: its traffic per second watched, 100 on average.

    Per second watched, not in all: a camera that was blind for a month would otherwise weigh nothing, and its
    failure would vanish from the very number that is there to show it. A door watched too little to tell weighs
    as much as the average of the others.
    """
    doors = list(history)
    rates = {door.camera_id: door.entries / door.seconds for door in doors if door.seconds >= TRUSTED_AFTER}
    average = sum(rates.values()) / len(rates) if rates else 0.0
    if average <= 0:
        return {door.camera_id: EVEN_WEIGHT for door in doors}
    return {
        door.camera_id: max(LEAST_WEIGHT, round(EVEN_WEIGHT * rates.get(door.camera_id, average) / average))
        for door in doors
    }


def _quarters(inputs: DayInputs, start: datetime, until: datetime, opened: Sequence[datetime]) -> list[QuarterFacts]:
    traffic: dict[datetime, list[TrafficRow]] = defaultdict(list)
    for row in inputs.traffic:
        traffic[row.quarter].append(row)
    rung_up = {receipt.quarter: receipt for receipt in inputs.receipts}
    sold: dict[datetime, list[ReceiptRow]] = defaultdict(list)
    for receipt in inputs.receipts:
        if (match := _counted_with(receipt.quarter, opened)) is not None:
            sold[match].append(receipt)
    tills_spoke = any(receipt.received for receipt in inputs.receipts)
    doors, street = _watched(inputs, opened, at_door=True), _watched(inputs, opened, at_door=False)
    is_open = set(opened)

    built: list[QuarterFacts] = []
    net, lowest = 0, 0
    quarter = start
    while quarter < until:
        sums: dict[str, int | Decimal] = defaultdict(int)
        crossed = _crossings(traffic[quarter])
        sums["all_in"], sums["all_out"] = crossed["entries"], crossed["exits"]
        if own := rung_up.get(quarter):
            _add_receipts(sums, own)
        if quarter in is_open:
            _add_open(sums, crossed, doors[quarter], street[quarter], inputs.threshold)
            if tills_spoke:
                sums["till_quarters"] = 1
                if doors[quarter].reaches(inputs.threshold):
                    _add_matched(sums, crossed, sold[quarter])
        net += crossed["entries"] - crossed["exits"]
        lowest = min(lowest, net)
        inside = net - lowest
        built.append(
            QuarterFacts(
                quarter,
                quarter in is_open,
                Facts(**sums) if any(sums.values()) else EMPTY,  # type: ignore[arg-type]
                Occupancy(inside, inside, -lowest),
            )
        )
        quarter += QUARTER
    return built


def _crossings(rows: Iterable[TrafficRow]) -> dict[str, int]:
    sums = dict.fromkeys(("entries", "exits", "staff_entries", "child_entries", "groups", "passers_by"), 0)
    for row in rows:
        if row.kind == "street":
            sums["passers_by"] += row.crossings
        elif row.kind == "door" and row.direction == "out":
            sums["exits"] += row.crossings
        elif row.kind == "door":
            sums["entries"] += row.crossings
            if row.crossing_class == "staff":
                sums["staff_entries"] += row.crossings
            else:
                sums["groups"] += row.groups
            if row.crossing_class == "child":
                sums["child_entries"] += row.crossings
    return sums


def _add_receipts(sums: dict[str, int | Decimal], row: ReceiptRow) -> None:
    for name in (
        "transactions",
        "gross_sales",
        "sales_squares",
        "units",
        "units_squares",
        "refund_count",
        "refunds",
        "member_transactions",
        "member_sales",
        "member_squares",
    ):
        sums[name] = getattr(row, name)


def _add_open(
    sums: dict[str, int | Decimal], crossed: Mapping[str, int], doors: _Watched, street: _Watched, threshold: Decimal
) -> None:
    sums["open_quarters"] = 1
    sums.update(crossed)
    sums["camera_quarters"] = doors.cameras
    sums["due_ms"], sums["observed_ms"] = doors.due, doors.observed
    sums["required_ms"] = int(threshold * doors.due)
    sums["street_quarters"] = 1 if street.cameras else 0
    if doors.reaches(threshold) and street.reaches(threshold):
        sums["capture_quarters"] = 1
        sums["capture_entries"] = crossed["entries"]
        sums["capture_passers_by"] = crossed["passers_by"]


def _add_matched(sums: dict[str, int | Decimal], crossed: Mapping[str, int], sold: Iterable[ReceiptRow]) -> None:
    sums["matched_quarters"] = 1
    sums["matched_visitors"] = crossed["entries"] - crossed["staff_entries"]
    sums["matched_groups"] = crossed["groups"]
    for row in sold:
        sums["matched_transactions"] += row.transactions
        sums["matched_sales"] += row.gross_sales
        sums["matched_squares"] += row.sales_squares


def _counted_with(quarter: datetime, opened: Sequence[datetime]) -> datetime | None:
    """The open quarter hour whose visitors a receipt's quarter hour is matched with, if any."""
    last = max((each for each in opened if each <= quarter), default=None)
    if last is None:
        return None
    return last if quarter - last <= AFTER_CLOSING else None


def _watched(inputs: DayInputs, opened: Sequence[datetime], *, at_door: bool) -> dict[datetime, _Watched]:
    cameras = [each for each in inputs.cameras if (each.at_door if at_door else each.at_street)]
    seen = {(row.camera_id, row.quarter): row.minute_seconds for row in inputs.coverage}
    over_by = inputs.as_of - inputs.lag
    watched = {quarter: _Watched() for quarter in opened}
    for camera in cameras:
        weight = inputs.weights.get(camera.camera_id, EVEN_WEIGHT) if at_door else EVEN_WEIGHT
        for quarter, sums in watched.items():
            if camera.installed_at >= quarter + QUARTER or (camera.removed_at and camera.removed_at <= quarter):
                continue
            sums.cameras += 1
            ends = min(over_by, camera.removed_at) if camera.removed_at else over_by
            first = max(0, -((quarter - camera.installed_at) // _MINUTE))
            last = min(15, (ends - quarter) // _MINUTE)
            if last <= first:
                continue
            # Milliseconds times weight over a hundred: tenths of a second times hundredths, in whole numbers.
            sums.due += (last - first) * 600 * weight
            minutes = seen.get((camera.camera_id, quarter))
            if minutes:
                sums.observed += sum(round(min(60.0, seconds) * 10) for seconds in minutes[first:last]) * weight
    return watched


def _of_day(quarters: Sequence[QuarterFacts], *, is_over: bool) -> Occupancy:
    if not quarters:
        return Occupancy()
    last = quarters[-1].occupancy
    peak = max(quarter.occupancy.peak for quarter in quarters)
    # Whoever is still inside when the business day ends was missed going out; the next day begins at zero.
    return Occupancy(last.now, peak, last.drift + (last.now if is_over else 0))
