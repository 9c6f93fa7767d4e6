"""Two contents under one receipt number: shown side by side, and decided by a person.

A receipt that is kept is never overwritten: what was reported yesterday must be explained tomorrow. So when the other
content is the right one, the kept receipt is voided and the other is kept under a number of its own, with both numbers
made from the conflict's: asked twice, it happens once.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from server.access.models import Role, Scope
from server.errors import Conflict, InvalidInput, NotFound
from server.sales import conflict_repository
from server.sales.models import NewReceipt, OpenConflict, Receipt
from server.sales.service import SalesService
from server.storage.pool import Database

_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")
_DECIDERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")


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
            found = conflict_repository.open_conflict(conn, scope, conflict_id)
            if found is None:
                raise NotFound(f"no open conflict {conflict_id}", field="conflict_id", remedy="see the open conflicts")
            kept = conflict_repository.kept(conn, scope, found.store_id, found.receipt_no)
            lines = conflict_repository.kept_lines(conn, scope, found.store_id, found.receipt_no)
        return Pair(found, kept, lines)

    def take_other(self, scope: Scope, conflict_id: int, why: str) -> str:
        """Void the kept receipt and keep the other content under a number of its own; the conflict is decided then.

        Args:
            why: what was found, for the record.

        Returns:
            The number it is kept under.

        Raises:
            NotFound: as `pair`.
            InvalidInput: one of the two is a void, which can't be taken back.
            Conflict: the other content is refused by today's rules.
        """
        scope.require_role(*_DECIDERS)
        pair = self.pair(scope, conflict_id)
        other = pair.conflict.payload
        if other.get("kind") == "void" or (pair.kept is not None and pair.kept.kind == "void"):
            raise InvalidInput(
                "a void can't be taken back", field="choice", remedy="let the kept one stand and send what is right"
            )
        number = f"{pair.conflict.receipt_no}~{conflict_id}"
        posted = self._sales.post_receipts(scope, [*_void_of(pair), _receipt_of(other, number)])
        if posted.rejected or posted.conflicts:
            problem = [*posted.rejected, *posted.conflicts][0]
            raise Conflict(problem.reason, field="choice", remedy=problem.remedy)
        self._sales.resolve_conflict(scope, conflict_id, why)
        return number


def _void_of(pair: Pair) -> list[NewReceipt]:
    if pair.kept is None or pair.kept.voided_at is not None:
        return []
    conflict = pair.conflict
    # Of the moment at which the other came: the same void is made again when this is asked again.
    return [
        NewReceipt(
            store_id=conflict.store_id,
            receipt_no=f"{conflict.receipt_no}~{conflict.conflict_id}~void",
            kind="void",
            at=conflict.received_at,
            channel=pair.kept.channel,
            refers_to=conflict.receipt_no,
        )
    ]


def _receipt_of(payload: dict[str, object], number: str) -> NewReceipt:
    given = {name: value for name, value in payload.items() if name != "member_id" and value is not None}
    member = payload.get("member_id")
    if member is not None:
        given["member"] = {"id": member}
    given["receipt_no"] = number
    return msgspec.convert(given, NewReceipt)
