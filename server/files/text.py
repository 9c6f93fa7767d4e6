"""Text of files as people and tills write it: its encoding, the sign between columns, numbers. Pure but for the stream.

Tills in China still write GB18030, Excel writes a BOM, and a file's first non-ASCII byte may come after a megabyte; so
the whole file is looked at once before the first row is read, instead of guessing from its beginning.
"""

import codecs
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, Final

from server.errors import InvalidInput

_CHUNK: Final = 1 << 20
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_COMMA: Final = re.compile(r"[+-]?\d+,\d{1,3}")
#: What most cells are, and nothing else has to be tried on.
_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
#: Only what can't be a mistyped digit: an O for a 0 must not be taken for a currency.
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
