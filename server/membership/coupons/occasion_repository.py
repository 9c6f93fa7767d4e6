"""SQL of the occasions that a night looks for: birthdays, and members who have not been seen for long.

Chain-wide, by a job and on nobody's asking: whoever calls has the system's scope.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Born:
    """A member's birthday, encrypted, and what day it is where the member's home is."""

    member_id: UUID
    key_id: str
    birthday_enc: bytes
    today: date


@dataclass(frozen=True, slots=True)
class Missed:
    """A member and when they were last seen, in any store."""

    member_id: UUID
    last_seen: datetime


def born(conn: Connection, scope: Scope, after: UUID | None, now: datetime, limit: int) -> list[Born]:
    """Members with a birthday, by id, after one of them."""
    scope.require_role("system")
    with conn.cursor(row_factory=class_row(Born)) as cursor:
        return cursor.execute(
            """
            SELECT m.member_id, m.key_id, m.birthday_enc,
                   (%(now)s AT TIME ZONE coalesce(
                       (SELECT c.timezone FROM store_calendar c WHERE c.store_id = m.home_store
                        ORDER BY c.valid_from DESC LIMIT 1), 'UTC'))::date AS today
            FROM member m
            WHERE m.birthday_enc IS NOT NULL AND m.erased_at IS NULL AND m.merged_into IS NULL
              AND (%(after)s::uuid IS NULL OR m.member_id > %(after)s)
            ORDER BY m.member_id
            LIMIT %(limit)s
            """,
            {"after": after, "now": now, "limit": limit},
        ).fetchall()


def missed(
    conn: Connection, scope: Scope, definition_id: int, before: datetime, after: UUID | None, limit: int
) -> tuple[list[Missed], UUID | None]:
    """Who of the next members by id was seen, and not since a moment; not who got this definition's coupon for it.

    A part of the members is looked at in each call, every one by their own few rows of the indexes: to group all that
    the chain ever sold takes longer than a statement may, for each part anew.

    Args:
        limit: so many members are looked at.

    Returns:
        those, and the last member who was looked at; None when there was nobody left.
    """
    scope.require_role("system")
    rows = conn.execute(
        """
        SELECT p.member_id, s.last_seen,
               s.last_seen < %(before)s AND NOT EXISTS (
                   SELECT FROM coupon c
                   WHERE c.definition_id = %(definition)s AND c.member_id = p.member_id AND c.issued_at > s.last_seen)
        FROM (
            SELECT member_id FROM member
            WHERE erased_at IS NULL AND merged_into IS NULL AND (%(after)s::uuid IS NULL OR member_id > %(after)s)
            ORDER BY member_id
            LIMIT %(limit)s
        ) AS p
        CROSS JOIN LATERAL (
            SELECT max(greatest(
                       (SELECT r.at FROM receipt r
                        WHERE r.member_id = f.member_id AND r.kind = 'sale' AND r.channel IN ('till', 'pickup')
                          AND r.voided_at IS NULL
                        ORDER BY r.at DESC LIMIT 1),
                       (SELECT max(i.at) FROM check_in i WHERE i.member_id = f.member_id))) AS last_seen
            FROM member_family(p.member_id) AS f (member_id)
        ) AS s
        ORDER BY p.member_id
        """,
        {"before": before, "after": after, "definition": definition_id, "limit": limit},
    ).fetchall()
    return [Missed(row[0], row[1]) for row in rows if row[2]], rows[-1][0] if rows else None


def roots(conn: Connection, scope: Scope, members: Sequence[UUID]) -> dict[UUID, UUID]:
    """Whom each id means today; those erased are left out."""
    scope.require_role("system")
    rows = conn.execute(
        """
        SELECT m.member_id, r.member_id
        FROM member m
        JOIN member r ON r.member_id = member_root(m.member_id)
        WHERE m.member_id = ANY(%s) AND r.erased_at IS NULL
        """,
        (list(members),),
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def with_coupons(conn: Connection, scope: Scope, sales: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the sales (store and number) on which a coupon was redeemed and stands."""
    rows = conn.execute(
        """
        SELECT DISTINCT r.store_id, r.receipt_no
        FROM unnest(%(stores)s::text[], %(numbers)s::text[]) AS s (store_id, receipt_no)
        JOIN coupon_redemption r USING (store_id, receipt_no)
        WHERE r.undone_at IS NULL AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
        """,
        {
            "stores": [store_id for store_id, _ in sales],
            "numbers": [number for _, number in sales],
            "scope": scope.store_ids,
        },
    ).fetchall()
    return {(store_id, number) for store_id, number in rows}
