"""SQL of stores, their calendars, cameras, lines, devices and facts."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores.calendar import DayRule, OpeningSpan
from server.stores.models import Camera, Device, Fact, Line, LineKind, NewFact, NewStore, Store

_STORE: LiteralString = """
    SELECT s.store_id, s.name, coalesce(f.region, '') AS region, s.country, s.currency, c.timezone, c.day_starts,
           s.created_at, s.subdivision, coalesce(f.format, '') AS format, coalesce(f.tags, '{}') AS tags
    FROM store s
    CROSS JOIN LATERAL (
        SELECT timezone, day_starts
        FROM store_calendar c
        WHERE c.store_id = s.store_id
        ORDER BY valid_from DESC
        LIMIT 1
    ) c
    LEFT JOIN LATERAL (
        SELECT region, format, tags
        FROM store_label f
        WHERE f.store_id = s.store_id
        ORDER BY valid_from DESC
        LIMIT 1
    ) f ON true
    WHERE (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
"""


def insert_store(conn: Connection, store: NewStore, at: datetime) -> bool:
    """Add a store; False when its id is taken."""
    return (
        conn.execute(
            """
            INSERT INTO store (store_id, name, country, currency, created_at, subdivision)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (store_id) DO NOTHING
            """,
            (store.store_id, store.name, store.country, store.currency, at, store.subdivision),
        ).rowcount
        == 1
    )


def stores(conn: Connection, scope: Scope) -> list[Store]:
    """All stores of the scope, by id."""
    with conn.cursor(row_factory=class_row(Store)) as cursor:
        return cursor.execute(_STORE + " ORDER BY s.store_id", {"scope": scope.store_ids}).fetchall()


def store(conn: Connection, scope: Scope, store_id: str) -> Store | None:
    """One store of the scope."""
    with conn.cursor(row_factory=class_row(Store)) as cursor:
        return cursor.execute(
            _STORE + " AND s.store_id = %(store_id)s", {"scope": scope.store_ids, "store_id": store_id}
        ).fetchone()


def put_rule(conn: Connection, store_id: str, rule: DayRule) -> None:
    """Set timezone and start of the business day from a day on."""
    conn.execute(
        """
        INSERT INTO store_calendar (store_id, valid_from, timezone, day_starts)
        VALUES (%s, %s, %s, %s)
        ON CONFLICT (store_id, valid_from)
        DO UPDATE SET timezone = excluded.timezone, day_starts = excluded.day_starts
        """,
        (store_id, rule.valid_from, rule.timezone, rule.day_starts),
    )


def rules(conn: Connection, scope: Scope, store_ids: Sequence[str] | None = None) -> dict[str, list[DayRule]]:
    """The calendar's versions by store; of all stores of the scope, or of some of them."""
    found: dict[str, list[DayRule]] = {}
    with conn.cursor() as cursor:
        cursor.execute(
            """
            SELECT store_id, valid_from, timezone, day_starts
            FROM store_calendar
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
            ORDER BY store_id, valid_from
            """,
            {"scope": scope.store_ids, "wanted": None if store_ids is None else list(store_ids)},
        )
        for store_id, valid_from, timezone, day_starts in cursor:
            found.setdefault(store_id, []).append(DayRule(valid_from, timezone, day_starts))
    return found


def replace_hours(
    conn: Connection, scope: Scope, store_id: str, valid_from: date, spans: Sequence[OpeningSpan]
) -> None:
    """Set the whole week's opening hours in force from a day on."""
    conn.execute(
        """
        DELETE FROM opening_hours
        WHERE store_id = %(store_id)s AND valid_from = %(valid_from)s
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "valid_from": valid_from, "scope": scope.store_ids},
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO opening_hours (store_id, valid_from, weekday, opens, closes)
            VALUES (%s, %s, %s, %s, %s)
            """,
            [(store_id, valid_from, span.weekday, span.opens, span.closes) for span in spans],
        )


def computed_days(conn: Connection, scope: Scope, store_id: str, first: date) -> list[date]:
    """Business days from `first` on whose facts were computed before."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT day
            FROM store_day
            WHERE store_id = %(store_id)s AND day >= %(first)s AND superseded_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY day
            """,
            {"store_id": store_id, "first": first, "scope": scope.store_ids},
        ).fetchall()


