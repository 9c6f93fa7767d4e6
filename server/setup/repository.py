"""SQL of the first hour: whether each thing it takes is there. Every question stops at the first row it finds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import kwargs_row

from server.access.models import Scope
from server.storage.pool import Connection
from wire.asking import Unable

#: How an answer that gives nothing begins, as it is kept.
_UNABLE: Final = b'{"kind":"unable"'


@dataclass(frozen=True, slots=True)
class Progress:
    """What there is of one store, or of none.

    Attributes:
        store_id: the store that got furthest first; None where there is no store.
        has_box: a live box was added.
        box_heard: one of them said something.
        has_camera: one in service was registered.
        camera_watched: a box says that it sees a picture of one, or gave one when it was asked: nobody watches a camera
            on which nothing is drawn yet.
        camera_trouble: why there is none, in the box's own words; empty where it said nothing.
        has_line: a line was registered on one.
        line_set: a box counts by lines that were set from here, or counted something by its own.
        has_receipt: a till's receipt came.
        has_crossing: somebody was counted.
    """

    store_id: str | None = None
    store_name: str = ""
    device_id: str | None = None
    camera_id: str | None = None
    has_box: bool = False
    box_heard: bool = False
    has_camera: bool = False
    camera_watched: bool = False
    camera_trouble: str = ""
    has_line: bool = False
    line_set: bool = False
    has_receipt: bool = False
    has_crossing: bool = False


def progress(conn: Connection, scope: Scope) -> Progress | None:
    """How far the store is that got furthest, the oldest of those that are alike; None where there is none."""
    with conn.cursor(row_factory=kwargs_row(_progress)) as cursor:
        return cursor.execute(
            """
            WITH told AS (
                SELECT s.store_id, s.name AS store_name, s.created_at, box.device_id, seen.camera_id,
                       box.device_id IS NOT NULL AS has_box,
                       coalesce(box.heard, false) AS box_heard,
                       seen.camera_id IS NOT NULL AS has_camera,
                       coalesce(seen.watched, false) AS camera_watched, seen.told AS camera_told, seen.unable,
                       EXISTS (SELECT FROM line l WHERE l.store_id = s.store_id) AS has_line,
                       EXISTS (SELECT FROM device d JOIN device_config c USING (device_id)
                               WHERE d.store_id = s.store_id AND c.state = 'applied' AND c.camera <> '[]') AS line_set,
                       EXISTS (SELECT FROM receipt r WHERE r.store_id = s.store_id) AS has_receipt,
                       EXISTS (SELECT FROM traffic_15m t WHERE t.store_id = s.store_id) AS has_crossing
                FROM store s
                LEFT JOIN LATERAL (
                    SELECT d.device_id, d.status_at IS NOT NULL AS heard
                    FROM device d
                    WHERE d.store_id = s.store_id AND d.revoked_at IS NULL
                    ORDER BY d.status_at IS NULL, d.created_at
                    LIMIT 1
                ) AS box ON true
                LEFT JOIN LATERAL (
                    SELECT c.camera_id,
                           EXISTS (SELECT FROM device d
                                   WHERE d.store_id = s.store_id AND d.revoked_at IS NULL
                                     AND d.status @> jsonb_build_object('cameras', jsonb_build_array(
                                         jsonb_build_object('camera', c.camera_id, 'state', 'ok'))))
                           OR EXISTS (SELECT FROM device_request r
                                      WHERE r.store_id = s.store_id AND r.camera_id = c.camera_id
                                        AND substring(r.given from 1 for 16) <> %(unable)s) AS watched,
                           (SELECT each ->> 'message'
                            FROM device d, jsonb_array_elements(d.status -> 'cameras') AS each
                            WHERE d.store_id = s.store_id AND d.revoked_at IS NULL AND each ->> 'camera' = c.camera_id
                            LIMIT 1) AS told,
                           (SELECT r.given
                            FROM device_request r
                            WHERE r.store_id = s.store_id AND r.camera_id = c.camera_id
                              AND substring(r.given from 1 for 16) = %(unable)s
                            ORDER BY r.answered_at DESC
                            LIMIT 1) AS unable
                    FROM camera c
                    WHERE c.store_id = s.store_id AND c.removed_at IS NULL
                    ORDER BY watched DESC, c.installed_at
                    LIMIT 1
                ) AS seen ON true
                WHERE (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
            )
            SELECT store_id, store_name, device_id, camera_id, has_box, box_heard, has_camera,
                   camera_watched OR has_crossing AS camera_watched, camera_told, unable,
                   has_line, line_set OR has_crossing AS line_set,
                   has_receipt, has_crossing
            FROM told
            ORDER BY has_crossing::int + has_receipt::int + line_set::int + has_line::int + camera_watched::int
                     + has_camera::int + box_heard::int + has_box::int DESC, created_at, store_id
            LIMIT 1
            """,
            {"scope": scope.store_ids, "unable": _UNABLE},
        ).fetchone()


def _progress(*, camera_told: str | None, unable: bytes | None, **told: Any) -> Progress:
    """What was answered to somebody who asked for a picture says more than the status of a camera nobody watches."""
    reason = msgspec.json.decode(unable, type=Unable).reason if unable is not None else camera_told
    return Progress(**told, camera_trouble=reason or "")


def is_closed(conn: Connection) -> bool:
    """Whether an administrator put the guide away."""
    return conn.execute("SELECT FROM setup_closed").fetchone() is not None


def close(conn: Connection, actor: str, at: datetime) -> None:
    """Put the guide away."""
    conn.execute("INSERT INTO setup_closed (closed_by, closed_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (actor, at))


def open_again(conn: Connection) -> None:
    """Take it out again."""
    conn.execute("DELETE FROM setup_closed")
