"""SQL of how stores are sorted: region, format and tags, in force from a business day until the store's next row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Label:
    """Region, format and tags of a store from a business day on."""

    store_id: str
    valid_from: date
    format: str
    tags: Sequence[str]
    region: str = ""


def put(conn: Connection, label: Label, actor: str, at: datetime) -> None:
    """Set region, format and tags from a day on."""
    conn.execute(
        """
        INSERT INTO store_label (store_id, valid_from, format, tags, region, changed_by, changed_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (store_id, valid_from)
        DO UPDATE SET format = excluded.format, tags = excluded.tags, region = excluded.region,
                      changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        (label.store_id, label.valid_from, label.format, list(label.tags), label.region, actor, at),
    )


def labels(conn: Connection, scope: Scope, store_ids: Sequence[str] | None = None) -> list[Label]:
    """Every version there is, by store and day; of all stores of the scope, or of some of them."""
    with conn.cursor(row_factory=class_row(Label)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, valid_from, format, tags, region
            FROM store_label
            WHERE (%(wanted)s::text[] IS NULL OR store_id = ANY(%(wanted)s))
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY store_id, valid_from
            """,
            {"wanted": None if store_ids is None else list(store_ids), "scope": scope.store_ids},
        ).fetchall()


def lock_store(conn: Connection, scope: Scope, store_id: str) -> bool:
    """Let one change of a store's labels be made at a time; False when there is no such store."""
    return (
        conn.execute(
            """
            SELECT 1 FROM store
            WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            FOR NO KEY UPDATE
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchone()
        is not None
    )
