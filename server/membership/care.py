"""Who looks after a member: an advisor today and those of before, everybody who served them, and tags.

Staff leave, and unless somebody takes their members over, nobody calls those any more. So a hand-over is one act for
all of them, and who looked after whom, from when until when, stays on record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.events import outbox
from server.membership import care_repository, numbers
from server.membership.care_repository import Advised, Served, TagCount
from server.membership.models import Member
from server.membership.reading import READERS, MemberReader
from server.membership.texts import label
from server.storage.pool import Database

#: Who decides who looks after whom.
_LEADERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
#: Members handed over in one transaction: a batch holds its rows for a moment, not for a minute.
BATCH: Final = 1000
_MOST_TAGS: Final = 30


@dataclass(frozen=True, slots=True)
class Care:
    """Who looked after a member.

    Attributes:
        advisors: the newest first.
        served: everybody of the staff who rang up a receipt in the caller's stores, or advised; the busiest first.
        staff: how many that are.
    """

    advisors: list[Advised]
    served: list[Served]
    staff: int


class CareService:
    """Advisors and tags."""

    def __init__(self, db: Database, reader: MemberReader, clock: Clock = utc_now) -> None:
        self._db = db
        self._reader = reader
        self._clock = clock

    def care(self, scope: Scope, member_id: UUID) -> Care:
        """Who looks after a member, who did, and who served them."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            root = self._reader.row(conn, scope, member_id).member_id
            served = care_repository.served_by(conn, scope, root)
            return Care(care_repository.advisors(conn, scope, root), served, len(served))

    def assign(self, scope: Scope, member_id: UUID, advisor: str, reason: str = "") -> Member:
        """Let somebody look after a member of the caller's stores from now on; an empty name lets nobody.

        Raises:
            NotFound: when there is no member the caller may know of.
            Forbidden: when the member's home is not one of the caller's stores.
        """
        scope.require_role(*READERS)
        name = label(advisor, "advisor") if advisor.strip() else ""
        why = label(reason, "reason", 200) if reason.strip() else ""
        now = self._clock()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            scope.require(row.home_store)
            if care_repository.assign(conn, scope, [row.member_id], name, now, why):
                audit.record(
                    conn,
                    now,
                    scope.actor,
                    "member.assign",
                    subject=str(row.member_id),
                    store_id=row.home_store,
                    detail={"from": row.advisor, "to": name},
                )
                outbox.record(conn, numbers.changed(row.member_id, row.home_store, ["advisor"]))
            return self._reader.member(conn, scope, row.member_id, whole_chain=False)

    def hand_over(self, scope: Scope, leaving: str, to: str, reason: str, store_id: str | None = None) -> int:
        """Hand all members of somebody who leaves over to somebody else; how many there were.

        Done in batches: what was handed over is, whatever happens to the rest, and the same call goes on.

        Args:
            to: an empty name leaves them to nobody, for a manager to deal out.
            store_id: only those whose home it is.
        """
        scope.require_role(*_LEADERS)
        if store_id is not None:
            scope.require(store_id)
        old = label(leaving, "from")
        new = label(to, "to") if to.strip() else ""
        if old == new:
            raise InvalidInput("both names are the same", field="to", remedy="name somebody else")
        why = label(reason, "reason", 200)
        done = 0
        while True:
            now = self._clock()
            with self._db.transaction() as conn:
                members = care_repository.advised_by(conn, scope, old, store_id, BATCH)
                changed = care_repository.assign(conn, scope, members, new, now, why)
                if not changed:
                    return done
                detail: dict[str, object] = {"from": old, "to": new, "members": len(changed)}
                audit.record(conn, now, scope.actor, "member.hand_over", subject=old, store_id=store_id, detail=detail)
                outbox.record_all(conn, [numbers.changed(member, store_id, ["advisor"]) for member in changed])
            done += len(changed)

    def tag(self, scope: Scope, member_id: UUID, add: Sequence[str], remove: Sequence[str] = ()) -> Member:
        """Put tags on a member and take others off.

        Raises:
            NotFound: when there is no member the caller may know of.
            InvalidInput: a tag is empty or too long, or there would be too many.
        """
        scope.require_role(*READERS)
        new = sorted({label(each, "tags", 40) for each in add})
        old = sorted({label(each, "tags", 40) for each in remove})
        now = self._clock()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            care_repository.drop_tags(conn, scope, row.member_id, old)
            care_repository.add_tags(conn, row.member_id, new, scope.actor, now)
            member = self._reader.member(conn, scope, row.member_id, whole_chain=False)
            if len(member.tags) > _MOST_TAGS:
                raise InvalidInput(
                    f"a member has at most {_MOST_TAGS} tags", field="tags", remedy="take some off first"
                )
            detail: dict[str, object] = {"add": new, "remove": old}
            audit.record(
                conn,
                now,
                scope.actor,
                "member.tag",
                subject=str(row.member_id),
                store_id=row.home_store,
                detail=detail,
            )
            outbox.record(conn, numbers.changed(row.member_id, row.home_store, ["tags"]))
            return member

    def tags(self, scope: Scope, limit: int = 200) -> list[TagCount]:
        """Tags in use among members of the caller's stores, for a page to offer."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return care_repository.tags(conn, scope, limit)
