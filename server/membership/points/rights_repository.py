"""SQL of what points keep of one person: read out, and removed. Whoever asked was found to be allowed to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from server.membership.points.bookings import Lot
from server.membership.points.models import AdjustmentRequest, Entry
from server.storage.pool import Connection


def entries(conn: Connection, members: Sequence[UUID]) -> list[Entry]:
    """All entries, oldest first."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            """
            SELECT e.entry_id, e.member_id, e.kind, e.points, e.pending, e.balance, e.at, e.key, e.store_id,
                   e.receipt_no, e.refers_to, e.actor, r.reason
            FROM points_entry e
            LEFT JOIN points_reason r USING (entry_id)
            WHERE e.member_id = ANY(%s)
            ORDER BY e.entry_id
            """,
            (list(members),),
        ).fetchall()


def lots(conn: Connection, members: Sequence[UUID]) -> list[Lot]:
    """Lots with something in them, oldest first."""
    with conn.cursor(row_factory=class_row(Lot)) as cursor:
        return cursor.execute(
            """
            SELECT lot_id, root_lot, member_id, earned_by, store_id, receipt_no, earned_at, available_at, expires_at,
                   points, remaining, lapsed, is_pending
            FROM points_lot
            WHERE member_id = ANY(%s) AND remaining > 0
            ORDER BY lot_id
            """,
            (list(members),),
        ).fetchall()


def requests(conn: Connection, members: Sequence[UUID]) -> list[AdjustmentRequest]:
    """All requests, oldest first."""
    with conn.cursor(row_factory=class_row(AdjustmentRequest)) as cursor:
        return cursor.execute(
            """
            SELECT request_id, member_id, points, store_id, reason, key, requested_by, requested_at, decision,
                   decided_by, decided_at, decision_reason, entry_id
            FROM points_request
            WHERE member_id = ANY(%s)
            ORDER BY request_id
            """,
            (list(members),),
        ).fetchall()


def count_entries(conn: Connection, members: Sequence[UUID]) -> int:
    """How many entries there are."""
    return _count(conn, "SELECT count(*) FROM points_entry WHERE member_id = ANY(%s)", members)


def delete_reasons(conn: Connection, members: Sequence[UUID]) -> int:
    """Delete what people typed; how much it was."""
    return conn.execute(
        "DELETE FROM points_reason r USING points_entry e WHERE e.entry_id = r.entry_id AND e.member_id = ANY(%s)",
        (list(members),),
    ).rowcount


def delete_requests(conn: Connection, members: Sequence[UUID]) -> int:
    """Delete requests for adjustments; how many."""
    return conn.execute("DELETE FROM points_request WHERE member_id = ANY(%s)", (list(members),)).rowcount


def forget_receipts(conn: Connection, members: Sequence[UUID]) -> int:
    """Let receipts be nobody's, and say no more what was bought; how many."""
    return conn.execute(
        """
        UPDATE points_receipt
        SET holder = NULL, member_id = NULL, lines = '[]'
        WHERE holder = ANY(%(members)s) OR member_id = ANY(%(members)s)
        """,
        {"members": list(members)},
    ).rowcount


def left(conn: Connection, members: Sequence[UUID]) -> dict[str, int]:
    """What there still is of what should be gone."""
    return {
        "reasons": _count(
            conn,
            "SELECT count(*) FROM points_reason JOIN points_entry USING (entry_id) WHERE member_id = ANY(%s)",
            members,
        ),
        "requests": _count(conn, "SELECT count(*) FROM points_request WHERE member_id = ANY(%s)", members),
        "receipts": _count(conn, "SELECT count(*) FROM points_receipt WHERE holder = ANY(%s)", members),
    }


def _count(conn: Connection, query: LiteralString, members: Sequence[UUID]) -> int:
    row = conn.execute(query, (list(members),)).fetchone()
    return 0 if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the entries of some members sum to, and how many there are; but for those that gave points up."""

    points: int
    pending: int
    entries: int


def ledger(conn: Connection, members: Sequence[UUID]) -> Ledger:
    """What the ledger says; it only reads."""
    with conn.cursor(row_factory=class_row(Ledger)) as cursor:
        found = cursor.execute(
            """
            SELECT coalesce(sum(points), 0)::bigint AS points, coalesce(sum(pending), 0)::bigint AS pending,
                   count(*) AS entries
            FROM points_entry
            WHERE member_id = ANY(%s) AND kind <> 'forfeit'
            """,
            (list(members),),
        ).fetchone()
    assert found is not None, "an aggregate always answers"  # noqa: S101
    return found


def keep_still(conn: Connection, members: Sequence[UUID]) -> None:
    """Let nobody add to these members' accounts until the transaction ends."""
    conn.execute("SELECT FROM points_account WHERE member_id = ANY(%s) ORDER BY member_id FOR UPDATE", (list(members),))
