"""SQL of corrections and rosters: what people say of a day beyond what its sensors said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.corrections.in_force import Correction, NewCorrection
from server.kpi.corrections.staffing import ShiftRow
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A shift of a day's roster (UTC); without times it says that the day's roster is known, and empty."""

    day: date
    starts_at: datetime | None
    ends_at: datetime | None
    people: Decimal | None
    note: str


_COLUMNS: Final = sql.SQL("""
    c.correction_id, c.store_id, c.kind, c.line_id, l.camera_id, c.day_from, c.day_to, c.starts_at, c.ends_at, c.value,
    c.counted, c.missed, c.invented, c.reason, c.made_by, c.made_at, c.withdrawn_by, c.withdrawn_at, c.withdrawn_reason
""")


def insert(conn: Connection, new: NewCorrection, actor: str, at: datetime) -> int:
    """Keep a correction; its number."""
    audit = new.audit
    row = conn.execute(
        """
        INSERT INTO correction (store_id, kind, line_id, day_from, day_to, starts_at, ends_at, value, counted, missed,
                                invented, reason, made_by, made_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING correction_id
        """,
        (
            new.store_id,
            new.kind,
            new.line_id,
            new.day_from,
            new.day_to,
            new.starts_at,
            new.ends_at,
            audit.factor if audit else new.value,
            audit.counted if audit else None,
            audit.missed if audit else None,
            audit.invented if audit else None,
            new.reason,
            actor,
            at,
        ),
    ).fetchone()
    assert row is not None, "RETURNING answers with the row"  # noqa: S101
    return int(row[0])


def correction(conn: Connection, scope: Scope, correction_id: int, *, lock: bool = False) -> Correction | None:
    """One correction of the scope, or of the whole chain."""
    with conn.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT {columns}
            FROM correction c
            LEFT JOIN line l ON l.line_id = c.line_id
            WHERE c.correction_id = %(correction_id)s
              AND (c.store_id IS NULL OR %(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))
            {lock}
            """).format(columns=_COLUMNS, lock=sql.SQL("FOR UPDATE OF c" if lock else "")),
            {"correction_id": correction_id, "scope": scope.store_ids},
        ).fetchone()


def withdraw(conn: Connection, scope: Scope, correction_id: int, actor: str, at: datetime, reason: str) -> None:
    """End a correction; it is kept."""
    conn.execute(
        """
        UPDATE correction
        SET withdrawn_by = %(actor)s, withdrawn_at = greatest(%(at)s, made_at), withdrawn_reason = %(reason)s
        WHERE correction_id = %(correction_id)s AND withdrawn_at IS NULL
          AND (store_id IS NULL OR %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"correction_id": correction_id, "actor": actor, "at": at, "reason": reason, "scope": scope.store_ids},
    )


def standing(conn: Connection, scope: Scope, store_ids: Sequence[str], at: datetime | None = None) -> list[Correction]:
    """Corrections of some stores and the chain's own that stand, or stood at a moment; the latest made first."""
    with conn.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT {columns}
            FROM correction c
            LEFT JOIN line l ON l.line_id = c.line_id
            WHERE (c.store_id IS NULL
                   OR (c.store_id = ANY(%(wanted)s) AND (%(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))))
              AND (CASE WHEN %(at)s::timestamptz IS NULL THEN c.withdrawn_at IS NULL
                        ELSE c.made_at <= %(at)s AND (c.withdrawn_at IS NULL OR c.withdrawn_at > %(at)s) END)
            ORDER BY c.correction_id DESC
            """).format(columns=_COLUMNS),
            {"wanted": list(store_ids), "scope": scope.store_ids, "at": at},
        ).fetchall()


def history(conn: Connection, scope: Scope, store_id: str | None, limit: int) -> list[Correction]:
    """Corrections ever made, the latest first: of one store with the chain's own, or of all of the scope."""
    with conn.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT {columns}
            FROM correction c
            LEFT JOIN line l ON l.line_id = c.line_id
            WHERE (c.store_id IS NULL OR %(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))
              AND (%(store_id)s::text IS NULL OR c.store_id IS NULL OR c.store_id = %(store_id)s)
            ORDER BY c.correction_id DESC
            LIMIT %(limit)s
            """).format(columns=_COLUMNS),
            {"store_id": store_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def shifts(conn: Connection, scope: Scope, pairs: Sequence[tuple[str, date]]) -> list[ShiftRow]:
    """Rosters of store-days; a known day without shifts has one row without times."""
    with conn.cursor(row_factory=class_row(ShiftRow)) as cursor:
        return cursor.execute(
            """
            SELECT d.store_id, d.day, s.starts_at, s.ends_at, s.people
            FROM unnest(%(stores)s::text[], %(days)s::date[]) AS w (store_id, day)
            JOIN roster_day d ON d.store_id = w.store_id AND d.day = w.day
            LEFT JOIN roster_shift s ON s.store_id = d.store_id AND s.day = d.day
            WHERE %(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s)
            ORDER BY d.store_id, d.day, s.starts_at, s.ends_at
            """,
            {
                "stores": [store_id for store_id, _ in pairs],
                "days": [day for _, day in pairs],
                "scope": scope.store_ids,
            },
        ).fetchall()


def rosters(conn: Connection, scope: Scope, store_id: str, days: Sequence[date]) -> list[RosterRow]:
    """Rosters of a store's days as they were entered; a known day without shifts has one row without times."""
    with conn.cursor(row_factory=class_row(RosterRow)) as cursor:
        return cursor.execute(
            """
            SELECT d.day, s.starts_at, s.ends_at, s.people, coalesce(s.note, '') AS note
            FROM roster_day d
            LEFT JOIN roster_shift s ON s.store_id = d.store_id AND s.day = d.day
            WHERE d.store_id = %(store_id)s AND d.day = ANY(%(days)s)
              AND (%(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s))
            ORDER BY d.day, s.starts_at, s.ends_at
            """,
            {"store_id": store_id, "days": list(days), "scope": scope.store_ids},
        ).fetchall()


def put_roster_day(conn: Connection, scope: Scope, store_id: str, day: date, actor: str, at: datetime) -> None:
    """Make a business day's roster known, and empty."""
    conn.execute(
        """
        INSERT INTO roster_day (store_id, day, entered_by, entered_at)
        VALUES (%s, %s, %s, %s)
        ON CONFLICT (store_id, day) DO UPDATE SET entered_by = excluded.entered_by, entered_at = excluded.entered_at
        """,
        (store_id, day, actor, at),
    )
    conn.execute(
        """
        DELETE FROM roster_shift
        WHERE store_id = %(store_id)s AND day = %(day)s
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "day": day, "scope": scope.store_ids},
    )


def insert_shifts(
    conn: Connection, store_id: str, day: date, shifts: Sequence[tuple[datetime, datetime, Decimal, str]]
) -> None:
    """Add shifts to a day's roster: when they begin and end, how many people, and a note."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO roster_shift (store_id, day, starts_at, ends_at, people, note)
            VALUES (%s, %s, %s, %s, %s, %s)
            """,
            [(store_id, day, *shift) for shift in shifts],
        )
