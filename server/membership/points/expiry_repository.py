"""SQL of what time does to lots, for thousands of members in one statement.

A member's account is held before anything of it is read, as everywhere; members are taken in the order of their ids,
some at a time, so that no desk waits for longer than one batch. Whoever owes something is left to `Purse`, which
knows what pays what.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import scalar_row

from server.storage.pool import Connection

_RELEASING: LiteralString = "l.is_pending AND l.remaining > 0 AND l.available_at <= %(now)s"
_EXPIRING: LiteralString = "NOT l.is_pending AND l.remaining > 0 AND l.expires_at <= %(now)s"


def due(conn: Connection, now: datetime) -> list[UUID]:
    """Members with a lot to be released or to expire, by id."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT member_id FROM points_lot l WHERE "  # noqa: S608 - constants
            + _RELEASING
            + " UNION SELECT member_id FROM points_lot l WHERE "
            + _EXPIRING
            + " ORDER BY member_id",
            {"now": now},
        ).fetchall()


def hold(conn: Connection, members: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Hold accounts; ids of those that owe nothing, and of those that owe.

    From here to the end of the transaction rows are joined by looking each of them up. A batch is a large part of a
    chain of fifty thousand members, and the database would rather read through all accounts and all lots for it; by
    the time it is a small part, ten batches have done so, and each member of twice as many has cost more.
    """
    conn.execute("SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)")
    found = conn.execute(
        """
        SELECT member_id, owed > 0 FROM points_account
        WHERE member_id = ANY(%s)
        ORDER BY member_id
        FOR UPDATE
        """,
        (list(members),),
    ).fetchall()
    return [member for member, owes in found if not owes], [member for member, owes in found if owes]


def release(conn: Connection, members: Sequence[UUID], now: datetime, actor: str) -> int:
    """Let held members who owe nothing spend what was pending and is due; how many lots."""
    return _move(conn, _RELEASE, members, now, actor)


def expire(conn: Connection, members: Sequence[UUID], now: datetime, actor: str) -> int:
    """Take what has expired from held members; how many lots."""
    return _move(conn, _EXPIRE, members, now, actor)


def _move(conn: Connection, query: LiteralString, members: Sequence[UUID], now: datetime, actor: str) -> int:
    row = conn.execute(query, {"members": list(members), "now": now, "actor": actor}).fetchone()
    return 0 if row is None else int(row[0])


#: Parts of one statement see the same moment, so each balance is worked out from the account as it was, and what each
#: entry leaves is a running sum over the member's lots in their turn.
_REST: LiteralString = """
    entries AS (
        INSERT INTO points_entry (entry_id, member_id, kind, points, pending, balance, at, key, content, store_id,
                                  receipt_no, actor)
        SELECT n.entry_id, n.member_id, n.kind, n.points, n.pending,
               a.balance + sum(n.points) OVER (PARTITION BY n.member_id ORDER BY n.entry_id), %(now)s,
               n.kind || ':' || n.lot_id, '', n.store_id, n.receipt_no, %(actor)s
        FROM numbered n
        JOIN points_account a USING (member_id)
        ORDER BY n.entry_id
    ), movements AS (
        INSERT INTO points_movement (entry_id, lot_id, points, pending)
        SELECT n.entry_id, n.lot_id, n.points, n.pending FROM numbered n
    ), accounts AS (
        UPDATE points_account AS a
        SET balance = a.balance + s.points, pending = a.pending + s.pending, changed_at = %(now)s
        FROM (SELECT member_id, sum(points) AS points, sum(pending) AS pending FROM numbered GROUP BY member_id) s
        WHERE a.member_id = s.member_id
    )
    SELECT count(*) FROM numbered
"""
#: The lots of held members, looked up member by member; what is due of them is asked outside, where no index helps.
#: With that inside, the database may look for each member through all lots of everybody that are due: a night then
#: takes four times as long for twice the members.
_HELD: LiteralString = """
        SELECT l.*
        FROM unnest(%(members)s::uuid[]) AS held (member_id)
        CROSS JOIN LATERAL (
            SELECT l.lot_id, l.member_id, l.store_id, l.receipt_no, l.remaining, l.expires_at, l.earned_at,
                   l.available_at, l.is_pending
            FROM points_lot l
            WHERE l.member_id = held.member_id AND l.remaining > 0
            OFFSET 0
        ) l
        WHERE """
_RELEASE: LiteralString = (
    """
    WITH moved AS ("""  # noqa: S608 - constants
    + _HELD
    + _RELEASING
    + """
        ORDER BY l.member_id, l.lot_id
    ), numbered AS MATERIALIZED (
        SELECT nextval('points_entry_number') AS entry_id, 'release' AS kind, m.lot_id, m.member_id, m.store_id,
               m.receipt_no, m.remaining AS points, -m.remaining AS pending
        FROM moved m
    ), lots AS (
        UPDATE points_lot AS l SET is_pending = false FROM numbered n WHERE l.lot_id = n.lot_id
    ), """
    + _REST
)
_EXPIRE: LiteralString = (
    """
    WITH moved AS ("""  # noqa: S608 - constants
    + _HELD
    + _EXPIRING
    + """
        ORDER BY l.member_id, l.expires_at, l.earned_at, l.lot_id
    ), numbered AS MATERIALIZED (
        SELECT nextval('points_entry_number') AS entry_id, 'expire' AS kind, m.lot_id, m.member_id, m.store_id,
               m.receipt_no, -m.remaining AS points, 0::bigint AS pending
        FROM moved m
    ), lots AS (
        UPDATE points_lot AS l
        SET remaining = 0, lapsed = l.lapsed - n.points
        FROM numbered n
        WHERE l.lot_id = n.lot_id
    ), """
    + _REST
)
