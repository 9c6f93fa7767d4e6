"""SQL of receipts, their lines and their conflicts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Final
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.sales.models import OpenConflict, Receipt, ReceiptRow
from server.storage.arrays import array
from server.storage.locks import LockSpace
from server.storage.pool import Connection

Key = tuple[str, str]

#: Receipts whose lines are handed over at a time.
_COPIED: Final = 1_000


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


def insert_receipts(conn: Connection, rows: Sequence[ReceiptRow], received_at: datetime) -> set[Key]:
    """Keep receipts whose numbers are new; returns the keys of those.

    One statement with arrays: it costs the same round trip for one receipt and for five thousand.
    """
    inserted = conn.execute(
        """
        INSERT INTO receipt (store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, cashier,
                             tender, refers_to, content_hash, tax, tax_included, net, received_at)
        SELECT r.*, %s
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::numeric[],
                    %s::numeric[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::numeric[],
                    %s::boolean[], %s::numeric[]) AS r
        ON CONFLICT (store_id, receipt_no) DO NOTHING
        RETURNING store_id, receipt_no
        """,
        (
            received_at,
            array(row.store_id for row in rows),
            array(row.receipt_no for row in rows),
            array(row.kind for row in rows),
            array(row.channel for row in rows),
            array(row.at for row in rows),
            array(row.currency for row in rows),
            array(row.gross for row in rows),
            array(row.units for row in rows),
            array(row.member_id for row in rows),
            array(row.cashier for row in rows),
            array(row.tender for row in rows),
            array(row.refers_to for row in rows),
            array(f"\\x{row.content_hash.hex()}" for row in rows),
            array(row.tax for row in rows),
            array(row.tax_included for row in rows),
            array(row.net for row in rows),
        ),
    ).fetchall()
    return {(str(store_id), str(number)) for store_id, number in inserted}


def copy_lines(conn: Connection, rows: Iterable[ReceiptRow]) -> None:
    """Keep the lines of receipts just inserted.

    As text: the digits of a price are its text already, while binary takes them apart one by one in Python.
    """
    with (
        conn.cursor() as cursor,
        cursor.copy(
            """
            COPY receipt_line (store_id, receipt_no, line_no, sku, description, quantity, unit_price, discount, amount,
                               cost, sku_group, tax)
            FROM STDIN
            """
        ) as copy,
    ):
        left = iter(rows)
        while some := "".join(map(_lines, islice(left, _COPIED))):
            copy.write(some)


def _lines(row: ReceiptRow) -> str:
    """A receipt's lines in COPY's text format; control characters were refused, so only backslashes stand out."""
    of = f"{_escaped(row.store_id)}\t{_escaped(row.receipt_no)}\t"
    return "".join(
        f"{of}{number}\t{_escaped(line.sku)}\t{_escaped(line.description)}\t{line.quantity}\t{line.unit_price}\t"
        f"{line.discount}\t{line.amount}\t{_null(line.cost)}\t{_escaped(line.group)}\t{_null(line.tax)}\n"
        for number, line in enumerate(row.lines, start=1)
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\") if "\\" in text else text


def _null(value: Decimal | None) -> Decimal | str:
    return "\\N" if value is None else value


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
        "stores": [store_id for store_id, _ in keys],
        "numbers": [number for _, number in keys],
        "scope": scope.store_ids,
    }
