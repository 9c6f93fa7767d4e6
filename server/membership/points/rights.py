"""What points bring to a member's rights: everything exported, what names or describes the person removed, sums kept.

The ledger can't be changed and needn't be: it holds numbers, times and stores under an id that leads to nobody once the
member is erased. What a person typed (reasons) and what was bought (lines of receipts) stands elsewhere, and goes. The
points themselves are given up in the same transaction, by an entry of their own; so what the books said, and must say
ever after, is the ledger without that entry.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.events import JSON
from server.membership.points import forfeiting, rights_repository
from server.membership.rights import Erased, Kept, Section, Words
from server.storage.pool import Connection

_COLUMNS: Final[Mapping[str, Words]] = {
    "at": {"zh": "时间", "en": "Time"},
    "kind": {"zh": "类型", "en": "Kind"},
    "points": {"zh": "积分", "en": "Points"},
    "pending": {"zh": "待生效积分", "en": "Pending points"},
    "balance": {"zh": "余额", "en": "Balance"},
    "store": {"zh": "门店", "en": "Store"},
    "receipt": {"zh": "小票", "en": "Receipt"},
    "reason": {"zh": "原因", "en": "Reason"},
}
_LOTS: Final[Mapping[str, Words]] = {
    "earned_at": {"zh": "获得时间", "en": "Earned"},
    "available_at": {"zh": "生效时间", "en": "Can be spent from"},
    "expires_at": {"zh": "到期时间", "en": "Expires"},
    "points": {"zh": "积分", "en": "Points"},
    "remaining": {"zh": "剩余", "en": "Left"},
}
_REQUESTS: Final[Mapping[str, Words]] = {
    "requested_at": {"zh": "申请时间", "en": "Asked for"},
    "points": {"zh": "积分", "en": "Points"},
    "reason": {"zh": "原因", "en": "Reason"},
    "decision": {"zh": "决定", "en": "Decision"},
    "decided_at": {"zh": "决定时间", "en": "Decided"},
}


class PointsRights:
    """Points' part of export and erasure."""

    name: Final = "points"

    def export(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """The ledger, the lots and the requests for adjustments."""
        entries: list[Mapping[str, JSON]] = [
            {
                "at": entry.at.isoformat(),
                "kind": entry.kind,
                "points": entry.points,
                "pending": entry.pending,
                "balance": entry.balance,
                "store": entry.store_id,
                "receipt": entry.receipt_no,
                "reason": entry.reason,
            }
            for entry in rights_repository.entries(conn, members)
        ]
        lots: list[Mapping[str, JSON]] = [
            {
                "earned_at": lot.earned_at.isoformat(),
                "available_at": lot.available_at.isoformat(),
                "expires_at": None if lot.expires_at is None else lot.expires_at.isoformat(),
                "points": lot.points,
                "remaining": lot.remaining,
            }
            for lot in rights_repository.lots(conn, members)
        ]
        requests: list[Mapping[str, JSON]] = [
            {
                "requested_at": request.requested_at.isoformat(),
                "points": request.points,
                "reason": request.reason,
                "decision": request.decision,
                "decided_at": None if request.decided_at is None else request.decided_at.isoformat(),
            }
            for request in rights_repository.requests(conn, members)
        ]
        return [
            Section("points", {"zh": "积分明细", "en": "Points"}, _COLUMNS, entries),
            Section("points_lots", {"zh": "积分批次", "en": "Points by lot"}, _LOTS, lots),
            Section("points_requests", {"zh": "积分调整申请", "en": "Adjustments asked for"}, _REQUESTS, requests),
        ]

    def holds(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Sequence[str]:
        """Nothing: points are no money of the member's, and who asks to be erased gives them up.

        The accounts are held from here on, so that no desk adds to the ledger while its sums are taken.
        """
        rights_repository.keep_still(conn, members)
        return []

    def balances(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """Points, pending points and number of entries by the ledger, but for what was given up."""
        said = rights_repository.ledger(conn, members)
        return {"points": str(said.points), "pending": str(said.pending), "entries": str(said.entries)}

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], at: datetime) -> Erased:
        """Remove reasons, requests and what was bought, and give up the points; the ledger stays."""
        forfeiting.give_up(conn, members, at, scope.actor)
        removed = {
            "reasons": rights_repository.delete_reasons(conn, members),
            "requests": rights_repository.delete_requests(conn, members),
            "receipts": rights_repository.forget_receipts(conn, members),
        }
        why = "the books: what the chain owed in points, and owes no longer"
        return Erased(removed, {"entries": Kept(rights_repository.count_entries(conn, members), why)})

    def left(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Reasons, requests and receipts that still lead to the member."""
        return rights_repository.left(conn, members)
