"""A made-up chain into a database, day by day.

Rows are laid down in the order in which they would have come: all stores' Monday, then all stores' Tuesday. Store after
store would be quicker to write and a lie: a store's year would lie in a few pages side by side, and a summary of raw
rows by time would find nothing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, LiteralString

import numpy as np
import psycopg

from cli.bench import joined, repository
from cli.bench.binary import (
    NO_TEXTS,
    Cells,
    Ints,
    Mask,
    boolean,
    int2,
    int4,
    int8,
    jsonb,
    numeric,
    of_rows,
    raw,
    real,
    same,
    small_numeric_array,
    text,
)
from cli.bench.repository import ColumnType
from cli.bench.trade import EPOCH, HOURS_OPEN, OPEN_QUARTERS, SHIFTS, Day, Shops, shops, spread, trade
from server.errors import Conflict, InvalidInput
from server.ingest.gaps import WEEKS
from server.kpi.models import FACT_NAMES
from server.storage.migrate import migrate
from server.storage.pool import Connection, connection_options
from server.storage.retention_repository import raise_floor

_FACT_TABLES: Final = ("store_day", "store_hour")
_JOINED: Final = ("occupancy", "occupancy_peak", "drift", *FACT_NAMES)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR_US: Final = 3600 * 1_000_000
_EPOCH_NAME: Final = b"bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make.

    Attributes:
        days: of facts, the last of them `last`.
        rollup_days: of roll-ups (`traffic_15m`, `coverage_15m`), counted back from `last`; `raw_days` likewise of
            crossings and receipts.
    """

    stores: int
    days: int
    last: date
    rollup_days: int
    raw_days: int
    seed: int


def generate(dsn: str, plan: Plan, told: Callable[[int], None] = lambda _: None) -> dict[str, int]:
    """Bring the schema up to date and fill it.

    Args:
        told: called after each day with how many are done.

    Returns:
        Rows by table.

    Raises:
        InvalidInput: a number out of range.
        Conflict: there are stores already; a made-up chain must never mix with a real one.
    """
    _check(plan)
    migrate(dsn)
    rows: dict[str, int] = {}
    with psycopg.connect(dsn, autocommit=True, **connection_options(statement_seconds=0)) as conn:
        if found := repository.store_count(conn):
            raise Conflict(f"the database has {found} stores already", remedy="name an empty database")
        chain = shops(plan.stores, plan.seed)
        first = plan.last - timedelta(days=plan.days - 1)
        # One transaction, so that nothing is left of a chain that was not finished, and its rows need no log.
        with conn.transaction(), repository.in_bulk(conn) as frozen:
            repository.register(
                conn, chain, datetime.combine(first, time(), UTC) - timedelta(days=7), HOURS_OPEN, joined.AUDIT
            )
            # Of days without raw rows, nobody must think that nobody came.
            raw_from = plan.last - timedelta(days=min(plan.raw_days, plan.days) - 1)
            raise_floor(conn, datetime.combine(raw_from, time(), UTC))
            writer = _Writer(conn, chain, plan, rows, frozen)
            for done in range(plan.days):
                writer.write(first + timedelta(days=done))
                told(done + 1)
        # Index-only scans need to know which pages everybody sees.
        conn.execute("VACUUM ANALYZE")
    return rows


def _check(plan: Plan) -> None:
    for name, least, most in (
        ("stores", 1, 99_999),
        ("days", 1, 3660),
        ("rollup_days", 0, 3660),
        ("raw_days", 0, 3660),
    ):
        value = getattr(plan, name)
        if not least <= value <= most:
            raise InvalidInput(f"{name} is {value}", field=name, remedy=f"give a number from {least} to {most}")


