"""SQL of the whole ledger: what is outstanding, and whether the three ways of adding it up agree.

Both look at every lot or entry there is, by design: they are for the night and for the books, never for a desk.
"""

from datetime import date, datetime
from typing import LiteralString

from psycopg.rows import kwargs_row

from server.membership.points.models import Difference
from server.storage.pool import Connection

#: Age in years, month of expiry, pending or not, members, points.
OutstandingRow = tuple[int, date | None, bool, int, int]


def outstanding(conn: Connection, at: datetime) -> list[OutstandingRow]:
    """Points in lots: by age in whole years at a moment, month they expire in, and whether they are pending."""
    return conn.execute(
        """
        SELECT greatest(0, extract(year FROM age(%(at)s, earned_at)))::integer AS age,
               date_trunc('month', expires_at, 'UTC')::date AS expires,
               is_pending,
               count(DISTINCT member_id),
               sum(remaining)::bigint
        FROM points_lot
        WHERE remaining > 0
        GROUP BY 1, 2, 3
        ORDER BY 1, 2 NULLS LAST, 3
        """,
        {"at": at},
    ).fetchall()


def outstanding_at(conn: Connection, at: datetime) -> list[OutstandingRow]:
    """As `outstanding`, of a moment that is over: added up from the movements until then."""
    return conn.execute(
        """
        SELECT greatest(0, extract(year FROM age(%(at)s, l.earned_at)))::integer AS age,
               date_trunc('month', l.expires_at, 'UTC')::date AS expires,
               was.pending > 0 AS is_pending,
               count(DISTINCT l.member_id),
               sum(was.points + was.pending)::bigint
        FROM points_lot l
        JOIN (
            SELECT m.lot_id, sum(m.points) AS points, sum(m.pending) AS pending
            FROM points_movement m
            JOIN points_entry e USING (entry_id)
            WHERE e.at <= %(at)s
            GROUP BY m.lot_id
            HAVING sum(m.points + m.pending) > 0
        ) was USING (lot_id)
        GROUP BY 1, 2, 3
        ORDER BY 1, 2 NULLS LAST, 3
        """,
        {"at": at},
    ).fetchall()


def owed_at(conn: Connection, at: datetime) -> int:
    """What members owed at a moment."""
    row = conn.execute(
        """
        SELECT coalesce(-sum(m.points), 0)::bigint
        FROM points_movement m
        JOIN points_entry e USING (entry_id)
        WHERE m.lot_id = 0 AND e.at <= %s
        """,
        (at,),
    ).fetchone()
    return 0 if row is None else int(row[0])


def owed(conn: Connection) -> int:
    """What members owe."""
    row = conn.execute("SELECT coalesce(sum(owed), 0)::bigint FROM points_account WHERE owed > 0").fetchone()
    return 0 if row is None else int(row[0])


def _difference(what: str, subject: object, has: int, should: int) -> Difference:
    return Difference(what, str(subject), int(has), int(should))


def _differences(conn: Connection, query: LiteralString, limit: int) -> list[Difference]:
    with conn.cursor(row_factory=kwargs_row(_difference)) as cursor:
        return cursor.execute(query + " LIMIT %s", (limit,)).fetchall()


def balances_off(conn: Connection, limit: int) -> list[Difference]:
    """Accounts whose balance or pending points are not what their entries add up to."""
    return _differences(
        conn,
        """
        SELECT v.what, coalesce(a.member_id, s.member_id) AS subject, v.has, v.should
        FROM points_account a
        FULL JOIN (
            SELECT member_id, sum(points) AS points, sum(pending) AS pending FROM points_entry GROUP BY member_id
        ) s USING (member_id)
        CROSS JOIN LATERAL (VALUES
            ('balance and ledger', coalesce(a.balance, 0), coalesce(s.points, 0)),
            ('pending and ledger', coalesce(a.pending, 0), coalesce(s.pending, 0))
        ) AS v (what, has, should)
        WHERE v.has <> v.should
        """,
        limit,
    )


