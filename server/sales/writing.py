"""Checked receipts into the database: each once, compared with what is known, told to whoever acts on them.

Posted batches and slices of files take this one way, so that a receipt means the same however it came. Everything is
written by sets: a statement takes all receipts, all lines and all events of a batch, whatever their number.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, datetime
from uuid import UUID

import msgspec

from server import events
from server.access.models import Scope
from server.events import NewEvent
from server.sales import repository, telling
from server.sales.models import PostResult, Problem, ReceiptRow
from server.sales.repository import Key
from server.storage import dirty
from server.storage.pool import Connection


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A checked receipt with its place in the batch."""

    index: int
    row: ReceiptRow


def key_of(row: ReceiptRow) -> Key:
    """What a receipt is known by."""
    return row.store_id, row.receipt_no


def write(conn: Connection, scope: Scope, arrivals: Sequence[Arrival], now: datetime, result: PostResult) -> PostResult:
    """Keep what is new of a batch, put aside what contradicts, and mark the hours it bears on.

    Args:
        conn: a transaction that holds the stores' locks (`repository.lock_stores`).
        arrivals: checked, with their members.
        result: what is known of the batch already; conflicts are added to it.

    Returns:
        `result` with how many were accepted and repeated.
    """
    return _Batch(conn, scope, arrivals, now, result).write()


class _Batch:
    """One batch on its way."""

    def __init__(
        self, conn: Connection, scope: Scope, arrivals: Sequence[Arrival], now: datetime, result: PostResult
    ) -> None:
        self._conn = conn
        self._scope = scope
        self._arrivals = arrivals
        self._now = now
        self._result = result
        self._hours: dict[str, dict[tuple[date, int], datetime]] = defaultdict(dict)
        self._attached: dict[Key, ReceiptRow] = {}
        self._same: set[tuple[UUID, UUID]] = set()
        # Within a batch the first of a number is the one that is kept; the rest are compared with it.
        self._firsts: dict[Key, Arrival] = {}
        for each in arrivals:
            self._firsts.setdefault(key_of(each.row), each)

    def write(self) -> PostResult:
        firsts = self._firsts
        known = repository.known(self._conn, self._scope, list(firsts))
        # Nobody else writes receipts of these stores before we have committed: what isn't known is new, and plain COPY
        # can take it.
        inserted = firsts.keys() - known.keys() if known else firsts.keys()
        new = [each.row for key, each in firsts.items() if key in inserted]
        repository.copy_receipts(self._conn, new, self._now)
        repository.copy_lines(self._conn, new)
        for row in new:
            self._mark(row.store_id, row.at)
        self._same = repository.same_people(self._conn, self._scope, self._others(known))
        repeated = 0
        for each in self._arrivals:
            key = key_of(each.row)
            if key in inserted and firsts[key] is each:
                continue
            if self._agrees(each, known.get(key) or _as_known(firsts[key].row)):
                repeated += 1
            else:
                repository.insert_conflict(self._conn, each.row, payload_of(each.row), self._now)
                self._result.conflicts.append(_conflict(each))
        voided = self._apply_voids(inserted)
        self._note_refunds(inserted)
        self._tell(inserted, known, voided)
        for store_id in sorted(self._hours):
            dirty.mark(self._conn, store_id, self._hours[store_id].values(), "receipt")
        return PostResult(len(inserted), repeated, self._result.conflicts, self._result.rejected, self._result.notes)

    def _mark(self, store_id: str, at: datetime) -> None:
        """Note that an hour has changed, by any moment in it: there are few hours and many receipts."""
        self._hours[store_id].setdefault((at.date(), at.hour), at)

    def _others(self, known: Mapping[Key, repository.KnownReceipt]) -> set[tuple[UUID, UUID]]:
        """Of receipts that come again, members before and now where they are not the same.

        A card that was merged since, or a number that somebody else has by now, leads to another member than it did.
        """
        found = set()
        for each in self._arrivals:
            key, named = key_of(each.row), each.row.member_id
            before = known[key].member_id if key in known else self._firsts[key].row.member_id
            if named is not None and before is not None and named != before:
                found.add((before, named))
        return found

    def _agrees(self, arrival: Arrival, before: repository.KnownReceipt) -> bool:
        """Whether a receipt says what the one known by its number says; a member it adds is taken over."""
        row = arrival.row
        if row.content_hash != before.content_hash:
            return False
        if row.member_id is None or row.member_id == before.member_id:
            return True
        if before.member_id is not None:
            return (before.member_id, row.member_id) in self._same
        if not repository.attach_member(self._conn, self._scope, key_of(row), row.member_id):
            return False
        self._mark(row.store_id, row.at)
        self._attached[key_of(row)] = row
        return True

    def _apply_voids(self, inserted: Set[Key]) -> set[Key]:
        """Take back what is voided: by a void of this batch, or by one that waited for its sale."""
        touched, sales = set(), set()
        for key in inserted:
            row = self._firsts[key].row
            if row.kind != "void":
                touched.add(key)
            elif row.refers_to is not None:
                touched.add((key[0], row.refers_to))
            if row.kind == "refund" and row.refers_to is not None:
                sales.add((key[0], row.refers_to))
        voided = repository.apply_voids(self._conn, self._scope, sorted(touched))
        sales |= {(each.store_id, each.receipt_no) for each in voided}
        if sales:
            voided += repository.void_refunds(self._conn, self._scope, sorted(sales))
        for each in voided:
            self._mark(each.store_id, each.at)
        return {(each.store_id, each.receipt_no) for each in voided}

    def _note_refunds(self, inserted: Set[Key]) -> None:
        """Say which refunds give back more than was paid, or of what nobody knows; money went out, so they are kept."""
        new = [each for key, each in self._firsts.items() if key in inserted and each.row.kind == "refund"]
        sales = {(each.row.store_id, each.row.refers_to) for each in new if each.row.refers_to is not None}
        if not sales:
            return
        found = repository.given_back(self._conn, self._scope, sorted(sales))
        by_sale = {(each.store_id, each.receipt_no): each for each in found}
        for each in new:
            told = by_sale.get((each.row.store_id, each.row.refers_to or ""))
            if told is not None and (told.gross is None or told.refunded > told.gross):
                self._result.notes.append(_strange_refund(each, told))

    def _tell(self, inserted: Set[Key], known: dict[Key, repository.KnownReceipt], voided: set[Key]) -> None:
        events.record_all(self._conn, self._told(inserted, known, voided))

    def _told(
        self, inserted: Set[Key], known: dict[Key, repository.KnownReceipt], voided: set[Key]
    ) -> Iterator[NewEvent]:
        for key, first in self._firsts.items():
            if key in inserted:
                yield telling.recorded(first.row, is_voided=key in voided)
        for key, row in self._attached.items():
            was_voided = key in known and known[key].is_voided
            if row.member_id is not None:
                yield telling.attached(row, row.member_id, is_voided=was_voided or key in voided)


