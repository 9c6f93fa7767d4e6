"""What tiers bring to a member's rights: the history read out, and what a person typed about it removed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.membership.rights import Erased, Kept, Section, Words
from server.membership.tiers import repository
from server.storage.pool import Connection

_COLUMNS: Final[Mapping[str, Words]] = {
    "at": {"zh": "时间", "en": "Time"},
    "from": {"zh": "原等级", "en": "From"},
    "to": {"zh": "新等级", "en": "To"},
    "why": {"zh": "原因", "en": "Why"},
    "reason": {"zh": "说明", "en": "Reason"},
}


class TierRights:
    """See `server.membership.rights.RightsPart`."""

    name: Final = "tiers"

    def export(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """Every change of tier."""
        rows = [
            {
                "at": each.at.isoformat(),
                "from": each.from_tier,
                "to": each.to_tier,
                "why": each.why,
                "reason": each.reason,
            }
            for each in repository.history(conn, members)
        ]
        return [Section("tiers", {"zh": "等级变更", "en": "Tiers"}, _COLUMNS, rows)]

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        """Nothing stands in the way."""
        return []

    def balances(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """How many changes there were."""
        return {"changes": str(len(repository.history(conn, members)))}

    def erase(self, conn: Connection, _scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        """Remove reasons and where the member stands; changes stay, of nobody."""
        removed = {
            "reasons": repository.forget_reasons(conn, members),
            "standings": repository.delete_standings(conn, members),
        }
        kept = Kept(len(repository.history(conn, members)), "counts of members by tier that were reported")
        return Erased(removed, {"changes": kept})

    def left(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Reasons that are still there."""
        return {"reasons": sum(each.reason is not None for each in repository.history(conn, members))}
