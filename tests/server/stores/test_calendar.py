"""Business days and opening hours, each example worked out by hand from the zone's published rules."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.stores.calendar import QUARTER, DayRule, OpeningSpan, StoreCalendar, WeeklyHours

EVER = date(2000, 1, 1)
SHANGHAI = DayRule(EVER, "Asia/Shanghai")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clock(text: str) -> time:
    return time.fromisoformat(text)


def daily(opens: str, closes: str, valid_from: date = EVER) -> WeeklyHours:
    return WeeklyHours(valid_from, tuple(OpeningSpan(day, clock(opens), clock(closes)) for day in range(7)))


def calendar(zone: str, day_starts: str = "04:00", hours: WeeklyHours | None = None) -> StoreCalendar:
    return StoreCalendar([DayRule(EVER, zone, clock(day_starts))], [hours] if hours else [])


@pytest.mark.parametrize(
    ("zone", "day_starts", "day", "start", "end", "hours"),
    [
        # Ordinary: 04:00 in Shanghai is 20:00 UTC of the evening before.
        ("Asia/Shanghai", "04:00", "2026-11-21", "2026-11-20 20:00", "2026-11-21 20:00", 24),
        # Berlin, 28 to 29 March 2026: at 02:00 CET the clock jumps to 03:00 CEST. The 28th begins at 04:00 CET
        # (03:00 UTC) and the 29th at 04:00 CEST (02:00 UTC).
        ("Europe/Berlin", "04:00", "2026-03-28", "2026-03-28 03:00", "2026-03-29 02:00", 23),
        # Berlin, 24 to 25 October 2026: 03:00 CEST becomes 02:00 CET. 04:00 CEST is 02:00 UTC, 04:00 CET is 03:00 UTC.
        ("Europe/Berlin", "04:00", "2026-10-24", "2026-10-24 02:00", "2026-10-25 03:00", 25),
        # A day that begins at 02:30, which 29 March does not have: it begins when the clock jumps, at 01:00 UTC.
        ("Europe/Berlin", "02:30", "2026-03-29", "2026-03-29 01:00", "2026-03-30 00:30", 23.5),
        ("Europe/Berlin", "02:30", "2026-03-28", "2026-03-28 01:30", "2026-03-29 01:00", 23.5),
        # A day that begins at 02:30, which 25 October has twice: it begins the first time, at 00:30 UTC.
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25 00:30", "2026-10-26 01:30", 25),
        # Half-hour zone: Kolkata is UTC+5:30.
        ("Asia/Kolkata", "04:00", "2026-06-01", "2026-05-31 22:30", "2026-06-01 22:30", 24),
        # 45-minute zone: Kathmandu is UTC+5:45.
        ("Asia/Kathmandu", "04:00", "2026-06-01", "2026-05-31 22:15", "2026-06-01 22:15", 24),
        # Lord Howe's summer time is half an hour: on 5 April 2026 at 02:00 (UTC+11) it goes back to 01:30 (UTC+10:30).
        ("Australia/Lord_Howe", "04:00", "2026-04-04", "2026-04-03 17:00", "2026-04-04 17:30", 24.5),
        # New York, 1 November 2026: back at 02:00 EDT; a day from midnight has its 25 hours on the day itself.
        ("America/New_York", "00:00", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00", 25),
        # Samoa left out 30 December 2011 altogether: the 29th ends, and the missing day begins and ends, at the jump.
        ("Pacific/Apia", "00:00", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00", 24),
        ("Pacific/Apia", "00:00", "2011-12-30", "2011-12-30 10:00", "2011-12-30 10:00", 0),
        ("Pacific/Apia", "00:00", "2011-12-31", "2011-12-30 10:00", "2011-12-31 10:00", 24),
    ],
)
def test_a_day_begins_and_ends_where_the_stores_clock_says(
    zone: str, day_starts: str, day: str, start: str, end: str, hours: float
) -> None:
    bounds = calendar(zone, day_starts).bounds(date.fromisoformat(day))
    assert bounds == (utc(start), utc(end))
    assert bounds[1] - bounds[0] == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        # 04:00 in Shanghai on the 21st is 20:00 UTC on the 20th.
        ("2026-11-20 19:59:59.999999", "2026-11-20"),
        ("2026-11-20 20:00", "2026-11-21"),
        ("2026-11-21 19:59:59", "2026-11-21"),
    ],
)
def test_an_instant_falls_on_the_day_that_has_begun(at: str, day: str) -> None:
    assert StoreCalendar([SHANGHAI]).day_of(utc(at)) == date.fromisoformat(day)


def test_a_day_of_another_timezone_than_utc_is_told_from_an_instant_in_any_timezone() -> None:
    store = calendar("America/Los_Angeles")
    at = datetime.fromisoformat("2026-11-21T03:30:00-08:00")
    assert store.day_of(at) == store.day_of(at.astimezone(UTC)) == date(2026, 11, 20)


def test_hours_of_a_weekday() -> None:
    store = calendar("Asia/Shanghai", hours=daily("10:00", "22:00"))
    assert store.open_spans(date(2026, 11, 21)) == [(utc("2026-11-21 02:00"), utc("2026-11-21 14:00"))]
    assert len(store.open_quarters(date(2026, 11, 21))) == 48
    assert store.open_quarters(date(2026, 11, 21))[0] == utc("2026-11-21 02:00")
    assert store.open_quarters(date(2026, 11, 21))[-1] == utc("2026-11-21 13:45")


def test_several_spans_a_day_and_a_day_closed() -> None:
    week = WeeklyHours(
        EVER,
        (
            OpeningSpan(5, clock("14:00"), clock("18:30")),
            OpeningSpan(5, clock("09:00"), clock("12:00")),
        ),
    )
    store = calendar("Europe/Berlin", hours=week)
    # Saturday 21 November 2026, CET is UTC+1.
    assert store.open_spans(date(2026, 11, 21)) == [
        (utc("2026-11-21 08:00"), utc("2026-11-21 11:00")),
        (utc("2026-11-21 13:00"), utc("2026-11-21 17:30")),
    ]
    assert store.open_spans(date(2026, 11, 22)) == []
    assert store.open_quarters(date(2026, 11, 22)) == []


def test_without_hours_a_store_never_opens() -> None:
    assert StoreCalendar([SHANGHAI]).open_quarters(date(2026, 11, 21)) == []


def test_open_past_midnight_belongs_to_the_evening_it_began_on() -> None:
    friday_only = WeeklyHours(EVER, (OpeningSpan(4, clock("20:00"), clock("02:00")),))
    store = calendar("Asia/Shanghai", hours=friday_only)
    # Friday 20 November, 20:00 to 02:00: 12:00 to 18:00 UTC, all of it before Saturday begins at 20:00 UTC.
    assert store.open_spans(date(2026, 11, 20)) == [(utc("2026-11-20 12:00"), utc("2026-11-20 18:00"))]
    assert store.open_spans(date(2026, 11, 21)) == []
    assert store.day_of(utc("2026-11-20 17:30")) == date(2026, 11, 20)


def test_open_past_the_start_of_the_next_day_is_cut_between_the_two() -> None:
    friday_only = WeeklyHours(EVER, (OpeningSpan(4, clock("20:00"), clock("06:00")),))
    store = calendar("Asia/Shanghai", hours=friday_only)
    assert store.open_spans(date(2026, 11, 20)) == [(utc("2026-11-20 12:00"), utc("2026-11-20 20:00"))]
    assert store.open_spans(date(2026, 11, 21)) == [(utc("2026-11-20 20:00"), utc("2026-11-20 22:00"))]


def test_open_around_the_clock() -> None:
    store = calendar("Asia/Shanghai", hours=daily("00:00", "00:00"))
    assert store.open_spans(date(2026, 11, 21)) == [store.bounds(date(2026, 11, 21))]
    assert len(store.open_quarters(date(2026, 11, 21))) == 96


def test_open_around_the_clock_on_nights_of_23_and_25_hours() -> None:
    store = calendar("Europe/Berlin", hours=daily("00:00", "00:00"))
    assert len(store.open_quarters(date(2026, 3, 28))) == 92
    assert len(store.open_quarters(date(2026, 10, 24))) == 100


def test_hours_follow_the_clock_on_the_wall_through_a_change_of_time() -> None:
    bar = calendar("Europe/Berlin", hours=daily("22:00", "03:30"))
    # 28 March: 22:00 CET is 21:00 UTC; 03:30 CEST is 01:30 UTC: 4.5 hours behind the bar instead of 5.5.
    assert bar.open_spans(date(2026, 3, 28)) == [(utc("2026-03-28 21:00"), utc("2026-03-29 01:30"))]
    # 24 October: 22:00 CEST is 20:00 UTC; 03:30 CET is 02:30 UTC: 6.5 hours.
    assert bar.open_spans(date(2026, 10, 24)) == [(utc("2026-10-24 20:00"), utc("2026-10-25 02:30"))]


def test_hours_change_from_a_day_on() -> None:
    store = StoreCalendar([SHANGHAI], [daily("10:00", "22:00"), daily("09:00", "21:00", valid_from=date(2026, 11, 21))])
    assert store.open_spans(date(2026, 11, 20)) == [(utc("2026-11-20 02:00"), utc("2026-11-20 14:00"))]
    assert store.open_spans(date(2026, 11, 21)) == [(utc("2026-11-21 01:00"), utc("2026-11-21 13:00"))]


def test_a_set_of_hours_is_whole() -> None:
    """The new set names Mondays only, so the old set's Saturdays are gone with it."""
    mondays = WeeklyHours(date(2026, 11, 16), (OpeningSpan(0, clock("10:00"), clock("18:00")),))
    store = StoreCalendar([SHANGHAI], [daily("10:00", "22:00"), mondays])
    assert store.open_spans(date(2026, 11, 14)) != []
    assert store.open_spans(date(2026, 11, 16)) != []
    assert store.open_spans(date(2026, 11, 21)) == []


