"""The audit trail as evidence: walked from end to end, its head noted elsewhere, cut by retention at its old end only.

Hashes are computed here anew, and not by the database's own function: whoever can change lines there can change that
function too. The trap it avoids is a check that asks the suspect.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

from server.access import audit, checks
from server.access import audit_repository as repository
from server.access.audit_repository import Line, Link, Wanted
from server.access.models import AuditEntry, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.storage.pool import Connection, Database

_HEAD: Final = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: So many faults are told one by one: where everything is wrong, the first ones say it.
MOST_FAULTS: Final = 200

Kind = Literal["changed", "moved", "deleted", "inserted", "missing", "end", "noted"]


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: worth nothing to an intruder, and proof of all before it once it is noted elsewhere."""

    link_no: int
    hash: str

    def __str__(self) -> str:
        return f"{self.link_no}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """From ``number:hash`` as it was printed.

        Raises:
            InvalidInput: when it isn't of that form.
        """
        number, _, digest = text.strip().partition(":")
        if not _HEAD.fullmatch(text.strip()):
            raise InvalidInput(
                f"{text!r} is no head of an audit trail", field="head", remedy="give it as it was printed: number:hash"
            )
        return cls(int(number), digest)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the trail.

    Attributes:
        link_no: the place in the chain; None for a line outside of it.
        audit_id: the line's number, where one is meant.
    """

    kind: Kind
    link_no: int | None
    audit_id: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along the chain found.

    Attributes:
        lines: links that were walked.
        cut_no: the link up to which retention cut it.
        faults: in the order of the chain; at most `MOST_FAULTS`.
    """

    head: Head | None
    lines: int
    cut_no: int
    faults: list[Fault]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was done to it."""
        return not self.faults


def digest(before: bytes, link_no: int, line: Line) -> bytes:
    """The hash of a link: SHA-256 over the hash before, the link's number and each value of the line with its length.

    Args:
        before: hash of the link before, 32 bytes; zeros before the first.
    """
    micros = (line.at - _EPOCH) // _MICROSECOND
    parts = (link_no, line.audit_id, micros, line.actor, line.action, line.subject, line.store_id, line.detail)
    return sha256(before + b"".join(map(_part, parts))).digest()


def _part(value: int | str | None) -> bytes:
    if value is None:
        return b"-"
    text = str(value).encode()
    return b"%d:%s" % (len(text), text)


class AuditTrail:
    """Reads, checks and cuts the audit trail.

    Args:
        keep_days: for how many days lines are kept; None keeps all.
    """

    def __init__(self, db: Database, keep_days: int | None = None, clock: Clock = utc_now) -> None:
        self._db = db
        self._keep = None if keep_days is None else timedelta(days=keep_days)
        self._clock = clock

    def newest(
        self, scope: Scope, limit: int = 200, before: int | None = None, wanted: Wanted | None = None
    ) -> list[AuditEntry]:
        """The newest lines, or the newest before the line `before`, of those that are wanted; for administrators."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return repository.newest(conn, limit, before, wanted)

    def head(self, scope: Scope) -> Head:
        """The end of the chain as it stands now, for administrators: to be noted where nobody of this server writes."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            row = repository.head(conn)
        return Head(row.link_no, row.hash.hex()) if row else Head(0, "")

    def verify(self, scope: Scope, noted: Head | None = None) -> Verdict:
        """Walk along the whole chain and say what was changed, moved, deleted or inserted, and where.

        Args:
            noted: a head of before; that its link is still the same proves everything before it.
        """
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return _Walk(conn, noted).verdict()

    def cut(self) -> int:
        """Delete what is older than retention allows, from the old end only; how many lines went. For the clean-up job.

        The cut is a line of the trail itself, and its hash stays in the head, so that the rest still proves itself.
        """
        if self._keep is None:
            return 0
        now = self._clock()
        with self._db.transaction() as conn:
            row = repository.head(conn)
            through = repository.last_before(conn, now - self._keep)
            if row is None or through <= row.cut_no:
                return 0
            gone = repository.cut(conn, through)
            audit.record(conn, now, "retention", "audit.cut", detail={"through": through, "lines": gone})
        return gone


