"""What raw crossings weigh on plain PostgreSQL and packed on TimescaleDB, and what it costs to let old ones go.

- The same made-up chain on both: crossings at doors and in the street, told as boxes tell them: numbered within an
  epoch that lasts a week, tracks numbered as they come, confidence in thousandths, each batch received at a time of its
  own. Sizes are of the table with its indexes, as the server reports them.
- The same counts by store and day read from both, equal, and what reading packed rows costs beside plain ones.
- Retention on plain PostgreSQL: all but the last days let go in batches, beside one DELETE of as much, by the processor
  time of the database; and how many rows at most one transaction held.

Run `python -m bench.bench_storage --timescale postgresql://…` from the repository's root, with the address of a server
that has TimescaleDB and a user who may add databases. Without it, only what plain PostgreSQL does is measured.
"""

import argparse
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
from psycopg import conninfo, sql

from bench.central import Meter
from cli.bench.generating import Plan, generate
from server.storage import retention, timescale
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.pool import Database
from server.storage.retention import Retention

#: Packed, raw crossings are to be so many times smaller.
GOAL = 8.0
LAST = date(2026, 11, 15)
#: Nothing is left unpacked, and the clock that retention goes by.
AFTER = datetime(2026, 12, 1, tzinfo=UTC)
_READ = b"SELECT store_id, date_trunc('day', at), count(*) FROM crossing GROUP BY 1, 2 ORDER BY 1, 2"


#: Without anything drawn by chance, so that both databases hold the same.
_AS_TOLD = b"""
    CREATE TEMPORARY TABLE told AS
    WITH numbered AS (
        SELECT *, row_number() OVER (PARTITION BY device_id, date_trunc('week', at) ORDER BY at, seq) AS number,
               date_bin('2 seconds', at, '2000-01-01Z') AS batch
        FROM crossing
    )
    SELECT at, store_id, camera_id, line_id, direction, class, opens_group,
           number * 3 / 2 + abs(hashint8(number)) % 2 AS track,
           (round((0.5 + abs(hashtext(device_id || number)) % 500 / 1000.0)::numeric, 3))::real AS confidence,
           tags, undated, device_id, md5(device_id || date_trunc('week', at)) AS epoch, number AS seq,
           batch + interval '2 seconds' + abs(hashtext(device_id || batch)) % 300000 * interval '1 microsecond'
               AS received_at
    FROM numbered;
    TRUNCATE crossing;
    INSERT INTO crossing (at, store_id, camera_id, line_id, direction, class, opens_group, track, confidence, tags,
                          undated, device_id, epoch, seq, received_at)
    SELECT * FROM told ORDER BY received_at, device_id, seq;
    DROP TABLE told;
"""


@contextmanager
def database_on(server: str) -> Iterator[str]:
    """An empty database on that server, gone afterwards."""
    name = f"doorline_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield conninfo.make_conninfo(server, dbname=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def fill(dsn: str, plan: Plan) -> int:
    """Make the chain up and have its crossings told by boxes; how many there are."""
    made = generate(dsn, plan)["crossing"]
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as connection:
        connection.execute(_AS_TOLD)
        connection.execute("VACUUM ANALYZE crossing")
    return made


def plain_size(dsn: str) -> int:
    """Bytes of crossings with their indexes on plain PostgreSQL."""
    with psycopg.connect(dsn) as connection:
        return int(_one(connection, b"SELECT pg_total_relation_size('crossing')"))


def packed_size(dsn: str) -> tuple[int, int]:
    """Bytes of the hypertable with all that belongs to it, before its chunks are packed and after."""
    query = b"SELECT hypertable_size('crossing')"
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = int(_one(connection, query))
        timescale.pack(connection, "crossing", AFTER)
        return before, int(_one(connection, query))


def read(dsn: str) -> tuple[list[Any], float]:
    """Crossings by store and day, and the quickest of three times reading them (seconds)."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        took = []
        for _ in range(3):
            began = time.perf_counter()
            rows = connection.execute(_READ).fetchall()
            took.append(time.perf_counter() - began)
    return rows, min(took)


def let_go(postgres: EmbeddedPostgres, dsn: str, keep: int) -> None:
    """Print what retention costs beside one great DELETE of the same rows, which is then taken back."""
    assert postgres.pid is not None
    meter = Meter(postgres.pid)
    floor = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) - timedelta(days=keep)
    with psycopg.connect(dsn) as connection:

        def delete(_: object) -> int:
            return connection.execute("DELETE FROM crossing WHERE at < %s", (floor,)).rowcount

        whole = meter.spent(delete, [None])
        connection.rollback()
    with Database(dsn, 2) as db:
        keeping = Retention(db, keep, lambda: datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC))
        said: list[str | None] = []
        batches = meter.spent(lambda _: said.append(keeping.run(Event())), [None])
    print(f"retention                 {said[0]}")
    print(f"  processor time          {batches.processor / whole.processor:.2f} of one DELETE's")
    print(f"  rows in one transaction {retention.BATCH:,} at most")


def _one(connection: psycopg.Connection[Any], query: bytes) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="What raw crossings weigh, plain and packed.")
    parser.add_argument("--timescale", default="", help="a server that has TimescaleDB")
    parser.add_argument("--stores", type=int, default=50)
    parser.add_argument("--days", type=int, default=28)
    asked = parser.parse_args()
    plan = Plan(stores=asked.stores, days=asked.days, last=LAST, rollup_days=1, raw_days=asked.days, seed=1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorline-bench-")))
        folder.chmod(0o711)
        postgres = EmbeddedPostgres(folder / "postgres", settings=FAST)
        stack.callback(postgres.remove)
        plain = postgres.start().dsn
        rows = fill(plain, plan)
        size = plain_size(plain)
        print(f"{asked.stores} stores, {asked.days} days: {rows:,} crossings")
        print(f"plain PostgreSQL          {size / 1e6:,.1f} MB, {size / rows:.1f} bytes a crossing")
        if asked.timescale:
            other = stack.enter_context(database_on(asked.timescale))
            assert fill(other, plan) == rows
            before, after = packed_size(other)
            verdict = "reached" if size / after >= GOAL else "MISSED"
            print(f"TimescaleDB, not packed   {before / 1e6:,.1f} MB")
            print(f"TimescaleDB, packed       {after / 1e6:,.1f} MB, {after / rows:.1f} bytes a crossing")
            print(f"  {size / after:.1f} times smaller than plain; at least {GOAL:g} is the goal: {verdict}")
            (told, took), (told_packed, took_packed) = read(plain), read(other)
            assert told == told_packed, "packed rows count otherwise"
            print(f"  reading it all          {took_packed / took:.2f} of the time")
        let_go(postgres, plain, max(14, asked.days // 2))


if __name__ == "__main__":
    main()
