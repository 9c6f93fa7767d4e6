"""The rules of receipts: each once, in any order, nothing overwritten.

A till sends again what it isn't sure of, sends late, and sends a void before its sale. So a number known with the same
content is no error, one known with other content is put aside for a person and never overwrites, a void waits for its
sale, and whatever arrives marks its hour, however old, to be computed anew.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO, Final

import psycopg

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import TooLarge
from server.membership.models import MemberRef
from server.membership.service import MembershipService
from server.sales import repository
from server.sales.checking import Refused, checked
from server.sales.csv_import import CsvReceipts, ImportTally, Mapping
from server.sales.decoding import MOST_RECEIPTS
from server.sales.models import (
    ImportResult,
    MemberOf,
    NewReceipt,
    OpenConflict,
    PostResult,
    Problem,
    Receipt,
    ReceiptRow,
)
from server.sales.repository import Key
from server.storage import dirty
from server.storage.pool import Connection, Database
from server.stores.service import StoresService

_POSTERS: Final[tuple[Role, ...]] = ("till", "manager", "hq", "admin")
_IMPORTERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")
_IMPORT_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A checked receipt with its place in the batch and the member as the till named one."""

    index: int
    row: ReceiptRow
    new: NewReceipt


class SalesService:
    """Receipts.

    Args:
        membership: knows whom a till means by a card or a phone number.
        stores: knows a store's timezone, for files with local times.
    """

    def __init__(
        self, db: Database, stores: StoresService, membership: MembershipService, clock: Clock = utc_now
    ) -> None:
        self._db = db
        self._stores = stores
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

    def import_csv(
        self,
        scope: Scope,
        store_id: str,
        stream: BinaryIO,
        mapping: Mapping | None = None,
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> ImportResult:
        """Take receipts from a CSV file; rows that follow one another with the same number are lines of one receipt.

        It is read once from end to end and written in batches, so its size doesn't matter; what was written stays
        when a later row is wrong, and the same file can be sent again after correction.

        Args:
            stream: seekable; UTF-8 (with or without BOM) or GB18030.
            mapping: our column names to those of the file; those it doesn't name are recognised by common headers.
            dry_run: check everything, keep nothing.
            progress: called with the number of rows read so far.

        Raises:
            Forbidden, NotFound: for the store.
            InvalidInput: when the file as a whole can't be read: no header, a needed column missing, wrong encoding.
        """
        scope.require_role(*_IMPORTERS)
        calendar = self._stores.calendar(scope, store_id)
        source = CsvReceipts(stream, store_id, calendar, mapping or {})
        tally = ImportTally(progress)
        batch: list[tuple[int, NewReceipt]] = []
        for parsed in source:
            if isinstance(parsed, list):
                tally.refuse(parsed)
                continue
            batch.append(parsed)
            if len(batch) >= _IMPORT_BATCH:
                tally.add(self._post(scope, batch, keep=not dry_run), source.rows)
                batch = []
        tally.add(self._post(scope, batch, keep=not dry_run), source.rows)
        result = tally.result(source.rows, source.encoding, dry_run=dry_run)
        if not dry_run:
            self._note_import(scope, store_id, result)
        return result

    # -- inside

    def _post(self, scope: Scope, receipts: Sequence[tuple[int, NewReceipt]], *, keep: bool) -> PostResult:
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
            arrivals = self._checked(receipts, stores, now, result)
            arrivals = self._with_members(conn, arrivals, stores, result)
            result = self._write(conn, scope, arrivals, now, result)
            if not keep:
                raise psycopg.Rollback
        return result

    def _checked(
        self,
        receipts: Sequence[tuple[int, NewReceipt]],
        stores: dict[str, repository.StoreFacts],
        now: datetime,
        result: PostResult,
    ) -> list[_Arrival]:
        arrivals: list[_Arrival] = []
        for index, new in receipts:
            store = stores.get(new.store_id)
            if store is None:
                result.rejected.append(_no_store(index, new))
                continue
            try:
                arrivals.append(_Arrival(index, checked(new, store.currency, now), new))
            except Refused as error:
                result.rejected.append(Problem(index, new.receipt_no, error.field, error.reason, error.remedy))
        return arrivals

    def _with_members(
        self,
        conn: Connection,
        arrivals: list[_Arrival],
        stores: dict[str, repository.StoreFacts],
        result: PostResult,
    ) -> list[_Arrival]:
        named = {
            each.index: (_ref(each.new.member), stores[each.row.store_id].country)
            for each in arrivals
            if each.new.member is not None and each.row.kind != "void"
        }
        if not named:
            return arrivals
        found = self._membership.resolve(conn, list(named.values()))
        told: list[_Arrival] = []
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
            told.append(replace(each, row=replace(each.row, member_id=member_id)))
        return told

    def _write(
        self, conn: Connection, scope: Scope, arrivals: list[_Arrival], now: datetime, result: PostResult
    ) -> PostResult:
        # Within a batch the first of a number is the one that is kept; the rest are compared with it.
        firsts: dict[Key, _Arrival] = {}
        for each in arrivals:
            firsts.setdefault(_key(each.row), each)
        inserted = repository.insert_receipts(conn, [each.row for each in firsts.values()], now)
        repository.copy_lines(conn, (firsts[key].row for key in firsts if key in inserted))
        hours: dict[str, set[datetime]] = defaultdict(set)
        for key in inserted:
            hours[key[0]].add(firsts[key].row.at)

        known = repository.known(conn, scope, [key for key in firsts if key not in inserted])
        repeated = 0
        for each in arrivals:
            key = _key(each.row)
            if key in inserted and firsts[key] is each:
                continue
            before = known.get(key) or _as_known(firsts[key].row)
            if self._agrees(conn, scope, each, before, hours):
                repeated += 1
            else:
                repository.insert_conflict(conn, each.row, _payload(each), now)
                result.conflicts.append(_conflict(each))

        touched = {key for key in inserted if firsts[key].row.kind != "void"}
        touched |= {
            (key[0], row.refers_to)
            for key in inserted
            if (row := firsts[key].row).kind == "void" and row.refers_to is not None
        }
        for voided in repository.apply_voids(conn, scope, sorted(touched)):
            hours[voided.store_id].add(voided.at)
        for store_id in sorted(hours):
            dirty.mark(conn, store_id, hours[store_id], "receipt")
        return replace(result, accepted=len(inserted), repeated=repeated)

    def _agrees(
        self,
        conn: Connection,
        scope: Scope,
        arrival: _Arrival,
        before: repository.KnownReceipt,
        hours: dict[str, set[datetime]],
    ) -> bool:
        """Whether a receipt says what the one known by its number says; a member it adds is taken over."""
        row = arrival.row
        if row.content_hash != before.content_hash:
            return False
        if row.member_id is None or row.member_id == before.member_id:
            return True
        if before.member_id is not None:
            return False
        if not repository.attach_member(conn, scope, _key(row), row.member_id):
            return False
        hours[row.store_id].add(row.at)
        return True

    def _note_import(self, scope: Scope, store_id: str, result: ImportResult) -> None:
        with self._db.transaction() as conn:
            audit.record(
                conn,
                self._clock(),
                scope.actor,
                "receipts.import",
                subject=store_id,
                store_id=store_id,
                detail={
                    "rows": result.rows,
                    "accepted": result.accepted,
                    "repeated": result.repeated,
                    "conflicts": result.conflicts,
                    "rejected": result.rejected,
                },
            )


def _no_store(index: int, new: NewReceipt) -> Problem:
    reason = f"there is no store {new.store_id!r}"
    return Problem(index, new.receipt_no, "store_id", reason, "check the id, or add the store")


def _key(row: ReceiptRow) -> Key:
    return row.store_id, row.receipt_no


def _ref(member: MemberOf | None) -> MemberRef:
    if member is None:
        return MemberRef()
    return MemberRef(card=member.card, phone=member.phone, id=member.id)


def _as_known(row: ReceiptRow) -> repository.KnownReceipt:
    return repository.KnownReceipt(row.store_id, row.receipt_no, row.content_hash, row.member_id, row.at)


def _conflict(arrival: _Arrival) -> Problem:
    return Problem(
        arrival.index,
        arrival.row.receipt_no,
        "receipt_no",
        f"receipt {arrival.row.receipt_no!r} is known with other content; that one stays",
        "this one was put aside: see the store's conflicts, and correct the till's numbering",
    )


def _payload(arrival: _Arrival) -> dict[str, object]:
    """What a person needs to judge a conflict. The member stands as an id: no phone number is kept in the clear."""
    row = arrival.row
    return {
        "store_id": row.store_id,
        "receipt_no": row.receipt_no,
        "kind": row.kind,
        "channel": row.channel,
        "at": row.at.isoformat(),
        "currency": row.currency,
        "gross": str(row.gross),
        "units": str(row.units),
        "member_id": None if row.member_id is None else str(row.member_id),
        "tender": row.tender,
        "cashier": row.cashier,
        "refers_to": row.refers_to,
        "lines": [
            {
                "sku": line.sku,
                "description": line.description,
                "quantity": str(line.quantity),
                "unit_price": str(line.unit_price),
                "discount": str(line.discount),
                "cost": None if line.cost is None else str(line.cost),
            }
            for line in row.lines
        ],
    }
