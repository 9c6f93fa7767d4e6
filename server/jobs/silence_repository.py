"""SQL of boxes and cameras: what they last said, and which of them are on record as silent."""

from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import class_row

from server.access.models import Scope
from server.jobs.models import Quiet, Silence
from server.storage.pool import Connection
from server.stores.models import Camera, Device


def live_devices(conn: Connection, scope: Scope) -> list[Device]:
    """Boxes of all stores of the scope that were not ended, by store and name."""
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(
            """
            SELECT device_id, store_id, created_at, revoked_at, status, status_at, skew_ms
            FROM device
            WHERE revoked_at IS NULL AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, device_id
            """,
            {"scope": scope.store_ids},
        ).fetchall()


def cameras_in_service(conn: Connection, scope: Scope, at: datetime) -> list[Camera]:
    """Cameras of all stores of the scope that hang at a moment, by store and id."""
    with conn.cursor(row_factory=class_row(Camera)) as cursor:
        return cursor.execute(
            """
            SELECT camera_id, store_id, name, installed_at, removed_at
            FROM camera
            WHERE installed_at <= %(at)s AND (removed_at IS NULL OR removed_at > %(at)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, camera_id
            """,
            {"at": at, "scope": scope.store_ids},
        ).fetchall()


def silences(conn: Connection, scope: Scope, store_id: str | None, *, is_open: bool, limit: int) -> list[Silence]:
    """Silences of one store or of all of the scope, the latest noticed first; those that last, or all."""
    with conn.cursor(row_factory=class_row(Silence)) as cursor:
        return cursor.execute(
            """
            SELECT silence_id, store_id, device_id, camera_id, state, last_heard, noticed_at, resolved_at
            FROM silence
            WHERE (%(store_id)s::text IS NULL OR store_id = %(store_id)s)
              AND (resolved_at IS NULL OR NOT %(is_open)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY silence_id DESC
            LIMIT %(limit)s
            """,
            {"store_id": store_id, "is_open": is_open, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def insert_silences(conn: Connection, quiet: Sequence[Quiet], at: datetime) -> None:
    """Note who went silent."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO silence (store_id, device_id, camera_id, state, last_heard, noticed_at)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING
            """,
            [(each.store_id, each.device_id, each.camera_id, each.state, each.last_heard, at) for each in quiet],
        )


def resolve(conn: Connection, scope: Scope, silence_ids: Sequence[int], at: datetime) -> None:
    """Note that they were heard again."""
    conn.execute(
        """
        UPDATE silence
        SET resolved_at = greatest(%(at)s, noticed_at)
        WHERE silence_id = ANY(%(ids)s) AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"ids": list(silence_ids), "at": at, "scope": scope.store_ids},
    )


def purge(conn: Connection, scope: Scope, before: datetime) -> int:
    """Delete silences that ended before a moment; how many."""
    return conn.execute(
        """
        DELETE FROM silence
        WHERE resolved_at < %(before)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"before": before, "scope": scope.store_ids},
    ).rowcount
