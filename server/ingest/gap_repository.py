"""The SQL of the gap ledger: what was watched, when boxes were not heard, and what is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.rows import class_row

from server.access.models import Scope
from server.ingest.gaps import LostRecords, RegisteredCamera, Reporter, WatchedQuarter
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class EventRow:
    """A box came, went or lost something; `lost_before` is its count as of the event before, None at the first."""

    device_id: str
    at: datetime
    online: bool
    lost: int
    lost_before: int | None
    before_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReporterRow:
    """A box that reported a camera, and the first and the last minute."""

    camera_id: str
    device_id: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class PastRow:
    """What one camera saw in one quarter hour."""

    camera_id: str
    quarter: datetime
    entered: int
    left: int
    seconds: float


def cameras(
    connection: Connection, scope: Scope, store_id: str, start: datetime, end: datetime
) -> list[RegisteredCamera]:
    """A store's cameras, gone ones too, each with the boxes that reported it from `start` to `end` and last before."""
    with connection.cursor(row_factory=class_row(ReporterRow)) as cursor:
        found = cursor.execute(
            # By the index on camera and minute: the span of the days asked for, and one row before it.
            """
            WITH ours AS (
                SELECT camera_id
                FROM camera
                WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            )
            SELECT camera_id, device_id, min(minute) AS first, max(minute) AS last
            FROM ours
            JOIN coverage USING (camera_id)
            WHERE minute >= %(start)s AND minute < %(end)s
            GROUP BY camera_id, device_id
            UNION ALL
            SELECT ours.camera_id, before.device_id, before.minute, before.minute
            FROM ours
            CROSS JOIN LATERAL (
                SELECT device_id, minute
                FROM coverage
                WHERE coverage.camera_id = ours.camera_id AND minute < %(start)s
                ORDER BY minute DESC
                LIMIT 1
            ) AS before
            """,
            {"store_id": store_id, "start": start, "end": end, "scope": scope.store_ids},
        ).fetchall()
    reporters: dict[str, list[Reporter]] = {}
    for row in found:
        reporters.setdefault(row.camera_id, []).append(Reporter(row.device_id, row.first, row.last))
    with connection.cursor(row_factory=class_row(RegisteredCamera)) as cursor:
        registered = cursor.execute(
            """
            SELECT camera_id, installed_at, removed_at,
                   EXISTS (
                       SELECT
                       FROM coverage_15m AS sums
                       WHERE sums.store_id = camera.store_id AND sums.camera_id = camera.camera_id
                         AND sums.quarter < %(end)s
                   ) AS has_reported
            FROM camera
            WHERE store_id = %(store_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY camera_id
            """,
            {"store_id": store_id, "end": end, "scope": scope.store_ids},
        ).fetchall()
    return [replace(camera, reporters=tuple(reporters.get(camera.camera_id, ()))) for camera in registered]


