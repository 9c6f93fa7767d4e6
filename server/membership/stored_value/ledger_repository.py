"""SQL of the ledger: postings, their entries, the accounts, and what they add up to.

Nothing here changes or deletes a row: the database refuses it. Balances of top-ups are kept by a trigger as entries are
written, and may not fall below nothing; so even a caller that forgot to lock a card could not overspend it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.membership.stored_value.models import (
    BonusBearer,
    Lot,
    NewEntry,
    Part,
    PostingKind,
    PostingRow,
)
from server.membership.stored_value.repository import SERVERS
from server.storage.pool import Connection

#: The account of an entry `e`, by the one index there is: a card's by its top-up, a store's by the store.
_ACCOUNT: LiteralString = """
    SELECT account_id FROM value_account
    WHERE e.lot_id IS NOT NULL AND lot_id = e.lot_id AND kind = e.kind AND currency = %(currency)s
    UNION ALL
    SELECT account_id FROM value_account
    WHERE e.lot_id IS NULL AND lot_id IS NULL AND kind = e.kind AND store_id = e.store_id
      AND (other_store = e.other_store OR e.other_store IS NULL AND other_store IS NULL) AND currency = %(currency)s
"""


@dataclass(frozen=True, slots=True)
class NewPosting:
    """A posting to be."""

    kind: PostingKind
    card_id: UUID | None
    member_id: UUID | None
    store_id: str
    currency: str
    key: str
    request_hash: bytes
    bearer: BonusBearer
    refers_to: int | None = None
    receipt_no: str | None = None
    tender: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """What a posting did to the tills, and what was kept as a fee."""

    cash: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """A posting in a list, with what it did to the card."""

    posting_id: int
    kind: PostingKind
    store_id: str
    currency: str
    receipt_no: str | None
    reason: str
    at: datetime
    principal: Decimal
    bonus: Decimal


@dataclass(frozen=True, slots=True)
class After:
    """What was on a card after a posting."""

    principal: Decimal
    bonus: Decimal


def posting_of_key(conn: Connection, scope: Scope, store_id: str, key: str) -> PostingRow | None:
    """The posting an idempotency key of a store stands for."""
    scope.require(store_id)
    with conn.cursor(row_factory=class_row(PostingRow)) as cursor:
        return cursor.execute(
            """
            SELECT posting_id, kind, card_id, member_id, store_id, currency, idempotency_key, request_hash, refers_to,
                   receipt_no, tender, bonus_borne_by, reason, actor, at
            FROM value_posting
            WHERE store_id = %s AND idempotency_key = %s
            """,
            (store_id, key),
        ).fetchone()


def postings(
    conn: Connection, scope: Scope, card_id: UUID | None, posting_id: int | None, limit: int
) -> list[PostingRow]:
    """Postings of a card, newest first; or one, which must be of a card if one is named, of the scope otherwise."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(PostingRow)) as cursor:
        return cursor.execute(
            """
            SELECT posting_id, kind, card_id, member_id, store_id, currency, idempotency_key, request_hash, refers_to,
                   receipt_no, tender, bonus_borne_by, reason, actor, at
            FROM value_posting
            WHERE (%(card_id)s::uuid IS NULL OR card_id = %(card_id)s)
              AND (%(posting_id)s::bigint IS NULL OR posting_id = %(posting_id)s)
              AND (%(card_id)s::uuid IS NOT NULL OR %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY posting_id DESC
            LIMIT %(limit)s
            """,
            {"card_id": card_id, "posting_id": posting_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def insert_posting(conn: Connection, new: NewPosting, actor: str, at: datetime) -> int | None:
    """Make a posting; None when its key is taken. Whoever is making one under the same key is waited for."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            INSERT INTO value_posting (kind, card_id, member_id, store_id, currency, idempotency_key, request_hash,
                                       refers_to, receipt_no, tender, bonus_borne_by, reason, actor, at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (store_id, idempotency_key) DO NOTHING
            RETURNING posting_id
            """,
            (
                new.kind,
                new.card_id,
                new.member_id,
                new.store_id,
                new.currency,
                new.key,
                new.request_hash,
                new.refers_to,
                new.receipt_no,
                new.tender,
                new.bearer,
                new.reason,
                actor,
                at,
            ),
        ).fetchone()


def insert_lot(
    conn: Connection, card_id: UUID, posting_id: int, store_id: str, at: datetime, principal: Decimal, bonus: Decimal
) -> int:
    """A top-up, to which its posting's entries will belong."""
    row = conn.execute(
        """
        INSERT INTO value_lot (card_id, posting_id, store_id, sold_at, principal, bonus)
        VALUES (%s, %s, %s, %s, %s, %s)
        RETURNING lot_id
        """,
        (card_id, posting_id, store_id, at, principal, bonus),
    ).fetchone()
    assert row is not None, "RETURNING answers with the row"  # noqa: S101
    return int(row[0])


def insert_entries(conn: Connection, posting_id: int, currency: str, entries: Sequence[NewEntry]) -> None:
    """Write a posting's entries; accounts that are not there yet are opened, in the order of the entries."""
    parameters = {
        "posting_id": posting_id,
        "currency": currency,
        "kinds": [each.account for each in entries],
        "lots": [each.lot_id for each in entries],
        "stores": [each.store_id for each in entries],
        "others": [each.other_store for each in entries],
        "amounts": [each.amount for each in entries],
    }
    conn.execute(
        """
        INSERT INTO value_account (kind, currency, lot_id, store_id, other_store)
        SELECT e.kind, %(currency)s, e.lot_id, e.store_id, e.other_store
        FROM unnest(%(kinds)s::text[], %(lots)s::bigint[], %(stores)s::text[], %(others)s::text[])
             WITH ORDINALITY AS e (kind, lot_id, store_id, other_store, line)
        WHERE NOT EXISTS ("""  # noqa: S608 - a constant
        + _ACCOUNT
        + """)
        ORDER BY e.line
        ON CONFLICT DO NOTHING
        """,
        parameters,
    )
    conn.execute(
        """
        INSERT INTO value_entry (posting_id, line, account_id, amount)
        SELECT %(posting_id)s, e.line, a.account_id, e.amount
        FROM unnest(%(kinds)s::text[], %(lots)s::bigint[], %(stores)s::text[], %(others)s::text[],
                    %(amounts)s::numeric[])
             WITH ORDINALITY AS e (kind, lot_id, store_id, other_store, amount, line)
        JOIN LATERAL ("""  # noqa: S608 - a constant
        + _ACCOUNT
        + """) a ON true
        ORDER BY e.line
        """,
        parameters,
    )


def lots(conn: Connection, scope: Scope, card_id: UUID) -> list[Lot]:
    """The top-ups of a card of which something is left, oldest first."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Lot)) as cursor:
        return cursor.execute(
            """
            SELECT *
            FROM (
                SELECT l.lot_id, l.posting_id, l.store_id, l.sold_at, l.principal, l.bonus,
                       coalesce(sum(a.balance) FILTER (WHERE a.kind = 'principal'), 0) AS principal_left,
                       coalesce(sum(a.balance) FILTER (WHERE a.kind = 'bonus'), 0) AS bonus_left
                FROM value_lot l
                LEFT JOIN value_account a USING (lot_id)
                WHERE l.card_id = %s
                GROUP BY l.lot_id
            ) lot
            WHERE principal_left > 0 OR bonus_left > 0
            ORDER BY lot_id
            """,
            (card_id,),
        ).fetchall()


def parts(conn: Connection, scope: Scope, posting_id: int) -> list[Part]:
    """What a posting did to each top-up."""
    return _parts(conn, scope, [posting_id])


def returned(conn: Connection, scope: Scope, posting_id: int) -> list[Part]:
    """What was given back of a purchase so far, by top-up."""
    scope.require_role(*SERVERS)
    found = conn.execute(
        "SELECT posting_id FROM value_posting WHERE refers_to = %s AND kind = 'return'", (posting_id,)
    ).fetchall()
    return _parts(conn, scope, [int(row[0]) for row in found])


def _parts(conn: Connection, scope: Scope, posting_ids: Sequence[int]) -> list[Part]:
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Part)) as cursor:
        return cursor.execute(
            """
            SELECT l.lot_id, l.store_id,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'principal'), 0) AS principal,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'bonus'), 0) AS bonus
            FROM value_entry e
            JOIN value_account a USING (account_id)
            JOIN value_lot l USING (lot_id)
            WHERE e.posting_id = ANY(%s)
            GROUP BY l.lot_id, l.store_id
            ORDER BY l.lot_id
            """,
            (list(posting_ids),),
        ).fetchall()


def money(conn: Connection, scope: Scope, posting_id: int) -> Money:
    """What a posting brought into the tills (positive) or out of them, and the fee."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Money)) as cursor:
        found = cursor.execute(
            """
            SELECT coalesce(-sum(e.amount) FILTER (WHERE a.kind = 'cash'), 0) AS cash,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'fees'), 0) AS fee
            FROM value_entry e
            JOIN value_account a USING (account_id)
            WHERE e.posting_id = %s
            """,
            (posting_id,),
        ).fetchone()
    assert found is not None, "an aggregate always answers"  # noqa: S101
    return found


