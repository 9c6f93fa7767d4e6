"""SQL of tiers: rules, where members stand, what they did, and every change.

Spend, visits and points are read from what points remember of receipts (points_receipt), where a refund lessens the
sale it belongs to and a merge changes whose a receipt is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.membership import rulebook_repository
from server.membership.rulebook_repository import RulesRow
from server.membership.tiers.models import TierChange
from server.membership.tiers.rules import Activity, TierRules, stored
from server.membership.tiers.standing import Standing, Why
from server.storage.arrays import array
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Change:
    """A change to be written; `before`, of a merge: where the member stood, for when it is undone."""

    member_id: UUID
    from_tier: str
    standing: Standing
    why: Why
    rules_version: int
    reason: str | None = None
    before: Standing | None = None


def rules_rows(conn: Connection) -> list[RulesRow]:
    """All versions, newest first."""
    return rulebook_repository.rules_rows(conn, "tier_rules")


def rules_versions(conn: Connection) -> list[tuple[datetime, int, TierRules]]:
    """All versions, to choose the one in force from."""
    return [(row.valid_from, row.version, stored(row.body)) for row in rules_rows(conn)]


def hold(conn: Connection, member_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """Where members stand who are no one else and not erased, held until the transaction ends."""
    rows = conn.execute(
        """
        SELECT m.member_id, m.tier, coalesce(s.since, m.enrolled_at), s.period_end, s.grace_until
        FROM member m
        LEFT JOIN tier_standing s ON s.member_id = m.member_id AND s.tier = m.tier
        WHERE m.member_id = ANY(%s) AND m.erased_at IS NULL AND m.merged_into IS NULL
        ORDER BY m.member_id
        FOR NO KEY UPDATE OF m
        """,
        (sorted(set(member_ids)),),
    ).fetchall()
    return {row[0]: Standing(*row[1:]) for row in rows}


def standing_of_any(conn: Connection, member_id: UUID) -> Standing | None:
    """Where a member stands, or stood before a merge."""
    row = conn.execute(
        """
        SELECT m.tier, coalesce(s.since, m.enrolled_at), s.period_end, s.grace_until
        FROM member m
        LEFT JOIN tier_standing s ON s.member_id = m.member_id AND s.tier = m.tier
        WHERE m.member_id = %s
        """,
        (member_id,),
    ).fetchone()
    return None if row is None else Standing(*row)


def standing(conn: Connection, scope: Scope, member_id: UUID) -> tuple[UUID, Standing] | None:
    """Whom an id means today and where they stand, if the scope may know of them."""
    row = conn.execute(
        """
        SELECT m.member_id, m.tier, coalesce(s.since, m.enrolled_at), s.period_end, s.grace_until
        FROM member m
        LEFT JOIN tier_standing s ON s.member_id = m.member_id AND s.tier = m.tier
        WHERE m.member_id = member_root(%(member_id)s) AND m.erased_at IS NULL
          AND (%(scope)s::text[] IS NULL
               OR m.home_store = ANY(%(scope)s)
               OR EXISTS (SELECT FROM receipt r
                          WHERE r.member_id IN (SELECT member_family(m.member_id)) AND r.store_id = ANY(%(scope)s)))
        """,
        {"member_id": member_id, "scope": scope.store_ids},
    ).fetchone()
    return None if row is None else (row[0], Standing(*row[1:]))


def activity(
    conn: Connection, member_ids: Sequence[UUID], since: datetime, until: datetime, rates: Mapping[str, Decimal]
) -> dict[UUID, Activity]:
    """What members did from one moment on until another; who did nothing is left out.

    Args:
        rates: what one unit of each currency that counts is worth.
    """
    rows = conn.execute(
        """
        SELECT r.holder,
               coalesce(sum(r.kept * c.rate), 0),
               count(DISTINCT (r.store_id, r.day)) FILTER (WHERE r.kind = 'sale' AND r.kept > 0),
               sum(r.standing)::bigint
        FROM points_receipt r
        LEFT JOIN unnest(%(currencies)s::text[], %(rates)s::numeric[]) AS c (currency, rate) USING (currency)
        WHERE r.holder = ANY(%(members)s) AND r.at >= %(since)s AND r.at <= %(until)s
        GROUP BY r.holder
        """,
        {
            "members": list(member_ids),
            "since": since,
            "until": until,
            "currencies": array(rates),
            "rates": array(rates.values()),
        },
    ).fetchall()
    return {row[0]: Activity(*row[1:]) for row in rows}


def keep(conn: Connection, standings: Mapping[UUID, Standing], rules_version: int) -> None:
    """Write where members stand, in the member's own row, too."""
    members = sorted(standings)
    params = (
        array(members),
        array(standings[member].tier for member in members),
        array(standings[member].since for member in members),
        array(standings[member].period_end for member in members),
        array(standings[member].grace_until for member in members),
    )
    conn.execute(
        """
        INSERT INTO tier_standing (member_id, tier, since, period_end, grace_until, rules_version)
        SELECT n.*, %s
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[]) AS n
        ON CONFLICT (member_id) DO UPDATE
            SET tier = excluded.tier, since = excluded.since, period_end = excluded.period_end,
                grace_until = excluded.grace_until, rules_version = excluded.rules_version
        """,
        (rules_version, *params),
    )
    conn.execute(
        """
        UPDATE member AS m
        SET tier = n.tier
        FROM unnest(%s::uuid[], %s::text[]) AS n (member_id, tier)
        WHERE m.member_id = n.member_id AND m.tier <> n.tier
        """,
        params[:2],
    )


