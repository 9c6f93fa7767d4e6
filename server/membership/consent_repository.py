"""SQL of consents: who may be reached for what, and the words that are shown."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.models import Purpose, Reach
from server.membership.wording import Wording
from server.storage.pool import Connection


def allowed(conn: Connection, scope: Scope, members: Sequence[UUID], purpose: Purpose, reach: Reach) -> list[UUID]:
    """Which of the members agreed to be reached for a purpose in a way, and have not taken it back."""
    return [member for member, _ in reachable(conn, scope, members, purpose, [reach])]


def reachable(
    conn: Connection, scope: Scope, members: Sequence[UUID], purpose: Purpose, reaches: Sequence[Reach]
) -> list[tuple[UUID, Reach]]:
    """By which of these ways the members agreed to be reached for a purpose, and have not taken it back.

    What anybody of a member's family answered is the one person's answer. Of answers about a way and about all ways the
    newest counts, and who took back the membership itself is asked nothing.
    """
    scope.require_role("admin", "hq", "region", "manager", "desk")
    return conn.execute(
        """
        SELECT m.member_id, w.reach
        FROM unnest(%(reaches)s::text[]) WITH ORDINALITY AS w (reach, place)
        CROSS JOIN member m
        WHERE m.member_id = ANY(%(members)s::uuid[])
          AND m.erased_at IS NULL AND m.merged_into IS NULL
          AND (w.reach NOT IN ('sms', 'phone') OR m.phone_enc IS NOT NULL)
          AND 2 = (
              SELECT count(*) FILTER (WHERE answer.granted)
              FROM (
                  SELECT DISTINCT ON (c.purpose = 'membership') c.granted
                  FROM member_consent c
                  WHERE c.member_id = ANY(ARRAY(SELECT member_family(m.member_id)))
                    AND (c.purpose = 'membership' OR (c.purpose = %(purpose)s AND c.reach IN ('', w.reach)))
                  ORDER BY c.purpose = 'membership', c.at DESC, c.consent_id DESC
              ) answer
          ) + (%(purpose)s = 'membership')::int
        ORDER BY w.place
        """,
        {"members": list(members), "purpose": purpose, "reaches": list(reaches)},
    ).fetchall()


def wordings(conn: Connection) -> list[Wording]:
    """The chain's own words, of every version, the newest last. They name nobody."""
    with conn.cursor(row_factory=class_row(Wording)) as cursor:
        return cursor.execute(
            "SELECT purpose, locale, version, wording AS text FROM consent_wording ORDER BY made_at, version"
        ).fetchall()


def insert_wording(conn: Connection, new: Wording, made_by: str, made_at: datetime) -> bool:
    """Show other words from now on; False when there is such a version."""
    return (
        conn.execute(
            """
            INSERT INTO consent_wording (purpose, locale, version, wording, made_by, made_at)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING
            """,
            (new.purpose, new.locale, new.version, new.text, made_by, made_at),
        ).rowcount
        == 1
    )
