"""SQL of events and their consumers.

Numbers of transactions (`xid8`) pass through Python as text; they are compared in the database alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import msgspec
from psycopg import sql
from psycopg.rows import class_row

from server.events.models import Event, Lag, NewEvent
from server.storage.arrays import array
from server.storage.copying import cell, cell_or_null, copy_rows, printed
from server.storage.locks import LockSpace
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of the last event that was passed."""

    life: int
    xid: str
    event_id: int


def insert(conn: Connection, events: Sequence[NewEvent]) -> bool:
    """Record events; False, and nothing recorded, when the database has moved and its new life has yet to begin."""
    inserted = conn.execute(
        """
        INSERT INTO event (life, kind, store_id, subject, body)
        SELECT home.life, e.kind, e.store_id, e.subject, e.body
        FROM (SELECT life, system FROM event_life ORDER BY life DESC LIMIT 1) AS home
        JOIN pg_control_system() AS control ON control.system_identifier = home.system
        CROSS JOIN unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[])
             WITH ORDINALITY AS e (kind, store_id, subject, body, place)
        ORDER BY e.place
        """,
        (
            array(event.kind for event in events),
            array(event.store_id for event in events),
            array(event.subject for event in events),
            array(msgspec.json.encode(event.body).decode() for event in events),
        ),
    )
    return inserted.rowcount > 0


def copy(conn: Connection, events: Iterable[NewEvent]) -> bool:
    """As `insert`, for many: no list of arrays to be put together and taken apart again. None is asked for before it is
    known that they can be recorded."""
    home = conn.execute(
        """
        SELECT home.life
        FROM (SELECT life, system FROM event_life ORDER BY life DESC LIMIT 1) AS home
        JOIN pg_control_system() AS control ON control.system_identifier = home.system
        """
    ).fetchone()
    if home is None:
        return False
    life = home[0]
    copy_rows(
        conn,
        "COPY event (life, kind, store_id, subject, body) FROM STDIN",
        (
            f"{life}\t{event.kind}\t{cell_or_null(event.store_id)}\t{cell(event.subject)}\t"
            f"{printed(msgspec.json.encode(event.body).decode())}\n"
            for event in events
        ),
    )
    return True


def insert_selected(conn: Connection, query: LiteralString, params: Mapping[str, object]) -> int:
    """Record the events a query gives; how many."""
    statement = sql.SQL(
        """
        INSERT INTO event (life, kind, store_id, subject, body)
        SELECT (SELECT max(life) FROM event_life), told.*
        FROM ({}) AS told (kind, store_id, subject, body)
        """
    ).format(sql.SQL(query))
    return conn.execute(statement, params).rowcount


def is_at_home(conn: Connection) -> bool:
    """Whether this cluster is the one of the database's latest life."""
    row = conn.execute(
        """
        SELECT control.system_identifier = (SELECT system FROM event_life ORDER BY life DESC LIMIT 1)
        FROM pg_control_system() AS control
        """
    ).fetchone()
    return row is not None and bool(row[0])


def begin_life(conn: Connection) -> None:
    """Note that the database now lives in this cluster; whoever comes second finds it noted."""
    conn.execute("LOCK TABLE event_life IN SHARE ROW EXCLUSIVE MODE")
    conn.execute(
        """
        INSERT INTO event_life (system)
        SELECT control.system_identifier
        FROM pg_control_system() AS control
        WHERE control.system_identifier
              IS DISTINCT FROM (SELECT system FROM event_life ORDER BY life DESC LIMIT 1)
        """
    )


def lock_cursor(conn: Connection, consumer: str) -> Cursor | None:
    """A consumer's place, held until the transaction ends; None when somebody else holds it.

    A consumer that is new gets its row here, by one process: another would wait for the first to commit.
    """
    found = _lock(conn, consumer)
    if found is not None:
        return found
    row = conn.execute(
        "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (LockSpace.EVENT_CONSUMER, consumer)
    ).fetchone()
    if row is None or not row[0]:
        return None
    conn.execute("INSERT INTO event_consumer (consumer) VALUES (%s) ON CONFLICT DO NOTHING", (consumer,))
    return _lock(conn, consumer)


