"""SQL of users, sessions, API keys and failed sign-ins."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from server.access.lockout import Failures
from server.access.models import ApiKey, Locale, User, UserRole
from server.storage.locks import LockSpace
from server.storage.pool import Connection

_USER: LiteralString = """
    u.user_id::text, u.username, u.display_name, u.role, u.locale, u.created_at, u.disabled_at,
    ARRAY(SELECT s.store_id FROM user_store s WHERE s.user_id = u.user_id ORDER BY s.store_id) AS stores
"""


@dataclass(frozen=True, slots=True)
class UserSecret:
    """What a sign-in needs: the user and the password's hash."""

    user_id: str
    password_hash: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as stored."""

    user_id: str
    csrf_token: str
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A key's stored secret."""

    secret_hash: bytes


def insert_user(
    conn: Connection, username: str, display_name: str, password_hash: str, role: UserRole, locale: Locale
) -> str | None:
    """Add a user; None when the name is taken."""
    row = conn.execute(
        """
        INSERT INTO app_user (username, display_name, password_hash, role, locale)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (username) DO NOTHING
        RETURNING user_id::text
        """,
        (username, display_name, password_hash, role, locale),
    ).fetchone()
    return None if row is None else str(row[0])


def add_user_stores(conn: Connection, user_id: str, store_ids: list[str]) -> None:
    """Give a user stores."""
    conn.execute("INSERT INTO user_store (user_id, store_id) SELECT %s, unnest(%s::text[])", (user_id, store_ids))


