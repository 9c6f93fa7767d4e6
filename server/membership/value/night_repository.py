"""A night's work: what every member is worth, in SQL from receipts to grades, a million members at a time.

It is one transaction over working tables of its own, so that a page sees last night's figures or tonight's and never
half of each. What a member is depends on receipts and on the grading only: run twice, it gives the same.

A receipt's day is the store's business day under the calendar of today; one that a store had years ago is not looked
up for each of ten million receipts, when a night's shift of a day moves no grade.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, LiteralString

from psycopg import ClientCursor, sql

from server.access.models import Scope
from server.membership.value.models import Grading
from server.storage.pool import Connection

#: Of buyers, by value.
TOP: Final = 0.2
BOTTOM: Final = 0.3
#: How far back purchases tell a rhythm, whatever the window is (days).
RHYTHM_DAYS: Final = 730
#: Days between purchases where nobody has bought often enough to tell.
DEFAULT_RHYTHM: Final = 60.0

#: Whom receipts of a merged member count for.
_ROOTS: LiteralString = """
    CREATE TEMP TABLE root ON COMMIT DROP AS
    SELECT member_id, member_root(merged_into) AS kept FROM member WHERE merged_into IS NOT NULL
"""
#: Calendars of today, and rates and costs with the days on which each holds: small, so that a receipt finds its own by
#: hashing, where looking up the latest one before it would cost more than all the rest.
_CALENDARS: LiteralString = """
    CREATE TEMP TABLE calendar ON COMMIT DROP AS
    SELECT DISTINCT ON (store_id) store_id, timezone, day_starts FROM store_calendar ORDER BY store_id, valid_from DESC
"""
_RATES: LiteralString = """
    CREATE TEMP TABLE worth ON COMMIT DROP AS
    SELECT currency, rate, valid_from,
           coalesce(lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from), 'infinity') AS until
    FROM exchange_rate WHERE reporting = %(reporting)s
    UNION ALL SELECT %(reporting)s, 1, '-infinity', 'infinity'
"""
_COSTS: LiteralString = """
    CREATE TEMP TABLE costing ON COMMIT DROP AS
    SELECT occasion, amount, valid_from,
           coalesce(lead(valid_from) OVER (PARTITION BY occasion ORDER BY valid_from), 'infinity') AS until
    FROM serving_cost
"""
#: The receipts of members, each on its day and with the rate of its day. A refund is whose the sale is that it names:
#: tills take goods back without asking for a card.
_CHOSEN: LiteralString = """
    CREATE TEMP TABLE chosen ON COMMIT DROP AS
    SELECT r.member_id, r.store_id, r.receipt_no, r.kind, r.refers_to, r.day,
           CASE r.kind WHEN 'sale' THEN 1 ELSE -1 END * coalesce(x.rate, 1) AS worth, r.gross, r.net,
           x.rate IS NULL AS left_out
    FROM (
        SELECT coalesce(root.kept, r.member_id) AS member_id, r.store_id, r.receipt_no, r.kind, r.refers_to, r.currency,
               r.gross, coalesce(r.net, r.gross) AS net, ((r.at AT TIME ZONE c.timezone) - c.day_starts)::date AS day
        FROM (
            SELECT member_id, store_id, receipt_no, kind, NULL AS refers_to, currency, gross, net, at
            FROM receipt
            WHERE member_id IS NOT NULL AND voided_at IS NULL AND kind = 'sale'
              AND at >= %(since)s AND at < %(until)s
            UNION ALL
            SELECT coalesce(s.member_id, b.member_id), b.store_id, b.receipt_no, b.kind, s.receipt_no, b.currency,
                   b.gross, b.net, b.at
            FROM receipt b
            LEFT JOIN receipt s ON s.store_id = b.store_id AND s.receipt_no = b.refers_to AND s.kind = 'sale'
            WHERE coalesce(s.member_id, b.member_id) IS NOT NULL AND b.voided_at IS NULL AND b.kind = 'refund'
              AND b.at >= %(since)s AND b.at < %(until)s
        ) AS r
        JOIN calendar c USING (store_id)
        LEFT JOIN root ON root.member_id = r.member_id
    ) AS r
    LEFT JOIN worth x ON x.currency = r.currency AND r.day >= x.valid_from AND r.day < x.until
    WHERE r.day <= %(day)s
