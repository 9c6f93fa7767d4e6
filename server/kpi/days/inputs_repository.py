"""SQL of all that store-days are computed from, in one statement.

A day by quarter hour is some three hundred small rows out of seven tables. Asked one by one, most of the time goes into
asking: each statement has its own plan to start, its own round trip, and its rows their own way through the driver. So
one statement answers with a line for each store-day, whose cells are lists (JSON): the rows of one table. The plan it
relies on is a range of an index for each table and store-day, whatever their number (so the register's few rows are
asked for by store, too: what a line or camera counted is its own store's); the store-days are given as JSON,
of which the planner can't guess how many there are, so that the one plan it makes is as good to it as any other, and is
kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec
from psycopg import sql

from server.access.models import Scope
from server.kpi.corrections.staffing import ShiftRow
from server.kpi.days.crossings import TrafficRow
from server.kpi.days.facts import ReceiptRow, VisitRow
from server.kpi.days.watching import CameraRow, CoverageRow
from server.storage.pool import Connection

_SECONDS: Final = sql.SQL("date_part('epoch', {})::bigint")
_QUARTER: Final = sql.SQL("date_bin('15 minutes', r.at, '2000-01-01 00:00:00+00'::timestamptz)")
_SOLD: Final = sql.SQL("FILTER (WHERE r.voided_at IS NULL AND r.kind = 'sale')")
_TO_MEMBER: Final = sql.SQL("FILTER (WHERE r.voided_at IS NULL AND r.kind = 'sale' AND r.member_id IS NOT NULL)")
_REFUNDED: Final = sql.SQL("FILTER (WHERE r.voided_at IS NULL AND r.kind = 'refund')")

_STATEMENT: Final = (
    sql.SQL("""
SELECT w.store_id, w.day, k.settings,
       (
           SELECT json_agg(json_build_array({traffic_quarter}, l.kind, t.direction, t.class, t.count, t.groups,
                                            t.line_id))
           FROM traffic_15m t
           JOIN line l ON l.store_id = w.store_id AND l.line_id = t.line_id AND l.kind <> 'interior'
           WHERE t.store_id = w.store_id AND t.quarter >= w.start_at AND t.quarter < w.rolled_up_to
       )::text AS traffic,
       (
           SELECT json_agg(json_build_array(
                      v.camera_id, {coverage_quarter}, (10 * v.seconds)::int,
                      CASE WHEN v.quarter + interval '15 minutes' > w.due_by OR c.installed_at > v.quarter
                                OR c.removed_at < v.quarter + interval '15 minutes'
                           THEN v.minute_seconds END))
           FROM coverage_15m v
           LEFT JOIN camera c ON c.store_id = w.store_id AND c.camera_id = v.camera_id
           WHERE v.store_id = w.store_id AND v.quarter >= w.start_at AND v.quarter < w.end_at
       )::text AS coverage,
       (
           SELECT json_agg(json_build_array(
                      {receipt_quarter}, received, transactions, gross_sales, sales_squares, units, units_squares,
                      refund_count, refunds, member_transactions, member_sales, member_squares))
           FROM (
               SELECT {quarter} AS quarter,
                      count(*) AS received,
                      count(*) {sold} AS transactions,
                      coalesce(sum(r.gross) {sold}, 0) AS gross_sales,
                      coalesce(sum(r.gross * r.gross) {sold}, 0) AS sales_squares,
                      coalesce(sum(r.units) {sold}, 0) AS units,
                      coalesce(sum(r.units * r.units) {sold}, 0) AS units_squares,
                      count(*) {refunded} AS refund_count,
                      coalesce(sum(r.gross) {refunded}, 0) AS refunds,
                      count(*) {to_member} AS member_transactions,
                      coalesce(sum(r.gross) {to_member}, 0) AS member_sales,
                      coalesce(sum(r.gross * r.gross) {to_member}, 0) AS member_squares
               FROM receipt r
               WHERE r.store_id = w.store_id AND r.at >= w.start_at AND r.at < w.end_at AND r.channel = 'till'
               GROUP BY 1
           ) r
       )::text AS receipts,
       CASE WHEN k.takes_check_ins THEN (
           SELECT json_agg(json_build_array({receipt_quarter}, visits, buyers))
           FROM (
               SELECT {quarter} AS quarter, count(*) AS visits, count(*) FILTER (WHERE bought) AS buyers
               FROM (
                   SELECT min(seen.at) AS at, bool_or(seen.bought) AS bought
                   FROM (
                       SELECT r.member_id, r.at, r.channel = 'till' AS bought
                       FROM receipt r
                       WHERE r.store_id = w.store_id AND r.at >= w.start_at AND r.at < w.end_at AND r.kind = 'sale'
                         AND r.channel IN ('till', 'pickup') AND r.voided_at IS NULL AND r.member_id IS NOT NULL
                       UNION ALL
                       SELECT c.member_id, c.at, false
                       FROM check_in c
                       WHERE c.store_id = w.store_id AND c.at >= w.start_at AND c.at < w.end_at
                   ) seen
                   LEFT JOIN member m ON m.member_id = seen.member_id
                   -- Whom two cards were merged of is one visitor.
                   GROUP BY CASE WHEN m.merged_into IS NULL THEN seen.member_id ELSE member_root(m.merged_into) END
               ) r
               GROUP BY 1
           ) r
       ) END::text AS visits,
       (
           SELECT json_agg(json_build_array(camera_id, installed_at, removed_at, at_door, at_street) ORDER BY camera_id)
           FROM (
               SELECT c.camera_id, c.installed_at, c.removed_at, bool_or(l.kind = 'door') AS at_door,
                      bool_or(l.kind = 'street') AS at_street
               FROM camera c
               JOIN line l ON l.store_id = w.store_id AND l.camera_id = c.camera_id AND l.kind <> 'interior'
               WHERE c.store_id = w.store_id
               GROUP BY c.camera_id
           ) c
       )::text AS cameras,
       (
           SELECT json_agg(json_build_array(s.starts_at, s.ends_at, s.people) ORDER BY s.starts_at, s.ends_at)
           FROM roster_day d
           LEFT JOIN roster_shift s ON s.store_id = d.store_id AND s.day = d.day
           WHERE d.store_id = w.store_id AND d.day = w.day
       )::text AS shifts
