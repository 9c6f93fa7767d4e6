"""What visits bring to a member's rights: a copy of every check-in; and check-ins stay, of nobody, for the counts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.membership.rights import Erased, Kept, Section, Words
from server.membership.visits import repository
from server.storage.pool import Connection

_SECTION: Final[Words] = {"zh": "到店登记", "en": "Check-ins"}
_COLUMNS: Final[Mapping[str, Words]] = {
    "store": {"zh": "门店", "en": "Store"},
    "at": {"zh": "时间", "en": "Time"},
    "how": {"zh": "方式", "en": "By"},
}


class VisitRights:
    """See `server.membership.rights.RightsPart`."""

    name: Final = "visits"

    def export(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """Every check-in; visits that only receipts show are among the receipts."""
        rows = [
            {"store": store_id, "at": at.isoformat(), "how": how}
            for store_id, at, how in repository.check_ins_of(conn, scope, members)
        ]
        return [Section("check_ins", _SECTION, _COLUMNS, rows)]

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        """Nothing stands in the way."""
        return []

    def balances(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """How many check-ins there are: a store's count of visits must be the same after."""
        return {"check_ins": str(len(repository.check_ins_of(conn, scope, members)))}

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        """A check-in holds a time and a store, and points at a member without a name."""
        kept = len(repository.check_ins_of(conn, scope, members))
        return Erased(kept={"check_ins": Kept(kept, "counts of visits that were reported must not change")})

    def left(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Mapping[str, int]:
        """Nothing names the person."""
        return {}
