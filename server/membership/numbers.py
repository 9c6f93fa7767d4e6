"""A number changes hands: taken for one member, and from whoever had it before.

A number is taken in the database, by a unique hash, and not looked up first: two desks at once must not both have it.
While a key is being rotated the same number may stand under the hash of the old key, which the unique index can't know;
so the old hashes are looked for once ours is in, when whoever rotates that row waits for us or has finished.
"""

from datetime import datetime
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.errors import Conflict
from server.events import outbox
from server.events.models import NewEvent
from server.membership import number_repository, repository
from server.membership.crypto import MemberKeys
from server.membership.models import MemberExists
from server.storage.pool import Connection


def take(conn: Connection, keys: MemberKeys, number: str, member_id: UUID) -> None:
    """Let a member have a number that nobody has.

    Args:
        number: E.164.

    Raises:
        MemberExists: somebody has it, and who.
    """
    current, *old = keys.tokens("phone", number)
    if not repository.insert_phone_token(conn, current, member_id):
        raise _exists(conn, current)
    if old and repository.members_of_phones(conn, old):
        raise _exists(conn, *old)


def detach(conn: Connection, scope: Scope, keys: MemberKeys, number: str, to: UUID, now: datetime) -> None:
    """Take a number from whoever has it, because `to` proved to hold it now. The old member stays, without a number.

    The number stays with the old member as one of before, encrypted; who took it, from whom and when is on record.
    """
    for holder in number_repository.holders(conn, keys.tokens("phone", number)):
        if holder.member_id == to:
            continue
        number_repository.keep_old(conn, holder.member_id, now, "reassigned", to, scope.actor)
        number_repository.release(conn, holder.member_id)
        number_repository.clear_phone(conn, holder.member_id, now)
        audit.record(
            conn,
            now,
            scope.actor,
            "member.detach_phone",
            subject=str(holder.member_id),
            store_id=holder.home_store,
            detail={"to": str(to)},
        )
        outbox.record(conn, changed(holder.member_id, holder.home_store, ["phone"]))


def changed(member_id: UUID, store_id: str | None, fields: list[str]) -> NewEvent:
    """The event of a change: which fields, and never what is in them."""
    return NewEvent("member.changed", store_id, str(member_id), {"fields": sorted(fields)})


def _exists(conn: Connection, *tokens: bytes) -> Conflict:
    holders = repository.members_of_phones(conn, tokens)
    if not holders:
        return Conflict("this phone number was taken a moment ago", field="phone", remedy="search for it")
    return MemberExists(holders[0].member_id, holders[0].card_no)