def test_before_its_first_rules_a_store_is_under_them() -> None:
    store = StoreCalendar(
        [DayRule(date(2026, 11, 1), "Asia/Shanghai")], [daily("10:00", "22:00", valid_from=date(2026, 11, 1))]
    )
    assert store.open_spans(date(2025, 5, 5)) == [(utc("2025-05-05 02:00"), utc("2025-05-05 14:00"))]


def test_a_store_that_moves_west_has_one_long_day() -> None:
    """From Shanghai (UTC+8) to Berlin (UTC+1 in November) on the 21st: the 20th lasts 24 + 7 hours."""
    store = StoreCalendar([SHANGHAI, DayRule(date(2026, 11, 21), "Europe/Berlin")], [daily("10:00", "22:00")])
    assert store.bounds(date(2026, 11, 20)) == (utc("2026-11-19 20:00"), utc("2026-11-21 03:00"))
    assert store.bounds(date(2026, 11, 21)) == (utc("2026-11-21 03:00"), utc("2026-11-22 03:00"))
    assert store.open_spans(date(2026, 11, 20)) == [(utc("2026-11-20 02:00"), utc("2026-11-20 14:00"))]
    assert store.open_spans(date(2026, 11, 21)) == [(utc("2026-11-21 09:00"), utc("2026-11-21 21:00"))]
    assert store.day_of(utc("2026-11-20 22:00")) == date(2026, 11, 20)
    assert store.timezone.key == "Europe/Berlin"
    assert store.zone_on(date(2026, 11, 20)).key == "Asia/Shanghai"


