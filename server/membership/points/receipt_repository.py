"""SQL of what membership remembers of receipts, and whose they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from server.membership import rulebook_repository
from server.membership.points.earning import Line
from server.membership.points.rules import Rules, read
from server.membership.rulebook_repository import RulesRow
from server.storage.arrays import array
from server.storage.pool import Connection

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt as an event told of it."""

    store_id: str
    receipt_no: str
    kind: str
    channel: str
    at: datetime
    currency: str
    gross: Decimal
    net: Decimal | None
    refers_to: str | None
    member_id: UUID | None
    lines: tuple[Line, ...]


@dataclass(slots=True)
class Kept:
    """A receipt as it is remembered; the columns of points_receipt that change are changed here and written back."""

    store_id: str
    receipt_no: str
    kind: str
    channel: str
    at: datetime
    currency: str
    gross: Decimal
    net: Decimal | None
    refers_to: str | None
    member_id: UUID | None
    holder: UUID | None
    lines: tuple[Line, ...]
    is_voided: bool
    kept: Decimal
    rules_version: int | None
    tier: str | None
    multiplier: Decimal | None
    lot_id: int | None
    earned: int
    standing: int
    bookings: int

    @property
    def key(self) -> Key:
        """Its store and number."""
        return self.store_id, self.receipt_no


_KEPT: LiteralString = """
    SELECT r.store_id, r.receipt_no, r.kind, r.channel, r.at, r.currency, r.gross, r.net, r.refers_to, r.member_id,
           r.holder, r.lines, r.is_voided, r.kept, r.rules_version, r.tier, r.multiplier, r.lot_id, r.earned,
           r.standing, r.bookings
    FROM points_receipt r
    JOIN unnest(%s::text[], %s::text[]) AS wanted (store_id, number) ON r.store_id = wanted.store_id
"""


def remember(conn: Connection, told: Sequence[Told]) -> None:
    """Keep receipts; of one known already, only whose it is, if it was nobody's.

    The business day is the store's own, by the calendar in force when it was sold; a store without one has days in UTC.
    What an erased member bought is nobody's: it may be told of after the erasure, and would earn what nobody can spend.
    """
    last = {(each.store_id, each.receipt_no): each for each in told}
    rows = [last[key] for key in sorted(last)]
    conn.execute(
        """
        INSERT INTO points_receipt (store_id, receipt_no, kind, channel, at, currency, gross, net, refers_to, member_id,
                                    lines, holder, day)
        SELECT n.store_id, n.receipt_no, n.kind, n.channel, n.at, n.currency, n.gross, n.net, n.refers_to, m.member_id,
               n.lines, CASE WHEN m.member_id IS NOT NULL THEN member_root(n.member_id) END,
               ((n.at AT TIME ZONE coalesce(c.timezone, 'UTC')) - coalesce(c.day_starts, '00:00')::interval)::date
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::numeric[],
                    %s::numeric[], %s::text[], %s::uuid[], %s::jsonb[])
             AS n (store_id, receipt_no, kind, channel, at, currency, gross, net, refers_to, member_id, lines)
        LEFT JOIN member m ON m.member_id = n.member_id AND m.erased_at IS NULL
        LEFT JOIN LATERAL (
            SELECT timezone, day_starts FROM store_calendar
            WHERE store_id = n.store_id AND valid_from <= n.at::date
            ORDER BY valid_from DESC LIMIT 1
        ) c ON true
        ON CONFLICT (store_id, receipt_no) DO UPDATE
            SET member_id = excluded.member_id, holder = excluded.holder
            WHERE points_receipt.member_id IS NULL AND excluded.member_id IS NOT NULL
        """,
        (
            array(each.store_id for each in rows),
            array(each.receipt_no for each in rows),
            array(each.kind for each in rows),
            array(each.channel for each in rows),
            array(each.at for each in rows),
            array(each.currency for each in rows),
            array(each.gross for each in rows),
            array(each.net for each in rows),
            array(each.refers_to for each in rows),
            array(each.member_id for each in rows),
            [Jsonb([[line.sku, line.group, str(line.amount)] for line in each.lines]) for each in rows],
        ),
    )


