"""What of a store may be changed where it stands: what people call it and its lines, and where in its country it lies.

None of it has a time of validity. What bears on a number (timezone, hours, region, format, tags) is changed from a day
on, elsewhere. A line's name is a label and its id what crossings carry: called anew, it keeps all it ever counted, and
yesterday's numbers show under the new name, too.
"""

from collections.abc import Mapping
from typing import Final

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.storage.pool import Database
from server.stores import change_repository, checks, repository
from server.stores.models import Line, Store
from server.stores.service import no_store

#: The field an error about a line's name speaks of.
LINE_NAME: Final = "line.name"
#: More does not stand beside a line in a picture.
_LONGEST_LINE_NAME: Final = 100


class StoreChanges:
    """Changes names of stores and of their lines."""

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

    def rename_lines(self, scope: Scope, camera_id: str, names: Mapping[str, str]) -> list[Line]:
        """Call lines of a camera otherwise, all of them or none; what they counted stays theirs.

        Args:
            names: by line id. Those that are no lines of this camera, or have just that name, are passed over.

        Returns:
            the lines whose name changed, as they are now.

        Raises:
            Forbidden: unless admin or HQ asks.
            as `check_line_name`.
        """
        scope.require_role("admin", "hq")
        with self._db.transaction() as conn:
            before = {line.line_id: line for line in change_repository.lock_lines(conn, scope, camera_id)}
            new = {key: name.strip() for key, name in names.items() if key in before}
            new = {key: name for key, name in new.items() if name != before[key].name}
            for line_id, name in new.items():
                check_line_name(line_id, name)
                change_repository.rename_line(conn, scope, line_id, name)
                audit.record(
                    conn,
                    self._clock(),
                    scope.actor,
                    "store.line",
                    subject=line_id,
                    store_id=before[line_id].store_id,
                    detail={"from": before[line_id].name, "to": name},
                )
        return [
            Line(line_id, camera_id, before[line_id].store_id, name, before[line_id].kind)
            for line_id, name in new.items()
        ]


def check_line_name(line_id: str, name: str) -> None:
    """See that people can call a line so.

    Raises:
        InvalidInput: naming the line: no name, one of more than 100 characters, or one of several lines of text.
    """
    if not name.strip() or len(name.strip()) > _LONGEST_LINE_NAME or not name.strip().isprintable():
        raise InvalidInput(
            f"line {line_id!r} can't be called {name[:_LONGEST_LINE_NAME]!r}",
            field=LINE_NAME,
            remedy=f"give 1 to {_LONGEST_LINE_NAME} characters on one line",
        )
