"""SQL of what a member's receipts add up to: visits by business day, and money by currency."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.models import Purchases, Spending
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class VisitRow:
    """What receipts say of visits."""

    visits: int
    receipts: int
    last_visit: datetime | None


def purchases(conn: Connection, scope: Scope, member_id: UUID) -> Purchases:
    """What receipts of a member, and of whoever was merged into them, add up to in the scope's stores.

    A refund is whose the sale is that it names; where that is nobody's or unknown, whose it says itself.

    A visit's day is the last one that had begun by then, under the rule in force on that day, as in `StoreCalendar`;
    only a `day_starts` that the clock shows twice in a night of summer time may be read as the later one here.
    """
    parameters = {"member_id": member_id, "scope": scope.store_ids}
    with conn.cursor(row_factory=class_row(VisitRow)) as cursor:
        visits = cursor.execute(
            """
            SELECT count(DISTINCT (r.store_id, d.day)) FILTER (WHERE r.channel IN ('till', 'pickup')) AS visits,
                   count(*) AS receipts,
                   max(r.at) FILTER (WHERE r.channel IN ('till', 'pickup')) AS last_visit
            FROM receipt r
            CROSS JOIN LATERAL (
                SELECT max(day) AS day
                FROM (
                    -- Each rule's answer, as far as the rule reaches; the first holds for everything before it, too.
                    SELECT least((r.at AT TIME ZONE c.timezone - c.day_starts)::date,
                                 lead(c.valid_from) OVER by_age - 1) AS day,
                           CASE WHEN row_number() OVER by_age > 1 THEN c.valid_from ELSE '-infinity' END AS first_day
                    FROM store_calendar c
                    WHERE c.store_id = r.store_id
                    WINDOW by_age AS (ORDER BY c.valid_from)
                ) rule
                WHERE day >= first_day
            ) d
            WHERE r.member_id = ANY(ARRAY(SELECT member_family(%(member_id)s)))
              AND r.kind = 'sale' AND r.voided_at IS NULL
              AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
            """,
            parameters,
        ).fetchone()
    with conn.cursor(row_factory=class_row(Spending)) as cursor:
        spending = cursor.execute(
            """
            WITH own AS (
                SELECT store_id, receipt_no, kind, refers_to, currency, gross, voided_at
                FROM receipt
                WHERE member_id = ANY(ARRAY(SELECT member_family(%(member_id)s))) AND kind IN ('sale', 'refund')
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            )
            SELECT currency, sum(amount) AS net
            FROM (
                SELECT currency, gross AS amount FROM own WHERE kind = 'sale' AND voided_at IS NULL
                UNION ALL
                SELECT r.currency, -r.gross
                FROM own s
                JOIN receipt r ON r.store_id = s.store_id AND r.refers_to = s.receipt_no
                WHERE s.kind = 'sale' AND r.kind = 'refund' AND r.voided_at IS NULL
                UNION ALL
                SELECT r.currency, -r.gross
                FROM own r
                LEFT JOIN receipt s ON s.store_id = r.store_id AND s.receipt_no = r.refers_to AND s.kind = 'sale'
                WHERE r.kind = 'refund' AND r.voided_at IS NULL AND s.member_id IS NULL
            ) AS moved
            GROUP BY currency
            ORDER BY currency
            """,
            parameters,
        ).fetchall()
    assert visits is not None, "an aggregate always answers"  # noqa: S101
    return Purchases(visits.visits, visits.receipts, visits.last_visit, spending)
