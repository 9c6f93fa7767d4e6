"""SQL of users, of what they sign in with, and of failed sign-ins."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from server.access.lockout import Failures
from server.access.models import Locale, User, UserRole
from server.storage.locks import LockSpace
from server.storage.pool import Connection

_USER: LiteralString = """
    u.user_id::text, u.username, u.display_name, u.role, u.locale, u.created_at, u.disabled_at,
    u.totp_since IS NOT NULL AS has_totp, u.must_change, u.identity IS NOT NULL AS is_external,
    ARRAY(SELECT s.store_id FROM user_store s WHERE s.user_id = u.user_id ORDER BY s.store_id) AS stores
"""


@dataclass(frozen=True, slots=True)
class UserSecret:
    """What a sign-in needs: the user and the password's hash, and until when a temporary one is taken."""

    user_id: str
    password_hash: str
    password_until: datetime | None


@dataclass(frozen=True, slots=True)
class TotpRow:
    """A user's secret of one-time codes, encrypted; in use unless `since` is None. `step` was the last one taken."""

    user_id: str
    secret: bytes
    since: datetime | None
    step: int


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
    """The hash to check a password against; None for unknown and disabled users, and those who sign in elsewhere."""
    with conn.cursor(row_factory=class_row(UserSecret)) as cursor:
        return cursor.execute(
            """
            SELECT user_id::text, password_hash, password_until
            FROM app_user
            WHERE username = %s AND disabled_at IS NULL AND identity IS NULL
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
    """Keep the same password under another hash."""
    conn.execute("UPDATE app_user SET password_hash = %s WHERE user_id = %s::uuid", (password_hash, user_id))


def set_password(conn: Connection, user_id: str, password_hash: str, temporary_until: datetime | None = None) -> None:
    """Replace a password, by a temporary one when it says until when."""
    conn.execute(
        """
        UPDATE app_user
        SET password_hash = %(hash)s, must_change = %(until)s::timestamptz IS NOT NULL, password_until = %(until)s
        WHERE user_id = %(user_id)s::uuid
        """,
        {"hash": password_hash, "until": temporary_until, "user_id": user_id},
    )


def set_locale(conn: Connection, user_id: str, locale: Locale) -> None:
    """Change a user's language."""
    conn.execute("UPDATE app_user SET locale = %s WHERE user_id = %s::uuid", (locale, user_id))


def disable_user(conn: Connection, user_id: str, at: datetime) -> None:
    """Bar a user from signing in."""
    conn.execute("UPDATE app_user SET disabled_at = %s WHERE user_id = %s::uuid", (at, user_id))


def enable_user(conn: Connection, user_id: str) -> None:
    """Let a user sign in again."""
    conn.execute("UPDATE app_user SET disabled_at = NULL WHERE user_id = %s::uuid", (user_id,))


def change_user(conn: Connection, user_id: str, display_name: str, role: UserRole, locale: Locale) -> None:
    """Give a user another name, role or language."""
    conn.execute(
        "UPDATE app_user SET display_name = %s, role = %s, locale = %s WHERE user_id = %s::uuid",
        (display_name, role, locale, user_id),
    )


def remove_user_stores(conn: Connection, user_id: str) -> None:
    """Take all stores from a user."""
    conn.execute("DELETE FROM user_store WHERE user_id = %s::uuid", (user_id,))


def lock_administrators(conn: Connection) -> list[str]:
    """Ids of all enabled administrators, who stay so until this transaction ends."""
    rows = conn.execute(
        "SELECT user_id::text FROM app_user WHERE role = 'admin' AND disabled_at IS NULL ORDER BY user_id FOR UPDATE"
    ).fetchall()
    return [str(row[0]) for row in rows]


def insert_external(
    conn: Connection, identity: str, username: str, display_name: str, role: UserRole, locale: Locale
) -> str | None:
    """Add a user who signs in through the identity provider; None when the name is taken."""
    row = conn.execute(
        """
        INSERT INTO app_user (identity, username, display_name, password_hash, role, locale)
        VALUES (%s, %s, %s, '', %s, %s)
        ON CONFLICT (username) DO NOTHING
        RETURNING user_id::text
        """,
        (identity, username, display_name, role, locale),
    ).fetchone()
    return None if row is None else str(row[0])


def lock_external(conn: Connection, identity: str) -> User | None:
    """The user of an identity, disabled or not, who stays as they are until this transaction ends."""
    with conn.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(
            f"SELECT {_USER} FROM app_user u WHERE u.identity = %s FOR UPDATE",  # noqa: S608 - constant
            (identity,),
        ).fetchone()


def totp(conn: Connection, user_id: str) -> TotpRow | None:
    """A user's secret of one-time codes, held until this transaction ends; None when there is none."""
    with conn.cursor(row_factory=class_row(TotpRow)) as cursor:
        return cursor.execute(
            """
            SELECT user_id::text, totp_secret AS secret, totp_since AS since, totp_step AS step
            FROM app_user
            WHERE user_id = %s::uuid AND totp_secret IS NOT NULL
            FOR UPDATE
            """,
            (user_id,),
        ).fetchone()


def totps(conn: Connection) -> list[TotpRow]:
    """Every secret of one-time codes, held until this transaction ends."""
    with conn.cursor(row_factory=class_row(TotpRow)) as cursor:
        return cursor.execute(
            """
            SELECT user_id::text, totp_secret AS secret, totp_since AS since, totp_step AS step
            FROM app_user
            WHERE totp_secret IS NOT NULL
            ORDER BY user_id
            FOR UPDATE
            """
        ).fetchall()


def set_totp(conn: Connection, user_id: str, secret: bytes | None, since: datetime | None, step: int) -> None:
    """Write down a secret of one-time codes and the last step taken; None for no secret."""
    conn.execute(
        "UPDATE app_user SET totp_secret = %s, totp_since = %s, totp_step = %s WHERE user_id = %s::uuid",
        (secret, since, step, user_id),
    )


def replace_recovery_codes(conn: Connection, user_id: str, hashes: list[bytes]) -> None:
    """Give a user other recovery codes; none ends them."""
    conn.execute("DELETE FROM recovery_code WHERE user_id = %s::uuid", (user_id,))
    conn.execute(
        "INSERT INTO recovery_code (user_id, code_hash) SELECT %s::uuid, unnest(%s::bytea[])", (user_id, hashes)
    )


def use_recovery_code(conn: Connection, user_id: str, code_hash: bytes, now: datetime) -> bool:
    """Take a recovery code, once; False when it isn't one, or was taken before."""
    return (
        conn.execute(
            """
            UPDATE recovery_code SET used_at = %s
            WHERE user_id = %s::uuid AND code_hash = %s AND used_at IS NULL
            """,
            (now, user_id, code_hash),
        ).rowcount
        == 1
    )


def recovery_codes_left(conn: Connection, user_id: str) -> int:
    """How many recovery codes a user has not used."""
    row = conn.execute(
        "SELECT count(*) FROM recovery_code WHERE user_id = %s::uuid AND used_at IS NULL", (user_id,)
    ).fetchone()
    return int(row[0]) if row else 0


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
