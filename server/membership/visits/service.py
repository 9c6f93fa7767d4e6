"""Visits: members who make themselves known at the desk, and members whom receipts show.

A check-in is kept as it was told, with its time; what day it falls on is the store's own business and worked out from
its calendar. Without check-ins only those who bought are known to have come, which is why a store that takes none has
no conversion of members.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.membership import cards
from server.membership.reading import no_member
from server.membership.service import MembershipService
from server.membership.visits import repository
from server.membership.visits.models import CheckIn, How, Seen, Visit
from server.storage import dirty
from server.storage.pool import Database
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.service import StoresService

_DESKS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_KEYS: Final = UUID("6b9f4a3e-6f0e-4d0b-9a39-0d6f0a5a8f11")
#: How far back a desk may say that somebody was there: as long as it may have been without a network.
OLDEST: Final = timedelta(days=31)
_FUTURE: Final = timedelta(minutes=5)
#: Signs of one member that are looked through; several a day are usual for nobody.
_MOST_SEEN: Final = 2_000


class VisitsService:
    """Visits of members."""

    def __init__(
        self, db: Database, stores: StoresService, membership: MembershipService, clock: Clock = utc_now
    ) -> None:
        self._db = db
        self._stores = stores
        self._membership = membership
        self._clock = clock

    def check_in(
        self, scope: Scope, store_id: str, member_id: UUID, how: How, key: str, at: datetime | None = None
    ) -> CheckIn:
        """Book that a member is in a store. The same key again is the same check-in.

        Args:
            key: of the caller's own making, at most 100 characters; unique per person who books.
            at: when, where that was earlier (aware; a month ago at most).

        Raises:
            Conflict: the key stands for another check-in.
            Forbidden: the store is not the caller's.
            InvalidInput: a time in the future or too long ago, or no key.
            NotFound: there is no such member.
        """
        scope.require_role(*_DESKS)
        scope.require(store_id)
        now = self._clock()
        moment = _moment(at, now)
        if not key or len(key) > 100:
            raise InvalidInput("a check-in needs a key", field="key", remedy="send one of at most 100 characters")
        made = CheckIn(uuid5(_KEYS, f"{scope.user_id}\n{key}"), member_id, store_id, moment, how, scope.actor)
        calendar = self._stores.calendar(scope, store_id)
        start, end = calendar.bounds(calendar.day_of(moment))
        with self._db.transaction() as conn:
            before = repository.seen(conn, scope, member_id, start, end, 1)
            if not repository.insert(conn, scope, made):
                return _the_same(repository.check_in(conn, scope, made.check_in_id), made)
            dirty.mark(conn, store_id, [moment], "check_in")
            audit.record(
                conn,
                now,
                scope.actor,
                "member.check_in",
                subject=str(member_id),
                store_id=store_id,
                detail={"how": how, "at": moment.isoformat()},
            )
        return CheckIn(made.check_in_id, member_id, store_id, moment, how, made.by, is_first=not before)

    def check_in_as_told(self, scope: Scope, store_id: str, who: str, at: datetime, key: str) -> UUID:
        """Check in whoever this card or phone number belongs to; the member.

        Raises:
            NotFound: when it is nobody's.
        """
        found = self._membership.find_exact(scope, who)
        if found is None:
            raise NotFound("nobody has this card or number", field="who", remedy="check it with the customer")
        how: How = "card" if cards.is_card(who.strip()) else "phone"
        return self.check_in(scope, store_id, found.member_id, how, key, at).member_id

    def visits(self, scope: Scope, member_id: UUID, limit: int = 20, since: datetime | None = None) -> list[Visit]:
        """A member's visits to the caller's stores, newest first.

        Args:
            since: no earlier than this (aware); two years ago when left out.

        Raises:
            NotFound: when there is no such member the caller may know of.
        """
        self._membership.member(scope, member_id)
        now = self._clock()
        first = since or now - 730 * ONE_DAY
        with self._db.read() as conn:
            seen = repository.seen(conn, scope, member_id, first, now + _FUTURE, _MOST_SEEN)
        return by_day(seen, self._stores.calendars(scope, sorted({each.store_id for each in seen})))[:limit]


def by_day(seen: Iterable[Seen], calendars: Mapping[str, StoreCalendar]) -> list[Visit]:
    """One visit per store and business day out of all signs, newest first."""
    days: dict[tuple[str, object], list[Seen]] = {}
    for each in seen:
        days.setdefault((each.store_id, calendars[each.store_id].day_of(each.at)), []).append(each)
    visits = [_visit(store_id, calendars[store_id], signs) for (store_id, _), signs in days.items()]
    return sorted(visits, key=lambda visit: (visit.last_at, visit.store_id), reverse=True)


def _visit(store_id: str, calendar: StoreCalendar, signs: Sequence[Seen]) -> Visit:
    times = [sign.at for sign in signs]
    return Visit(
        store_id=store_id,
        day=calendar.day_of(times[0]),
        first_at=min(times),
        last_at=max(times),
        checked_in=any(sign.how == "check_in" for sign in signs),
        bought=any(sign.how == "till" for sign in signs),
    )


def _moment(at: datetime | None, now: datetime) -> datetime:
    if at is None:
        return now
    if at.tzinfo is None:
        raise InvalidInput("a time without a zone", field="at", remedy="send ISO 8601 with a zone")
    if at > now + _FUTURE:
        raise InvalidInput(f"{at.isoformat()} is in the future", field="at", remedy="check the clock of the device")
    if at < now - OLDEST:
        raise InvalidInput(
            f"{at.isoformat()} is more than {OLDEST.days} days ago", field="at", remedy="leave this visit out"
        )
    return min(at, now).astimezone(UTC)


def _the_same(kept: CheckIn | None, made: CheckIn) -> CheckIn:
    """What was booked under the key before.

    Raises:
        Conflict: when that was another member or store.
        NotFound: when nothing was: there is no such member.
    """
    if kept is None:
        raise no_member(made.member_id)
    if (kept.member_id, kept.store_id) != (made.member_id, made.store_id):
        raise Conflict("this key stands for another check-in", field="key", remedy="make a key for each check-in")
    return kept
