"""SQL of what of a store may be changed where it stands."""

from server.access.models import Scope
from server.storage.pool import Connection


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
