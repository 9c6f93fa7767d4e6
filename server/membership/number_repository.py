"""SQL of numbers that change hands.

It works on the very row that holds a number, also where that row was merged into another: a number is proved by a code,
wherever its holder's home is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Holder:
    """A row that holds a number."""

    member_id: UUID
    home_store: str


def holders(conn: Connection, tokens: Sequence[bytes]) -> list[Holder]:
    """Rows that hold a number, under any key, locked."""
    with conn.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(
            """
            SELECT member_id, home_store
            FROM member
            WHERE member_id IN (
                SELECT member_id FROM member_token WHERE kind = 'phone' AND token = ANY(%s::bytea[]))
            ORDER BY member_id
            FOR UPDATE
            """,
            (list(tokens),),
        ).fetchall()


def keep_old(
    conn: Connection, member_id: UUID, now: datetime, why: Literal["changed", "reassigned"], to: UUID | None, actor: str
) -> None:
    """Keep the number a member has now among those of before, as it is: encrypted."""
    conn.execute(
        """
        INSERT INTO member_phone (member_id, phone_enc, key_id, until_at, why, went_to, changed_by)
        SELECT member_id, phone_enc, key_id, %s, %s, %s, %s
        FROM member
        WHERE member_id = %s AND phone_enc IS NOT NULL
        """,
        (now, why, to, actor, member_id),
    )


def release(conn: Connection, member_id: UUID) -> None:
    """Let a member be found by no number any more."""
    conn.execute("DELETE FROM member_token WHERE member_id = %s AND kind IN ('phone', 'last4')", (member_id,))


def clear_phone(conn: Connection, member_id: UUID, now: datetime) -> None:
    """A member without a number."""
    conn.execute(
        "UPDATE member SET phone_enc = NULL, phone_verified_at = NULL, changed_at = %s WHERE member_id = %s",
        (now, member_id),
    )
