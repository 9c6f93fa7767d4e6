"""SQL of saved views: each is somebody's own, and nobody is shown another's."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class SavedView:
    """A page of headquarters as somebody set it out.

    Attributes:
        address: path and query of ours; what it shows is asked anew each time it is opened.
    """

    view_id: int
    name: str
    address: str
    created_at: datetime


def views(conn: Connection, user_id: str) -> list[SavedView]:
    """A user's own, by name."""
    with conn.cursor(row_factory=class_row(SavedView)) as cursor:
        return cursor.execute(
            "SELECT view_id, name, address, created_at FROM saved_view WHERE user_id = %s ORDER BY name", (user_id,)
        ).fetchall()


def put(conn: Connection, user_id: str, name: str, address: str, at: datetime) -> None:
    """Keep a view; one of the same name becomes this one."""
    conn.execute(
        """
        INSERT INTO saved_view (user_id, name, address, created_at)
        VALUES (%s, %s, %s, %s)
        ON CONFLICT (user_id, name) DO UPDATE SET address = excluded.address, created_at = excluded.created_at
        """,
        (user_id, name, address, at),
    )


def delete(conn: Connection, user_id: str, view_id: int) -> bool:
    """Forget one of a user's own; False when there is none."""
    return conn.execute("DELETE FROM saved_view WHERE user_id = %s AND view_id = %s", (user_id, view_id)).rowcount == 1
