"""From roll-ups, coverage, receipts and rosters to the facts of one business day. Pure: no clock, no database.

Opening hours are applied here and nowhere else, and so are the rules that keep zero apart from "not looking": which
quarter hours were observed, and which of them the tills and the doors were both there for. What was due is told in
`watching`, what is corrected in `crossings`, and what staff did in `staffing`.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from server.ingest.gaps import UPLOAD_LAG
from server.kpi.corrections.in_force import NOTHING, InForce
from server.kpi.corrections.staffing import UNKNOWN, Roster, Staff
from server.kpi.days.crossings import Crossed, TrafficRow, crossed
from server.kpi.days.imputation import Past, expected, is_worth_imputing
from server.kpi.days.watching import CameraRow, CoverageRow, Watched, Watching, watched
from server.kpi.models import EMPTY, DayFacts, Facts, HourFacts, Occupancy, QuarterFacts
from server.kpi.rounding import Carried
from server.stores.calendar import QUARTER, StoreCalendar

#: A sale rung up so soon after closing is to someone who came in before it, and counts with the last open quarter
#: hour; later ones (wrong opening hours, say) have no visitors to be matched with and are left out of conversion.
AFTER_CLOSING: Final = timedelta(minutes=30)
#: The people inside are not believed when more than this were missed, and more than a tenth of those who came.
DRIFT_ALLOWED: Final = 10
#: Share of a week that its power hours hold, where nobody said otherwise.
POWER_SHARE: Final = Decimal("0.40")


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
class VisitRow:
    """Members first seen in the store that day in one quarter hour, and how many of them bought that day."""

    store_id: str
    day: date
    quarter: datetime
    visits: int
    buyers: int


@dataclass(frozen=True, slots=True)
class DaySettings:
    """What the store's settings say on the day.

    Attributes:
        threshold: share of the due camera time from which a quarter hour counts as observed.
        power_share: of the week, that power hours hold.
        takes_check_ins: whether members check in there, so that those who bought nothing are known too.
    """

    threshold: Decimal = Decimal("0.90")
    power_share: Decimal = POWER_SHARE
    takes_check_ins: bool = False


@dataclass(frozen=True, slots=True)
class DayInputs:
    """All that a day's facts are made of.

    Attributes:
        as_of: facts up to here (UTC), exclusive; the rows given must not lie beyond it.
        lag: how long a minute must be over to be due; zero for a moment in the past.
        weights: of door cameras, see `watching.door_weights`.
        visits: of members; read where the store takes check-ins only.
        past: history of door cameras; read where camera time is missing only.
    """

    store_id: str
    day: date
    calendar: StoreCalendar
    as_of: datetime
    traffic: Sequence[TrafficRow]
    coverage: Sequence[CoverageRow]
    cameras: Sequence[CameraRow]
    receipts: Sequence[ReceiptRow]
    weights: Mapping[str, int]
    settings: DaySettings = DaySettings()
    corrections: InForce = NOTHING
    roster: Roster = UNKNOWN
    visits: Sequence[VisitRow] = ()
    past: Past = field(default_factory=Past)
    lag: timedelta = UPLOAD_LAG


@dataclass(slots=True)
class _Quarter:
    """One quarter hour on its way to being facts; people inside at both its ends."""

    start: datetime
    seconds: int
    crossed: Crossed
    sums: dict[str, int | Decimal]
    before: Occupancy
    after: Occupancy
    staff_before: int
    staff_after: int


def build(inputs: DayInputs) -> DayFacts:
    """The facts of one business day up to a moment, by quarter hour, hour and in all."""
    start, end = inputs.calendar.bounds(inputs.day)
    until = max(start, min(end, inputs.as_of))
    all_open = inputs.calendar.open_quarters(inputs.day)
    opened = [quarter for quarter in all_open if quarter < until]
    is_over = inputs.as_of >= end
    quarters = _quarters(inputs, start, until, opened, is_over=is_over)
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
    return DayFacts(
        store_id=inputs.store_id,
        day=inputs.day,
        start=start,
        end=end,
        as_of=until,
        is_over=is_over,
        facts=Facts.total(quarter.facts for quarter in quarters),
        occupancy=_of_day([quarter.occupancy for quarter in quarters], is_over=is_over),
        hours=tuple(hours),
        quarters=tuple(quarters),
    )


def unwatched_quarters(inputs: DayInputs) -> list[datetime]:
    """The open quarter hours in which a minute or more of a door camera's time is missing."""
    start, end = inputs.calendar.bounds(inputs.day)
    until = max(start, min(end, inputs.as_of))
    opened = [quarter for quarter in inputs.calendar.open_quarters(inputs.day) if quarter < until]
    doors = watched(_watching(inputs, [each for each in inputs.cameras if each.at_door], inputs.weights), opened)
    return [quarter for quarter, door in doors.items() if is_worth_imputing(door.missing)]


