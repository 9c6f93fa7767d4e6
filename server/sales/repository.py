"""SQL of receipts, their lines and their conflicts."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.sales.lines import instant
from server.sales.models import OpenConflict, Receipt, ReceiptRow
from server.storage.arrays import array
from server.storage.copying import NULL, copy_rows, printed
from server.storage.locks import LockSpace
from server.storage.pool import Connection

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a receipt needs to know of its store."""

    store_id: str
    currency: str
    country: str


@dataclass(frozen=True, slots=True)
class KnownReceipt:
    """A receipt kept before, as far as a repetition must match it."""

    store_id: str
    receipt_no: str
    content_hash: bytes
    member_id: UUID | None
    at: datetime
    is_voided: bool


@dataclass(frozen=True, slots=True)
class Voided:
    """A receipt a void took back."""

    store_id: str
    receipt_no: str
    at: datetime


def stores(conn: Connection, scope: Scope, store_ids: Sequence[str]) -> dict[str, StoreFacts]:
    """Currency and country of those of the stores that exist and are in the scope."""
    with conn.cursor(row_factory=class_row(StoreFacts)) as cursor:
        found = cursor.execute(
            """
            SELECT store_id, currency, country
            FROM store
            WHERE store_id = ANY(%(wanted)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"wanted": list(store_ids), "scope": scope.store_ids},
        ).fetchall()
    return {each.store_id: each for each in found}


def lock_stores(conn: Connection, store_ids: Iterable[str]) -> None:
    """Let batches of a store be written one after the other, until this transaction ends.

    A sale and its void that arrive at the same moment would otherwise not see each other. Locks are taken in the order
    of their numbers, so that two batches over several stores can't block each other.
    """
    conn.execute(
        """
        SELECT pg_advisory_xact_lock(%s, number)
        FROM (SELECT DISTINCT hashtext(name) AS number FROM unnest(%s::text[]) AS name ORDER BY 1) AS locks
        """,
        (LockSpace.RECEIPTS, sorted(store_ids)),
    )


def copy_receipts(conn: Connection, rows: Iterable[ReceiptRow], received_at: datetime) -> None:
    """Keep receipts whose numbers are new.

    Args:
        conn: a transaction in which nobody else can add receipts of these stores (`lock_stores`), and `known` knows
            none of these.
    """
    received = instant(received_at)
    copy_rows(
        conn,
        """
        COPY receipt (store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, cashier, tender,
                      refers_to, content_hash, tax, tax_included, net, received_at)
        FROM STDIN
        """,
        (_receipt(row, received) for row in rows),
    )


def copy_lines(conn: Connection, rows: Iterable[ReceiptRow]) -> None:
    """Keep the lines of receipts just kept."""
    copy_rows(
        conn,
        """
        COPY receipt_line (store_id, receipt_no, line_no, sku, description, quantity, unit_price, discount, amount,
                           cost, sku_group, tax)
        FROM STDIN
        """,
        map(_lines, rows),
    )


def _receipt(row: ReceiptRow, received_at: str) -> str:
    """A receipt's cells; control characters were refused."""
    return (
        f"{printed(row.store_id)}\t{printed(row.receipt_no)}\t{row.kind}\t{row.channel}\t{instant(row.at)}\t"
        f"{row.currency}\t{row.gross}\t{row.units}\t{_null(row.member_id)}\t{printed(row.cashier)}\t"
        f"{printed(row.tender)}\t{NULL if row.refers_to is None else printed(row.refers_to)}\t"
        f"\\\\x{row.content_hash.hex()}\t{_null(row.tax)}\t{_null(row.tax_included)}\t{_null(row.net)}\t{received_at}\n"
    )


def _lines(row: ReceiptRow) -> str:
    of = f"{printed(row.store_id)}\t{printed(row.receipt_no)}\t"
    return "".join([f"{of}{number}\t{line.kept}" for number, line in enumerate(row.lines, start=1)])


def _null(value: object) -> object:
    return NULL if value is None else value


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A sale (`gross` None: nobody knows it), and what all refunds that name it come to."""

    store_id: str
    receipt_no: str
    gross: Decimal | None
    refunded: Decimal


def known(conn: Connection, scope: Scope, keys: Sequence[Key]) -> dict[Key, KnownReceipt]:
    """Receipts kept before under any of the keys."""
    with conn.cursor(row_factory=class_row(KnownReceipt)) as cursor:
        found = cursor.execute(
            """
            SELECT r.store_id, r.receipt_no, r.content_hash, r.member_id, r.at,
                   r.voided_at IS NOT NULL AS is_voided
            FROM receipt r
            JOIN unnest(%(stores)s::text[], %(numbers)s::text[]) AS wanted (store_id, receipt_no)
              USING (store_id, receipt_no)
            WHERE %(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s)
            """,
            _keys(scope, keys),
        ).fetchall()
    return {(each.store_id, each.receipt_no): each for each in found}


def apply_voids(conn: Connection, scope: Scope, keys: Sequence[Key]) -> list[Voided]:
    """Mark those of the receipts that a void refers to; returns the ones that were not marked before."""
    with conn.cursor(row_factory=class_row(Voided)) as cursor:
        return cursor.execute(
            """
            UPDATE receipt AS r
            SET voided_at = v.at
            FROM receipt AS v
            JOIN unnest(%(stores)s::text[], %(numbers)s::text[]) AS touched (store_id, receipt_no)
              ON v.store_id = touched.store_id AND v.refers_to = touched.receipt_no
            WHERE v.kind = 'void'
              AND r.store_id = v.store_id AND r.receipt_no = v.refers_to
              AND r.kind <> 'void' AND r.voided_at IS NULL
              AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
            RETURNING r.store_id, r.receipt_no, r.at
            """,
            _keys(scope, keys),
        ).fetchall()


def given_back(conn: Connection, scope: Scope, sales: Sequence[Key]) -> list[GivenBack]:
    """What was given back of sales by refunds that stand; one row for each that is asked for, known or not.

    Looks refunds up by the partial index over what they refer to.
    """
    with conn.cursor(row_factory=class_row(GivenBack)) as cursor:
        return cursor.execute(
            """
            SELECT wanted.store_id, wanted.receipt_no, s.gross,
                   (SELECT coalesce(sum(r.gross), 0) FROM receipt r
                    WHERE r.store_id = wanted.store_id AND r.refers_to = wanted.receipt_no AND r.kind = 'refund'
                      AND r.voided_at IS NULL) AS refunded
            FROM unnest(%(stores)s::text[], %(numbers)s::text[]) AS wanted (store_id, receipt_no)
            LEFT JOIN receipt s
              ON s.store_id = wanted.store_id AND s.receipt_no = wanted.receipt_no AND s.kind = 'sale'
            WHERE %(scope)s::text[] IS NULL OR wanted.store_id = ANY(%(scope)s)
            """,
            _keys(scope, sales),
        ).fetchall()


def void_refunds(conn: Connection, scope: Scope, sales: Sequence[Key]) -> list[Voided]:
    """Mark refunds of those of the sales that are void: what was never sold can't be given back; returns the new ones.

    Looks refunds up by the partial index over what they refer to.
    """
    with conn.cursor(row_factory=class_row(Voided)) as cursor:
        return cursor.execute(
            """
            UPDATE receipt AS r
            SET voided_at = s.voided_at
            FROM receipt AS s
            JOIN unnest(%(stores)s::text[], %(numbers)s::text[]) AS wanted (store_id, receipt_no)
              ON s.store_id = wanted.store_id AND s.receipt_no = wanted.receipt_no
            WHERE s.kind = 'sale' AND s.voided_at IS NOT NULL
              AND r.store_id = s.store_id AND r.refers_to = s.receipt_no
              AND r.kind = 'refund' AND r.voided_at IS NULL
              AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
            RETURNING r.store_id, r.receipt_no, r.at
            """,
            _keys(scope, sales),
        ).fetchall()


def attach_member(conn: Connection, scope: Scope, key: Key, member_id: UUID) -> bool:
    """Say whose a receipt is that was nobody's; False when it is somebody's."""
    updated = conn.execute(
        """
        UPDATE receipt
        SET member_id = %(member_id)s
        WHERE store_id = %(store_id)s AND receipt_no = %(receipt_no)s AND member_id IS NULL
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"member_id": member_id, "store_id": key[0], "receipt_no": key[1], "scope": scope.store_ids},
    )
    return updated.rowcount == 1


