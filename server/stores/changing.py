"""What of a store may be changed where it stands: what people call it, and the part of its country it lies in.

Neither has a time of validity. What bears on a number (timezone, hours, region, format, tags) is changed from a day on,
elsewhere.
"""

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.storage.pool import Database
from server.stores import change_repository, checks, repository
from server.stores.models import Store
from server.stores.service import no_store


class StoreChanges:
    """Changes names of stores."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def change(self, scope: Scope, store_id: str, name: str, subdivision: str) -> Store:
        """Give a store another name or part of its country (for holidays).

        Raises:
            Forbidden: unless admin or HQ asks.
            NotFound: no such store.
            InvalidInput: naming the field.
        """
        scope.require_role("admin", "hq")
        scope.require(store_id)
        if not name.strip():
            raise InvalidInput("the store has no name", field="name", remedy="give the name people know it by")
        with self._db.transaction() as conn:
            before = repository.store(conn, scope, store_id)
            if before is None:
                raise no_store(store_id)
            checks.check_place(before.country, subdivision)
            change_repository.change(conn, scope, store_id, name.strip(), subdivision)
            detail: dict[str, object] = {"name": name.strip(), "subdivision": subdivision}
            audit.record(
                conn, self._clock(), scope.actor, "store.change", subject=store_id, store_id=store_id, detail=detail
            )
            found = repository.store(conn, scope, store_id)
        if found is None:
            raise no_store(store_id)
        return found
