"""SQL of members who came from another system: known by the number they had there. Ids and cards, and nothing else."""

from uuid import UUID

from psycopg.rows import scalar_row

from server.storage.pool import Connection


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


def has_merged(conn: Connection, member_id: UUID) -> bool:
    """Whether another's card was merged into a member's."""
    return conn.execute("SELECT 1 FROM member WHERE merged_into = %s LIMIT 1", (member_id,)).fetchone() is not None
