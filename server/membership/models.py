"""Members as they pass between the parts: names readable, phone numbers masked.

No type here holds a full phone number except `NewMember`, on its way in; so no page, log or export can show one by
accident. `MembershipService.reveal_phone` is the only way to a number, and it leaves a line in the audit trail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.errors import Conflict
from server.membership.fields import Answer, Given

#: Consent to analysis of what one buys (profiling) and to passing data on (sharing) is asked for apart: PIPL 23, 24.
Purpose = Literal["membership", "marketing", "profiling", "sharing"]
#: By what way a member may be reached; empty is any.
Reach = Literal["", "sms", "phone", "email", "wechat", "post"]


@dataclass(frozen=True, slots=True)
class NewConsent:
    """What was asked, in the words that were shown, and what was answered.

    Attributes:
        channel: where it was answered, such as ``desk``.
        reach: the way it is about; empty is about all ways.
        version: of the wording.
    """

    purpose: Purpose
    granted: bool
    wording: str
    channel: str = "desk"
    reach: Reach = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """That somebody holds a number: the code that was sent there."""

    code_id: UUID
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent as recorded; of those about a way or about all ways, the newest counts."""

    purpose: Purpose
    granted: bool
    wording: str
    channel: str
    recorded_by: str
    at: datetime
    reach: Reach = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class NewMember:
    """A person to be enrolled.

    Attributes:
        phone: as typed; without a country code it is of the home store's country.
        consents: membership must be among them and granted.
        source: the channel the member came by, such as ``desk``, ``till``, ``import``.
        staff: who won the member over; `campaign`: by what.
        advisor: who is to look after the member.
        custom: answers to the chain's own questions, by field.
        proof: that the person holds the number; a number of somebody else is taken from them with it only.
        external_no: the member's number in the system they were brought in from.
        at: when they agreed, where that was before it reached us (a desk without a network; aware); now when left out.
        joined_at: when they became members, where that was in another system (aware); what they agreed to stands on
            record as of now all the same, so that nobody is forgotten at once as not seen for years.
    """

    name: str
    phone: str = field(repr=False)
    home_store: str
    consents: Sequence[NewConsent]
    birthday: date | None = None
    source: str = "desk"
    staff: str = ""
    campaign: str = ""
    advisor: str = ""
    tags: Sequence[str] = ()
    custom: Mapping[str, Given] = field(default_factory=dict, repr=False)
    proof: Proof | None = None
    external_no: str | None = None
    at: datetime | None = None
    joined_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemberSummary:
    """A member in a list; `phone` is masked, and empty where the number went to somebody else."""

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
    """A member as the desk sees one; `phone` is masked, and empty where the number went to somebody else.

    Attributes:
        phone_verified_at: when a code that was sent to the number came back (UTC).
        source: the channel the member came by, `enrolled_store` where, `staff` through whom, `campaign` by what.
        merged: ids of the members who were merged into this one.
    """

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
    phone_verified_at: datetime | None = None
    enrolled_store: str | None = None
    staff: str = ""
    campaign: str = ""
    advisor: str = ""
    tags: list[str] = field(default_factory=list)
    custom: dict[str, Answer] = field(default_factory=dict)
    merged: list[UUID] = field(default_factory=list)


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
