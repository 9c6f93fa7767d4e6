"""An earlier answer asked for again, by day and by hour: what stood then, to the last number, whatever came since.

Store S01 is open from ten to twelve. On Monday 5 come at ten and 3 at eleven; on Tuesday 2 at ten. A receipt for Monday
turns up late, then two more people of half past eleven, then somebody moves a tally by an hour.
"""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from server.errors import InvalidInput
from server.kpi.answers.question import Question, StoreFilter
from server.kpi.models import Report
from server.stores.calendar import DayRule
from tests.server.kpi.chain import SYSTEM, Chain

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


def told(shops: Chain, at: datetime | None, group_by: str, **changes: object) -> Report:
    asked: dict[str, object] = {"day_from": MONDAY, "day_to": TUESDAY, "store_ids": ["S01"]} | changes
    return shops.kpi.report(SYSTEM, kpis=["entries", "net_sales"], group_by=group_by, as_of=at, **asked)  # type: ignore[arg-type]  # as named


def entries(report: Report) -> dict[str, object]:
    return {row.key: row.values["entries"].value for row in report.rows}


@pytest.fixture
def moments(shops: Chain) -> list[datetime]:
    """When each answer stood; the days have been computed anew after each change."""
    shops.store("S01")
    for day in (MONDAY, TUESDAY):
        shops.watch("S01", f"{day} 10:00", f"{day} 12:00")
    shops.cross("S01", "2026-11-16 10:05", 5)
    shops.cross("S01", "2026-11-16 11:05", 3)
    shops.cross("S01", "2026-11-17 10:05", 2)
    found = []

    def compute() -> None:
        shops.now += timedelta(minutes=10)
        for day in (MONDAY, TUESDAY):
            shops.kpi.recompute("S01", day)
        shops.forget_marks()
        found.append(shops.now)

    compute()
    shops.sell("S01", "2026-11-16 11:20", "80.00")
    compute()
    shops.cross("S01", "2026-11-16 11:31", 2)
    compute()
    with shops.db.transaction() as conn:
        conn.execute(
            "UPDATE traffic_15m SET quarter = quarter - interval '1 hour' WHERE quarter = %s",
            (shops.at("S01", "2026-11-16 11:30"),),
        )
    compute()
    return found


def test_days_and_hours_are_as_they_stood(shops: Chain, moments: list[datetime]) -> None:
    ten, eleven, tuesday = "2026-11-16T02:00Z", "2026-11-16T03:00Z", "2026-11-17T02:00Z"
    quiet = "2026-11-17T03:00Z"
    by_hour = [(5, 3), (5, 3), (5, 5), (7, 3)]
    sold = [None, 80, 80, 80]
    for at, (first, second), net in zip(moments, by_hour, sold, strict=True):
        hours = told(shops, at, "hour")
        assert entries(hours) == {ten: first, eleven: second, tuesday: 2, quiet: 0}
        assert (hours.as_of, hours.missing) == (at, 0)
        assert entries(told(shops, at, "day")) == {"2026-11-16": first + second, "2026-11-17": 2}
        assert entries(told(shops, at, "day,hour_of_day")) == {
            "2026-11-16/10": first,
            "2026-11-16/11": second,
            "2026-11-17/10": 2,
            "2026-11-17/11": 0,
        }
        (month,) = told(shops, at, "store,month").rows
        assert (month.key, month.values["entries"].value) == ("S01/2026-11", first + second + 2)
        assert month.values["net_sales"].value == net
    assert entries(told(shops, None, "hour")) == entries(told(shops, moments[3], "hour"))


def test_of_the_hours_those_alone_that_changed_are_kept_twice(shops: Chain, moments: list[datetime]) -> None:
    """Ten: tills that spoke at all that day, and the move. Eleven: the receipt, the late ones and the move."""
    assert len(moments) == 4
    with shops.db.read() as conn:
        rows = conn.execute(
            "SELECT local_hour, since_version, until_version FROM store_hour_past ORDER BY local_hour, since_version"
        ).fetchall()
    assert rows == [(10, 1, 2), (10, 2, 4), (11, 1, 2), (11, 2, 3), (11, 3, 4)]


def test_before_there_was_an_answer_there_is_none(shops: Chain, moments: list[datetime]) -> None:
    report = told(shops, moments[0] - timedelta(minutes=1), "hour")
    assert (report.rows, report.missing, report.total.values["entries"].withheld) == ((), 2, "no_data")


