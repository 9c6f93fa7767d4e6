"""The demo's own SQL: where the past ends, and a quicker way to write a lot of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a store stands.

    Attributes:
        until: end of the last minute its camera is known to have reported on; None before the first.
        members: how many it has.
    """

    store_id: str
    until: datetime | None
    members: int


def filled(conn: Connection) -> dict[str, Filled]:
    """Where each store stands."""
    with conn.cursor(row_factory=class_row(Filled)) as cursor:
        cursor.execute(
            """
            SELECT s.store_id,
                   (SELECT max(c.minute) + interval '1 minute'
                    FROM coverage c JOIN camera k USING (camera_id) WHERE k.store_id = s.store_id) AS until,
                   (SELECT count(*) FROM member m WHERE m.home_store = s.store_id)::integer AS members
            FROM store s
            """
        )
        return {row.store_id: row for row in cursor}


@dataclass(frozen=True, slots=True)
class KnownMember:
    """A member and since when."""

    member_id: UUID
    enrolled_at: datetime


def members_of(conn: Connection, store_id: str) -> list[KnownMember]:
    """A store's members in order of enrolment."""
    with conn.cursor(row_factory=class_row(KnownMember)) as cursor:
        return cursor.execute(
            "SELECT member_id, enrolled_at FROM member WHERE home_store = %s ORDER BY enrolled_at", (store_id,)
        ).fetchall()


def buyers(conn: Connection, start: datetime, end: datetime) -> list[UUID]:
    """Members who bought from `start` up to `end`, as far as points know of it."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT DISTINCT holder FROM points_receipt WHERE holder IS NOT NULL AND at > %s AND at <= %s", (start, end)
        ).fetchall()


@dataclass(frozen=True, slots=True)
class Arrival:
    """Someone came in, and the server has heard of it."""

    store_id: str
    received_at: datetime


def arrivals(conn: Connection, since: datetime) -> list[Arrival]:
    """Customers whose coming in was received after `since`."""
    with conn.cursor(row_factory=class_row(Arrival)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, received_at
            FROM crossing
            WHERE at > %(since)s - interval '10 minutes' AND received_at > %(since)s
              AND store_id = ANY (SELECT store_id FROM store)
              AND direction = 'in' AND class <> 'staff'
            ORDER BY received_at
            """,
            {"since": since},
        ).fetchall()


def boxes_online(conn: Connection, since: datetime) -> int:
    """How many boxes have said since then that they are there."""
    row = conn.execute(
        "SELECT count(*) FROM device WHERE (status ->> 'online')::boolean AND status_at >= %s", (since,)
    ).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class Minutes:
    """What the minutes of one stretch have in common; they are numbered from `first_seq` on."""

    store_id: str
    camera_id: str
    device_id: str
    epoch: str
    first_seq: int
    received_at: datetime


def copy_minutes(
    conn: Connection, common: Minutes, minutes: Sequence[int], tenths: Sequence[int], states: Sequence[str]
) -> None:
    """Append minutes watched (minutes since 1970, tenths of a second, state), at the 12 frames a second of a box.

    One statement with arrays, written out here: building each row, or having psycopg quote each number, would cost
    more than the database's part.
    """
    conn.execute(
        """
        INSERT INTO coverage (minute, store_id, camera_id, seconds, frames, state, undated, device_id, epoch, seq,
                              received_at)
        SELECT to_timestamp(minute * 60), %(store)s, %(camera)s, tenths / 10.0, tenths * 12 / 10, state, false,
               %(device)s, %(epoch)s, %(first)s + number - 1, %(received)s
        FROM unnest(%(minutes)s::bigint[], %(tenths)s::integer[], %(states)s::text[])
          WITH ORDINALITY AS told (minute, tenths, state, number)
        """,
        {
            "store": common.store_id,
            "camera": common.camera_id,
            "device": common.device_id,
            "epoch": common.epoch,
            "first": common.first_seq,
            "received": common.received_at,
            "minutes": _array(minutes),
            "tenths": _array(tenths),
            "states": _array(states),
        },
    )


def _array(values: Sequence[int] | Sequence[str]) -> str:
    """A PostgreSQL array of numbers or plain words."""
    return "{" + ",".join(map(str, values)) + "}"


def insert_check_ins(conn: Connection, store_id: str, rows: Sequence[tuple[UUID, UUID, datetime, str]]) -> None:
    """Members who checked in: id, member, when and how; those that are there stay."""
    conn.execute(
        """
        INSERT INTO check_in (check_in_id, member_id, store_id, at, how, made_by)
        SELECT id, member_id, %(store)s, at, how, 'demo'
        FROM unnest(%(ids)s::uuid[], %(members)s::uuid[], %(ats)s::timestamptz[], %(hows)s::text[])
          AS t (id, member_id, at, how)
        ON CONFLICT (check_in_id) DO NOTHING
        """,
        {
            "store": store_id,
            "ids": [row[0] for row in rows],
            "members": [row[1] for row in rows],
            "ats": [row[2] for row in rows],
            "hows": [row[3] for row in rows],
        },
    )


def wait_for_disk(dsn: str, wait: bool) -> None:
    """Whether commits of new connections wait for the disk; made-up history can be made again."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(
                sql.Identifier(conn.info.dbname), sql.Literal("on" if wait else "off")
            )
        )


def forget_marks(conn: Connection) -> None:
    """Every marked day has just been computed, and nobody else writes yet."""
    conn.execute("DELETE FROM dirty_mark")


def analyse(conn: Connection) -> None:
    """Let the planner know what is there now."""
    conn.execute("ANALYZE")
