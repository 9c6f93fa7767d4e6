"""The demo's own SQL: where the past ends, and a quicker way to write a lot of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

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
