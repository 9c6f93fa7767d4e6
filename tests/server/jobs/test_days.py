"""Days computed anew: those marked, those running, those over; and marks that end only with what they ask for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from threading import Event

import pytest

from server.jobs.days import Days, DaysFailed
from server.kpi.days.compute import StoreDay
from server.kpi.days.recomputing import ToCompute
from server.kpi.service import KpiService
from server.storage import dirty
from server.storage.pool import Connection
from tests.server.kpi.chain import Chain

MONDAY = date(2026, 11, 16)
GO_ON = Event()


@pytest.fixture
def days(shops: Chain) -> Days:
    return Days(shops.db, shops.stores, shops.kpi, shops.clock)


def entries(shops: Chain) -> dict[tuple[str, date], int]:
    with shops.db.read() as conn:
        rows = conn.execute("SELECT store_id, day, entries FROM store_day WHERE superseded_at IS NULL").fetchall()
    return {(store_id, day): count for store_id, day, count in rows}


def test_marked_days_are_computed_and_their_marks_end(shops: Chain, days: Days) -> None:
    shops.store("S01")
    shops.store("B01", timezone="Europe/Berlin")
    shops.cross("S01", "2026-11-16 10:00", 5)
    shops.cross("S01", "2026-11-17 11:00", 2)
    # 03:30 in Berlin is still the evening before.
    shops.cross("B01", "2026-11-17 03:30", 1)
    shops.cross("B01", "2026-11-16 10:30", 4)
    assert days.dirty(GO_ON) == "3 store-days computed"
    assert entries(shops) == {("S01", MONDAY): 5, ("S01", date(2026, 11, 17)): 2, ("B01", MONDAY): 4}
    assert shops.marks() == 0
    assert days.dirty(GO_ON) is None


def test_a_mark_of_two_days_has_both_computed(shops: Chain, days: Days) -> None:
    shops.store("K01", "00:00", "00:00", timezone="Asia/Kathmandu")
    shops.cross("K01", datetime(2026, 11, 16, 22, 0, tzinfo=UTC), 1)
    shops.cross("K01", datetime(2026, 11, 16, 22, 30, tzinfo=UTC), 2)
    assert days.dirty(GO_ON) == "2 store-days computed"
    assert entries(shops) == {("K01", MONDAY): 1, ("K01", date(2026, 11, 17)): 2}
    assert shops.marks() == 0


class Interrupting(KpiService):
    """While a day is computed, another receipt comes in for it."""

    def __init__(self, shops: Chain) -> None:
        super().__init__(shops.db, shops.stores, shops.clock)
        self._shops = shops
        self.times = 0

    def recompute_in(self, conn: Connection, wanted: Sequence[ToCompute]) -> Mapping[StoreDay, bool]:
        changed = super().recompute_in(conn, wanted)
        self.times += 1
        if self.times == 1:
            self._shops.cross("S01", "2026-11-16 10:00", 3)
        return changed


def test_a_mark_made_while_a_day_is_computed_is_not_lost(shops: Chain) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:00", 5)
    kpi = Interrupting(shops)
    Days(shops.db, shops.stores, kpi, shops.clock).dirty(GO_ON)
    assert kpi.times == 2
    assert entries(shops) == {("S01", MONDAY): 8}
    assert shops.marks() == 0


@pytest.fixture
def a_poisoned_day(shops: Chain) -> None:
    """S01's Monday can't be kept: the database refuses the row."""
    shops.store("S01")
    shops.store("S02")
    with shops.db.transaction() as conn:
        conn.execute(
            "ALTER TABLE store_day ADD CONSTRAINT poison CHECK (NOT (store_id = 'S01' AND day = '2026-11-16'))"
        )


@pytest.mark.usefixtures("a_poisoned_day")
def test_a_day_that_fails_keeps_its_marks_and_holds_up_nobody(shops: Chain, days: Days) -> None:
    shops.cross("S01", "2026-11-16 10:00", 5)
    shops.cross("S01", "2026-11-17 10:00", 6)
    shops.cross("S02", "2026-11-16 10:00", 7)
    with pytest.raises(DaysFailed, match=r"1 store-days failed, 2 computed; S01 2026-11-16: .*poison"):
        days.dirty(GO_ON)
    assert entries(shops) == {("S01", date(2026, 11, 17)): 6, ("S02", MONDAY): 7}
    assert shops.marks() == 1
    with shops.db.transaction() as conn:
        conn.execute("ALTER TABLE store_day DROP CONSTRAINT poison")
    assert days.dirty(GO_ON) == "1 store-days computed"
    assert shops.marks() == 0


@pytest.mark.usefixtures("a_poisoned_day")
def test_a_store_whose_today_fails_holds_up_no_other_stores(shops: Chain, days: Days) -> None:
    shops.now = shops.at("S01", "2026-11-16 10:30")
    with pytest.raises(DaysFailed, match=r"1 store-days failed, 1 computed; S01 2026-11-16: .*poison"):
        days.today(GO_ON)
    assert entries(shops) == {("S02", MONDAY): 0}
    shops.now = shops.at("S01", "2026-11-17 05:00")
    with pytest.raises(DaysFailed):
        days.settle(GO_ON)
    assert entries(shops) == {("S02", MONDAY): 0}


def test_marks_of_a_store_there_is_not_are_dropped(shops: Chain, days: Days) -> None:
    with shops.db.transaction() as conn:
        dirty.mark(conn, "GONE", [datetime(2026, 11, 16, tzinfo=UTC)], "test")
    assert days.dirty(GO_ON) is None
    assert shops.marks() == 0


def test_told_to_stop_it_leaves_the_rest_marked(shops: Chain) -> None:
    shops.store("S01")
    for day in range(1, 6):
        shops.cross("S01", f"2026-11-{day:02d} 10:00", 1)
    stop = Event()

    class StopsAfterOne(KpiService):
        def recompute_in(self, conn: Connection, wanted: Sequence[ToCompute]) -> Mapping[StoreDay, bool]:
            stop.set()
            return super().recompute_in(conn, wanted)

    kpi = StopsAfterOne(shops.db, shops.stores, shops.clock)
    assert Days(shops.db, shops.stores, kpi, shops.clock).dirty(stop) == "1 store-days computed"
    # The latest day first.
    assert list(entries(shops)) == [("S01", date(2026, 11, 5))]
    assert shops.marks() == 4


def test_today_is_computed_without_marks_and_less_often_while_a_store_is_closed(shops: Chain, days: Days) -> None:
    """At 10:30 in Shanghai it is night in Berlin; the row of a day that runs there is there all the same."""
    shops.store("S01")
    shops.store("B01", timezone="Europe/Berlin")
    shops.now = shops.at("S01", "2026-11-16 10:30")
    assert days.today(GO_ON) == "2 store-days computed"
    assert entries(shops) == {("B01", date(2026, 11, 15)): 0, ("S01", MONDAY): 0}
    shops.now += timedelta(seconds=30)
    assert days.today(GO_ON) is None
    shops.now += timedelta(seconds=30)
    assert days.today(GO_ON) == "1 store-days computed"
    shops.now = shops.at("S01", "2026-11-16 12:04")
    assert days.today(GO_ON) == "2 store-days computed"
    shops.now += timedelta(minutes=2)
    assert days.today(GO_ON) is None
    shops.now += timedelta(minutes=9)
    assert days.today(GO_ON) == "2 store-days computed"


def test_in_a_large_chain_a_running_day_computed_a_moment_ago_waits(shops: Chain) -> None:
    """Of two running days, where one is many: what comes within 25 seconds waits, what comes for the past does not."""
    days = Days(shops.db, shops.stores, shops.kpi, shops.clock, many=1)
    for store in ("S01", "S02"):
        shops.store(store)
    shops.now = shops.at("S01", "2026-11-16 10:30")
    days.today(GO_ON)
    for store in ("S01", "S02"):
        shops.cross(store, "2026-11-16 10:05", 2)
    shops.cross("S01", "2026-11-15 10:05", 1)
    shops.now += timedelta(seconds=10)
    assert days.dirty(GO_ON) == "1 store-days computed"
    assert shops.marks() == 2
    shops.now += timedelta(seconds=20)
    assert days.dirty(GO_ON) == "2 store-days computed"
    assert shops.marks() == 0


def test_a_day_is_settled_once_it_is_over(shops: Chain, days: Days) -> None:
    """Computed at 11:00 when half of it was there; over at 04:00; settled at 04:15, also where nothing marks it."""
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-16 11:00")
    shops.kpi.recompute("S01", MONDAY)
    shops.cross("S01", "2026-11-16 11:30", 5)
    shops.forget_marks()
    shops.now = shops.at("S01", "2026-11-17 04:14")
    assert days.settle(GO_ON) is None
    shops.now = shops.at("S01", "2026-11-17 04:15")
    assert days.settle(GO_ON) == "1 store-days computed"
    assert entries(shops) == {("S01", MONDAY): 5}
    assert days.settle(GO_ON) is None


def test_a_yesterday_without_any_fact_is_known_to_be_one(shops: Chain, days: Days) -> None:
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-17 06:00")
    assert days.settle(GO_ON) == "1 store-days computed"
    assert entries(shops) == {("S01", MONDAY): 0}


def test_days_missed_while_nobody_worked_are_caught_up_with(shops: Chain, days: Days) -> None:
    shops.store("S01")
    for day in (14, 15, 16):
        shops.now = shops.at("S01", f"2026-11-{day} 11:00")
        shops.kpi.recompute("S01", date(2026, 11, day))
    shops.now = shops.at("S01", "2026-11-20 06:00")
    # The three that were left provisional, and the three since: a day of which nothing is known must not be left out.
    assert days.settle(GO_ON) == "6 store-days computed"
    assert sorted(entries(shops)) == [("S01", date(2026, 11, day)) for day in range(14, 20)]
