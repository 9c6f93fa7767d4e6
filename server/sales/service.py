"""The rules of receipts: each once, in any order, nothing overwritten.

A till sends again what it isn't sure of, sends late, and sends a void before its sale. So a number known with the same
content is no error, one known with other content is put aside for a person and never overwrites, a void waits for its
sale, and whatever arrives marks its hour, however old, to be computed anew.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from msgspec.structs import replace

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import NotFound, TooLarge
from server.membership.models import MemberRef
from server.membership.service import MembershipService
from server.sales import repository, writing
from server.sales.checking import LineMemo, Refused, check_member, checked
from server.sales.decoding import MOST_RECEIPTS
from server.sales.models import MemberOf, NewReceipt, OpenConflict, PostResult, Problem, Receipt
from server.sales.writing import Arrival
from server.storage.pool import Connection, Database

_POSTERS: Final[tuple[Role, ...]] = ("till", "manager", "hq", "admin")
_IMPORTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")

#: A member as a till names one, and the country whose phone numbers it means.
Named = tuple[str, MemberOf]


class SalesService:
    """Receipts.

    Args:
        membership: knows whom a till means by a card or a phone number.
    """

    def __init__(self, db: Database, membership: MembershipService, clock: Clock = utc_now) -> None:
        self._db = db
        self._membership = membership
        self._clock = clock

    def post_receipts(self, scope: Scope, receipts: Sequence[NewReceipt]) -> PostResult:
        """Keep a batch of receipts.

        Args:
            receipts: at most 5,000, of one or more stores.

        Raises:
            Forbidden: when a store is not the caller's; nothing of the batch is kept.
            TooLarge: too many.
        """
        return self.post_indexed(scope, list(enumerate(receipts)))

    def post_indexed(self, scope: Scope, receipts: Sequence[tuple[int, NewReceipt]]) -> PostResult:
        """As `post_receipts`, with each receipt's place given: some of the batch could not even be read."""
        scope.require_role(*_POSTERS)
        return self._post(scope, receipts, keep=True)

    def slices(
        self, scope: Scope, *, keep: bool
    ) -> Callable[[Sequence[tuple[int, NewReceipt]]], Callable[[], PostResult]]:
        """For the slices of one file: checks a slice, and gives what then does as `post_indexed`; without `keep` all is
        tried and nothing stays.

        What checks and what writes may be two threads, so that a slice is checked while another is written; a store is
        looked up once, before anything is written, and no second connection is needed. One that changed meanwhile is
        noticed when a slice is written, which is then checked again.
        """
        scope.require_role(*_IMPORTERS)
        memo, known = LineMemo(), dict[str, repository.StoreFacts]()

        def check(receipts: Sequence[tuple[int, NewReceipt]]) -> Callable[[], PostResult]:
            wanted = _stores_of(scope, receipts)
            if not known.keys() >= set(wanted):
                with self._db.read() as conn:
                    known.update(repository.stores(conn, scope, wanted))
            stores = {store_id: known[store_id] for store_id in wanted if store_id in known}
            ready = _checked(receipts, stores, self._clock(), memo)
            return lambda: self._post(scope, receipts, keep=keep, ready=ready)

        return check

    def recent(self, scope: Scope, store_id: str, limit: int = 50) -> list[Receipt]:
        """The newest receipts of a store."""
        scope.require_role(*_READERS)
        scope.require(store_id)
        with self._db.read() as conn:
            return repository.recent(conn, scope, store_id, limit)

    def open_conflicts(self, scope: Scope, store_id: str | None = None, limit: int = 200) -> list[OpenConflict]:
        """Receipts that came again with other content and wait for a person, oldest first."""
        scope.require_role(*_READERS)
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return repository.open_conflicts(conn, scope, store_id, limit)

    def resolve_conflict(self, scope: Scope, conflict_id: int, why: str) -> None:
        """Say that a conflict was looked into: the receipt that is kept stays. To replace it, void it and send another.

        Args:
            why: what was found, for the record.

        Raises:
            NotFound: no such conflict is open, or it is of somebody else's store.
        """
        with self._db.transaction() as conn:
            self.resolve_within(conn, scope, conflict_id, why, "kept")

    def resolve_within(self, conn: Connection, scope: Scope, conflict_id: int, why: str, choice: str) -> None:
        """End a conflict in the transaction of what was decided.

        Args:
            choice: which of the two was chosen, for the record.

        Raises:
            NotFound: no such conflict is open any more, or it is of somebody else's store.
        """
        scope.require_role(*_IMPORTERS)
        now = self._clock()
        store_id = repository.resolve_conflict(conn, scope, conflict_id, scope.actor, why.strip(), now)
        if store_id is None:
            raise NotFound(f"no open conflict {conflict_id}", field="conflict_id", remedy="see the open conflicts")
        audit.record(
            conn,
            now,
            scope.actor,
            "receipt.conflict_resolved",
            subject=str(conflict_id),
            store_id=store_id,
            detail={"choice": choice},
        )

    def post_within(self, conn: Connection, scope: Scope, receipts: Sequence[NewReceipt]) -> PostResult:
        """As `post_receipts`, in a transaction of the caller's, who rolls it back where all or nothing is to be kept.

        Raises:
            As `post_receipts`.
        """
        scope.require_role(*_POSTERS)
        indexed = list(enumerate(receipts))
        return self._write(conn, scope, indexed, _stores_of(scope, indexed))

    # -- inside

    def _post(
        self,
        scope: Scope,
        receipts: Sequence[tuple[int, NewReceipt]],
        *,
        keep: bool,
        ready: "_Checked | None" = None,
    ) -> PostResult:
        wanted = _stores_of(scope, receipts)
        result = PostResult()
        if not receipts:
            return result
        with self._db.transaction() as conn:
            result = self._write(conn, scope, receipts, wanted, ready)
            if not keep:
                raise psycopg.Rollback
        return result

    def _write(
        self,
        conn: Connection,
        scope: Scope,
        receipts: Sequence[tuple[int, NewReceipt]],
        wanted: Sequence[str],
        ready: "_Checked | None" = None,
    ) -> PostResult:
        now = self._clock()
        repository.lock_stores(conn, wanted)
        stores = repository.stores(conn, scope, wanted)
        if ready is None or ready.stores != stores:
            ready = _checked(receipts, stores, now)
        members = self._members(conn, receipts, stores)
        result = PostResult(rejected=ready.rejected)
        return writing.write(conn, scope, _with_members(ready, members, result), now, result)

    def _members(
        self, conn: Connection, receipts: Sequence[tuple[int, NewReceipt]], stores: dict[str, repository.StoreFacts]
    ) -> dict[Named, UUID]:
        """Whom the receipts mean by their members; the unknown ones are left out."""
        found: dict[Named, UUID] = {}
        by_country: dict[str, set[MemberOf]] = defaultdict(set)
        for _, new in receipts:
            if new.member is not None and new.kind != "void" and new.store_id in stores:
                by_country[stores[new.store_id].country].add(new.member)
        for country, members in by_country.items():
            refs = {_ref(member): (country, member) for member in members if _is_fit(member)}
            if refs:
                known = self._membership.resolve(conn, [(ref, country) for ref in refs])
                found.update((refs[ref], member_id) for ref, member_id in known.items())
        return found


