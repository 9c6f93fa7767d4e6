"""Days computed and kept: the same as live, in any order, each change a version."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.days import day_repository
from server.kpi.days.day_repository import StoredDay, StoredHour
from server.kpi.models import DayFacts, Facts
from tests.server.kpi.chain import SYSTEM, Chain, by_hand

MONDAY = date(2026, 11, 16)


def kept(shops: Chain, store_id: str = "S01", day: date = MONDAY) -> StoredDay:
    with shops.db.read() as conn:
        found = day_repository.current_days(conn, SYSTEM, [(store_id, day)]).get((store_id, day))
    assert found is not None
    return found


def kept_hours(shops: Chain, store_id: str = "S01", day: date = MONDAY) -> list[StoredHour]:
    with shops.db.read() as conn:
        return day_repository.current_hours(conn, SYSTEM, [(store_id, day)])[(store_id, day)]


def versions(shops: Chain) -> list[tuple[int, bool, int]]:
    """Version, whether it stands, and its entries."""
    with shops.db.read() as conn:
        return conn.execute("SELECT version, superseded_at IS NULL, entries FROM store_day ORDER BY version").fetchall()


def assert_kept_as_live(shops: Chain, live: DayFacts) -> None:
    stored = kept(shops, live.store_id, live.day)
    assert (stored.facts, stored.occupancy) == (live.facts, live.occupancy)
    hours = {hour.start: (hour.facts, hour.occupancy) for hour in live.hours}
    for row in kept_hours(shops, live.store_id, live.day):
        assert (row.facts, row.occupancy) == hours.pop(row.hour)
    assert all(facts.is_empty for facts, _ in hours.values())


def test_what_is_kept_is_what_is_live(shops: Chain) -> None:
    by_hand(shops)
    assert shops.kpi.recompute("S01", MONDAY)
    assert_kept_as_live(shops, shops.kpi.day(SYSTEM, "S01", MONDAY))
    assert not kept(shops).provisional


def test_the_same_facts_make_no_new_version_and_other_facts_do(shops: Chain) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:00", 5)
    assert shops.kpi.recompute("S01", MONDAY)
    assert not shops.kpi.recompute("S01", MONDAY)
    assert versions(shops) == [(1, True, 5)]
    shops.cross("S01", "2026-11-16 10:30", 2)
    assert shops.kpi.recompute("S01", MONDAY)
    assert versions(shops) == [(1, False, 5), (2, True, 7)]
    assert sum(hour.facts.entries for hour in kept_hours(shops)) == 7


def test_a_change_within_the_day_that_leaves_its_sums_alone_is_a_new_version_too(shops: Chain) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:00", 5)
    shops.kpi.recompute("S01", MONDAY)
    with shops.db.transaction() as conn:
        conn.execute("UPDATE traffic_15m SET quarter = quarter + interval '1 hour'")
    assert shops.kpi.recompute("S01", MONDAY)
    assert [hour.local_hour for hour in kept_hours(shops) if hour.facts.entries] == [11]
    assert versions(shops) == [(1, False, 5), (2, True, 5)]


def test_a_running_day_is_provisional_and_replaced_in_place(shops: Chain) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:00", 5)
    shops.now = shops.at("S01", "2026-11-16 11:00")
    assert shops.kpi.recompute("S01", MONDAY)
    shops.cross("S01", "2026-11-16 11:10", 1)
    shops.now += timedelta(minutes=20)
    assert shops.kpi.recompute("S01", MONDAY)
    assert versions(shops) == [(1, True, 6)]
    assert kept(shops).provisional
    assert kept(shops).computed_at == shops.now
    # The day ends at 04:00; a quarter of an hour later it is settled, still as version 1.
    shops.now = shops.at("S01", "2026-11-17 04:15")
    shops.kpi.recompute("S01", MONDAY)
    assert versions(shops) == [(1, True, 6)]
    assert not kept(shops).provisional


def test_a_day_that_has_not_begun_is_not_kept(shops: Chain) -> None:
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-16 03:59")
    assert not shops.kpi.recompute("S01", MONDAY)
    assert versions(shops) == []


def test_the_order_of_arrival_does_not_matter(shops: Chain) -> None:
    """The same events into three stores in three orders, with days computed in between: the same days."""
    events: list[Callable[[str], object]] = [
        lambda store: shops.cross(store, "2026-11-16 10:00", 5, left=2),
        lambda store: shops.cross(store, "2026-11-16 10:10", 1, crossing_class="staff"),
        lambda store: shops.cross(store, "2026-11-16 11:40", 3, groups=1),
        lambda store: shops.watch(store, "2026-11-16 10:00", "2026-11-16 11:00"),
        lambda store: shops.watch(store, "2026-11-16 11:00", "2026-11-16 12:00", seconds=40),
        lambda store: shops.watch(store, "2026-11-16 11:00", "2026-11-16 12:00", seconds=25),
        lambda store: shops.sell(store, "2026-11-16 10:20", "10.10"),
        lambda store: shops.sell(store, "2026-11-16 11:20", "20.20", units=3),
        lambda store: shops.sell(store, "2026-11-16 11:30", "5.00", kind="refund"),
        lambda store: shops.void(store, shops.sell(store, "2026-11-16 11:31", "99.00")),
    ]
    found: list[tuple[Facts, list[tuple[datetime, Facts]]]] = []
    for seed, store in enumerate(("S01", "S02", "S03")):
        shops.store(store)
        order = events[:]
        random.Random(seed).shuffle(order)
        for event in order:
            event(store)
            if random.Random(seed).random() < 0.5:
                shops.kpi.recompute(store, MONDAY)
        shops.kpi.recompute(store, MONDAY)
        hours = [(row.hour, row.facts) for row in kept_hours(shops, store)]
        found.append((kept(shops, store).facts, hours))
    assert found[0] == found[1] == found[2]
    assert (found[0][0].entries, found[0][0].gross_sales) == (9, Decimal("30.30"))


def test_a_void_takes_a_sale_back_and_a_refund_stands_on_its_own_day(shops: Chain) -> None:
    shops.store("S01")
    kept_sale = shops.sell("S01", "2026-11-16 10:00", "80.00")
    voided = shops.sell("S01", "2026-11-16 10:30", "20.00")
    shops.kpi.recompute("S01", MONDAY)
    assert kept(shops).facts.gross_sales == Decimal("100.00")
    shops.void("S01", voided)
    shops.sell("S01", "2026-11-17 10:00", "80.00", kind="refund")
    for day in (MONDAY, MONDAY + timedelta(days=1)):
        shops.kpi.recompute("S01", day)
    facts = kept(shops).facts
    assert (facts.transactions, facts.gross_sales, facts.net_sales) == (1, Decimal("80.00"), Decimal("80.00"))
    tuesday = kept(shops, day=MONDAY + timedelta(days=1)).facts
    assert (tuesday.transactions, tuesday.refund_count, tuesday.net_sales) == (0, 1, Decimal("-80.00"))
    assert kept_sale != voided


def test_online_orders_and_pick_ups_are_not_the_tills(shops: Chain) -> None:
    shops.store("S01")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 12:00")
    shops.cross("S01", "2026-11-16 10:00", 5)
    shops.sell("S01", "2026-11-16 10:00", "80.00", channel="online")
    shops.sell("S01", "2026-11-16 10:00", "80.00", channel="pickup")
    facts = shops.kpi.day(SYSTEM, "S01", MONDAY).facts
    assert (facts.transactions, facts.gross_sales, facts.till_quarters) == (0, Decimal(0), 0)


def test_a_bars_night_falls_on_its_evening(shops: Chain) -> None:
    """Open 20:00-02:00; the business day of the 16th ends at 04:00 on the 17th."""
    shops.store("BAR", "20:00", "02:00")
    shops.watch("BAR", "2026-11-16 20:00", "2026-11-17 02:00")
    shops.cross("BAR", "2026-11-16 23:50", 4)
    shops.cross("BAR", "2026-11-17 01:50", 2)
    shops.cross("BAR", "2026-11-17 02:10", 9)
    shops.sell("BAR", "2026-11-17 01:55", "12.00")
    shops.kpi.recompute("BAR", MONDAY)
    facts = kept(shops, "BAR").facts
    assert (facts.entries, facts.transactions, facts.matched_visitors) == (6, 1, 6)
    assert facts.coverage == 1.0
    hours = [(row.local_hour, row.facts.entries) for row in kept_hours(shops, "BAR") if row.facts.entries]
    assert hours == [(23, 4), (1, 2)]


def test_a_night_of_25_hours(shops: Chain) -> None:
    """Berlin, 24 October 2026, open 22:00-03:30: 20:00 to 02:30 UTC, 6.5 hours. 02:15 comes twice."""
    shops.store("B01", "22:00", "03:30", timezone="Europe/Berlin")
    first, second = datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    shops.cross("B01", first, 1)
    shops.cross("B01", second, 2)
    shops.watch("B01", datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=UTC))
    shops.kpi.recompute("B01", date(2026, 10, 24))
    facts = kept(shops, "B01", date(2026, 10, 24)).facts
    assert (facts.entries, facts.due_ms, facts.observed_ms) == (3, 6.5 * 3_600_000, 6.5 * 3_600_000)
    hours = [(row.hour, row.local_hour) for row in kept_hours(shops, "B01", date(2026, 10, 24)) if row.facts.entries]
    assert hours == [(first.replace(minute=0), 2), (second.replace(minute=0), 2)]


def test_kathmandus_hours_are_its_own(shops: Chain) -> None:
    """UTC+5:45: someone at 10:05 falls into the hour that began at 04:15 UTC."""
    shops.store("K01", timezone="Asia/Kathmandu")
    shops.cross("K01", "2026-11-16 10:05", 1)
    shops.kpi.recompute("K01", MONDAY)
    (row,) = [row for row in kept_hours(shops, "K01") if row.facts.entries]
    assert (row.hour, row.local_hour) == (datetime(2026, 11, 16, 4, 15, tzinfo=UTC), 10)


def test_the_threshold_in_force_on_the_day_counts(shops: Chain) -> None:
    """Three quarters of every minute are watched: enough from the 17th on, at 70%, and in S02, at 80%, never."""
    for store in ("S01", "S02"):
        shops.store(store)
        for day in (16, 17):
            shops.watch(store, f"2026-11-{day} 10:00", f"2026-11-{day} 12:00", seconds=45)
            shops.cross(store, f"2026-11-{day} 10:00", 4)
            shops.sell(store, f"2026-11-{day} 10:00", "5.00")
            shops.kpi.recompute(store, date(2026, 11, day))
    shops.forget_marks()
    shops.kpi.set_setting(SYSTEM, "coverage_threshold", Decimal("0.70"), date(2026, 11, 17))
    shops.kpi.set_setting(SYSTEM, "coverage_threshold", Decimal("0.80"), date(2026, 11, 17), "S02")
    # Just the 17th of both stores is marked, twice in S02.
    assert shops.marks() == 3
    report = shops.kpi.report(
        SYSTEM, kpis=["conversion"], day_from=MONDAY, day_to=date(2026, 11, 17), group_by="store,day"
    )
    assert {row.key: row.values["conversion"].withheld for row in report.rows} == {
        "S01/2026-11-16": "coverage_below_threshold",
        "S01/2026-11-17": None,
        "S02/2026-11-16": "coverage_below_threshold",
        "S02/2026-11-17": "coverage_below_threshold",
    }


def test_settings_are_for_admin_and_hq_and_are_shares(shops: Chain) -> None:
    manager = Scope(user_id="u", role="manager", stores=frozenset({"S01"}))
    with pytest.raises(Forbidden):
        shops.kpi.set_setting(manager, "coverage_threshold", Decimal("0.5"), MONDAY)
    # A key of HQ's that is limited to a store must not set what holds for all.
    limited = Scope(user_id="key:k", role="hq", stores=frozenset({"S01"}))
    with pytest.raises(Forbidden):
        shops.kpi.set_setting(limited, "coverage_threshold", Decimal("0.5"), MONDAY)
    with pytest.raises(InvalidInput):
        shops.kpi.set_setting(SYSTEM, "coverage_threshold", Decimal(90), MONDAY)


def test_the_main_door_weighs_more_once_there_is_history(shops: Chain) -> None:
    """Four weeks in which three quarters came by the main door: 150 and 50. Then the side door is dead for a day."""
    shops.store("S01")
    shops.camera("S01", "C2", "L2")
    for day in range(2, 16):
        for camera in ("C1", "C2"):
            shops.watch("S01", f"2026-11-{day:02d} 10:00", f"2026-11-{day:02d} 12:00", camera=camera)
        shops.cross("S01", f"2026-11-{day:02d} 10:00", 30)
        shops.cross("S01", f"2026-11-{day:02d} 10:00", 10, line="L2")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 12:00")
    assert shops.kpi.day(SYSTEM, "S01", MONDAY).facts.coverage == 0.75


def test_no_such_store(shops: Chain) -> None:
    with pytest.raises(NotFound):
        shops.kpi.recompute("S99", MONDAY)
    with pytest.raises(NotFound):
        shops.kpi.day(SYSTEM, "S99", MONDAY)
