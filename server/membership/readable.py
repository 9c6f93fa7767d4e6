"""An export as a PDF that a person can read, in Chinese and English, without a font file (`files.lettering`).

How the text looks is the reader's choice, and a reader without CJK glyphs shows boxes; the JSON has it all. The trap is
the table: reportlab gives every column the same width, and a column of notes as wide as one of yes and no runs over
pages. So columns are as wide as what stands in them, and a text longer than a page goes on in further rows.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from unicodedata import east_asian_width

from server.access.models import Locale
from server.files.lettering import LATIN, marked, register
from server.membership.code_words import CODES
from server.membership.exporting import Export, words_of
from server.membership.rights import Section

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

_TITLE: Final[dict[Locale, str]] = {"zh": "您的个人信息", "en": "Your personal data"}
_MADE: Final[dict[Locale, str]] = {"zh": "会员 {id}，导出于 {at}（UTC）", "en": "Member {id}, made {at} (UTC)"}
_NONE: Final[dict[Locale, str]] = {"zh": "无", "en": "none"}
_TRUTH: Final[dict[Locale, tuple[str, str]]] = {"zh": ("否", "是"), "en": ("no", "yes")}
_GREY: Final = "#666666"
_LINE: Final = "#cccccc"
#: Between the margins, in millimetres, and the padding that a page's frame has by itself, in points.
_WIDTH: Final = 174
_FRAME: Final = 6
#: Room asked for under a heading, in millimetres.
_WITH_HEADING: Final = 32
#: Letters on a line; columns of up to so many are not broken; what a longer one has at the least.
_LINE_LETTERS: Final = 110
_SHORT: Final = 22
_LONG: Final = 24
#: Signs of a text that stand in one row; four times as many fit on a page even where the column is narrow.
_PIECE: Final = 500


def pdf_of(export: Export, locale: Locale) -> bytes:
    """The export as a PDF of A4 pages, in one language."""
    # Loaded where it is needed: a server that exports nothing all day need not hold it.
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import CondPageBreak, Paragraph, SimpleDocTemplate, Spacer

    register()
    style = {
        "title": ParagraphStyle("title", fontName=LATIN, fontSize=18, leading=24),
        "head": ParagraphStyle("head", fontName=LATIN, fontSize=12, leading=16, spaceBefore=10, spaceAfter=4),
        "cell": ParagraphStyle("cell", fontName=LATIN, fontSize=8, leading=10.5, wordWrap="CJK"),
        "label": ParagraphStyle("label", fontName=LATIN, fontSize=8, leading=10.5, textColor=_GREY, wordWrap="CJK"),
    }
    made_at = export.made_at.astimezone(UTC)
    story: list[Flowable] = [
        Paragraph(marked(_TITLE[locale]), style["title"]),
        Paragraph(marked(_MADE[locale].format(id=export.member_id, at=f"{made_at:%Y-%m-%d %H:%M}")), style["label"]),
        Spacer(1, 4 * mm),
    ]
    for section in export.sections:
        # A heading stands with the first rows of its table; the whole table need not fit.
        story.append(CondPageBreak(_WITH_HEADING * mm))
        story.append(Paragraph(marked(section.title[locale]), style["head"]))
        story.append(_body(section, locale, style))
    out = BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm - _FRAME,
        rightMargin=18 * mm - _FRAME,
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
        return Paragraph(marked(_NONE[locale]), style["label"])
    texts = [[_shown(row, column, locale) for column in section.columns] for row in section.rows]
    heads = [words[locale] for words in section.columns.values()]
    shares = _shares([heads, *texts])
    cells = [[Paragraph(marked(text), style["cell"]) for text in row] for each in texts for row in _pieces(each)]
    table = LongTable(
        [[Paragraph(marked(head), style["label"]) for head in heads], *cells],
        colWidths=[_WIDTH * mm * share for share in shares],
        repeatRows=1,
        splitInRow=0,
        hAlign="LEFT",
    )
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, HexColor(_LINE)),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return table


def _shares(rows: Sequence[Sequence[str]]) -> list[float]:
    """How wide each column is, of the whole: dates and codes as they need, longer texts share what is left."""
    longest = [max(_length(row[place]) for row in rows) + 2 for place in range(len(rows[0]))]
    short = sum(each for each in longest if each <= _SHORT)
    left = _LINE_LETTERS - short
    total = sum(each for each in longest if each > _SHORT)
    if not total or left < _LONG:
        wanted = [float(min(each, _SHORT + _LONG)) for each in longest]
    else:
        wanted = [float(each) if each <= _SHORT else max(_LONG, left * each / total) for each in longest]
    return [each / sum(wanted) for each in wanted]


def _length(text: str) -> int:
    """How wide a text is, in letters: a Chinese character is as wide as two."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _pieces(row: Sequence[str]) -> list[list[str]]:
    """A row whose texts are too long for it, as several: only what goes on stands in the later ones."""
    count = max(1, *(-(-len(text) // _PIECE) for text in row))
    return [[text[_PIECE * number : _PIECE * (number + 1)] for text in row] for number in range(count)]


def _shown(row: Mapping[str, Any], column: str, locale: Locale) -> str:
    value = row.get(column)
    if column == "what":
        label = row.get("label")
        return str(label[locale]) if isinstance(label, Mapping) else words_of(str(value), locale)
    if value is None:
        return ""
    shown = row.get("shown")
    if column == "value" and isinstance(shown, Mapping):
        return str(shown[locale])
    code = CODES.get(str(row.get("what")) if column == "value" else column, {}).get(str(value))
    if code is not None:
        return code[locale]
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


def _numbered(canvas: Any, _document: Any) -> None:
    from reportlab.lib.pagesizes import A4

    canvas.saveState()
    canvas.setFont(LATIN, 8)
    canvas.setFillColor(_GREY)
    canvas.drawRightString(A4[0] - 51, 28, str(canvas.getPageNumber()))
    canvas.restoreState()