def lots_off(conn: Connection, limit: int) -> list[Difference]:
    """Accounts whose sums are not what their lots hold, less what is owed; or that owe although they have lots."""
    return _differences(
        conn,
        """
        SELECT v.what, coalesce(a.member_id, s.member_id) AS subject, v.has, v.should
        FROM points_account a
        FULL JOIN (
            SELECT member_id,
                   sum(remaining) FILTER (WHERE NOT is_pending) AS open,
                   sum(remaining) FILTER (WHERE is_pending) AS pending
            FROM points_lot
            WHERE remaining > 0
            GROUP BY member_id
        ) s USING (member_id)
        CROSS JOIN LATERAL (VALUES
            ('balance and lots', coalesce(a.balance, 0), coalesce(s.open, 0) - coalesce(a.owed, 0)),
            ('pending and lots', coalesce(a.pending, 0), coalesce(s.pending, 0)),
            ('owed although there are lots', CASE WHEN a.owed > 0 THEN coalesce(s.open, 0) ELSE 0 END, 0)
        ) AS v (what, has, should)
        WHERE v.has <> v.should
        """,
        limit,
    )


def movements_off(conn: Connection, limit: int) -> list[Difference]:
    """Lots and entries that are not what their movements add up to."""
    return _differences(
        conn,
        """
        SELECT v.what, coalesce(l.lot_id, s.lot_id) AS subject, v.has, v.should
        FROM points_lot l
        FULL JOIN (
            SELECT lot_id, sum(points + pending) AS moved FROM points_movement WHERE lot_id <> 0 GROUP BY lot_id
        ) s USING (lot_id)
        CROSS JOIN LATERAL (VALUES ('lot and movements', coalesce(l.remaining, 0), coalesce(s.moved, 0)))
             AS v (what, has, should)
        WHERE v.has <> v.should
        """,
        limit,
    ) + _differences(
        conn,
        """
        SELECT v.what, e.entry_id AS subject, v.has, v.should
        FROM points_entry e
        LEFT JOIN (
            SELECT entry_id, sum(points) AS points, sum(pending) AS pending FROM points_movement GROUP BY entry_id
        ) s USING (entry_id)
        CROSS JOIN LATERAL (VALUES
            ('entry and movements', e.points, coalesce(s.points, 0)),
            ('pending of entry and movements', e.pending, coalesce(s.pending, 0))
        ) AS v (what, has, should)
        WHERE v.has <> v.should
        """,
        limit,
    )


def running_off(conn: Connection, limit: int) -> list[Difference]:
    """Entries whose balance is not that of the entry before and their own points."""
    return _differences(
        conn,
        """
        SELECT 'running balance' AS what, entry_id AS subject, balance AS has, should
        FROM (
            SELECT entry_id, balance, sum(points) OVER (PARTITION BY member_id ORDER BY entry_id) AS should
            FROM points_entry
        ) AS run
        WHERE balance <> should
        """,
        limit,
    )


def receipts_off(conn: Connection, limit: int) -> list[Difference]:
    """Receipts of which the ledger has another sum than what stands of them."""
    return _differences(
        conn,
        """
        SELECT 'receipt and ledger' AS what, r.store_id || '/' || r.receipt_no AS subject,
               coalesce(s.points, 0) AS has, r.standing AS should
        FROM points_receipt r
        JOIN (
            SELECT e.store_id, e.receipt_no, sum(e.points + e.pending - m.absorbed) AS points
            FROM points_entry e
            JOIN (SELECT entry_id, sum(absorbed) AS absorbed FROM points_movement GROUP BY entry_id) m USING (entry_id)
            WHERE e.actor = 'receipts' AND e.kind IN ('earn', 'reverse', 'restore')
            GROUP BY e.store_id, e.receipt_no
        ) s USING (store_id, receipt_no)
        WHERE r.holder IS NOT NULL AND coalesce(s.points, 0) <> r.standing
        """,
        limit,
    )
