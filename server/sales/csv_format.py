"""What till exports look like: encodings, headers, numbers and times as people write them. Pure but for the stream.

Tills in China still write GB18030, Excel writes a BOM, and a file's first non-ASCII byte may come after a megabyte; so
the whole file is looked at once before the first row is read, instead of guessing from its beginning.
"""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, Final

from server.errors import InvalidInput
from server.stores.calendar import StoreCalendar

_CHUNK: Final = 1 << 20

#: Our columns and the headers by which they are recognised (compared without case, spaces and signs).
HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "receipt_no": (
        "receipt_no",
        "receipt",
        "receipt number",
        "ticket",
        "transaction",
        "小票号",
        "单号",
        "流水号",
        "交易号",
    ),
    "at": ("at", "datetime", "timestamp", "sold at", "交易时间", "销售时间", "日期时间"),
    "date": ("date", "日期", "交易日期", "销售日期"),
    "time": ("time", "时间"),
    "kind": ("kind", "type", "类型", "交易类型"),
    "channel": ("channel", "渠道"),
    "sku": ("sku", "item", "article", "barcode", "商品编码", "货号", "条码"),
    "description": ("description", "item name", "product", "商品名称", "品名", "商品"),
    "quantity": ("quantity", "qty", "数量"),
    "unit_price": ("unit_price", "price", "单价", "售价"),
    "discount": ("discount", "折扣", "优惠", "折扣金额", "优惠金额"),
    "cost": ("cost", "成本"),
    "group": ("group", "sku_group", "category", "department", "品类", "类别", "分类"),
    "line_tax": ("line_tax", "item tax", "行税额"),
    "gross": ("gross", "total", "amount", "receipt total", "总额", "合计", "金额", "实收", "实收金额"),
    "tax": ("tax", "vat", "receipt tax", "税额", "税金"),
    "tax_included": ("tax_included", "tax inclusive", "vat included", "含税"),
    "units": ("units", "pieces", "件数"),
    "currency": ("currency", "币种"),
    "member_card": ("member_card", "card", "member", "会员卡号", "会员号", "卡号"),
    "member_phone": ("member_phone", "phone", "mobile", "会员手机", "手机号", "手机"),
    "member_id": ("member_id",),
    "tender": ("tender", "payment", "支付方式", "付款方式"),
    "cashier": ("cashier", "收银员", "导购"),
    "refers_to": ("refers_to", "original receipt", "原单号", "原小票号"),
}
KINDS: Final[dict[str, str]] = {
    "": "sale", "sale": "sale", "销售": "sale", "sell": "sale",
    "refund": "refund", "return": "refund", "退货": "refund", "退款": "refund",
    "void": "void", "cancel": "void", "作废": "void", "撤销": "void",
}  # fmt: skip
CHANNELS: Final[dict[str, str]] = {
    "": "till", "till": "till", "store": "till", "门店": "till",
    "online": "online", "网店": "online", "线上": "online",
    "pickup": "pickup", "pick-up": "pickup", "自提": "pickup",
}  # fmt: skip

BOOLEANS: Final[dict[str, bool]] = {
    "true": True, "yes": True, "y": True, "1": True, "是": True, "含税": True,
    "false": False, "no": False, "n": False, "0": False, "否": False, "不含税": False,
}  # fmt: skip

_SIGNS: Final = re.compile(r"[\W_]+")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_COMMA: Final = re.compile(r"[+-]?\d+,\d{1,3}")
#: Only what can't be a mistyped digit: an O for a 0 must not be taken for a currency.
#: What most cells are, and nothing else has to be tried on.
_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_YEAR_FIRST: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}:\d{2}.*))?")
_YEAR_LAST: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T ]+(\d{1,2}:\d{2}.*))?")
_USUAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CURRENCY: Final = re.compile(r"^(?:[$€£¥]|[A-Z]{3})|(?:[$€£¥元]|[A-Z]{3})$")


def encoding_of(stream: BinaryIO) -> str:
    """The encoding the whole stream can be read in; the stream is back at its beginning afterwards.

    Raises:
        InvalidInput: when it is none of UTF-8, UTF-16 with a BOM and GB18030.
    """
    stream.seek(0)
    head = stream.read(2)
    in_utf16 = head in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    candidates = ("utf-16",) if in_utf16 else ("utf-8-sig", "gb18030")
    try:
        for candidate in candidates:
            if _readable(stream, candidate):
                return candidate
    finally:
        stream.seek(0)
    raise InvalidInput("the file's encoding is not known", field="file", remedy="save it as CSV in UTF-8 (or GB18030)")