def test_a_comparison_is_of_the_same_moment(shops: Chain, moments: list[datetime]) -> None:
    for at, monday in zip(moments, (8, 8, 10, 10), strict=True):
        report = told(shops, at, "store", day_from=TUESDAY, day_to=TUESDAY, compare="previous_period")
        (row,) = report.rows
        assert row.compare is not None
        assert (row.values["entries"].value, row.compare["entries"].value) == (2, monday)


def test_a_running_day_has_no_answer_that_could_be_asked_for_again(shops: Chain) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:05", 5)
    shops.now = shops.at("S01", "2026-11-16 11:00")
    shops.kpi.recompute("S01", MONDAY)
    noon = shops.now
    shops.now += timedelta(hours=1)
    assert told(shops, noon, "day", day_to=MONDAY).missing == 1
    shops.now = shops.at("S01", "2026-11-17 05:00")
    shops.kpi.recompute("S01", MONDAY)
    assert told(shops, noon, "day", day_to=MONDAY).missing == 1
    assert entries(told(shops, shops.now, "day", day_to=MONDAY)) == {"2026-11-16": 5}


def test_hours_of_versions_from_before_they_were_kept_are_said_to_be_missing(
    shops: Chain, moments: list[datetime]
) -> None:
    with shops.db.transaction() as conn:
        conn.execute("DELETE FROM store_hour_past")
        conn.execute("UPDATE store_hour SET since_version = 4 WHERE day = %s", (MONDAY,))
    assert told(shops, moments[0], "hour").missing == 1
    assert told(shops, moments[0], "day").missing == 0
    assert told(shops, moments[3], "hour").missing == 0


def test_hours_that_another_day_takes_over_stay_with_the_day_that_had_them(shops: Chain) -> None:
    """Open all night; the day begins at four, and then, as somebody finds, at two since that Tuesday.

    3 people came at three in the night to Tuesday: first they are Monday's, then Tuesday's.
    """
    shops.store("N01", "00:00", "00:00", timezone="UTC")
    shops.cross("N01", datetime(2026, 11, 17, 3, tzinfo=UTC), 3)
    for day in (MONDAY, TUESDAY):
        shops.kpi.recompute("N01", day)
    first = shops.now
    shops.now += timedelta(hours=1)
    shops.stores.set_calendar(SYSTEM, "N01", DayRule(TUESDAY, "UTC", time(2)))
    for day in (TUESDAY, MONDAY):
        shops.kpi.recompute("N01", day)
    shops.forget_marks()
    night = "2026-11-17T03:00Z"
    asked = {"store_ids": ["N01"]}
    assert entries(told(shops, first, "day,hour", **asked))[f"2026-11-16/{night}"] == 3
    assert entries(told(shops, shops.now, "day,hour", **asked))[f"2026-11-17/{night}"] == 3
    assert f"2026-11-16/{night}" not in entries(told(shops, shops.now, "day,hour", **asked))
    assert [told(shops, at, "hour", **asked).missing for at in (first, shops.now)] == [0, 0]


def test_it_is_exported_like_any_report(shops: Chain, moments: list[datetime]) -> None:
    question = Question(["entries"], MONDAY, TUESDAY, StoreFilter(["S01"]), "store,hour", as_of=moments[0])
    slices = shops.kpi.slices(SYSTEM, question)
    rows = [row for part in slices.rows() for row in part]
    assert [row.values["entries"].value for row in rows] == [5, 3, 2, 0]
    assert (slices.total.values["entries"].value, slices.missing) == (10, 0)


@pytest.mark.parametrize(
    ("at", "group_by", "field"),
    [
        (datetime(2026, 12, 24, tzinfo=UTC), "day", "as_of"),
        (datetime(2026, 11, 20, tzinfo=UTC), "quarter", "group_by"),
        (datetime(2026, 11, 20), "day", "as_of"),  # noqa: DTZ001 - that is the point
    ],
    ids=["yet to come", "quarter hours", "no timezone"],
)
def test_what_can_not_be_asked_for_again(shops: Chain, at: datetime, group_by: str, field: str) -> None:
    shops.store("S01")
    with pytest.raises(InvalidInput) as caught:
        told(shops, at, group_by)
    assert caught.value.field == field
