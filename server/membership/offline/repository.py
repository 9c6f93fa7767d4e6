"""SQL of what desks wrote down without a network."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.offline.models import Kind, Outcome, SealedItem, Taken
from server.storage.pool import Connection

_TAKEN: LiteralString = """
    item_id, user_id, kind, made_at, taken_at, outcome, member_id, problem_field, problem, settled_at
"""


def begin(conn: Connection, scope: Scope, item: SealedItem, made_at: datetime, now: datetime) -> datetime | None:
    """Note that an item came; when it was made as first noted, or None when it is somebody else's."""
    row = conn.execute(
        """
        INSERT INTO desk_item (item_id, user_id, kind, made_at, first_sent_at, made_text, key_id, sealed)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (item_id) DO UPDATE SET item_id = excluded.item_id WHERE desk_item.user_id = excluded.user_id
        RETURNING made_at
        """,
        (item.item_id, scope.user_id, item.kind, made_at, now, item.made_at, item.key_id, item.sealed),
    ).fetchone()
    return None if row is None else row[0]


def insert_done(conn: Connection, scope: Scope, item_id: UUID, kind: Kind, member_id: UUID, at: datetime) -> None:
    """Keep that an item is done that never was in an envelope."""
    conn.execute(
        """
        INSERT INTO desk_item (item_id, user_id, kind, made_at, first_sent_at, made_text, key_id, taken_at, outcome,
                               member_id)
        VALUES (%(item_id)s, %(user)s, %(kind)s, %(at)s, %(at)s, '', '', %(at)s, 'done', %(member)s)
        ON CONFLICT (item_id) DO NOTHING
        """,
        {"item_id": item_id, "user": scope.user_id, "kind": kind, "at": at, "member": member_id},
    )


def taken(conn: Connection, scope: Scope, item_id: UUID) -> Taken | None:
    """What came of an item of one's own; None when nothing has yet."""
    with conn.cursor(row_factory=class_row(Taken)) as cursor:
        return cursor.execute(
            f"SELECT {_TAKEN} FROM desk_item WHERE item_id = %s AND user_id = %s AND taken_at IS NOT NULL",  # noqa: S608 - a constant of ours
            (item_id, scope.user_id),
        ).fetchone()


def end(
    conn: Connection,
    scope: Scope,
    item_id: UUID,
    at: datetime,
    outcome: Outcome,
    member_id: UUID | None,
    problem: tuple[str, str],
) -> bool:
    """Keep what came of an item, once; False when that is known. What is done needs its envelope no more."""
    done = conn.execute(
        """
        UPDATE desk_item
        SET taken_at = %(at)s, outcome = %(outcome)s, member_id = %(member)s,
            problem_field = %(field)s, problem = %(problem)s,
            sealed = CASE WHEN %(outcome)s = 'refused' THEN sealed END
        WHERE item_id = %(item_id)s AND user_id = %(user)s AND taken_at IS NULL
        """,
        {
            "at": at,
            "outcome": outcome,
            "member": member_id,
            "field": problem[0],
            "problem": problem[1],
            "item_id": item_id,
            "user": scope.user_id,
        },
    )
    return done.rowcount == 1


def waiting(conn: Connection, scope: Scope, limit: int) -> list[Taken]:
    """What somebody still has to look at of their own, oldest first."""
    with conn.cursor(row_factory=class_row(Taken)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_TAKEN} FROM desk_item
            WHERE user_id = %s AND outcome <> 'done' AND settled_at IS NULL
            ORDER BY made_at, item_id LIMIT %s
            """,  # noqa: S608 - a constant of ours
            (scope.user_id, limit),
        ).fetchall()


def envelope(conn: Connection, scope: Scope, item_id: UUID) -> SealedItem | None:
    """A refused item of somebody's own as it came; None when there is none, or it was settled."""
    row = conn.execute(
        """
        SELECT item_id, user_id, kind, made_text, key_id, sealed FROM desk_item
        WHERE item_id = %s AND user_id = %s AND sealed IS NOT NULL AND outcome = 'refused' AND settled_at IS NULL
        """,
        (item_id, scope.user_id),
    ).fetchone()
    return None if row is None else SealedItem(row[0], row[1], row[2], row[3], row[4], bytes(row[5]))


def settle(conn: Connection, scope: Scope, item_id: UUID, at: datetime, member_id: UUID | None) -> bool:
    """A person is done with an item; its envelope goes. False when it isn't theirs, or was settled."""
    done = conn.execute(
        """
        UPDATE desk_item
        SET settled_at = %s, sealed = NULL, member_id = coalesce(%s, member_id)
        WHERE item_id = %s AND user_id = %s AND outcome <> 'done' AND settled_at IS NULL
        """,
        (at, member_id, item_id, scope.user_id),
    )
    return done.rowcount == 1


def forget(conn: Connection, before: datetime) -> int:
    """Drop what was done or settled before a moment; how many."""
    return conn.execute(
        "DELETE FROM desk_item WHERE taken_at < %s AND (outcome = 'done' OR settled_at IS NOT NULL)", (before,)
    ).rowcount


def of_members(conn: Connection, members: Sequence[UUID]) -> int:
    """How many items name any of these members."""
    row = conn.execute("SELECT count(*) FROM desk_item WHERE member_id = ANY(%s)", (list(members),)).fetchone()
    return 0 if row is None else int(row[0])


def forget_members(conn: Connection, members: Sequence[UUID]) -> int:
    """Drop what names any of these members; how many."""
    return conn.execute("DELETE FROM desk_item WHERE member_id = ANY(%s)", (list(members),)).rowcount
