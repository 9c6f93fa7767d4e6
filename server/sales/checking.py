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

from server.sales.lines import instant, line_row, plain
from server.sales.models import Channel, Kind, LineRow, MemberOf, NewLine, NewReceipt, ReceiptRow

_CENT: Final = Decimal("0.01")
_QUANTUM: Final = {2: _CENT, 3: Decimal("0.001")}
_MOST_MONEY: Final = Decimal(10) ** 12
_MOST_UNITS: Final = Decimal(10) ** 9
_MOST_LINES: Final = 2_000
#: Tills' clocks are allowed to run ahead by this much.
_AHEAD: Final = timedelta(hours=1)
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_KINDS: Final = get_args(Kind)
_CHANNELS: Final = get_args(Channel)
_NOUGHT: Final = Decimal(0)
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
        self._known: dict[int, LineRow] = {}
        # An id is one only for as long as its object lives.
        self._held: list[NewLine] = []

    def rows(self, lines: Sequence[NewLine]) -> tuple[LineRow, ...]:
        """What becomes of lines.

        Raises:
            Refused: naming the field.
        """
        known = self._known
        found = [known.get(id(line)) for line in lines]
        return tuple([row or self._checked(place, lines[place]) for place, row in enumerate(found)])

    def _checked(self, place: int, line: NewLine) -> LineRow:
        row = _line(place, line)
        if len(self._known) >= self._most:
            self._known.clear()
            self._held.clear()
        self._known[id(line)] = row
        self._held.append(line)
        return row


def checked(new: NewReceipt, currency: str, now: datetime, memo: LineMemo | None = None) -> ReceiptRow:
    """The receipt as it is to be kept, but for whose it is: a member is looked up when it is written.

    Args:
        currency: the store's.
        now: UTC.
        memo: of lines checked before, for files.

    Raises:
        Refused: naming the field.
    """
    number = _text(new.receipt_no, "receipt_no", 64, needed=True)
    at = _time(new.at, now)
    if new.kind not in _KINDS:
        raise Refused("kind", f"there is no kind {new.kind!r}", f"use one of {', '.join(_KINDS)}")
    if new.channel not in _CHANNELS:
        raise Refused("channel", f"there is no channel {new.channel!r}", f"use one of {', '.join(_CHANNELS)}")
    if new.currency is not None and new.currency != currency:
        raise Refused("currency", f"{new.currency!r} is not the store's currency", f"send {currency}, or leave it out")
    refers_to = _text(new.refers_to, "refers_to", 64) or None if new.refers_to else None
    if new.member is not None:
        check_member(new.member)
    if new.kind == "void":
        return _void(new, number, refers_to, at, currency)
    if new.kind == "sale" and refers_to is not None:
        raise Refused("refers_to", "a sale refers to nothing", "leave it out, or say refund or void")
    lines = _lines(new.lines, memo)
    gross = _gross(new.gross, lines)
    tax = _tax(new.tax, lines)
    units = _units(new.units, lines)
    cashier = _text(new.cashier, "cashier", 100)
    tender = _text(new.tender, "tender", 100)
    net = _net(gross, tax, included=new.tax_included)
    hashed = _hash(
        (new.kind, new.channel, at, currency, gross, units, cashier, tender, refers_to), lines, tax, new.tax_included
    )
    return ReceiptRow(
        store_id=new.store_id,
        receipt_no=number,
        kind=new.kind,
        channel=new.channel,
        at=at,
        currency=currency,
        gross=gross,
        units=units,
        member_id=None,
        cashier=cashier,
        tender=tender,
        refers_to=refers_to,
        content_hash=hashed,
        lines=lines,
        tax=tax,
        tax_included=new.tax_included,
        net=net,
    )


def check_member(member: MemberOf) -> None:
    """Whether a member can be looked up by what a till says.

    Raises:
        Refused: naming the field.
    """
    for field, text in (("member.card", member.card), ("member.phone", member.phone), ("member.id", member.id)):
        if text:
            _text(text, field, 64)


