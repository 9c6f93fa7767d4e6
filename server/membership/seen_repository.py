"""SQL of whom a scope may know of: one rule for all that is kept of a member, or each part would have its own.

A member is known in the stores where they, or whoever was merged into them, have their home, and where they bought. Of
anybody else a store knows as much as is shown at its counter: the number of the member's own card stands for that. An
id is no such thing. It comes back from a look-up by telephone number, so whoever has it has been shown nothing.
"""

from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import scalar_row

from server.access.models import Scope
from server.storage.pool import Connection

#: Whether the family of ids ``family.ids`` is known in the stores of the parameter ``scope``.
FAMILY_IS_KNOWN: Final[LiteralString] = """
    (%(scope)s::text[] IS NULL
     OR EXISTS (SELECT FROM member f WHERE f.member_id = ANY(family.ids) AND f.home_store = ANY(%(scope)s))
     OR EXISTS (SELECT FROM receipt r WHERE r.member_id = ANY(family.ids) AND r.store_id = ANY(%(scope)s)))
"""


def family(conn: Connection, scope: Scope, member_id: UUID, shown: str | None = None) -> list[UUID]:
    """All ids that mean a member today, if the scope may know of the member; none otherwise.

    Args:
        shown: the number of the member's own card, where somebody shows it at the counter now.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT unnest(family.ids)
            FROM (SELECT ARRAY(SELECT member_family(member_root(%(member_id)s))) AS ids) family
            WHERE """  # noqa: S608 - a constant
            + FAMILY_IS_KNOWN
            + """
               OR EXISTS (SELECT FROM member f
                          WHERE f.member_id = ANY(family.ids) AND f.card_no = %(shown)s AND f.erased_at IS NULL)
            """,
            {"member_id": member_id, "scope": scope.store_ids, "shown": shown},
        ).fetchall()


def is_held(conn: Connection, scope: Scope, member_id: UUID, shown: str | None = None) -> bool:
    """Whether there is such a member the scope may know of, not erased; held until the transaction ends.

    Args:
        shown: as `family`.
    """
    found = conn.execute(
        "SELECT FROM member WHERE member_id = %s AND erased_at IS NULL FOR KEY SHARE", (member_id,)
    ).fetchone()
    return found is not None and bool(family(conn, scope, member_id, shown))
