"""The rules of receipts: each once, in any order, nothing overwritten.

A till sends again what it isn't sure of, sends late, and sends a void before its sale. So a number known with the same
content is no error, one known with other content is put aside for a person and never overwrites, a void waits for its
sale, and whatever arrives marks its hour, however old, to be computed anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
import psycopg

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import NotFound, TooLarge
from server.membership.models import MemberRef
from server.membership.service import MembershipService
from server.sales import repository, writing
from server.sales.checking import LineMemo, Refused, checked
from server.sales.decoding import MOST_RECEIPTS
from server.sales.models import MemberOf, NewReceipt, OpenConflict, PostResult, Problem, Receipt
from server.sales.writing import Arrival
from server.storage.pool import Connection, Database

_POSTERS: Final[tuple[Role, ...]] = ("till", "manager", "hq", "admin")
_IMPORTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")


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

    def post_slice(
        self, scope: Scope, receipts: Sequence[tuple[int, NewReceipt]], memo: LineMemo, *, keep: bool
    ) -> PostResult:
        """As `post_indexed`, for a slice of a file; without `keep` all is tried and nothing stays.

        Args:
            memo: the file's, of lines checked before.
        """
        scope.require_role(*_IMPORTERS)
        return self._post(scope, receipts, keep=keep, memo=memo)

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
        scope.require_role("manager", "hq", "admin")
        now = self._clock()
        with self._db.transaction() as conn:
            store_id = repository.resolve_conflict(conn, scope, conflict_id, scope.actor, why.strip(), now)
            if store_id is None:
                raise NotFound(f"no open conflict {conflict_id}", field="conflict_id", remedy="see the open conflicts")
            audit.record(
                conn, now, scope.actor, "receipt.conflict_resolved", subject=str(conflict_id), store_id=store_id
            )

    # -- inside

    def _post(
        self,
        scope: Scope,
        receipts: Sequence[tuple[int, NewReceipt]],
        *,
        keep: bool,
        memo: LineMemo | None = None,
    ) -> PostResult:
        if len(receipts) > MOST_RECEIPTS:
            raise TooLarge(
                f"{len(receipts)} receipts; at most {MOST_RECEIPTS} are taken in one go",
                field="receipts",
                remedy="send them in several batches",
            )
        wanted = sorted({new.store_id for _, new in receipts})
        for store_id in wanted:
            scope.require(store_id)
        result = PostResult()
        if not receipts:
            return result
        # One with control characters is no store's, and the database won't even be asked for it.
        wanted = [store_id for store_id in wanted if store_id.isprintable()]
        now = self._clock()
        with self._db.transaction() as conn:
            repository.lock_stores(conn, wanted)
            stores = repository.stores(conn, scope, wanted)
            arrivals = self._checked(receipts, stores, now, result, memo)
            arrivals = self._with_members(conn, arrivals, stores, result)
            result = writing.write(conn, scope, arrivals, now, result)
            if not keep:
                raise psycopg.Rollback
        return result

    def _checked(
        self,
        receipts: Sequence[tuple[int, NewReceipt]],
        stores: dict[str, repository.StoreFacts],
        now: datetime,
        result: PostResult,
        memo: LineMemo | None,
    ) -> list[Arrival]:
        arrivals: list[Arrival] = []
        for index, new in receipts:
            store = stores.get(new.store_id)
            if store is None:
                result.rejected.append(_no_store(index, new))
                continue
            try:
                arrivals.append(Arrival(index, checked(new, store.currency, now, memo), new))
            except Refused as error:
                result.rejected.append(Problem(index, new.receipt_no, error.field, error.reason, error.remedy))
        return arrivals

    def _with_members(
        self,
        conn: Connection,
        arrivals: list[Arrival],
        stores: dict[str, repository.StoreFacts],
        result: PostResult,
    ) -> list[Arrival]:
        named = {
            each.index: (_ref(each.new.member), stores[each.row.store_id].country)
            for each in arrivals
            if each.new.member is not None and each.row.kind != "void"
        }
        if not named:
            return arrivals
        found = self._membership.resolve(conn, list(named.values()))
        told: list[Arrival] = []
        for each in arrivals:
            if each.index not in named:
                told.append(each)
                continue
            member_id = found.get(named[each.index][0])
            if member_id is None:
                result.notes.append(
                    Problem(
                        each.index,
                        each.row.receipt_no,
                        "member",
                        "no member goes by this card, number or id; the receipt was taken without one",
                        "enrol the customer and send the receipt again",
                    )
                )
            told.append(replace(each, row=msgspec.structs.replace(each.row, member_id=member_id)))
        return told


def _no_store(index: int, new: NewReceipt) -> Problem:
    reason = f"there is no store {new.store_id!r}"
    return Problem(index, new.receipt_no, "store_id", reason, "check the id, or add the store")


def _ref(member: MemberOf | None) -> MemberRef:
    if member is None:
        return MemberRef()
    return MemberRef(card=member.card, phone=member.phone, id=member.id)
