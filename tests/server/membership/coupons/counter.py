"""A counter where coupons are issued and redeemed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid4

from server.membership.coupons.models import Basket, BasketLine, Coupon, Definition, NewDefinition, Redemption
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.services import Services
from tests.server.conftest import SYSTEM

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
_keys = count(1)


def key() -> str:
    """A new idempotency key."""
    return f"k{next(_keys)}"


def enrol(
    services: Services, phone: str = "13800138000", *, marketing: bool = True, birthday: date | None = None
) -> UUID:
    consents = standard_consents("zh", marketing=marketing)
    new = NewMember("张伟", phone, "S01", consents, birthday=birthday)
    return services.membership.enrol(SYSTEM, new).member_id


def promise(**more: object) -> NewDefinition:
    fields: dict[str, object] = {
        "title": {"zh": "立减二十", "en": "20 off"},
        "kind": "amount",
        "currency": "CNY",
        "value": Decimal(20),
        "valid_days": 30,
        **more,
    }
    return NewDefinition(**fields)  # type: ignore[arg-type]


def define(services: Services, **more: object) -> Definition:
    return services.coupon_definitions.add(SYSTEM, promise(**more))


def kept(**more: object) -> Definition:
    """A definition as it would be kept, for what needs no database."""
    new = promise(**more)
    fields = {name: getattr(new, name) for name in new.__slots__}
    fields |= {"definition_id": 1, "made_by": "hq", "made_at": NOON, "ended_at": None}
    fields["valid_from"] = new.valid_from or NOON - timedelta(days=1)
    return Definition(**fields)


def some_coupon(**more: object) -> Coupon:
    made = Coupon(
        uuid4(), 1, "X", None, "hand", NOON - timedelta(days=1), NOON + timedelta(days=1), "open", "", "hq", NOON
    )
    return replace(made, **more)  # type: ignore[arg-type]


def basket(*lines: tuple[str, str] | BasketLine, store: str = "S01", member: UUID | None = None) -> Basket:
    made: Sequence[BasketLine] = [
        line if isinstance(line, BasketLine) else BasketLine(line[0], Decimal(line[1])) for line in lines
    ]
    return Basket(store, "CNY", made, member)


def redeem(services: Services, coupon: Coupon, receipt: str, amount: str = "100", store: str = "S01") -> Redemption:
    return services.coupons.redeem(SYSTEM, str(coupon.code), basket(("A", amount), store=store), receipt, key())
