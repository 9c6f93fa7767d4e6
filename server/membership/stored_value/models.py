"""Cards, postings and rules of stored value as they pass between the parts.

Principal is what was paid in and is the holder's own money; bonus was given on top and is the chain's cost. They are
never one number here, because every right of a holder is to the first and every doubt is about the second.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

from server.errors import Conflict, InvalidInput

PostingKind = Literal["top_up", "opening", "spend", "return", "pay_out", "lapse", "settle"]
SpendOrder = Literal["proportional", "principal_first", "bonus_first"]
BonusBearer = Literal["seller", "server"]
CardState = Literal["active", "frozen", "closed"]
AccountKind = Literal["principal", "bonus", "cash", "bonus_cost", "sales", "fees", "opening", "debt", "claim"]

NOTHING: Final = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class ValueSettings:
    """The rules of one currency.

    Attributes:
        cap_registered, cap_unregistered: most that may be on a card after a top-up; None: no cap.
        cap_counts_bonus: whether bonus counts towards the cap.
        spend_order: of what a purchase takes first. ``proportional``: card's oldest top-up first, and of each its
            principal and bonus in proportion to what is left of them; the others: all principal before any bonus, or
            the other way round, oldest top-up first.
        cooling_off_days: for so long after a top-up its principal is paid out on demand, without reason or fee.
        late_fee_percent: of principal paid out after that.
        bonus_borne_by: whether the store that sold or the one that served bears the bonus that is spent.
    """

    currency: str
    cap_registered: Decimal | None = None
    cap_unregistered: Decimal | None = None
    cap_counts_bonus: bool = True
    spend_order: SpendOrder = "proportional"
    cooling_off_days: int = 7
    late_fee_percent: Decimal = Decimal(0)
    bonus_borne_by: BonusBearer = "seller"

    @classmethod
    def default(cls, currency: str) -> "ValueSettings":
        """What holds until somebody sets something else.

        The caps of CNY are those of China's Measures for the Administration of Single-Purpose Commercial Prepaid Cards
        (单用途商业预付卡管理办法（试行）, Ministry of Commerce order 9 of 2012, article 18): after a top-up at most
        5,000 CNY on a registered card and 1,000 on an unregistered one. The seven days are those of the Supreme
        People's Court's interpretation on prepaid consumption (法释〔2025〕4号, article 14), whose other articles
        make terms that refuse every refund void: hence no fee. To be confirmed by the chain's own counsel.
        """
        if currency == "CNY":
            return cls("CNY", cap_registered=Decimal(5000), cap_unregistered=Decimal(1000))
        return cls(currency)


@dataclass(frozen=True, slots=True)
class NewBonusRule:
    """What a top-up of at least `from_amount` brings on top: an amount, a percentage of what was paid in, or both.

    Attributes:
        store_ids: where it holds; None: everywhere.
        valid_from, valid_until: aware; the end is the first moment at which it holds no more, None: until ended.
    """

    currency: str
    from_amount: Decimal
    amount: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)
    store_ids: tuple[str, ...] | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class BonusRule:
    """A rule as kept."""

    rule_id: int
    currency: str
    from_amount: Decimal
    amount: Decimal
    percent: Decimal
    store_ids: list[str] | None
    valid_from: datetime
    valid_until: datetime | None
    made_by: str
    made_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card as stored, with its live number; `home_store` is its holder's today."""

    card_id: UUID
    card_no: str | None
    member_id: UUID | None
    currency: str
    store_id: str
    state: CardState
    state_why: str
    opened_by: str
    opened_at: datetime
    home_store: str | None


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of one top-up, and of how much.

    Attributes:
        store_id: who sold it.
        principal, bonus: as sold; `principal_left` and `bonus_left` are on the card still.
    """

    lot_id: int
    posting_id: int
    store_id: str
    sold_at: datetime
    principal: Decimal
    bonus: Decimal
    principal_left: Decimal
    bonus_left: Decimal


@dataclass(frozen=True, slots=True)
class Card:
    """A card and what is on it; `member_id` None: unregistered.

    Attributes:
        card_no: the number that works now, whole for whoever is shown it and in the stores that keep the card
            (`receipts.keeps`), its last four digits for others; None once the card is closed.
        principal, bonus: what is left, and `balance` their sum.
        lots: top-ups of which something is left, oldest first.
    """

    card_id: UUID
    card_no: str | None
    member_id: UUID | None
    currency: str
    store_id: str
    state: CardState
    state_why: str
    opened_at: datetime
    principal: Decimal
    bonus: Decimal
    balance: Decimal
    lots: list[Lot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """What a posting did to one top-up of a card, signed: positive is more on the card."""

    lot_id: int
    store_id: str
    principal: Decimal
    bonus: Decimal


@dataclass(frozen=True, slots=True)
class PostingRow:
    """A posting as stored."""

    posting_id: int
    kind: PostingKind
    card_id: UUID | None
    member_id: UUID | None
    store_id: str
    currency: str
    idempotency_key: str
    request_hash: bytes
    refers_to: int | None
    receipt_no: str | None
    tender: str
    bonus_borne_by: BonusBearer
    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PostingReceipt:
    """What the holder gets for a posting; asked for again, it says the same.

    Attributes:
        card_no: the last digits of the number that works now; a replaced card has another.
        principal, bonus: what it did to the card, signed; `amount` their sum.
        fee: kept back from what was paid out.
        paid: money taken in (positive) or given out (negative) by the store that served; bonus is no money.
        principal_after, bonus_after: on the card after it.
        parts: the same by top-up, with the store that sold each.
    """

    posting_id: int
    kind: PostingKind
    card_id: UUID
    card_no: str
    member_id: UUID | None
    store_id: str
    currency: str
    at: datetime
    actor: str
    amount: Decimal
    principal: Decimal
    bonus: Decimal
    fee: Decimal
    paid: Decimal
    principal_after: Decimal
    bonus_after: Decimal
    refers_to: int | None
    receipt_no: str | None
    tender: str
    reason: str
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One side of a posting: positive is a credit. `other_store` is of debts and claims, `lot_id` of a card's."""

    account: AccountKind
    amount: Decimal
    lot_id: int | None = None
    store_id: str | None = None
    other_store: str | None = None


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """What one store sold and another served, in a currency.

    Attributes:
        sold_by: took the money in; `served_by` gave goods, or paid out.
        principal, bonus: spent within the period, less what was returned.
        paid_out: principal paid out by the one for the other.
        settled: paid between them within the period, by `sold_by`.
        owed: what `sold_by` owes `served_by` now, whatever the period; negative the other way round.
    """

    currency: str
    sold_by: str
    served_by: str
    principal: Decimal
    bonus: Decimal
    paid_out: Decimal
    settled: Decimal
    owed: Decimal


@dataclass(frozen=True, slots=True)
class Liability:
    """What the chain owes the holders of cards that a store sold."""

    currency: str
    store_id: str
    cards: int
    principal: Decimal
    bonus: Decimal


class NotEnough(Conflict):
    """There is less on the card than is wanted; `detail` says how much."""

    code = "not_enough_value"

    def __init__(self, wanted: Decimal, there: Decimal, currency: str) -> None:
        super().__init__(
            f"{wanted} {currency} are wanted and {there} {currency} are on the card",
            field="amount",
            remedy="take what is there and the rest by other means, or top the card up",
            detail={"balance": str(there)},
        )


class OverCap(InvalidInput):
    """More than may be on one card."""

    code = "over_cap"


class CardNotUsable(Conflict):
    """The card is frozen or closed."""

    code = "card_not_usable"


class KeyReused(Conflict):
    """The idempotency key stands for another request of this store."""

    code = "idempotency_key_reused"

    def __init__(self, key: str, posting_id: int) -> None:
        super().__init__(
            f"the idempotency key {key!r} stands for posting {posting_id}, which was asked for differently",
            field="idempotency_key",
            remedy="use a new key for a new request; the same key only to send the very same again",
            detail={"posting_id": str(posting_id)},
        )
