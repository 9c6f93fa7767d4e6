"""SQL of what a single number is made of: the raw crossings and receipts behind it, its settings, its versions.

All of it is of one store and one stretch of time. Crossings are found by the summary of their times (see migration
0011), receipts by store and time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.days.day_repository import errors_of
from server.kpi.days.repository import Window
from server.kpi.models import FACT_NAMES, Facts, Occupancy
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class CrossingRow:
    """One crossing as it was counted (UTC); `kind` of its line now."""

    at: datetime
    camera_id: str
    line_id: str
    kind: str
    direction: str
    crossing_class: str
    opens_group: bool
    confidence: float
    undated: bool


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One receipt of any channel (UTC); amounts in its currency, `voided` by a later one."""

    at: datetime
    receipt_no: str
    kind: str
    channel: str
    gross: Decimal
    currency: str
    units: Decimal
    is_member: bool
    voided: bool


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting in force; `store_id` is empty for the chain's default."""

    key: str
    value: Decimal
    store_id: str
    valid_from: date
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What was answered for a store-day from `computed_at` until `superseded_at` (UTC; None: still)."""

    version: int
    provisional: bool
    computed_at: datetime
    superseded_at: datetime | None
    facts: Facts
    occupancy: Occupancy


_CROSSINGS: Final[LiteralString] = """
    FROM crossing c
    JOIN line l ON l.line_id = c.line_id
    WHERE c.store_id = %(store_id)s AND c.at >= %(start)s AND c.at < %(end)s
      AND (%(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))
"""
_RECEIPTS: Final[LiteralString] = """
    FROM receipt r
    WHERE r.store_id = %(store_id)s AND r.at >= %(start)s AND r.at < %(end)s
      AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
"""


def crossings(conn: Connection, scope: Scope, window: Window, limit: int) -> tuple[list[CrossingRow], int]:
    """The first so many crossings of a window in order of time, and how many there are in all."""
    with conn.cursor(row_factory=class_row(CrossingRow)) as cursor:
        rows = cursor.execute(
            "SELECT c.at, c.camera_id, c.line_id, l.kind, c.direction, c.class AS crossing_class, c.opens_group,"
            " c.confidence, c.undated" + _CROSSINGS + "ORDER BY c.at, c.line_id, c.seq LIMIT %(limit)s",
            _within(scope, window, limit),
        ).fetchall()
    return rows, _count(conn, "SELECT count(*)" + _CROSSINGS, scope, window)


def receipts(conn: Connection, scope: Scope, window: Window, limit: int) -> tuple[list[ReceiptLine], int]:
    """The first so many receipts of a window in order of time, and how many there are in all."""
    with conn.cursor(row_factory=class_row(ReceiptLine)) as cursor:
        rows = cursor.execute(
            "SELECT r.at, r.receipt_no, r.kind, r.channel, r.gross, r.currency, r.units,"
            " r.member_id IS NOT NULL AS is_member, r.voided_at IS NOT NULL AS voided"
            + _RECEIPTS
            + "ORDER BY r.at, r.receipt_no LIMIT %(limit)s",
            _within(scope, window, limit),
        ).fetchall()
    return rows, _count(conn, "SELECT count(*)" + _RECEIPTS, scope, window)


def settings(conn: Connection, scope: Scope, store_id: str, day: date) -> list[SettingRow]:
    """The settings in force in a store on a business day, by key: the store's own before the chain's."""
    with conn.cursor(row_factory=class_row(SettingRow)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT ON (key) key, value, store_id, valid_from, changed_by, changed_at
            FROM kpi_setting
            WHERE store_id IN (%(store_id)s, '') AND valid_from <= %(day)s
              AND (%(scope)s::text[] IS NULL OR %(store_id)s = ANY(%(scope)s))
            ORDER BY key, store_id = '', valid_from DESC
            """,
            {"store_id": store_id, "day": day, "scope": scope.store_ids},
        ).fetchall()


def versions(conn: Connection, scope: Scope, store_id: str, day: date) -> list[VersionRow]:
    """Every answer there was for a store-day, the latest first."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT version, provisional, computed_at, superseded_at, audit_errors, occupancy, occupancy_peak, drift,
                   {facts}
            FROM store_day
            WHERE store_id = %(store_id)s AND day = %(day)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY version DESC
            """
        ).format(facts=sql.SQL(", ").join(map(sql.Identifier, FACT_NAMES))),
        {"store_id": store_id, "day": day, "scope": scope.store_ids},
    )
    return [VersionRow(*(*row[:4], Facts(*(*row[8:], errors_of(row[4]))), Occupancy(*row[5:8]))) for row in rows]


def _within(scope: Scope, window: Window, limit: int = 0) -> dict[str, Any]:
    return {
        "scope": scope.store_ids,
        "store_id": window.store_id,
        "start": window.start,
        "end": window.end,
        "limit": limit,
    }


def _count(conn: Connection, statement: LiteralString, scope: Scope, window: Window) -> int:
    found: Sequence[int] | None = conn.execute(statement, _within(scope, window)).fetchone()
    return found[0] if found else 0
