"""SQL of what was asked of boxes."""

from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg.rows import class_row, kwargs_row

from server.access.models import Scope
from server.requests.models import AskedDevice, DeviceRequest
from server.storage.pool import Connection
from wire.asking import Given

_given: Final[msgspec.json.Decoder[Given]] = msgspec.json.Decoder(Given)
_FIELDS: LiteralString = """
    request_id, device_id, store_id, camera_id, kind, asked_by, asked_at, waits_until, keep_until, answered_at, given
"""


def _model(*, given: bytes | None, **told: Any) -> DeviceRequest:
    return DeviceRequest(**told, given=None if given is None else _given.decode(given))


def asked_device(conn: Connection, scope: Scope, device_id: str, now: datetime) -> AskedDevice | None:
    """A live box of the scope, held until the transaction's end; None when there is none."""
    with conn.cursor(row_factory=class_row(AskedDevice)) as cursor:
        return cursor.execute(
            """
            SELECT d.device_id, d.store_id, coalesce((d.status->>'online')::boolean, false) AS online,
                   (d.status->>'at')::timestamptz AS said_at, d.status_at AS heard_at,
                   (SELECT count(*) FROM device_request AS r
                    WHERE r.device_id = d.device_id AND r.answered_at IS NULL AND r.waits_until > %(now)s) AS open
            FROM device AS d
            WHERE d.device_id = %(device_id)s AND d.revoked_at IS NULL
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            FOR UPDATE OF d
            """,
            {"device_id": device_id, "now": now, "scope": scope.store_ids},
        ).fetchone()


def insert(conn: Connection, asked: DeviceRequest) -> None:
    """Keep what is asked."""
    conn.execute(
        """
        INSERT INTO device_request
            (request_id, device_id, store_id, camera_id, kind, asked_by, asked_at, waits_until, keep_until)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            asked.request_id,
            asked.device_id,
            asked.store_id,
            asked.camera_id,
            asked.kind,
            asked.asked_by,
            asked.asked_at,
            asked.waits_until,
            asked.keep_until,
        ),
    )


def keep_answer(conn: Connection, scope: Scope, request_id: str, given: Given, at: datetime) -> bool:
    """Keep what came of it, once; False when it has an answer already, or is forgotten."""
    done = conn.execute(
        """
        UPDATE device_request
        SET given = %(given)s, answered_at = %(at)s
        WHERE request_id = %(request_id)s AND answered_at IS NULL AND keep_until > %(at)s
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"given": msgspec.json.encode(given), "at": at, "request_id": request_id, "scope": scope.store_ids},
    )
    return done.rowcount == 1


def request(conn: Connection, scope: Scope, request_id: str, now: datetime) -> DeviceRequest | None:
    """What was asked and what came of it; None when there is none, or it is forgotten."""
    with conn.cursor(row_factory=kwargs_row(_model)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_FIELDS}
            FROM device_request
            WHERE request_id = %(request_id)s AND keep_until > %(now)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,  # noqa: S608 - a constant of ours
            {"request_id": request_id, "now": now, "scope": scope.store_ids},
        ).fetchone()


def forget(conn: Connection, scope: Scope, now: datetime) -> int:
    """Delete what was kept long enough; how many."""
    return conn.execute(
        """
        DELETE FROM device_request
        WHERE keep_until <= %(now)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"now": now, "scope": scope.store_ids},
    ).rowcount
