"""What an offline desk's entries bring to a member's rights: nothing is kept of them that a member could ask for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.membership.offline import repository
from server.membership.rights import Erased, Section
from server.storage.pool import Connection


class OfflineRights:
    """See `server.membership.rights.RightsPart`."""

    name: Final = "offline_desk"

    def export(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[Section]:
        """What came of an entry is the member or the visit, which are told elsewhere."""
        return []

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        """Nothing stands in the way."""
        return []

    def balances(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Mapping[str, str]:
        """There are no sums."""
        return {}

    def erase(self, conn: Connection, _scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        """Entries that name the member, with the envelopes of those that were refused."""
        return Erased({"entries": repository.forget_members(conn, members)})

    def left(self, conn: Connection, _scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Entries that name the member."""
        return {"entries": repository.of_members(conn, members)}
