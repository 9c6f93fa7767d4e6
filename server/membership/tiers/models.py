"""Tiers as they pass between the parts: a member's tier with its history, and what other rules would do."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.membership.tiers.rules import Activity, Benefits
from server.membership.tiers.standing import Why


@dataclass(frozen=True, slots=True)
class TierChange:
    """A member went from one tier to another.

    Attributes:
        reason: as typed by a person; None where nobody typed one, or it was erased.
    """

    from_tier: str
    to_tier: str
    at: datetime
    why: Why
    rules_version: int
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class MemberTier:
    """A member's tier, what it gives, and how far the next one is.

    Attributes:
        period_end: until when it is kept at least (UTC); None where nothing runs out.
        grace_until: until when it is kept although it was not earned again.
        done: what the member did within the window of the rules.
        next_tier: the next higher one that can be earned; None when there is none.
        to_go: what that one asks for beyond what was done; zeros for what it doesn't ask for.
    """

    member_id: UUID
    tier: str
    since: datetime
    period_end: datetime | None
    grace_until: datetime | None
    benefits: Benefits
    done: Activity
    next_tier: str | None
    to_go: Activity | None
    history: list[TierChange]


@dataclass(frozen=True, slots=True)
class TierAtTill:
    """What a till needs of a member's tier to serve them.

    Attributes:
        names: for people, by language; a tier that nobody named has none.
    """

    tier: str
    names: dict[Literal["zh", "en"], str]
    benefits: Benefits


@dataclass(frozen=True, slots=True)
class SavedTierRules:
    """A version of the rules: who saved it, when and why; it holds from `valid_from` until the next version's."""

    version: int
    valid_from: datetime
    made_by: str
    made_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TierPair:
    """Members who would be in one tier and are in another, or stay.

    Attributes:
        cost_now: of the benefits of the tier they are in, by the rules in force, on last year's spend, in the new
            rules' currency; `cost_then` of the tier they would be in, by the new rules.
    """

    from_tier: str
    to_tier: str
    members: int
    cost_now: Decimal
    cost_then: Decimal


@dataclass(frozen=True, slots=True)
class Mover:
    """A member who would move, with what was done within the new rules' window."""

    member_id: UUID
    card_no: str
    from_tier: str
    to_tier: str
    spend: Decimal
    visits: int
    points: int


@dataclass(frozen=True, slots=True)
class TierSimulation:
    """What new rules would do, once every period has ended: up at once, down at the end of the period.

    Attributes:
        cost_now: of all members' benefits a year by the rules in force; `cost_then` by the new ones.
        movers: some of them, by card number; `moving` is how many there are.
    """

    currency: str
    members: int
    moving: int
    cost_now: Decimal
    cost_then: Decimal
    pairs: list[TierPair]
    movers: list[Mover]
