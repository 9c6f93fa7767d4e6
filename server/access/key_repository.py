"""SQL of API keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from server.access.models import ApiKey
from server.storage.pool import Connection

_KEY: LiteralString = "key_id, name, role, store_ids, created_at, expires_at, last_used_at, revoked_at, rights, follows"


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A key's stored secret."""

    secret_hash: bytes


def insert(conn: Connection, key: ApiKey, secret_hash: bytes) -> None:
    """Add a key."""
    conn.execute(
        """
        INSERT INTO api_key (key_id, secret_hash, name, role, store_ids, created_at, expires_at, rights, follows)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            key.key_id,
            secret_hash,
            key.name,
            key.role,
            key.store_ids,
            key.created_at,
            key.expires_at,
            key.rights,
            key.follows,
        ),
    )


def find(conn: Connection, key_id: str) -> ApiKey | None:
    """One key, ended or not."""
    with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            f"SELECT {_KEY} FROM api_key WHERE key_id = %s",  # noqa: S608 - constant
            (key_id,),
        ).fetchone()


def lock(conn: Connection, key_id: str) -> ApiKey | None:
    """One key, which stays as it is until this transaction ends."""
    with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            f"SELECT {_KEY} FROM api_key WHERE key_id = %s FOR UPDATE",  # noqa: S608 - constant
            (key_id,),
        ).fetchone()


def keys(conn: Connection) -> list[ApiKey]:
    """All keys, newest first."""
    with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            f"SELECT {_KEY} FROM api_key ORDER BY created_at DESC, key_id"  # noqa: S608 - constant
        ).fetchall()


def secret(conn: Connection, key_id: str) -> KeySecret | None:
    """The stored hash of a key's secret."""
    with conn.cursor(row_factory=class_row(KeySecret)) as cursor:
        return cursor.execute("SELECT secret_hash FROM api_key WHERE key_id = %s", (key_id,)).fetchone()


def touch(conn: Connection, key_id: str, now: datetime) -> None:
    """Note that a key was used."""
    conn.execute("UPDATE api_key SET last_used_at = %s WHERE key_id = %s", (now, key_id))


def end_at(conn: Connection, key_id: str, moment: datetime) -> None:
    """Let a key end at a moment, unless it ends sooner."""
    conn.execute("UPDATE api_key SET expires_at = least(expires_at, %s) WHERE key_id = %s", (moment, key_id))


def revoke(conn: Connection, key_id: str, now: datetime) -> bool:
    """End a key; False when there is none or it has ended already."""
    return (
        conn.execute(
            "UPDATE api_key SET revoked_at = %s WHERE key_id = %s AND revoked_at IS NULL", (now, key_id)
        ).rowcount
        == 1
    )