def by_keys(conn: Connection, keys: Sequence[Key]) -> dict[Key, Kept]:
    """Receipts by store and number, those that are remembered."""
    return _found(conn, _KEPT + "AND r.receipt_no = wanted.number", keys)


def about(conn: Connection, keys: Sequence[Key]) -> dict[Key, Kept]:
    """Refunds and voids that refer to any of some receipts."""
    return _found(conn, _KEPT + "AND r.refers_to = wanted.number", keys)


def _found(conn: Connection, query: LiteralString, keys: Sequence[Key]) -> dict[Key, Kept]:
    if not keys:
        return {}
    wanted = sorted(set(keys))
    with conn.cursor(row_factory=kwargs_row(_kept)) as cursor:
        found = cursor.execute(
            query, (array(store_id for store_id, _ in wanted), array(number for _, number in wanted))
        ).fetchall()
    return {each.key: each for each in found}


def _kept(lines: Sequence[Sequence[str]], **columns: Any) -> Kept:
    return Kept(lines=tuple(Line(sku, group, Decimal(amount)) for sku, group, amount in lines), **columns)


def update(conn: Connection, receipts: Sequence[Kept]) -> None:
    """Write back what was worked out of receipts."""
    rows = sorted(receipts, key=lambda each: each.key)
    conn.execute(
        """
        UPDATE points_receipt AS r
        SET is_voided = n.is_voided, kept = n.kept, rules_version = n.rules_version, tier = n.tier,
            multiplier = n.multiplier, lot_id = n.lot_id, earned = n.earned, standing = n.standing,
            bookings = n.bookings
        FROM unnest(%s::text[], %s::text[], %s::boolean[], %s::numeric[], %s::integer[], %s::text[], %s::numeric[],
                    %s::bigint[], %s::bigint[], %s::bigint[], %s::integer[])
             AS n (store_id, receipt_no, is_voided, kept, rules_version, tier, multiplier, lot_id, earned, standing,
                   bookings)
        WHERE r.store_id = n.store_id AND r.receipt_no = n.receipt_no
        """,
        (
            array(each.store_id for each in rows),
            array(each.receipt_no for each in rows),
            array(each.is_voided for each in rows),
            array(each.kept for each in rows),
            array(each.rules_version for each in rows),
            array(each.tier for each in rows),
            array(each.multiplier for each in rows),
            array(each.lot_id for each in rows),
            array(each.earned for each in rows),
            array(each.standing for each in rows),
            array(each.bookings for each in rows),
        ),
    )


def move(conn: Connection, holders: Collection[UUID]) -> None:
    """Receipts that some members hold are now with whoever those are that they were sold to."""
    conn.execute(
        """
        UPDATE points_receipt
        SET holder = member_root(member_id)
        WHERE holder = ANY(%s) AND holder <> member_root(member_id)
        """,
        (list(holders),),
    )


def family(conn: Connection, member_id: UUID) -> set[UUID]:
    """A member and all who were merged into it."""
    return {row[0] for row in conn.execute("SELECT member_family(%s)", (member_id,)).fetchall()}


def release(conn: Connection, member_id: UUID) -> None:
    """Receipts of a member who is no more are nobody's, and say no more what was bought."""
    conn.execute(
        "UPDATE points_receipt SET holder = NULL, member_id = NULL, lines = '[]' WHERE holder = %s", (member_id,)
    )


def owed_moved(conn: Connection, gone: UUID) -> int:
    """How much of what a member owed was moved to others by merges, less what came back."""
    row = conn.execute(
        """
        SELECT coalesce(sum(m.points), 0)
        FROM points_entry e
        JOIN points_movement m USING (entry_id)
        WHERE e.member_id = %s AND e.kind = 'merge' AND m.lot_id = 0
        """,
        (gone,),
    ).fetchone()
    return 0 if row is None else int(row[0])


# -- rules


def rules_rows(conn: Connection) -> list[RulesRow]:
    """All versions, newest first."""
    return rulebook_repository.rules_rows(conn, "points_rules")


def rules_versions(conn: Connection) -> list[tuple[datetime, int, Rules]]:
    """All versions, to choose the one in force from."""
    return [(row.valid_from, row.version, read(row.body)) for row in rules_rows(conn)]
