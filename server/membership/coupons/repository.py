"""SQL of definitions, coupons and redemptions.

A coupon is found by its whole code from any store, as a card is: whoever has the code may use it. By its id it is found
where its holder is known or where it was used, and nobody's by headquarters alone; a member's are listed where the
member is known, or shows the membership card.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.rows import class_row, kwargs_row, scalar_row
from psycopg.types.json import Jsonb

from server.access.models import Role, Scope
from server.membership.coupons.models import Coupon, Definition, IssueOn, NewDefinition, Redemption, State, Taken
from server.membership.seen_repository import FAMILY_IS_KNOWN, family
from server.storage.locks import LockSpace
from server.storage.pool import Connection

#: Who may redeem a coupon. A till's key may, in its own stores.
SERVERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk", "till")

_DEFINITION: LiteralString = """
    SELECT definition_id, title, kind, currency, value, most_off, gift_sku, minimum_spend, sku_groups, store_ids,
           stacking, valid_from, valid_until, valid_days, most_per_member, most_in_all, on_refund, issue_on, tiers,
           days, asks_consent, made_by, made_at, ended_at
    FROM coupon_definition
"""
_COUPON: LiteralString = """
    SELECT coupon_id, definition_id, code, member_id, issue_key, valid_from, valid_until, state, why, issued_by,
           issued_at
    FROM coupon
"""
_REDEMPTION: LiteralString = """
    SELECT redemption_id, coupon_id, store_id, receipt_no, currency, spent, discount, actor, at, undone_at
    FROM coupon_redemption
"""


def insert_definition(conn: Connection, new: NewDefinition, valid_from: datetime, actor: str, at: datetime) -> int:
    """Add a definition; its number."""
    row = conn.execute(
        """
        INSERT INTO coupon_definition (title, kind, currency, value, most_off, gift_sku, minimum_spend, sku_groups,
                                       store_ids, stacking, valid_from, valid_until, valid_days, most_per_member,
                                       most_in_all, on_refund, issue_on, tiers, days, asks_consent, made_by, made_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING definition_id
        """,
        (
            Jsonb(dict(new.title)),
            new.kind,
            new.currency,
            new.value,
            new.most_off,
            new.gift_sku,
            new.minimum_spend,
            None if new.sku_groups is None else list(new.sku_groups),
            None if new.store_ids is None else list(new.store_ids),
            new.stacking,
            valid_from,
            new.valid_until,
            new.valid_days,
            new.most_per_member,
            new.most_in_all,
            new.on_refund,
            new.issue_on,
            None if new.tiers is None else list(new.tiers),
            new.days,
            new.asks_consent,
            actor,
            at,
        ),
    ).fetchone()
    assert row is not None, "RETURNING answers with the row"  # noqa: S101
    return int(row[0])


def end_definition(conn: Connection, definition_id: int, at: datetime) -> bool:
    """End a definition; False when there is none, or it has ended."""
    ended = conn.execute(
        "UPDATE coupon_definition SET ended_at = %s WHERE definition_id = %s AND ended_at IS NULL", (at, definition_id)
    )
    return ended.rowcount == 1


def definitions(conn: Connection, ids: Sequence[int] | None = None, *, ended: bool = False) -> list[Definition]:
    """Definitions by number, or all; `ended` ones too."""
    with conn.cursor(row_factory=class_row(Definition)) as cursor:
        return cursor.execute(
            _DEFINITION
            + """
            WHERE (%(ids)s::bigint[] IS NULL OR definition_id = ANY(%(ids)s)) AND (%(ended)s OR ended_at IS NULL)
            ORDER BY definition_id
            """,
            {"ids": None if ids is None else list(ids), "ended": ended},
        ).fetchall()


def issued_on(conn: Connection, occasion: IssueOn) -> list[Definition]:
    """The definitions that are issued on an occasion."""
    with conn.cursor(row_factory=class_row(Definition)) as cursor:
        return cursor.execute(
            _DEFINITION + " WHERE issue_on = %s AND ended_at IS NULL ORDER BY definition_id", (occasion,)
        ).fetchall()


def lock_definition(conn: Connection, definition_id: int) -> Definition | None:
    """A definition, held until the transaction ends: how many are out is counted under it."""
    with conn.cursor(row_factory=class_row(Definition)) as cursor:
        return cursor.execute(_DEFINITION + " WHERE definition_id = %s FOR UPDATE", (definition_id,)).fetchone()


def out(conn: Connection, scope: Scope, definition_id: int, member_id: UUID | None) -> tuple[int, int]:
    """How many coupons of a definition there are in all, and of a member; what was voided doesn't count."""
    scope.require_role(*SERVERS)
    row = conn.execute(
        """
        SELECT count(*), count(*) FILTER (WHERE member_id IN (SELECT member_family(member_root(%(member)s))))
        FROM coupon
        WHERE definition_id = %(definition)s AND state <> 'voided'
        """,
        {"definition": definition_id, "member": member_id},
    ).fetchone()
    assert row is not None, "an aggregate always answers"  # noqa: S101
    return int(row[0]), int(row[1])


def insert_coupon(
    conn: Connection,
    definition_id: int,
    code: str,
    member_id: UUID | None,
    issue_key: str,
    validity: tuple[datetime, datetime],
    actor: str,
    at: datetime,
) -> UUID | None:
    """Issue a coupon; None when one was issued for the same reason, or the code is taken."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            INSERT INTO coupon (definition_id, code, member_id, issue_key, valid_from, valid_until, issued_by,
                                issued_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING
            RETURNING coupon_id
            """,
            (definition_id, code, member_id, issue_key, *validity, actor, at),
        ).fetchone()