"""
#: What the goods of each cost; null where not all lines say it, and nobody knows the margin.
_COSTED: LiteralString = """
    CREATE TEMP TABLE costed ON COMMIT DROP AS
    SELECT store_id, receipt_no, CASE WHEN bool_and(cost IS NOT NULL) THEN sum(cost) END AS cost
    FROM receipt_line JOIN chosen USING (store_id, receipt_no)
    GROUP BY store_id, receipt_no
"""
#: Few tills say what goods cost that come back. They cost what the sale says of the same goods, by piece; of a refund
#: without such lines, the part of the sale's cost that it is of the sale. Else the sale's margin would stay whole.
_RETURNED: LiteralString = """
    CREATE TEMP TABLE returned ON COMMIT DROP AS
    SELECT c.store_id, c.receipt_no,
           least(coalesce(g.cost, w.cost * least(c.gross / nullif(s.gross, 0), 1)), w.cost) AS cost
    FROM chosen c
    JOIN receipt s ON s.store_id = c.store_id AND s.receipt_no = c.refers_to
    CROSS JOIN LATERAL (
        SELECT CASE WHEN bool_and(cost IS NOT NULL) THEN sum(cost) END AS cost
        FROM receipt_line WHERE store_id = c.store_id AND receipt_no = c.refers_to
    ) AS w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN bool_and(coalesce(b.cost, u.cost) IS NOT NULL) THEN sum(coalesce(b.cost, u.cost)) END AS cost
        FROM receipt_line b
        LEFT JOIN LATERAL (
            SELECT sum(cost) / nullif(sum(quantity), 0) * b.quantity AS cost
            FROM receipt_line WHERE store_id = c.store_id AND receipt_no = c.refers_to AND sku = b.sku
        ) AS u ON true
        WHERE b.store_id = c.store_id AND b.receipt_no = c.receipt_no
    ) AS g
    LEFT JOIN costed d ON d.store_id = c.store_id AND d.receipt_no = c.receipt_no
    WHERE c.kind = 'refund' AND d.cost IS NULL
"""
#: What each brought in the reporting currency.
_BOUGHT: LiteralString = """
    CREATE TEMP TABLE bought ON COMMIT DROP AS
    SELECT c.member_id, c.store_id, c.day, c.kind, c.gross * c.worth AS spent,
           (c.net - coalesce(l.cost, b.cost)) * c.worth AS margin, c.left_out
    FROM chosen c
    LEFT JOIN costed l USING (store_id, receipt_no)
    LEFT JOIN returned b USING (store_id, receipt_no)
"""
#: Days on which somebody bought, with the gap before each.
_DAYS: LiteralString = """
    CREATE TEMP TABLE bought_on ON COMMIT DROP AS
    SELECT member_id, day, day - lag(day) OVER (PARTITION BY member_id ORDER BY day) AS gap
    FROM (SELECT DISTINCT member_id, day FROM bought WHERE kind = 'sale') AS days
"""
_LIFE: LiteralString = """
    CREATE TEMP TABLE life ON COMMIT DROP AS
    SELECT member_id, count(*) AS days, max(day) AS last_day, min(day) AS first_day,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) AS rhythm,
           (array_agg(gap ORDER BY day DESC))[1] AS last_gap
    FROM bought_on GROUP BY member_id
"""
_MONEY: LiteralString = """
    CREATE TEMP TABLE money ON COMMIT DROP AS
    SELECT member_id,
           max(day) FILTER (WHERE kind = 'sale') AS last_bought,
           count(DISTINCT day) FILTER (WHERE kind = 'sale') AS frequency,
           coalesce(sum(spent) FILTER (WHERE NOT left_out), 0) AS monetary,
           coalesce(sum(margin) FILTER (WHERE NOT left_out), 0) AS margin,
           coalesce(sum(spent) FILTER (WHERE NOT left_out AND margin IS NULL), 0) AS unknown_sales,
           count(*) FILTER (WHERE left_out) AS left_out
    FROM bought
    WHERE day > %(day)s - %(window)s::int
    GROUP BY member_id
