"""An export as a PDF that a person can read, in Chinese and English, without a font file.

Every PDF reader has Chinese glyphs of its own for the CID fonts that the format names, so none is shipped or embedded
and the file stays small; what lies outside that font's characters (ß, Cyrillic) is set in Helvetica where it can be,
and by its code point otherwise, because a box that may be any letter is worse than U+2F9F4. The drawback is known: how
the text looks is the reader's choice, and a reader without CJK glyphs shows boxes; the JSON has it all.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from server.access.models import Locale
from server.membership.exporting import Export, words_of
from server.membership.rights import Section

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

_TITLE: Final[dict[Locale, str]] = {"zh": "您的个人信息", "en": "Your personal data"}
_MADE: Final[dict[Locale, str]] = {"zh": "会员 {id}，导出于 {at}（UTC）", "en": "Member {id}, made {at} (UTC)"}
_NONE: Final[dict[Locale, str]] = {"zh": "无", "en": "none"}
_TRUTH: Final[dict[Locale, tuple[str, str]]] = {"zh": ("否", "是"), "en": ("no", "yes")}
_CHINESE: Final = "STSong-Light"
_LATIN: Final = "Helvetica"
_GREY: Final = "#666666"
_LINE: Final = "#cccccc"


def pdf_of(export: Export, locale: Locale) -> bytes:
    """The export as a PDF of A4 pages, in one language."""
    # Loaded where it is needed: a server that exports nothing all day need not hold it.
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
    style = {
        "title": ParagraphStyle("title", fontName=_LATIN, fontSize=18, leading=24),
        "head": ParagraphStyle("head", fontName=_LATIN, fontSize=12, leading=16, spaceBefore=10, spaceAfter=4),
        "cell": ParagraphStyle("cell", fontName=_LATIN, fontSize=8, leading=10.5, wordWrap="CJK"),
        "label": ParagraphStyle("label", fontName=_LATIN, fontSize=8, leading=10.5, textColor=_GREY, wordWrap="CJK"),
    }
    made_at = export.made_at.astimezone(UTC)
    story: list[Flowable] = [
        Paragraph(_marked(_TITLE[locale]), style["title"]),
        Paragraph(_marked(_MADE[locale].format(id=export.member_id, at=f"{made_at:%Y-%m-%d %H:%M}")), style["label"]),
        Spacer(1, 4 * mm),
    ]
    for section in export.sections:
        story.append(Paragraph(_marked(section.title[locale]), style["head"]))
        story.append(_body(section, locale, style))
    out = BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=16 * mm,
        bottomMargin=16 * mm,
        title=_TITLE[locale],
        author="",
        lang="zh-CN" if locale == "zh" else "en",
    )
    document.build(story, onFirstPage=_numbered, onLaterPages=_numbered)
    return out.getvalue()


def _body(section: Section, locale: Locale, style: Mapping[str, Any]) -> "Flowable":
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm
    from reportlab.platypus import LongTable, Paragraph

    if not section.rows:
        return Paragraph(_marked(_NONE[locale]), style["label"])
    heads = [Paragraph(_marked(words[locale]), style["label"]) for words in section.columns.values()]
    rows = [
        [Paragraph(_marked(_shown(row, column, locale)), style["cell"]) for column in section.columns]
        for row in section.rows
    ]
    width = 174 * mm / len(heads)
    table = LongTable([heads, *rows], colWidths=[width] * len(heads), repeatRows=1, splitInRow=1)
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, HexColor(_LINE)),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return table


def _shown(row: Mapping[str, Any], column: str, locale: Locale) -> str:
    value = row.get(column)
    if column == "what":
        label = row.get("label")
        return str(label[locale]) if isinstance(label, Mapping) else words_of(str(value), locale)
    if value is None:
        return ""
    if isinstance(value, bool):
        return _TRUTH[locale][value]
    if isinstance(value, str):
        return _time(value)
    return str(value)


def _time(text: str) -> str:
    """A time as a person reads it, to the minute, in UTC as the page says; any other text as it is."""
    if len(text) < len("2026-11-22T10:00+00:00") or "T" not in text:
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at.tzinfo else text


def _marked(text: str) -> str:
    """The text in runs of one font each, in reportlab's markup."""
    pieces = []
    for font, run in groupby(_fonts(text), key=lambda pair: pair[0]):
        plain = escape("".join(sign for _, sign in run)).replace("\n", "<br/>")
        pieces.append(plain if font == _LATIN else f'<font name="{font}">{plain}</font>')
    return "".join(pieces)


def _fonts(text: str) -> Iterable[tuple[str, str]]:
    for sign in text:
        if sign == "\n" or _is_in(sign, "cp1252"):
            yield _LATIN, sign
        elif _is_in(sign, "gb18030") and ord(sign) <= 0xFFFF and _is_east_asian(sign):
            yield _CHINESE, sign
        else:
            for each in f"U+{ord(sign):04X}":
                yield _LATIN, each


def _is_east_asian(sign: str) -> bool:
    code = ord(sign)
    return 0x2010 <= code <= 0x30FF or 0x3100 <= code <= 0x312F or 0x3200 <= code <= 0x9FFF or 0xFE30 <= code <= 0xFFEF


def _is_in(sign: str, encoding: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _numbered(canvas: Any, _document: Any) -> None:
    from reportlab.lib.pagesizes import A4

    canvas.saveState()
    canvas.setFont(_LATIN, 8)
    canvas.setFillColor(_GREY)
    canvas.drawRightString(A4[0] - 51, 28, str(canvas.getPageNumber()))
    canvas.restoreState()
