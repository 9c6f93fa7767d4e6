"""Days on which the weekday does not say when a store opens: by date, and by public holiday. Worked out by hand."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.services import Services
from server.stores.calendar import DayRule, OpeningSpan, StoreCalendar, WeeklyHours
from server.stores.models import EVER, NewStore
from server.stores.opening_repository import HolidayRow, own_words
from server.stores.public_holidays import in_place, known
from tests.server.conftest import SYSTEM

SHANGHAI = [DayRule(EVER, "Asia/Shanghai")]
#: Ten to ten, and on public holidays noon to six.
DAILY = tuple(OpeningSpan(weekday, time(10), time(22)) for weekday in range(7))
WITH_HOLIDAYS = WeeklyHours(EVER, (*DAILY, OpeningSpan(7, time(12), time(18))))
CHRISTMAS_EVE = date(2026, 12, 24)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def only(opens: str, closes: str) -> tuple[OpeningSpan, ...]:
    return (OpeningSpan(0, time.fromisoformat(opens), time.fromisoformat(closes)),)


# -- the calendar


def test_an_exception_takes_the_place_of_its_weekday() -> None:
    store = StoreCalendar(
        SHANGHAI,
        [WeeklyHours(EVER, DAILY)],
        {CHRISTMAS_EVE: only("10:00", "14:00"), CHRISTMAS_EVE + timedelta(days=1): ()},
    )
    # Shanghai is eight hours ahead.
    assert store.open_spans(CHRISTMAS_EVE) == [(utc("2026-12-24 02:00"), utc("2026-12-24 06:00"))]
    assert store.open_spans(date(2026, 12, 25)) == []
    assert store.open_spans(date(2026, 12, 26)) == [(utc("2026-12-26 02:00"), utc("2026-12-26 14:00"))]


def test_an_exception_past_midnight_belongs_to_the_evening_it_began_on() -> None:
    """New Year's Eve until three; the business day ends at four."""
    store = StoreCalendar(SHANGHAI, [WeeklyHours(EVER, DAILY)], {date(2026, 12, 31): only("10:00", "03:00")})
    assert store.open_spans(date(2026, 12, 31)) == [(utc("2026-12-31 02:00"), utc("2026-12-31 19:00"))]
    assert store.open_spans(date(2027, 1, 1)) == [(utc("2027-01-01 02:00"), utc("2027-01-01 14:00"))]


def test_an_exception_on_a_night_of_25_hours() -> None:
    """Berlin, from 22:00 on 24 October (CEST, UTC+2) to 03:30 (CET, UTC+1): six and a half hours."""
    store = StoreCalendar(
        [DayRule(EVER, "Europe/Berlin")], [WeeklyHours(EVER, DAILY)], {date(2026, 10, 24): only("22:00", "03:30")}
    )
    assert store.open_spans(date(2026, 10, 24)) == [(utc("2026-10-24 20:00"), utc("2026-10-25 02:30"))]


def test_an_exception_where_the_zone_is_off_the_hour() -> None:
    """Kathmandu, UTC+5:45."""
    store = StoreCalendar(
        [DayRule(EVER, "Asia/Kathmandu")], [WeeklyHours(EVER, DAILY)], {CHRISTMAS_EVE: only("10:15", "10:30")}
    )
    assert store.open_quarters(CHRISTMAS_EVE) == [utc("2026-12-24 04:30")]


def test_an_exception_on_the_day_a_store_moves_timezone() -> None:
    """From Shanghai to Berlin on the 21st; the exception is of the 21st, on Berlin's clock."""
    store = StoreCalendar(
        [*SHANGHAI, DayRule(date(2026, 11, 21), "Europe/Berlin")],
        [WeeklyHours(EVER, DAILY)],
        {date(2026, 11, 21): only("12:00", "14:00")},
    )
    assert store.open_spans(date(2026, 11, 21)) == [(utc("2026-11-21 11:00"), utc("2026-11-21 13:00"))]


def test_a_public_holiday_has_hours_of_its_own_where_the_set_names_any() -> None:
    is_holiday = in_place("CN", "", {})
    store = StoreCalendar(SHANGHAI, [WITH_HOLIDAYS], None, is_holiday)
    # National Day, Thursday 1 October 2026: noon to six; the day before: ten to ten.
    assert store.open_spans(date(2026, 10, 1)) == [(utc("2026-10-01 04:00"), utc("2026-10-01 10:00"))]
    assert store.open_spans(date(2026, 9, 30)) == [(utc("2026-09-30 02:00"), utc("2026-09-30 14:00"))]
    plain = StoreCalendar(SHANGHAI, [WeeklyHours(EVER, DAILY)], None, is_holiday)
    assert plain.open_spans(date(2026, 10, 1)) == [(utc("2026-10-01 02:00"), utc("2026-10-01 14:00"))]


