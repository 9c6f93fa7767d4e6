"""Points given or taken by hand: with a reason always, and over the rules' limit only when a second person agrees.

The limit is for all that one person does to one member within a day, or a thousand points would be given in ten times a
hundred. That the second person is not the first is held by the database as well; a key or a program is no person.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership.points import adjustment_repository, repository
from server.membership.points.bookings import Why
from server.membership.points.models import Adjustment, AdjustmentRequest, Decision, Entry, KeyTaken
from server.membership.points.purse import Purse
from server.membership.points.rules import Rules
from server.membership.points.service import (
    MOST_POINTS,
    answered,
    asked,
    check_key,
    check_reason,
    digest,
    rules_at,
    seen,
    tell,
    written_entry,
)
from server.storage.pool import Connection, Database

ADJUSTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
_DAY: Final = timedelta(days=1)


class Adjustments:
    """Adjustments, and requests for those that need a second person."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def adjust(
        self, scope: Scope, member_id: UUID, points: int, reason: str, key: str, store_id: str | None = None
    ) -> Adjustment:
        """Give points to a member of one's own stores, or (less than nothing) take some.

        Args:
            points: not 0; no more can be taken than there are.
            key: idempotency key, of the caller's making.
            store_id: on whose behalf; the chain's if left out.

        Returns:
            The entry; or, over the limit, the request that waits for somebody else.

        Raises:
            NotEnough, KeyTaken, InvalidInput, NotFound, Forbidden: see `PointsService.redeem`.
        """
        scope.require_role(*ADJUSTERS)
        check_key(key)
        reason = check_reason(reason)
        if not points or abs(points) > MOST_POINTS:
            raise InvalidInput(f"{points} is no adjustment", field="points", remedy="give how many, with its sign")
        if store_id is not None:
            scope.require(store_id)
        now = self._clock()
        with self._db.transaction() as conn:
            content = digest("adjust", member_id, points, reason, store_id)
            member_id = seen(conn, scope, member_id)
            purse = repository.hold(conn, [member_id])[member_id]
            waiting = adjustment_repository.by_key(conn, key)
            if waiting is not None:
                return self._again(conn, key, content, *waiting)
            known = answered(conn, key, content)
            if known is not None:
                return Adjustment(known, None)
            rules = rules_at(conn, now)
            today = adjustment_repository.adjusted_since(conn, member_id, scope.actor, now - _DAY)
            if today + abs(points) > rules.adjust_limit:
                request = adjustment_repository.insert(
                    conn, member_id, points, store_id, reason, key, content, scope.actor, now
                )
                self._audit(conn, scope, "points.adjustment_asked", request)
                return Adjustment(None, request)
            why = Why("adjust", asked(key), now, scope.actor, content, store_id, reason=reason)
            return Adjustment(self._book(conn, purse, points, why, rules), None)

    def requests(self, scope: Scope, *, decided: bool = False, limit: int = 200) -> list[AdjustmentRequest]:
        """Requests about members of one's own stores that wait, oldest first; or those decided, newest first."""
        scope.require_role(*ADJUSTERS)
        with self._db.read() as conn:
            return adjustment_repository.requests(conn, scope, decided=decided, limit=limit)

    def decide(self, scope: Scope, request_id: int, decision: Decision, reason: str = "") -> AdjustmentRequest:
        """Approve or decline what somebody else asked for.

        Deciding again as before has the same answer.

        Args:
            reason: why; needed to decline.

        Raises:
            Forbidden: it is one's own request, or a key asks.
            NotFound: there is none about a member of the caller's stores.
            Conflict: it was decided already.
            NotEnough: so many points can't be taken any more; the request goes on waiting.
        """
        scope.require_role(*ADJUSTERS)
        if scope.user_id.startswith("key:"):
            raise Forbidden("a key is no second person", remedy="let a person sign in and decide")
        reason = check_reason(reason) if decision == "declined" or reason.strip() else ""
        now = self._clock()
        with self._db.transaction() as conn:
            locked = adjustment_repository.lock(conn, scope, request_id)
            if locked is None:
                raise NotFound(f"there is no request {request_id} in your stores", field="request_id")
            request, content = locked
            if request.requested_by == scope.actor:
                raise Forbidden(
                    "nobody decides on what they asked for themselves", remedy="ask a colleague who may adjust points"
                )
            if request.decision is not None:
                return _decided(request, decision, scope.actor)
            entry_id = None
            if decision == "approved":
                member_id = repository.root(conn, request.member_id)
                purse = repository.hold(conn, [member_id])[member_id]
                why = Why(
                    "adjust",
                    asked(request.key),
                    now,
                    request.requested_by,
                    content,
                    request.store_id,
                    reason=request.reason,
                )
                entry_id = self._book(conn, purse, request.points, why, rules_at(conn, now)).entry_id
            adjustment_repository.decide(conn, request_id, decision, scope.actor, now, reason or None, entry_id)
            self._audit(conn, scope, f"points.adjustment_{decision}", request)
            done = adjustment_repository.lock(conn, scope, request_id)
        assert done is not None, "it was there above in the same transaction"  # noqa: S101
        return done[0]

    # -- inside

    def _again(self, conn: Connection, key: str, content: bytes, request: AdjustmentRequest, was: bytes) -> Adjustment:
        if content != was:
            raise KeyTaken(key)
        entry = None if request.entry_id is None else repository.entry(conn, request.entry_id)
        return Adjustment(entry, request)

    def _book(self, conn: Connection, purse: Purse, points: int, why: Why, rules: Rules) -> Entry:
        repository.load_lots(conn, [purse])
        purse.settle(why.at)
        if points < 0:
            booking = purse.spend(why, -points)
        else:
            lot = purse.new_lot(why.at, why.at, rules.expires_at(why.at), store_id=why.store_id)
            booking = purse.add(why, points, lot)
        repository.write(conn, [purse])
        audit.record(
            conn,
            why.at,
            why.actor,
            "points.adjusted",
            subject=str(purse.member_id),
            store_id=why.store_id,
            detail={"entry_id": booking.entry_id, "points": points},
        )
        tell(conn, booking, "points.adjusted")
        return written_entry(conn, booking)

    def _audit(self, conn: Connection, scope: Scope, action: str, request: AdjustmentRequest) -> None:
        audit.record(
            conn,
            self._clock(),
            scope.actor,
            action,
            subject=str(request.member_id),
            store_id=request.store_id,
            detail={"request_id": request.request_id, "points": request.points},
        )


def _decided(request: AdjustmentRequest, decision: Decision, actor: str) -> AdjustmentRequest:
    if request.decision == decision and request.decided_by == actor:
        return request
    raise Conflict(
        f"request {request.request_id} was {request.decision} by {request.decided_by}",
        field="request_id",
        remedy="ask for a new adjustment if it was wrong",
    )