def insert_changes(conn: Connection, changes: Sequence[Change], at: datetime, actor: str) -> None:
    """Write changes down."""
    conn.execute(
        """
        INSERT INTO tier_change (member_id, from_tier, to_tier, at, why, rules_version, actor, reason, was_since,
                                 was_period_end, was_grace_until)
        SELECT n.member_id, n.from_tier, n.to_tier, %s, n.why, n.rules_version, %s, n.reason, n.since, n.period_end,
               n.grace_until
        FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::text[], %s::timestamptz[],
                    %s::timestamptz[], %s::timestamptz[])
             AS n (member_id, from_tier, to_tier, why, rules_version, reason, since, period_end, grace_until)
        """,
        (
            at,
            actor,
            array(each.member_id for each in changes),
            array(each.from_tier for each in changes),
            array(each.standing.tier for each in changes),
            array(each.why for each in changes),
            array(each.rules_version for each in changes),
            [each.reason for each in changes],
            [None if each.before is None else each.before.since for each in changes],
            [None if each.before is None else each.before.period_end for each in changes],
            [None if each.before is None else each.before.grace_until for each in changes],
        ),
    )


def before_merge(conn: Connection, member_id: UUID) -> Standing | None:
    """Where a member stood before a merge gave them another's tier; None when something came since, or none did."""
    row = conn.execute(
        """
        SELECT from_tier, was_since, was_period_end, was_grace_until
        FROM (SELECT * FROM tier_change WHERE member_id = %s ORDER BY at DESC, change_id DESC LIMIT 1) AS last
        WHERE why = 'merged' AND was_since IS NOT NULL
        """,
        (member_id,),
    ).fetchone()
    return None if row is None else Standing(*row)