class _Writer:
    """Writes one day after another.

    Args:
        rows: by table, added to.
        frozen: tables of `repository.in_bulk`.
    """

    def __init__(
        self, conn: Connection, chain: Shops, plan: Plan, rows: dict[str, int], frozen: frozenset[str]
    ) -> None:
        self._conn = conn
        self._frozen = frozen
        self._chain = chain
        self._plan = plan
        self._rows = rows
        self._types = {table: repository.column_types(conn, table) for table in _FACT_TABLES}
        self._ids = text(chain.ids)
        audits = repository.audits(conn)
        self._audits = np.array([audits.get(name.decode(), 0) for name in chain.ids.tolist()])
        self._per_hour = np.repeat(chain.ids, HOURS_OPEN)
        self._per_quarter = np.repeat(chain.ids, OPEN_QUARTERS)
        self._before: deque[Day] = deque(maxlen=7 * max(WEEKS))

    def write(self, day: date) -> None:
        """Everything of one day."""
        made = trade(self._chain, self._plan.seed, day)
        ago = (self._plan.last - day).days
        ago_by_weeks = [self._before[-7 * week] for week in WEEKS if 7 * week <= len(self._before)]
        facts = joined.quarters(self._chain, made, ago_by_weeks)
        self._before.append(made)
        self._rosters(made)
        self._hours(made, joined.hours(facts))
        self._days(made, joined.days(facts))
        if ago < self._plan.rollup_days:
            self._traffic(made)
            self._coverage(made)
        if ago < self._plan.raw_days:
            self._crossings(made)
            self._receipts(made)

    def _copy(self, table: LiteralString, columns: Sequence[str], blocks: Sequence[tuple[int, list[Cells]]]) -> None:
        repository.copy(self._conn, table, columns, blocks, frozen=table in self._frozen)
        self._rows[table] = self._rows.get(table, 0) + sum(count for count, _ in blocks)

    def _rosters(self, made: Day) -> None:
        number = self._chain.count
        opens, day = made.starts[:, 0], int4([_days_since(made.day)])
        entered = int8(opens - 24 * _HOUR_US)
        columns = ["store_id", "day", "entered_by", "entered_at"]
        self._copy("roster_day", columns, [(number, [self._ids, day, same(b"bench"), entered])])
        people = numeric(self._chain.staff * 1_000_000, 6)
        blocks = [
            (number, [self._ids, day, int8(opens + begins * _HOUR_US), int8(opens + ends * _HOUR_US), people])
            for begins, ends in SHIFTS
        ]
        self._copy("roster_shift", ["store_id", "day", "starts_at", "ends_at", "people"], blocks)

    # -- joined facts

    def _days(self, made: Day, day: joined.Joined) -> None:
        # As the job would have left it, an hour after the last store's day was over.
        computed = int((datetime.combine(made.day, time(), UTC) + timedelta(hours=36) - EPOCH) / _MICROSECOND)
        cells = [
            self._ids,
            int4([_days_since(made.day)]),
            int4([1]),
            int8([computed]),
            boolean([False]),
            *self._facts("store_day", day),
        ]
        columns = ["store_id", "day", "version", "computed_at", "provisional", *_JOINED]
        self._copy_audited("store_day", columns, cells, self._audits, day.facts["entries_error"])

    def _hours(self, made: Day, hour: joined.Joined) -> None:
        cells = [
            text(self._per_hour),
            int8(made.starts[:, ::4].ravel()),
            int4([_days_since(made.day)]),
            int2((self._chain.opens[:, None] + np.arange(HOURS_OPEN)).ravel()),
            *self._facts("store_hour", hour),
        ]
        columns = ["store_id", "hour", "day", "local_hour", *_JOINED]
        audits = np.repeat(self._audits, HOURS_OPEN)
        self._copy_audited("store_hour", columns, cells, audits, hour.facts["entries_error"].ravel())

    def _copy_audited(
        self, table: LiteralString, columns: Sequence[str], cells: Sequence[Cells], audits: Ints, errors: Ints
    ) -> None:
        """Rows with what their audits leave open apart from those without."""
        some = errors > 0
        by_audit = jsonb([f'{{"{audit}": {error}}}' for audit, error in zip(audits[some], errors[some], strict=True)])
        self._copy(table, columns, [(int((~some).sum()), of_rows(cells, ~some))])
        self._copy(table, [*columns, "audit_errors"], [(int(some.sum()), [*of_rows(cells, some), by_audit])])

    def _facts(self, table: str, made: joined.Joined) -> list[Cells]:
        known = {"occupancy": made.now, "occupancy_peak": made.peak, "drift": made.drift, **made.facts}
        return [
            _cells(self._types[table][name], known[name].ravel(), joined.SCALES.get(name, 0))
            if name in known
            else _cells(self._types[table][name], np.zeros(1, dtype=np.int64), 0)
            for name in _JOINED
        ]

    # -- roll-ups

    def _traffic(self, made: Day) -> None:
        blocks = []
        for (name, direction), counts in made.crossed.items():
            groups = made.groups if (name, direction) == ("adult", "in") else np.zeros_like(counts)
            blocks.append(self._traffic_block(made, b"-L1", direction, name, counts, groups))
        for direction, counts in made.passed.items():
            blocks.append(self._traffic_block(made, b"-L2", direction, "adult", counts, np.zeros_like(counts)))
        columns = ["store_id", "quarter", "line_id", "direction", "class", "count", "groups"]
        self._copy("traffic_15m", columns, blocks)

    def _traffic_block(
        self, made: Day, line: bytes, direction: str, name: str, counts: Ints, groups: Ints
    ) -> tuple[int, list[Cells]]:
        some = counts.ravel() > 0
        ids = self._per_quarter[some]
        return int(some.sum()), [
            text(ids),
            int8(made.starts.ravel()[some]),
            text(np.char.add(ids, line)),
            same(direction.encode()),
            same(name.encode()),
            int4(counts.ravel()[some]),
            int4(groups.ravel()[some]),
        ]

    def _coverage(self, made: Day) -> None:
        street = np.repeat(self._chain.street, OPEN_QUARTERS)
        seen = made.watched.ravel()
        blocks = [
            self._coverage_block(made, b"-C1", seen, 60, b"ok"),
            self._coverage_block(made, b"-C1", ~seen, 0, b"offline"),
            self._coverage_block(made, b"-C2", street, 60, b"ok"),
        ]
        columns = ["store_id", "camera_id", "quarter", "minute_seconds", "seconds", "state"]
        self._copy("coverage_15m", columns, blocks)

    def _coverage_block(
        self, made: Day, camera: bytes, where: Mask, seconds: int, state: bytes
    ) -> tuple[int, list[Cells]]:
        ids = self._per_quarter[where]
        return ids.size, [
            text(ids),
            text(np.char.add(ids, camera)),
            int8(made.starts.ravel()[where]),
            same(small_numeric_array([seconds] * 15, 1)),
            numeric(np.array([seconds * 150]), 1),
            same(state),
        ]

    # -- raw rows

    def _crossings(self, made: Day) -> None:
        draw = np.random.default_rng([self._plan.seed, self._chain.count, made.day.toordinal(), 2])
        blocks = []
        first = 0
        for (name, direction), counts in made.crossed.items():
            groups = made.groups if (name, direction) == ("adult", "in") else np.zeros_like(counts)
            blocks.append(self._crossing_block(draw, made, "1", direction, name, counts, groups, first))
            first += blocks[-1][0]
        for direction, counts in made.passed.items():
            groups = np.zeros_like(counts)
            blocks.append(self._crossing_block(draw, made, "2", direction, "adult", counts, groups, first))
            first += blocks[-1][0]
        columns = [
            *("at", "store_id", "camera_id", "line_id", "direction", "class", "opens_group", "track", "confidence"),
            *("tags", "undated", "device_id", "epoch", "seq", "received_at"),
        ]
        self._copy("crossing", columns, blocks)

    def _crossing_block(
        self,
        draw: np.random.Generator,
        made: Day,
        place: str,
        direction: str,
        name: str,
        counts: Ints,
        groups: Ints,
        first: int,
    ) -> tuple[int, list[Cells]]:
        slot, at = spread(draw, made.starts, counts)
        # The first of a quarter hour's crossings open its groups.
        flat = counts.ravel()
        nth = np.arange(slot.size) - np.repeat(np.cumsum(flat) - flat, flat)
        opens = nth < groups.ravel()[slot]
        order = np.argsort(at, kind="stable")
        slot, at, opens = slot[order], at[order], opens[order]
        ids = self._per_quarter[slot]
        tags = NO_TEXTS if name == "adult" else _one_text(name.encode())
        return slot.size, [
            int8(at),
            text(ids),
            text(np.char.add(ids, f"-C{place}".encode())),
            text(np.char.add(ids, f"-L{place}".encode())),
            same(direction.encode()),
            same(name.encode()),
            boolean(opens),
            int8(first + np.arange(slot.size)),
            real(0.5 + 0.5 * draw.random(slot.size)),
            same(tags),
            boolean([False]),
            text(np.char.add(b"box-", ids)),
            same(_EPOCH_NAME),
            int8(_days_since(made.day) * 100_000_000 + first + np.arange(slot.size)),
            int8(at + 1_000_000),
        ]

    def _receipts(self, made: Day) -> None:
        draw = np.random.default_rng([self._plan.seed, self._chain.count, made.day.toordinal(), 3])
        columns = ["store_id", "receipt_no", "kind", "channel", "at", "currency", "gross", "units"]
        last = ["content_hash", "received_at"]
        sold = made.receipts
        self._copy(
            "receipt",
            [*columns, *last],
            [
                self._receipt_block(made, sold.refund, (b"refund", b"till"), []),
                self._receipt_block(made, sold.sale & ~sold.member, (b"sale", b"till"), []),
            ],
        )

        def known(where: Mask, channel: bytes) -> tuple[int, list[Cells]]:
            members = raw(draw.integers(0, 256, (int(where.sum()), 16), dtype=np.uint8).view("V16").ravel())
            return self._receipt_block(made, where, (b"sale", channel), [members])

        blocks = [known(sold.sale & sold.member, b"till"), known(sold.pickup, b"pickup")]
        self._copy("receipt", [*columns, "member_id", *last], blocks)

    def _receipt_block(
        self, made: Day, where: Mask, what: tuple[bytes, bytes], member: list[Cells]
    ) -> tuple[int, list[Cells]]:
        """Receipts of a kind and a channel."""
        sold = made.receipts
        number = np.flatnonzero(where)
        order = np.argsort(sold.at[number], kind="stable")
        number = number[order]
        at = sold.at[number]
        digits = np.char.mod("%08d", number).astype("S8")
        return number.size, [
            text(self._per_quarter[sold.slot[number]]),
            text(np.char.add(f"{made.day:%y%m%d}-".encode(), digits)),
            *map(same, what),
            int8(at),
            same(b"CNY"),
            numeric(sold.cents[number], 2),
            numeric(sold.units[number] * 1000, 3),
            *member,
            int8(number),
            int8(at + 2_000_000),
        ]


def _days_since(day: date) -> int:
    return (day - EPOCH.date()).days


def _one_text(value: bytes) -> bytes:
    head = (1, 0, 25, 1, 1, len(value))
    return b"".join(n.to_bytes(4, "big") for n in head) + value


def _cells(column: ColumnType, values: Ints, scale: int) -> Cells:
    """Amounts times ten to the `scale` as a column of whatever type the database has."""
    if column.type == "numeric":
        return numeric(values, scale)
    makers = {"smallint": int2, "integer": int4, "bigint": int8, "boolean": boolean, "real": real}
    if column.type not in makers:
        raise InvalidInput(f"column {column.name} is a {column.type}", remedy="teach the generator to write it")
    return makers[column.type](values)