def after(conn: Connection, cursor: Cursor, kinds: Sequence[str], limit: int) -> tuple[list[Event], Cursor]:
    """The next events of some kinds, and the place to move on to.

    When fewer than `limit` are left, that is the border of what can be read now: a consumer that wants few kinds would
    otherwise look through all the others again each time. Border and events are of one statement, so of one snapshot.
    """
    found = conn.execute(
        """
        WITH border AS (
            SELECT (SELECT max(life) FROM event_life) AS life, pg_snapshot_xmin(pg_current_snapshot()) AS xid
        )
        SELECT b.life, b.xid::text, e.life, e.xid::text, e.event_id, e.kind, e.store_id, e.subject, e.at, e.body
        FROM border b
        LEFT JOIN LATERAL (
            SELECT life, xid, event_id, kind, store_id, subject, at, body
            FROM event
            WHERE (life, xid, event_id) > (%(life)s, %(xid)s::xid8, %(event_id)s)
              AND (life, xid) < (b.life, b.xid)
              AND kind = ANY(%(kinds)s)
            ORDER BY life, xid, event_id
            LIMIT %(limit)s
        ) e ON true
        ORDER BY e.life, e.xid, e.event_id
        """,
        {
            "life": cursor.life,
            "xid": cursor.xid,
            "event_id": cursor.event_id,
            "kinds": list(kinds),
            "limit": limit,
        },
    ).fetchall()
    events = [Event(*row[4:]) for row in found if row[4] is not None]
    last = found[-1]
    if len(events) == limit:
        return events, Cursor(last[2], last[3], last[4])
    return events, Cursor(last[0], last[1], 0)


def move(conn: Connection, consumer: str, cursor: Cursor) -> None:
    """Move a consumer on."""
    conn.execute(
        """
        UPDATE event_consumer
        SET life = %s, xid = %s::xid8, event_id = %s, taken_at = now()
        WHERE consumer = %s
        """,
        (cursor.life, cursor.xid, cursor.event_id, consumer),
    )


def delete_cursor(conn: Connection, consumer: str) -> bool:
    """Forget a consumer; False when there is none."""
    return conn.execute("DELETE FROM event_consumer WHERE consumer = %s", (consumer,)).rowcount == 1


def lags(conn: Connection) -> list[Lag]:
    """How far each consumer is behind; events of kinds it doesn't want count until it has passed them."""
    with conn.cursor(row_factory=class_row(Lag)) as cursor:
        return cursor.execute(
            """
            SELECT c.consumer, c.taken_at, oldest.at AS oldest
            FROM event_consumer c
            LEFT JOIN LATERAL (
                SELECT e.at
                FROM event e
                WHERE (e.life, e.xid, e.event_id) > (c.life, c.xid, c.event_id)
                ORDER BY e.life, e.xid, e.event_id
                LIMIT 1
            ) oldest ON true
            ORDER BY c.consumer
            """
        ).fetchall()


def delete_passed(conn: Connection, before: datetime, limit: int) -> int:
    """Delete some events recorded before a moment that every consumer has passed; how many went.

    Looked for from the oldest on, and no further than the first that is too young: what is kept is not read.
    """
    return conn.execute(
        """
        DELETE FROM event AS e
        USING (
            SELECT life, xid, event_id
            FROM (
                SELECT life, xid, event_id, at FROM event ORDER BY life, xid, event_id LIMIT %(limit)s
            ) AS oldest
            WHERE at < %(before)s
              AND NOT EXISTS (
                  SELECT FROM event_consumer c
                  WHERE (c.life, c.xid, c.event_id) < (oldest.life, oldest.xid, oldest.event_id)
              )
        ) AS gone
        WHERE e.life = gone.life AND e.xid = gone.xid AND e.event_id = gone.event_id
        """,
        {"before": before, "limit": limit},
    ).rowcount


def _lock(conn: Connection, consumer: str) -> Cursor | None:
    with conn.cursor(row_factory=class_row(Cursor)) as cursor:
        return cursor.execute(
            "SELECT life, xid::text, event_id FROM event_consumer WHERE consumer = %s FOR UPDATE SKIP LOCKED",
            (consumer,),
        ).fetchone()