def insert_camera(conn: Connection, camera: Camera) -> bool:
    """Register a camera; False when its id is taken."""
    return (
        conn.execute(
            """
            INSERT INTO camera (camera_id, store_id, name, installed_at)
            VALUES (%s, %s, %s, %s)
            ON CONFLICT (camera_id) DO NOTHING
            """,
            (camera.camera_id, camera.store_id, camera.name, camera.installed_at),
        ).rowcount
        == 1
    )


def cameras(conn: Connection, scope: Scope, store_ids: Sequence[str]) -> list[Camera]:
    """All cameras some stores ever had, by id."""
    with conn.cursor(row_factory=class_row(Camera)) as cursor:
        return cursor.execute(
            """
            SELECT camera_id, store_id, name, installed_at, removed_at
            FROM camera
            WHERE store_id = ANY(%(wanted)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY camera_id
            """,
            {"wanted": list(store_ids), "scope": scope.store_ids},
        ).fetchall()


def camera(conn: Connection, scope: Scope, camera_id: str) -> Camera | None:
    """One camera of the scope."""
    with conn.cursor(row_factory=class_row(Camera)) as cursor:
        return cursor.execute(
            """
            SELECT camera_id, store_id, name, installed_at, removed_at
            FROM camera
            WHERE camera_id = %(camera_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"camera_id": camera_id, "scope": scope.store_ids},
        ).fetchone()


def end_camera(conn: Connection, scope: Scope, camera_id: str, at: datetime) -> bool:
    """Take a camera out of service; False when there is none in service."""
    return (
        conn.execute(
            """
            UPDATE camera
            SET removed_at = %(at)s
            WHERE camera_id = %(camera_id)s AND removed_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"camera_id": camera_id, "at": at, "scope": scope.store_ids},
        ).rowcount
        == 1
    )


def insert_line(conn: Connection, line_id: str, camera: Camera, name: str, kind: LineKind) -> bool:
    """Add a counting line to a camera; False when its id is taken."""
    return (
        conn.execute(
            """
            INSERT INTO line (line_id, camera_id, store_id, name, kind)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (line_id) DO NOTHING
            """,
            (line_id, camera.camera_id, camera.store_id, name, kind),
        ).rowcount
        == 1
    )


def lines(conn: Connection, scope: Scope, store_id: str) -> list[Line]:
    """A store's counting lines, by id."""
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(
            """
            SELECT line_id, camera_id, store_id, name, kind
            FROM line
            WHERE store_id = %(store_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY line_id
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchall()


def insert_device(conn: Connection, device_id: str, store_id: str, secret_hash: str, at: datetime) -> bool:
    """Add a box; False when its name is taken."""
    return (
        conn.execute(
            """
            INSERT INTO device (device_id, store_id, secret_hash, created_at)
            VALUES (%s, %s, %s, %s)
            ON CONFLICT (device_id) DO NOTHING
            """,
            (device_id, store_id, secret_hash, at),
        ).rowcount
        == 1
    )


def revoke_device(conn: Connection, scope: Scope, device_id: str, at: datetime) -> str | None:
    """End a box; returns its store, or None when there is no live one."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            UPDATE device
            SET revoked_at = %(at)s
            WHERE device_id = %(device_id)s AND revoked_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            RETURNING store_id
            """,
            {"device_id": device_id, "at": at, "scope": scope.store_ids},
        ).fetchone()


def devices(conn: Connection, scope: Scope, store_ids: Sequence[str]) -> list[Device]:
    """The boxes of some stores, revoked ones too, by name."""
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(
            """
            SELECT device_id, store_id, created_at, revoked_at, status, status_at, skew_ms
            FROM device
            WHERE store_id = ANY(%(wanted)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY device_id
            """,
            {"wanted": list(store_ids), "scope": scope.store_ids},
        ).fetchall()


def live_device_secret(conn: Connection, scope: Scope, device_id: str) -> str | None:
    """The stored hash of a live box's password."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT secret_hash
            FROM device
            WHERE device_id = %(device_id)s AND revoked_at IS NULL AND secret_hash <> ''
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"device_id": device_id, "scope": scope.store_ids},
        ).fetchone()


