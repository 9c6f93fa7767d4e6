"""A chain for the tests of KPIs: stores, what their cameras saw, and what their tills sold, put into the tables.

Crossings go into the roll-up and, one by one, into the raw rows, as ingest writes them; so does coverage. Every write
marks its hours.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from server.access.models import Scope
from server.kpi.service import KpiService
from server.storage import dirty
from server.storage.pool import Database
from server.stores.facts import FactsService
from server.stores.models import LineKind, NewStore, every_day
from server.stores.service import StoresService

SYSTEM = Scope.system("tests")
QUARTER = timedelta(minutes=15)


@dataclass
class Chain:
    """Stores with one door each, and a clock that the test sets."""

    db: Database
    now: datetime = datetime(2026, 11, 30, tzinfo=UTC)
    receipts: Counter[str] = field(default_factory=Counter)
    zones: dict[str, ZoneInfo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stores = StoresService(self.db, self.clock)
        self.facts = FactsService(self.db, self.clock)
        self.kpi = KpiService(self.db, self.stores, self.clock)

    def clock(self) -> datetime:
        return self.now

    def store(
        self,
        store_id: str,
        opens: str = "10:00",
        closes: str = "12:00",
        *,
        timezone: str = "Asia/Shanghai",
        day_starts: str = "04:00",
        region: str = "east",
        currency: str = "CNY",
    ) -> None:
        """Open every day; camera `<store>-C1` with door line `<store>-L1` since 1 October 2026."""
        self.stores.add_store(
            SYSTEM,
            NewStore(
                store_id,
                f"Store {store_id}",
                timezone=timezone,
                region=region,
                currency=currency,
                day_starts=time.fromisoformat(day_starts),
                hours=every_day(time.fromisoformat(opens), time.fromisoformat(closes)),
            ),
        )
        self.zones[store_id] = ZoneInfo(timezone)
        self.camera(store_id, "C1", "L1")

    def camera(
        self,
        store_id: str,
        camera: str,
        line: str,
        kind: LineKind = "door",
        installed_at: datetime = datetime(2026, 10, 1, tzinfo=UTC),
    ) -> None:
        self.stores.add_camera(SYSTEM, store_id, f"{store_id}-{camera}", installed_at=installed_at)
        self.stores.add_line(SYSTEM, f"{store_id}-{camera}", f"{store_id}-{line}", kind=kind)

    def at(self, store_id: str, local: str) -> datetime:
        """An instant from the store's own clock: ``2026-11-16 10:00``."""
        return datetime.fromisoformat(local).replace(tzinfo=self.zones[store_id]).astimezone(UTC)

    def cross(
        self,
        store_id: str,
        at: datetime | str,
        came: int = 0,
        *,
        left: int = 0,
        groups: int | None = None,
        crossing_class: str = "adult",
        line: str = "L1",
    ) -> None:
        """So many came in (in so many groups; each alone when left out) and left, all at one instant."""
        moment = self.at(store_id, at) if isinstance(at, str) else at
        opening = came if groups is None else groups
        with self.db.transaction() as conn:
            for direction, count, opened in (("in", came, opening), ("out", left, left)):
                if not count:
                    continue
                conn.execute(
                    """
                    INSERT INTO traffic_15m (store_id, quarter, line_id, direction, class, count, groups)
                    VALUES (%s, date_bin('15 minutes', %s, '2000-01-01Z'), %s, %s, %s, %s, %s)
                    ON CONFLICT (store_id, quarter, line_id, direction, class)
                    DO UPDATE SET count = traffic_15m.count + excluded.count,
                                  groups = traffic_15m.groups + excluded.groups
                    """,
                    (store_id, moment, f"{store_id}-{line}", direction, crossing_class, count, opened),
                )
                conn.execute(
                    """
                    INSERT INTO crossing (at, store_id, camera_id, line_id, direction, class, opens_group, track,
                                          confidence, tags, undated, device_id, epoch, seq, received_at)
                    SELECT %s, %s, camera_id, line_id, %s, %s, n <= %s, n, 1, '{}', false, 'box', 'e', n, %s
                    FROM line, generate_series(1, %s) AS n
                    WHERE line_id = %s
                    """,
                    (moment, store_id, direction, crossing_class, opened, moment, count, f"{store_id}-{line}"),
                )
            dirty.mark(conn, store_id, [moment], "ingest")

    def watch(
        self, store_id: str, start: datetime | str, end: datetime | str, *, camera: str = "C1", seconds: float = 60
    ) -> None:
        """So many seconds of every minute from `start` to `end` were watched."""
        first = self.at(store_id, start) if isinstance(start, str) else start
        last = self.at(store_id, end) if isinstance(end, str) else end
        quarters: dict[datetime, list[float]] = {}
        minute = first
        while minute < last:
            quarter = minute - (minute - datetime(2000, 1, 1, tzinfo=UTC)) % QUARTER
            quarters.setdefault(quarter, [0.0] * 15)[(minute - quarter) // timedelta(minutes=1)] = float(seconds)
            minute += timedelta(minutes=1)
        with self.db.transaction() as conn:
            for quarter, minutes in quarters.items():
                conn.execute(
                    """
                    INSERT INTO coverage_15m (store_id, camera_id, quarter, minute_seconds, seconds)
                    VALUES (%(store)s, %(camera)s, %(quarter)s, %(minutes)s::numeric[], %(seconds)s)
                    ON CONFLICT (store_id, quarter, camera_id) DO UPDATE
                    SET minute_seconds = (
                            SELECT array_agg(least(60, a + b) ORDER BY n)
                            FROM unnest(coverage_15m.minute_seconds, excluded.minute_seconds)
                                WITH ORDINALITY AS both_minutes (a, b, n)
                        ),
                        seconds = coverage_15m.seconds + excluded.seconds
                    """,
                    {
                        "store": store_id,
                        "camera": f"{store_id}-{camera}",
                        "quarter": quarter,
                        "minutes": minutes,
                        "seconds": sum(minutes),
                    },
                )
            dirty.mark(conn, store_id, quarters, "ingest")

    def sell(
        self,
        store_id: str,
        at: datetime | str,
        gross: str,
        *,
        units: int = 1,
        member: UUID | None = None,
        kind: str = "sale",
        channel: str = "till",
        voided: bool = False,
    ) -> str:
        """Ring up one receipt; its number."""
        moment = self.at(store_id, at) if isinstance(at, str) else at
        self.receipts[store_id] += 1
        number = f"R{self.receipts[store_id]:04d}"
        with self.db.transaction() as conn:
            conn.execute(
                """
                INSERT INTO receipt (store_id, receipt_no, kind, channel, at, currency, gross, units, member_id,
                                     voided_at, content_hash, received_at)
                VALUES (%s, %s, %s, %s, %s, (SELECT currency FROM store WHERE store_id = %s), %s, %s, %s, %s, '', %s)
                """,
                (
                    store_id,
                    number,
                    kind,
                    channel,
                    moment,
                    store_id,
                    Decimal(gross),
                    units,
                    member,
                    moment if voided else None,
                    moment,
                ),
            )
            dirty.mark(conn, store_id, [moment], "receipt")
        return number

    def void(self, store_id: str, receipt_no: str) -> None:
        with self.db.transaction() as conn:
            row = conn.execute(
                "UPDATE receipt SET voided_at = %s WHERE store_id = %s AND receipt_no = %s RETURNING at",
                (self.now, store_id, receipt_no),
            ).fetchone()
            assert row is not None
            dirty.mark(conn, store_id, [row[0]], "receipt")

    def marks(self) -> int:
        with self.db.read() as conn:
            row = conn.execute("SELECT count(*) FROM dirty_mark").fetchone()
        assert row is not None
        return int(row[0])

    def forget_marks(self) -> None:
        with self.db.transaction() as conn:
            conn.execute("DELETE FROM dirty_mark")


MEMBER = uuid4()


def by_hand(chain: Chain) -> None:
    """Store S01, open 10:00-12:00, on Monday 16 November 2026. Everything the tests expect follows from this table.

    | quarter | in (groups)              | out | watched | sales                           |
    |---------|--------------------------|-----|---------|---------------------------------|
    | 09:30   | 3 staff                  |     |         |                                 |
    | 10:00   | 10 adults (7), 1 staff   | 2   | all     | 100.00 (2 units, member)        |
    | 10:15   | 8 adults (5)             | 5   | all     | 50.50 (1)                       |
    | 10:30   | 6 adults (3), 2 children (1) | 9 | all   | 20.25 (3); 999.00 voided        |
    | 10:45   | 5 adults (5)             | 4   | all     | online 500.00; pick-up 60.00    |
    | 11:00   | 4 adults (4)             | 6   | all     | 200.00 (4, member)              |
    | 11:15   | 3 adults (2)             | 3   | all     | refund 30.00                    |
    | 11:30   | 2 adults (2)             | 4   | 10 of 15 min | 80.00 (1)                  |
    | 11:45   | 1 adult (1)              | 5   | all     | 12.10 (1)                       |
    | 12:00   |                          | 3   |         | 9.90 (1) at 12:10: after closing|
    | 13:00   |                          | 1   |         | 40.00 (1): nobody's visitor     |
    """
    day = "2026-11-16"
    chain.store("S01")
    chain.watch("S01", f"{day} 10:00", f"{day} 11:30")
    chain.watch("S01", f"{day} 11:30", f"{day} 11:40")
    chain.watch("S01", f"{day} 11:45", f"{day} 12:00")
    chain.cross("S01", f"{day} 09:40", 3, crossing_class="staff")
    chain.cross("S01", f"{day} 10:00", 1, crossing_class="staff")
    chain.cross("S01", f"{day} 10:31", 2, groups=1, crossing_class="child")
    for at, came, groups, left in (
        ("10:05", 10, 7, 2),
        ("10:20", 8, 5, 5),
        ("10:30", 6, 3, 9),
        ("10:59", 5, 5, 4),
        ("11:00", 4, 4, 6),
        ("11:16", 3, 2, 3),
        ("11:30", 2, 2, 4),
        ("11:59", 1, 1, 5),
        ("12:05", 0, 0, 3),
        ("13:00", 0, 0, 1),
    ):
        chain.cross("S01", f"{day} {at}", came, groups=groups, left=left)
    chain.sell("S01", f"{day} 10:10", "100.00", units=2, member=MEMBER)
    chain.sell("S01", f"{day} 10:29", "50.50")
    chain.sell("S01", f"{day} 10:30", "20.25", units=3)
    chain.sell("S01", f"{day} 10:35", "999.00", units=9, voided=True)
    chain.sell("S01", f"{day} 10:50", "500.00", channel="online")
    chain.sell("S01", f"{day} 10:51", "60.00", channel="pickup")
    chain.sell("S01", f"{day} 11:05", "200.00", units=4, member=MEMBER)
    chain.sell("S01", f"{day} 11:20", "30.00", kind="refund")
    chain.sell("S01", f"{day} 11:33", "80.00")
    chain.sell("S01", f"{day} 11:50", "12.10")
    chain.sell("S01", f"{day} 12:10", "9.90")
    chain.sell("S01", f"{day} 13:00", "40.00")
