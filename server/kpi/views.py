"""Saved views of headquarters' pages: an address and a name, each user's own.

An address says all there is to say of a page, so a view is one that was kept, and a link to it can be sent to anybody:
it shows them what is theirs. The trap is an address that leads elsewhere, so only paths below /hq are kept.
"""

from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi import view_repository
from server.kpi.view_repository import SavedView
from server.storage.pool import Database

_ROOM: Final = "/hq"
_LONGEST_NAME: Final = 60
_LONGEST_ADDRESS: Final = 1000
#: So many are a list that somebody can look through.
_MOST: Final = 50


class SavedViews:
    """Keeps users' views."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def views(self, scope: Scope) -> list[SavedView]:
        """The caller's own, by name.

        Raises:
            Forbidden: unless somebody signed in asks who may see the chain's pages.
        """
        user_id = _user(scope)
        with self._db.read() as conn:
            return view_repository.views(conn, user_id)

    def save(self, scope: Scope, name: str, address: str) -> None:
        """Keep a page as it is set out; a view of the same name becomes this one.

        Args:
            address: path and query, below /hq.

        Raises:
            Forbidden: as `views`.
            InvalidInput: naming the field; also when there are too many.
        """
        user_id, called = _user(scope), name.strip()
        if not called or len(called) > _LONGEST_NAME or not called.isprintable():
            raise InvalidInput(
                f"a view can't be called {called!r}", field="name", remedy=f"1 to {_LONGEST_NAME} characters"
            )
        _check_address(address)
        now = self._clock()
        with self._db.transaction() as conn:
            known = {view.name for view in view_repository.views(conn, user_id)}
            if called not in known and len(known) >= _MOST:
                raise InvalidInput(f"there are {_MOST} views already", field="name", remedy="take one away first")
            view_repository.put(conn, user_id, called, address, now)
            audit.record(conn, now, scope.actor, "view.save", subject=called, detail={"address": address})

    def remove(self, scope: Scope, view_id: int) -> None:
        """Forget a view of the caller's own.

        Raises:
            Forbidden: as `views`.
            NotFound: the caller has none of this number.
        """
        user_id = _user(scope)
        with self._db.transaction() as conn:
            if not view_repository.delete(conn, user_id, view_id):
                raise NotFound(f"there is no view {view_id}", field="view_id", remedy="see the list")
            audit.record(conn, self._clock(), scope.actor, "view.remove", subject=str(view_id))


def _user(scope: Scope) -> str:
    scope.require_role("admin", "hq", "region")
    try:
        return str(UUID(scope.user_id))
    except ValueError:
        raise Forbidden("views are kept for people who sign in", remedy="sign in as a user") from None


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    is_ours = parts.path == _ROOM or parts.path.startswith(_ROOM + "/")
    if parts.scheme or parts.netloc or not is_ours or len(address) > _LONGEST_ADDRESS or not address.isprintable():
        raise InvalidInput(
            f"{address!r} is no page of headquarters", field="address", remedy="open it and save it there"
        )
