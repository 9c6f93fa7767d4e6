"""A person leaves, and the books stay.

PIPL 47 and GDPR 17. Everything that names the person goes, here and in every package that has a part (`rights`);
receipts and ledgers go on pointing at a member without a name, so that no day's sales and no balance changes. It is one
transaction: balances are taken before and after and must be the same, every part says what is left and nothing may be.
Then a receipt is signed and kept: what went, what stays and why, what the books said. It names nobody, and can be
proved years later: the signature says that it is ours, and the counts are taken anew.

Whether somebody may ask for it goes by their stores, what is done never does: the trap is a part that looks at the
stores of who asked, leaves what the member did elsewhere, and signs sums that headquarters can't find again. So every
part works on the whole chain, in the name of who asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import structlog

from server.access import audit
from server.access.models import Scope
from server.errors import Conflict, DoorlineError, NotFound
from server.events import outbox
from server.events.models import NewEvent
from server.membership import rights_repository as repository
from server.membership.exporting import EXPORTERS, require_homes
from server.membership.over_parts import OverParts
from server.membership.reading import no_member
from server.membership.receipts import receipt_bytes
from server.membership.rights_repository import ErasureRow
from server.membership.texts import label
from server.storage.pool import Connection

_log = structlog.get_logger(__name__)
_CONSENTS_KEPT: Final = "what was agreed and when is proof of lawful processing (PIPL 55, GDPR 7); it names nobody now"
_TRAIL_KEPT: Final = "who did what is proof towards the authority; it names the member by id alone"
_SALES_KEPT: Final = "receipts are books (PRC Accounting Law 23, HGB 257); they point at a member without a name"


class ErasureFailed(DoorlineError):
    """Something would have been left, or a balance changed; nothing was erased."""

    code = "erasure_failed"


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """The proof of an erasure.

    Attributes:
        members: ids of the member and of all who were merged into it.
        removed: rows by package and by what they were.
        kept: by package: what stays, how many rows, and why.
        balances: by package, the same before and after.
        erased_at: UTC.
        signature: hexadecimal, over all of the above.
    """

    erasure_id: UUID
    member_id: UUID
    members: list[UUID]
    erased_by: str
    erased_at: datetime
    reason: str
    removed: dict[str, dict[str, int]]
    kept: dict[str, dict[str, str]]
    balances: dict[str, dict[str, str]]
    signature: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What holds today of a receipt.

    Attributes:
        is_ours: the signature is ours and nothing in the receipt was changed.
        left: rows that name the person today, by package; empty when all is gone.
        balances_hold: the books still say what they said.
    """

    is_ours: bool
    left: dict[str, dict[str, int]]
    balances_hold: bool


