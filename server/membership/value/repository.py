"""SQL of gradings, costs, values and standings."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.membership.value.models import (
    Band,
    Grading,
    MemberCost,
    MemberValue,
    SavedGrading,
    ServingCost,
    Stage,
    Standing,
)
from server.storage.pool import Connection

_VALUE: LiteralString = """
    v.member_id, v.home_store, v.day, v.version, v.last_bought, v.frequency, v.monetary, v.margin, v.unknown_sales,
    v.cost, v.value, v.r, v.f, v.m, v.rhythm, v.own_rhythm, v.stage, v.high
"""


def gradings(conn: Connection, limit: int) -> list[SavedGrading]:
    """Versions, the one in force first."""
    rows = conn.execute(
        "SELECT version, rules, saved_by, saved_at, reason FROM value_grading ORDER BY version DESC LIMIT %s", (limit,)
    ).fetchall()
    return [
        SavedGrading(version, msgspec.convert(rules, Grading, strict=False), by, at, reason)
        for version, rules, by, at, reason in rows
    ]


def save_grading(conn: Connection, rules: Grading, by: str, at: datetime, reason: str) -> SavedGrading:
    """Keep a version; it is in force from now on."""
    row = conn.execute(
        "INSERT INTO value_grading (rules, saved_by, saved_at, reason) VALUES (%s, %s, %s, %s) RETURNING version",
        (Jsonb(msgspec.to_builtins(rules)), by, at, reason),
    ).fetchone()
    assert row is not None, "RETURNING answers with the row"  # noqa: S101
    return SavedGrading(row[0], rules, by, at, reason)


def serving_costs(conn: Connection) -> list[ServingCost]:
    """Every rate there ever was, by occasion and day."""
    with conn.cursor(row_factory=class_row(ServingCost)) as cursor:
        return cursor.execute(
            "SELECT occasion, valid_from, amount FROM serving_cost ORDER BY occasion, valid_from"
        ).fetchall()


def put_serving_costs(conn: Connection, costs: Sequence[ServingCost], by: str, at: datetime) -> None:
    """Set rates; one for the same occasion and day takes the other's place."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO serving_cost (occasion, valid_from, amount, entered_by, entered_at)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (occasion, valid_from) DO UPDATE
            SET amount = excluded.amount, entered_by = excluded.entered_by, entered_at = excluded.entered_at
            """,
            [(cost.occasion, cost.valid_from, cost.amount, by, at) for cost in costs],
        )


def put_member_costs(conn: Connection, scope: Scope, costs: Sequence[MemberCost], at: datetime) -> int:
    """Keep what was spent on members of the scope's stores, each id once; how many are new."""
    kept = 0
    for cost in costs:
        kept += conn.execute(
            """
            INSERT INTO member_cost (cost_id, member_id, day, amount, what, entered_by, entered_at)
            SELECT %(id)s, member_id, %(day)s, %(amount)s, %(what)s, %(by)s, %(at)s
            FROM member WHERE member_id = %(member)s AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
            ON CONFLICT (cost_id) DO NOTHING
            """,
            {
                "id": cost.cost_id,
                "day": cost.day,
                "amount": cost.amount,
                "what": cost.what,
                "by": scope.actor,
                "at": at,
                "member": cost.member_id,
                "scope": scope.store_ids,
            },
        ).rowcount
    return kept


def known_members(conn: Connection, scope: Scope, members: Sequence[UUID]) -> set[UUID]:
    """Which of these are members of the scope's stores."""
    rows = conn.execute(
        """
        SELECT member_id FROM member
        WHERE member_id = ANY(%(members)s) AND erased_at IS NULL
          AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
        """,
        {"members": list(members), "scope": scope.store_ids},
    ).fetchall()
    return {row[0] for row in rows}