def issued_for(conn: Connection, scope: Scope, definition_id: int, issue_key: str) -> Coupon | None:
    """The coupon that was issued for a reason."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Coupon)) as cursor:
        return cursor.execute(
            _COUPON + " WHERE definition_id = %s AND issue_key = %s", (definition_id, issue_key)
        ).fetchone()


def coupon(conn: Connection, scope: Scope, coupon_id: UUID, *, lock: bool = False) -> Coupon | None:
    """A coupon by its id, whose holder the scope may know of, or that was used in a store of the scope.

    Args:
        lock: hold it until the transaction ends.
    """
    query = (
        _COUPON  # noqa: S608 - constants
        + """
        WHERE coupon_id = %(coupon_id)s
          AND (%(scope)s::text[] IS NULL
               OR EXISTS (SELECT FROM (SELECT ARRAY(SELECT member_family(member_root(coupon.member_id))) AS ids) family
                          WHERE """
        + FAMILY_IS_KNOWN
        + """)
               OR EXISTS (SELECT FROM coupon_redemption r
                          WHERE r.coupon_id = coupon.coupon_id AND r.store_id = ANY(%(scope)s)))
        """
    )
    with conn.cursor(row_factory=class_row(Coupon)) as cursor:
        return cursor.execute(
            query + " FOR UPDATE" if lock else query, {"coupon_id": coupon_id, "scope": scope.store_ids}
        ).fetchone()


def coupon_of_code(conn: Connection, scope: Scope, code: str, *, lock: bool = False) -> Coupon | None:
    """The coupon with a whole code; locked, it is held until the transaction ends."""
    scope.require_role(*SERVERS)
    query = _COUPON + " WHERE code = %s"
    with conn.cursor(row_factory=class_row(Coupon)) as cursor:
        return cursor.execute(query + " FOR UPDATE" if lock else query, (code,)).fetchone()


def coupons_of(
    conn: Connection, scope: Scope, member_id: UUID, shown: str | None, *, only_open: bool, now: datetime
) -> list[Coupon] | None:
    """The coupons of a member and of all who were merged into it: what ends first comes first. None of whom the scope
    may not know.

    Args:
        shown: the number of the member's own card, where somebody shows it at the counter now.
    """
    members = family(conn, scope, member_id, shown)
    if not members:
        return None
    with conn.cursor(row_factory=class_row(Coupon)) as cursor:
        return cursor.execute(
            _COUPON
            + """
            WHERE member_id = ANY(%(members)s)
              AND (NOT %(only_open)s OR state = 'open' AND valid_until > %(now)s)
            ORDER BY valid_until, issued_at, coupon_id
            """,
            {"members": members, "only_open": only_open, "now": now},
        ).fetchall()


def coupons_of_members(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[Coupon]:
    """The coupons of just these members, whom the caller was let see."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Coupon)) as cursor:
        return cursor.execute(
            _COUPON + " WHERE member_id = ANY(%s) ORDER BY issued_at, coupon_id", (list(members),)
        ).fetchall()


