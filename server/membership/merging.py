"""One person enrolled twice becomes one member, and two again when that was a mistake.

A merge moves nothing. It sets one pointer, and whoever reads a member reads the whole family below it: tokens,
consents, notes, receipts. The trap of merging by moving rows is that nobody can say afterwards whose each of them was;
here undoing clears the pointer and gives everything back. What was said to the merged member meanwhile stays with the
one who was kept. Other packages hear of both by events, in the transaction in which it happens; and store-days on which
both were seen are marked, since two visitors are one there by now.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.events import outbox
from server.events.models import NewEvent
from server.membership import merge_repository, repository
from server.membership.merge_repository import Merge, Standing
from server.membership.models import Member, MemberSummary
from server.membership.reading import READERS, MemberReader
from server.membership.texts import label
from server.storage import dirty
from server.storage.pool import Connection, Database

#: Merging touches balances: it is for whoever answers for a store, not for every desk.
MERGERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")


@dataclass(frozen=True, slots=True)
class Twins:
    """Members who share a name and a birthday, the one enrolled first before the others."""

    members: list[MemberSummary]


class Merging:
    """Merges members and parts them."""

    def __init__(self, db: Database, reader: MemberReader, clock: Clock = utc_now) -> None:
        self._db = db
        self._reader = reader
        self._clock = clock

    def suggest(self, scope: Scope, limit: int = 50) -> list[Twins]:
        """Members who may be one person, as far as the caller may see them: pairs across regions show to the chain."""
        scope.require_role(*MERGERS)
        found = []
        with self._db.read() as conn:
            for group in merge_repository.twins(conn, scope, limit):
                rows = [repository.member(conn, scope, each, whole_chain=False) for each in group]
                seen = [self._reader.summary(row) for row in rows if row is not None]
                if len(seen) > 1:
                    found.append(Twins(seen))
        return found

    def twins_of(self, scope: Scope, member_id: UUID, limit: int = 20) -> list[MemberSummary]:
        """Those of whom the caller may know who may be this very member, the one enrolled first before the others.

        Raises:
            NotFound: when there is no member the caller may know of.
        """
        scope.require_role(*MERGERS)
        with self._db.read() as conn:
            found = merge_repository.twins_of(conn, scope, self._reader.row(conn, scope, member_id).member_id, limit)
            rows = [repository.member(conn, scope, each, whole_chain=False) for each in found]
            return [self._reader.summary(row) for row in rows if row is not None]

    def not_twins(self, scope: Scope, one: UUID, other: UUID) -> None:
        """Two who look alike are two people: they are not suggested again."""
        scope.require_role(*MERGERS)
        if one == other:
            raise InvalidInput("this is one member, not two", field="other", remedy="name two members")
        now = self._clock()
        with self._db.transaction() as conn:
            first, second = (self._reader.row(conn, scope, each).member_id for each in (one, other))
            merge_repository.part(conn, first, second, scope.actor, now)
            audit.record(conn, now, scope.actor, "member.not_twins", subject=str(first), detail={"other": str(second)})

    def merge(self, scope: Scope, kept: UUID, gone: UUID, reason: str) -> Member:
        """Merge one member into another; the one who is kept, with everything of both.

        Both numbers and both cards lead to the member who is kept.

        Raises:
            NotFound: when the caller may not know of one of them.
            Conflict: when they are one already, or one was merged into a third.
        """
        scope.require_role(*MERGERS)
        why = label(reason, "reason", 200)
        now = self._clock()
        with self._db.transaction() as conn:
            rows = [self._reader.row(conn, scope, each) for each in (kept, gone)]
            standing = merge_repository.lock_all(conn, scope, [row.member_id for row in rows])
            first, second = (_root(standing, row.member_id) for row in rows)
            if first.member_id == second.member_id:
                raise Conflict(
                    "these two are one member already", field="gone", remedy="look at the member's merges to undo one"
                )
            self._require_homes(scope, first, second)
            seen = merge_repository.seen_on_days_of_both(conn, scope, first.member_id, second.member_id)
            dirty.mark_all(conn, seen, "merge")
            merge_repository.point(conn, scope, second.member_id, first.member_id, now)
            number = merge_repository.insert(conn, first.member_id, second.member_id, why, scope.actor, now)
            self._tell(conn, scope, "merge", number, first, second)
            return self._reader.member(conn, scope, first.member_id, whole_chain=True)

    def undo(self, scope: Scope, merge_id: int) -> tuple[Member, Member]:
        """Part two again: the one who was kept, and the one who was gone, each with what was theirs.

        Raises:
            NotFound: when there is no merge in force by that number that the caller may know of.
            Conflict: when the merged member was erased meanwhile.
        """
        scope.require_role(*MERGERS)
        now = self._clock()
        with self._db.transaction() as conn:
            merge = merge_repository.undo(conn, scope, merge_id, now)
            if merge is None:
                raise NotFound(f"there is no merge {merge_id} to undo", field="merge_id", remedy="read them anew")
            self._reader.row(conn, scope, merge.kept)
            standing = merge_repository.lock_all(conn, scope, [merge.kept, merge.gone])
            kept, gone = standing[merge.kept], standing[merge.gone]
            if gone.erased_at is not None or gone.merged_into != merge.kept:
                raise Conflict("these two can't be parted any more: the member was erased")
            self._require_homes(scope, kept, gone)
            merge_repository.point(conn, scope, gone.member_id, None, now)
            seen = merge_repository.seen_on_days_of_both(conn, scope, kept.member_id, gone.member_id)
            dirty.mark_all(conn, seen, "merge")
            self._tell(conn, scope, "unmerge", merge.merge_id, kept, gone)
            return (
                self._reader.member(conn, scope, kept.member_id, whole_chain=True),
                self._reader.member(conn, scope, gone.member_id, whole_chain=True),
            )

    def merges(self, scope: Scope, member_id: UUID) -> list[Merge]:
        """Every merge a member was part of, the newest first."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            row = self._reader.row(conn, scope, member_id)
            return merge_repository.merges(conn, scope, row.member_id)

    def _require_homes(self, scope: Scope, *members: Standing) -> None:
        """Who merges must answer for one of the two at least: a member who once bought here is not ours to merge."""
        if not any(scope.allows(each.home_store) for each in members):
            raise Forbidden("neither member's home is one of your stores", remedy="ask someone of one of their stores")

    def _tell(self, conn: Connection, scope: Scope, what: str, merge_id: int, kept: Standing, gone: Standing) -> None:
        now = self._clock()
        ids = {"kept": str(kept.member_id), "gone": str(gone.member_id)}
        detail: dict[str, object] = {**ids, "merge_id": merge_id}
        audit.record(
            conn,
            now,
            scope.actor,
            f"member.{what}",
            subject=str(kept.member_id),
            store_id=kept.home_store,
            detail=detail,
        )
        outbox.record(conn, NewEvent(f"member.{what}d", kept.home_store, str(kept.member_id), ids))


def _root(standing: dict[UUID, Standing], member_id: UUID) -> Standing:
    found = standing.get(member_id)
    if found is None or found.merged_into is not None or found.erased_at is not None:
        raise Conflict("one of the two was merged or erased a moment ago", remedy="search for both again")
    return found
