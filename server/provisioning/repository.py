"""SQL of boxes' certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.provisioning.authority import Ended, Issued
from server.provisioning.models import DeviceCertificate, EndReason
from server.storage.pool import Connection

_CERTIFICATE: LiteralString = """
    c.fingerprint, c.device_id, c.authority, c.serial, c.issued_at, c.not_after, c.first_seen_at, c.last_seen_at,
    c.overlaps_until, c.ended_at, c.end_reason
"""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A box, without its certificates."""

    device_id: str
    store_id: str
    revoked_at: datetime | None
    online: bool
    status_at: datetime | None
    has_password: bool
    twin_at: datetime | None
    skew_ms: int | None
    version: str
    pending: int | None
    lost: int
    problem: str
    cameras: list[str]


def lock_live_device(conn: Connection, scope: Scope, device_id: str) -> str | None:
    """Lock a live box against a second rotation at once; returns its store, or None when there is none."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT store_id
            FROM device
            WHERE device_id = %(device_id)s AND revoked_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            FOR UPDATE
            """,
            {"device_id": device_id, "scope": scope.store_ids},
        ).fetchone()


def take_back(conn: Connection, scope: Scope, device_id: str) -> str | None:
    """Make an ended box a live one again, without the password it may have had; its store, or None for no such box."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            UPDATE device
            SET revoked_at = NULL, secret_hash = ''
            WHERE device_id = %(device_id)s AND revoked_at IS NOT NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            RETURNING store_id
            """,
            {"device_id": device_id, "scope": scope.store_ids},
        ).fetchone()


def is_ended(conn: Connection, scope: Scope, device_id: str) -> bool:
    """Whether there was such a box and it was ended."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            """
            SELECT true
            FROM device
            WHERE device_id = %(device_id)s AND revoked_at IS NOT NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"device_id": device_id, "scope": scope.store_ids},
        ).fetchone()
    return found is not None


def move_device(conn: Connection, scope: Scope, device_id: str, store_id: str) -> bool:
    """Put a box into another store; False when it stands there already, or there is no live one."""
    return (
        conn.execute(
            """
            UPDATE device
            SET store_id = %(store_id)s
            WHERE device_id = %(device_id)s AND revoked_at IS NULL AND store_id <> %(store_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"device_id": device_id, "store_id": store_id, "scope": scope.store_ids},
        ).rowcount
        == 1
    )


def insert_certificate(conn: Connection, device_id: str, authority: str, issued: Issued, at: datetime) -> None:
    """Note what a box was given."""
    conn.execute(
        """
        INSERT INTO device_certificate (fingerprint, device_id, authority, serial, issued_at, not_after)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (issued.fingerprint, device_id, authority, issued.serial, at, issued.not_after),
    )


def overlap(conn: Connection, scope: Scope, device_id: str, until: datetime) -> int:
    """Let a box's certificates go on for a while beside the one about to come; those ending sooner end sooner."""
    return conn.execute(
        """
        UPDATE device_certificate AS c
        SET overlaps_until = LEAST(c.overlaps_until, %(until)s)
        FROM device AS d
        WHERE d.device_id = c.device_id AND c.device_id = %(device_id)s AND c.ended_at IS NULL
          AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
        """,
        {"device_id": device_id, "until": until, "scope": scope.store_ids},
    ).rowcount


def end_all(conn: Connection, scope: Scope, device_id: str, reason: EndReason, at: datetime) -> list[str]:
    """End all certificates of a box; returns their fingerprints."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            UPDATE device_certificate AS c
            SET ended_at = %(at)s, end_reason = %(reason)s
            FROM device AS d
            WHERE d.device_id = c.device_id AND c.device_id = %(device_id)s AND c.ended_at IS NULL
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            RETURNING c.fingerprint
            """,
            {"device_id": device_id, "at": at, "reason": reason, "scope": scope.store_ids},
        ).fetchall()


