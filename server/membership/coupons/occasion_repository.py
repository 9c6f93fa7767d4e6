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
) -> list[Missed]:
    """Members who were seen, and not since a moment, by id; not those who got this definition's coupon for it.

    Only those who were merged are looked up one by one; all others are what their receipts say they are.
    """
    scope.require_role("system")
    with conn.cursor(row_factory=class_row(Missed)) as cursor:
        return cursor.execute(
            """
            WITH seen AS (
                SELECT member_id, max(at) AS at
                FROM (
                    SELECT member_id, at FROM receipt
                    WHERE member_id IS NOT NULL AND kind = 'sale' AND channel IN ('till', 'pickup')
                      AND voided_at IS NULL
                    UNION ALL
                    SELECT member_id, at FROM check_in
                ) sign
                GROUP BY member_id
            ), person AS (
                SELECT CASE WHEN m.merged_into IS NULL THEN m.member_id ELSE member_root(m.member_id) END AS member_id,
                       max(s.at) AS last_seen
                FROM seen s
                JOIN member m USING (member_id)
                WHERE m.erased_at IS NULL
                GROUP BY 1
            )
            SELECT member_id, last_seen
            FROM person p
            WHERE last_seen < %(before)s AND (%(after)s::uuid IS NULL OR member_id > %(after)s)
              AND NOT EXISTS (
                  SELECT FROM coupon c
                  WHERE c.definition_id = %(definition)s AND c.member_id = p.member_id AND c.issued_at > p.last_seen)
            ORDER BY member_id
            LIMIT %(limit)s
            """,
            {"before": before, "after": after, "definition": definition_id, "limit": limit},
        ).fetchall()


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
