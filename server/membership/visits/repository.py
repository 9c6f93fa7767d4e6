"""SQL of visits. What belongs to a member who was merged into another is read through the other."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.visits.models import CheckIn, Seen
from server.storage.pool import Connection


def insert(conn: Connection, scope: Scope, made: CheckIn) -> bool:
    """Keep a check-in; False when one with this id was kept before, or there is no such member or store."""
    done = conn.execute(
        """
        INSERT INTO check_in (check_in_id, member_id, store_id, at, how, made_by)
        SELECT %(id)s, m.member_id, s.store_id, %(at)s, %(how)s, %(by)s
        FROM member AS m
        JOIN store AS s ON s.store_id = %(store)s AND (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
        WHERE m.member_id = %(member)s AND m.erased_at IS NULL
        ON CONFLICT (check_in_id) DO NOTHING
        """,
        {
            "id": made.check_in_id,
            "member": made.member_id,
            "store": made.store_id,
            "at": made.at,
            "how": made.how,
            "by": made.by,
            "scope": scope.store_ids,
        },
    )
    return done.rowcount == 1


def check_in(conn: Connection, scope: Scope, check_in_id: UUID) -> CheckIn | None:
    """A check-in by its id."""
    with conn.cursor(row_factory=class_row(CheckIn)) as cursor:
        return cursor.execute(
            """
            SELECT check_in_id, member_id, store_id, at, how, made_by AS by FROM check_in
            WHERE check_in_id = %(id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"id": check_in_id, "scope": scope.store_ids},
        ).fetchone()


def seen(conn: Connection, scope: Scope, member_id: UUID, first: datetime, last: datetime, limit: int) -> list[Seen]:
    """Signs of a member in the scope's stores from one moment to another (excluded), newest first."""
    with conn.cursor(row_factory=class_row(Seen)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, at, 'check_in' AS how FROM check_in
            WHERE member_id = ANY(ARRAY(SELECT member_family(%(member)s))) AND at >= %(first)s AND at < %(last)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            UNION ALL
            SELECT store_id, at, channel FROM receipt
            WHERE member_id = ANY(ARRAY(SELECT member_family(%(member)s))) AND at >= %(first)s AND at < %(last)s
              AND kind = 'sale' AND channel IN ('till', 'pickup') AND voided_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY at DESC
            LIMIT %(limit)s
            """,
            {"member": member_id, "first": first, "last": last, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def check_ins_of(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[tuple[str, datetime, str]]:
    """Store, time and way of every check-in of these members in the scope's stores, oldest first."""
    return conn.execute(
        """
        SELECT store_id, at, how FROM check_in
        WHERE member_id = ANY(%(members)s) AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s)) ORDER BY at
        """,
        {"members": list(members), "scope": scope.store_ids},
    ).fetchall()