def merged_into(conn: Connection, member_id: UUID) -> list[UUID]:
    """Who is merged into a member today, by whatever way; without the member."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT f FROM member_family(%(id)s) AS f WHERE f <> %(id)s", {"id": member_id}
        ).fetchall()


def history(conn: Connection, member_ids: Sequence[UUID]) -> list[TierChange]:
    """Changes of members, newest first; whoever asks has to be allowed them."""
    with conn.cursor(row_factory=class_row(TierChange)) as cursor:
        return cursor.execute(
            """
            SELECT from_tier, to_tier, at, why, rules_version, actor, reason
            FROM tier_change
            WHERE member_id = ANY(%s)
            ORDER BY at DESC, change_id DESC
            """,
            (list(member_ids),),
        ).fetchall()


def forget_reasons(conn: Connection, member_ids: Sequence[UUID]) -> int:
    """Delete what people typed; how much it was."""
    return conn.execute(
        "UPDATE tier_change SET reason = NULL WHERE member_id = ANY(%s) AND reason IS NOT NULL", (list(member_ids),)
    ).rowcount


def delete_standings(conn: Connection, member_ids: Sequence[UUID]) -> int:
    """Forget where members stand; of how many."""
    return conn.execute("DELETE FROM tier_standing WHERE member_id = ANY(%s)", (list(member_ids),)).rowcount


def tiers_at(conn: Connection, wanted: Sequence[tuple[UUID, datetime]]) -> list[str]:
    """Members' tiers, each at a moment: after the last change until then, before the first one, or as it always was."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT coalesce(
                (SELECT c.to_tier FROM tier_change c
                 WHERE c.member_id = w.member_id AND c.at <= w.at ORDER BY c.at DESC, c.change_id DESC LIMIT 1),
                (SELECT c.from_tier FROM tier_change c
                 WHERE c.member_id = w.member_id ORDER BY c.at, c.change_id LIMIT 1),
                (SELECT m.tier FROM member m WHERE m.member_id = w.member_id),
                '')
            FROM unnest(%s::uuid[], %s::timestamptz[]) WITH ORDINALITY AS w (member_id, at, place)
            ORDER BY w.place
            """,
            (array(member for member, _ in wanted), array(at for _, at in wanted)),
        ).fetchall()


def due(conn: Connection, now: datetime, limit: int, after: UUID | None) -> list[UUID]:
    """Members whose period or grace is over, or for whom none runs although they are above the lowest tier; by id."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT s.member_id
            FROM tier_standing s
            WHERE coalesce(s.grace_until, s.period_end, %(now)s) <= %(now)s
              AND s.tier <> %(lowest)s
              AND (%(after)s::uuid IS NULL OR s.member_id > %(after)s)
            ORDER BY s.member_id
            LIMIT %(limit)s
            """,
            {"now": now, "limit": limit, "after": after, "lowest": _lowest(conn, now)},
        ).fetchall()


def _lowest(conn: Connection, now: datetime) -> str:
    row = conn.execute(
        "SELECT body #>> '{levels,0,slug}' FROM tier_rules WHERE valid_from <= %s ORDER BY valid_from DESC LIMIT 1",
        (now,),
    ).fetchone()
    return "" if row is None else str(row[0])


#: Members from one id to another, both included.
Slice = tuple[UUID, UUID]
_IDS: Final = 2**128


def slices(number: int = 16) -> Iterator[Slice]:
    """All members in so many parts, so that no statement over all of them takes as long as one may take."""
    size = _IDS // number
    for place in range(number):
        yield UUID(int=place * size), UUID(int=_IDS - 1 if place == number - 1 else (place + 1) * size - 1)


#: What levels ask for, in columns; the same judgement as `Level.is_earned_by`, and a test holds the two together.
LEVELS: LiteralString = """
    levels AS (
        SELECT * FROM unnest(%(slugs)s::text[], %(spends)s::numeric[], %(visits)s::integer[], %(points)s::bigint[],
                             %(all)s::boolean[])
                      WITH ORDINALITY AS l (slug, spend, visits, points, needs_all, place)
    ), done AS (
        SELECT r.holder AS member_id,
               coalesce(sum(r.kept * c.rate), 0) AS spend,
               count(DISTINCT (r.store_id, r.day)) FILTER (WHERE r.kind = 'sale' AND r.kept > 0) AS visits,
               sum(r.standing) AS points
        FROM points_receipt r
        LEFT JOIN unnest(%(currencies)s::text[], %(rates)s::numeric[]) AS c (currency, rate) USING (currency)
        WHERE r.holder BETWEEN %(first)s AND %(last)s AND r.at >= %(since)s AND r.at <= %(now)s
        GROUP BY r.holder
    ), judged AS (
        SELECT d.member_id, d.spend, d.visits, d.points, max(l.place) AS place
        FROM done d
        JOIN levels l ON CASE WHEN l.needs_all
            THEN d.spend >= coalesce(l.spend, d.spend) AND d.visits >= coalesce(l.visits, 0)
                 AND d.points >= coalesce(l.points, d.points)
                 AND (l.spend IS NOT NULL OR l.visits IS NOT NULL OR l.points IS NOT NULL)
            ELSE coalesce(d.spend >= l.spend, false) OR coalesce(d.visits >= l.visits, false)
                 OR coalesce(d.points >= l.points, false)
            END
        GROUP BY d.member_id, d.spend, d.visits, d.points
    )
"""


def level_params(rules: TierRules, since: datetime, now: datetime) -> dict[str, object]:
    """Parameters of `LEVELS`."""
    rates = rules.all_rates()
    return {
        "slugs": [level.slug for level in rules.levels],
        "spends": array(level.spend for level in rules.levels),
        "visits": array(level.visits for level in rules.levels),
        "points": array(level.points for level in rules.levels),
        "all": array(level.match == "all" for level in rules.levels),
        "currencies": array(rates),
        "rates": array(rates.values()),
        "since": since,
        "now": now,
    }


def risen(conn: Connection, rules: TierRules, since: datetime, now: datetime, slice_: Slice) -> list[UUID]:
    """Members of a slice who earned a higher tier than they have, and those whose tier the rules don't know."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "WITH "  # noqa: S608 - a constant
            + LEVELS
            + """
            SELECT m.member_id
            FROM member m
            LEFT JOIN judged j USING (member_id)
            LEFT JOIN levels l ON l.slug = m.tier
            WHERE m.member_id BETWEEN %(first)s AND %(last)s
              AND m.erased_at IS NULL AND m.merged_into IS NULL AND (l.place IS NULL OR j.place > l.place)
            ORDER BY m.member_id
            """,
            {**level_params(rules, since, now), "first": slice_[0], "last": slice_[1]},
        ).fetchall()