def _stores_of(scope: Scope, receipts: Sequence[tuple[int, NewReceipt]]) -> list[str]:
    """The stores of a batch, in order, that the database is asked for.

    Raises:
        Forbidden, TooLarge: as `SalesService.post_receipts`.
    """
    if len(receipts) > MOST_RECEIPTS:
        raise TooLarge(
            f"{len(receipts)} receipts; at most {MOST_RECEIPTS} are taken in one go",
            field="receipts",
            remedy="send them in several batches",
        )
    wanted = sorted({new.store_id for _, new in receipts})
    for store_id in wanted:
        scope.require(store_id)
    # One with control characters is no store's, and the database won't even be asked for it.
    return [store_id for store_id in wanted if store_id.isprintable()]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A batch as far as it can be checked before it is written.

    Attributes:
        stores: as they were then.
        arrivals: those that are receipts, each with the member it names.
        rejected: the others.
    """

    stores: dict[str, repository.StoreFacts]
    arrivals: list[tuple[Arrival, MemberOf | None]]
    rejected: list[Problem]


def _checked(
    receipts: Sequence[tuple[int, NewReceipt]],
    stores: dict[str, repository.StoreFacts],
    now: datetime,
    memo: LineMemo | None = None,
) -> _Checked:
    arrivals: list[tuple[Arrival, MemberOf | None]] = []
    rejected: list[Problem] = []
    for index, new in receipts:
        store = stores.get(new.store_id)
        if store is None:
            rejected.append(_no_store(index, new))
            continue
        try:
            row = checked(new, store.currency, now, memo)
        except Refused as error:
            rejected.append(Problem(index, new.receipt_no, error.field, error.reason, error.remedy))
            continue
        # A void takes back somebody's receipt, and is nobody's itself.
        arrivals.append((Arrival(index, row), None if row.kind == "void" else new.member))
    return _Checked(stores, arrivals, rejected)


def _with_members(ready: _Checked, members: dict[Named, UUID], result: PostResult) -> list[Arrival]:
    """The arrivals as they are kept; which members nobody knows goes into `result`."""
    arrivals: list[Arrival] = []
    for arrival, member in ready.arrivals:
        if member is None:
            arrivals.append(arrival)
            continue
        member_id = members.get((ready.stores[arrival.row.store_id].country, member))
        if member_id is None:
            arrivals.append(arrival)
            result.notes.append(_no_member(arrival.index, arrival.row.receipt_no))
        else:
            arrivals.append(Arrival(arrival.index, replace(arrival.row, member_id=member_id)))
    return arrivals


def _no_member(index: int, number: str) -> Problem:
    return Problem(
        index,
        number,
        "member",
        "no member goes by this card, number or id; the receipt was taken without one",
        "enrol the customer and send the receipt again",
    )


def _no_store(index: int, new: NewReceipt) -> Problem:
    reason = f"there is no store {new.store_id!r}"
    return Problem(index, new.receipt_no, "store_id", reason, "check the id, or add the store")


def _is_fit(member: MemberOf) -> bool:
    """Whether a member may be asked for; what is wrong with the others is told of their receipts."""
    try:
        check_member(member)
    except Refused:
        return False
    return True


def _ref(member: MemberOf) -> MemberRef:
    return MemberRef(card=member.card, phone=member.phone, id=member.id)