FROM json_to_recordset(%(wanted)s) AS w (
    store_id text, day date, start_at timestamptz, end_at timestamptz, rolled_up_to timestamptz, due_by timestamptz
)
CROSS JOIN LATERAL (
    SELECT json_object_agg(key, value)::text AS settings,
           bool_or(key = 'takes_check_ins' AND value > 0) AS takes_check_ins
    FROM (
        SELECT DISTINCT ON (key) key, value
        FROM kpi_setting
        WHERE kpi_setting.store_id IN (w.store_id, '') AND valid_from <= w.day
        ORDER BY key, kpi_setting.store_id = '', valid_from DESC
    ) k
) k
WHERE %(scope)s::text[] IS NULL OR w.store_id = ANY(%(scope)s)
""")
    .format(
        traffic_quarter=_SECONDS.format(sql.SQL("t.quarter")),
        coverage_quarter=_SECONDS.format(sql.SQL("v.quarter")),
        receipt_quarter=_SECONDS.format(sql.SQL("quarter")),
        quarter=_QUARTER,
        sold=_SOLD,
        to_member=_TO_MEMBER,
        refunded=_REFUNDED,
    )
    .as_bytes()
)

# What stands in the cells, list by list.
_TRAFFIC: Final = msgspec.json.Decoder(list[tuple[int, str, str, str, int, int, str]])
_COVERAGE: Final = msgspec.json.Decoder(list[tuple[str, int, int, list[float] | None]])
_RECEIPTS: Final = msgspec.json.Decoder(
    list[tuple[int, int, int, Decimal, Decimal, Decimal, Decimal, int, Decimal, int, Decimal, Decimal],]
)
_VISITS: Final = msgspec.json.Decoder(list[tuple[int, int, int]])
_CAMERAS: Final = msgspec.json.Decoder(list[tuple[str, datetime, datetime | None, bool, bool]])
_SHIFTS: Final = msgspec.json.Decoder(list[tuple[datetime | None, datetime | None, Decimal | None]])
_SETTINGS: Final = msgspec.json.Decoder(dict[str, Decimal])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A store-day to read (all instants UTC).

    Attributes:
        start_at: of the business day; rows before `end_at` are read.
        rolled_up_to: of crossings, quarter hours that begin before this.
        due_by: minutes that end later are not due.
    """

    store_id: str
    day: date
    start_at: datetime
    end_at: datetime
    rolled_up_to: datetime
    due_by: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept of a store-day; `settings` by key, as far as any was set. Visits where check-ins are taken."""

    settings: dict[str, Decimal] = field(default_factory=dict)
    traffic: list[TrafficRow] = field(default_factory=list)
    coverage: list[CoverageRow] = field(default_factory=list)
    receipts: list[ReceiptRow] = field(default_factory=list)
    visits: list[VisitRow] = field(default_factory=list)
    cameras: list[CameraRow] = field(default_factory=list)
    shifts: list[ShiftRow] = field(default_factory=list)


def found(conn: Connection, scope: Scope, wanted: Sequence[Wanted]) -> dict[tuple[str, date], Found]:
    """What is kept of store-days of the scope, by store and day.

    Crossings are of door and street lines by quarter hour, from the roll-up. Receipts are the till channel's: online
    orders and pick-ups are none of the door's business. Visits are members by the quarter hour of their first receipt
    of the day, of any kind of sale they came for: who fetches an online order was there all the same. Cameras are
    those with a door or street line, gone ones too.
    """
    given = {"wanted": msgspec.json.encode(wanted).decode(), "scope": scope.store_ids}
    # Kept from the first time on: planning takes twice as long as answering.
    return {(row[0], row[1]): _found(*row) for row in conn.execute(_STATEMENT, given, prepare=True)}


def _found(
    store_id: str,
    day: date,
    settings: str | None,
    traffic: str | None,
    coverage: str | None,
    receipts: str | None,
    visits: str | None,
    cameras: str | None,
    shifts: str | None,
) -> Found:
    return Found(
        settings=_SETTINGS.decode(settings or "{}"),
        traffic=[TrafficRow(store_id, day, _at(row[0]), *row[1:]) for row in _TRAFFIC.decode(traffic or "[]")],
        coverage=[
            CoverageRow(store_id, day, camera_id, _at(quarter), minutes, tenths)
            for camera_id, quarter, tenths, minutes in _COVERAGE.decode(coverage or "[]")
        ],
        receipts=[ReceiptRow(store_id, day, _at(row[0]), *row[1:]) for row in _RECEIPTS.decode(receipts or "[]")],
        visits=[VisitRow(store_id, day, _at(row[0]), *row[1:]) for row in _VISITS.decode(visits or "[]")],
        cameras=[CameraRow(store_id, *row) for row in _CAMERAS.decode(cameras or "[]")],
        shifts=[ShiftRow(store_id, day, *row) for row in _SHIFTS.decode(shifts or "[]")],
    )


@lru_cache(maxsize=4096)
def _at(seconds: int) -> datetime:
    """The same few quarter hours for all stores of a chain."""
    return datetime.fromtimestamp(seconds, UTC)
