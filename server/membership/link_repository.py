"""SQL of the pages that open without signing in: whoever has the address may look. It is kept as a hash."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Link:
    """A page's address, without what stands in it. Times in UTC; `revoked_at` None opens."""

    link_id: UUID
    made_by: str
    made_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    last_seen_at: datetime | None


def insert(conn: Connection, link_id: UUID, member_id: UUID, token_hash: bytes, by: str, at: datetime) -> None:
    """Open a page."""
    conn.execute(
        "INSERT INTO member_link (link_id, member_id, token_hash, made_by, made_at) VALUES (%s, %s, %s, %s, %s)",
        (link_id, member_id, token_hash, by, at),
    )


def card_of(conn: Connection, token_hash: bytes) -> str | None:
    """The card number behind an address that opens; of somebody who was merged, that of the member who was kept."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT m.card_no
            FROM member_link l
            JOIN member m ON m.member_id = member_root(l.member_id)
            WHERE l.token_hash = %s AND l.revoked_at IS NULL AND m.erased_at IS NULL
            """,
            (token_hash,),
        ).fetchone()


def touch(conn: Connection, token_hash: bytes, at: datetime, older_than: datetime) -> None:
    """Note that a page was looked at, unless that was noted lately."""
    conn.execute(
        """
        UPDATE member_link SET last_seen_at = %s
        WHERE token_hash = %s AND (last_seen_at IS NULL OR last_seen_at < %s)
        """,
        (at, token_hash, older_than),
    )


def links(conn: Connection, scope: Scope, member_id: UUID) -> list[Link]:
    """A member's pages, the newest first."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Link)) as cursor:
        return cursor.execute(
            """
            SELECT link_id, made_by, made_at, revoked_by, revoked_at, last_seen_at
            FROM member_link
            WHERE member_id = ANY(ARRAY(SELECT member_family(%s)))
            ORDER BY made_at DESC, link_id
            """,
            (member_id,),
        ).fetchall()


def revoke(conn: Connection, scope: Scope, member_id: UUID, link_id: UUID | None, at: datetime) -> int:
    """Close one of a member's pages, or (None) all; how many were open."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    return conn.execute(
        """
        UPDATE member_link SET revoked_by = %(by)s, revoked_at = %(at)s
        WHERE member_id = ANY(ARRAY(SELECT member_family(%(member_id)s))) AND revoked_at IS NULL
          AND (%(link_id)s::uuid IS NULL OR link_id = %(link_id)s)
        """,
        {"by": scope.actor, "at": at, "member_id": member_id, "link_id": link_id},
    ).rowcount