def delimiter_of(header: str) -> str:
    """The sign between columns: whichever of comma, semicolon and tab the header has most."""
    return max(",;\t", key=header.count)


def columns_of(header: Sequence[str], mapping: dict[str, str]) -> dict[str, int]:
    """Where each of our columns is.

    Args:
        mapping: our names to the file's headers; the rest is recognised by `HEADERS`.

    Raises:
        InvalidInput: a mapping that names what isn't there, or a needed column that isn't found.
    """
    places = {_folded(name): place for place, name in reversed(list(enumerate(header)))}
    columns: dict[str, int] = {}
    for ours, theirs in mapping.items():
        if ours not in HEADERS:
            raise InvalidInput(
                f"{ours!r} is no column of ours", field="mapping", remedy=f"use some of {', '.join(HEADERS)}"
            )
        if _folded(theirs) not in places:
            raise InvalidInput(
                f"the file has no column {theirs!r}", field="mapping", remedy=f"it has {', '.join(header)}"
            )
        columns[ours] = places[_folded(theirs)]
    for ours, known in HEADERS.items():
        if ours not in columns:
            place = next((places[name] for name in map(_folded, known) if name in places), None)
            if place is not None and place not in columns.values():
                columns[ours] = place
    _check_needed(columns, header)
    return columns


def decimal_of(text: str, *, comma: bool) -> Decimal:
    """A number as written: ``1,234.50``, ``¥19.90``; with `comma`, ``19,90`` too.

    Raises:
        ValueError: when it is none.
    """
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    plain = unicodedata.normalize("NFKC", text).replace(" ", "").replace("\u2212", "-")
    plain = _CURRENCY.sub("", plain)
    if comma and _COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    elif _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is no number")
    return value


def time_of(text: str, calendar: StoreCalendar, date_order: str = "ymd") -> datetime:
    """A time as written; without an offset it is on the store's clock.

    Args:
        date_order: ``dmy`` or ``mdy`` of dates that end with the year; in ``ymd`` there are none.

    Raises:
        ValueError: when it is none.
    """
    if _USUAL.fullmatch(text):
        try:
            usual = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no date and time") from None
        return usual.replace(tzinfo=calendar.zone_on(usual.date()))
    plain = unicodedata.normalize("NFKC", text).strip()
    match = _YEAR_FIRST.fullmatch(plain)
    year, month, day = (match[1], match[2], match[3]) if match else ("", "", "")
    if match is None and date_order != "ymd" and (match := _YEAR_LAST.fullmatch(plain)):
        day, month, year = match[1], match[2], match[3]
        if date_order == "mdy":
            day, month = month, day
    if match is None or match[4] is None:
        raise ValueError(f"{text!r} is no date and time")
    clock = match[4] if match[4][1] != ":" else f"0{match[4]}"
    try:
        at = datetime.fromisoformat(f"{year}-{int(month):02}-{int(day):02}T{clock.replace(' ', '')}")
    except ValueError:
        raise ValueError(f"{text!r} is no date and time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=calendar.zone_on(at.date()))


def _readable(stream: BinaryIO, encoding: str) -> bool:
    stream.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := stream.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _folded(header: str) -> str:
    return _SIGNS.sub("", unicodedata.normalize("NFKC", header).casefold())


def _check_needed(columns: dict[str, int], header: Sequence[str]) -> None:
    missing = None
    if "receipt_no" not in columns:
        missing = "receipt_no"
    elif "at" not in columns and not {"date", "time"} <= columns.keys():
        missing = "at (or date and time)"
    elif "gross" not in columns and "unit_price" not in columns:
        missing = "gross or unit_price"
    elif "unit_price" in columns and "sku" not in columns:
        missing = "sku, which goes with unit_price"
    if missing is not None:
        raise InvalidInput(
            f"the file has no column for {missing}; it has {', '.join(header) or 'nothing'}",
            field="mapping",
            remedy="name the column in the mapping",
        )
