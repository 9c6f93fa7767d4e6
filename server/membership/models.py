"""Members as they pass between the parts: names readable, phone numbers masked.

No type here holds a full phone number except `NewMember`, on its way in; so no page, log or export can show one by
accident. `MembershipService.reveal_phone` is the only way to a number, and it leaves a line in the audit trail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.errors import Conflict

Purpose = Literal["membership", "marketing"]


@dataclass(frozen=True, slots=True)
class NewConsent:
    """What was asked, in the words that were shown, and what was answered."""

    purpose: Purpose
    granted: bool
    wording: str
    channel: str = "desk"


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent as recorded; the newest of a purpose counts."""

    purpose: Purpose
    granted: bool
    wording: str
    channel: str
    recorded_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NewMember:
    """A person to be enrolled.

    Attributes:
        phone: as typed; without a country code it is of the home store's country.
        consents: membership must be among them and granted.
        source: where the member came from, such as ``desk``, ``till``, ``import``.
    """

    name: str
    phone: str = field(repr=False)
    home_store: str
    consents: Sequence[NewConsent]
    birthday: date | None = None
    source: str = "desk"


@dataclass(frozen=True, slots=True)
class MemberSummary:
    """A member in a list."""

    member_id: UUID
    card_no: str
    name: str
    phone: str
    home_store: str
    tier: str
    enrolled_at: datetime


@dataclass(frozen=True, slots=True)
class Spending:
    """What a member bought in one currency: sales less refunds, voids left out."""

    currency: str
    net: Decimal


@dataclass(frozen=True, slots=True)
class Purchases:
    """What receipts say of a member.

    Attributes:
        visits: business days with a sale at a till or a pick-up, by store; two receipts of a day in a store are one
            visit, and an order sent home is none.
        receipts: sales by any channel.
        last_visit: time of the newest sale at a till or pick-up (UTC).
    """

    visits: int
    receipts: int
    last_visit: datetime | None
    spending: list[Spending]


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the desk sees one; `phone` is masked."""

    member_id: UUID
    card_no: str
    name: str
    phone: str
    birthday: date | None
    home_store: str
    tier: str
    source: str
    enrolled_by: str
    enrolled_at: datetime
    consents: list[Consent]
    purchases: Purchases


@dataclass(frozen=True, slots=True)
class MemberRef:
    """How a till names a member: by one of these."""

    card: str | None = None
    phone: str | None = field(default=None, repr=False)
    id: str | None = None


class MemberExists(Conflict):
    """The phone number belongs to a member already; `detail` says which."""

    def __init__(self, member_id: UUID, card_no: str) -> None:
        super().__init__(
            f"this phone number belongs to the member with card {card_no}",
            field="phone",
            remedy="open that member; a number has one member only",
            detail={"member_id": str(member_id), "card_no": card_no},
        )
        self.member_id = member_id
        self.card_no = card_no
