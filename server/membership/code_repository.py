"""SQL of one-time codes. They belong to a number and to no store, and none of it can be read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.storage.locks import LockSpace
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Asked:
    """How often codes were asked for lately: for a number, and by one person.

    Attributes:
        last_at: when the newest for the number was made.
        oldest_at: of those of the last hour for the number, when the oldest was made.
    """

    last_at: datetime | None
    oldest_at: datetime | None
    of_hour: int
    of_day: int
    by_person: int


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A code that may still be tried."""

    code_id: UUID
    phone_token: bytes
    code_hash: bytes
    key_id: str
    attempts: int


def lock_requests(conn: Connection, phone_token: bytes, actor: str) -> None:
    """Let codes for one number, and by one person, be asked for one after the other, until this transaction ends."""
    conn.execute(
        """
        SELECT pg_advisory_xact_lock(%s, number)
        FROM (SELECT DISTINCT hashtext(name) AS number FROM unnest(%s::text[]) AS name ORDER BY 1) AS locks
        """,
        (LockSpace.MEMBER_CODES, [phone_token.hex(), actor]),
    )


def asked(
    conn: Connection, tokens: Sequence[bytes], actor: str, hour_ago: datetime, day_ago: datetime, now: datetime
) -> Asked:
    """How often codes were asked for since an hour and a day ago."""
    with conn.cursor(row_factory=class_row(Asked)) as cursor:
        found = cursor.execute(
            """
            SELECT max(made_at) AS last_at,
                   min(made_at) FILTER (WHERE made_at > %(hour_ago)s) AS oldest_at,
                   count(*) FILTER (WHERE made_at > %(hour_ago)s) AS of_hour,
                   count(*) AS of_day,
                   (SELECT count(*) FROM member_code
                    WHERE requested_by = %(actor)s AND made_at > %(hour_ago)s AND made_at <= %(now)s) AS by_person
            FROM member_code
            WHERE phone_token = ANY(%(tokens)s::bytea[]) AND made_at > %(day_ago)s AND made_at <= %(now)s
            """,
            {"tokens": list(tokens), "actor": actor, "hour_ago": hour_ago, "day_ago": day_ago, "now": now},
        ).fetchone()
    assert found is not None, "an aggregate always answers"  # noqa: S101
    return found


def insert(conn: Connection, row: CodeRow, requested_by: str, made_at: datetime, expires_at: datetime) -> None:
    """Keep a code; the earlier ones of the number can't be used any more."""
    conn.execute(
        "UPDATE member_code SET expires_at = %s WHERE phone_token = %s AND expires_at > %s AND used_at IS NULL",
        (made_at, row.phone_token, made_at),
    )
    conn.execute(
        """
        INSERT INTO member_code (code_id, phone_token, code_hash, key_id, requested_by, made_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (row.code_id, row.phone_token, row.code_hash, row.key_id, requested_by, made_at, expires_at),
    )


def count_attempt(conn: Connection, code_id: UUID, most: int, now: datetime) -> CodeRow | None:
    """Count one more attempt at a code, before it is looked at; None when it can't be tried any more."""
    with conn.cursor(row_factory=class_row(CodeRow)) as cursor:
        return cursor.execute(
            """
            UPDATE member_code
            SET attempts = attempts + 1
            WHERE code_id = %s AND attempts < %s AND used_at IS NULL AND expires_at > %s
            RETURNING code_id, phone_token, code_hash, key_id, attempts
            """,
            (code_id, most, now),
        ).fetchone()


def use(conn: Connection, code_id: UUID, now: datetime) -> bool:
    """Use a code up; False when somebody did a moment ago."""
    return (
        conn.execute(
            "UPDATE member_code SET used_at = %s WHERE code_id = %s AND used_at IS NULL", (now, code_id)
        ).rowcount
        == 1
    )


def expire(conn: Connection, code_id: UUID, now: datetime) -> None:
    """Void a code that never reached anybody."""
    conn.execute("UPDATE member_code SET expires_at = %s WHERE code_id = %s", (now, code_id))


def purge(conn: Connection, before: datetime) -> int:
    """Delete codes that were made before; how many."""
    return conn.execute("DELETE FROM member_code WHERE made_at < %s", (before,)).rowcount
