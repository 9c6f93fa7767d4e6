"""SQL of redemptions that are taken back: by a refund of all that was bought, or by whoever made them by mistake."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.membership.coupons.models import Redemption, TakenBack
from server.membership.coupons.repository import SERVERS
from server.storage.pool import Connection

_REDEMPTION: LiteralString = """
    SELECT r.redemption_id, r.coupon_id, r.store_id, r.receipt_no, r.currency, r.spent, r.discount, r.actor, r.at,
           r.undone_at
    FROM coupon_redemption r
"""
_OURS: LiteralString = " (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s)) "


def redemption(conn: Connection, scope: Scope, redemption_id: int) -> Redemption | None:
    """A redemption of a store of the scope."""
    with conn.cursor(row_factory=class_row(Redemption)) as cursor:
        return cursor.execute(
            _REDEMPTION + "WHERE r.redemption_id = %(id)s AND" + _OURS, {"id": redemption_id, "scope": scope.store_ids}
        ).fetchone()


def standing_of(conn: Connection, scope: Scope, member_id: UUID, since: datetime, limit: int) -> list[Redemption]:
    """What stands of a member's redemptions in stores of the scope since a moment, newest first."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(Redemption)) as cursor:
        return cursor.execute(
            _REDEMPTION
            + """
            JOIN coupon c USING (coupon_id)
            WHERE c.member_id IN (SELECT member_family(member_root(%(member)s)))
              AND r.at >= %(since)s AND r.undone_at IS NULL AND
            """
            + _OURS
            + "ORDER BY r.at DESC, r.redemption_id DESC LIMIT %(limit)s",
            {"member": member_id, "since": since, "limit": limit, "scope": scope.store_ids},
        ).fetchall()


def of_key(conn: Connection, scope: Scope, store_id: str, key: str) -> TakenBack | None:
    """What an idempotency key of a store took back."""
    scope.require(store_id)
    with conn.cursor(row_factory=class_row(TakenBack)) as cursor:
        return cursor.execute(
            """
            SELECT redemption_id, undone_hash
            FROM coupon_redemption
            WHERE store_id = %s AND undone_key = %s
            """,
            (store_id, key),
        ).fetchone()


def undo(conn: Connection, scope: Scope, redemption_id: int, at: datetime) -> bool:
    """A redemption stands no more, after a refund; False when it did not any more."""
    scope.require_role("system")
    done = conn.execute(
        "UPDATE coupon_redemption SET undone_at = %s WHERE redemption_id = %s AND undone_at IS NULL",
        (at, redemption_id),
    )
    return done.rowcount == 1


def undo_by_hand(
    conn: Connection, scope: Scope, redemption_id: int, at: datetime, key: str, request_hash: bytes
) -> bool:
    """A redemption of a store of the scope stands no more, by a person; False when it did not any more."""
    scope.require_role(*SERVERS)
    done = conn.execute(
        """
        UPDATE coupon_redemption
        SET undone_at = %(at)s, undone_by = %(actor)s, undone_key = %(key)s, undone_hash = %(hash)s
        WHERE redemption_id = %(id)s AND undone_at IS NULL
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {
            "at": at,
            "actor": scope.actor,
            "key": key,
            "hash": request_hash,
            "id": redemption_id,
            "scope": scope.store_ids,
        },
    )
    return done.rowcount == 1
