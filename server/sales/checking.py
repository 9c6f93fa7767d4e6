"""Is this a receipt? Pure.

Money is never rounded on the way in: a price with three decimals is refused, not bent, because a sum that is a cent
off is looked for long after the till has forgotten why. A `NaN` passes every comparison, so finiteness is asked first.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from typing import Final, get_args

import msgspec

from server.sales.models import Channel, Kind, LineRow, NewLine, NewReceipt, ReceiptRow

_CENT: Final = Decimal("0.01")
_QUANTUM: Final = {2: _CENT, 3: Decimal("0.001")}
_MOST_MONEY: Final = Decimal(10) ** 12
_MOST_UNITS: Final = Decimal(10) ** 9
_MOST_LINES: Final = 2_000
#: Tills' clocks are allowed to run ahead by this much.
_AHEAD: Final = timedelta(hours=1)
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_BAD: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Refused(ValueError):
    """Why a receipt is not taken: the field, what is wrong with it, and what to do."""

    def __init__(self, field: str | None, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason
        self.remedy = remedy


class LineMemo:
    """Lines that were checked before, by the very object they were checked as.

    A till sells the same article again and again; whoever reads its file hands over the same object for the same cells,
    and what was found of it once need not be found again. Forgets all when full.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        # The line itself is held with what became of it: an id is one only for as long as its object lives.
        self._known: dict[int, tuple[NewLine, LineRow]] = {}

    def get(self, line: NewLine) -> LineRow | None:
        """What became of a line, if it is known."""
        found = self._known.get(id(line))
        return None if found is None else found[1]

    def put(self, line: NewLine, row: LineRow) -> None:
        """Remember what became of a line."""
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[id(line)] = (line, row)


def checked(new: NewReceipt, currency: str, now: datetime, memo: LineMemo | None = None) -> ReceiptRow:
    """The receipt as it is to be kept, without its member.

    Args:
        currency: the store's.
        now: UTC.
        memo: of lines checked before, for files.

    Raises:
        Refused: naming the field.
    """
    number = _text(new.receipt_no, "receipt_no", 64, needed=True)
    at = _time(new.at, now)
    if new.kind not in get_args(Kind):
        raise Refused("kind", f"there is no kind {new.kind!r}", f"use one of {', '.join(get_args(Kind))}")
    if new.channel not in get_args(Channel):
        raise Refused("channel", f"there is no channel {new.channel!r}", f"use one of {', '.join(get_args(Channel))}")
    if new.currency not in {None, currency}:
        raise Refused("currency", f"{new.currency!r} is not the store's currency", f"send {currency}, or leave it out")
    refers_to = _text(new.refers_to or "", "refers_to", 64) or None
    if new.member is not None:
        for name in ("card", "phone", "id"):
            _text(getattr(new.member, name) or "", f"member.{name}", 64)
    if new.kind == "void":
        return _void(new, number, refers_to, at, currency)
    if new.kind == "sale" and refers_to is not None:
        raise Refused("refers_to", "a sale refers to nothing", "leave it out, or say refund or void")
    lines = _lines(new.lines, memo)
    gross = _gross(new.gross, lines)
    tax = _tax(new.tax, lines)
    row = ReceiptRow(
        store_id=new.store_id,
        receipt_no=number,
        kind=new.kind,
        channel=new.channel,
        at=at,
        currency=currency,
        gross=gross,
        units=_units(new.units, lines),
        member_id=None,
        cashier=_text(new.cashier, "cashier", 100),
        tender=_text(new.tender, "tender", 100),
        refers_to=refers_to,
        content_hash=b"",
        lines=lines,
        tax=tax,
        tax_included=new.tax_included,
        net=_net(gross, tax, included=new.tax_included),
    )
    return msgspec.structs.replace(row, content_hash=content_hash(row))