def ids_of(conn: Connection, scope: Scope, member_id: UUID) -> list[UUID]:
    """All ids that mean a member today: whether a coupon that is shown is the customer's."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute("SELECT member_family(member_root(%s))", (member_id,)).fetchall()


def home_of(conn: Connection, scope: Scope, member_id: UUID) -> str | None:
    """The home store of a member of one of the scope's stores; None of any other."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT home_store
            FROM member
            WHERE member_id = member_root(%(member_id)s)
              AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
            """,
            {"member_id": member_id, "scope": scope.store_ids},
        ).fetchone()


def set_state(conn: Connection, scope: Scope, coupon_id: UUID, state: State, why: str = "") -> None:
    """What became of a coupon."""
    scope.require_role(*SERVERS)
    conn.execute("UPDATE coupon SET state = %s, why = %s WHERE coupon_id = %s", (state, why, coupon_id))


def expire(conn: Connection, scope: Scope, now: datetime, limit: int) -> int:
    """Mark coupons whose time is over; how many."""
    scope.require_role("system")
    return conn.execute(
        """
        UPDATE coupon SET state = 'expired'
        WHERE coupon_id IN (
            SELECT coupon_id FROM coupon WHERE state = 'open' AND valid_until <= %s
            ORDER BY valid_until LIMIT %s FOR UPDATE SKIP LOCKED)
        """,
        (now, limit),
    ).rowcount


def erase_codes(conn: Connection, scope: Scope, members: Sequence[UUID]) -> int:
    """Take the codes of these members' coupons; how many. What is open is voided with it."""
    scope.require_role("admin", "hq")
    return conn.execute(
        """
        UPDATE coupon
        SET code = NULL, state = CASE state WHEN 'open' THEN 'voided' ELSE state END,
            why = CASE state WHEN 'open' THEN 'the holder''s data were erased' ELSE why END
        WHERE member_id = ANY(%s) AND code IS NOT NULL
        """,
        (list(members),),
    ).rowcount


# -- redemptions


def lock_receipt(conn: Connection, store_id: str, receipt_no: str) -> None:
    """Let nobody else redeem on a receipt until the transaction ends."""
    conn.execute(
        "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LockSpace.COUPON_RECEIPT, f"{store_id}/{receipt_no}")
    )


def redemption_of_key(conn: Connection, scope: Scope, store_id: str, key: str) -> Redemption | None:
    """The redemption an idempotency key of a store stands for."""
    scope.require(store_id)
    with conn.cursor(row_factory=class_row(Redemption)) as cursor:
        return cursor.execute(_REDEMPTION + " WHERE store_id = %s AND idempotency_key = %s", (store_id, key)).fetchone()


def hash_of_key(conn: Connection, scope: Scope, store_id: str, key: str) -> bytes | None:
    """What the redemption was asked for with that an idempotency key of a store stands for."""
    scope.require(store_id)
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT request_hash FROM coupon_redemption WHERE store_id = %s AND idempotency_key = %s", (store_id, key)
        ).fetchone()


