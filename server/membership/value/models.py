"""How members are graded, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from server.errors import InvalidInput

Stage = Literal["new", "active", "at_risk", "dormant", "lost", "won_back"]
STAGES: Final[tuple[Stage, ...]] = ("new", "active", "at_risk", "dormant", "lost", "won_back")
#: Of all who bought, the top 20% and the bottom 30% by value.
Band = Literal["top", "bottom"]
Occasion = Literal["sale", "refund", "visit", "month"]
OCCASIONS: Final[tuple[Occasion, ...]] = ("sale", "refund", "visit", "month")
_Days = Annotated[int, Meta(ge=1, le=3650)]
_Factor = Annotated[float, Meta(gt=0, le=100)]


class Grading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of how members are graded.

    Grades go from 1 to 5, 5 is best. Cuts are the four limits between them; without any, a grade is a fifth of those
    who bought, and who are alike get the same grade.

    Attributes:
        window_days: of receipts that count for grades and value.
        recency_cuts: days since the last purchase, falling: above the first is grade 1, up to the last is grade 5.
        frequency_cuts: days on which they bought, rising: below the first is grade 1.
        monetary_cuts: money spent less refunds, rising.
        new_days: who bought for the first time, or enrolled without having bought, so many days ago is new.
        at_risk_after: times their own rhythm without a purchase; until then a member is active.
        dormant_after, lost_after: likewise.
        won_back_days: how long one who came back after being dormant is called won back.
        least_purchases: days of purchase from which on a member has a rhythm of their own; others have the chain's.
        high_from: value from which on a member is of high value; None: that of the best fifth of buyers on the first
            night, and fixed from then on, or their share could never change.
    """

    window_days: _Days = 365
    recency_cuts: tuple[_Days, _Days, _Days, _Days] | None = None
    frequency_cuts: tuple[_Days, _Days, _Days, _Days] | None = None
    monetary_cuts: tuple[Decimal, Decimal, Decimal, Decimal] | None = None
    new_days: _Days = 30
    at_risk_after: _Factor = 1.5
    dormant_after: _Factor = 3.0
    lost_after: _Factor = 6.0
    won_back_days: _Days = 60
    least_purchases: Annotated[int, Meta(ge=2, le=50)] = 4
    high_from: Decimal | None = None

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InvalidInput: by field.
        """
        for name, rising in (("recency_cuts", False), ("frequency_cuts", True), ("monetary_cuts", True)):
            cuts = getattr(self, name)
            if cuts is None:
                continue
            if not all(first < second if rising else first > second for first, second in pairwise(cuts)):
                raise InvalidInput(
                    f"the cuts {', '.join(map(str, cuts))} are not in order",
                    field=name,
                    remedy="send four rising limits" if rising else "send four falling limits, in days",
                )
        if not self.at_risk_after < self.dormant_after < self.lost_after:
            raise InvalidInput(
                "a member is at risk before they are dormant, and dormant before they are lost",
                field="dormant_after",
                remedy="send rising factors",
            )
        if self.high_from is not None and not self.high_from.is_finite():
            raise InvalidInput("this is no amount", field="high_from")


@dataclass(frozen=True, slots=True)
class SavedGrading:
    """A version as saved; the newest is in force."""

    version: int
    rules: Grading
    saved_by: str
    saved_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ServingCost:
    """What an occasion costs, in the reporting currency, from a day on.

    Attributes:
        occasion: a sale, a refund, a visit (business day in a store), or a month of being a member.
    """

    occasion: Occasion
    valid_from: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class MemberCost:
    """What was spent on one member, in the reporting currency; negative takes back."""

    cost_id: UUID
    member_id: UUID
    day: date
    amount: Decimal
    what: str


@dataclass(frozen=True, slots=True)
class MemberValue:
    """What one member is worth. Money in the reporting currency, over the grading's window.

    Attributes:
        day: up to and with which receipts are in it.
        frequency: days on which they bought; `monetary`: sales less refunds.
        margin: without the sales whose cost of goods no till knew: `unknown_sales`.
        r, f, m: 1 to 5; None for who never bought in the window.
        rhythm: days between purchases, by the median; the chain's when `own_rhythm` is False.
        high: of high value.
    """

    member_id: UUID
    home_store: str
    day: date
    version: int
    last_bought: date | None
    frequency: int
    monetary: Decimal
    margin: Decimal
    unknown_sales: Decimal
    cost: Decimal
    value: Decimal
    r: int | None
    f: int | None
    m: int | None
    rhythm: float
    own_rhythm: bool
    stage: Stage
    high: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How the chain stood on a day.

    Attributes:
        profit: sum of all members' value.
        high_profit, top_profit, bottom_profit: of members of high value, of the best 20% of buyers and of the worst
            30%, by value.
        unknown_sales: sales whose margin nobody knows.
        left_out: receipts in a currency for which there is no rate; they are in no figure.
    """

    day: date
    version: int
    members: int
    buyers: int
    high: int
    profit: Decimal
    high_profit: Decimal
    top_profit: Decimal
    bottom_profit: Decimal
    unknown_sales: Decimal
    left_out: int
    stages: Mapping[Stage, int]
    made_at: datetime

    @property
    def high_share(self) -> float | None:
        """Members of high value among those who bought."""
        return self.high / self.buyers if self.buyers else None


@dataclass(frozen=True, slots=True)
class GradeShift:
    """How many buyers have a grade now, and would have.

    Attributes:
        of: what is graded: recency, frequency or money.
    """

    of: Literal["r", "f", "m"]
    grade: int
    now: int
    then: int


@dataclass(frozen=True, slots=True)
class GradingTrial:
    """What other cuts would do to those who bought, by last night's figures.

    Attributes:
        moved: buyers with another grade in anything.
        high_now, high_then: of high value.
    """

    buyers: int
    moved: int
    high_now: int
    high_then: int
    grades: list[GradeShift]


@dataclass(frozen=True, slots=True)
class StageCount:
    """Members in a stage of life, and what they are worth together."""

    stage: Stage
    members: int
    value: Decimal