"""
#: What serving cost, each occasion at the rate of its day.
_SERVED: LiteralString = """
    CREATE TEMP TABLE served ON COMMIT DROP AS
    SELECT member_id, sum(amount) AS cost
    FROM (
        SELECT b.member_id, c.amount
        FROM bought b
        JOIN costing c ON c.occasion = b.kind AND b.day >= c.valid_from AND b.day < c.until
        WHERE b.day > %(day)s - %(window)s::int
        UNION ALL
        SELECT v.member_id, c.amount
        FROM (
            SELECT member_id, store_id, day FROM bought
            WHERE kind = 'sale' AND EXISTS (SELECT FROM costing WHERE occasion = 'visit')
            UNION
            SELECT coalesce(root.kept, i.member_id), i.store_id,
                   ((i.at AT TIME ZONE c.timezone) - c.day_starts)::date
            FROM check_in i
            JOIN calendar c USING (store_id)
            LEFT JOIN root ON root.member_id = i.member_id
            WHERE i.at >= %(since)s AND i.at < %(until)s
        ) AS v
        JOIN costing c ON c.occasion = 'visit' AND v.day >= c.valid_from AND v.day < c.until
        WHERE v.day > %(day)s - %(window)s::int AND v.day <= %(day)s
        UNION ALL
        SELECT m.member_id, c.amount
        FROM member m
        CROSS JOIN LATERAL generate_series(
            greatest(m.enrolled_at::date, %(day)s - %(window)s::int + 1)::timestamp, %(day)s::timestamp, '1 month'
        ) AS month
        JOIN costing c ON c.occasion = 'month' AND month >= c.valid_from AND month < c.until
        WHERE EXISTS (SELECT FROM costing WHERE occasion = 'month')
        UNION ALL
        SELECT coalesce(root.kept, o.member_id), o.amount
        FROM member_cost o LEFT JOIN root ON root.member_id = o.member_id
        WHERE o.day > %(day)s - %(window)s::int AND o.day <= %(day)s
    ) AS costs
    GROUP BY member_id
