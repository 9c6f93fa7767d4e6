"""SQL of sessions and of sign-ins on their way to an identity provider."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from server.access.models import SessionInfo, Stage
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as stored."""

    session_id: str
    user_id: str
    csrf_token: str
    last_seen_at: datetime
    expires_at: datetime
    stage: Stage


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be stored."""

    token_hash: bytes
    user_id: str
    csrf: str
    now: datetime
    expires_at: datetime
    address: str
    agent: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in on its way to the identity provider and back."""

    browser_hash: bytes
    nonce: str
    verifier: str
    way_back: str
    expires_at: datetime


def insert(conn: Connection, new: NewSession) -> str:
    """Open a session; returns its id."""
    row = conn.execute(
        """
        INSERT INTO session
            (token_hash, user_id, csrf_token, created_at, last_seen_at, expires_at, address, agent, stage)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING session_id::text
        """,
        (
            new.token_hash,
            new.user_id,
            new.csrf,
            new.now,
            new.now,
            new.expires_at,
            new.address,
            new.agent,
            new.stage,
        ),
    ).fetchone()
    return str(row[0]) if row else ""


def find(conn: Connection, token_hash: bytes) -> SessionRow | None:
    """A session of a user who isn't disabled, ended or not."""
    with conn.cursor(row_factory=class_row(SessionRow)) as cursor:
        return cursor.execute(
            """
            SELECT s.session_id::text, s.user_id::text, s.csrf_token, s.last_seen_at, s.expires_at, s.stage
            FROM session s
            JOIN app_user u USING (user_id)
            WHERE s.token_hash = %s AND u.disabled_at IS NULL
            """,
            (token_hash,),
        ).fetchone()


def touch(conn: Connection, token_hash: bytes, now: datetime) -> None:
    """Note that a session was used."""
    conn.execute("UPDATE session SET last_seen_at = %s WHERE token_hash = %s", (now, token_hash))


def delete(conn: Connection, token_hash: bytes) -> str | None:
    """End a session; returns its user's id, or None when there was none."""
    row = conn.execute("DELETE FROM session WHERE token_hash = %s RETURNING user_id::text", (token_hash,)).fetchone()
    return None if row is None else str(row[0])


def delete_of(conn: Connection, user_id: str, but: str | None = None) -> int:
    """End all sessions of a user, or all but one (its id); returns how many."""
    return conn.execute(
        "DELETE FROM session WHERE user_id = %s::uuid AND (%s::text IS NULL OR session_id::text <> %s)",
        (user_id, but, but),
    ).rowcount


def delete_one(conn: Connection, user_id: str, session_id: str) -> bool:
    """End one session of a user by its id; False when there is none."""
    return (
        conn.execute(
            "DELETE FROM session WHERE user_id = %s::uuid AND session_id::text = %s", (user_id, session_id)
        ).rowcount
        == 1
    )


def live(conn: Connection, user_id: str, now: datetime, idle_since: datetime) -> list[SessionInfo]:
    """A user's sessions that have not ended, the one used last first."""
    with conn.cursor(row_factory=class_row(SessionInfo)) as cursor:
        return cursor.execute(
            """
            SELECT s.session_id::text, u.username, s.created_at, s.last_seen_at, s.expires_at, s.address, s.agent
            FROM session s
            JOIN app_user u USING (user_id)
            WHERE s.user_id = %s::uuid AND s.stage = 'open' AND s.expires_at > %s AND s.last_seen_at > %s
            ORDER BY s.last_seen_at DESC, s.session_id
            """,
            (user_id, now, idle_since),
        ).fetchall()


def purge(conn: Connection, now: datetime, idle_since: datetime) -> int:
    """Delete sessions that have ended; returns how many."""
    return conn.execute("DELETE FROM session WHERE expires_at <= %s OR last_seen_at <= %s", (now, idle_since)).rowcount


def insert_attempt(conn: Connection, state_hash: bytes, attempt: Attempt) -> None:
    """Note a sign-in that left for the identity provider."""
    conn.execute(
        """
        INSERT INTO oidc_attempt (state_hash, browser_hash, nonce, verifier, way_back, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (state_hash, attempt.browser_hash, attempt.nonce, attempt.verifier, attempt.way_back, attempt.expires_at),
    )


def take_attempt(conn: Connection, state_hash: bytes) -> Attempt | None:
    """A sign-in that came back; it can't come back again."""
    with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(
            """
            DELETE FROM oidc_attempt WHERE state_hash = %s
            RETURNING browser_hash, nonce, verifier, way_back, expires_at
            """,
            (state_hash,),
        ).fetchone()


def purge_attempts(conn: Connection, now: datetime) -> int:
    """Delete sign-ins that never came back; returns how many."""
    return conn.execute("DELETE FROM oidc_attempt WHERE expires_at <= %s", (now,)).rowcount
