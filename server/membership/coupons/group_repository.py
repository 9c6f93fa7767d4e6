"""SQL of coupons as headquarters sees them: how many of each became what, and whom a group has in it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.membership.coupons.models import Group, Tally
from server.storage.pool import Connection


def tallies(conn: Connection, scope: Scope, now: datetime) -> Sequence[Tally]:
    """What became of the coupons of each definition; what is open and over is expired before the night says so."""
    scope.require_whole_chain()
    with conn.cursor(row_factory=class_row(Tally)) as cursor:
        return cursor.execute(
            """
            SELECT definition_id, count(*)::int AS issued,
                   count(*) FILTER (WHERE state = 'open' AND valid_until > %(now)s)::int AS open,
                   count(*) FILTER (WHERE state = 'redeemed')::int AS redeemed,
                   count(*) FILTER (
                       WHERE state = 'expired' OR state = 'open' AND valid_until <= %(now)s)::int AS expired,
                   count(*) FILTER (WHERE state = 'voided')::int AS voided
            FROM coupon GROUP BY definition_id
            """,
            {"now": now},
        ).fetchall()


def members(conn: Connection, scope: Scope, group: Group, after: UUID | None, limit: int) -> list[UUID]:
    """Members of a group by id, after one of them; who was merged or erased is in none."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT m.member_id
            FROM member m LEFT JOIN member_value v USING (member_id)
            WHERE m.erased_at IS NULL AND m.merged_into IS NULL
              AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
              AND (%(after)s::uuid IS NULL OR m.member_id > %(after)s)
              AND (%(tier)s::text IS NULL OR m.tier = %(tier)s)
              AND (%(store)s::text IS NULL OR m.home_store = %(store)s)
              AND (%(stage)s::text IS NULL OR v.stage = %(stage)s)
              AND (NOT %(high)s OR v.high)
            ORDER BY m.member_id LIMIT %(limit)s
            """,
            {
                "scope": scope.store_ids,
                "after": after,
                "tier": group.tier,
                "store": group.store_id,
                "stage": group.stage,
                "high": group.high,
                "limit": limit,
            },
        ).fetchall()