def put_fact(conn: Connection, fact: NewFact, actor: str, at: datetime) -> Fact:
    """Note a promotion, a spell of weather or an event; one that is there already gets the new detail."""
    with conn.cursor(row_factory=class_row(Fact)) as cursor:
        noted = cursor.execute(
            """
            INSERT INTO fact (store_id, region, kind, day_from, day_to, title, detail, temperature_c, rain_mm,
                              entered_by, entered_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (coalesce(store_id, ''), coalesce(region, ''), kind, day_from, day_to, title)
            DO UPDATE SET detail = excluded.detail, temperature_c = excluded.temperature_c,
                          rain_mm = excluded.rain_mm, entered_by = excluded.entered_by,
                          entered_at = excluded.entered_at
            RETURNING fact_id, store_id, kind, day_from, day_to, title, detail, region, temperature_c, rain_mm
            """,
            (
                fact.store_id,
                fact.region,
                fact.kind,
                fact.day_from,
                fact.day_to,
                fact.title.strip(),
                fact.detail.strip(),
                fact.temperature_c,
                fact.rain_mm,
                actor,
                at,
            ),
        ).fetchone()
    assert noted is not None, "RETURNING answers with the row"  # noqa: S101
    return noted


def fact(conn: Connection, scope: Scope, fact_id: int) -> Fact | None:
    """One of them: of a store of the scope, of a region, or of the chain."""
    with conn.cursor(row_factory=class_row(Fact)) as cursor:
        return cursor.execute(
            """
            SELECT fact_id, store_id, kind, day_from, day_to, title, detail, region, temperature_c, rain_mm
            FROM fact
            WHERE fact_id = %(fact_id)s
              AND (store_id IS NULL OR %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"fact_id": fact_id, "scope": scope.store_ids},
        ).fetchone()


def delete_fact(conn: Connection, scope: Scope, fact_id: int) -> None:
    """Take one away."""
    conn.execute(
        """
        DELETE FROM fact
        WHERE fact_id = %(fact_id)s
          AND (store_id IS NULL OR %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"fact_id": fact_id, "scope": scope.store_ids},
    )


def facts(conn: Connection, scope: Scope, store_ids: Sequence[str] | None, day_from: date, day_to: date) -> list[Fact]:
    """What holds on any of the days for any of some stores of the scope, or for all of it: each once, by day.

    Those of regions that one of them was in while they held, and the chain's own, are among them.
    """
    with conn.cursor(row_factory=class_row(Fact)) as cursor:
        return cursor.execute(
            """
            WITH mine AS (
                SELECT s.store_id
                FROM store s
                WHERE (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
                  AND (%(wanted)s::text[] IS NULL OR s.store_id = ANY(%(wanted)s))
            ), within AS (
                SELECT l.region, l.valid_from,
                       lead(l.valid_from) OVER (PARTITION BY l.store_id ORDER BY l.valid_from) AS until
                FROM store_label l
                JOIN mine USING (store_id)
            )
            SELECT fact_id, store_id, kind, day_from, day_to, title, detail, region, temperature_c, rain_mm
            FROM fact
            WHERE day_from <= %(day_to)s AND day_to >= %(day_from)s
              AND ((store_id IS NULL AND region IS NULL)
                   OR store_id IN (SELECT mine.store_id FROM mine)
                   OR EXISTS (SELECT FROM within w
                              WHERE w.region = fact.region AND w.valid_from <= least(fact.day_to, %(day_to)s)
                                AND (w.until IS NULL OR w.until > greatest(fact.day_from, %(day_from)s))))
            ORDER BY day_from, fact_id
            """,
            {
                "day_from": day_from,
                "day_to": day_to,
                "wanted": None if store_ids is None else list(store_ids),
                "scope": scope.store_ids,
            },
        ).fetchall()