def insert_redemption(
    conn: Connection,
    coupon_id: UUID,
    store_id: str,
    receipt_no: str,
    key: str,
    request_hash: bytes,
    currency: str,
    spent: Decimal,
    discount: Decimal,
    actor: str,
    at: datetime,
) -> Redemption | None:
    """Use a coupon; None when the key is taken. A second standing one to a coupon is refused by the database."""
    with conn.cursor(row_factory=class_row(Redemption)) as cursor:
        return cursor.execute(
            """
            INSERT INTO coupon_redemption (coupon_id, store_id, receipt_no, idempotency_key, request_hash, currency,
                                           spent, discount, actor, at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (store_id, idempotency_key) DO NOTHING
            RETURNING redemption_id, coupon_id, store_id, receipt_no, currency, spent, discount, actor, at, undone_at
            """,
            (coupon_id, store_id, receipt_no, key, request_hash, currency, spent, discount, actor, at),
        ).fetchone()


def standing(conn: Connection, scope: Scope, store_id: str, receipt_no: str) -> list[Redemption]:
    """What was redeemed on a receipt and stands."""
    scope.require(store_id)
    with conn.cursor(row_factory=class_row(Redemption)) as cursor:
        return cursor.execute(
            _REDEMPTION + " WHERE store_id = %s AND receipt_no = %s AND undone_at IS NULL ORDER BY redemption_id",
            (store_id, receipt_no),
        ).fetchall()


def beside(conn: Connection, scope: Scope, store_id: str, receipt_no: str, but: UUID) -> list[Taken]:
    """The other coupons that were redeemed on a receipt and stand, in the order in which they were."""
    scope.require(store_id)
    with conn.cursor(row_factory=kwargs_row(_taken)) as cursor:
        return cursor.execute(
            """
            SELECT d.definition_id, d.title, d.kind, d.currency, d.value, d.most_off, d.gift_sku, d.minimum_spend,
                   d.sku_groups, d.store_ids, d.stacking, d.valid_from, d.valid_until, d.valid_days, d.most_per_member,
                   d.most_in_all, d.on_refund, d.issue_on, d.tiers, d.days, d.asks_consent, d.made_by, d.made_at,
                   d.ended_at, r.discount
            FROM coupon_redemption r
            JOIN coupon c USING (coupon_id)
            JOIN coupon_definition d USING (definition_id)
            WHERE r.store_id = %s AND r.receipt_no = %s AND r.undone_at IS NULL AND c.coupon_id <> %s
            ORDER BY r.redemption_id
            """,
            (store_id, receipt_no, but),
        ).fetchall()


def _taken(discount: Decimal, **columns: Any) -> Taken:
    return Taken(Definition(**columns), discount)


def is_given_back(conn: Connection, scope: Scope, store_id: str, receipt_no: str) -> bool:
    """Whether a sale was voided, or refunded whole, by what is known of it now."""
    row = conn.execute(
        """
        SELECT s.voided_at IS NOT NULL
               OR s.gross <= (SELECT coalesce(sum(r.gross), 0) FROM receipt r
                              WHERE r.store_id = s.store_id AND r.kind = 'refund' AND r.refers_to = s.receipt_no
                                AND r.voided_at IS NULL)
                  AND EXISTS (SELECT FROM receipt r
                              WHERE r.store_id = s.store_id AND r.kind = 'refund' AND r.refers_to = s.receipt_no
                                AND r.voided_at IS NULL)
        FROM receipt s
        WHERE s.store_id = %(store_id)s AND s.receipt_no = %(receipt_no)s AND s.kind = 'sale'
          AND (%(scope)s::text[] IS NULL OR s.store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "receipt_no": receipt_no, "scope": scope.store_ids},
    ).fetchone()
    return row is not None and bool(row[0])
