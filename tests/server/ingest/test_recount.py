"""`doorline db check`: it says what the raw rows say, finds whatever else is held, and keeps off what was deleted."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import app
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.ingest.recount import Difference, Recount
from server.ingest.service import IngestService
from server.storage import retention_repository
from server.storage.pool import Database
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import (
    NOW,
    Sender,
    add_stores,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    rows,
    scalar,
    tell,
)
from wire.messages import Bounds, CoverageSum, CrossingSum, Record, Tally

SYSTEM = Scope.system("tests")
DAY = timedelta(days=1)
#: The three days everything below happens in.
FROM, TO = NOW - 2 * DAY, NOW + DAY
QUARTER = datetime(2026, 11, 21, 9, 45, tzinfo=UTC)


@pytest.fixture
def service(db: Database) -> IngestService:
    """With everything in it that a box can say, late and on time, twice and out of order."""
    add_stores(db)
    service = IngestService(db, lambda: NOW)
    records: list[Record] = [
        crossing(1, at=QUARTER, group=7),
        crossing(2, at=QUARTER + timedelta(seconds=1), tags=("staff", "child")),
        crossing(3, at=QUARTER + timedelta(minutes=14), direction="out", tags=("child", "cart")),
        coverage(4, minute=QUARTER, seconds=12.3, state="dark"),
        coverage(5, minute=QUARTER, seconds=59.9),
        coverage(6, minute=NOW - timedelta(minutes=1), seconds=0, state="offline"),
        crossing(7, at=NOW - DAY, bounds=Bounds(earliest=NOW - DAY, latest=NOW)),
        coverage(8, minute=NOW - DAY, bounds=Bounds(earliest=NOW - DAY + timedelta(seconds=7), latest=NOW)),
        Tally(
            from_seq=9,
            seq=90,
            crossings=(
                CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=QUARTER, span=900, count=7, groups=3),
                CrossingSum(
                    line="S01-L1", camera="S01-C1", direction="in", start=NOW - DAY, span=60, count=2, tags=("staff",)
                ),
            ),
            coverage=(
                CoverageSum(camera="S01-C1", start=QUARTER, span=900, seconds=100.7, frames=1, state="covered"),
                CoverageSum(camera="S01-C1", start=NOW - DAY, span=60, seconds=60, frames=1),
            ),
        ),
    ]
    tell(service, Sender().batch(records))
    other: list[Record] = [
        crossing(1, at=QUARTER, camera="S02-C1", line="S02-L1"),
        coverage(2, minute=QUARTER, camera="S02-C1"),
    ]
    tell(service, Sender("door-3").batch(other))
    assert_roll_ups_equal_raw(db)
    return service


@pytest.fixture
def recount(db: Database, service: IngestService) -> Recount:
    return Recount(db, lambda: NOW)


def differences(recount: Recount, *stores: str) -> list[Difference]:
    return list(recount.differences(SYSTEM, recount.range(FROM, TO), stores or None))


def change(db: Database, statement: str) -> None:
    with db.transaction() as connection:
        assert connection.execute(statement.encode()).rowcount


def test_what_ingest_wrote_is_what_its_rows_add_up_to(recount: Recount) -> None:
    assert differences(recount) == []


@pytest.mark.parametrize(
    ("hand", "found"),
    [
        ("UPDATE traffic_15m SET count = count + 1 WHERE store_id = 'S02'", 1),
        ("UPDATE traffic_15m SET groups = groups - 1 WHERE store_id = 'S02'", 1),
        ("DELETE FROM traffic_15m WHERE class = 'child'", 1),
        ("INSERT INTO traffic_15m SELECT store_id, quarter, 'L9', direction, class, 1, 1 FROM traffic_15m", 6),
        ("UPDATE coverage_15m SET seconds = seconds + 1 WHERE store_id = 'S02'", 1),
        ("UPDATE coverage_15m SET minute_seconds[3] = 1, seconds = seconds + 1 WHERE store_id = 'S02'", 1),
        ("UPDATE coverage_15m SET state = 'frozen' WHERE store_id = 'S02'", 1),
        ("DELETE FROM coverage_15m", 3),
        ("DELETE FROM crossing WHERE seq = 3", 1),
        ("DELETE FROM coverage WHERE seq = 6", 1),
        ("DELETE FROM tally", 3),
    ],
)
def test_a_hand_in_the_database_is_found_and_mended(db: Database, recount: Recount, hand: str, found: int) -> None:
    change(db, hand)
    change(db, "DELETE FROM dirty_mark")
    told = differences(recount)
    assert len(told) == found
    assert list(recount.repair(SYSTEM, recount.range(FROM, TO))) == told
    assert differences(recount) == []
    assert_roll_ups_equal_raw(db)
    # Their days are computed anew, and who did it can be found.
    assert {
        (store, hour) for store, hour in rows(db, "SELECT store_id, hour FROM dirty_mark WHERE reason = 'repair'")
    } == {(each.store_id, each.quarter.replace(minute=0)) for each in told}
    audited = rows(db, "SELECT DISTINCT actor, store_id FROM audit WHERE action = 'roll_up.repair' ORDER BY 2")
    assert audited == sorted({("tests", each.store_id) for each in told}, key=lambda line: line[1])


def test_only_the_stores_asked_for(db: Database, recount: Recount) -> None:
    change(db, "DELETE FROM traffic_15m")
    assert {each.store_id for each in differences(recount, "S02")} == {"S02"}
    assert {each.store_id for each in differences(recount)} == {"S01", "S02"}
    with pytest.raises(NotFound, match="S99"):
        differences(recount, "S02", "S99")


def test_how_late_a_minute_came_is_kept_when_its_row_is_put_back(db: Database, recount: Recount) -> None:
    late = "SELECT store_id, quarter, camera_id, late_seconds FROM coverage_15m ORDER BY 1, 2, 3"
    before = rows(db, late)
    assert any(row[3] for row in before)
    assert not all(row[3] for row in before)
    change(db, "DELETE FROM coverage_15m")
    list(recount.repair(SYSTEM, recount.range(FROM, TO)))
    assert rows(db, late) == before


def test_nothing_before_the_floor_is_compared_or_touched(db: Database, recount: Recount) -> None:
    with db.transaction() as connection:
        # In the middle of a quarter hour: that one is not whole any more.
        retention_repository.raise_floor(connection, QUARTER - timedelta(minutes=20))
        connection.execute("DELETE FROM crossing WHERE at < %s", (QUARTER,))
        connection.execute("DELETE FROM coverage WHERE minute < %s", (QUARTER,))
    asked = recount.range(FROM, TO)
    assert asked.start == QUARTER - timedelta(minutes=15)
    before = rows(db, "SELECT * FROM traffic_15m ORDER BY 1, 2, 3, 4, 5")
    assert list(recount.repair(SYSTEM, asked)) == []
    assert rows(db, "SELECT * FROM traffic_15m ORDER BY 1, 2, 3, 4, 5") == before
    with pytest.raises(InvalidInput, match="no longer kept"):
        recount.range(FROM, QUARTER - timedelta(minutes=15))


def test_a_floor_raised_on_the_way_is_kept_off_too(db: Database, recount: Recount) -> None:
    asked = recount.range(FROM, TO)
    with db.transaction() as connection:
        retention_repository.raise_floor(connection, TO)
        connection.execute("DELETE FROM crossing")
    assert list(recount.differences(SYSTEM, asked)) == []
    assert list(recount.repair(SYSTEM, asked)) == []


def test_what_comes_while_a_repair_is_at_work_is_in_the_sums_once(
    db: Database, recount: Recount, service: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair has added up, and is held before its first row: a batch taken now must not be written over."""
    monkeypatch.setattr("server.ingest.recount._PATIENCE", 60)
    change(db, "UPDATE traffic_15m SET count = count + 5 WHERE store_id = 'S01'")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    batch = Sender("door-2").batch([crossing(1, at=QUARTER, direction="out", tags=("child",))])
    with psycopg.connect(db.dsn) as holding, psycopg.connect(db.dsn, autocommit=True) as watching:
        holding.execute(
            "SELECT FROM traffic_15m WHERE store_id = 'S01' AND quarter = %s AND (direction, class) = ('in', 'adult')"
            " FOR UPDATE",
            (QUARTER,),
        )
        mending = threading.Thread(target=lambda: list(recount.repair(SYSTEM, recount.range(FROM, TO))))
        mending.start()
        wait_until(lambda: watching.execute(waiting).fetchone() == (1,), 20, "the repair to be held")
        taking = threading.Thread(target=lambda: tell(service, batch))
        taking.start()
        wait_until(
            lambda: not taking.is_alive() or watching.execute(waiting).fetchone() == (2,), 20, "the batch to come"
        )
        holding.commit()
        taking.join(20)
        mending.join(20)
    assert_roll_ups_equal_raw(db)
    assert differences(recount) == []


