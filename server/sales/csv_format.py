"""What till exports look like: headers, kinds and times as people write them. Pure.

Every till system names its columns in its own way and in its own language; the usual names are known, and what isn't
recognised is named once per till system (`formats.py`).
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from server.errors import InvalidInput
from server.stores.calendar import StoreCalendar

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
_YEAR_FIRST: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}:\d{2}.*))?")
_YEAR_LAST: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T ]+(\d{1,2}:\d{2}.*))?")
_USUAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def columns_of(header: Sequence[str], mapping: dict[str, str]) -> dict[str, int]:
    """Where each of our columns is.

    Args:
        mapping: our names to the file's headers, empty where the file has none of it; the rest is recognised by
            `HEADERS`.

    Raises:
        InvalidInput: a mapping that names what isn't there, or a needed column that isn't found.
    """
    columns = recognised(header, mapping)
    _check_needed(columns, header)
    return columns


def recognised(header: Sequence[str], mapping: dict[str, str]) -> dict[str, int]:
    """As `columns_of`, whatever may be missing: to be shown to whoever puts it right.

    Raises:
        InvalidInput: a mapping that names what isn't there.
    """
    places = {_folded(name): place for place, name in reversed(list(enumerate(header)))}
    columns: dict[str, int] = {}
    for ours, theirs in mapping.items():
        if ours not in HEADERS:
            raise InvalidInput(
                f"{ours!r} is no column of ours", field="mapping", remedy=f"use some of {', '.join(HEADERS)}"
            )
        if not theirs:
            continue
        if _folded(theirs) not in places:
            raise InvalidInput(
                f"the file has no column {theirs!r}", field="mapping", remedy=f"it has {', '.join(header)}"
            )
        columns[ours] = places[_folded(theirs)]
    for ours, known in HEADERS.items():
        if ours not in mapping:
            place = next((places[name] for name in map(_folded, known) if name in places), None)
            if place is not None and place not in columns.values():
                columns[ours] = place
    return columns


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
