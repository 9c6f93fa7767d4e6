"""How a coupon comes to be: under its definition's lock, once for each reason.

The trap is the second welcome: an event taken again, a nightly job run twice, a desk that clicks again. So what a
coupon is issued for is its key in the database, unique with its definition, and to issue it again gives the one that is
there.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from server import events
from server.access.models import Scope
from server.errors import Conflict
from server.events.models import NewEvent
from server.membership import consent_repository
from server.membership.coupons import codes, quoting, repository
from server.membership.coupons.models import Coupon, Definition, UsedUp
from server.membership.models import Reach
from server.storage.pool import Connection

_TRIES: Final = 20
_HQ: Final = Scope.system("coupons")
#: By which somebody may be reached; a consent may be about one of them or about all.
WAYS: Final[tuple[Reach, ...]] = ("sms", "phone", "email", "wechat", "post")


def issue(
    conn: Connection, scope: Scope, definition_id: int, member_id: UUID | None, issue_key: str, at: datetime
) -> tuple[Coupon, bool]:
    """A coupon of a definition for a reason, and whether it is new.

    Args:
        conn: the transaction in which the reason is; the coupon is there if and only if that commits.
        issue_key: the reason, such as ``welcome:<member>``.

    Raises:
        UsedUp: as many are out as may be, in all or of this member; or the definition is over.
    """
    definition = repository.lock_definition(conn, definition_id)
    if definition is None or definition.ended_at is not None:
        raise UsedUp("these coupons are issued no more", field="definition_id", remedy="choose another definition")
    before = repository.issued_for(conn, scope, definition_id, issue_key)
    if before is not None:
        return before, False
    _check_left(conn, scope, definition, member_id)
    validity = quoting.validity(definition, at)
    if validity[1] <= at:
        raise UsedUp("the time of these coupons is over", field="definition_id", remedy="choose another definition")
    for _ in range(_TRIES):
        coupon_id = repository.insert_coupon(
            conn, definition_id, codes.new_code(), member_id, issue_key, validity, scope.actor, at
        )
        if coupon_id is not None:
            made = repository.coupon(conn, scope, coupon_id)
            assert made is not None, "it was inserted in this transaction"  # noqa: S101
            events.record(conn, _told(conn, made, definition))
            return made, True
    raise Conflict("no free code was found", remedy="try again; if it persists, use longer codes")


def _check_left(conn: Connection, scope: Scope, definition: Definition, member_id: UUID | None) -> None:
    if definition.most_in_all is None and (definition.most_per_member is None or member_id is None):
        return
    in_all, of_member = repository.out(conn, scope, definition.definition_id, member_id)
    if definition.most_in_all is not None and in_all >= definition.most_in_all:
        raise UsedUp(
            f"all {definition.most_in_all} of these coupons are out",
            field="definition_id",
            remedy="define another coupon, or take some back",
        )
    if member_id is not None and definition.most_per_member is not None and of_member >= definition.most_per_member:
        raise UsedUp(
            f"this member has had {of_member} of these coupons",
            field="member_id",
            remedy=f"a member has {definition.most_per_member} of them at most",
        )


def _told(conn: Connection, coupon: Coupon, definition: Definition) -> NewEvent:
    """That a coupon is there, and by which ways its holder agreed to hear of it: who sends anything goes by that.

    The code is in no event: it is as good as the coupon. Whoever may send asks for it with a key of their own.
    """
    may: list[str] = []
    if coupon.member_id is not None:
        may = [reach for _, reach in consent_repository.reachable(conn, _HQ, [coupon.member_id], "marketing", WAYS)]
    return NewEvent(
        "coupon.issued",
        None,
        str(coupon.coupon_id),
        {
            "definition_id": coupon.definition_id,
            "member_id": None if coupon.member_id is None else str(coupon.member_id),
            "occasion": definition.issue_on,
            "valid_from": coupon.valid_from.isoformat(),
            "valid_until": coupon.valid_until.isoformat(),
            "may_reach_by": may,
        },
    )