def content_hash(row: ReceiptRow) -> bytes:
    """What tells a repetition from a conflict.

    The member is left out: a till that sends again after the customer was enrolled says nothing contradictory, and a
    hash over a phone number would give it away.
    """
    parts: list[object] = [
        row.kind,
        row.channel,
        row.at.isoformat(),
        row.currency,
        _plain(row.gross),
        _plain(row.units),
        row.cashier,
        row.tender,
        row.refers_to,
    ]
    parts.extend(
        line.said or said_of(line.sku, line.description, line.quantity, line.unit_price, line.discount, line.cost)
        for line in row.lines
    )
    # Only where they are said: receipts known from before they could be must not become conflicts.
    if row.tax is not None or row.tax_included is not None:
        parts.append([None if row.tax is None else _plain(row.tax), row.tax_included])
    if any(line.group or line.tax is not None for line in row.lines):
        parts.append([[line.group, None if line.tax is None else _plain(line.tax)] for line in row.lines])
    return sha256(msgspec.json.encode(parts)).digest()


def _void(new: NewReceipt, number: str, refers_to: str | None, at: datetime, currency: str) -> ReceiptRow:
    """A void has no money of its own. Tills without numbers for voids send the sale's: it gets one of ours then."""
    if new.lines or new.gross not in {None, Decimal(0)}:
        raise Refused("lines", "a void has no lines and no gross", "leave them out; it takes back all of the receipt")
    if refers_to is None or refers_to == number:
        refers_to, number = number, f"{number}#void"
    row = ReceiptRow(
        store_id=new.store_id,
        receipt_no=number,
        kind="void",
        channel=new.channel,
        at=at,
        currency=currency,
        gross=Decimal(0),
        units=Decimal(0),
        member_id=None,
        cashier=_text(new.cashier, "cashier", 100),
        tender="",
        refers_to=refers_to,
        content_hash=b"",
        lines=(),
    )
    return msgspec.structs.replace(row, content_hash=content_hash(row))


def _time(at: datetime, now: datetime) -> datetime:
    if at.tzinfo is None:
        raise Refused("at", "the time has no offset", "send it as 2026-11-21T18:30:00+08:00")
    # Compared before it is converted: the first and last hours of the calendar have no UTC to be converted to.
    if at > now + _AHEAD:
        raise Refused("at", f"{at.isoformat()} lies in the future", "check the till's clock and its offset from UTC")
    if at < _OLDEST:
        raise Refused("at", f"{at.isoformat()} lies before the year 2000", "check the till's clock")
    return at.astimezone(UTC)


def _lines(lines: Sequence[NewLine], memo: LineMemo | None) -> tuple[LineRow, ...]:
    if len(lines) > _MOST_LINES:
        raise Refused("lines", f"{len(lines)} lines; at most {_MOST_LINES} are taken", "split the receipt")
    if memo is None:
        return tuple(_line(number, line) for number, line in enumerate(lines))
    rows: list[LineRow] = []
    for number, line in enumerate(lines):
        row = memo.get(line)
        if row is None:
            row = _line(number, line)
            memo.put(line, row)
        rows.append(row)
    return tuple(rows)


def _line(index: int, line: NewLine) -> LineRow:
    where = f"lines[{index}]"
    quantity = _amount(line.quantity, f"{where}.quantity", 3, _MOST_UNITS)
    price = _amount(line.unit_price, f"{where}.unit_price", 2, _MOST_MONEY)
    discount = _amount(line.discount, f"{where}.discount", 2, _MOST_MONEY)
    cost = None if line.cost is None else _amount(line.cost, f"{where}.cost", 2, _MOST_MONEY)
    if quantity == 0:
        raise Refused(f"{where}.quantity", "the quantity is zero", "leave the line out")
    if price < 0:
        raise Refused(f"{where}.unit_price", "the price is negative", "send a discount, or a negative quantity")
    tax = None if line.tax is None else _amount(line.tax, f"{where}.tax", 2, _MOST_MONEY)
    amount = (quantity * price).quantize(_CENT, ROUND_HALF_UP) - discount
    if abs(amount) >= _MOST_MONEY:
        raise Refused(where, "the line's amount is too large", "check quantity and price")
    sku = _text(line.sku, f"{where}.sku", 100, needed=True)
    description = _text(line.description, f"{where}.description", 300)
    return LineRow(
        sku=sku,
        description=description,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        amount=amount,
        cost=cost,
        group=_text(line.group, f"{where}.group", 100),
        tax=tax,
        said=said_of(sku, description, quantity, price, discount, cost),
    )