def test_a_store_that_moves_east_has_one_short_day() -> None:
    """From Berlin (UTC+1) to Shanghai (UTC+8) on the 21st: the 20th lasts 24 - 7 hours and closes early."""
    store = StoreCalendar(
        [DayRule(EVER, "Europe/Berlin"), DayRule(date(2026, 11, 21), "Asia/Shanghai")], [daily("10:00", "22:00")]
    )
    assert store.bounds(date(2026, 11, 20)) == (utc("2026-11-20 03:00"), utc("2026-11-20 20:00"))
    # 22:00 in Berlin would be 21:00 UTC, but at 20:00 UTC the 21st has begun.
    assert store.open_spans(date(2026, 11, 20)) == [(utc("2026-11-20 09:00"), utc("2026-11-20 20:00"))]
    assert store.open_spans(date(2026, 11, 21))[-1] == (utc("2026-11-21 02:00"), utc("2026-11-21 14:00"))


def test_hours_of_the_clock_where_the_zone_is_off_the_hour() -> None:
    """Kathmandu, UTC+5:45: the hour 10:00 begins at 04:15 UTC, and each hour has four quarters."""
    hours = calendar("Asia/Kathmandu").hours(date(2026, 6, 1))
    assert len(hours) == 24
    ten = next(hour for hour in hours if hour.local.hour == 10)
    assert ten.start == utc("2026-06-01 04:15")
    assert ten.quarters == tuple(utc("2026-06-01 04:15") + i * QUARTER for i in range(4))


def test_a_utc_hour_is_of_every_day_it_touches() -> None:
    """Kathmandu, 04:00 is 22:15 UTC: the UTC hour from 22:00 has a quarter of the old day and three of the new."""
    store = calendar("Asia/Kathmandu")
    assert store.days_of_hour(utc("2026-11-16 22:00")) == [date(2026, 11, 16), date(2026, 11, 17)]
    assert store.days_of_hour(utc("2026-11-16 21:00")) == [date(2026, 11, 16)]
    # Kolkata, its day moved from 23:45 to midnight: 1 June is the quarter hour between, in the UTC hour from 18:00.
    moved = StoreCalendar(
        [
            DayRule(date(2000, 1, 1), "Asia/Kolkata", time(23, 45)),
            DayRule(date(2026, 6, 2), "Asia/Kolkata", time(0)),
        ]
    )
    assert moved.days_of_hour(utc("2026-06-01 18:00")) == [date(2026, 5, 31), date(2026, 6, 1), date(2026, 6, 2)]


