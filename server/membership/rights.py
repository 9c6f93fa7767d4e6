"""What every package that keeps something of a member gives to the member's rights: a part of export and of erasure.

Membership can't know who keeps what: points, coupons, stored value and visits lie above it or come later. So each
brings a `RightsPart`, and `server.services` hands them all to the services of export and erasure. The trap is the table
that nobody thought of: erasure asks every part what is left when it is done, and fails whole if anything is.

Erasure removes a person, never an amount. A row of a ledger stays, pointing at a member without a name; what a part
calls its balances must be the same before and after, or nothing is erased at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from server.access.models import Locale, Scope
from server.events.models import JSON
from server.storage.pool import Connection

#: A text in each language of a reader.
Words = Mapping[Locale, str]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a member's data.

    Attributes:
        key: its name in the JSON, such as ``points``.
        title: its heading in the readable form.
        columns: keys of the rows in the order to be read, each with its heading.
        rows: values by column. Amounts as strings, times in ISO 8601 with offset.
    """

    key: str
    title: Words
    columns: Mapping[str, Words]
    rows: Sequence[Mapping[str, JSON]]


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that stay after an erasure, and why the law or the books ask for them."""

    rows: int
    why: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What a part did.

    Attributes:
        removed: rows deleted or emptied, by what they were, such as ``{"coupons": 3}``.
        kept: rows that stay without a person, likewise.
    """

    removed: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)


class RightsPart(Protocol):
    """One package's part.

    `members` is the member and all who were merged into it: data of any of them is data of the one person. Every call
    is within one transaction of the caller's. `scope` is that of whoever asked, who was found to be allowed to; in an
    erasure it is the whole chain under their name. `balances` and `left` only read: a proof asks for them years later.
    """

    @property
    def name(self) -> str:
        """Under which it stands in a receipt of erasure, such as ``points``."""

    def export(self, conn: Connection, scope: Scope, members: Sequence[UUID], /) -> Sequence[Section]:
        """Everything kept of the member."""

    def holds(self, conn: Connection, scope: Scope, members: Sequence[UUID], /) -> Sequence[str]:
        """Why the member can't be erased now, and what to do first: money on a card must be paid out, say."""

    def balances(self, conn: Connection, scope: Scope, members: Sequence[UUID], /) -> Mapping[str, str]:
        """Sums that an erasure must not change, by name, such as ``{"points": "120", "entries": "4"}``."""

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], at: datetime, /) -> Erased:
        """Remove what names the person or is not needed for the books."""

    def left(self, conn: Connection, scope: Scope, members: Sequence[UUID], /) -> Mapping[str, int]:
        """What should have been removed and is still there, by what it is; empty or zeros when all is gone."""