def same_people(conn: Connection, scope: Scope, pairs: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Those of the pairs of members (known before, named now) of which the second is no contradiction of the first.

    They were merged since; or the number went from one to the other; or who it was is erased, and what they bought
    stays nobody's.
    """
    scope.require_role("admin", "hq", "region", "manager", "desk", "till")
    if not pairs:
        return set()
    rows = conn.execute(
        """
        SELECT p.before, p.named
        FROM unnest(%(before)s::uuid[], %(named)s::uuid[]) AS p (before, named)
        JOIN member b ON b.member_id = p.before
        WHERE b.erased_at IS NOT NULL
           OR member_root(p.before) = member_root(p.named)
           OR EXISTS (
                  SELECT FROM member_phone n
                  WHERE n.member_id IN (SELECT member_family(member_root(p.before)))
                    AND member_root(n.went_to) = member_root(p.named))
        """,
        {"before": [before for before, _ in pairs], "named": [named for _, named in pairs]},
    ).fetchall()
    return {(row[0], row[1]) for row in rows}


def insert_conflict(conn: Connection, row: ReceiptRow, payload: dict[str, object], received_at: datetime) -> None:
    """Put a receipt aside whose number is taken by another; the same one twice is one."""
    conn.execute(
        """
        INSERT INTO receipt_conflict (store_id, receipt_no, content_hash, payload, received_at)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (store_id, receipt_no, content_hash) WHERE resolved_at IS NULL DO NOTHING
        """,
        (row.store_id, row.receipt_no, row.content_hash, Jsonb(payload), received_at),
    )


def resolve_conflict(conn: Connection, scope: Scope, conflict_id: int, who: str, why: str, at: datetime) -> str | None:
    """End an open conflict; its store, None when there is none."""
    row = conn.execute(
        """
        UPDATE receipt_conflict
        SET resolved_at = %(at)s, resolved_by = %(who)s, resolution = %(why)s
        WHERE conflict_id = %(conflict_id)s AND resolved_at IS NULL
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        RETURNING store_id
        """,
        {"at": at, "who": who, "why": why, "conflict_id": conflict_id, "scope": scope.store_ids},
    ).fetchone()
    return None if row is None else str(row[0])


def recent(conn: Connection, scope: Scope, store_id: str, limit: int) -> list[Receipt]:
    """The newest receipts of a store."""
    with conn.cursor(row_factory=class_row(Receipt)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, cashier, tender,
                   refers_to, voided_at, tax, tax_included, net
            FROM receipt
            WHERE store_id = %(store_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY at DESC, receipt_no
            LIMIT %(limit)s
            """,
            {"store_id": store_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def open_conflicts(conn: Connection, scope: Scope, store_id: str | None, limit: int) -> list[OpenConflict]:
    """Conflicts that wait for a person, oldest first."""
    with conn.cursor(row_factory=class_row(OpenConflict)) as cursor:
        return cursor.execute(
            """
            SELECT conflict_id, store_id, receipt_no, payload, received_at
            FROM receipt_conflict
            WHERE resolved_at IS NULL
              AND (%(store_id)s::text IS NULL OR store_id = %(store_id)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY conflict_id
            LIMIT %(limit)s
            """,
            {"store_id": store_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def _keys(scope: Scope, keys: Sequence[Key]) -> dict[str, object]:
    return {
        "stores": array(store_id for store_id, _ in keys),
        "numbers": array(number for _, number in keys),
        "scope": scope.store_ids,
    }