def _quarters(
    inputs: DayInputs, start: datetime, until: datetime, opened: Sequence[datetime], *, is_over: bool
) -> list[QuarterFacts]:
    built = _walked(crossed(inputs.traffic, inputs.corrections, opened), start, until)
    is_open = set(opened)
    shown = [each for each in built if each.start in is_open]
    _add_all_day(inputs, built)
    _add_open(inputs, shown, opened, until)
    _add_sales(inputs, shown, opened)
    if _inside_is_believed(built, is_over=is_over):
        _add_stays(inputs, shown)
    return [
        QuarterFacts(
            each.start,
            each.start in is_open,
            _facts(each) if any(each.sums.values()) else EMPTY,
            each.after,
        )
        for each in built
    ]


def _facts(quarter: _Quarter) -> Facts:
    errors = {number: error for number, error in quarter.crossed.errors.items() if error}
    return Facts(**quarter.sums, audit_errors=tuple(sorted(errors.items())))  # type: ignore[arg-type]  # one type a field


def _walked(crossings: Mapping[datetime, Crossed], start: datetime, until: datetime) -> list[_Quarter]:
    """Every quarter hour of the day with the people inside at both its ends."""
    built: list[_Quarter] = []
    net = lowest = staff_net = staff_lowest = 0
    quarter, before, staff_before = start, Occupancy(), 0
    while quarter < until:
        found = crossings.get(quarter) or Crossed()
        net += found.all_in - found.all_out
        lowest = min(lowest, net)
        staff_net += found.staff_in - found.staff_out
        staff_lowest = min(staff_lowest, staff_net)
        after, staff_after = Occupancy(net - lowest, net - lowest, -lowest), staff_net - staff_lowest
        seconds = int((min(until, quarter + QUARTER) - quarter).total_seconds())
        built.append(_Quarter(quarter, seconds, found, {}, before, after, staff_before, staff_after))
        before, staff_before = after, staff_after
        quarter += QUARTER
    return built


def _add_all_day(inputs: DayInputs, built: Sequence[_Quarter]) -> None:
    """What counts at any time of the day, open or not."""
    rung_up = {receipt.quarter: receipt for receipt in inputs.receipts}
    visits = {row.quarter: row for row in inputs.visits} if inputs.settings.takes_check_ins else {}
    for each in built:
        each.sums = defaultdict(int)
        each.sums["all_in"], each.sums["all_out"] = each.crossed.all_in, each.crossed.all_out
        if own := rung_up.get(each.start):
            for name in _RECEIPT_SUMS:
                each.sums[name] = getattr(own, name)
        if seen := visits.get(each.start):
            each.sums["member_visits"], each.sums["member_buyers"] = seen.visits, seen.buyers


_RECEIPT_SUMS: Final = (
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
)


def _add_open(inputs: DayInputs, shown: Sequence[_Quarter], opened: Sequence[datetime], until: datetime) -> None:
    """What counts within opening hours: at the doors, on the street, and of staff."""
    settings = inputs.settings
    doors = watched(_watching(inputs, [each for each in inputs.cameras if each.at_door], inputs.weights), opened)
    street = watched(_watching(inputs, [each for each in inputs.cameras if each.at_street], {}), opened)
    staff = Staff(inputs.roster, inputs.corrections.staff_rate, until)
    groups = Carried()
    imputed_entries, imputed_visitors, imputed_seconds = Carried(), Carried(), Carried()
    for each in shown:
        sums, found, door = each.sums, each.crossed, doors[each.start]
        sums["open_quarters"] = 1
        sums["power_milli"] = int(settings.power_share * 1000)
        sums["checkin_quarters"] = int(settings.takes_check_ins)
        sums["counted_entries"], sums["counted_exits"] = found.all_in, found.all_out
        sums["excluded_quarters"], sums["excluded_entries"] = int(found.is_excluded), found.excluded
        sums["entries"], sums["exits"], sums["passers_by"] = found.entries, found.exits, found.passers_by
        sums["child_entries"], sums["entries_error"] = found.child_entries, found.errors.total()
        extra = 0
        if staff.is_rated:
            extra = staff.untagged(each.start, _share_seen(door, found), found.entries, found.staff_entries)
        sums["staff_estimated"], sums["staff_entries"] = extra, found.staff_entries + extra
        visitors = found.entries - found.staff_entries - extra
        factor = inputs.corrections.group_factor
        # Staff who are not tagged come in alone, and each was taken for a group.
        alone = max(0, min(found.groups - extra, visitors))
        sums["groups"] = groups.add(visitors / Fraction(factor)) if factor else alone
        sums["camera_quarters"] = door.cameras
        sums["due_ms"], sums["observed_ms"] = door.due, door.observed
        sums["required_ms"] = int(settings.threshold * door.due)
        is_watched = door.reaches(settings.threshold)
        sums["street_quarters"] = int(street[each.start].cameras > 0)
        if is_watched and street[each.start].reaches(settings.threshold):
            sums["capture_quarters"] = 1
            sums["capture_entries"], sums["capture_passers_by"] = found.entries, found.passers_by
        if inputs.roster.is_known:
            sums["rostered_quarters"] = 1
            sums["staff_seconds"] = staff.seconds(each.start)
            if is_watched:
                sums["star_visitors"], sums["star_seconds"] = visitors, sums["staff_seconds"]
        if is_worth_imputing(door.missing):
            guess = expected(inputs.past, inputs.corrections, each.start, door.missing, inputs.weights)
            sums["imputed_quarters"] = int(guess.seconds > 0)
            sums["imputed_seconds"] = imputed_seconds.add(guess.seconds)
            sums["imputed_entries"] = imputed_entries.add(guess.entries)
            if guess.seconds:
                unwatched = 1 - _share_seen(door, found)
                sums["imputed_visitors"] = imputed_visitors.add(
                    guess.visitors - staff.expected(each.start, unwatched), most=int(sums["imputed_entries"])
                )


