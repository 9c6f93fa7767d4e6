"""SQL of the audit trail: its lines, the links between them, and the end of the chain."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.access.models import AuditEntry
from server.storage.pool import Connection

#: Links that are read at a time while the chain is walked.
_PAGE: Final = 5_000
_LINE: LiteralString = "a.audit_id, a.at, a.actor, a.action, a.subject, a.store_id, a.detail::text AS detail"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is hashed. `detail` is the text PostgreSQL gives for the JSON."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    store_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the chain; `audit_id` names the line it was made over."""

    link_no: int
    audit_id: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The end of the chain, and the link up to which it was cut (0: nothing was)."""

    link_no: int
    hash: bytes
    cut_no: int
    cut_hash: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted; what is empty asks for nothing.

    Attributes:
        actor: who did it, as it stands in the trail.
        action: what was done, or its first words: ``member`` wants ``member.reveal_phone`` too; of several, with commas
            between them, any.
        subject: what it was done to.
        since, until: from when, and before when (aware).
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    store_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


def insert(
    conn: Connection,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    store_id: str | None,
    detail: dict[str, object],
) -> None:
    """Append one line; the commit links it."""
    conn.execute(
        """
        INSERT INTO audit (at, actor, action, subject, store_id, detail)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (at, actor, action, subject, store_id, Jsonb(detail)),
    )


def newest(conn: Connection, limit: int, before: int | None = None, wanted: Wanted | None = None) -> list[AuditEntry]:
    """The newest lines, or the newest before a line's number, of those that are wanted."""
    asked = wanted or Wanted()
    with conn.cursor(row_factory=class_row(AuditEntry)) as cursor:
        return cursor.execute(
            """
            SELECT audit_id, at, actor, action, subject, store_id, detail
            FROM audit
            WHERE (%(before)s::bigint IS NULL OR audit_id < %(before)s)
              AND (%(actor)s = '' OR actor = %(actor)s)
              AND (%(actions)s::text[] = '{}' OR EXISTS (
                  SELECT FROM unnest(%(actions)s::text[]) AS w (word) WHERE action = word OR action ^@ (word || '.')
              ))
              AND (%(subject)s = '' OR subject = %(subject)s)
              AND (%(store)s = '' OR store_id = %(store)s)
              AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
              AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
            ORDER BY audit_id DESC
            LIMIT %(limit)s
            """,
            {
                "before": before,
                "limit": limit,
                "actor": asked.actor,
                "actions": [word.strip() for word in asked.action.split(",") if word.strip()],
                "subject": asked.subject,
                "store": asked.store_id,
                "since": asked.since,
                "until": asked.until,
            },
        ).fetchall()


def head(conn: Connection) -> HeadRow | None:
    """The end of the chain; None when somebody removed it."""
    with conn.cursor(row_factory=class_row(HeadRow)) as cursor:
        return cursor.execute("SELECT link_no, hash, cut_no, cut_hash FROM audit_head").fetchone()


def links(conn: Connection, after: int) -> Iterator[list[tuple[Link, Line | None]]]:
    """All links behind one, page by page, each with its line, or None where that is gone."""
    while True:
        rows = conn.execute(
            f"""
            SELECT l.link_no, l.audit_id, l.hash, {_LINE}
            FROM audit_link l
            LEFT JOIN audit a ON a.audit_id = l.audit_id
            WHERE l.link_no > %s
            ORDER BY l.link_no
            LIMIT %s
            """,  # noqa: S608 - constant
            (after, _PAGE),
        ).fetchall()
        if not rows:
            return
        yield [(Link(*row[:3]), None if row[3] is None else Line(*row[3:])) for row in rows]
        after = rows[-1][0]


def unlinked(conn: Connection, limit: int) -> list[int]:
    """Numbers of lines that no link was made over."""
    rows = conn.execute(
        """
        SELECT a.audit_id
        FROM audit a
        WHERE NOT EXISTS (SELECT FROM audit_link l WHERE l.audit_id = a.audit_id)
        ORDER BY a.audit_id
        LIMIT %s
        """,
        (limit,),
    ).fetchall()
    return [int(row[0]) for row in rows]


def last_before(conn: Connection, moment: datetime) -> int:
    """The last link up to which all lines are older than a moment; 0 when there is none.

    Lines are linked in the order of commits, which is not quite that of their times: what is kept begins with the
    first line that is young enough.
    """
    row = conn.execute(
        """
        SELECT coalesce(
            (SELECT min(l.link_no) - 1 FROM audit a JOIN audit_link l USING (audit_id) WHERE a.at >= %s),
            (SELECT max(link_no) FROM audit_link),
            0
        )
        """,
        (moment,),
    ).fetchone()
    return int(row[0]) if row else 0


def cut(conn: Connection, through: int) -> int:
    """Cut the chain behind a link and delete what lies before; how many lines went."""
    conn.execute(
        """
        UPDATE audit_head
        SET cut_no = l.link_no, cut_hash = l.hash
        FROM audit_link l
        WHERE l.link_no = %s
        """,
        (through,),
    )
    gone = conn.execute(
        """
        DELETE FROM audit a
        USING audit_link l, audit_head h
        WHERE l.audit_id = a.audit_id AND l.link_no <= h.cut_no
        """
    ).rowcount
    conn.execute("DELETE FROM audit_link l USING audit_head h WHERE l.link_no <= h.cut_no")
    return gone
