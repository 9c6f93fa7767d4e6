"""SQL of what stores owe each other and what the chain owes the holders of cards."""

from datetime import datetime
from decimal import Decimal

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.stored_value.models import Liability, SettlementRow
from server.storage.locks import LockSpace
from server.storage.pool import Connection


def settlement(conn: Connection, scope: Scope, start: datetime, end: datetime) -> list[SettlementRow]:
    """Who sold and who served, for every pair of stores of which one is the scope's.

    Args:
        start, end: of the period (aware); the end is the first moment after it.
    """
    with conn.cursor(row_factory=class_row(SettlementRow)) as cursor:
        return cursor.execute(
            """
            WITH served AS (
                SELECT p.currency, l.store_id AS sold_by, p.store_id AS served_by,
                       -sum(e.amount) FILTER (WHERE a.kind = 'principal' AND p.kind <> 'pay_out') AS principal,
                       -sum(e.amount) FILTER (WHERE a.kind = 'bonus' AND p.kind <> 'pay_out') AS bonus,
                       -sum(e.amount) FILTER (WHERE a.kind = 'principal' AND p.kind = 'pay_out') AS paid_out
                FROM value_posting p
                JOIN value_entry e USING (posting_id)
                JOIN value_account a USING (account_id)
                JOIN value_lot l USING (lot_id)
                WHERE p.at >= %(start)s AND p.at < %(end)s AND p.kind IN ('spend', 'return', 'pay_out')
                GROUP BY p.currency, l.store_id, p.store_id
            ), due AS (
                SELECT a.currency, a.store_id AS sold_by, a.other_store AS served_by, sum(e.amount) AS owed,
                       -sum(e.amount) FILTER (WHERE p.kind = 'settle' AND p.at >= %(start)s AND p.at < %(end)s)
                           AS settled
                FROM value_account a
                JOIN value_entry e USING (account_id)
                JOIN value_posting p USING (posting_id)
                WHERE a.kind = 'debt'
                GROUP BY a.currency, a.store_id, a.other_store
            )
            SELECT currency, sold_by, served_by, coalesce(s.principal, 0) AS principal, coalesce(s.bonus, 0) AS bonus,
                   coalesce(s.paid_out, 0) AS paid_out, coalesce(d.settled, 0) AS settled, coalesce(d.owed, 0) AS owed
            FROM served s
            FULL JOIN due d USING (currency, sold_by, served_by)
            WHERE %(scope)s::text[] IS NULL OR sold_by = ANY(%(scope)s) OR served_by = ANY(%(scope)s)
            ORDER BY currency, sold_by, served_by
            """,
            {"start": start, "end": end, "scope": scope.store_ids},
        ).fetchall()


def owed(conn: Connection, scope: Scope, payer: str, payee: str, currency: str) -> Decimal:
    """What one store owes another, less what that one owes it, for whoever sees the whole chain."""
    scope.require_whole_chain()
    row = conn.execute(
        """
        SELECT coalesce(sum(CASE WHEN a.store_id = %(payer)s THEN e.amount ELSE -e.amount END), 0)
        FROM value_account a
        JOIN value_entry e USING (account_id)
        WHERE a.kind = 'debt' AND a.currency = %(currency)s
          AND (a.store_id, a.other_store) IN ((%(payer)s, %(payee)s), (%(payee)s, %(payer)s))
        """,
        {"payer": payer, "payee": payee, "currency": currency},
    ).fetchone()
    assert row is not None, "an aggregate always answers"  # noqa: S101
    return Decimal(row[0])


def liabilities(conn: Connection, scope: Scope) -> list[Liability]:
    """What is owed to holders of cards, by the store that sold; stores of the scope."""
    with conn.cursor(row_factory=class_row(Liability)) as cursor:
        return cursor.execute(
            """
            SELECT a.currency, l.store_id, count(DISTINCT l.card_id)::int AS cards,
                   coalesce(sum(a.balance) FILTER (WHERE a.kind = 'principal'), 0) AS principal,
                   coalesce(sum(a.balance) FILTER (WHERE a.kind = 'bonus'), 0) AS bonus
            FROM value_lot l
            JOIN value_account a USING (lot_id)
            WHERE a.balance > 0 AND (%(scope)s::text[] IS NULL OR l.store_id = ANY(%(scope)s))
            GROUP BY a.currency, l.store_id
            ORDER BY a.currency, l.store_id
            """,
            {"scope": scope.store_ids},
        ).fetchall()


def lock_pair(conn: Connection, one: str, other: str) -> None:
    """Let nobody else settle between two stores until the transaction ends."""
    first, second = sorted((one, other))
    conn.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LockSpace.VALUE_SETTLEMENT, f"{first}/{second}"))