def end_due(conn: Connection, scope: Scope, at: datetime) -> list[DeviceCertificate]:
    """End what overlapped long enough, whose successor was seen, or whose box was ended elsewhere; and return it."""
    with conn.cursor(row_factory=class_row(DeviceCertificate)) as cursor:
        return cursor.execute(
            f"""
            UPDATE device_certificate AS c
            SET ended_at = %(at)s,
                end_reason = CASE WHEN d.revoked_at IS NULL THEN 'superseded' ELSE 'revoked' END
            FROM device AS d
            WHERE d.device_id = c.device_id AND c.ended_at IS NULL
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
              AND (d.revoked_at IS NOT NULL
                   OR c.overlaps_until <= %(at)s
                   OR (c.overlaps_until IS NOT NULL
                       AND EXISTS (SELECT FROM device_certificate AS newer
                                   WHERE newer.device_id = c.device_id AND newer.issued_at > c.issued_at
                                     AND newer.first_seen_at IS NOT NULL)))
            RETURNING {_CERTIFICATE}
            """,  # noqa: S608 - a constant of ours
            {"at": at, "scope": scope.store_ids},
        ).fetchall()


def ended(conn: Connection, authority: str, at: datetime) -> list[Ended]:
    """What a CA must list as revoked: ended and not yet expired. The whole chain's; a list with gaps would be none."""
    with conn.cursor(row_factory=class_row(Ended)) as cursor:
        return cursor.execute(
            """
            SELECT serial, ended_at AS at
            FROM device_certificate
            WHERE authority = %s AND ended_at IS NOT NULL AND not_after > %s
            ORDER BY ended_at, serial
            """,
            (authority, at),
        ).fetchall()


def devices(conn: Connection, scope: Scope, store_id: str | None) -> list[DeviceRow]:
    """Boxes of one store or of all, by store and name."""
    with conn.cursor(row_factory=class_row(DeviceRow)) as cursor:
        return cursor.execute(
            """
            SELECT device_id, store_id, revoked_at, coalesce((status ->> 'online')::boolean, false) AS online,
                   status_at, secret_hash <> '' AS has_password, twin_at, skew_ms,
                   coalesce(status ->> 'version', '') AS version,
                   CASE WHEN (status ->> 'online')::boolean THEN (status ->> 'pending')::bigint END AS pending,
                   coalesce((status ->> 'lost')::bigint, 0) AS lost, coalesce(status ->> 'problem', '') AS problem,
                   ARRAY(SELECT c ->> 'camera' FROM jsonb_array_elements(
                       CASE jsonb_typeof(status -> 'cameras') WHEN 'array' THEN status -> 'cameras' ELSE '[]' END
                   ) AS c) AS cameras
            FROM device
            WHERE (%(store_id)s::text IS NULL OR store_id = %(store_id)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, device_id
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchall()


def live_certificates(conn: Connection, scope: Scope, names: Sequence[str]) -> list[DeviceCertificate]:
    """Those of these boxes that have not been ended (they may have expired), newest first."""
    with conn.cursor(row_factory=class_row(DeviceCertificate)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_CERTIFICATE}
            FROM device_certificate AS c
            JOIN device AS d USING (device_id)
            WHERE c.device_id = ANY(%(names)s) AND c.ended_at IS NULL
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            ORDER BY c.issued_at DESC, c.fingerprint
            """,  # noqa: S608 - a constant of ours
            {"names": list(names), "scope": scope.store_ids},
        ).fetchall()


def is_taken(conn: Connection, device_id: str, fingerprint: str) -> bool:
    """Whether a certificate is on record as a live box's own, and was not ended."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            """
            SELECT true
            FROM device_certificate AS c
            JOIN device AS d USING (device_id)
            WHERE c.fingerprint = %s AND c.device_id = %s AND c.ended_at IS NULL AND d.revoked_at IS NULL
            """,
            (fingerprint, device_id),
        ).fetchone()
    return found is not None


def note_seen(conn: Connection, device_id: str, fingerprint: str, at: datetime) -> bool:
    """Note that a box signed in with a certificate of its own; at most once an hour. True at the first time."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        first = cursor.execute(
            """
            UPDATE device_certificate
            SET first_seen_at = coalesce(first_seen_at, %(at)s), last_seen_at = %(at)s
            WHERE fingerprint = %(fingerprint)s AND device_id = %(device_id)s
              AND (last_seen_at IS NULL OR last_seen_at < %(at)s - interval '1 hour')
            RETURNING first_seen_at = last_seen_at
            """,
            {"fingerprint": fingerprint, "device_id": device_id, "at": at},
        ).fetchone()
        return bool(first)
