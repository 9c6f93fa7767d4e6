"""What a desk wrote down without a network, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from server.access.models import Locale

#: Nothing that spends is ever kept for later: a balance may be gone by then.
Kind = Literal["enrolment", "check_in"]
#: `known`: the number had a member already, who is shown; `refused`: a person must look at it.
Outcome = Literal["done", "known", "refused"]


@dataclass(frozen=True, slots=True)
class SealedItem:
    """One thing a desk did, as it left the browser.

    Attributes:
        item_id: made by the browser; the same item sent again is the same item.
        user_id: who made it, and the only one who may send it.
        made_at: ISO 8601 with zone, by the browser's clock, as text: it is bound to the seal.
    """

    item_id: UUID
    user_id: str
    kind: Kind
    made_at: str
    key_id: str
    sealed: bytes = field(repr=False)

    @property
    def bound_to(self) -> Sequence[str]:
        """What the seal is bound to."""
        return (str(self.item_id), self.user_id, self.kind, self.made_at)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an enrol form held, as typed; what is wrong with it is found when it is taken in.

    Attributes:
        birthday: ISO 8601, or empty.
        consent: whether the person agreed to the membership, in the words shown in `locale`; `marketing` likewise.
        custom: answers to the chain's own fields, as texts by field.
        versions: of the words that were shown, by purpose.
    """

    name: str
    phone: str = field(repr=False)
    home_store: str
    birthday: str = field(default="", repr=False)
    consent: bool = False
    marketing: bool = False
    locale: Locale = "zh"
    custom: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckIn:
    """Somebody who showed a card or told a number in a store."""

    who: str = field(repr=False)
    store_id: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an item.

    Attributes:
        made_at: by the browser's clock, never later than `taken_at`.
        member_id: who was enrolled, checked in, or had the number already.
        problem: what is wrong, in English, and `problem_field` where; both empty unless refused.
        settled_at: when a person was done with what was known or refused.
    """

    item_id: UUID
    user_id: str
    kind: Kind
    made_at: datetime
    taken_at: datetime
    outcome: Outcome
    member_id: UUID | None
    problem_field: str = ""
    problem: str = ""
    settled_at: datetime | None = None
