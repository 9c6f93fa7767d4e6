"""SQL of members' visits and purchases by the tier they had."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Done:
    """What members of one tier did in a store; of all tiers together (an empty one) only how many members they were."""

    store_id: str
    tier: str
    members: int
    visits: int
    buyers: int
    transactions: int
    sales: Decimal


def by_tier(conn: Connection, scope: Scope, days: Sequence[tuple[str, date, datetime, datetime]]) -> list[Done]:
    """What members did on business days, each given as store, day, start and end (UTC).

    A visit counts for the tier that the member had when first seen that day: after the last change until then, before
    the first one, or as it always was. Reads the receipts of each day by `receipt_day`, and of members who rose or fell
    their few changes by `tier_change_member`.
    """
    with conn.cursor(row_factory=class_row(Done)) as cursor:
        return cursor.execute(
            """
            WITH days AS (
                SELECT * FROM unnest(%(stores)s::text[], %(days)s::date[], %(starts)s::timestamptz[],
                                     %(ends)s::timestamptz[]) AS d (store_id, day, starts, ends)
                WHERE %(scope)s::text[] IS NULL OR d.store_id = ANY(%(scope)s)
            ),
            seen AS (
                SELECT d.store_id, d.day, r.member_id, r.at, r.channel = 'till' AS bought, r.gross
                FROM days d
                JOIN receipt r ON r.store_id = d.store_id AND r.at >= d.starts AND r.at < d.ends
                WHERE r.kind = 'sale' AND r.channel IN ('till', 'pickup') AND r.voided_at IS NULL
                  AND r.member_id IS NOT NULL
                UNION ALL
                SELECT d.store_id, d.day, c.member_id, c.at, false, 0
                FROM days d
                JOIN check_in c ON c.store_id = d.store_id AND c.at >= d.starts AND c.at < d.ends
            ),
            visit AS (
                -- Whom two cards were merged of is one visitor.
                SELECT s.store_id, s.day,
                       CASE WHEN m.merged_into IS NULL THEN s.member_id
                            ELSE member_root(m.merged_into) END AS member_id,
                       min(s.at) AS at, count(*) FILTER (WHERE s.bought) AS transactions,
                       coalesce(sum(s.gross) FILTER (WHERE s.bought), 0) AS sales
                FROM seen s
                LEFT JOIN member m ON m.member_id = s.member_id
                GROUP BY 1, 2, 3
            ),
            held AS (
                SELECT v.*, coalesce(
                    (SELECT c.to_tier FROM tier_change c
                     WHERE c.member_id = v.member_id AND c.at <= v.at ORDER BY c.at DESC, c.change_id DESC LIMIT 1),
                    (SELECT c.from_tier FROM tier_change c
                     WHERE c.member_id = v.member_id ORDER BY c.at, c.change_id LIMIT 1),
                    (SELECT m.tier FROM member m WHERE m.member_id = v.member_id)) AS tier
                FROM visit v
            )
            SELECT store_id, CASE WHEN grouping(tier) = 1 THEN '' ELSE tier END AS tier,
                   count(DISTINCT member_id) AS members, count(*) AS visits,
                   count(*) FILTER (WHERE transactions > 0) AS buyers, sum(transactions)::bigint AS transactions,
                   sum(sales) AS sales
            FROM held
            GROUP BY GROUPING SETS ((store_id, tier), (store_id))
            ORDER BY store_id, tier
            """,
            {
                "stores": [store_id for store_id, *_ in days],
                "days": [day for _, day, *_ in days],
                "starts": [start for *_, start, _ in days],
                "ends": [end for *_, end in days],
                "scope": scope.store_ids,
            },
        ).fetchall()
