"""How long a night's customer value takes for a chain of so many members, beside reading their receipts once.

- A made-up chain: members with a rhythm of their own, ten receipts a year each on the average, most with the cost of
  their goods, made in SQL; every tenth came from abroad, with an exchange rate.
- The night's work: values, grades, stages and the standing of all of them, in one transaction.
- Beside it, in the same run, one pass of plain SQL over the same receipts that only adds up what each member spent:
  what nobody can do without. The ratio says how many such passes a night costs.
- Half as many members, to see that cost grows with their number.

Run `python -m bench.bench_value` from the repository's root (a few minutes, 8 GB of disk for a million members).
"""

import argparse
import tempfile
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg import sql

from bench.central import Meter, Spent
from server.access.models import Scope
from server.membership.value.models import ServingCost
from server.membership.value.service import ValueService
from server.storage import migrate
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.pool import Database

#: Goal for a million members (seconds).
GOAL_S = 600.0
LAST = date(2026, 11, 15)
_STORES = 100
_BENCH = Scope.system("bench")

_MAKE = """
    INSERT INTO store (store_id, name, country, currency)
    SELECT 'S' || lpad(n::text, 4, '0'), 'Store ' || n, 'CN', CASE WHEN n % 10 = 0 THEN 'EUR' ELSE 'CNY' END
    FROM generate_series(1, {stores}) AS n;
    INSERT INTO store_calendar (store_id, valid_from, timezone, day_starts)
    SELECT store_id, '2020-01-01', 'Asia/Shanghai', '00:00' FROM store;
    INSERT INTO exchange_rate VALUES ('EUR', 'CNY', '2020-01-01', 7.8, 'bench', now());
    INSERT INTO member (card_no, home_store, key_id, name_enc, enrolled_by, enrolled_at)
    SELECT 'C' || n, 'S' || lpad((1 + n % {stores})::text, 4, '0'), 'bench', '\\x00', 'bench',
           '{last}'::timestamptz - (30 + abs(hashint4(n)::bigint) % 1400) * interval '1 day'
    FROM generate_series(1, {members}) AS n;
    -- Half buy hardly ever, a few every week: gaps spread over two orders of magnitude.
    INSERT INTO receipt (store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, content_hash,
                         received_at)
    SELECT m.home_store, m.card_no || '-' || n,
           CASE WHEN abs(hashint8(n * 7 + m.seed)::bigint) % 30 = 0 THEN 'refund' ELSE 'sale' END,
           'till', at, CASE WHEN right(m.home_store, 1) = '0' THEN 'EUR' ELSE 'CNY' END,
           5 + abs(hashint8(n * 31 + m.seed)::bigint) % 50000 / 100.0, 1, m.member_id, '\\x00', at
    FROM (
        SELECT *, abs(hashtext(card_no)::bigint) AS seed,
               3 + (abs(hashtext(card_no)::bigint) % 1000)::float8 ^ 2 / 6000 AS gap
        FROM member
    ) AS m
    CROSS JOIN LATERAL generate_series(1, least(60, (730 / gap)::int)) AS n
    CROSS JOIN LATERAL (
        SELECT '{last}'::timestamptz - (n * gap + abs(hashint8(n + m.seed)::bigint) % 3) * interval '1 day' AS at
    ) AS a
    WHERE at > m.enrolled_at;
    INSERT INTO receipt_line (store_id, receipt_no, line_no, sku, quantity, unit_price, amount, cost)
    SELECT store_id, receipt_no, 1, 'tea', 1, gross, gross,
           CASE WHEN abs(hashtext(receipt_no)::bigint) % 20 > 0 THEN round(gross * 0.6, 2) END
    FROM receipt;
"""
_PASS = b"""
    SELECT count(*) FROM (
        SELECT member_id, sum(CASE kind WHEN 'sale' THEN gross ELSE -gross END), max(at), count(*)
        FROM receipt WHERE member_id IS NOT NULL AND voided_at IS NULL GROUP BY member_id
    ) AS m
"""


def chain(server: EmbeddedPostgres, name: str, members: int) -> Database:
    """A database with so many members and what they bought."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = server.dsn_of(name)
    migrate.migrate(dsn)
    began = time.monotonic()
    with psycopg.connect(dsn) as conn:
        conn.execute(_MAKE.format(stores=_STORES, members=members, last=LAST.isoformat()).encode())
        conn.commit()
        conn.autocommit = True
        conn.execute("VACUUM ANALYZE")
        receipts = conn.execute("SELECT count(*) FROM receipt").fetchone()
    made = time.monotonic() - began
    print(f"{members:,} members with {receipts[0] if receipts else 0:,} receipts, made in {made:.0f} s", flush=True)
    return Database(dsn, 2)


def measure(meter: Meter, db: Database) -> Spent:
    """What a night takes."""
    values = ValueService(db, "CNY", lambda: datetime(2026, 11, 16, 20, 30, tzinfo=UTC))
    values.put_serving_costs(_BENCH, [ServingCost("sale", date(2020, 1, 1), Decimal("1.50"))])
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        # Left to itself the planner walks an index by member, a page for every receipt: ten times the night itself.
        conn.execute("SET enable_indexscan = off")
        conn.execute("SET work_mem = '256MB'")
        conn.execute(_PASS)
        once = meter.spent(lambda _: conn.execute(_PASS), [None])
    night = meter.spent(lambda _: values.make(_BENCH, LAST), [None])
    standing = values.standings(_BENCH, LAST, LAST)[0]
    print(
        f"  {standing.members:,} members, {standing.buyers:,} bought, {standing.high:,} of high value, "
        f"{standing.left_out} receipts left out; {dict(sorted(standing.stages.items()))}\n"
        f"  a night: {night.clock:.0f} s by the clock, {night.processor:.0f} s of processor time; one pass over the "
        f"receipts: {once.clock:.1f} s, {once.processor:.1f} s; {night.processor / once.processor:.0f} times that",
        flush=True,
    )
    return night


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1_000_000)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="doorline-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "pg", settings=FAST) as server,
    ):
        meter = Meter(server.pid or 0)
        spent = {}
        for members in (asked.members // 2, asked.members):
            db = chain(server, f"members_{members}", members)
            spent[members] = measure(meter, db)
            db.close()
        half, whole = spent[asked.members // 2], spent[asked.members]
        print(f"twice the members cost {whole.processor / half.processor:.2f} times as much")
        if asked.members >= 1_000_000:
            print(f"a million members within {GOAL_S:.0f} s: {'reached' if whole.clock <= GOAL_S else 'MISSED'}")


if __name__ == "__main__":
    main()
