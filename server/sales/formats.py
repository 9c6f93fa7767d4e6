"""How the files of a kind of till are read: what a chain says once per till system, and every import then goes by.

Most of a file is recognised by itself (`csv_format.py`). What can't be, is guessed by nobody: whether 03/04 is March or
April, and whether prices have tax in them, look alike in the file and are wrong in the books.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from server.errors import InvalidInput
from server.sales.models import Channel, Kind

DateOrder = Literal["ymd", "dmy", "mdy"]
_Text = Annotated[str, Meta(max_length=200)]
_MOST_BYTES: Final = 20_000


class TillFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a file is read.

    Attributes:
        columns: our columns to the file's headers, empty where the file has none of it; those it doesn't name are
            recognised by common headers.
        header_row: of the sheet or file, from 1: what stands above is skipped.
        sheet: of a workbook, by name; empty: the first.
        date_order: of dates that don't begin with the year.
        decimal_comma: whether 1,50 is one and a half; None: where columns are parted by semicolons.
        tax_included: whether prices have tax in them, for files that don't say so row by row; None: not known.
        kinds: words for sale, refund and void, besides those we know.
        channels: words for till, online and pickup, besides those we know.
    """

    columns: Annotated[dict[_Text, _Text], Meta(max_length=60)] = msgspec.field(default_factory=dict)
    header_row: Annotated[int, Meta(ge=1, le=1000)] = 1
    sheet: _Text = ""
    date_order: DateOrder = "ymd"
    decimal_comma: bool | None = None
    tax_included: bool | None = None
    kinds: Annotated[dict[_Text, Kind], Meta(max_length=100)] = msgspec.field(default_factory=dict)
    channels: Annotated[dict[_Text, Channel], Meta(max_length=100)] = msgspec.field(default_factory=dict)


_decoder: Final = msgspec.json.Decoder(TillFormat)


def format_of(text: bytes | str) -> TillFormat:
    """A format as written in JSON.

    Raises:
        InvalidInput: naming what can't be.
    """
    if len(text) > _MOST_BYTES:
        raise InvalidInput("the format is too long", field="format", remedy=f"use at most {_MOST_BYTES} characters")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"the format can't be read: {error}", field="format", remedy='send {"columns": {"at": "时间"}} and the like'
        ) from error
