"""What passes between whoever subscribes, whoever delivers, and whoever looks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

DeliveryState = Literal["waiting", "delivered", "given_up"]

#: What somebody outside may be told of.
KINDS: Final = (
    "receipt.recorded",
    "receipt.member_attached",
    "member.enrolled",
    "member.changed",
    "member.merged",
    "member.unmerged",
    "member.erased",
    "tier.changed",
    "coupon.issued",
    "coupon.redeemed",
    "coupon.voided",
    "coupon.restored",
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A subscription, without its secret.

    Attributes:
        store_ids: only events of these stores; None: all, and what belongs to no store.
        failures: deliveries that failed in a row; `failing_since` when the first of them did (UTC).
        retry_at: nothing is tried before (UTC).
        paused_at: since when it is told nothing, until somebody resumes it; what happens meanwhile waits.
        paused_why: for whoever looks.
        waiting: deliveries that wait.
    """

    webhook_id: UUID
    url: str
    kinds: list[str]
    store_ids: list[str] | None
    note: str
    made_by: str
    made_at: datetime
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    paused_at: datetime | None
    paused_why: str
    waiting: int


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A subscription just made.

    Attributes:
        secret: what deliveries are signed with; shown now and never again.
    """

    webhook: Webhook
    secret: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscriber.

    Attributes:
        attempts: made so far; `due_at` when the next may be (UTC).
        told_at: when the last attempt ended (UTC).
        status: of HTTP, of the last attempt that was answered.
        reason: why the last attempt failed.
    """

    delivery_id: int
    webhook_id: UUID
    event_id: int
    kind: str
    store_id: str | None
    subject: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    told_at: datetime | None
    status: int | None
    reason: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """A subscriber that has something due."""

    webhook_id: UUID
    url: str
    secret_enc: bytes
    failures: int


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is due."""

    delivery_id: int
    event_id: int
    kind: str
    payload: bytes
    attempts: int
