"""A member's visits."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

#: How a member made themselves known.
How = Literal["phone", "card", "qr", "name"]


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A member told the desk that they are here.

    Attributes:
        at: when (UTC).
        is_first: whether nothing was known of the member in this store on this business day before.
    """

    check_in_id: UUID
    member_id: UUID
    store_id: str
    at: datetime
    how: How
    by: str
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """One sign of a member in a store: a check-in, or a receipt they came for."""

    store_id: str
    at: datetime
    how: Literal["check_in", "till", "pickup"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A member in a store on one of its business days, however often they were seen.

    Attributes:
        first_at, last_at: between which they were seen (UTC).
        checked_in: whether they checked in.
        bought: whether they bought at the till; who fetched what was ordered before was there all the same.
    """

    store_id: str
    day: date
    first_at: datetime
    last_at: datetime
    checked_in: bool
    bought: bool