def after(conn: Connection, scope: Scope, card_id: UUID, posting_id: int) -> After:
    """What was on a card after a posting. Postings of a card are numbered under its lock, so by number is by time."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(After)) as cursor:
        found = cursor.execute(
            """
            SELECT coalesce(sum(e.amount) FILTER (WHERE a.kind = 'principal'), 0) AS principal,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'bonus'), 0) AS bonus
            FROM value_lot l
            JOIN value_account a USING (lot_id)
            JOIN value_entry e USING (account_id)
            WHERE l.card_id = %s AND e.posting_id <= %s
            """,
            (card_id, posting_id),
        ).fetchone()
    assert found is not None, "an aggregate always answers"  # noqa: S101
    return found


def lines(conn: Connection, scope: Scope, card_id: UUID) -> list[Line]:
    """Everything posted on a card, oldest first."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(
            """
            SELECT p.posting_id, p.kind, p.store_id, p.currency, p.receipt_no, p.reason, p.at,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'principal'), 0) AS principal,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'bonus'), 0) AS bonus
            FROM value_posting p
            JOIN value_entry e USING (posting_id)
            JOIN value_account a USING (account_id)
            WHERE p.card_id = %s
            GROUP BY p.posting_id
            ORDER BY p.posting_id
            """,
            (card_id,),
        ).fetchall()


def sum_of_entries(conn: Connection, scope: Scope, card_id: UUID) -> Decimal:
    """What all entries of a card's postings sum to: nothing, or the books are broken."""
    scope.require_role(*SERVERS)
    row = conn.execute(
        """
        SELECT coalesce(sum(e.amount), 0)
        FROM value_posting p
        JOIN value_entry e USING (posting_id)
        WHERE p.card_id = %s
        """,
        (card_id,),
    ).fetchone()
    assert row is not None, "an aggregate always answers"  # noqa: S101
    return Decimal(row[0])