def _gross(given: Decimal | None, lines: Sequence[LineRow]) -> Decimal:
    if given is None and not lines:
        raise Refused("gross", "neither gross nor lines are given", "send at least one of them")
    total = sum((line.amount for line in lines), Decimal(0))
    if given is None:
        if total < 0:
            raise Refused("lines", f"the lines add up to {total}", "send what is given back as a refund of its own")
        if total >= _MOST_MONEY:
            raise Refused("lines", "the lines add up to too much", "check quantities and prices")
        return total
    gross = _amount(given, "gross", 2, _MOST_MONEY)
    if gross < 0:
        raise Refused("gross", f"gross {gross} is negative", "send what is given back as kind refund, with a plus")
    # Tills round each line in their own way; a cent a line is rounding, more is a mistake.
    if lines and abs(gross - total) > _CENT * len(lines):
        raise Refused(
            "gross", f"gross is {gross} and the lines add up to {total}", "send discount and rounding as part of a line"
        )
    return gross


def said_of(
    sku: str, description: str, quantity: Decimal, price: Decimal, discount: Decimal, cost: Decimal | None
) -> tuple[str | None, ...]:
    """What of a line goes into its receipt's hash."""
    return (
        sku,
        description,
        _plain(quantity),
        _plain(price),
        _plain(discount),
        None if cost is None else _plain(cost),
    )


def _tax(given: Decimal | None, lines: Sequence[LineRow]) -> Decimal | None:
    """The receipt's tax; from its lines when they have it."""
    taxes = [line.tax for line in lines if line.tax is not None]
    if taxes and len(taxes) < len(lines):
        raise Refused("lines", "some lines have a tax and some have none", "send it on all; 0 where none is due")
    total = sum(taxes, Decimal(0)) if taxes else None
    if given is None:
        return total
    tax = _amount(given, "tax", 2, _MOST_MONEY)
    if total is not None and abs(tax - total) > _CENT * len(lines):
        raise Refused("tax", f"tax is {tax} and that of the lines adds up to {total}", "send what the receipt says")
    return tax


def _net(gross: Decimal, tax: Decimal | None, *, included: bool | None) -> Decimal | None:
    """What is left without tax; None where it isn't known."""
    if tax is not None and tax < 0:
        raise Refused("tax", f"tax {tax} is negative", "send what is given back as kind refund, with a plus")
    if tax is not None and included is None:
        raise Refused("tax_included", "a tax is given, but not whether gross has it in it", "send true or false")
    if included is False:
        return gross
    if tax is None:
        return None
    if tax > gross:
        raise Refused("tax", f"tax {tax} is more than the gross {gross} it is part of", "check tax and tax_included")
    return gross - tax


def _units(given: Decimal | None, lines: Sequence[LineRow]) -> Decimal:
    units = sum((line.quantity for line in lines), Decimal(0)) if given is None else given
    return _amount(units, "units", 3, _MOST_UNITS)


def _amount(value: Decimal, field: str, places: int, bound: Decimal) -> Decimal:
    """The number in the one form it is kept in.

    `bound` is checked before anything is worked out: 1e999999 has few digits and a million places.
    """
    if not value.is_finite():
        raise Refused(field, f"{value} is no number", "send digits")
    if not -bound < value < bound:
        raise Refused(field, f"{field} is too large", f"send less than {bound:f}")
    kept = value.quantize(_QUANTUM[places])
    if kept != value:
        raise Refused(field, f"{value} has more than {places} decimals", f"round it to {places} decimals at the till")
    return kept


def _text(value: str, field: str, longest: int, *, needed: bool = False) -> str:
    plain = value.strip()
    if not plain:
        if needed:
            raise Refused(field, f"{field} is empty", "every receipt and line needs one")
        return plain
    if len(plain) > longest:
        raise Refused(field, f"{field} has {len(plain)} characters", f"use at most {longest}")
    # What can be printed has no such characters; a few others that can't be are no harm.
    if not plain.isprintable() and _BAD.search(plain):
        raise Refused(field, f"{field} has control characters", "send printable text")
    return plain


def _plain(value: Decimal) -> str:
    """One spelling for equal numbers: 2, 2.0 and 2.000 hash alike. None of ours is so large or small as to be e-ed."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
