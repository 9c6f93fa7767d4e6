"""What a refund does to the coupons that were used on the sale: a whole one takes their use back, by their own rule.

A refund may come before its sale, a void before both, and the use of a coupon after them all; so nothing is added up on
the way. Whatever comes, the receipts as they are known now are asked whether the sale was given back.
"""

from datetime import datetime

from server.access.models import Scope
from server.membership.coupons import repository, taking_back_repository
from server.membership.coupons.taking_back import restored
from server.storage.pool import Connection

_SCOPE = Scope.system("coupons")


def settle(conn: Connection, store_id: str, receipt_no: str, at: datetime) -> int:
    """Take back what was redeemed on a sale that was given back whole; how many coupons.

    A coupon whose definition restores it is open again, until it expires; another stays used.
    """
    used = repository.standing(conn, _SCOPE, store_id, receipt_no)
    if not used or not repository.is_given_back(conn, _SCOPE, store_id, receipt_no):
        return 0
    done = 0
    for redemption in used:
        coupon = repository.coupon(conn, _SCOPE, redemption.coupon_id)
        if coupon is None or coupon.state != "redeemed":
            continue
        (definition,) = repository.definitions(conn, [coupon.definition_id], ended=True)
        if definition.on_refund == "forfeit":
            continue
        if not taking_back_repository.undo(conn, _SCOPE, redemption.redemption_id, at):
            continue
        restored(conn, _SCOPE, coupon, redemption, at, "coupon.restore")
        done += 1
    return done