def watched(
    connection: Connection, scope: Scope, store_id: str, start: datetime, end: datetime
) -> list[WatchedQuarter]:
    """Seconds watched by camera, quarter hour and minute, from the roll-up."""
    with connection.cursor(row_factory=class_row(WatchedQuarter)) as cursor:
        return cursor.execute(
            """
            SELECT camera_id, quarter, minute_seconds::float8[] AS minute_seconds,
                   late_seconds::float8 AS late_seconds, state
            FROM coverage_15m
            WHERE store_id = %(store_id)s AND quarter >= %(start)s AND quarter < %(end)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "start": start, "end": end, "scope": scope.store_ids},
        ).fetchall()


def past(connection: Connection, scope: Scope, store_id: str, quarters: Sequence[datetime]) -> list[PastRow]:
    """What was seen in some quarter hours by cameras of doors and of the street.

    Left out is what somebody excluded from the numbers: it tells of nothing to expect, here as in the KPIs.
    """
    with connection.cursor(row_factory=class_row(PastRow)) as cursor:
        return cursor.execute(
            """
            WITH walked AS (
                SELECT line.camera_id, traffic.quarter,
                       sum(traffic.count) FILTER (WHERE traffic.direction = 'in') AS entered,
                       sum(traffic.count) FILTER (WHERE traffic.direction = 'out') AS gone
                FROM traffic_15m AS traffic
                JOIN line ON line.line_id = traffic.line_id AND line.kind <> 'interior'
                WHERE traffic.store_id = %(store_id)s AND traffic.quarter = ANY(%(quarters)s)
                GROUP BY line.camera_id, traffic.quarter
            )
            SELECT held.camera_id, held.quarter, coalesce(walked.entered, 0)::int AS entered,
                   coalesce(walked.gone, 0)::int AS left, held.seconds::float8 AS seconds
            FROM coverage_15m AS held
            LEFT JOIN walked ON walked.camera_id = held.camera_id AND walked.quarter = held.quarter
            WHERE held.store_id = %(store_id)s AND held.quarter = ANY(%(quarters)s)
              AND (%(scope)s::text[] IS NULL OR held.store_id = ANY(%(scope)s))
              AND NOT EXISTS (
                  SELECT
                  FROM correction
                  LEFT JOIN line ON line.line_id = correction.line_id
                  WHERE correction.store_id = held.store_id AND correction.kind = 'excluded'
                    AND correction.withdrawn_at IS NULL
                    AND correction.starts_at < held.quarter + interval '15 minutes'
                    AND correction.ends_at > held.quarter
                    AND (correction.line_id IS NULL OR line.camera_id = held.camera_id)
              )
            """,
            {"store_id": store_id, "quarters": list(quarters), "scope": scope.store_ids},
        ).fetchall()


def events(connection: Connection, scope: Scope, store_id: str, start: datetime, end: datetime) -> list[EventRow]:
    """Boxes' events before `end`, by box and time: those from `start` on, and the last one before it."""
    with connection.cursor(row_factory=class_row(EventRow)) as cursor:
        return cursor.execute(
            """
            SELECT device_id, at, online, lost, lost_before, before_at
            FROM (
                SELECT device_id, at, online, lost, event_id,
                       lag(lost) OVER one_box AS lost_before,
                       lag(at) OVER one_box AS before_at,
                       lead(at) OVER one_box AS next_at
                FROM device_event
                WHERE store_id = %(store_id)s AND at < %(end)s
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                WINDOW one_box AS (PARTITION BY device_id ORDER BY at, event_id)
            ) AS event
            WHERE at >= %(start)s OR next_at IS NULL OR next_at >= %(start)s
            ORDER BY device_id, at, event_id
            """,
            {"store_id": store_id, "start": start, "end": end, "scope": scope.store_ids},
        ).fetchall()


def last_heard(connection: Connection, scope: Scope, store_id: str) -> list[tuple[str, datetime]]:
    """When each box last said something; one that was ended, too: it may have gone without a word."""
    rows = connection.execute(
        """
        SELECT device_id, status_at
        FROM device
        WHERE store_id = %(store_id)s AND status_at IS NOT NULL
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "scope": scope.store_ids},
    ).fetchall()
    return [(str(device_id), status_at) for device_id, status_at in rows]


def lost(connection: Connection, scope: Scope, store_id: str, start: datetime, end: datetime) -> list[LostRecords]:
    """Numbers that exist nowhere any more and may have lain between `start` and `end`, as they were noticed."""
    with connection.cursor(row_factory=class_row(LostRecords)) as cursor:
        return cursor.execute(
            """
            SELECT device_id, epoch, from_seq, to_seq, (to_seq - from_seq + 1)::int8 AS records,
                   starts_at, coalesce(ends_at, noticed_at) AS ends_at, noticed_at
            FROM lost_range
            WHERE store_id = %(store_id)s
              AND (starts_at IS NULL OR starts_at < %(end)s) AND coalesce(ends_at, noticed_at) >= %(start)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY lost_range_id
            """,
            {"store_id": store_id, "start": start, "end": end, "scope": scope.store_ids},
        ).fetchall()