"""
#: Everybody, with grades. Where there are no cuts, `percent_rank` gives equals the same fifth.
_GRADED: LiteralString = """
    CREATE TEMP TABLE graded ON COMMIT DROP AS
    WITH everybody AS (
        SELECT m.member_id, m.home_store, m.enrolled_at::date AS enrolled,
               y.last_bought, coalesce(y.frequency, 0) AS frequency, coalesce(y.monetary, 0) AS monetary,
               coalesce(y.margin, 0) AS margin, coalesce(y.unknown_sales, 0) AS unknown_sales,
               coalesce(s.cost, 0) AS cost,
               l.last_day, l.first_day, l.last_gap, coalesce(l.days, 0) AS days,
               coalesce(l.days, 0) >= %(least)s AS own_rhythm,
               greatest(CASE WHEN l.days >= %(least)s THEN l.rhythm ELSE %(chain_rhythm)s END, 1) AS rhythm
        FROM member m
        LEFT JOIN money y USING (member_id)
        LEFT JOIN life l USING (member_id)
        LEFT JOIN served s USING (member_id)
        WHERE m.erased_at IS NULL AND m.merged_into IS NULL
    ), placed AS (
        SELECT member_id,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY last_bought)), 5) AS r,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY frequency)), 5) AS f,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY monetary)), 5) AS m
        FROM everybody WHERE last_bought IS NOT NULL
    )
    SELECT e.*, e.margin - e.cost AS value,
           CASE WHEN e.last_bought IS NULL THEN NULL
                WHEN %(r_cuts)s::int[] IS NULL THEN p.r
                ELSE 1 + (SELECT count(*) FROM unnest(%(r_cuts)s::int[]) AS cut WHERE %(day)s - e.last_bought <= cut)
           END::smallint AS r,
           CASE WHEN e.last_bought IS NULL THEN NULL
                WHEN %(f_cuts)s::int[] IS NULL THEN p.f
                ELSE 1 + (SELECT count(*) FROM unnest(%(f_cuts)s::int[]) AS cut WHERE e.frequency >= cut)
           END::smallint AS f,
           CASE WHEN e.last_bought IS NULL THEN NULL
                WHEN %(m_cuts)s::numeric[] IS NULL THEN p.m
                ELSE 1 + (SELECT count(*) FROM unnest(%(m_cuts)s::numeric[]) AS cut WHERE e.monetary >= cut)
           END::smallint AS m,
           CASE
               WHEN e.last_day IS NULL AND %(day)s - e.enrolled <= %(new)s THEN 'new'
               WHEN e.days = 1 AND %(day)s - e.first_day <= %(new)s THEN 'new'
               WHEN quiet > %(lost)s * e.rhythm THEN 'lost'
               WHEN quiet > %(dormant)s * e.rhythm THEN 'dormant'
               WHEN quiet > %(at_risk)s * e.rhythm THEN 'at_risk'
               WHEN e.last_gap > %(dormant)s * e.rhythm AND %(day)s - e.last_day <= %(won_back)s THEN 'won_back'
               ELSE 'active'
           END AS stage
    FROM everybody e
    CROSS JOIN LATERAL (SELECT %(day)s - coalesce(e.last_day, e.enrolled) AS quiet) AS q
    LEFT JOIN placed p USING (member_id)
"""


#: Rhythm of the chain: the middle of its members' own.
_CHAIN_RHYTHM: LiteralString = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY rhythm) FROM life WHERE days >= %s
"""
_BEST: LiteralString = """
    SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY value) FROM graded WHERE last_bought IS NOT NULL
"""
_PUT: LiteralString = """
    INSERT INTO member_value
        (member_id, home_store, day, version, last_bought, frequency, monetary, margin, unknown_sales, cost, value,
         r, f, m, rhythm, own_rhythm, stage, high, band)
    SELECT member_id, home_store, %(day)s, %(version)s, last_bought, frequency, round(monetary, 2), round(margin, 2),
           round(unknown_sales, 2), round(cost, 2), round(value, 2), r, f, m, rhythm, own_rhythm, stage,
           coalesce(last_bought IS NOT NULL AND value >= %(high_from)s, false),
           CASE WHEN last_bought IS NULL THEN NULL
                WHEN place <= round(buyers * %(top)s) THEN 'top'
                WHEN place > buyers - round(buyers * %(bottom)s) THEN 'bottom'
           END
    FROM (
        SELECT *, row_number() OVER (ORDER BY last_bought IS NULL, round(value, 2) DESC, member_id) AS place,
               count(last_bought) OVER () AS buyers
        FROM graded
    ) AS placed
"""
_STANDING: LiteralString = """
    INSERT INTO value_standing
        (day, version, members, buyers, high, profit, high_profit, top_profit, bottom_profit, unknown_sales, left_out,
         stages, made_at)
    SELECT %(day)s, %(version)s, count(*), count(last_bought), count(*) FILTER (WHERE high),
           coalesce(sum(value), 0),
           coalesce(sum(value) FILTER (WHERE high), 0),
           coalesce(sum(value) FILTER (WHERE band = 'top'), 0),
           coalesce(sum(value) FILTER (WHERE band = 'bottom'), 0),
           (SELECT coalesce(sum(unknown_sales), 0) FROM member_value),
           (SELECT coalesce(sum(left_out), 0) FROM money),
           (SELECT coalesce(jsonb_object_agg(stage, members), '{}')
            FROM (SELECT stage, count(*) AS members FROM member_value GROUP BY stage) AS s),
           %(now)s
    FROM member_value
    ON CONFLICT (day) DO UPDATE
    SET version = excluded.version, members = excluded.members, buyers = excluded.buyers, high = excluded.high,
        profit = excluded.profit, high_profit = excluded.high_profit, top_profit = excluded.top_profit,
        bottom_profit = excluded.bottom_profit, unknown_sales = excluded.unknown_sales, left_out = excluded.left_out,
        stages = excluded.stages, made_at = excluded.made_at
"""


