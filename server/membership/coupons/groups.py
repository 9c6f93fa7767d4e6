"""Coupons by hand to many: a tier, a stage, the members of a store, those of high value.

A group is issued to a part at a time, each part a transaction, so that whoever asks sees how far it is and may stop.
The key stands for the whole issue: gone on with, or asked for again, nobody gets a second one.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import NotFound
from server.membership import consent_repository
from server.membership.coupons import group_repository, repository
from server.membership.coupons.issuing import WAYS, issue
from server.membership.coupons.models import Group, GroupIssued, Tally, UsedUp
from server.membership.idempotency import checked_key
from server.storage.pool import Database

_HQ: Final[tuple[Role, ...]] = ("admin", "hq")
#: So many members are looked at in one go.
PART: Final = 500


class CouponGroups:
    """Issues to groups, and counts what became of coupons."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def tallies(self, scope: Scope) -> dict[int, Tally]:
        """What became of the coupons of each definition that has some.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
        """
        scope.require_role(*_HQ)
        with self._db.read() as conn:
            found: Sequence[Tally] = group_repository.tallies(conn, scope, self._clock())
        return {each.definition_id: each for each in found}

    def issue(self, scope: Scope, definition_id: int, group: Group, key: str, after: UUID | None = None) -> GroupIssued:
        """Issue to the next part of a group; who may not be reached is passed over where the definition asks for it.

        Args:
            key: of the whole issue, the caller's own; each member gets one coupon for it.
            after: the last member of the part before; None at the beginning.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
            NotFound: no such definition in force.
            InvalidInput: a key that is none.
        """
        scope.require_role(*_HQ)
        scope.require_whole_chain()
        checked, now = checked_key(key), self._clock()
        with self._db.transaction() as conn:
            definition = repository.lock_definition(conn, definition_id)
            if definition is None or definition.ended_at is not None:
                raise NotFound(
                    f"there is no definition {definition_id} in force", field="definition_id", remedy="see the list"
                )
            found = group_repository.members(conn, scope, group, after, PART)
            asked = set(found)
            if definition.asks_consent and found:
                asked = {
                    each for way in WAYS for each in consent_repository.allowed(conn, scope, found, "marketing", way)
                }
            issued, left = 0, 0
            for member_id in found:
                if member_id not in asked:
                    continue
                reason = f"group:{scope.user_id}:{checked}:{member_id}"
                try:
                    _, is_new = issue(conn, scope, definition_id, member_id, reason, now)
                except UsedUp:
                    left += 1
                    continue
                issued += is_new
            detail: dict[str, object] = {"issued": issued, "key": checked}
            audit.record(conn, now, scope.actor, "coupon.issue_group", subject=str(definition_id), detail=detail)
        return GroupIssued(
            issued=issued,
            not_asked=len(found) - len(asked),
            used_up=left,
            after=found[-1] if len(found) == PART else None,
        )
