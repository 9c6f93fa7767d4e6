"""Coupons as they pass between the parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.errors import Conflict

Kind = Literal["amount", "percent", "gift"]
Stacking = Literal["alone", "others", "any"]
OnRefund = Literal["restore", "forfeit"]
IssueOn = Literal["welcome", "birthday", "tier_up", "win_back"]
State = Literal["open", "redeemed", "voided", "expired"]
#: Why a coupon gives nothing on a basket.
Refusal = Literal[
    "redeemed",
    "voided",
    "expired",
    "not_yet",
    "other_store",
    "other_currency",
    "other_member",
    "no_such_goods",
    "too_little",
    "alone",
    "same_again",
    "gift_missing",
    "nothing_left",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDefinition:
    """What is promised.

    Attributes:
        title: by language.
        value: the amount off, or the percentage; of a gift nothing.
        most_off: the most a percentage takes off.
        gift_sku: one piece of it is free.
        minimum_spend: on the goods it is for, before anything is taken off.
        sku_groups, store_ids: what and where it is for; None: everything, everywhere.
        stacking: ``alone`` with no other coupon on a receipt, ``others`` with coupons of other definitions, ``any``
            with several of its own kind, too.
        valid_from, valid_until: aware; a coupon holds from the later of this and its issue.
        valid_days: for how many days from its issue; the earlier end counts. One of the ends is needed.
        on_refund: whether a whole refund of what it was used on gives it back.
        issue_on: what it is issued on by itself; None: by hand.
        tiers: reaching which a ``tier_up`` issues it.
        days: of a ``birthday`` so many days before it; of a ``win_back`` after so many days without a visit.
        asks_consent: issued by rule only to who agreed to marketing; what is sent about it always asks.
    """

    title: Mapping[str, str]
    kind: Kind
    currency: str
    value: Decimal = Decimal(0)
    most_off: Decimal | None = None
    gift_sku: str | None = None
    minimum_spend: Decimal = Decimal(0)
    sku_groups: Sequence[str] | None = None
    store_ids: Sequence[str] | None = None
    stacking: Stacking = "others"
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    valid_days: int | None = None
    most_per_member: int | None = None
    most_in_all: int | None = None
    on_refund: OnRefund = "restore"
    issue_on: IssueOn | None = None
    tiers: Sequence[str] | None = None
    days: int | None = None
    asks_consent: bool = True


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition as kept; see `NewDefinition`."""

    definition_id: int
    title: dict[str, str]
    kind: Kind
    currency: str
    value: Decimal
    most_off: Decimal | None
    gift_sku: str | None
    minimum_spend: Decimal
    sku_groups: list[str] | None
    store_ids: list[str] | None
    stacking: Stacking
    valid_from: datetime
    valid_until: datetime | None
    valid_days: int | None
    most_per_member: int | None
    most_in_all: int | None
    on_refund: OnRefund
    issue_on: IssueOn | None
    tiers: list[str] | None
    days: int | None
    asks_consent: bool
    made_by: str
    made_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon; `member_id` None: of whoever has the code.

    Attributes:
        code: None once the holder's data were erased.
        why: what it was voided for.
    """

    coupon_id: UUID
    definition_id: int
    code: str | None
    member_id: UUID | None
    issue_key: str
    valid_from: datetime
    valid_until: datetime
    state: State
    why: str
    issued_by: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class BasketLine:
    """Goods of a basket: their amount in all, after the till's own discounts."""

    sku: str
    amount: Decimal
    quantity: Decimal = Decimal(1)
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody is about to buy in a store; `member_id` None: nobody known."""

    store_id: str
    currency: str
    lines: Sequence[BasketLine]
    member_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a coupon would give on a basket.

    Attributes:
        discount: off the goods it is for; nothing where it is refused.
        spent: on those goods.
        refusal: why not, None if it may be used; `told` says it in words.
        missing: what more would have to be spent, where it is too little.
        gift_sku: what is free.
    """

    coupon: Coupon
    title: dict[str, str]
    currency: str
    discount: Decimal
    spent: Decimal
    refusal: Refusal | None
    told: str
    missing: Decimal | None = None
    gift_sku: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What another coupon of the same receipt takes off already."""

    definition: Definition
    discount: Decimal


@dataclass(frozen=True, slots=True)
class Redemption:
    """That a coupon was used; `undone_at` set: a whole refund took it back, or whoever made it by mistake."""

    redemption_id: int
    coupon_id: UUID
    store_id: str
    receipt_no: str
    currency: str
    spent: Decimal
    discount: Decimal
    actor: str
    at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was taken back under an idempotency key, and the digest of what was asked for."""

    redemption_id: int
    undone_hash: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the coupons of a definition; they add up to `issued`."""

    definition_id: int
    issued: int
    open: int
    redeemed: int
    expired: int
    voided: int


@dataclass(frozen=True, slots=True)
class Group:
    """Members who are alike; what is left out is any.

    Attributes:
        stage: of life, as of last night.
        high: of high value only.
    """

    tier: str | None = None
    stage: str | None = None
    store_id: str | None = None
    high: bool = False


@dataclass(frozen=True, slots=True)
class GroupIssued:
    """What became of a part of a group.

    Attributes:
        issued: new coupons.
        not_asked: members who have not agreed to hear of offers, where the definition asks for that.
        used_up: members who have had all they may have.
        after: to go on from; None: everybody was looked at.
    """

    issued: int
    not_asked: int
    used_up: int
    after: UUID | None


class CouponRefused(Conflict):
    """The coupon gives nothing here; `detail` has the reason's code, and what more would have to be spent."""

    code = "coupon_refused"

    def __init__(self, quote: Quote) -> None:
        reason = quote.refusal or "gift_missing"
        detail = {"reason": reason, "coupon_id": str(quote.coupon.coupon_id)}
        if quote.missing is not None:
            detail["missing"] = str(quote.missing)
        super().__init__(
            quote.told,
            field="code",
            remedy="ask for a quote of this basket; it says what the coupon needs",
            detail=detail,
        )


class UsedUp(Conflict):
    """No more coupons of this definition are to be had."""

    code = "coupons_used_up"
