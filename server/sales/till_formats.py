"""How the files of each kind of till are read, said once for the chain and then by its name.

A mapping typed anew at every import is one day typed wrong, and that day's file is read with the discount for the
price.
"""

from typing import Final

import msgspec

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.sales import import_repository as repository
from server.sales.formats import TillFormat, format_of
from server.storage.pool import Database

_IMPORTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")


class FormatService:
    """How the files of each kind of till are read, said once for the chain."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def named(self, scope: Scope, name: str) -> TillFormat:
        """One by its name.

        Raises:
            NotFound: there is none.
        """
        scope.require_role(*_IMPORTERS)
        with self._db.read() as conn:
            found = repository.till_format(conn, name)
        if found is None:
            raise NotFound(f"no format {name!r}", field="format", remedy="see the list of formats, or save one")
        return format_of(found)

    def all(self, scope: Scope) -> dict[str, TillFormat]:
        """All of them by name."""
        scope.require_role(*_IMPORTERS)
        with self._db.read() as conn:
            return {name: format_of(form) for name, form, _, _ in repository.till_formats(conn)}

    def save(self, scope: Scope, name: str, form: TillFormat) -> None:
        """Keep one, instead of what goes by this name now.

        Raises:
            Forbidden: it is for the whole chain.
            InvalidInput: the name.
        """
        scope.require_role("hq", "admin")
        scope.require_whole_chain()
        if not 1 <= len(name) <= 50 or not name.replace("-", "").replace("_", "").isalnum():
            raise InvalidInput(
                f"{name!r} is no name of a format", field="name", remedy="use up to 50 letters, digits, - and _"
            )
        now = self._clock()
        with self._db.transaction() as conn:
            repository.put_till_format(conn, name, msgspec.json.encode(form).decode(), scope.actor, now)
            audit.record(conn, now, scope.actor, "receipts.format_saved", subject=name)

    def delete(self, scope: Scope, name: str) -> None:
        """Forget one.

        Raises:
            NotFound: there is none.
        """
        scope.require_role("hq", "admin")
        scope.require_whole_chain()
        with self._db.transaction() as conn:
            if not repository.delete_till_format(conn, name):
                raise NotFound(f"no format {name!r}", field="name", remedy="see the list of formats")
            audit.record(conn, self._clock(), scope.actor, "receipts.format_deleted", subject=name)
