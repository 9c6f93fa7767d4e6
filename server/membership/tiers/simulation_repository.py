"""SQL of what other rules would do to every member, a slice of them at a time.

It reads all receipts of the last year or the rules' window, by design: it is asked for by HQ before rules are saved.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString

from psycopg.rows import class_row

from server.membership.tiers.models import Mover, TierPair
from server.membership.tiers.repository import LEVELS, Slice, level_params
from server.membership.tiers.rules import TierRules
from server.storage.arrays import array
from server.storage.pool import Connection

#: Where everybody would be, and what the benefits of both tiers cost on last year's spend. Points are counted as they
#: would be without any tier, since both sides multiply them anew.
_MOVED: LiteralString = """
    , year AS (
        SELECT r.holder AS member_id,
               coalesce(sum(r.kept * c.rate), 0) AS spend,
               coalesce(sum(r.standing / nullif(r.multiplier, 0)), 0) AS points
        FROM points_receipt r
        LEFT JOIN unnest(%(currencies)s::text[], %(rates)s::numeric[]) AS c (currency, rate) USING (currency)
        WHERE r.holder BETWEEN %(first)s AND %(last)s AND r.at >= %(year)s AND r.at <= %(now)s
        GROUP BY r.holder
    ), now_costs AS (
        SELECT * FROM unnest(%(now_slugs)s::text[], %(now_discounts)s::numeric[], %(now_multipliers)s::numeric[],
                             %(now_gifts)s::numeric[]) AS b (slug, discount, multiplier, gift)
    ), then_costs AS (
        SELECT * FROM unnest(%(slugs)s::text[], %(discounts)s::numeric[], %(multipliers)s::numeric[],
                             %(gifts)s::numeric[]) WITH ORDINALITY AS b (slug, discount, multiplier, gift, place)
    ), moved AS (
        SELECT m.member_id, m.card_no, m.tier AS from_tier, t.slug AS to_tier,
               coalesce(j.spend, d.spend, 0) AS spend, coalesce(j.visits, d.visits, 0) AS visits,
               coalesce(j.points, d.points, 0)::bigint AS points,
               greatest(coalesce(y.spend, 0), 0) * coalesce(n.discount, 0) / 100 + coalesce(n.gift, 0)
                   + greatest(coalesce(y.points, 0), 0) * (coalesce(n.multiplier, 1) - 1) * %(point)s AS cost_now,
               greatest(coalesce(y.spend, 0), 0) * t.discount / 100 + t.gift
                   + greatest(coalesce(y.points, 0), 0) * (t.multiplier - 1) * %(point)s AS cost_then
        FROM member m
        LEFT JOIN done d USING (member_id)
        LEFT JOIN judged j USING (member_id)
        LEFT JOIN year y USING (member_id)
        LEFT JOIN now_costs n ON n.slug = m.tier
        JOIN then_costs t ON t.place = coalesce(j.place, 1)
        WHERE m.member_id BETWEEN %(first)s AND %(last)s AND m.erased_at IS NULL AND m.merged_into IS NULL
    )
"""


def params(
    now_rules: TierRules, rules: TierRules, since: datetime, year: datetime, now: datetime, point: Decimal
) -> dict[str, Any]:
    """Parameters of both statements.

    Args:
        since: from when on the new rules look.
        year: a year ago.
        point: what one point is worth in the new rules' currency.
    """
    return {
        **level_params(rules, since, now),
        "year": year,
        "point": point,
        "discounts": array(level.benefits.discount for level in rules.levels),
        "multipliers": array(level.benefits.multiplier for level in rules.levels),
        "gifts": array(level.benefits.birthday_value for level in rules.levels),
        "now_slugs": [level.slug for level in now_rules.levels],
        "now_discounts": array(level.benefits.discount for level in now_rules.levels),
        "now_multipliers": array(level.benefits.multiplier for level in now_rules.levels),
        "now_gifts": array(level.benefits.birthday_value for level in now_rules.levels),
    }


def pairs(conn: Connection, given: dict[str, Any], slice_: Slice) -> list[TierPair]:
    """Members of a slice by the tier they are in and the one they would be in, with the costs of both."""
    with conn.cursor(row_factory=class_row(TierPair)) as cursor:
        return cursor.execute(
            "WITH "  # noqa: S608 - constants
            + LEVELS
            + _MOVED
            + """
            SELECT from_tier, to_tier, count(*) AS members, round(sum(cost_now), 2) AS cost_now,
                   round(sum(cost_then), 2) AS cost_then
            FROM moved
            GROUP BY from_tier, to_tier
            """,
            {**given, "first": slice_[0], "last": slice_[1]},
        ).fetchall()


def movers(conn: Connection, given: dict[str, Any], slice_: Slice, limit: int) -> list[Mover]:
    """Members of a slice who would move, by card number."""
    with conn.cursor(row_factory=class_row(Mover)) as cursor:
        return cursor.execute(
            "WITH "  # noqa: S608 - constants
            + LEVELS
            + _MOVED
            + """
            SELECT member_id, card_no, from_tier, to_tier, spend, visits, points
            FROM moved
            WHERE from_tier <> to_tier
            ORDER BY card_no
            LIMIT %(limit)s
            """,
            {**given, "first": slice_[0], "last": slice_[1], "limit": limit},
        ).fetchall()
