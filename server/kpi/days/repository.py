"""SQL of what a day is computed from; `day_repository` has what it is kept in, `report_repository` what reports read.

Everything is read for many store-days at once, each with its own bounds in UTC, because a chain's "today" is a
different pair of instants in every timezone. The plan these queries rely on: for each window, one range of the
primary key (store_id, quarter, ...).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import ReceiptRow, VisitRow
from server.kpi.days.imputation import PastRow
from server.kpi.days.watching import CameraRow, CoverageRow, DoorHistory
from server.storage.pool import Connection

_WINDOWS: Final = sql.SQL("""
    unnest(%(stores)s::text[], %(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS w (store_id, day, start_at, end_at)
""")
_IN_SCOPE: Final = sql.SQL("(%(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s))")
_QUARTER: Final = sql.SQL("date_bin('15 minutes', {at}, '2000-01-01 00:00:00+00'::timestamptz)")
_SOLD: Final = sql.SQL("FILTER (WHERE r.kind = 'sale' AND r.voided_at IS NULL)")
_TO_MEMBER: Final = sql.SQL("FILTER (WHERE r.kind = 'sale' AND r.voided_at IS NULL AND r.member_id IS NOT NULL)")
_REFUNDED: Final = sql.SQL("FILTER (WHERE r.kind = 'refund' AND r.voided_at IS NULL)")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a store's business day (UTC, end excluded)."""

    store_id: str
    day: date
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting in force in a store on a day."""

    store_id: str
    day: date
    key: str
    value: Decimal


def _over(scope: Scope, windows: Sequence[Window]) -> dict[str, Any]:
    return {
        "scope": scope.store_ids,
        "stores": [window.store_id for window in windows],
        "days": [window.day for window in windows],
        "starts": [window.start for window in windows],
        "ends": [window.end for window in windows],
    }


def traffic(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[TrafficRow]:
    """Crossings of door and street lines by quarter hour, from the roll-up."""
    with conn.cursor(row_factory=class_row(TrafficRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT w.store_id, w.day, t.quarter, l.kind, t.direction, t.class AS crossing_class,
                   t.count AS crossings, t.groups, t.line_id
            FROM {windows}
            JOIN traffic_15m t ON t.store_id = w.store_id AND t.quarter >= w.start_at AND t.quarter < w.end_at
            JOIN line l ON l.line_id = t.line_id AND l.kind <> 'interior'
            WHERE {in_scope}
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE),
            _over(scope, windows),
        ).fetchall()


def raw_traffic(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[TrafficRow]:
    """The same from the raw crossings, for the begun quarter hour of a moment in the past.

    All windows' bounds are told as one, too: a chain's stores ask for nearly the same minutes, and to look these up
    once in the summary of the crossings' times takes no longer for a thousand of them than for one.
    """
    if not windows:
        return []
    quarter = _QUARTER.format(at=sql.Identifier("c", "at"))
    with conn.cursor(row_factory=class_row(TrafficRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT w.store_id, w.day, {quarter} AS quarter, l.kind, c.direction, c.class AS crossing_class,
                   count(*)::int AS crossings, (count(*) FILTER (WHERE c.opens_group))::int AS groups, c.line_id
            FROM {windows}
            JOIN crossing c ON c.store_id = w.store_id AND c.at >= w.start_at AND c.at < w.end_at
            JOIN line l ON l.line_id = c.line_id AND l.kind <> 'interior'
            WHERE {in_scope} AND c.at >= %(first)s AND c.at < %(last)s
            GROUP BY w.store_id, w.day, {quarter}, l.kind, c.direction, c.class, c.line_id
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE, quarter=quarter),
            {
                **_over(scope, windows),
                "first": min(window.start for window in windows),
                "last": max(window.end for window in windows),
            },
        ).fetchall()


def coverage(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[CoverageRow]:
    """Seconds watched by camera, quarter hour and minute."""
    with conn.cursor(row_factory=class_row(CoverageRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT w.store_id, w.day, v.camera_id, v.quarter, v.minute_seconds::float8[] AS minute_seconds
            FROM {windows}
            JOIN coverage_15m v ON v.store_id = w.store_id AND v.quarter >= w.start_at AND v.quarter < w.end_at
            WHERE {in_scope}
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE),
            _over(scope, windows),
        ).fetchall()


def receipts(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[ReceiptRow]:
    """Receipts of the till channel by quarter hour. Online orders and pick-ups are none of the door's business."""
    quarter = _QUARTER.format(at=sql.Identifier("r", "at"))
    with conn.cursor(row_factory=class_row(ReceiptRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT w.store_id, w.day, {quarter} AS quarter,
                   count(*)::int AS received,
                   (count(*) {sold})::int AS transactions,
                   coalesce(sum(r.gross) {sold}, 0) AS gross_sales,
                   coalesce(sum(r.gross * r.gross) {sold}, 0) AS sales_squares,
                   coalesce(sum(r.units) {sold}, 0) AS units,
                   coalesce(sum(r.units * r.units) {sold}, 0) AS units_squares,
                   (count(*) {refunded})::int AS refund_count,
                   coalesce(sum(r.gross) {refunded}, 0) AS refunds,
                   (count(*) {to_member})::int AS member_transactions,
                   coalesce(sum(r.gross) {to_member}, 0) AS member_sales,
                   coalesce(sum(r.gross * r.gross) {to_member}, 0) AS member_squares
            FROM {windows}
            JOIN receipt r ON r.store_id = w.store_id AND r.at >= w.start_at AND r.at < w.end_at
            WHERE r.channel = 'till' AND {in_scope}
            GROUP BY w.store_id, w.day, {quarter}
            """).format(
                windows=_WINDOWS,
                in_scope=_IN_SCOPE,
                quarter=quarter,
                sold=_SOLD,
                to_member=_TO_MEMBER,
                refunded=_REFUNDED,
            ),
            _over(scope, windows),
        ).fetchall()


def cameras(conn: Connection, scope: Scope, store_ids: Sequence[str]) -> list[CameraRow]:
    """The register of cameras with a door or street line, gone ones too."""
    with conn.cursor(row_factory=class_row(CameraRow)) as cursor:
        return cursor.execute(
            """
            SELECT c.store_id, c.camera_id, c.installed_at, c.removed_at,
                   bool_or(l.kind = 'door') AS at_door, bool_or(l.kind = 'street') AS at_street
            FROM camera c
            JOIN line l ON l.camera_id = c.camera_id AND l.kind <> 'interior'
            WHERE c.store_id = ANY(%(wanted)s)
              AND (%(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))
            GROUP BY c.camera_id
            ORDER BY c.camera_id
            """,
            {"wanted": list(store_ids), "scope": scope.store_ids},
        ).fetchall()


def door_history(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[DoorHistory]:
    """What each door camera of the windows' stores counted and for how long it watched, within the windows."""
    with conn.cursor(row_factory=class_row(DoorHistory)) as cursor:
        return cursor.execute(
            sql.SQL("""
            WITH w AS MATERIALIZED (SELECT * FROM {windows} WHERE {in_scope}),
            entered AS (
                SELECT w.store_id, w.day, l.camera_id, sum(t.count) AS entries
                FROM w
                JOIN traffic_15m t ON t.store_id = w.store_id AND t.quarter >= w.start_at AND t.quarter < w.end_at
                JOIN line l ON l.line_id = t.line_id AND l.kind = 'door'
                WHERE t.direction = 'in'
                GROUP BY w.store_id, w.day, l.camera_id
            ),
            watched AS (
                SELECT w.store_id, w.day, v.camera_id, sum(v.seconds) AS seconds
                FROM w
                JOIN coverage_15m v ON v.store_id = w.store_id AND v.quarter >= w.start_at AND v.quarter < w.end_at
                GROUP BY w.store_id, w.day, v.camera_id
            )
            SELECT w.store_id, w.day, c.camera_id,
                   coalesce(e.entries, 0)::int AS entries, coalesce(v.seconds, 0)::float8 AS seconds
            FROM w
            JOIN camera c ON c.store_id = w.store_id
                         AND EXISTS (SELECT FROM line l WHERE l.camera_id = c.camera_id AND l.kind = 'door')
            LEFT JOIN entered e ON (e.store_id, e.day, e.camera_id) = (w.store_id, w.day, c.camera_id)
            LEFT JOIN watched v ON (v.store_id, v.day, v.camera_id) = (w.store_id, w.day, c.camera_id)
            ORDER BY w.store_id, w.day, c.camera_id
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE),
            _over(scope, windows),
        ).fetchall()


def settings(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[SettingRow]:
    """Settings in force on the windows' days, where any is set: the store's own before the chain's."""
    with conn.cursor(row_factory=class_row(SettingRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT DISTINCT ON (w.store_id, w.day, k.key) w.store_id, w.day, k.key, k.value
            FROM {windows}
            JOIN kpi_setting k ON k.store_id IN (w.store_id, '') AND k.valid_from <= w.day
            WHERE {in_scope}
            ORDER BY w.store_id, w.day, k.key, k.store_id = '', k.valid_from DESC
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE),
            _over(scope, windows),
        ).fetchall()


def visits(conn: Connection, scope: Scope, windows: Sequence[Window]) -> list[VisitRow]:
    """Members by the quarter hour of their first receipt of the day; a receipt of any kind of sale they came for.

    Who buys at the till is a buyer; who fetches an online order was there all the same.
    """
    with conn.cursor(row_factory=class_row(VisitRow)) as cursor:
        return cursor.execute(
            sql.SQL("""
            SELECT store_id, day, {quarter} AS quarter, count(*)::int AS visits,
                   (count(*) FILTER (WHERE bought))::int AS buyers
            FROM (
                SELECT w.store_id, w.day, min(r.at) AS at, bool_or(r.channel = 'till') AS bought
                FROM {windows}
                JOIN receipt r ON r.store_id = w.store_id AND r.at >= w.start_at AND r.at < w.end_at
                WHERE r.kind = 'sale' AND r.channel IN ('till', 'pickup') AND r.voided_at IS NULL
                  AND r.member_id IS NOT NULL AND {in_scope}
                GROUP BY w.store_id, w.day, r.member_id
            ) v
            GROUP BY store_id, day, {quarter}
            """).format(windows=_WINDOWS, in_scope=_IN_SCOPE, quarter=_QUARTER.format(at=sql.Identifier("v", "at"))),
            _over(scope, windows),
        ).fetchall()


def past(conn: Connection, scope: Scope, quarters: Sequence[tuple[str, date, datetime]]) -> list[PastRow]:
    """What door lines counted in quarter hours of other weeks, where their cameras watched; see `imputation`.

    Args:
        quarters: store, the day it is history for, and the quarter hour.
    """
    with conn.cursor(row_factory=class_row(PastRow)) as cursor:
        return cursor.execute(
            """
            SELECT w.store_id, w.day, v.camera_id, l.line_id, w.quarter,
                   coalesce(sum(t.count), 0)::int AS entries,
                   coalesce(sum(t.count) FILTER (WHERE t.class <> 'staff'), 0)::int AS visitors,
                   (10 * v.seconds)::int AS tenths
            FROM unnest(%(stores)s::text[], %(days)s::date[], %(quarters)s::timestamptz[])
                AS w (store_id, day, quarter)
            JOIN coverage_15m v ON v.store_id = w.store_id AND v.quarter = w.quarter
            JOIN line l ON l.camera_id = v.camera_id AND l.kind = 'door'
            LEFT JOIN traffic_15m t ON t.store_id = w.store_id AND t.quarter = w.quarter AND t.line_id = l.line_id
                                   AND t.direction = 'in'
            WHERE %(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s)
            GROUP BY w.store_id, w.day, v.camera_id, l.line_id, w.quarter, v.seconds
            """,
            {
                "stores": [store_id for store_id, _, _ in quarters],
                "days": [day for _, day, _ in quarters],
                "quarters": [quarter for _, _, quarter in quarters],
                "scope": scope.store_ids,
            },
        ).fetchall()


def put_setting(
    conn: Connection, store_id: str, key: str, valid_from: date, value: Decimal, actor: str, at: datetime
) -> None:
    """Set a setting from a day on; the store '' is the whole chain."""
    conn.execute(
        """
        INSERT INTO kpi_setting (store_id, key, valid_from, value, changed_by, changed_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (store_id, key, valid_from)
        DO UPDATE SET value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        (store_id, key, valid_from, value, actor, at),
    )


def computed_days(
    conn: Connection, scope: Scope, store_ids: Sequence[str] | None, first: date
) -> list[tuple[str, date]]:
    """Store-days from `first` on that have been computed; of some stores or of all of the scope."""
    return [
        (store_id, day)
        for store_id, day in conn.execute(
            """
            SELECT store_id, day
            FROM store_day
            WHERE superseded_at IS NULL AND day >= %(first)s
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, day
            """,
            {"first": first, "wanted": None if store_ids is None else list(store_ids), "scope": scope.store_ids},
        )
    ]
