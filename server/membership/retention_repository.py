"""SQL of what is kept for so long: the rules, and whatever is older. Rows of the whole chain, on nobody's asking."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection

#: `inactive` erases members who were not seen for so long; the others delete what is older.
RuleName = Literal["inactive", "notes", "attachments", "old_phones", "links"]

_OLD: Final[dict[str, LiteralString]] = {
    "notes": "DELETE FROM member_note WHERE note_id IN"
    " (SELECT note_id FROM member_note WHERE written_at < %s LIMIT %s)",
    "attachments": "DELETE FROM member_attachment WHERE attachment_id IN"
    " (SELECT attachment_id FROM member_attachment WHERE added_at < %s LIMIT %s)",
    "old_phones": "DELETE FROM member_phone WHERE phone_id IN"
    " (SELECT phone_id FROM member_phone WHERE until_at < %s LIMIT %s)",
    "links": "DELETE FROM member_link WHERE link_id IN"
    " (SELECT link_id FROM member_link WHERE coalesce(last_seen_at, made_at) < %s LIMIT %s)",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """For how many days something is kept."""

    rule: RuleName
    days: int
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Silent:
    """A member nobody saw for long."""

    member_id: UUID
    home_store: str


def rules(conn: Connection) -> list[Rule]:
    """Every rule there is; they name nobody."""
    with conn.cursor(row_factory=class_row(Rule)) as cursor:
        return cursor.execute("SELECT rule, days, set_by, set_at FROM member_rule ORDER BY rule").fetchall()


def save(conn: Connection, rule: RuleName, days: int | None, by: str, at: datetime) -> None:
    """Set a rule, or (None) end it."""
    if days is None:
        conn.execute("DELETE FROM member_rule WHERE rule = %s", (rule,))
        return
    conn.execute(
        """
        INSERT INTO member_rule (rule, days, set_by, set_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (rule) DO UPDATE SET days = excluded.days, set_by = excluded.set_by, set_at = excluded.set_at
        """,
        (rule, days, by, at),
    )


def delete_older(conn: Connection, rule: str, before: datetime, limit: int) -> int:
    """Delete some of what is older; how many."""
    return conn.execute(_OLD[rule], (before, limit)).rowcount


def count_silent(conn: Connection, scope: Scope, before: datetime) -> int:
    """How many members of the scope's stores were not seen since."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            """
            SELECT count(*)
            FROM member m
            WHERE m.erased_at IS NULL AND m.merged_into IS NULL AND m.enrolled_at < %(before)s
              AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
              AND NOT EXISTS (SELECT FROM receipt r WHERE r.member_id = m.member_id AND r.at >= %(before)s)
              AND NOT EXISTS (SELECT FROM check_in v WHERE v.member_id = m.member_id AND v.at >= %(before)s)
              AND NOT EXISTS (SELECT FROM member f WHERE f.merged_into = m.member_id)
              AND NOT EXISTS (SELECT FROM member_consent c WHERE c.member_id = m.member_id AND c.at >= %(before)s)
              AND coalesce(m.changed_at, m.enrolled_at) < %(before)s
            """,
            {"before": before, "scope": scope.store_ids},
        ).fetchone()
    return int(found or 0)


def silent(conn: Connection, scope: Scope, before: datetime, after: UUID, limit: int) -> list[Silent]:
    """The next members in the order of ids whom nobody saw since: no receipt, no visit, no answer, no change.

    Whoever somebody was merged into is left to a person to decide.
    """
    with conn.cursor(row_factory=class_row(Silent)) as cursor:
        return cursor.execute(
            """
            SELECT m.member_id, m.home_store
            FROM member m
            WHERE m.member_id > %(after)s
              AND m.erased_at IS NULL AND m.merged_into IS NULL AND m.enrolled_at < %(before)s
              AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
              AND NOT EXISTS (SELECT FROM receipt r WHERE r.member_id = m.member_id AND r.at >= %(before)s)
              AND NOT EXISTS (SELECT FROM check_in v WHERE v.member_id = m.member_id AND v.at >= %(before)s)
              AND NOT EXISTS (SELECT FROM member f WHERE f.merged_into = m.member_id)
              AND NOT EXISTS (SELECT FROM member_consent c WHERE c.member_id = m.member_id AND c.at >= %(before)s)
              AND coalesce(m.changed_at, m.enrolled_at) < %(before)s
            ORDER BY m.member_id
            LIMIT %(limit)s
            """,
            {"before": before, "after": after, "scope": scope.store_ids, "limit": limit},
        ).fetchall()
