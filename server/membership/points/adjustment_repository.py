"""SQL of adjustments that wait for a second person."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.points.models import AdjustmentRequest, KeyTaken
from server.storage.pool import Connection

_REQUEST: LiteralString = """
    SELECT q.request_id, q.member_id, q.points, q.store_id, q.reason, q.key, q.requested_by, q.requested_at, q.decision,
           q.decided_by, q.decided_at, q.decision_reason, q.entry_id
    FROM points_request q
"""
_SEEN: LiteralString = """
    EXISTS (
        SELECT FROM member m
        WHERE m.member_id = member_root(q.member_id) AND m.erased_at IS NULL
          AND (%(scope)s::text[] IS NULL
               OR m.home_store = ANY(%(scope)s)
               OR EXISTS (SELECT FROM receipt r
                          WHERE r.member_id IN (SELECT member_family(m.member_id)) AND r.store_id = ANY(%(scope)s)))
    )
"""


def insert(
    conn: Connection,
    member_id: UUID,
    points: int,
    store_id: str | None,
    reason: str,
    key: str,
    content: bytes,
    requested_by: str,
    at: datetime,
) -> AdjustmentRequest:
    """Keep a request.

    Raises:
        KeyTaken: another request has the key.
    """
    row = conn.execute(
        """
        INSERT INTO points_request (member_id, points, store_id, reason, key, content, requested_by, requested_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (key) DO NOTHING
        RETURNING request_id
        """,
        (member_id, points, store_id, reason, key, content, requested_by, at),
    ).fetchone()
    if row is None:
        raise KeyTaken(key)
    return AdjustmentRequest(
        row[0], member_id, points, store_id, reason, key, requested_by, at, None, None, None, None, None
    )


def by_key(conn: Connection, key: str) -> tuple[AdjustmentRequest, bytes] | None:
    """The request under a key, and the digest of what was asked for."""
    with conn.cursor(row_factory=class_row(AdjustmentRequest)) as cursor:
        found = cursor.execute(_REQUEST + "WHERE q.key = %s", (key,)).fetchone()
    return None if found is None else (found, _content(conn, found.request_id))


def lock(conn: Connection, scope: Scope, request_id: int) -> tuple[AdjustmentRequest, bytes] | None:
    """A request about a member the scope may know of, held until the transaction ends, and its digest."""
    with conn.cursor(row_factory=class_row(AdjustmentRequest)) as cursor:
        found = cursor.execute(
            _REQUEST + "WHERE q.request_id = %(request_id)s AND " + _SEEN + "FOR UPDATE OF q",
            {"request_id": request_id, "scope": scope.store_ids},
        ).fetchone()
    return None if found is None else (found, _content(conn, request_id))


def _content(conn: Connection, request_id: int) -> bytes:
    row = conn.execute("SELECT content FROM points_request WHERE request_id = %s", (request_id,)).fetchone()
    assert row is not None, "it was found a moment ago in the same transaction"  # noqa: S101
    return bytes(row[0])


def requests(conn: Connection, scope: Scope, *, decided: bool, limit: int) -> list[AdjustmentRequest]:
    """Requests about members the scope may know of: those that wait, oldest first, or those decided, newest first."""
    which: LiteralString = "WHERE q.decision IS NOT NULL AND " if decided else "WHERE q.decision IS NULL AND "
    order: LiteralString = "ORDER BY q.decided_at DESC" if decided else "ORDER BY q.requested_at"
    with conn.cursor(row_factory=class_row(AdjustmentRequest)) as cursor:
        return cursor.execute(
            _REQUEST + which + _SEEN + order + ", q.request_id LIMIT %(limit)s",
            {"scope": scope.store_ids, "limit": limit},
        ).fetchall()


def decide(
    conn: Connection,
    request_id: int,
    decision: str,
    decided_by: str,
    at: datetime,
    reason: str | None,
    entry_id: int | None,
) -> None:
    """Write down what was decided."""
    conn.execute(
        """
        UPDATE points_request
        SET decision = %s, decided_by = %s, decided_at = %s, decision_reason = %s, entry_id = %s
        WHERE request_id = %s
        """,
        (decision, decided_by, at, reason, entry_id, request_id),
    )


def adjusted_since(conn: Connection, member_id: UUID, actor: str, since: datetime) -> int:
    """How many points somebody adjusted alone of a member since a moment, up and down taken together."""
    row = conn.execute(
        """
        SELECT coalesce(sum(abs(e.points)), 0)
        FROM points_entry e
        WHERE e.member_id = %s AND e.kind = 'adjust' AND e.actor = %s AND e.at > %s
          AND NOT EXISTS (SELECT FROM points_request q WHERE q.member_id = e.member_id AND q.entry_id = e.entry_id)
        """,
        (member_id, actor, since),
    ).fetchone()
    return 0 if row is None else int(row[0])