def member_costs(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[MemberCost]:
    """What was spent on these members of the scope's stores, oldest first."""
    with conn.cursor(row_factory=class_row(MemberCost)) as cursor:
        return cursor.execute(
            """
            SELECT c.cost_id, c.member_id, c.day, c.amount, c.what
            FROM member_cost c JOIN member m USING (member_id)
            WHERE c.member_id = ANY(%(members)s) AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
            ORDER BY c.day, c.entered_at
            """,
            {"members": list(members), "scope": scope.store_ids},
        ).fetchall()


def value(conn: Connection, scope: Scope, member_id: UUID) -> MemberValue | None:
    """What a member of the scope's stores was worth last night; whoever was merged is asked for under either id."""
    with conn.cursor(row_factory=class_row(MemberValue)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_VALUE} FROM member_value v
            WHERE v.member_id = member_root(%(member)s)
              AND (%(scope)s::text[] IS NULL OR v.home_store = ANY(%(scope)s))
            """,  # noqa: S608 - a constant of ours
            {"member": member_id, "scope": scope.store_ids},
        ).fetchone()


def values(
    conn: Connection,
    scope: Scope,
    *,
    stage: Stage | None,
    grades: str | None,
    high: bool | None,
    band: Band | None,
    store_id: str | None,
    limit: int,
    offset: int,
) -> list[MemberValue]:
    """Members of the scope's stores, the most valuable first; of the bottom the least valuable."""
    order = "v.value, v.member_id" if band == "bottom" else "v.value DESC, v.member_id"
    with conn.cursor(row_factory=class_row(MemberValue)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_VALUE} FROM member_value v
            WHERE (%(scope)s::text[] IS NULL OR v.home_store = ANY(%(scope)s))
              AND (%(stage)s::text IS NULL OR v.stage = %(stage)s)
              AND (%(grades)s::text IS NULL OR concat(v.r, v.f, v.m) LIKE %(grades)s)
              AND (%(high)s::boolean IS NULL OR v.high = %(high)s)
              AND (%(band)s::text IS NULL OR v.band = %(band)s)
              AND (%(store)s::text IS NULL OR v.home_store = %(store)s)
            ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
            """,  # noqa: S608 - constants of ours
            {
                "scope": scope.store_ids,
                "stage": stage,
                "grades": grades,
                "high": high,
                "band": band,
                "store": store_id,
                "limit": limit,
                "offset": offset,
            },
        ).fetchall()


def standings(conn: Connection, scope: Scope, day_from: date, day_to: date) -> list[Standing]:
    """How the chain stood on each day there is one for."""
    scope.require_whole_chain()
    rows = conn.execute(
        """
        SELECT day, version, members, buyers, high, profit, high_profit, top_profit, bottom_profit, unknown_sales,
               left_out, stages, made_at
        FROM value_standing WHERE day BETWEEN %s AND %s ORDER BY day
        """,
        (day_from, day_to),
    ).fetchall()
    return [Standing(*row) for row in rows]


def grid(conn: Connection, scope: Scope, store_id: str | None) -> list[tuple[int, int, int, Any]]:
    """Members and their value by grade of recency and of frequency, of the scope's stores."""
    return conn.execute(
        """
        SELECT r, f, count(*)::int, sum(value) FROM member_value
        WHERE r IS NOT NULL AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
          AND (%(store)s::text IS NULL OR home_store = %(store)s)
        GROUP BY r, f ORDER BY r, f
        """,
        {"scope": scope.store_ids, "store": store_id},
    ).fetchall()


def forget(conn: Connection, scope: Scope, members: Sequence[UUID]) -> int:
    """Drop what these members are worth; how many there were."""
    return conn.execute(
        """
        DELETE FROM member_value v
        WHERE member_id = ANY(%(members)s) AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
        """,
        {"members": list(members), "scope": scope.store_ids},
    ).rowcount


def blank_costs(conn: Connection, members: Sequence[UUID]) -> int:
    """Take the words from what was spent on these members; the amounts stay. How many there were."""
    return conn.execute(
        "UPDATE member_cost SET what = '-' WHERE member_id = ANY(%s) AND what <> '-'", (list(members),)
    ).rowcount