def test_an_exception_goes_before_a_holiday() -> None:
    store = StoreCalendar(SHANGHAI, [WITH_HOLIDAYS], {date(2026, 10, 1): ()}, in_place("CN", "", {}))
    assert store.open_spans(date(2026, 10, 1)) == []


# -- what is a holiday


@pytest.mark.parametrize(
    ("country", "subdivision", "day", "kind"),
    [
        ("CN", "", date(2026, 2, 17), "holiday"),  # Spring Festival
        ("CN", "", date(2026, 2, 14), "workday"),  # a Saturday worked for it
        ("CN", "", date(2026, 2, 10), None),
        ("CN", "", date(2031, 10, 1), "holiday"),  # beyond what was announced: the feast itself
        ("DE", "BY", date(2026, 1, 6), "holiday"),  # Epiphany, in Bavaria and not in Berlin
        ("DE", "BE", date(2026, 1, 6), None),
        ("DE", "QQ", date(2026, 12, 25), "holiday"),  # no such part: the country's
        ("US", "", date(2026, 11, 26), "holiday"),  # Thanksgiving
        ("ZZ", "", date(2026, 12, 25), None),
    ],
)
def test_what_the_libraries_know(country: str, subdivision: str, day: date, kind: str | None) -> None:
    found = known(country, subdivision, day.year).get(day)
    assert (found.kind if found else None) == kind


def test_our_own_word_goes_before_the_libraries_and_a_part_s_before_its_country_s() -> None:
    rows = [
        HolidayRow("DE", "", date(2026, 12, 25), "ordinary", ""),
        HolidayRow("DE", "BE", date(2026, 12, 25), "holiday", "Weihnachten"),
        HolidayRow("DE", "", date(2026, 5, 8), "holiday", "once"),
        HolidayRow("FR", "", date(2026, 5, 9), "holiday", "not ours"),
    ]
    berlin = in_place("DE", "BE", own_words(rows, "DE", "BE"))
    bavaria = in_place("DE", "BY", own_words(rows, "DE", "BY"))
    assert [berlin(date(2026, 12, 25)), bavaria(date(2026, 12, 25))] == [True, False]
    assert berlin(date(2026, 5, 8))
    assert not berlin(date(2026, 5, 9))
    assert berlin(date(2026, 12, 26))


# -- kept


def test_an_exception_has_the_days_it_reaches_into_computed_anew(chain: Services) -> None:
    day = date(2026, 11, 18)
    for each in (17, 18, 19, 20):
        chain.kpi.recompute("S01", date(2026, 11, each))
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    chain.opening.set_exception(SYSTEM, "S01", day, only("10:00", "12:00"), "stocktaking")
    with chain.db.read() as conn:
        # Shanghai's days begin at 20:00 UTC on the evening before.
        marks = conn.execute("SELECT hour FROM dirty_mark ORDER BY hour").fetchall()
    assert marks == [(utc(f"2026-11-{each} 20:00"),) for each in (16, 17, 18)]
    assert chain.kpi.day(SYSTEM, "S01", day).facts.open_quarters == 8
    (kept,) = chain.opening.exceptions(SYSTEM, "S01", day, day)
    assert (kept.hours, kept.reason) == (((time(10), time(12)),), "stocktaking")
    chain.opening.clear_exception(SYSTEM, "S01", day)
    assert chain.kpi.day(SYSTEM, "S01", day).facts.open_quarters == 48
    with pytest.raises(NotFound):
        chain.opening.clear_exception(SYSTEM, "S01", day)


def test_holidays_of_a_store_that_has_hours_for_them(chain: Services) -> None:
    chain.stores.add_store(
        SYSTEM, NewStore("S09", "九店", "Asia/Shanghai", hours=WITH_HOLIDAYS.spans, subdivision="SH")
    )
    quarters = {day: len(chain.stores.calendar(SYSTEM, "S09").open_quarters(date(2026, 10, day))) for day in (1, 9)}
    assert quarters == {1: 24, 9: 48}
    chain.opening.set_holiday(SYSTEM, "CN", "SH", date(2026, 10, 9), "holiday", "our own")
    chain.opening.set_holiday(SYSTEM, "CN", "", date(2026, 10, 1), "ordinary")
    calendars = chain.stores.calendars(SYSTEM)
    assert [len(calendars["S09"].open_quarters(date(2026, 10, day))) for day in (1, 9)] == [48, 24]
    assert len(calendars["S01"].open_quarters(date(2026, 10, 9))) == 48
    listed = chain.opening.holidays(SYSTEM, "CN", "SH", date(2026, 10, 1), date(2026, 10, 10))
    assert [(each.day.day, each.kind, each.source) for each in listed if each.day.day in (1, 2, 9, 10)] == [
        (1, "ordinary", "own"),
        (2, "holiday", "library"),
        (9, "holiday", "own"),
        (10, "workday", "library"),
    ]
    chain.opening.clear_holiday(SYSTEM, "CN", "SH", date(2026, 10, 9))
    assert len(chain.stores.calendar(SYSTEM, "S09").open_quarters(date(2026, 10, 9))) == 48
    assert chain.stores.store(SYSTEM, "S09").subdivision == "SH"


