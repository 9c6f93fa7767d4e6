"""SQL of who looks after members: advisors, who served them, and tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Advised:
    """Who looked after a member, and from when until when (UTC); `until_at` None is today's."""

    advisor: str
    from_at: datetime
    until_at: datetime | None
    assigned_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """One of the staff who served a member: receipts rung up, the newest of them (UTC), and whether they advised."""

    staff: str
    receipts: int
    last_at: datetime | None
    advised: bool


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag and how many members of the caller's stores have it."""

    tag: str
    members: int


def insert_advisor(
    conn: Connection, member_id: UUID, advisor: str, assigned_by: str, at: datetime, reason: str
) -> None:
    """Begin to look after a member whom nobody looks after."""
    conn.execute(
        """
        INSERT INTO member_advisor (member_id, advisor, from_at, assigned_by, reason)
        VALUES (%s, %s, %s, %s, %s)
        """,
        (member_id, advisor, at, assigned_by, reason),
    )


def assign(
    conn: Connection, scope: Scope, members: Sequence[UUID], advisor: str, at: datetime, reason: str
) -> list[UUID]:
    """Let somebody look after members from now on, or (empty) nobody; those whom it changed anything for."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        changed = cursor.execute(
            """
            UPDATE member
            SET advisor = %(advisor)s, changed_at = %(at)s
            WHERE member_id = ANY(%(members)s::uuid[]) AND advisor <> %(advisor)s
              AND erased_at IS NULL AND merged_into IS NULL
              AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
            RETURNING member_id
            """,
            {"members": list(members), "advisor": advisor, "at": at, "scope": scope.store_ids},
        ).fetchall()
    conn.execute(
        """
        UPDATE member_advisor SET until_at = greatest(from_at, %s)
        WHERE member_id = ANY(%s::uuid[]) AND until_at IS NULL
        """,
        (at, changed),
    )
    if advisor:
        conn.execute(
            """
            INSERT INTO member_advisor (member_id, advisor, from_at, assigned_by, reason)
            SELECT id, %s, %s, %s, %s FROM unnest(%s::uuid[]) AS id
            """,
            (advisor, at, scope.actor, reason, changed),
        )
    return list(changed)


def advised_by(conn: Connection, scope: Scope, advisor: str, store_id: str | None, limit: int) -> list[UUID]:
    """Members of the scope's stores whom somebody looks after."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT member_id
            FROM member
            WHERE advisor = %(advisor)s AND erased_at IS NULL AND merged_into IS NULL
              AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
              AND (%(store_id)s::text IS NULL OR home_store = %(store_id)s)
            ORDER BY member_id
            LIMIT %(limit)s
            """,
            {"advisor": advisor, "scope": scope.store_ids, "store_id": store_id, "limit": limit},
        ).fetchall()


def advisors(conn: Connection, scope: Scope, member_id: UUID) -> list[Advised]:
    """Who looks after a member, and who did, the newest first; of whoever was merged into the member, too."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Advised)) as cursor:
        return cursor.execute(
            """
            SELECT advisor, from_at, until_at, assigned_by, reason
            FROM member_advisor
            WHERE member_id = ANY(ARRAY(SELECT member_family(%s)))
            ORDER BY from_at DESC, advisor_id DESC
            """,
            (member_id,),
        ).fetchall()


def served_by(conn: Connection, scope: Scope, member_id: UUID) -> list[Served]:
    """Everybody of the staff who rang up a receipt of a member in the scope's stores, or looked after the member."""
    with conn.cursor(row_factory=class_row(Served)) as cursor:
        return cursor.execute(
            """
            WITH family AS (SELECT ARRAY(SELECT member_family(%(member_id)s)) AS ids),
            sold AS (
                SELECT r.cashier AS staff, count(*) AS receipts, max(r.at) AS last_at
                FROM receipt r, family
                WHERE r.member_id = ANY(family.ids) AND r.cashier <> '' AND r.kind = 'sale' AND r.voided_at IS NULL
                  AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
                GROUP BY r.cashier
            ),
            advised AS (
                SELECT DISTINCT a.advisor AS staff FROM member_advisor a, family WHERE a.member_id = ANY(family.ids)
            )
            SELECT staff, coalesce(sold.receipts, 0) AS receipts, sold.last_at,
                   staff IN (SELECT staff FROM advised) AS advised
            FROM sold
            FULL JOIN advised USING (staff)
            ORDER BY receipts DESC, staff
            """,
            {"member_id": member_id, "scope": scope.store_ids},
        ).fetchall()


def add_tags(conn: Connection, member_id: UUID, tags: Sequence[str], tagged_by: str, at: datetime) -> None:
    """Tag a member; a tag that is there stays as it is."""
    conn.execute(
        """
        INSERT INTO member_tag (member_id, tag, tagged_by, tagged_at)
        SELECT %s, tag, %s, %s FROM unnest(%s::text[]) AS tag
        ON CONFLICT DO NOTHING
        """,
        (member_id, tagged_by, at, list(tags)),
    )


def drop_tags(conn: Connection, scope: Scope, member_id: UUID, tags: Sequence[str]) -> None:
    """Take tags off a member, and off whoever was merged into the member."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    conn.execute(
        """
        DELETE FROM member_tag
        WHERE member_id = ANY(ARRAY(SELECT member_family(%s))) AND tag = ANY(%s::text[])
        """,
        (member_id, list(tags)),
    )


def tags(conn: Connection, scope: Scope, limit: int) -> list[TagCount]:
    """The tags of members of the scope's stores, those of most members first."""
    with conn.cursor(row_factory=class_row(TagCount)) as cursor:
        return cursor.execute(
            """
            SELECT t.tag, count(DISTINCT t.member_id) AS members
            FROM member_tag t
            JOIN member m USING (member_id)
            WHERE m.erased_at IS NULL AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
            GROUP BY t.tag
            ORDER BY members DESC, t.tag
            LIMIT %(limit)s
            """,
            {"scope": scope.store_ids, "limit": limit},
        ).fetchall()