def unknown_stores(conn: Connection, store_ids: list[str]) -> list[str]:
    """Those of `store_ids` that don't exist."""
    rows = conn.execute(
        """
        SELECT wanted.store_id
        FROM unnest(%s::text[]) AS wanted (store_id)
        WHERE NOT EXISTS (SELECT FROM store s WHERE s.store_id = wanted.store_id)
        ORDER BY 1
        """,
        (store_ids,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def user_by_id(conn: Connection, user_id: str) -> User | None:
    """One user, disabled or not."""
    with conn.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(
            f"SELECT {_USER} FROM app_user u WHERE u.user_id = %s::uuid",  # noqa: S608 - constant
            (user_id,),
        ).fetchone()


def user_by_name(conn: Connection, username: str) -> User | None:
    """One user, disabled or not."""
    with conn.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(
            f"SELECT {_USER} FROM app_user u WHERE u.username = %s",  # noqa: S608 - constant
            (username,),
        ).fetchone()


def users(conn: Connection) -> list[User]:
    """All users by name."""
    with conn.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(
            f"SELECT {_USER} FROM app_user u ORDER BY u.username"  # noqa: S608 - constant
        ).fetchall()


def enabled_user_secret(conn: Connection, username: str) -> UserSecret | None:
    """The hash to check a password against; None for unknown and disabled users."""
    with conn.cursor(row_factory=class_row(UserSecret)) as cursor:
        return cursor.execute(
            """
            SELECT user_id::text, password_hash
            FROM app_user
            WHERE username = %s AND disabled_at IS NULL
            """,
            (username,),
        ).fetchone()


def lock_secret(conn: Connection, secret: UserSecret) -> bool:
    """Hold a user's password as it is until this transaction ends; False when it was changed, or the user disabled."""
    found = conn.execute(
        """
        SELECT FROM app_user
        WHERE user_id = %s::uuid AND password_hash = %s AND disabled_at IS NULL
        FOR UPDATE
        """,
        (secret.user_id, secret.password_hash),
    ).fetchone()
    return found is not None


def set_password_hash(conn: Connection, user_id: str, password_hash: str) -> None:
    """Replace a password."""
    conn.execute("UPDATE app_user SET password_hash = %s WHERE user_id = %s::uuid", (password_hash, user_id))


def set_locale(conn: Connection, user_id: str, locale: Locale) -> None:
    """Change a user's language."""
    conn.execute("UPDATE app_user SET locale = %s WHERE user_id = %s::uuid", (locale, user_id))


def disable_user(conn: Connection, user_id: str, at: datetime) -> None:
    """Bar a user from signing in."""
    conn.execute("UPDATE app_user SET disabled_at = %s WHERE user_id = %s::uuid", (at, user_id))


def lock_sign_ins(conn: Connection, username: str, address: str) -> None:
    """Let attempts on one account or from one address be counted one after the other, until this transaction ends.

    Locks are taken in the order of their numbers, so that two attempts that share both can't block each other.
    """
    conn.execute(
        """
        SELECT pg_advisory_xact_lock(%s, number)
        FROM (
            SELECT DISTINCT hashtext(name) AS number
            FROM unnest(%s::text[]) AS name
            ORDER BY 1
        ) AS locks
        """,
        (LockSpace.SIGN_IN, [f"user {username}", f"address {address}"]),
    )


def failures(conn: Connection, username: str, address: str, since: datetime) -> Failures:
    """Failed sign-ins of an account and an address since a time."""
    with conn.cursor(row_factory=class_row(Failures)) as cursor:
        found = cursor.execute(
            """
            SELECT count(*) FILTER (WHERE username = %(username)s AND address = %(address)s) AS of_pair,
                   count(*) FILTER (WHERE username = %(username)s) AS of_account,
                   count(*) FILTER (WHERE address = %(address)s) AS of_address,
                   max(at) FILTER (WHERE username = %(username)s AND address = %(address)s) AS last_of_pair,
                   max(at) FILTER (WHERE username = %(username)s) AS last_of_account,
                   max(at) FILTER (WHERE address = %(address)s) AS last_of_address
            FROM sign_in_failure
            WHERE (username = %(username)s OR address = %(address)s) AND at > %(since)s
            """,
            {"username": username, "address": address, "since": since},
        ).fetchone()
    assert found is not None, "an aggregate always answers"  # noqa: S101
    return found


def insert_failure(conn: Connection, username: str, address: str, at: datetime) -> None:
    """Note a failed sign-in."""
    conn.execute("INSERT INTO sign_in_failure (username, address, at) VALUES (%s, %s, %s)", (username, address, at))


def forget_failures(conn: Connection, username: str, address: str) -> None:
    """Forget an account's failures from one address, after it signed in there."""
    conn.execute("DELETE FROM sign_in_failure WHERE username = %s AND address = %s", (username, address))


def purge_failures(conn: Connection, before: datetime) -> int:
    """Delete failures that no longer count; returns how many."""
    return conn.execute("DELETE FROM sign_in_failure WHERE at < %s", (before,)).rowcount


def insert_session(
    conn: Connection, token_hash: bytes, user_id: str, csrf: str, now: datetime, expires_at: datetime, address: str
) -> None:
    """Open a session."""
    conn.execute(
        """
        INSERT INTO session (token_hash, user_id, csrf_token, created_at, last_seen_at, expires_at, address)
        VALUES (%(token_hash)s, %(user_id)s, %(csrf)s, %(now)s, %(now)s, %(expires_at)s, %(address)s)
        """,
        {
            "token_hash": token_hash,
            "user_id": user_id,
            "csrf": csrf,
            "now": now,
            "expires_at": expires_at,
            "address": address,
        },
    )


def session(conn: Connection, token_hash: bytes) -> SessionRow | None:
    """A session of a user who isn't disabled, ended or not."""
    with conn.cursor(row_factory=class_row(SessionRow)) as cursor:
        return cursor.execute(
            """
            SELECT s.user_id::text, s.csrf_token, s.last_seen_at, s.expires_at
            FROM session s
            JOIN app_user u USING (user_id)
            WHERE s.token_hash = %s AND u.disabled_at IS NULL
            """,
            (token_hash,),
        ).fetchone()


def touch_session(conn: Connection, token_hash: bytes, now: datetime) -> None:
    """Note that a session was used."""
    conn.execute("UPDATE session SET last_seen_at = %s WHERE token_hash = %s", (now, token_hash))


def delete_session(conn: Connection, token_hash: bytes) -> str | None:
    """End a session; returns its user's id, or None when there was none."""
    row = conn.execute("DELETE FROM session WHERE token_hash = %s RETURNING user_id::text", (token_hash,)).fetchone()
    return None if row is None else str(row[0])


def delete_sessions_of(conn: Connection, user_id: str) -> int:
    """End all sessions of a user; returns how many."""
    return conn.execute("DELETE FROM session WHERE user_id = %s::uuid", (user_id,)).rowcount


def purge_sessions(conn: Connection, now: datetime, idle_since: datetime) -> int:
    """Delete sessions that have ended; returns how many."""
    return conn.execute("DELETE FROM session WHERE expires_at <= %s OR last_seen_at <= %s", (now, idle_since)).rowcount


def insert_api_key(conn: Connection, key: ApiKey, secret_hash: bytes) -> None:
    """Add a key."""
    conn.execute(
        """
        INSERT INTO api_key (key_id, secret_hash, name, role, store_ids, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (key.key_id, secret_hash, key.name, key.role, key.store_ids, key.created_at, key.expires_at),
    )


_KEY: LiteralString = "key_id, name, role, store_ids, created_at, expires_at, last_used_at, revoked_at"


def api_key(conn: Connection, key_id: str) -> ApiKey | None:
    """One key, ended or not."""
    with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            f"SELECT {_KEY} FROM api_key WHERE key_id = %s",  # noqa: S608 - constant
            (key_id,),
        ).fetchone()


def api_keys(conn: Connection) -> list[ApiKey]:
    """All keys, newest first."""
    with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            f"SELECT {_KEY} FROM api_key ORDER BY created_at DESC, key_id"  # noqa: S608 - constant
        ).fetchall()


def api_key_secret(conn: Connection, key_id: str) -> KeySecret | None:
    """The stored hash of a key's secret."""
    with conn.cursor(row_factory=class_row(KeySecret)) as cursor:
        return cursor.execute("SELECT secret_hash FROM api_key WHERE key_id = %s", (key_id,)).fetchone()


def touch_api_key(conn: Connection, key_id: str, now: datetime) -> None:
    """Note that a key was used."""
    conn.execute("UPDATE api_key SET last_used_at = %s WHERE key_id = %s", (now, key_id))


def revoke_api_key(conn: Connection, key_id: str, now: datetime) -> bool:
    """End a key; False when there is none or it has ended already."""
    return (
        conn.execute(
            "UPDATE api_key SET revoked_at = %s WHERE key_id = %s AND revoked_at IS NULL", (now, key_id)
        ).rowcount
        == 1
    )