def content_hash(row: ReceiptRow) -> bytes:
    """What tells a repetition from a conflict.

    The member is left out: a till that sends again after the customer was enrolled says nothing contradictory, and a
    hash over a phone number would give it away.
    """
    of = (row.kind, row.channel, row.at, row.currency, row.gross, row.units, row.cashier, row.tender, row.refers_to)
    return _hash(of, row.lines, row.tax, row.tax_included)


def _hash(
    of: tuple[str, str, datetime, str, Decimal, Decimal, str, str, str | None],
    lines: Sequence[LineRow],
    tax: Decimal | None,
    tax_included: bool | None,
) -> bytes:
    kind, channel, at, currency, gross, units, cashier, tender, refers_to = of
    head = (kind, channel, instant(at), currency, plain(gross), plain(units), cashier, tender, refers_to)
    parts = [msgspec.json.encode(head)[1:-1], *[line.said for line in lines]]
    # Only where they are said: receipts known from before they could be must not become conflicts.
    if tax is not None or tax_included is not None:
        parts.append(msgspec.json.encode((None if tax is None else plain(tax), tax_included)))
    if True in [line.has_besides for line in lines]:
        parts.append(b"[%b]" % b",".join([line.said_besides for line in lines]))
    return sha256(b"[%b]" % b",".join(parts)).digest()


def _void(new: NewReceipt, number: str, refers_to: str | None, at: datetime, currency: str) -> ReceiptRow:
    """A void has no money of its own. Tills without numbers for voids send the sale's: it gets one of ours then."""
    if new.lines or new.gross not in {None, _NOUGHT}:
        raise Refused("lines", "a void has no lines and no gross", "leave them out; it takes back all of the receipt")
    if refers_to is None or refers_to == number:
        refers_to, number = number, f"{number}#void"
    cashier = _text(new.cashier, "cashier", 100)
    return ReceiptRow(
        store_id=new.store_id,
        receipt_no=number,
        kind="void",
        channel=new.channel,
        at=at,
        currency=currency,
        gross=_NOUGHT,
        units=_NOUGHT,
        member_id=None,
        cashier=cashier,
        tender="",
        refers_to=refers_to,
        content_hash=_hash(
            ("void", new.channel, at, currency, _NOUGHT, _NOUGHT, cashier, "", refers_to), (), None, None
        ),
        lines=(),
    )


def _time(at: datetime, now: datetime) -> datetime:
    if at.tzinfo is None:
        raise Refused("at", "the time has no offset", "send it as 2026-11-21T18:30:00+08:00")
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        # The first and last hours of the calendar have no UTC to be converted to, and are refused as they are.
        utc = at
    if utc > now + _AHEAD:
        raise Refused("at", f"{at.isoformat()} lies in the future", "check the till's clock and its offset from UTC")
    if utc < _OLDEST:
        raise Refused("at", f"{at.isoformat()} lies before the year 2000", "check the till's clock")
    return utc


def _lines(lines: Sequence[NewLine], memo: LineMemo | None) -> tuple[LineRow, ...]:
    if len(lines) > _MOST_LINES:
        raise Refused("lines", f"{len(lines)} lines; at most {_MOST_LINES} are taken", "split the receipt")
    if memo is None:
        return tuple([_line(number, line) for number, line in enumerate(lines)])
    return memo.rows(lines)


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
    return line_row(
        sku=sku,
        description=description,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        amount=amount,
        cost=cost,
        group=_text(line.group, f"{where}.group", 100),
        tax=tax,
    )


def _gross(given: Decimal | None, lines: Sequence[LineRow]) -> Decimal:
    if given is None and not lines:
        raise Refused("gross", "neither gross nor lines are given", "send at least one of them")
    total = sum([line.amount for line in lines], _NOUGHT)
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


def _tax(given: Decimal | None, lines: Sequence[LineRow]) -> Decimal | None:
    """The receipt's tax; from its lines when they have it."""
    taxes = [line.tax for line in lines if line.tax is not None]
    if taxes and len(taxes) < len(lines):
        raise Refused("lines", "some lines have a tax and some have none", "send it on all; 0 where none is due")
    total = sum(taxes, _NOUGHT) if taxes else None
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
    if given is None and len(lines) == 1:
        return lines[0].quantity
    units = sum([line.quantity for line in lines], _NOUGHT) if given is None else given
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
