"""Points as they pass between the parts: a member's balance, entries of the ledger, and what is owed to all members.

Points are whole numbers; money is Decimal with its currency; times are aware and in UTC.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, get_args
from uuid import UUID

from server.errors import Conflict

EntryKind = Literal[
    "earn",
    "release",
    "redeem",
    "void",
    "expire",
    "adjust",
    "reverse",
    "restore",
    "merge",
    "opening",
    "forfeit",
]
ENTRY_KINDS: Final[tuple[str, ...]] = get_args(EntryKind)
Decision = Literal["approved", "declined"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger.

    Attributes:
        points: what it adds to the balance; less than nothing takes away.
        pending: what it adds to what waits for a return window to close.
        balance: what the member had after it.
        refers_to: the entry that a void takes back.
        reason: as typed by a person; None where nobody typed one, or it was erased.
    """

    entry_id: int
    member_id: UUID
    kind: EntryKind
    points: int
    pending: int
    balance: int
    at: datetime
    key: str
    store_id: str | None
    receipt_no: str | None
    refers_to: int | None
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217)."""

    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Redemption:
    """Points that were spent, and what the till gives for them; None where the rules say no value."""

    entry: Entry
    worth: Money | None


@dataclass(frozen=True, slots=True)
class Expiring:
    """How many points of a member expire at a moment."""

    at: datetime
    points: int


@dataclass(frozen=True, slots=True)
class PointsBalance:
    """What a member has now.

    Attributes:
        balance: to be spent; below zero when a refund took back what was spent already.
        pending: earned, and to be spent once the return window has closed.
        expiring: the next dates on which points expire, soonest first, twelve at the most.
    """

    member_id: UUID
    balance: int
    pending: int
    expiring: list[Expiring]


@dataclass(frozen=True, slots=True)
class AdjustmentRequest:
    """An adjustment that needs a second person.

    Attributes:
        entry_id: of the ledger, once it was approved.
    """

    request_id: int
    member_id: UUID
    points: int
    store_id: str | None
    reason: str
    key: str
    requested_by: str
    requested_at: datetime
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    entry_id: int | None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What became of an adjustment: booked as an entry, or waiting as a request for a second person."""

    entry: Entry | None
    request: AdjustmentRequest | None


@dataclass(frozen=True, slots=True)
class LiabilityRow:
    """Points outstanding that are alike.

    Attributes:
        age: of their lots: how long ago they were earned, in whole years, from 0.
        expires: first day of the month (UTC) they expire in; None: never.
        is_pending: whether their return window is still open.
        worth: in the report's currency.
    """

    age: int
    expires: date | None
    is_pending: bool
    members: int
    points: int
    worth: Decimal


@dataclass(frozen=True, slots=True)
class Liability:
    """What the chain owes its members in points.

    Attributes:
        at: as of when (UTC).
        value: money for one point by the rules in force then.
        owed: points that members owe the chain, after refunds of what they had spent; not in `points`.
    """

    at: datetime
    currency: str
    value: Decimal
    points: int
    pending: int
    owed: int
    worth: Decimal
    rows: list[LiabilityRow]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sums of one member that should be the same and are not.

    Attributes:
        what: which sums, such as ``balance and ledger``.
        subject: the member's id, or the lot's or entry's number.
    """

    what: str
    subject: str
    has: int
    should: int


@dataclass(frozen=True, slots=True)
class SavedRules:
    """A version of the rules: who saved it, when and why; it holds from `valid_from` until the next version's."""

    version: int
    valid_from: datetime
    made_by: str
    made_at: datetime
    reason: str


class NotEnough(Conflict):
    """The member hasn't so many points; `detail` says how many there are."""

    def __init__(self, points: int, balance: int, pending: int) -> None:
        super().__init__(
            f"{points} points were asked for, and {balance} can be spent",
            field="points",
            remedy=f"spend fewer; {pending} more wait for their return window to close"
            if pending
            else "spend fewer; what other desks did just now counts",
            detail={"balance": str(balance), "pending": str(pending)},
        )


class KeyTaken(Conflict):
    """The idempotency key was used for something else."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the key {key!r} was used for something else",
            field="key",
            remedy="send the same content with it to have the same answer, or a new key for something new",
        )
