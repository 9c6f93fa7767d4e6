"""What becomes of points when their member is erased: they are given up, within the erasure.

The trap is to give them up later, when the event of the erasure is followed: by then the receipt that says what the
books said is signed, and no proof of it can ever hold again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.membership.points import repository
from server.membership.points.bookings import Why
from server.storage.pool import Connection


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


def give_up(conn: Connection, members: Sequence[UUID], at: datetime, actor: str) -> None:
    """Empty the accounts of members who are no more; what is owed is let go as well.

    Nothing is settled before: a lot that expires today is given up like the others, so the ledger gets one entry a
    member and no more.
    """
    for member_id, purse in repository.hold(conn, members).items():
        repository.load_lots(conn, [purse])
        if purse.balance or purse.pending or purse.owed or purse.lots:
            purse.empty(Why("forfeit", f"erasure:{member_id}", at, actor))
            repository.write(conn, [purse])
