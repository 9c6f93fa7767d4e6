"""SQL of the later days that rest on an earlier one; see `learning`."""

from collections.abc import Collection
from datetime import date

from server.access.models import Scope
from server.storage.pool import Connection


def computed(
    conn: Connection, scope: Scope, store_id: str, expected: Collection[date], weighed: Collection[date]
) -> list[date]:
    """Which of a store's days were computed and rest on others, in order.

    Args:
        expected: days that do where camera time is missing.
        weighed: days that do in a store of several doors.
    """
    return [
        row[0]
        for row in conn.execute(
            """
            SELECT day
            FROM store_day
            WHERE store_id = %(store_id)s AND superseded_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND ((day = ANY(%(expected)s) AND observed_ms < due_ms)
                   OR (day = ANY(%(weighed)s)
                       AND (SELECT count(DISTINCT l.camera_id) > 1
                            FROM line l
                            WHERE l.store_id = %(store_id)s AND l.kind = 'door')))
            ORDER BY day
            """,
            {
                "store_id": store_id,
                "scope": scope.store_ids,
                "expected": sorted(expected),
                "weighed": sorted(weighed),
            },
        )
    ]
