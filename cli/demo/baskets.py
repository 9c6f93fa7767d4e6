"""What people buy, and the receipts of it. Pure.

A receipt is made in the shape a till sends, and goes through the same rules as one that does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import numpy as np

from server.sales.models import Channel, MemberOf, NewLine, NewReceipt


@dataclass(frozen=True, slots=True)
class _Product:
    sku: str
    description: str
    price: Decimal
    #: How often it is taken, against the others.
    weight: float


def _products(*rows: tuple[str, str, str, float]) -> tuple[_Product, ...]:
    return tuple(_Product(sku, text, Decimal(price), weight) for sku, text, price, weight in rows)


PRODUCTS: Final = _products(
    ("TEA-101", "冷泡茶 Cold-brew tea", "29.00", 12),
    ("TEA-204", "桂花乌龙礼盒 Osmanthus oolong gift box", "168.00", 4),
    ("SNK-310", "海盐坚果 Sea-salt nuts", "36.00", 10),
    ("MUG-012", "手作马克杯 Stoneware mug", "79.00", 7),
    ("BAG-055", "帆布袋 Canvas tote", "99.00", 5),
    ("UMB-007", "自动折叠伞 Folding umbrella", "129.00", 3),
    ("TOW-033", "毛巾套装 Towel set", "149.00", 4),
    ("CAN-018", "香薰蜡烛 Scented candle", "188.00", 3),
    ("BTL-021", "保温杯 Vacuum flask", "219.00", 3),
    ("NTB-009", "方格笔记本 Grid notebook", "25.00", 9),
    ("PEN-002", "中性笔三支装 Gel pens, three", "18.00", 9),
    ("SCK-044", "羊毛袜 Wool socks", "59.00", 6),
    ("PJM-061", "纯棉家居服 Cotton loungewear", "299.00", 2),
    ("SCF-015", "羊绒围巾 Cashmere scarf", "499.00", 1),
    ("LMP-003", "阅读灯 Reading lamp", "369.00", 1.2),
    ("TOY-027", "木制拼图 Wooden puzzle", "89.00", 3),
)
_SHARES: Final = np.array([product.weight for product in PRODUCTS]) / sum(product.weight for product in PRODUCTS)
_TENDERS: Final = ("wechat", "alipay", "card", "cash")
_CENT: Final = Decimal("0.01")


def sale(
    rng: np.random.Generator,
    *,
    store_id: str,
    receipt_no: str,
    at: datetime,
    discount: Decimal = Decimal(0),
    member: UUID | None = None,
    channel: Channel = "till",
) -> NewReceipt:
    """A purchase of one to a handful of things.

    Args:
        discount: share taken off every line; a member has five in a hundred more.
    """
    count = 1 + min(7, int(rng.poisson(0.85)))
    share = discount + (Decimal("0.05") if member is not None else Decimal(0))
    lines = []
    for index in sorted(set(rng.choice(len(PRODUCTS), count, p=_SHARES).tolist())):
        product = PRODUCTS[index]
        quantity = Decimal(1 + int(rng.random() < 0.16))
        lines.append(
            NewLine(
                sku=product.sku,
                description=product.description,
                quantity=quantity,
                unit_price=product.price,
                discount=(product.price * quantity * share).quantize(_CENT),
            )
        )
    return NewReceipt(
        store_id=store_id,
        receipt_no=receipt_no,
        at=at,
        channel=channel,
        lines=lines,
        member=None if member is None else MemberOf(id=str(member)),
        tender=_TENDERS[int(rng.choice(4, p=(0.48, 0.33, 0.13, 0.06)))],
        cashier=f"T{1 + int(rng.integers(3))}",
    )


def refund(of: NewReceipt, *, receipt_no: str, at: datetime, lines: Sequence[NewLine]) -> NewReceipt:
    """Some lines of a sale brought back."""
    return NewReceipt(
        store_id=of.store_id,
        receipt_no=receipt_no,
        at=at,
        kind="refund",
        channel=of.channel,
        lines=lines,
        member=of.member,
        tender=of.tender,
        cashier=of.cashier,
        refers_to=of.receipt_no,
    )
