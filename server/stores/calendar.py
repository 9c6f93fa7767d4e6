"""When a store's business day begins and ends, and when in it the store is open. Pure: no clock, no database.

The trap is that a "day" is none of the things it looks like. It is not 24 hours (a night of summer time has 23 or
25), it does not begin at midnight (a bar's Friday ends on Saturday at four), it is not a run of UTC hours (Kathmandu
is 5 h 45 min ahead) and its timezone is not a constant (a store can move). So a day is only ever asked for as two UTC
instants, and the days of a store follow one another without a gap or an overlap: a day ends where the next begins.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import InvalidInput
from server.stores.public_holidays import HOLIDAY

QUARTER = timedelta(minutes=15)
ONE_DAY = timedelta(days=1)
DEFAULT_DAY_STARTS = time(4, 0)


@dataclass(frozen=True, slots=True)
class DayRule:
    """Timezone and start of the business day, in force from the business day `valid_from` on."""

    valid_from: date
    timezone: str
    day_starts: time = DEFAULT_DAY_STARTS


@dataclass(frozen=True, slots=True)
class OpeningSpan:
    """Opening hours on a weekday of the wall calendar: 0 is Monday, 7 a public holiday whatever its weekday.

    `closes` at or before `opens` is past midnight.
    """

    weekday: int
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """A whole week's opening hours, in force from the wall date `valid_from`; a weekday without a span is closed.

    A set without a span of weekday 7 leaves public holidays to their weekdays.
    """

    valid_from: date
    spans: tuple[OpeningSpan, ...]


@dataclass(frozen=True, slots=True)
class StoreHour:
    """One hour of the store's wall clock, cut at the ends of the business day.

    Attributes:
        start: UTC, on a quarter hour; unique among the hours of a store.
        local: the same instant on the store's clock (aware).
        quarters: UTC starts of its quarter hours: four, fewer where the day or a clock change cuts it.
    """

    start: datetime
    local: datetime
    quarters: tuple[datetime, ...]


class StoreCalendar:
    """The business days of one store.

    A time before the first rule or the first week of hours is under that first one: history imported from before a
    store was set up must still fall on some day.

    Args:
        rules: at least one.
        hours: none means that the store never opens.
        exceptions: opening hours of single wall dates, in place of the week's; no span means closed.
        is_holiday: whether a wall date is a public holiday; asked only where a set of hours names holidays.

    Raises:
        InvalidInput: an unknown timezone, a time that is not on a quarter hour, or no rule at all.
    """

    def __init__(
        self,
        rules: Sequence[DayRule],
        hours: Sequence[WeeklyHours] = (),
        exceptions: Mapping[date, Sequence[OpeningSpan]] | None = None,
        is_holiday: Callable[[date], bool] | None = None,
    ) -> None:
        if not rules:
            raise InvalidInput("a store needs a timezone", field="timezone", remedy="give an IANA name")
        self._rules = sorted(rules, key=lambda rule: rule.valid_from)
        self._hours = sorted(hours, key=lambda week: week.valid_from)
        self._zones = {rule.timezone: _zone(rule.timezone) for rule in self._rules}
        for rule in self._rules:
            _on_quarter(rule.day_starts, "day_starts")
        self._exceptions = exceptions or {}
        self._is_holiday = is_holiday
        for week in self._hours:
            self.check_spans(week.spans)
        for spans in self._exceptions.values():
            self.check_spans(spans)
        self._starts: dict[date, datetime] = {}

    @staticmethod
    def check_spans(spans: Iterable[OpeningSpan]) -> None:
        """Refuse opening hours that are not on quarter hours.

        Raises:
            InvalidInput: naming `opens` or `closes`.
        """
        for span in spans:
            _on_quarter(span.opens, "opens")
            _on_quarter(span.closes, "closes")

    @property
    def timezone(self) -> ZoneInfo:
        """The timezone of the latest rule; a day of the past may have had another (`zone_on`)."""
        return self._zones[self._rules[-1].timezone]

    @property
    def rules(self) -> tuple[DayRule, ...]:
        """Its rules, by the day from which they hold."""
        return tuple(self._rules)

    @property
    def weeks(self) -> tuple[WeeklyHours, ...]:
        """Its weeks of opening hours, by the day from which they hold."""
        return tuple(self._hours)

    def zone_on(self, day: date) -> ZoneInfo:
        """The timezone in force on a business day."""
        return self._zones[self._rule(day).timezone]

    def day_of(self, at: datetime) -> date:
        """The business day an instant falls on.

        Args:
            at: aware, any timezone.
        """
        at = at.astimezone(UTC)
        # No zone is more than 14 hours from UTC and no day starts more than 24 hours late, so two days each way do.
        middle = at.date()
        for offset in (0, -1, 1, -2, 2):
            day = middle + offset * ONE_DAY
            start, end = self.bounds(day)
            if start <= at < end:
                return day
        raise AssertionError(f"no business day holds {at.isoformat()}")

    def days_of_hour(self, hour: datetime) -> list[date]:
        """The business days a UTC hour touches, in order.

        Two where one begins within it, and three where a change of `day_starts` leaves a day of a quarter hour.

        Args:
            hour: its first instant, aware.
        """
        at, end = hour, hour + timedelta(hours=1)
        days: list[date] = []
        while at < end:
            days.append(self.day_of(at))
            at = self.bounds(days[-1])[1]
        return days

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """First instant of a business day and the first after it (UTC).

        23 or 25 hours apart on a night of summer time, and something else again where the store moves timezone or
        changes `day_starts`: the day before the change ends where the changed day begins.
        """
        start = self._start(day)
        return start, max(start, self._start(day + ONE_DAY))

    def open_spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """When the store is open on a business day: UTC, in order, cut at the day's bounds, none touching the next."""
        start, end = self.bounds(day)
        spans: list[tuple[datetime, datetime]] = []
        # A span of the evening before can reach past `day_starts`; a moved timezone can make a day 38 hours long.
        for offset in range(-2, 3):
            wall_date = day + offset * ONE_DAY
            zone = self.zone_on(wall_date)
            for span in self._spans(wall_date):
                closing_date = wall_date if span.closes > span.opens else wall_date + ONE_DAY
                opens = max(start, _instant(wall_date, span.opens, zone))
                closes = min(end, _instant(closing_date, span.closes, zone))
                if opens < closes:
                    spans.append((opens, closes))
        return _merged(spans)

    def open_quarters(self, day: date) -> list[datetime]:
        """UTC starts of the quarter hours in which the store is open on a business day."""
        return [quarter for opens, closes in self.open_spans(day) for quarter in _quarters(opens, closes)]

    def is_open(self, at: datetime) -> bool:
        """Whether the store is open at an instant."""
        return any(opens <= at < closes for opens, closes in self.open_spans(self.day_of(at)))

    def hours(self, day: date) -> list[StoreHour]:
        """The day cut into hours of the store's wall clock, in order.

        A new hour begins when the clock's hour, its date or its distance from UTC changes, so an hour that is lived
        twice gives two, and every quarter hour of the day is in exactly one.
        """
        zone = self.zone_on(day)
        hours: list[StoreHour] = []
        last: tuple[date, int, timedelta | None] | None = None
        run: list[datetime] = []
        for quarter in _quarters(*self.bounds(day)):
            local = quarter.astimezone(zone)
            key = (local.date(), local.hour, local.utcoffset())
            if key != last and run:
                hours.append(StoreHour(run[0], run[0].astimezone(zone), tuple(run)))
                run = []
            run.append(quarter)
            last = key
        if run:
            hours.append(StoreHour(run[0], run[0].astimezone(zone), tuple(run)))
        return hours

    def same_time(self, at: datetime, days: int) -> datetime:
        """The instant at which the store's clock shows the same time so many days later (UTC; negative is earlier).

        Opening hours follow the clock on the wall, so "last week, up to this minute" does too.
        """
        day = self.day_of(at)
        local = at.astimezone(self.zone_on(day)).replace(tzinfo=None) + timedelta(days=days)
        moved = _instant(local.date(), local.time(), self.zone_on(day + timedelta(days=days)))
        start, end = self.bounds(day + timedelta(days=days))
        return min(max(moved, start), end)

    def _rule(self, day: date) -> DayRule:
        in_force = [rule for rule in self._rules if rule.valid_from <= day]
        return in_force[-1] if in_force else self._rules[0]

    def _spans(self, wall_date: date) -> Sequence[OpeningSpan]:
        exception = self._exceptions.get(wall_date)
        if exception is not None:
            return exception
        if not self._hours:
            return ()
        in_force = [week for week in self._hours if week.valid_from <= wall_date]
        week = (in_force[-1] if in_force else self._hours[0]).spans
        on_holidays = [span for span in week if span.weekday == HOLIDAY]
        if on_holidays and self._is_holiday is not None and self._is_holiday(wall_date):
            return on_holidays
        return [span for span in week if span.weekday == wall_date.weekday()]

    def _start(self, day: date) -> datetime:
        known = self._starts.get(day)
        if known is None:
            rule = self._rule(day)
            known = self._starts[day] = _instant(day, rule.day_starts, self._zones[rule.timezone])
        return known


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f"unknown timezone {name!r}", field="timezone", remedy="give an IANA name such as Asia/Shanghai"
        ) from error


def _on_quarter(value: time, field: str) -> None:
    if value.minute % 15 or value.second or value.microsecond or value.tzinfo is not None:
        raise InvalidInput(
            f"{field} {value.isoformat()} is not on a quarter hour", field=field, remedy="use :00, :15, :30 or :45"
        )


def _instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The first instant at which the clock of a zone shows a wall time or, where it is skipped, anything later (UTC).

    `datetime` alone would put a skipped 02:30 at 03:30, half an hour into the day it was meant to begin.
    """
    naive = datetime.combine(day, wall)
    early = naive.replace(tzinfo=zone, fold=0)
    instant = early.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == naive:
        return instant
    # Skipped: the jump lies between the instants that the offsets after and before it would give.
    low, high = naive.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    offset_after = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == offset_after:
            high = middle
        else:
            low = middle
    return high


def _quarters(start: datetime, end: datetime) -> list[datetime]:
    return [start + i * QUARTER for i in range(int((end - start) / QUARTER))]


def _merged(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for opens, closes in sorted(spans):
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closes))
        else:
            merged.append((opens, closes))
    return merged