def _share_seen(door: Watched, found: Crossed) -> Fraction:
    """How much of a quarter hour's camera time was watched; of none that was due, all that is not excluded."""
    return Fraction(door.observed, door.due) if door.due else Fraction(int(not found.is_excluded))


def _watching(inputs: DayInputs, cameras: Sequence[CameraRow], weights: Mapping[str, int]) -> Watching:
    return Watching(cameras, inputs.coverage, inputs.as_of - inputs.lag, weights, inputs.corrections)


def _add_sales(inputs: DayInputs, shown: Sequence[_Quarter], opened: Sequence[datetime]) -> None:
    """What joins the tills with the doors: sums over the quarter hours in which both were observed."""
    if not any(receipt.received for receipt in inputs.receipts):
        return
    sold: dict[datetime, list[ReceiptRow]] = defaultdict(list)
    for receipt in inputs.receipts:
        if (match := _counted_with(receipt.quarter, opened)) is not None:
            sold[match].append(receipt)
    seen: dict[datetime, int] = defaultdict(int)
    for row in inputs.visits:
        if (match := _counted_with(row.quarter, opened)) is not None:
            seen[match] += row.visits
    for each in shown:
        sums = each.sums
        sums["till_quarters"] = 1
        # As in `Watched.reaches`, of which these are the sums.
        if not sums["due_ms"] or sums["observed_ms"] < sums["required_ms"]:
            continue
        sums["matched_quarters"] = 1
        sums["matched_visitors"] = sums["entries"] - sums["staff_entries"]
        sums["matched_groups"] = sums["groups"]
        for receipt in sold[each.start]:
            sums["matched_transactions"] += receipt.transactions
            sums["matched_sales"] += receipt.gross_sales
            sums["matched_squares"] += receipt.sales_squares
        if inputs.settings.takes_check_ins:
            members = sum(receipt.member_transactions for receipt in sold[each.start])
            sums["other_transactions"] = sums["matched_transactions"] - members
            sums["other_visitors"] = sums["matched_visitors"] - seen[each.start]


def _counted_with(quarter: datetime, opened: Sequence[datetime]) -> datetime | None:
    """The open quarter hour whose visitors a receipt's quarter hour is matched with, if any."""
    place = bisect_right(opened, quarter)
    if not place:
        return None
    last = opened[place - 1]
    return last if quarter - last <= AFTER_CLOSING else None


def _inside_is_believed(built: Sequence[_Quarter], *, is_over: bool) -> bool:
    """Whether the day's number of people inside can be: it drifted little, and the doors were watched."""
    drift = _of_day([each.after for each in built], is_over=is_over).drift
    due, observed, required = (
        sum(each.sums[name] for each in built) for name in ("due_ms", "observed_ms", "required_ms")
    )
    is_drifting = drift_is_large(drift, sum(each.crossed.all_in for each in built))
    return not is_drifting and due > 0 and observed >= required


def drift_is_large(drift: int, came: int) -> bool:
    """Whether too many people were missed for the number inside to be believed, of so many who came in that day."""
    return drift > max(DRIFT_ALLOWED, came // 10)


def _add_stays(inputs: DayInputs, shown: Sequence[_Quarter]) -> None:
    """The area under the number of visitors inside, in seconds, and who brought it about.

    Between the ends of a quarter hour the number is taken to change evenly. Staff who are taken off the entries by rate
    are taken off those inside by roster; tagged ones by their own crossings.
    """
    is_rated = inputs.corrections.staff_rate is not None and inputs.roster.is_known
    for each in shown:
        if each.crossed.is_excluded:
            continue
        area = (each.before.now + each.after.now) * each.seconds // 2
        if is_rated:
            staff = int(each.sums["staff_seconds"])
        else:
            staff = (each.staff_before + each.staff_after) * each.seconds // 2
        each.sums["dwell_quarters"] = 1
        each.sums["dwell_visitors"] = max(
            0, each.crossed.believed - each.crossed.believed_staff - int(each.sums["staff_estimated"])
        )
        each.sums["dwell_seconds"] = max(0, area - staff)


def _of_day(quarters: Sequence[Occupancy], *, is_over: bool) -> Occupancy:
    if not quarters:
        return Occupancy()
    last = quarters[-1]
    peak = max(quarter.peak for quarter in quarters)
    # Whoever is still inside when the business day ends was missed going out; the next day begins at zero.
    return Occupancy(last.now, peak, last.drift + (last.now if is_over else 0))
