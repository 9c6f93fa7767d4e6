"""SQL of boxes' configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import msgspec
from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.configs.models import ConfigState, Revision, Standing
from server.storage.pool import Connection
from wire.config import CameraConfig, Config, ConfigReport

_cameras = msgspec.json.Decoder(tuple[CameraConfig, ...])
_REVISION: LiteralString = """
    c.device_id, c.revision, c.camera::text AS camera, c.author, c.note, c.created_at, c.state, c.reason, c.reported_at
"""


@dataclass(frozen=True, slots=True)
class _Row:
    device_id: str
    revision: int
    camera: str
    author: str
    note: str
    created_at: datetime
    state: ConfigState | None
    reason: str
    reported_at: datetime | None

    def model(self) -> Revision:
        return Revision(
            self.device_id,
            self.revision,
            _cameras.decode(self.camera),
            self.author,
            self.note,
            self.created_at,
            self.state,
            self.reason,
            self.reported_at,
        )


@dataclass(frozen=True, slots=True)
class LockedDevice:
    """A live box, held until the transaction's end."""

    store_id: str
    known: int


def lock_device(conn: Connection, scope: Scope, device_id: str) -> LockedDevice | None:
    """Hold a live box against a second change at once; None when there is none."""
    with conn.cursor(row_factory=class_row(LockedDevice)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, config_known AS known
            FROM device
            WHERE device_id = %(device_id)s AND revoked_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            FOR UPDATE
            """,
            {"device_id": device_id, "scope": scope.store_ids},
        ).fetchone()


def revisions(conn: Connection, scope: Scope, device_id: str, limit: int) -> list[Revision]:
    """What a box was to have, newest first."""
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(
            f"""
            SELECT {_REVISION}
            FROM device_config AS c
            JOIN device AS d USING (device_id)
            WHERE c.device_id = %(device_id)s
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            ORDER BY c.revision DESC
            LIMIT %(limit)s
            """,  # noqa: S608 - a constant of ours
            {"device_id": device_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()
    return [row.model() for row in rows]


def revision(conn: Connection, scope: Scope, device_id: str, number: int) -> Revision | None:
    """One of them."""
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        row = cursor.execute(
            f"""
            SELECT {_REVISION}
            FROM device_config AS c
            JOIN device AS d USING (device_id)
            WHERE c.device_id = %(device_id)s AND c.revision = %(revision)s
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            """,  # noqa: S608 - a constant of ours
            {"device_id": device_id, "revision": number, "scope": scope.store_ids},
        ).fetchone()
    return None if row is None else row.model()


def insert(conn: Connection, config: Config, author: str, note: str, at: datetime) -> None:
    """Keep what a box is to have from now on."""
    conn.execute(
        """
        INSERT INTO device_config (device_id, revision, camera, author, note, created_at)
        VALUES (%s, %s, %s::jsonb, %s, %s, %s)
        """,
        (config.device, config.revision, msgspec.json.encode(config.camera).decode(), author, note, at),
    )


def standings(conn: Connection, scope: Scope, names: Sequence[str] | None) -> list[Standing]:
    """How boxes stand to their configuration, by name; all of the scope, or some of them."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            """
            SELECT d.device_id, coalesce(newest.revision, 0) AS desired, newest.state,
                   coalesce(newest.reason, '') AS reason, d.config_used AS used, d.config_known AS known
            FROM device AS d
            LEFT JOIN LATERAL (
                SELECT revision, state, reason
                FROM device_config
                WHERE device_config.device_id = d.device_id
                ORDER BY revision DESC
                LIMIT 1
            ) AS newest ON true
            WHERE (%(names)s::text[] IS NULL OR d.device_id = ANY(%(names)s))
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            ORDER BY d.device_id
            """,
            {"names": None if names is None else list(names), "scope": scope.store_ids},
        ).fetchall()


def newest(conn: Connection) -> dict[str, int]:
    """The newest revision of every live box that has one."""
    with conn.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.device_id, max(c.revision)
            FROM device_config AS c
            JOIN device AS d USING (device_id)
            WHERE d.revoked_at IS NULL
            GROUP BY c.device_id
            """
        )
        return dict(cursor.fetchall())


def newest_of(conn: Connection, device_id: str, above: int) -> Config | None:
    """The newest a box is to have, if that is above a revision."""
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        row = cursor.execute(
            f"""
            SELECT {_REVISION}
            FROM device_config AS c
            WHERE c.device_id = %s AND c.revision > %s
            ORDER BY c.revision DESC
            LIMIT 1
            """,  # noqa: S608 - a constant of ours
            (device_id, above),
        ).fetchone()
    return None if row is None else Config(device=device_id, revision=row.revision, camera=_cameras.decode(row.camera))


def note_report(conn: Connection, device_id: str, used: int, report: ConfigReport | None, at: datetime) -> bool:
    """Keep what a box says of its configuration; True when it says something new of a revision we know."""
    conn.execute(
        """
        UPDATE device
        SET config_used = %(used)s, config_known = %(known)s
        WHERE device_id = %(device_id)s AND (config_used, config_known) IS DISTINCT FROM (%(used)s, %(known)s)
        """,
        {"device_id": device_id, "used": used, "known": used if report is None else report.revision},
    )
    if report is None:
        return False
    with conn.cursor(row_factory=scalar_row) as cursor:
        return (
            cursor.execute(
                """
                UPDATE device_config
                SET state = %(state)s, reason = %(reason)s, reported_at = %(at)s
                WHERE device_id = %(device_id)s AND revision = %(revision)s
                  AND (state, reason) IS DISTINCT FROM (%(state)s, %(reason)s)
                """,
                {
                    "device_id": device_id,
                    "revision": report.revision,
                    "state": report.state,
                    "reason": report.reason,
                    "at": at,
                },
            ).rowcount
            == 1
        )
