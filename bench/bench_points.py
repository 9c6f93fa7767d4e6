"""Points at size: what a night of expiry costs, and whether a desk waits longer for a member with a long history.

Both are ratios of one run, so that a machine others work on says the same: the night as a multiple of copying rows of
the same ledger in one plain statement, a redemption after years of entries as a multiple of one after few.

    python -m bench.bench_points --members 1000000
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from threading import Event
from uuid import UUID

from server.access.models import Scope
from server.membership.models import MemberRef
from server.membership.points.expiry import Expiry
from server.membership.points.reports import PointsReports
from server.membership.points.service import PointsService
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Connection, Database

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
SYSTEM = Scope.system("bench")


class ById:
    """Members by id alone."""

    def resolve(self, _conn: Connection, refs: object) -> dict[MemberRef, UUID]:
        return {ref: UUID(ref.id) for ref, _ in refs if ref.id}  # type: ignore[attr-defined]


def fill(db: Database, members: int, lots: int, long_lots: int) -> tuple[UUID, UUID]:
    """Members with so many lots of 100 points, one of which expires tonight; one of few entries and one of many."""
    with db.transaction() as conn:
        conn.execute("SET LOCAL statement_timeout = 0")
        conn.execute("INSERT INTO store (store_id, name) VALUES ('S01', 'one')")
        conn.execute(
            """
            CREATE TEMP TABLE made ON COMMIT DROP AS
            SELECT row_number() OVER () AS number, member_id, place
            FROM (SELECT gen_random_uuid() AS member_id, n FROM generate_series(1, %(members)s) AS n) m
            CROSS JOIN LATERAL generate_series(1, CASE WHEN n = 2 THEN %(long)s ELSE %(lots)s END) AS place
            """,
            {"members": members, "lots": lots, "long": long_lots},
        )
        for statement in (
            """
            INSERT INTO member (member_id, card_no, home_store, key_id, enrolled_by, enrolled_at)
            SELECT member_id, 'C' || min(number), 'S01', 'k', 'bench', '2020-01-01Z' FROM made GROUP BY member_id
            """,
            """
            INSERT INTO points_account (member_id, balance)
            SELECT member_id, 100 * count(*) FROM made GROUP BY member_id
            """,
            """
            INSERT INTO points_lot (lot_id, member_id, earned_by, earned_at, available_at, expires_at, points,
            remaining) SELECT number, member_id, member_id, %(now)s::timestamptz - place * interval '1 day',
                   %(now)s::timestamptz - place * interval '1 day',
                   CASE WHEN place = 1 THEN %(now)s::timestamptz - interval '1 hour'
                        ELSE %(now)s::timestamptz + interval '400 days' END, 100, 100
            FROM made
            """,
            """
            INSERT INTO points_entry (entry_id, member_id, kind, points, pending, balance, at, key, content, actor)
            SELECT number, member_id, 'earn', 100, 0, 100 * place, %(now)s::timestamptz - place * interval '1 day',
                   'bench:' || number, '', 'bench'
            FROM made
            """,
            "INSERT INTO points_movement (entry_id, lot_id, points, pending) SELECT number, number, 100, 0 FROM made",
            "SELECT setval('points_lot_number', max(number)), setval('points_entry_number', max(number)) FROM made",
        ):
            conn.execute(statement, {"now": NOW})
        rows = conn.execute("SELECT member_id, count(*) FROM made GROUP BY 1 ORDER BY 2 DESC LIMIT 2").fetchall()
    with db.transaction() as conn:
        conn.execute("ANALYZE")
    return rows[1][0], rows[0][0]


def plain_copy(db: Database, rows: int) -> float:
    """Seconds in which the database writes so many rows of the ledger in one statement."""
    with db.transaction() as conn:
        conn.execute("SET LOCAL statement_timeout = 0")
        conn.execute("CREATE TEMP TABLE copied (LIKE points_entry INCLUDING INDEXES) ON COMMIT DROP")
        began = time.perf_counter()
        conn.execute("INSERT INTO copied SELECT * FROM points_entry LIMIT %s", (rows,))
        return time.perf_counter() - began


def redeeming(db: Database, member: UUID, rounds: int) -> float:
    """Median seconds of a redemption of one point."""
    service = PointsService(db, ById(), lambda: NOW)
    taken = []
    for number in range(rounds):
        began = time.perf_counter()
        service.redeem(SYSTEM, "S01", MemberRef(id=str(member)), 1, f"bench-{member}-{number}")
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--lots", type=int, default=3, help="lots of each member")
    parser.add_argument("--entries", type=int, default=3650, help="entries of the member with a long history")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="doorline-bench-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres", settings=FAST)
        try:
            dsn = server.start().dsn
            migrate(dsn)
            with Database(dsn, 4, statement_seconds=0) as db:
                measure(db, args)
        finally:
            server.remove()


def measure(db: Database, args: argparse.Namespace) -> None:
    """Fill, measure, print."""
    few, many = fill(db, args.members, args.lots, args.entries)
    copied = plain_copy(db, args.members)
    began = time.perf_counter()
    print(f"night: {Expiry(db, lambda: NOW).run(Event())}")
    night = time.perf_counter() - began
    print(f"night of {args.members:,} members: {night:.1f} s, {night / copied:.1f} x one plain INSERT of as many rows")
    # Spent down to a few lots, as a member of many years has: what expired and what was spent long ago is history.
    service = PointsService(db, ById(), lambda: NOW)
    service.redeem(
        SYSTEM, "S01", MemberRef(id=str(many)), 100 * (args.entries - 1 - args.lots), "bench-history-of-many"
    )
    short, long = redeeming(db, few, args.rounds), redeeming(db, many, args.rounds)
    print(f"redemption: {short * 1000:.2f} ms after {args.lots} entries, {long / short:.2f} x after {args.entries:,}")
    began = time.perf_counter()
    found = PointsReports(db, lambda: NOW + timedelta(days=1)).check(SYSTEM)
    print(f"check: {len(found)} differences, {(time.perf_counter() - began) / copied:.1f} x the plain INSERT")
    assert not found, found


if __name__ == "__main__":
    main()
