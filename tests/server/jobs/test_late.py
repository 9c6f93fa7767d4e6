"""What comes late for a day, and the later days that rest on it: as if it had never been late, worked out by hand.

Store S01 is open from ten to twelve and has one door. On Monday the 16th nobody watched from 10:00 to 10:15, so what
to expect there is told by the Mondays before.
"""

from datetime import date, timedelta
from threading import Event

import pytest

from server.jobs.days import Days
from server.kpi.correction_service import CorrectionsService
from server.kpi.corrections.in_force import NewCorrection
from server.kpi.days.learning import resting_on
from tests.server.kpi.chain import SYSTEM, Chain

GO_ON = Event()
GAP = date(2026, 11, 16)


@pytest.fixture
def days(shops: Chain) -> Days:
    shops.store("S01")
    return Days(shops.db, shops.stores, shops.kpi, shops.clock)


def monday(shops: Chain, day: str, came: int) -> None:
    """Watched while it was open; so many came at 10:05."""
    shops.watch("S01", f"{day} 10:00", f"{day} 12:00")
    shops.cross("S01", f"{day} 10:05", came)


def rows(shops: Chain, column: str) -> dict[str, int]:
    """What stands, by day."""
    with shops.db.read() as conn:
        found = conn.execute(f"SELECT day::text, {column} FROM store_day WHERE superseded_at IS NULL")
        return {str(day): int(value) for day, value in found}


def test_what_comes_late_changes_what_is_expected_in_the_weeks_after(shops: Chain, days: Days) -> None:
    """10 in 900 s on the 2nd: one Monday can't tell. 14 more on the 9th, late: half of 24. Later 4 more on the 2nd."""
    monday(shops, "2026-11-02", 10)
    shops.watch("S01", "2026-11-16 10:15", "2026-11-16 12:00")
    days.dirty(GO_ON)
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 0

    monday(shops, "2026-11-09", 14)
    assert days.dirty(GO_ON) == "2 store-days computed", "the 9th, and the 16th which rests on it"
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 12
    assert rows(shops, "version")["2026-11-16"] == 2, "what was answered before is kept"

    shops.cross("S01", "2026-11-02 10:10", 4)
    assert days.dirty(GO_ON) == "2 store-days computed", "the 9th has no gap and rests on nothing"
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 14
    assert shops.marks() == 0


def test_it_is_the_same_in_whatever_order_it_comes(shops: Chain, days: Days) -> None:
    """As above, the day with the gap first and each Monday in a run of its own."""
    shops.watch("S01", "2026-11-16 10:15", "2026-11-16 12:00")
    days.dirty(GO_ON)
    for day, came in (("2026-11-09", 14), ("2026-11-02", 14)):
        monday(shops, day, came)
        days.dirty(GO_ON)
    assert rows(shops, "imputed_visitors") == {"2026-11-02": 0, "2026-11-09": 0, "2026-11-16": 14}


def test_an_excluded_stretch_teaches_nothing_any_more(shops: Chain, days: Days) -> None:
    monday(shops, "2026-11-02", 10)
    monday(shops, "2026-11-09", 14)
    shops.watch("S01", "2026-11-16 10:15", "2026-11-16 12:00")
    days.dirty(GO_ON)
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 12
    corrections = CorrectionsService(shops.db, shops.stores, shops.clock)
    starts = shops.at("S01", "2026-11-09 10:00")
    made = corrections.make(
        SYSTEM,
        NewCorrection("excluded", "a delivery", "S01", starts_at=starts, ends_at=starts + timedelta(minutes=5)),
    )
    days.dirty(GO_ON)
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 0, "one Monday that is left can't tell"
    corrections.withdraw(SYSTEM, made.correction_id, "it was none")
    days.dirty(GO_ON)
    assert rows(shops, "imputed_visitors")["2026-11-16"] == 12


def test_it_reaches_four_weeks_and_no_further(shops: Chain, days: Days) -> None:
    """Of days with gaps, two Mondays of five and the Tuesday: the fifth week and the other weekday rest on nothing."""
    for day in ("2026-11-16", "2026-11-30", "2026-12-07", "2026-11-17"):
        shops.watch("S01", f"{day} 10:15", f"{day} 12:00")
    shops.now = shops.at("S01", "2026-12-20 12:00")
    days.dirty(GO_ON)
    first = shops.at("S01", "2026-11-02 10:00")
    calendar = shops.stores.calendar(SYSTEM, "S01")
    with shops.db.read() as conn:
        found = resting_on(conn, SYSTEM, "S01", [first], calendar)
    assert found == [date(2026, 11, 16), date(2026, 11, 30)]


def test_what_comes_for_the_running_day_is_no_news_to_others(shops: Chain, days: Days) -> None:
    shops.now = shops.at("S01", "2026-11-16 11:00")
    monday(shops, "2026-11-16", 3)
    assert days.dirty(GO_ON) == "1 store-days computed"


def test_what_comes_late_weighs_the_doors_of_the_weeks_after(shops: Chain, days: Days) -> None:
    """Two doors watched 8 hours each, of 30 and 10 entries: 150 and 50 hundredths. Then 20 more at the second.

    On the 16th only the first is watched: 150 of 200 hundredths are 75%. With 30 and 30 they weigh alike: 50%.
    """
    shops.camera("S01", "C2", "L2")
    for day in ("2026-11-09", "2026-11-10", "2026-11-11", "2026-11-12"):
        for camera in ("C1", "C2"):
            shops.watch("S01", f"{day} 10:00", f"{day} 12:00", camera=camera)
    shops.cross("S01", "2026-11-09 10:05", 30)
    shops.cross("S01", "2026-11-09 10:05", 10, line="L2")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 12:00")
    days.dirty(GO_ON)
    assert rows(shops, "observed_ms")["2026-11-16"] == 3 * rows(shops, "due_ms")["2026-11-16"] // 4
    shops.cross("S01", "2026-11-11 11:05", 20, line="L2")
    days.dirty(GO_ON)
    assert rows(shops, "observed_ms")["2026-11-16"] == rows(shops, "due_ms")["2026-11-16"] // 2
