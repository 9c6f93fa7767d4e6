"""SQL of a receipt that came again with other content, and of the one that is kept under its number."""

from psycopg.rows import class_row, dict_row

from server.access.models import Scope
from server.sales.models import OpenConflict, Receipt
from server.storage.pool import Connection


def open_conflict(conn: Connection, scope: Scope, conflict_id: int) -> OpenConflict | None:
    """One that waits for a person; None when there is none, or it is of somebody else's store."""
    with conn.cursor(row_factory=class_row(OpenConflict)) as cursor:
        return cursor.execute(
            """
            SELECT conflict_id, store_id, receipt_no, payload, received_at
            FROM receipt_conflict
            WHERE conflict_id = %(id)s AND resolved_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"id": conflict_id, "scope": scope.store_ids},
        ).fetchone()


def kept(conn: Connection, scope: Scope, store_id: str, receipt_no: str) -> Receipt | None:
    """The receipt that is kept under a number."""
    with conn.cursor(row_factory=class_row(Receipt)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, cashier, tender,
                   refers_to, voided_at, tax, tax_included, net
            FROM receipt
            WHERE store_id = %(store_id)s AND receipt_no = %(receipt_no)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "receipt_no": receipt_no, "scope": scope.store_ids},
        ).fetchone()


def kept_lines(conn: Connection, scope: Scope, store_id: str, receipt_no: str) -> list[dict[str, object]]:
    """Its lines in their order, each in the words of a conflict's content."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT sku, description, quantity, unit_price, discount, cost, sku_group AS group, tax
            FROM receipt_line
            WHERE store_id = %(store_id)s AND receipt_no = %(receipt_no)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY line_no
            """,
            {"store_id": store_id, "receipt_no": receipt_no, "scope": scope.store_ids},
        ).fetchall()
