"""SQL of members who came from another system: known by the number they had there. Ids, cards and tiers only."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Home:
    """A store as a home of members: by `country` their numbers are read, by `timezone` their days."""

    store_id: str
    name: str
    country: str
    timezone: str


def homes(conn: Connection, scope: Scope, store_id: str | None) -> list[Home]:
    """The stores of the scope, or one of them, each with its timezone of today."""
    with conn.cursor(row_factory=class_row(Home)) as cursor:
        return cursor.execute(
            """
            SELECT s.store_id, s.name, s.country, coalesce(c.timezone, 'UTC') AS timezone
            FROM store s
            LEFT JOIN LATERAL (
                SELECT timezone FROM store_calendar
                WHERE store_id = s.store_id
                ORDER BY valid_from > current_date, abs(valid_from - current_date) LIMIT 1
            ) AS c ON true
            WHERE (%(store)s::text IS NULL OR s.store_id = %(store)s)
              AND (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
            """,
            {"store": store_id, "scope": scope.store_ids},
        ).fetchall()


def enrolled_in(conn: Connection, external_no: str | None, member_id: UUID) -> str:
    """Where whoever had a number in the system of before was enrolled, or, where it had none, a member was."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            "SELECT coalesce(enrolled_store, home_store) FROM member WHERE member_id = %s"
            if external_no is None
            else "SELECT coalesce(enrolled_store, home_store) FROM member WHERE external_no = %s",
            (external_no or member_id,),
        ).fetchone()
    return str(found or "")


def by_external_no(conn: Connection, external_no: str) -> UUID | None:
    """Who had this number in the system of before, of any store: it was one system."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT member_root(member_id) FROM member WHERE external_no = %s", (external_no,)
        ).fetchone()


def card_of_member(conn: Connection, member_id: UUID) -> str:
    """The card of a member whose exact number led here."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute("SELECT card_no FROM member WHERE member_id = %s", (member_id,)).fetchone()
    return str(found or "")


def opens_elsewhere(conn: Connection, member_id: UUID) -> bool:
    """Whether what a member brought along goes by another key than their id: a card was merged into theirs, or they
    have a number in the system of before.
    """
    found = conn.execute(
        "SELECT 1 FROM member WHERE merged_into = %(id)s OR (member_id = %(id)s AND external_no IS NOT NULL) LIMIT 1",
        {"id": member_id},
    ).fetchone()
    return found is not None


def tier_brought(conn: Connection, member_id: UUID, tier: str) -> tuple[bool, str]:
    """Whether a file gave a member, or one of the cards merged into it, this tier before; and the tier of today."""
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM member_brought_tier b
                       WHERE b.member_id IN (SELECT member_family(m.member_id)) AND b.tier = %(tier)s),
               m.tier
        FROM member m
        WHERE m.member_id = member_root(%(member_id)s)
        """,
        {"member_id": member_id, "tier": tier},
    ).fetchone()
    return (False, "") if row is None else (bool(row[0]), str(row[1]))


def note_tier(conn: Connection, member_id: UUID, tier: str, at: datetime) -> None:
    """Remember which tier a file gave."""
    conn.execute(
        """
        INSERT INTO member_brought_tier (member_id, tier, given_at) VALUES (%s, %s, %s)
        ON CONFLICT (member_id) DO UPDATE SET tier = excluded.tier, given_at = excluded.given_at
        """,
        (member_id, tier, at),
    )
