"""Which store each line and camera belongs to, remembered for a while.

Looking it up for every batch would cost two round trips a transaction. Only what exists is remembered, and a name that
is unknown, or seems to be another store's, is always looked up again: a line registered a second ago must not
become a dead letter.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from server.ingest import repository
from server.ingest.models import Registry
from server.storage.pool import Connection

_KEPT: Final = timedelta(seconds=60)


class RegistryCache:
    """Remembers lines and cameras; used by one thread at a time, or by several at worst in vain."""

    def __init__(self) -> None:
        self._known = Registry()
        self._since: datetime | None = None

    def look_up(
        self,
        connection: Connection,
        lines: Collection[tuple[str, str]],
        cameras: Collection[tuple[str, str]],
        now: datetime,
    ) -> Registry:
        """The register for these names, each given with the store it is expected in."""
        if self._since is None or not timedelta(0) <= now - self._since < _KEPT:
            self._known, self._since = Registry(), now
        known = self._known
        found = repository.registry(
            connection,
            {name for name, store_id in lines if known.lines.get(name) != store_id},
            {name for name, store_id in cameras if known.cameras.get(name) != store_id},
        )
        known.lines.update(found.lines)
        known.cameras.update(found.cameras)
        return known