def test_the_floor_stays_while_a_repair_is_at_work(db: Database, recount: Recount) -> None:
    """Were it raised between the look at it and the look at the rows, those could be gone."""
    change(db, "DELETE FROM traffic_15m")
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'traffic_15m'::regclass"
    with psycopg.connect(db.dsn) as holding, psycopg.connect(db.dsn, autocommit=True) as other:
        holding.execute("LOCK TABLE traffic_15m IN SHARE MODE")
        mending = threading.Thread(target=lambda: list(recount.repair(SYSTEM, recount.range(FROM, TO))))
        mending.start()
        wait_until(lambda: other.execute(blocked).fetchone() == (1,), 20, "the repair to wait")
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            retention_repository.raise_floor(other, NOW)
        holding.commit()
        mending.join(20)
        retention_repository.raise_floor(other, NOW)
    assert_roll_ups_equal_raw(db)


def test_only_an_admin_repairs(recount: Recount) -> None:
    with pytest.raises(Forbidden):
        list(recount.repair(Scope("hq", "hq", None), recount.range(FROM, TO)))


def test_the_command(db: Database, recount: Recount) -> None:
    run = CliRunner(env={"DOORLINE_DSN": db.dsn, "COLUMNS": "200"})
    days = ["db", "check", "--from", "2026-11-20", "--to", "2026-11-21"]
    fine = run.invoke(app, days)
    assert (fine.exit_code, fine.output) == (0, "no differences from 2026-11-20 00:00 to 2026-11-22 00:00 UTC\n")
    change(db, "UPDATE traffic_15m SET count = 9 WHERE store_id = 'S02'")
    change(db, "DELETE FROM coverage_15m WHERE store_id = 'S02'")
    told = run.invoke(app, days)
    assert told.exit_code == 1
    assert "2026-11-21 09:45 S02 S02-L1 in adult: 9 (1 groups) held, 1 (1 groups) in raw rows" in told.output
    assert "2026-11-21 09:45 S02 S02-C1: nothing held, 60.0 s (ok) in raw rows" in told.output
    assert run.invoke(app, [*days, "--store", "S01"]).exit_code == 0
    mended = run.invoke(app, [*days, "--repair"])
    assert mended.exit_code == 0
    assert "2 rows repaired" in mended.output
    assert run.invoke(app, days).exit_code == 0
    with db.transaction() as connection:
        retention_repository.raise_floor(connection, NOW - DAY / 2)
    assert "compared from there on" in run.invoke(app, days).output
    refused = run.invoke(app, ["db", "check", "--from", "2026-11-01", "--to", "2026-11-02"])
    assert refused.exit_code == 2
    assert "no longer kept" in refused.output
    assert run.invoke(app, ["db", "check", "--from", "2026-11-03", "--to", "2026-11-02"]).exit_code == 2
    assert scalar(db, "SELECT count(*) FROM audit WHERE action = 'roll_up.repair'") == 1
