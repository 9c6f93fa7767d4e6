"""SQL of merging: one pointer, the record of who set it, and members who look alike."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Merge:
    """One member merged into another; `undone_at` None is in force. Times in UTC."""

    merge_id: int
    kept: UUID
    gone: UUID
    reason: str
    merged_by: str
    merged_at: datetime
    undone_by: str | None
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a row stands, locked."""

    member_id: UUID
    home_store: str
    merged_into: UUID | None
    erased_at: datetime | None


def lock_all(conn: Connection, scope: Scope, members: list[UUID]) -> dict[UUID, Standing]:
    """Let nobody else change these members until this transaction ends; in the order of ids, so that none deadlock."""
    scope.require_role("admin", "hq", "region", "manager")
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        rows = cursor.execute(
            """
            SELECT member_id, home_store, merged_into, erased_at
            FROM member
            WHERE member_id = ANY(%s::uuid[])
            ORDER BY member_id
            FOR UPDATE
            """,
            (members,),
        ).fetchall()
    return {row.member_id: row for row in rows}


def point(conn: Connection, scope: Scope, gone: UUID, into: UUID | None, at: datetime) -> None:
    """Merge a member into another, or (None) part it again."""
    scope.require_role("admin", "hq", "region", "manager")
    conn.execute(
        "UPDATE member SET merged_into = %s, changed_at = %s WHERE member_id = %s",
        (into, at, gone),
    )


def insert(conn: Connection, kept: UUID, gone: UUID, reason: str, by: str, at: datetime) -> int:
    """Put a merge on record; its number."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        number = cursor.execute(
            """
            INSERT INTO member_merge (kept, gone, reason, merged_by, merged_at)
            VALUES (%s, %s, %s, %s, %s)
            RETURNING merge_id
            """,
            (kept, gone, reason, by, at),
        ).fetchone()
    assert isinstance(number, int), "an insert answers"  # noqa: S101
    return number


def undo(conn: Connection, scope: Scope, merge_id: int, at: datetime) -> Merge | None:
    """Put on record that a merge is undone; None when there is none in force by that number."""
    with conn.cursor(row_factory=class_row(Merge)) as cursor:
        return cursor.execute(
            """
            UPDATE member_merge SET undone_by = %s, undone_at = %s
            WHERE merge_id = %s AND undone_at IS NULL
            RETURNING merge_id, kept, gone, reason, merged_by, merged_at, undone_by, undone_at
            """,
            (scope.actor, at, merge_id),
        ).fetchone()


def seen_on_days_of_both(conn: Connection, scope: Scope, kept: UUID, gone: UUID) -> list[tuple[str, datetime]]:
    """Store and time (UTC) of what shows one of two members in a store about when the other was there, too.

    On such days they are two visitors apart and one as one; on no other day does it matter who they are. To be asked
    while they are two. Two days are more than a business day is long, wherever it begins.
    """
    scope.require_role("admin", "hq", "region", "manager")
    rows = conn.execute(
        """
        WITH sign AS (
            SELECT f.is_gone, s.store_id, s.at
            FROM (
                SELECT member_family(%(gone)s) AS member_id, true AS is_gone
                UNION ALL SELECT member_family(%(kept)s), false
            ) AS f
            CROSS JOIN LATERAL (
                SELECT store_id, at FROM check_in WHERE member_id = f.member_id
                UNION ALL
                SELECT store_id, at FROM receipt WHERE member_id = f.member_id AND kind = 'sale' AND voided_at IS NULL
            ) AS s
        )
        SELECT DISTINCT g.store_id, g.at
        FROM sign g
        JOIN sign k ON k.store_id = g.store_id AND k.at BETWEEN g.at - interval '2 days' AND g.at + interval '2 days'
        WHERE g.is_gone AND NOT k.is_gone
        """,
        {"kept": kept, "gone": gone},
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def merges(conn: Connection, scope: Scope, member_id: UUID) -> list[Merge]:
    """Every merge a member or one of the family was part of, the newest first."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Merge)) as cursor:
        return cursor.execute(
            """
            SELECT merge_id, kept, gone, reason, merged_by, merged_at, undone_by, undone_at
            FROM member_merge
            WHERE kept = ANY(ARRAY(SELECT member_family(%(id)s))) OR gone = ANY(ARRAY(SELECT member_family(%(id)s)))
            ORDER BY merge_id DESC
            """,
            {"id": member_id},
        ).fetchall()


def twins(conn: Connection, scope: Scope, limit: int) -> list[list[UUID]]:
    """Groups of members of one name and birthday, one of them at least of the scope's stores, the newest first.

    Pairs of which somebody said that they are two people don't make a group. Read from the index of tokens by kind: one
    row a member with a birthday.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            WITH alike AS (
                SELECT t.token, array_agg(m.member_id ORDER BY m.enrolled_at, m.member_id) AS ids,
                       max(m.enrolled_at) AS newest,
                       bool_or(%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s)) AS is_ours
                FROM member_token t
                JOIN member m USING (member_id)
                WHERE t.kind = 'twin' AND m.erased_at IS NULL AND m.merged_into IS NULL
                GROUP BY t.token
                HAVING count(*) > 1
            )
            SELECT ids
            FROM alike
            WHERE is_ours AND EXISTS (
                SELECT FROM unnest(ids) AS a (id), unnest(ids) AS b (id)
                WHERE a.id < b.id AND NOT EXISTS (
                    SELECT FROM member_not_twin n WHERE n.one = a.id AND n.other = b.id))
            ORDER BY newest DESC
            LIMIT %(limit)s
            """,
            {"scope": scope.store_ids, "limit": limit},
        ).fetchall()


def twins_of(conn: Connection, scope: Scope, member_id: UUID, limit: int) -> list[UUID]:
    """Others of a member's name and birthday who live or bought in the scope's stores and are not said to be two."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT m.member_id
            FROM member m
            JOIN member_token t USING (member_id)
            WHERE t.kind = 'twin' AND m.erased_at IS NULL AND m.merged_into IS NULL AND m.member_id <> %(id)s
              AND t.token IN (SELECT token FROM member_token WHERE member_id = %(id)s AND kind = 'twin')
              AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s) OR EXISTS (
                SELECT FROM receipt r WHERE r.member_id = m.member_id AND r.store_id = ANY(%(scope)s)))
              AND NOT EXISTS (
                SELECT FROM member_not_twin n
                WHERE n.one = least(m.member_id, %(id)s) AND n.other = greatest(m.member_id, %(id)s))
            ORDER BY m.enrolled_at, m.member_id
            LIMIT %(limit)s
            """,
            {"id": member_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def part(conn: Connection, one: UUID, other: UUID, said_by: str, at: datetime) -> None:
    """Two who look alike are two; said twice is said once."""
    conn.execute(
        """
        INSERT INTO member_not_twin (one, other, said_by, said_at)
        VALUES (least(%(one)s, %(other)s), greatest(%(one)s, %(other)s), %(by)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        {"one": one, "other": other, "by": said_by, "at": at},
    )
