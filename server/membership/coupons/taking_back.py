"""Redemptions taken back: one made by mistake by a person, those of a sale by its refund; the coupon is open again.

The two differ in whose decision it is. After a refund the definition says whether the coupon comes back; what was never
meant comes back whatever it says. Both go through `restored`, so that nobody who listens can tell a coupon that is open
again from one that was never used.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from server import events
from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, NotFound
from server.events.models import NewEvent
from server.membership.coupons import repository, taking_back_repository
from server.membership.coupons.models import Coupon, Redemption
from server.membership.coupons.repository import SERVERS
from server.membership.idempotency import checked_key, checked_reason, request_hash
from server.storage.pool import Connection, Database


class CouponRedemptions:
    """What was redeemed, for whoever has to take some of it back."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def of_member(self, scope: Scope, member_id: UUID, since: datetime, limit: int = 20) -> list[Redemption]:
        """What stands of a member's redemptions in the caller's stores since a moment, newest first."""
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            return taking_back_repository.standing_of(conn, scope, member_id, since, limit)

    def take_back(self, scope: Scope, redemption_id: int, key: str, reason: str) -> Redemption:
        """Take a redemption back that was made by mistake: the coupon is open again for as long as it holds.

        Args:
            key: idempotency key, the store's own; the same request again gets the same answer.
            reason: why, in words; into the audit trail.

        Raises:
            NotFound: there is no such redemption in the caller's stores.
            Conflict: it was taken back already, or the key stands for something else.
            InvalidInput: no reason, no key.
        """
        scope.require_role(*SERVERS)
        checked, now = checked_key(key), self._clock()
        why = checked_reason(reason)
        asked = request_hash([redemption_id, why])
        with self._db.transaction() as conn:
            found = _known(taking_back_repository.redemption(conn, scope, redemption_id), redemption_id)
            # As when it was made: the receipt before the coupon, or two coupons of one receipt could block each other.
            repository.lock_receipt(conn, found.store_id, found.receipt_no)
            coupon = repository.coupon(conn, scope, found.coupon_id, lock=True)
            assert coupon is not None, "a redemption refers to its coupon"  # noqa: S101
            before = taking_back_repository.of_key(conn, scope, found.store_id, checked)
            if before is None:
                if not taking_back_repository.undo_by_hand(conn, scope, redemption_id, now, checked, asked):
                    raise Conflict(
                        f"redemption {redemption_id} was taken back already",
                        field="redemption_id",
                        remedy="nothing more is to be done",
                    )
                detail = {"redemption_id": redemption_id, "discount": str(found.discount), "reason": why}
                restored(conn, scope, coupon, found, now, "coupon.take_back", detail)
            elif (before.redemption_id, before.undone_hash) != (redemption_id, asked):
                raise Conflict(
                    f"the idempotency key {checked!r} stands for something else",
                    field="idempotency_key",
                    remedy="use a new key for a new request; the same key only to send the very same again",
                )
            return _known(taking_back_repository.redemption(conn, scope, redemption_id), redemption_id)


def restored(
    conn: Connection,
    scope: Scope,
    coupon: Coupon,
    redemption: Redemption,
    now: datetime,
    kind: str,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Open a coupon again whose redemption stands no more, with its trace and its event.

    Args:
        kind: of the trace.
        detail: of the trace, besides the receipt.
    """
    if coupon.code is None:
        # Its holder's data were erased: nobody can show it any more.
        repository.set_state(conn, scope, coupon.coupon_id, "voided", coupon.why)
    else:
        repository.set_state(conn, scope, coupon.coupon_id, "open" if coupon.valid_until > now else "expired")
    audit.record(
        conn,
        now,
        scope.actor,
        kind,
        subject=str(coupon.coupon_id),
        store_id=redemption.store_id,
        detail={"receipt": redemption.receipt_no, **(detail or {})},
    )
    body = {
        "definition_id": coupon.definition_id,
        "member_id": None if coupon.member_id is None else str(coupon.member_id),
        "receipt_no": redemption.receipt_no,
    }
    events.record(conn, NewEvent("coupon.restored", redemption.store_id, str(coupon.coupon_id), body))


def _known(found: Redemption | None, redemption_id: int) -> Redemption:
    if found is None:
        raise NotFound(
            f"there is no redemption {redemption_id} in your stores",
            field="redemption_id",
            remedy="give the number that the redemption was answered with",
        )
    return found
