"""A made-up chain is one the server itself would have made: what it keeps, it would compute again to the cent."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from cli.bench import joined
from cli.bench.binary import SIGNATURE, TRAILER, Cells, block, int8, numeric, text
from cli.bench.generating import Plan, generate
from cli.bench.trade import shops, trade
from cli.main import app
from server.access.models import Scope
from server.errors import Conflict, InvalidInput
from server.kpi.answers import report_repository
from server.kpi.answers.report_repository import Asked, Stretch
from server.kpi.days import day_repository
from server.kpi.figures.registry import KPIS
from server.kpi.models import FACT_NAMES, AuditErrors
from server.kpi.service import KpiService
from server.storage.pool import Database
from server.stores.service import StoresService

LAST = date(2026, 10, 26)
#: Summer time ends in Berlin on the day before the last; S0007's region is there.
PLAN = Plan(stores=8, days=4, last=LAST, rollup_days=3, raw_days=2, seed=7)


def rows(db: Database, query: str) -> list[tuple[Any, ...]]:
    with db.read() as conn:
        return conn.execute(query.encode()).fetchall()


def test_the_server_computes_the_same_days_from_the_same_rows(db: Database) -> None:
    told: list[int] = []
    made = generate(db.dsn, PLAN, told.append)
    assert told == [1, 2, 3, 4]
    stores = StoresService(db)
    kpi, scope = KpiService(db, stores), Scope.system()
    with db.read() as conn:
        kept = {
            (store_id, day): (
                day_repository.current_days(conn, scope, [(store_id, day)]).get((store_id, day)),
                day_repository.current_hours(conn, scope, [(store_id, day)])[(store_id, day)],
            )
            for store_id in stores.calendars(scope)
            for day in (LAST, LAST - timedelta(days=1))
        }
    assert len(kept) == 16
    for (store_id, day), (stored, hours) in kept.items():
        assert stored is not None
        computed = kpi.day(scope, store_id, day)
        assert (stored.facts, stored.occupancy) == (computed.facts, computed.occupancy), (store_id, day)
        by_start = {hour.start: hour for hour in computed.hours}
        assert len(hours) == 12
        for hour in hours:
            found = by_start[hour.hour]
            assert (hour.facts, hour.occupancy) == (found.facts, found.occupancy)
            assert hour.local_hour == found.local.hour
    assert made["store_day"] == 32
    assert made["store_hour"] == 32 * 12


def test_what_is_expected_while_a_camera_was_away_is_what_the_server_expects(db: Database) -> None:
    generate(db.dsn, replace(PLAN, stores=40, days=23, rollup_days=23, raw_days=0))
    kpi, scope = KpiService(db, StoresService(db)), Scope.system()
    gaps = rows(
        db,
        "SELECT store_id, day FROM store_day WHERE observed_ms < due_ms AND day >= '2026-10-18' ORDER BY 1, 2",
    )
    assert len(gaps) > 2
    imputed = 0
    for store_id, day in gaps:
        computed = kpi.day(scope, store_id, day).facts
        with db.read() as conn:
            stored = day_repository.current_days(conn, scope, [(store_id, day)]).get((store_id, day))
        assert stored is not None
        # Receipts were not made.
        names = [name for name in FACT_NAMES if name.startswith(("imputed", "star", "dwell", "entries", "observed"))]
        assert [getattr(stored.facts, name) for name in names] == [getattr(computed, name) for name in names]
        imputed += stored.facts.imputed_visitors
    assert imputed > 0


def test_every_fact_that_a_kpi_reads_is_told_of_somewhere() -> None:
    chain = shops(40, PLAN.seed)
    weeks = [trade(chain, PLAN.seed, LAST - timedelta(days=7 * week)) for week in range(5)]
    facts = joined.quarters(chain, weeks[0], weeks[1:])
    needed = {name for kpi in KPIS.values() for name in kpi.needs}
    assert {name for name in needed if name not in facts or not facts[name].any()} == set()


def test_errors_of_a_store_audited_once_are_told_as_those_of_one_audited_twice(db: Database) -> None:
    generate(db.dsn, replace(PLAN, stores=10, days=3, rollup_days=0, raw_days=0))
    scope = Scope.system()
    stretch = Stretch(LAST - timedelta(days=2), LAST)
    side_by_side = Asked(None, ("store",), frozenset(FACT_NAMES), occupancy=False, currency="CNY")
    alone = replace(side_by_side, store_ids=["S0010"], by=("weekday", "hour_of_day"))

    def errors() -> list[dict[tuple[str, ...], AuditErrors]]:
        found = []
        for asked in (side_by_side, alone):
            with db.read() as conn:
                (groups,) = report_repository.groups(conn, scope, asked, [stretch])
            found.append({group.labels: group.facts.audit_errors for group in groups if group.facts.entries_error})
        return found

    once = errors()
    assert once[0].keys() == {("S0005",), ("S0010",)}
    assert len(once[1]) > 20
    with db.transaction() as conn:
        # A second one, from a day on that is yet to come: now the lists kept with the rows are gone through.
        conn.execute(
            "INSERT INTO correction (store_id, kind, day_from, value, counted, missed, invented, reason, made_by,"
            " made_at) SELECT 'S0010', 'accuracy', '2030-01-01', 1, 10, 0, 0, 'x', 'x', now()"
        )
    assert errors() == once


def test_indexes_are_there_again(db: Database) -> None:
    look = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    before = rows(db, look)
    generate(db.dsn, replace(PLAN, days=1))
    assert rows(db, look) == before


def test_raw_crossings_are_what_the_roll_up_sums(db: Database) -> None:
    generate(db.dsn, PLAN)
    rolled_up = rows(
        db,
        "SELECT store_id, quarter, line_id, direction, class, count, groups FROM traffic_15m"
        " WHERE quarter >= (SELECT min(at) FROM crossing) - interval '15 minutes' ORDER BY 1, 2, 3, 4, 5",
    )
    summed = rows(
        db,
        "SELECT store_id, date_bin('15 minutes', at, '2000-01-01Z'), line_id, direction, class, count(*),"
        " count(*) FILTER (WHERE opens_group) FROM crossing GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
    )
    assert rolled_up == summed
    assert len(summed) > 500
    assert rows(db, "SELECT count(DISTINCT (store_id, quarter::date)) FROM traffic_15m") == [(24,)]
    # Before them, nobody takes their absence for that of people.
    first = datetime.combine(LAST - timedelta(days=1), time(), UTC)
    assert rows(db, "SELECT floor FROM raw_retention") == [(first,)]


def test_the_same_seed_makes_the_same_days_whatever_else_is_asked_for(db: Database, empty_dsn: str) -> None:
    generate(db.dsn, PLAN)
    generate(empty_dsn, replace(PLAN, days=1, rollup_days=0, raw_days=1))
    look = f"SELECT * FROM store_day WHERE day = '{LAST}' ORDER BY store_id"
    receipts = f"SELECT * FROM receipt WHERE at >= '{LAST}' ORDER BY store_id, receipt_no"
    with Database(empty_dsn) as other:
        assert rows(other, look) == rows(db, look)
        assert rows(other, receipts) == rows(db, receipts)
        assert rows(other, "SELECT count(*) FROM traffic_15m") == [(0,)]


def test_a_real_chain_is_left_alone(db: Database) -> None:
    with db.transaction() as conn:
        conn.execute("INSERT INTO store (store_id, name) VALUES ('S01', 'x')")
    with pytest.raises(Conflict, match="1 stores already"):
        generate(db.dsn, PLAN)
    with pytest.raises(InvalidInput, match="stores is 0"):
        generate(db.dsn, replace(PLAN, stores=0))


def test_from_the_command_line(empty_dsn: str) -> None:
    words = ["bench", "generate", "--stores", "2", "--days", "2", "--raw-days", "1", "--until", "2026-11-01"]
    ran = CliRunner().invoke(app, [*words, "--dsn", empty_dsn])
    assert ran.exit_code == 0, ran.output
    counts = {line.split()[0]: line.split()[1] for line in ran.stdout.splitlines()}
    assert counts["store_day"] == "4"
    assert {"store_hour", "traffic_15m", "coverage_15m", "crossing", "receipt"} < counts.keys()
    again = CliRunner().invoke(app, [*words, "--dsn", empty_dsn])
    assert again.exit_code != 0


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (int8([1, -2]), "bigint", ["1", "-2"]),
        (numeric(np.array([0, 123456789]), 2), "numeric(16, 2)", ["0.00", "1234567.89"]),
        (numeric(np.array([1, 10**17]), 6), "numeric(28, 6)", ["0.000001", "100000000000.000000"]),
        (text(np.array(["门".encode(), b"abc"])), "text", ["门", "abc"]),
    ],
)
def test_cells_arrive_as_they_left(db: Database, cells: Cells, kind: str, expected: list[str]) -> None:
    with psycopg.connect(db.dsn) as conn, conn.cursor() as cursor:
        conn.execute(f"CREATE TEMP TABLE t (v {kind})".encode())
        with cursor.copy("COPY t FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(SIGNATURE + block(2, [cells]) + TRAILER)
        assert [row[0] for row in conn.execute("SELECT v::text FROM t")] == expected


def test_what_a_block_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        text(np.array([b"ab", b"a"]))
    with pytest.raises(ValueError, match="below zero"):
        numeric(np.array([-1]), 2)
