"""SQL of what other cuts would do, and of how members are spread over the stages of life: last night's figures only.

A trial reads what the night wrote and no receipt, so it answers at once at a million members. It can't tell of another
window or rhythm, which need the receipts: those are told by the next night.
"""

from typing import LiteralString

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.value.models import GradeShift, Grading, GradingTrial, StageCount
from server.storage.arrays import array
from server.storage.pool import Connection

#: Grades as the night gives them (`night_repository`), from its own figures.
_GRADED: LiteralString = """
    WITH buyers AS (
        SELECT member_id, day, last_bought, frequency, monetary, value, r, f, m, high
        FROM member_value WHERE last_bought IS NOT NULL
    ), placed AS (
        SELECT *,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY last_bought)), 5) AS pr,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY frequency)), 5) AS pf,
               least(1 + floor(5 * percent_rank() OVER (ORDER BY monetary)), 5) AS pm
        FROM buyers
    ), graded AS (
        SELECT r, f, m, high,
               CASE WHEN %(high_from)s::numeric IS NULL THEN high ELSE value >= %(high_from)s::numeric END AS then_high,
               CASE WHEN %(r_cuts)s::int[] IS NULL THEN pr
                    ELSE 1 + (SELECT count(*) FROM unnest(%(r_cuts)s::int[]) AS cut WHERE day - last_bought <= cut)
               END::int AS tr,
               CASE WHEN %(f_cuts)s::int[] IS NULL THEN pf
                    ELSE 1 + (SELECT count(*) FROM unnest(%(f_cuts)s::int[]) AS cut WHERE frequency >= cut)
               END::int AS tf,
               CASE WHEN %(m_cuts)s::numeric[] IS NULL THEN pm
                    ELSE 1 + (SELECT count(*) FROM unnest(%(m_cuts)s::numeric[]) AS cut WHERE monetary >= cut)
               END::int AS tm
        FROM placed
    )
"""


def trial(conn: Connection, scope: Scope, rules: Grading) -> GradingTrial:
    """What these cuts would do to everybody who bought."""
    scope.require_whole_chain()
    params = {
        "r_cuts": None if rules.recency_cuts is None else array(rules.recency_cuts),
        "f_cuts": None if rules.frequency_cuts is None else array(rules.frequency_cuts),
        "m_cuts": None if rules.monetary_cuts is None else array(rules.monetary_cuts),
        "high_from": rules.high_from,
    }
    whole = conn.execute(
        _GRADED  # noqa: S608 - a constant of ours
        + """
        SELECT count(*), count(*) FILTER (WHERE (r, f, m) IS DISTINCT FROM (tr, tf, tm)),
               count(*) FILTER (WHERE high), count(*) FILTER (WHERE then_high)
        FROM graded
        """,
        params,
    ).fetchone()
    assert whole is not None, "an aggregate always answers"  # noqa: S101
    with conn.cursor(row_factory=class_row(GradeShift)) as cursor:
        grades = cursor.execute(
            _GRADED  # noqa: S608 - a constant of ours
            + """
            SELECT kind.of, g.grade, count(*) FILTER (WHERE kind.was = g.grade)::int AS now,
                   count(*) FILTER (WHERE kind.will = g.grade)::int AS "then"
            FROM graded
            CROSS JOIN LATERAL (VALUES ('r', r, tr), ('f', f, tf), ('m', m, tm)) AS kind (of, was, will)
            CROSS JOIN generate_series(1, 5) AS g (grade)
            GROUP BY kind.of, g.grade
            ORDER BY kind.of DESC, g.grade DESC
            """,
            params,
        ).fetchall()
    return GradingTrial(whole[0], whole[1], whole[2], whole[3], grades)


def stages(conn: Connection, scope: Scope, store_id: str | None) -> list[StageCount]:
    """Members of the scope's stores by stage."""
    with conn.cursor(row_factory=class_row(StageCount)) as cursor:
        return cursor.execute(
            """
            SELECT stage, count(*)::int AS members, coalesce(sum(value), 0) AS value
            FROM member_value
            WHERE (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
              AND (%(store)s::text IS NULL OR home_store = %(store)s)
            GROUP BY stage
            """,
            {"scope": scope.store_ids, "store": store_id},
        ).fetchall()