def test_an_hour_lived_twice_gives_two_and_one_left_out_none() -> None:
    store = calendar("Europe/Berlin")
    back = [hour.local.hour for hour in store.hours(date(2026, 10, 24))]
    assert back == [*range(4, 24), 0, 1, 2, 2, 3]
    forward = [hour.local.hour for hour in store.hours(date(2026, 3, 28))]
    assert forward == [*range(4, 24), 0, 1, 3]


def test_hours_are_cut_where_the_day_begins_within_one() -> None:
    store = calendar("Asia/Shanghai", day_starts="04:30")
    hours = store.hours(date(2026, 11, 21))
    assert hours[0].start == utc("2026-11-20 20:30")
    assert len(hours[0].quarters) == 2
    assert hours[-1].start == utc("2026-11-21 20:00")
    assert len(hours[-1].quarters) == 2


def test_lord_howes_half_hour_cuts_two_hours_short() -> None:
    """At 02:00 the clock goes back to 01:30: 01:00-02:00, then 01:30-02:00 again, then 02:00."""
    hours = calendar("Australia/Lord_Howe").hours(date(2026, 4, 4))
    one = [hour for hour in hours if hour.local.hour == 1]
    assert [len(hour.quarters) for hour in one] == [4, 2]
    assert [hour.start for hour in one] == [utc("2026-04-04 14:00"), utc("2026-04-04 15:00")]


def test_the_same_time_last_week_is_the_same_on_the_wall() -> None:
    store = calendar("Europe/Berlin")
    # Friday 30 October 2026, 11:07 CET; a week before, Berlin was still on summer time.
    assert store.same_time(utc("2026-10-30 10:07"), -7) == utc("2026-10-23 09:07")
    assert store.same_time(utc("2026-11-20 10:07:30"), -7) == utc("2026-11-13 10:07:30")


def test_open_now() -> None:
    store = calendar("Asia/Shanghai", hours=daily("10:00", "22:00"))
    assert not store.is_open(utc("2026-11-21 01:59:59"))
    assert store.is_open(utc("2026-11-21 02:00"))
    assert store.is_open(utc("2026-11-21 13:59:59"))
    assert not store.is_open(utc("2026-11-21 14:00"))


@pytest.mark.parametrize(
    ("rules", "hours", "field"),
    [
        ([], [], "timezone"),
        ([DayRule(EVER, "Mars/Olympus")], [], "timezone"),
        ([DayRule(EVER, "../etc/passwd")], [], "timezone"),
        ([DayRule(EVER, "Asia/Shanghai", time(4, 10))], [], "day_starts"),
        ([SHANGHAI], [daily("10:05", "22:00")], "opens"),
        ([SHANGHAI], [daily("10:00", "22:01")], "closes"),
    ],
)
def test_what_can_not_be_a_calendar_is_refused(rules: list[DayRule], hours: list[WeeklyHours], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        StoreCalendar(rules, hours)
    assert refused.value.field == field


ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
starts = st.builds(time, st.integers(0, 23), st.sampled_from((0, 15, 30, 45)))


@given(
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    day_starts=st.tuples(starts, starts),
    day=st.dates(date(2026, 1, 5), date(2026, 12, 25)),
    seconds=st.integers(0, 86_399),
)
def test_days_tile_time_and_hours_tile_days(
    zones: tuple[str, str], day_starts: tuple[time, time], day: date, seconds: int
) -> None:
    """Also around a move of timezone on `day`: every instant is in one day, every quarter of a day in one hour."""
    store = StoreCalendar(
        [DayRule(EVER, zones[0], day_starts[0]), DayRule(day, zones[1], day_starts[1])], [daily("22:00", "06:00")]
    )
    at = datetime.combine(day, time(0), UTC) + timedelta(seconds=seconds)
    found = store.day_of(at)
    start, end = store.bounds(found)
    assert start <= at < end
    assert store.bounds(found + timedelta(days=1))[0] >= end
    quarters = [quarter for hour in store.hours(found) for quarter in hour.quarters]
    assert quarters == [start + i * QUARTER for i in range((end - start) // QUARTER)]
    assert set(store.open_quarters(found)) <= set(quarters)
