"""SQL that adds raw rows up anew, beside what the roll-ups hold.

It must say what `booking` says of the same rows, which is why it stands here and not with the storage: the class of a
person, the worse of two states, a quarter hour's seconds spread over its minutes, each minute capped at sixty. The plan
it relies on: crossings by the summary of their times, minutes by camera and time, roll-ups by store and quarter hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from server.access.models import Scope
from server.ingest.booking import LATE_AFTER
from server.ingest.models import STATES
from server.storage.pool import Connection

_QUARTER: Final = sql.SQL("date_bin('15 minutes', {}, '2000-01-01 00:00:00+00'::timestamptz)")
#: Seconds of each of a quarter hour's minutes, in order, capped.
_MINUTES: Final = sql.SQL("ARRAY[{}]::numeric(4, 1)[]").format(
    sql.SQL(", ").join(
        sql.SQL("least(60, coalesce(sum(seconds) FILTER (WHERE place = {}), 0))").format(sql.Literal(place))
        for place in range(15)
    )
)
#: Tallies received before a time can't speak of it; boxes' clocks may be ahead of ours by a little.
_AHEAD: Final = "10 minutes"


@dataclass(frozen=True, slots=True)
class TrafficDifference:
    """A row of the roll-up of crossings, and what its raw rows add up to; None where there is no row, or none raw."""

    store_id: str
    quarter: datetime
    line_id: str
    direction: str
    crossing_class: str
    held_count: int | None
    held_groups: int | None
    raw_count: int | None
    raw_groups: int | None


@dataclass(frozen=True, slots=True)
class CoverageDifference:
    """The same of a camera's quarter hour: seconds in each of its minutes and the worst state.

    Attributes:
        raw_late: seconds that came late. For a row that is missing only: of part of a tally that was booked by hand
            the raw rows no longer tell when it came.
    """

    store_id: str
    quarter: datetime
    camera_id: str
    held_minutes: list[Decimal] | None
    held_state: str | None
    raw_minutes: list[Decimal] | None
    raw_state: str | None
    raw_late: Decimal | None


def stores(connection: Connection, scope: Scope, store_ids: Sequence[str] | None) -> list[str]:
    """Some stores of the scope, or all of them; of those named only such as there are."""
    return [
        store_id
        for (store_id,) in connection.execute(
            """
            SELECT store_id FROM store
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
            ORDER BY store_id
            """,
            {"scope": scope.store_ids, "wanted": None if store_ids is None else list(store_ids)},
        )
    ]


def lock_roll_ups(connection: Connection) -> None:
    """Nobody else writes roll-ups until the transaction ends; in the order in which ingest takes them."""
    connection.execute("LOCK TABLE traffic_15m, coverage_15m IN SHARE ROW EXCLUSIVE MODE")


def traffic_differences(
    connection: Connection, scope: Scope, store_ids: Sequence[str], start: datetime, end: datetime
) -> list[TrafficDifference]:
    """Where the roll-up of crossings is not the sum of its rows, from `start` up to `end` (UTC, on quarter hours)."""
    with connection.cursor(row_factory=class_row(TrafficDifference)) as cursor:
        return cursor.execute(
            sql.SQL(
                """
                WITH one AS (
                    SELECT store_id, {at} AS quarter, line_id, direction, class, 1 AS count, opens_group::int AS groups
                    FROM crossing
                    WHERE at >= %(start)s AND at < %(end)s AND store_id = ANY(%(stores)s)
                    UNION ALL
                    SELECT store_id, {part_start}, part ->> 'line', part ->> 'direction',
                           CASE WHEN part -> 'tags' ? 'staff' THEN 'staff'
                                WHEN part -> 'tags' ? 'child' THEN 'child' ELSE 'adult' END,
                           (part ->> 'count')::int, coalesce((part ->> 'groups')::int, 0)
                    FROM tally, jsonb_array_elements(payload -> 'crossings') AS part
                    WHERE received_at >= %(start)s::timestamptz - %(ahead)s::interval AND store_id = ANY(%(stores)s)
                      AND (part ->> 'start')::timestamptz >= %(start)s AND (part ->> 'start')::timestamptz < %(end)s
                ),
                raw AS (
                    SELECT store_id, quarter, line_id, direction, class,
                           sum(count)::int AS count, sum(groups)::int AS groups
                    FROM one
                    GROUP BY store_id, quarter, line_id, direction, class
                ),
                held AS (
                    SELECT store_id, quarter, line_id, direction, class, count, groups
                    FROM traffic_15m
                    WHERE store_id = ANY(%(stores)s) AND quarter >= %(start)s AND quarter < %(end)s
                )
                SELECT store_id, quarter, line_id, direction, class AS crossing_class,
                       held.count AS held_count, held.groups AS held_groups,
                       raw.count AS raw_count, raw.groups AS raw_groups
                FROM held FULL JOIN raw USING (store_id, quarter, line_id, direction, class)
                WHERE (held.count, held.groups) IS DISTINCT FROM (raw.count, raw.groups)
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                ORDER BY store_id, quarter, line_id, direction, class
                """
            ).format(
                at=_QUARTER.format(sql.Identifier("at")),
                part_start=_QUARTER.format(sql.SQL("(part ->> 'start')::timestamptz")),
            ),
            _parameters(scope, store_ids, start, end),
        ).fetchall()


def coverage_differences(
    connection: Connection, scope: Scope, store_ids: Sequence[str], start: datetime, end: datetime
) -> list[CoverageDifference]:
    """Where the roll-up of minutes watched is not what its rows add up to; bounds as `traffic_differences`."""
    with connection.cursor(row_factory=class_row(CoverageDifference)) as cursor:
        return cursor.execute(
            sql.SQL(
                """
                WITH minutes AS (
                    SELECT store_id, camera_id, minute, seconds, state,
                           undated OR received_at - minute > %(late)s::interval + interval '1 minute' AS is_late
                    FROM coverage
                    WHERE camera_id = ANY(ARRAY(SELECT camera_id FROM camera WHERE store_id = ANY(%(stores)s)))
                      AND minute >= %(start)s AND minute < %(end)s
                ),
                parts AS (
                    SELECT store_id, part ->> 'camera' AS camera_id, (part ->> 'start')::timestamptz AS start_at,
                           (part ->> 'span')::int / 60 AS span, round((part ->> 'seconds')::float8 * 10)::int AS tenths,
                           coalesce(part ->> 'state', 'ok') AS state,
                           received_at - (part ->> 'start')::timestamptz
                               > %(late)s::interval + make_interval(secs => (part ->> 'span')::int) AS is_late
                    FROM tally, jsonb_array_elements(payload -> 'coverage') AS part
                    WHERE received_at >= %(start)s::timestamptz - %(ahead)s::interval AND store_id = ANY(%(stores)s)
                      AND (part ->> 'start')::timestamptz >= %(start)s AND (part ->> 'start')::timestamptz < %(end)s
                ),
                one AS (
                    SELECT store_id, camera_id, minute, seconds, state, is_late FROM minutes
                    UNION ALL
                    SELECT store_id, camera_id, start_at + place * interval '1 minute',
                           (tenths / span + (place < tenths %% span)::int) / 10.0, state, is_late
                    FROM parts, generate_series(0, span - 1) AS place
                ),
                placed AS (
                    SELECT *, {minute} AS quarter,
                           (extract(epoch FROM minute - {minute}) / 60)::int AS place,
                           array_position(%(states)s::text[], state) AS badness
                    FROM one
                ),
                raw AS (
                    SELECT store_id, quarter, camera_id, {minutes} AS minutes,
                           (%(states)s::text[])[max(badness)] AS state,
                           least(900, coalesce(sum(seconds) FILTER (WHERE is_late), 0))::numeric(4, 1) AS late
                    FROM placed
                    GROUP BY store_id, quarter, camera_id
                ),
                held AS (
                    SELECT store_id, quarter, camera_id, minute_seconds AS minutes, state, seconds
                    FROM coverage_15m
                    WHERE store_id = ANY(%(stores)s) AND quarter >= %(start)s AND quarter < %(end)s
                )
                SELECT store_id, quarter, camera_id, held.minutes AS held_minutes, held.state AS held_state,
                       raw.minutes AS raw_minutes, raw.state AS raw_state, raw.late AS raw_late
                FROM held FULL JOIN raw USING (store_id, quarter, camera_id)
                WHERE ((held.minutes, held.state) IS DISTINCT FROM (raw.minutes, raw.state)
                       OR held.seconds IS DISTINCT FROM (SELECT sum(one) FROM unnest(raw.minutes) AS one))
                  AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
                ORDER BY store_id, quarter, camera_id
                """
            ).format(minute=_QUARTER.format(sql.Identifier("minute")), minutes=_MINUTES),
            {**_parameters(scope, store_ids, start, end), "states": list(STATES), "late": LATE_AFTER},
        ).fetchall()


def put_traffic(connection: Connection, scope: Scope, found: Sequence[TrafficDifference]) -> None:
    """Make the roll-up of crossings what its rows add up to."""
    for each in found:
        scope.require(each.store_id)
        key = (each.store_id, each.quarter, each.line_id, each.direction, each.crossing_class)
        if each.raw_count is None:
            connection.execute(
                "DELETE FROM traffic_15m WHERE (store_id, quarter, line_id, direction, class) = (%s, %s, %s, %s, %s)",
                key,
            )
        else:
            connection.execute(
                "INSERT INTO traffic_15m (store_id, quarter, line_id, direction, class, count, groups)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (store_id, quarter, line_id, direction, class)"
                " DO UPDATE SET count = excluded.count, groups = excluded.groups",
                (*key, each.raw_count, each.raw_groups),
            )


def put_coverage(connection: Connection, scope: Scope, found: Sequence[CoverageDifference]) -> None:
    """Make the roll-up of minutes watched what its rows add up to; how much came late stays where it is held."""
    for each in found:
        scope.require(each.store_id)
        key = (each.store_id, each.quarter, each.camera_id)
        if each.raw_minutes is None:
            connection.execute("DELETE FROM coverage_15m WHERE (store_id, quarter, camera_id) = (%s, %s, %s)", key)
        else:
            connection.execute(
                "INSERT INTO coverage_15m"
                " (store_id, quarter, camera_id, minute_seconds, seconds, state, late_seconds)"
                " VALUES (%s, %s, %s, %s::numeric(4, 1)[], %s, %s, %s)"
                " ON CONFLICT (store_id, quarter, camera_id)"
                " DO UPDATE SET minute_seconds = excluded.minute_seconds, seconds = excluded.seconds,"
                " state = excluded.state",
                (*key, each.raw_minutes, sum(each.raw_minutes), each.raw_state, each.raw_late),
            )


def _parameters(scope: Scope, store_ids: Sequence[str], start: datetime, end: datetime) -> dict[str, Any]:
    return {"scope": scope.store_ids, "stores": list(store_ids), "start": start, "end": end, "ahead": _AHEAD}