def test_a_holiday_has_the_days_of_stores_with_hours_for_it_computed_anew(chain: Services) -> None:
    chain.stores.add_store(SYSTEM, NewStore("S09", "九店", "Asia/Shanghai", hours=WITH_HOLIDAYS.spans))
    for store in ("S01", "S09"):
        chain.kpi.recompute(store, date(2026, 11, 18))
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    chain.opening.set_holiday(SYSTEM, "CN", "", date(2026, 11, 18), "holiday")
    with chain.db.read() as conn:
        assert conn.execute("SELECT store_id, hour FROM dirty_mark").fetchall() == [("S09", utc("2026-11-17 20:00"))]


def test_who_may_and_what_is_refused(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    manager, desk = scope_of("manager"), scope_of("desk")
    chain.opening.set_exception(manager, "S01", CHRISTMAS_EVE, ())
    with pytest.raises(Forbidden):
        chain.opening.set_exception(manager, "S02", CHRISTMAS_EVE, ())
    with pytest.raises(Forbidden):
        chain.opening.set_exception(desk, "S01", CHRISTMAS_EVE, ())
    with pytest.raises(Forbidden):
        chain.opening.set_holiday(manager, "CN", "", CHRISTMAS_EVE, "holiday")
    for spans, field in ((only("10:05", "12:00"), "opens"), (only("10:00", "12:00") * 2, "hours")):
        with pytest.raises(InvalidInput) as found:
            chain.opening.set_exception(SYSTEM, "S01", CHRISTMAS_EVE, spans)
        assert found.value.field == field
    with pytest.raises(InvalidInput):
        chain.opening.holidays(SYSTEM, "China", "", CHRISTMAS_EVE, CHRISTMAS_EVE)
    with pytest.raises(InvalidInput):
        chain.opening.holidays(SYSTEM, "CN", "", CHRISTMAS_EVE, date(2026, 1, 1))


def test_over_the_api(sign_in: Callable[[str], TestClient]) -> None:
    hq = sign_in("hq")
    place = "/api/v1/stores/S01/exceptions/2026-12-24"
    assert hq.put(place, json={"hours": [{"opens": "10:00", "closes": "14:00"}], "reason": "eve"}).status_code == 204
    days = {"from": "2026-12-01", "to": "2026-12-31"}
    listed = hq.get("/api/v1/stores/S01/exceptions", params=days).json()
    assert listed == [{"store_id": "S01", "day": "2026-12-24", "hours": [["10:00:00", "14:00:00"]], "reason": "eve"}]
    assert hq.delete(place).status_code == 204
    assert hq.delete(place).status_code == 404
    holiday = "/api/v1/holidays/DE/2026-12-24"
    assert hq.put(holiday, params={"subdivision": "BE"}, json={"kind": "holiday", "name": "Heiligabend"}).is_success
    listed = hq.get("/api/v1/holidays/DE", params={**days, "subdivision": "BE"}).json()
    assert [(each["day"], each["source"]) for each in listed] == [
        ("2026-12-24", "own"),
        ("2026-12-25", "library"),
        ("2026-12-26", "library"),
    ]
    assert hq.delete(holiday, params={"subdivision": "BE"}).status_code == 204


@pytest.mark.usefixtures("chain")
def test_from_the_command_line(db_dsn: str) -> None:
    run = CliRunner(env={"DOORLINE_DSN": db_dsn})
    for hours in ("10:00-12:00,14:00-16:00", "closed", "usual"):
        done = run.invoke(app, ["store", "exception", "S01", "2026-12-24", hours, "--why", "eve"])
        assert done.output == f"S01 on 2026-12-24: {hours}.\n"
    refused = run.invoke(app, ["store", "exception", "S01", "2026-12-24", "noon"])
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("country", "day", "zh", "en"),
    [
        ("CN", date(2026, 10, 1), "国庆节", "National Day"),
        # Not announced when the library was made: the feasts themselves.
        ("CN", date(2035, 1, 1), "元旦", "New Year's Day"),
        # No Chinese there: in English.
        ("DE", date(2026, 10, 3), "German Unity Day", "German Unity Day"),
    ],
)
def test_a_holiday_is_named_in_the_readers_language_where_the_library_can(
    country: str, day: date, zh: str, en: str
) -> None:
    assert known(country, "", day.year, "zh")[day].name == zh
    assert known(country, "", day.year, "en")[day].name == en