class _Walk:
    """One walk along the chain, in one snapshot of the database."""

    def __init__(self, conn: Connection, noted: Head | None) -> None:
        self._conn = conn
        self._noted = noted
        self._faults: list[Fault] = []
        self._broken: list[tuple[bytes, Link, Line]] = []

    def verdict(self) -> Verdict:
        head = repository.head(self._conn)
        at, before = (head.cut_no, head.cut_hash) if head else (0, bytes(32))
        cut_no, walked = at, 0
        if self._noted is not None and self._noted.link_no <= at:
            same = self._noted.link_no == at and self._noted.hash == before.hex()
            if not same:
                self._fault("noted", self._noted.link_no, None, "the noted head lies before what retention cut off")
        for link, line in self._links(at):
            if link.link_no != at + 1:
                self._fault("missing", at + 1, None, _gap(at + 1, link.link_no - 1))
            # Behind a gap nobody knows the hash before; what follows hangs on this link's own again.
            self._look(before if link.link_no == at + 1 else None, link, line)
            at, before = link.link_no, link.hash
            walked += 1
        self._name_broken()
        for audit_id in repository.unlinked(self._conn, MOST_FAULTS):
            self._fault("inserted", None, audit_id, f"line {audit_id} was inserted past the chain")
        if head is None:
            self._fault("end", None, None, "the end of the chain was removed")
        elif (head.link_no, head.hash) != (at, before):
            self._fault("end", at, None, f"the chain ends at link {at}, and its head says {head.link_no}")
        if self._noted is not None and self._noted.link_no > at:
            self._fault("noted", self._noted.link_no, None, f"the chain ends at link {at}, before the noted head")
        self._faults.sort(key=lambda fault: (fault.link_no is None, fault.link_no or 0))
        return Verdict(Head(head.link_no, head.hash.hex()) if head else None, walked, cut_no, self._faults)

    def _links(self, after: int) -> Iterator[tuple[Link, Line | None]]:
        for page in repository.links(self._conn, after):
            yield from page

    def _look(self, before: bytes | None, link: Link, line: Line | None) -> None:
        if self._noted is not None and self._noted.link_no == link.link_no and self._noted.hash != link.hash.hex():
            self._fault("noted", link.link_no, link.audit_id, "the chain up to here is not the one that was noted")
        if line is None:
            text = f"line {link.audit_id} was deleted; it stood at link {link.link_no}"
            self._fault("deleted", link.link_no, link.audit_id, text)
        elif before is not None and digest(before, link.link_no, line) != link.hash and not self._is_full():
            self._broken.append((before, link, line))

    def _name_broken(self) -> None:
        """A line that proves another place than its own was moved; any other was changed."""
        broken, self._broken = self._broken, []
        for before, link, line in broken:
            own = next(
                (
                    other
                    for _, _, other in broken
                    if other is not line and digest(before, link.link_no, other) == link.hash
                ),
                None,
            )
            if own is not None:
                text = f"line {line.audit_id} was moved to link {link.link_no}, the place of line {own.audit_id}"
                self._fault("moved", link.link_no, line.audit_id, text)
            else:
                text = f"line {line.audit_id} at link {link.link_no} is not what was linked there: it was changed"
                self._fault("changed", link.link_no, line.audit_id, text)

    def _fault(self, kind: Kind, link_no: int | None, audit_id: int | None, message: str) -> None:
        if not self._is_full():
            self._faults.append(Fault(kind, link_no, audit_id, message))

    def _is_full(self) -> bool:
        return len(self._faults) + len(self._broken) >= MOST_FAULTS


def _gap(first: int, last: int) -> str:
    if first == last:
        return f"link {first} is missing, and its line with it"
    return f"links {first} to {last} are missing, and their lines with them"
