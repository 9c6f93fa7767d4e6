"""What export and erasure share: both go over everything that any package keeps of a member."""

from collections.abc import Sequence

from server.clock import Clock, utc_now
from server.membership.crypto import MemberKeys
from server.membership.reading import MemberReader
from server.membership.rights import RightsPart
from server.storage.pool import Database


class OverParts:
    """A service over all that is kept of a member.

    Args:
        parts: of the packages that keep something of members.
    """

    def __init__(
        self, db: Database, keys: MemberKeys, reader: MemberReader, parts: Sequence[RightsPart], clock: Clock = utc_now
    ) -> None:
        self._db = db
        self._keys = keys
        self._reader = reader
        self._parts = parts
        self._clock = clock
