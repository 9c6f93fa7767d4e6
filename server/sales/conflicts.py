"""Two contents under one receipt number: shown side by side, and decided by a person.

A receipt that is kept is never overwritten: what was reported yesterday must be explained tomorrow. So when the other
content is the right one, the kept receipt is voided and the other is kept under a number of its own, with both numbers
made from the conflict's. A till that began its numbers anew sends two real sales under one: then both are kept, and
nothing is voided. The trap is a decision carried out by half, or by two people: a void that was refused beside a sale
that was taken counts twice. So the conflict is ended first, and ended, voided and kept is all in one transaction.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from server.access.models import Role, Scope
from server.errors import Conflict, InvalidInput, NotFound
from server.sales import conflict_repository, repository
from server.sales.models import NewReceipt, OpenConflict, Receipt
from server.sales.service import SalesService
from server.storage.pool import Connection, Database

_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")
_DECIDERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
#: A receipt's number has so many letters at the most.
_LONGEST: Final = 64

#: Which is right: the one that is kept, the other, or both, as two sales of a till that began its numbers anew.
Choice = Literal["kept", "other", "both"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A conflict, and the receipt that is kept with its lines; None where it is gone, as after a retention."""

    conflict: OpenConflict
    kept: Receipt | None
    lines: list[dict[str, object]]


class ConflictService:
    """Shows conflicts and carries out what was decided."""

    def __init__(self, db: Database, sales: SalesService) -> None:
        self._db = db
        self._sales = sales

    def pair(self, scope: Scope, conflict_id: int) -> Pair:
        """Both contents.

        Raises:
            NotFound: no such conflict is open, or it is of somebody else's store.
        """
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return self._pair(conn, scope, conflict_id)

    def decide(self, scope: Scope, conflict_id: int, choice: Choice, why: str) -> str | None:
        """End a conflict as somebody decided it; nothing of it is carried out where not all of it can be.

        Args:
            choice: the kept receipt stays; or it is voided and the other is kept under a number of its own; or both
                are kept, the other under a number of its own.
            why: what was found, for the record.

        Returns:
            The number the other one is kept under; None where it is put away.

        Raises:
            NotFound: as `pair`; also when somebody else was faster.
            InvalidInput: a void would have to be taken back, or kept without anybody knowing which sale it means.
            Conflict: the other content is refused by today's rules.
        """
        scope.require_role(*_DECIDERS)
        if choice == "kept":
            self._sales.resolve_conflict(scope, conflict_id, why)
            return None
        store_id = self.pair(scope, conflict_id).conflict.store_id
        with self._db.transaction() as conn:
            # Before the conflict itself: whoever posts holds the store and may then wait for the conflict.
            repository.lock_stores(conn, [store_id])
            pair = self._pair(conn, scope, conflict_id)
            receipts = _both(pair) if choice == "both" else _instead(pair)
            self._sales.resolve_within(conn, scope, conflict_id, why, choice)
            posted = self._sales.post_within(conn, scope, receipts)
            if posted.accepted < len(receipts):
                wrong = [*posted.rejected, *posted.conflicts]
                reason = wrong[0].reason if wrong else "the other content is kept already"
                raise Conflict(reason, field="choice", remedy=wrong[0].remedy if wrong else "let the kept one stand")
        return receipts[-1].receipt_no

    @staticmethod
    def _pair(conn: Connection, scope: Scope, conflict_id: int) -> Pair:
        found = conflict_repository.open_conflict(conn, scope, conflict_id)
        if found is None:
            raise NotFound(f"no open conflict {conflict_id}", field="conflict_id", remedy="see the open conflicts")
        kept = conflict_repository.kept(conn, scope, found.store_id, found.receipt_no)
        lines = conflict_repository.kept_lines(conn, scope, found.store_id, found.receipt_no)
        return Pair(found, kept, lines)


def _instead(pair: Pair) -> list[NewReceipt]:
    """The other content, behind what takes the kept one back."""
    if pair.conflict.payload.get("kind") == "void" or (pair.kept is not None and pair.kept.kind == "void"):
        raise InvalidInput(
            "a void can't be taken back", field="choice", remedy="let the kept one stand and send what is right"
        )
    return [*_void_of(pair), *_other(pair)]


def _both(pair: Pair) -> list[NewReceipt]:
    """The other content alone."""
    if pair.conflict.payload.get("kind") == "void":
        # Of the two sales under the number that it refers to, it would take back the wrong one.
        raise InvalidInput(
            "the other one is a void, and its sale's number may be of two",
            field="choice",
            remedy="let the kept one stand, and void the right sale",
        )
    return _other(pair)


def _void_of(pair: Pair) -> list[NewReceipt]:
    if pair.kept is None or pair.kept.voided_at is not None:
        return []
    conflict = pair.conflict
    # Of the moment at which the other came: the same void is made again when this is asked again.
    return [
        NewReceipt(
            store_id=conflict.store_id,
            receipt_no=_number(conflict, "~void"),
            kind="void",
            at=conflict.received_at,
            channel=pair.kept.channel,
            refers_to=conflict.receipt_no,
        )
    ]


def _other(pair: Pair) -> list[NewReceipt]:
    payload = pair.conflict.payload
    given = {name: value for name, value in payload.items() if name != "member_id" and value is not None}
    member = payload.get("member_id")
    if member is not None:
        given["member"] = {"id": member}
    given["receipt_no"] = _number(pair.conflict)
    return [msgspec.convert(given, NewReceipt)]


def _number(conflict: OpenConflict, what: str = "") -> str:
    """A number that no till gives. What is too long loses its end: the conflict's own number tells it from others."""
    end = f"~{conflict.conflict_id}{what}"
    return conflict.receipt_no[: _LONGEST - len(end)] + end
