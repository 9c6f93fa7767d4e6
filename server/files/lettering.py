"""Text for a PDF in Chinese and English, without a font file.

Every PDF reader has Chinese glyphs of its own for the CID fonts that the format names, so none is shipped or embedded
and a file stays small; what lies outside that font's characters (ß, Cyrillic) is set in Helvetica where it can be, and
by its code point otherwise, because a box that may be any letter is worse than U+2F9F4. The drawback is known: how the
text looks is the reader's choice, and a reader without CJK glyphs shows boxes.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

CHINESE: Final = "STSong-Light"
LATIN: Final = "Helvetica"


def register() -> None:
    """Make the Chinese font known to reportlab; to be called before anything is set in it."""
    # Loaded where it is needed: a server that makes no PDF all day need not hold it.
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))


def marked(text: str) -> str:
    """The text in runs of one font each, in reportlab's markup."""
    pieces = []
    for font, run in groupby(_fonts(text), key=lambda pair: pair[0]):
        plain = escape("".join(sign for _, sign in run)).replace("\n", "<br/>")
        pieces.append(plain if font == LATIN else f'<font name="{font}">{plain}</font>')
    return "".join(pieces)


def _fonts(text: str) -> Iterable[tuple[str, str]]:
    for sign in text:
        if sign == "\n" or _is_in(sign, "cp1252"):
            yield LATIN, sign
        elif _is_in(sign, "gb18030") and ord(sign) <= 0xFFFF and _is_east_asian(sign):
            yield CHINESE, sign
        else:
            for each in f"U+{ord(sign):04X}":
                yield LATIN, each


def _is_east_asian(sign: str) -> bool:
    code = ord(sign)
    return 0x2010 <= code <= 0x30FF or 0x3100 <= code <= 0x312F or 0x3200 <= code <= 0x9FFF or 0xFE30 <= code <= 0xFFEF


def _is_in(sign: str, encoding: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