def payload_of(row: ReceiptRow) -> dict[str, object]:
    """What a person needs to judge a conflict. The member stands as an id: no phone number is kept in the clear."""
    return {
        "store_id": row.store_id,
        **telling.head(row, row.member_id),
        "lines": [
            {
                "sku": line.sku,
                "description": line.description,
                "quantity": str(line.quantity),
                "unit_price": str(line.unit_price),
                "discount": str(line.discount),
                "cost": None if line.cost is None else str(line.cost),
                "group": line.group,
                "tax": None if line.tax is None else str(line.tax),
            }
            for line in row.lines
        ],
    }


def _as_known(row: ReceiptRow) -> repository.KnownReceipt:
    return repository.KnownReceipt(
        row.store_id, row.receipt_no, row.content_hash, row.member_id, row.at, is_voided=False
    )


def _conflict(arrival: Arrival) -> Problem:
    return Problem(
        arrival.index,
        arrival.row.receipt_no,
        "receipt_no",
        f"receipt {arrival.row.receipt_no!r} is known with other content; that one stays",
        "this one was put aside: see the store's conflicts, and correct the till's numbering",
    )


def _strange_refund(arrival: Arrival, told: repository.GivenBack) -> Problem:
    number = arrival.row.receipt_no
    if told.gross is None:
        return Problem(
            arrival.index,
            number,
            "refers_to",
            f"refund {number!r} names sale {told.receipt_no!r}, which is not known",
            "send the sale if it is missing; if the number is wrong, void the refund and send it with the right one",
        )
    return Problem(
        arrival.index,
        number,
        "gross",
        f"refunds of sale {told.receipt_no!r} come to {told.refunded}, more than the {told.gross} it was sold for",
        "check what was given back; if the till was wrong, void the refund and send it again",
    )