class Erasures(OverParts):
    """Erases members, and proves it."""

    def holds(self, scope: Scope, member_id: UUID) -> list[str]:
        """Why a member can't be erased now, and what to do first; empty when nothing is in the way."""
        scope.require_role(*EXPORTERS)
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            ids = [person.member_id for person in repository.family(conn, scope, row.member_id)]
            return [why for part in self._parts for why in part.holds(conn, _whole(scope), ids)]

    def erase(self, scope: Scope, member_id: UUID, reason: str) -> ErasureReceipt:
        """Erase a member of the caller's own stores, and all who were merged into it.

        Raises:
            NotFound: when there is no member the caller may know of.
            Forbidden: for a desk, and for a member whose home is elsewhere.
            Conflict: when something is in the way, such as money on a card; it says what, and what to do.
            ErasureFailed: when a balance changed or something was left; nothing was erased.
        """
        scope.require_role(*EXPORTERS)
        why = label(reason, "reason", 200)
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            require_homes(scope, repository.family(conn, scope, row.member_id))
            return self.erase_within(conn, scope, row.member_id, row.home_store, why)

    def erase_within(
        self, conn: Connection, scope: Scope, member_id: UUID, home_store: str, why: str
    ) -> ErasureReceipt:
        """As `erase`, in a transaction of the caller's, of a member who was looked up under the scope."""
        now = self._clock()
        people = repository.family(conn, scope, member_id)
        if not people or people[0].member_id != member_id:
            raise no_member(member_id)
        ids = [person.member_id for person in people]
        whole = _whole(scope)
        holds = [hold for part in self._parts for hold in part.holds(conn, whole, ids)]
        if holds:
            raise Conflict(
                "this member can't be erased yet: " + "; ".join(holds),
                field="member_id",
                remedy="settle that first, then erase",
            )
        before = self._balances(conn, whole, ids)
        removed: dict[str, dict[str, int]] = {}
        kept: dict[str, dict[str, str]] = {}
        for part in self._parts:
            done = part.erase(conn, whole, ids, now)
            removed[part.name] = dict(done.removed)
            kept[part.name] = {what: f"{each.rows}: {each.why}" for what, each in done.kept.items()}
        consents = len(repository.consents(conn, scope, ids))
        removed["membership"] = repository.empty(conn, scope, ids, now)
        kept["membership"] = {
            "consents": f"{consents}: {_CONSENTS_KEPT}",
            "receipts": f"{len(repository.bought(conn, scope, ids))}: {_SALES_KEPT}",
            "audit trail": _TRAIL_KEPT,
        }
        left = self._left(conn, whole, ids)
        after = self._balances(conn, whole, ids)
        if left or before != after:
            _log.error("erasure undone", member=str(member_id), left=left, before=before, after=after)
            raise ErasureFailed(
                "the member was not erased: something would have been left, or a balance changed",
                remedy="tell whoever runs the server: its log says what",
            )
        receipt = self._receipt(conn, scope, member_id, ids, why, removed, kept, after, now)
        audit.record(
            conn,
            now,
            scope.actor,
            "member.erase",
            subject=str(member_id),
            store_id=home_store,
            detail={"erasure": str(receipt.erasure_id), "members": len(ids)},
        )
        body = {"members": [str(each) for each in ids], "erasure": str(receipt.erasure_id)}
        outbox.record(conn, NewEvent("member.erased", home_store, str(member_id), body))
        return receipt

    def receipt(self, scope: Scope, erasure_id: UUID) -> ErasureReceipt:
        """A receipt by its number.

        Raises:
            NotFound: when there is none.
        """
        scope.require_role(*EXPORTERS)
        with self._db.read() as conn:
            return _read(self._row(conn, scope, erasure_id))

    def receipts(self, scope: Scope, limit: int = 100) -> list[ErasureReceipt]:
        """The newest receipts, for headquarters."""
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        with self._db.read() as conn:
            return [_read(row) for row in repository.erasures(conn, scope, limit)]

    def prove(self, scope: Scope, erasure_id: UUID) -> Proof:
        """Hold a receipt against what is in the database today.

        Raises:
            NotFound: when there is no such receipt.
            WrongKey: when it was signed with a key that is not given.
        """
        scope.require_role(*EXPORTERS)
        with self._db.read() as conn:
            row = self._row(conn, scope, erasure_id)
            told = _read(row)
            is_ours = self._keys.has_signed(receipt_bytes(row.receipt), row.signature, row.key_id)
            whole = _whole(scope)
            left = self._left(conn, whole, told.members)
            return Proof(is_ours, left, self._balances(conn, whole, told.members) == told.balances)

    def _row(self, conn: Connection, scope: Scope, erasure_id: UUID) -> ErasureRow:
        row = repository.erasure(conn, scope, erasure_id)
        if row is None:
            raise NotFound(f"there is no receipt of erasure {erasure_id}", field="erasure_id")
        return row

    def _balances(self, conn: Connection, scope: Scope, ids: Sequence[UUID]) -> dict[str, dict[str, str]]:
        found = {part.name: dict(part.balances(conn, scope, ids)) for part in self._parts}
        return {"sales": repository.sold(conn, scope, ids), **found}

    def _left(self, conn: Connection, scope: Scope, ids: Sequence[UUID]) -> dict[str, dict[str, int]]:
        every = {part.name: _some(part.left(conn, scope, ids)) for part in self._parts}
        every["membership"] = _some(repository.left(conn, scope, ids))
        return {name: left for name, left in every.items() if left}

    def _receipt(
        self,
        conn: Connection,
        scope: Scope,
        member_id: UUID,
        ids: list[UUID],
        why: str,
        removed: dict[str, dict[str, int]],
        kept: dict[str, dict[str, str]],
        balances: dict[str, dict[str, str]],
        now: datetime,
    ) -> ErasureReceipt:
        erasure_id = uuid4()
        content: dict[str, object] = {
            "erasure_id": str(erasure_id),
            "member_id": str(member_id),
            "members": [str(each) for each in ids],
            "erased_by": scope.actor,
            "erased_at": now.isoformat(),
            "reason": why,
            "removed": removed,
            "kept": kept,
            "balances": balances,
        }
        signature = self._keys.sign(receipt_bytes(content))
        row = ErasureRow(erasure_id, member_id, scope.actor, now, why, content, signature, self._keys.key_id)
        repository.insert_erasure(conn, row)
        return _read(row)


def _whole(scope: Scope) -> Scope:
    """The chain, in the name of somebody who was found to be allowed to."""
    return Scope.system(scope.actor)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {what: rows for what, rows in counts.items() if rows}


def _read(row: ErasureRow) -> ErasureReceipt:
    told: dict[str, object] = row.receipt
    return ErasureReceipt(
        erasure_id=row.erasure_id,
        member_id=row.member_id,
        members=[UUID(str(each)) for each in told["members"]],  # type: ignore[attr-defined]
        erased_by=row.erased_by,
        erased_at=row.erased_at,
        reason=row.reason,
        removed=told["removed"],  # type: ignore[arg-type]
        kept=told["kept"],  # type: ignore[arg-type]
        balances=told["balances"],  # type: ignore[arg-type]
        signature=row.signature.hex(),
    )
