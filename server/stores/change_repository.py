"""SQL of what of a store may be changed where it stands."""

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection
from server.stores.models import Line


def change(conn: Connection, scope: Scope, store_id: str, name: str, subdivision: str) -> None:
    """Set what people call a store, and where it belongs."""
    conn.execute(
        """
        UPDATE store
        SET name = %(name)s, subdivision = %(subdivision)s
        WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {
            "store_id": store_id,
            "name": name,
            "subdivision": subdivision,
            "scope": scope.store_ids,
        },
    )


def lock_lines(conn: Connection, scope: Scope, camera_id: str) -> list[Line]:
    """A camera's lines, held until the transaction ends."""
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(
            """
            SELECT line_id, camera_id, store_id, name, kind
            FROM line
            WHERE camera_id = %(camera_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY line_id
            FOR NO KEY UPDATE
            """,
            {"camera_id": camera_id, "scope": scope.store_ids},
        ).fetchall()


def rename_line(conn: Connection, scope: Scope, line_id: str, name: str) -> None:
    """Set what people call a line."""
    conn.execute(
        """
        UPDATE line
        SET name = %(name)s
        WHERE line_id = %(line_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"line_id": line_id, "name": name, "scope": scope.store_ids},
    )
