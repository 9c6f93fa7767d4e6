"""The card on a member's phone: a page that opens without signing in, for whoever has its address.

An address is a key, so it is 256 random bits, is shown once when it is made, and is kept as a hash; it can be revoked,
and a new one closes the old. What opens shows card and code, and neither name nor number: an address is forwarded and
stands in histories.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from uuid import UUID, uuid4

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import NotFound
from server.membership import link_repository
from server.membership.link_repository import Link
from server.membership.reading import READERS, MemberReader
from server.storage.pool import Database

#: Where pages stand; the rest of the path is the key.
PREFIX: Final = "/c/"
_NOTED_EVERY: Final = timedelta(hours=1)
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class NewLink:
    """A page just opened; `path` is shown this once and can't be had again."""

    link_id: UUID
    path: str


class CardLinks:
    """Opens, shows and closes pages."""

    def __init__(self, db: Database, reader: MemberReader, clock: Clock = utc_now) -> None:
        self._db = db
        self._reader = reader
        self._clock = clock

    def open(self, scope: Scope, member_id: UUID) -> NewLink:
        """Open a page for a member and close those that were open.

        Raises:
            NotFound: when there is no member the caller may know of.
        """
        scope.require_role(*READERS)
        now = self._clock()
        key, link_id = token_urlsafe(32), uuid4()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            link_repository.revoke(conn, scope, row.member_id, None, now)
            link_repository.insert(conn, link_id, row.member_id, _hash(key), scope.actor, now)
            audit.record(
                conn,
                now,
                scope.actor,
                "member.open_link",
                subject=str(row.member_id),
                store_id=row.home_store,
                detail={"link": str(link_id)},
            )
        return NewLink(link_id, PREFIX + key)

    def links(self, scope: Scope, member_id: UUID) -> list[Link]:
        """A member's pages, open and closed, the newest first."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return link_repository.links(conn, scope, self._reader.row(conn, scope, member_id).member_id)

    def revoke(self, scope: Scope, member_id: UUID, link_id: UUID) -> None:
        """Close a page.

        Raises:
            NotFound: when there is none that is open.
        """
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            if not link_repository.revoke(conn, scope, row.member_id, link_id, now):
                raise NotFound("there is no such page that is open", field="link_id", remedy="read the list anew")
            audit.record(
                conn,
                now,
                scope.actor,
                "member.revoke_link",
                subject=str(row.member_id),
                store_id=row.home_store,
                detail={"link": str(link_id)},
            )

    def card(self, key: str) -> str:
        """The card number behind a page's key; nobody is signed in.

        Raises:
            NotFound: unknown, revoked, or of a member who was erased; it isn't said which.
        """
        if len(key) > _LONGEST:
            raise _closed()
        now = self._clock()
        with self._db.transaction() as conn:
            card_no = link_repository.card_of(conn, _hash(key))
            if card_no is None:
                raise _closed()
            link_repository.touch(conn, _hash(key), now, now - _NOTED_EVERY)
        return card_no


def _hash(key: str) -> bytes:
    """Of 256 random bits: it can't be guessed, so a fast hash is enough."""
    return sha256(key.encode("utf-8", "replace")).digest()


def _closed() -> NotFound:
    return NotFound("this card's page is closed", remedy="ask the shop for a new one")
