"""Raw rows go once they are old enough; whoever asks is told from when on they are whole, and nobody waits."""

import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from server.access.service import AccessService
from server.ingest.service import IngestService
from server.jobs.process import standard_jobs
from server.kpi.service import KpiService
from server.settings import Settings
from server.storage import retention
from server.storage.pool import Database
from server.storage.retention import Retention
from server.stores.service import StoresService
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import NOW, Sender, add_stores, coverage, crossing, rows, scalar, tell
from wire.messages import Record

DAY = timedelta(days=1)
#: Midnight thirty days before.
FLOOR = (NOW - 30 * DAY).replace(hour=0, minute=0)
ROLLED_UP = "SELECT * FROM traffic_15m ORDER BY 1, 2, 3, 4, 5"


@pytest.fixture
def ages(db: Database) -> list[datetime]:
    """A crossing and a minute watched at each of these times: gaps, a crowd, and some that stay."""
    add_stores(db)
    crowd = [FLOOR - 9 * DAY + timedelta(seconds=second) for second in range(0, 3600, 120)]
    ages = [NOW - 900 * DAY, NOW - 400 * DAY, *crowd, FLOOR - timedelta(minutes=1), FLOOR, NOW - DAY, NOW]
    records: list[Record] = [
        record
        for number, at in enumerate(ages)
        for record in (
            crossing(2 * number + 1, at=at),
            coverage(2 * number + 2, minute=at.replace(second=0)),
        )
    ]
    tell(IngestService(db, lambda: NOW), Sender().batch(records))
    return ages


def run(db: Database, days: int | None = 30, stop: threading.Event | None = None) -> str | None:
    return Retention(db, days, lambda: NOW).run(stop or threading.Event())


def kept(db: Database) -> list[datetime]:
    crossings = [at for (at,) in rows(db, "SELECT at FROM crossing ORDER BY at")]
    assert [at.replace(second=0) for at in crossings] == [
        minute for (minute,) in rows(db, "SELECT minute FROM coverage ORDER BY minute")
    ]
    return crossings


def floor_of(db: Database) -> datetime | None:
    with db.read() as connection:
        return retention.raw_floor(connection)


def hypertables(db: Database) -> bool:
    return bool(scalar(db, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"))


def test_everything_is_kept_unless_told_otherwise(db: Database, ages: list[datetime]) -> None:
    assert run(db, None) is None
    assert floor_of(db) is None
    assert kept(db) == ages


def test_what_is_older_goes_and_all_else_stays(db: Database, ages: list[datetime]) -> None:
    before = rows(db, ROLLED_UP)
    said = run(db)
    assert said is not None
    assert said.endswith(f"older than {FLOOR:%Y-%m-%d}")
    assert floor_of(db) == FLOOR
    left = kept(db)
    assert [at for at in left if at >= FLOOR] == [at for at in ages if at >= FLOOR]
    if hypertables(db):
        # By the chunk: of a chunk that reaches beyond the floor nothing goes yet.
        assert min(left) > FLOOR - 7 * DAY
    else:
        assert min(left) == FLOOR
    assert rows(db, ROLLED_UP) == before
    assert run(db) is None


def test_the_jobs_process_does_it_for_as_many_days_as_are_set(
    db: Database, ages: list[datetime], settings: Settings
) -> None:
    stores = StoresService(db)
    for days, gone in ((None, False), (30, True)):
        own = settings.model_copy(update={"raw_days": days})
        jobs = standard_jobs(own, db, stores, KpiService(db, stores), AccessService(db, own))
        (job,) = [job for job in jobs if job.name == "retention"]
        done = job.work(threading.Event())
        assert (done is not None) == gone
        # By the clock on the wall, whatever it says: two years ago is old.
        assert (ages[0] not in kept(db)) == gone


def test_too_few_days_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 14"):
        Settings(raw_days=13, _env_file=None)  # type: ignore[call-arg]


def test_the_floor_never_goes_back(db: Database, ages: list[datetime]) -> None:
    run(db, 30)
    run(db, 300)
    assert floor_of(db) == FLOOR


def test_what_comes_late_is_counted_and_goes_with_the_next_run(db: Database, ages: list[datetime]) -> None:
    run(db)
    late = FLOOR - 60 * DAY
    tell(IngestService(db, lambda: NOW), Sender("door-2").batch([crossing(1, at=late), coverage(2, minute=late)]))
    assert scalar(db, "SELECT count FROM traffic_15m WHERE quarter = %s", late) == 1
    assert late in kept(db)
    run(db)
    assert late not in kept(db)


def test_a_crowd_goes_in_batches_and_a_stop_is_heeded(
    db: Database, ages: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    stop = threading.Event()
    stop.set()
    run(db, stop=stop)
    assert kept(db) == ages
    # The floor tells already; those that are still there go with the next run.
    assert floor_of(db) == FLOOR
    run(db)
    assert min(kept(db)) > FLOOR - 7 * DAY


def test_nobody_waits_for_it_and_it_waits_for_nobody(db: Database, ages: list[datetime]) -> None:
    """Beside a batch that is being written and a report that reads."""
    with psycopg.connect(db.dsn) as batch, psycopg.connect(db.dsn) as report:
        batch.execute(
            "INSERT INTO crossing SELECT (jsonb_populate_record(crossing, jsonb_build_object('at', %s::timestamptz))).*"
            " FROM crossing WHERE at = %s",
            (NOW, NOW),
        )
        report.execute("SELECT count(*) FROM traffic_15m")
        ran = _beside(lambda: run(db))
        assert ran == [run(db) or ran[0]]
        batch.commit()
    assert min(kept_crossings(db)) > FLOOR - 7 * DAY


def test_whoever_reads_old_rows_goes_on_and_keeps_nobody_else_waiting(db: Database, ages: list[datetime]) -> None:
    with psycopg.connect(db.dsn) as report:
        report.execute("SELECT count(*) FROM crossing WHERE at < %s", (FLOOR,))
        _beside(lambda: run(db))
        tell(IngestService(db, lambda: NOW), Sender("door-2").batch([crossing(1)]))
        assert report.execute("SELECT count(*) FROM crossing WHERE at >= %s", (FLOOR,)).fetchone() is not None
    run(db)
    assert min(kept_crossings(db)) > FLOOR - 7 * DAY


def kept_crossings(db: Database) -> list[datetime]:
    return [at for (at,) in rows(db, "SELECT at FROM crossing")]


def _beside(work: Any) -> list[Any]:
    """What it returns, or a failure when it does not end by itself while the test holds what it holds."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    wait_until(lambda: done or None, 60, "the run to end while others are at work")
    thread.join()
    return done