def compute(
    conn: Connection, scope: Scope, grading: Grading, version: int, reporting: str, day: date, now: datetime
) -> Decimal | None:
    """Make everybody's value anew and note how the chain stands.

    Args:
        conn: a transaction.
        scope: of the whole chain.
        reporting: the chain's currency.
        day: up to and with which receipts count.

    Returns:
        the value from which on a member is of high value; None while nobody has bought.
    """
    scope.require_whole_chain()
    back = max(grading.window_days, RHYTHM_DAYS) + grading.won_back_days
    midnight = datetime.combine(day, time(), UTC)
    asked = {
        "reporting": reporting,
        "day": day,
        "window": grading.window_days,
        # A day wider than any timezone on either side.
        "since": midnight - timedelta(days=back + 1),
        "until": midnight + timedelta(days=3),
        "least": grading.least_purchases,
        "r_cuts": _listed(grading.recency_cuts),
        "f_cuts": _listed(grading.frequency_cuts),
        "m_cuts": _listed(grading.monetary_cuts),
        "new": grading.new_days,
        "at_risk": grading.at_risk_after,
        "dormant": grading.dormant_after,
        "lost": grading.lost_after,
        "won_back": grading.won_back_days,
    }
    # Working tables have no statistics until they are given some, and plans over a million rows without are bad ones.
    for statement, table in (
        (_ROOTS, "root"),
        (_CALENDARS, "calendar"),
        (_RATES, "worth"),
        (_COSTS, "costing"),
        (_CHOSEN, "chosen"),
        (_COSTED, "costed"),
        (_RETURNED, "returned"),
        (_BOUGHT, "bought"),
        (_DAYS, "bought_on"),
        (_LIFE, "life"),
        (_MONEY, "money"),
        (_SERVED, "served"),
    ):
        _make(conn, statement, asked)
        conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    rhythm = conn.execute(_CHAIN_RHYTHM, (grading.least_purchases,)).fetchone()
    asked["chain_rhythm"] = float(rhythm[0]) if rhythm and rhythm[0] is not None else DEFAULT_RHYTHM
    _make(conn, _GRADED, asked)
    best = conn.execute(_BEST, (1 - TOP,)).fetchone()
    high_from: Decimal | None = grading.high_from if grading.high_from is not None else (best[0] if best else None)
    conn.execute("DELETE FROM member_value")
    conn.execute(_PUT, {"day": day, "version": version, "high_from": high_from, "top": TOP, "bottom": BOTTOM})
    conn.execute(_STANDING, {"day": day, "version": version, "now": now})
    return high_from


def latest_over(conn: Connection, scope: Scope, now: datetime) -> date | None:
    """The latest business day that has ended in every store; None where there is no store."""
    scope.require_whole_chain()
    row = conn.execute(
        """
        SELECT min(((%(now)s AT TIME ZONE timezone) - day_starts)::date) - 1
        FROM (
            SELECT DISTINCT ON (store_id) timezone, day_starts
            FROM store_calendar WHERE valid_from <= %(day)s ORDER BY store_id, valid_from DESC
        ) AS calendar
        """,
        {"now": now, "day": now.date()},
    ).fetchone()
    return None if row is None else row[0]


def _make(conn: Connection, statement: LiteralString, asked: Mapping[str, object]) -> None:
    """Run a statement that makes a table; such take no parameters of their own, so they are written into it."""
    with ClientCursor(conn) as cursor:
        cursor.execute(statement, asked)


def _listed(cuts: tuple[object, ...] | None) -> list[object] | None:
    return None if cuts is None else list(cuts)
