"""What people buy, and the receipts of it, ready to be kept. Pure.

Fifty thousand receipts in a few seconds leave no time for the checks a till's receipt goes through, so they are made
in the form those checks end in; a test sends some through the checks and holds the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from server.sales.checking import content_hash
from server.sales.lines import line_row
from server.sales.models import Channel, ReceiptRow

CURRENCY: Final = "CNY"
#: How many dice one purchase takes.
DICE: Final = 24
_FIRST_LINE: Final = 4
_MOST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class _Product:
    sku: str
    description: str
    price: Decimal


def _products(*rows: tuple[str, str, str, float]) -> tuple[tuple[_Product, ...], NDArray[np.float64]]:
    weights = np.array([row[3] for row in rows])
    return tuple(_Product(sku, text, Decimal(price)) for sku, text, price, _ in rows), np.cumsum(
        weights / weights.sum()
    )


#: Products, and the running sum of how often each is taken.
PRODUCTS, _SHARES = _products(
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
_LINE_COUNT: Final = np.cumsum((0.43, 0.36, 0.15, 0.045, 0.015))
_TENDER_SHARES: Final = np.cumsum((0.48, 0.33, 0.13, 0.06))
_TENDERS: Final = ("wechat", "alipay", "card", "cash")
#: What goods cost the chain, of their full price.
_COST: Final = Decimal("0.46")
_ZERO: Final = Decimal("0.00")
_CENT: Final = Decimal("0.01")
_QUANTITIES: Final = (Decimal("1.000"), Decimal("2.000"))


def sale(
    dice: Sequence[float],
    *,
    store_id: str,
    receipt_no: str,
    at: datetime,
    percent_off: int = 0,
    member: UUID | None = None,
    channel: Channel = "till",
) -> ReceiptRow:
    """A purchase of one to a handful of things.

    Args:
        dice: `DICE` numbers from 0 to 1.
        percent_off: off every line; a member has five more.
    """
    off = Decimal(percent_off + (5 if member is not None else 0)) / 100
    count = 1 + _pick(_LINE_COUNT, dice[0])
    chosen = sorted({_pick(_SHARES, dice[_FIRST_LINE + place]) for place in range(count)})
    lines = []
    for number, index in enumerate(chosen, start=1):
        product = PRODUCTS[index]
        quantity = _QUANTITIES[dice[_FIRST_LINE + _MOST_LINES + number] < 0.16]
        full = (product.price * quantity).quantize(_CENT)
        discount = (full * off).quantize(_CENT)
        lines.append(
            line_row(
                sku=product.sku,
                description=product.description,
                quantity=quantity,
                unit_price=product.price,
                discount=discount,
                amount=full - discount,
                cost=(full * _COST).quantize(_CENT),
            )
        )
    return _hashed(
        ReceiptRow(
            store_id=store_id,
            receipt_no=receipt_no,
            kind="sale",
            channel=channel,
            at=at,
            currency=CURRENCY,
            gross=sum((line.amount for line in lines), _ZERO),
            units=sum((line.quantity for line in lines), Decimal("0.000")),
            member_id=member,
            cashier=f"T{1 + int(3 * dice[1])}",
            tender=_TENDERS[_pick(_TENDER_SHARES, dice[2])],
            refers_to=None,
            content_hash=b"",
            lines=tuple(lines),
        )
    )


def refund(of: ReceiptRow, *, at: datetime, how_many: int) -> ReceiptRow:
    """The first `how_many` lines of a sale brought back."""
    lines = of.lines[: max(1, how_many)]
    return _hashed(
        replace(
            of,
            receipt_no=f"{of.receipt_no}R",
            kind="refund",
            at=at,
            gross=sum((line.amount for line in lines), _ZERO),
            units=sum((line.quantity for line in lines), Decimal("0.000")),
            refers_to=of.receipt_no,
            lines=lines,
        )
    )


def void(of: ReceiptRow, *, at: datetime) -> ReceiptRow:
    """A sale rung up by mistake and taken back."""
    return _hashed(
        replace(
            of,
            receipt_no=f"{of.receipt_no}V",
            kind="void",
            at=at,
            gross=Decimal(0),
            units=Decimal(0),
            member_id=None,
            tender="",
            refers_to=of.receipt_no,
            lines=(),
        )
    )


def _hashed(row: ReceiptRow) -> ReceiptRow:
    return replace(row, content_hash=content_hash(row))


def _pick(running: NDArray[np.float64], die: float) -> int:
    return min(int(np.searchsorted(running, die, side="right")), len(running) - 1)
