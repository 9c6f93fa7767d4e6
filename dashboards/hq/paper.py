"""A table as a file that a person reads: XLSX with numbers that can be added, CSV, and a PDF to be printed.

Names are typed by people, and a spreadsheet runs a cell that begins like a formula: in CSV such a text stands behind an
apostrophe, in XLSX every text is written as text. A PDF is lettered as members' exports are (`server.files.lettering`).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from server.access.models import Locale
from server.files.corrections import neutral
from server.files.lettering import LATIN, marked, register

_FORMS: Final = {"ratio": "0.0%", "money": "#,##0.00", "count": "#,##0"}
_GREY: Final = "#666666"
_RULE: Final = "#cccccc"


@dataclass(frozen=True, slots=True)
class Figure:
    """A cell: as it is read, and the number behind it (`ratio`, `money` or `count`), where it is one."""

    text: str
    value: Decimal | int | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """A table with what it is of.

    Attributes:
        notes: lines above it: days, filters, how old the figures are.
        rows: the last one is the sum.
    """

    title: str
    notes: Sequence[str]
    heads: Sequence[str]
    rows: Sequence[Sequence[Figure]]
    locale: Locale


def as_csv(paper: Paper) -> bytes:
    """Lines with their heads, in UTF-8 with the mark by which spreadsheets know it."""
    out = io.StringIO()
    rows = [[figure.text if figure.value is None else str(figure.value) for figure in row] for row in paper.rows]
    numbers = [[figure.value is not None for figure in row] for row in paper.rows]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([neutral(head) for head in paper.heads])
    for row, known in zip(rows, numbers, strict=True):
        writer.writerow([text if is_number else neutral(text) for text, is_number in zip(row, known, strict=True)])
    return ("\ufeff" + out.getvalue()).encode()


def as_xlsx(paper: Paper) -> bytes:
    """One sheet: title and notes, heads, lines."""
    # Imported here: nobody else needs it, and it takes a while.
    from xlsxwriter import Workbook

    out = io.BytesIO()
    with Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("Doorline")
        bold = book.add_format({"bold": True})
        shown = {kind: book.add_format({"num_format": form}) for kind, form in _FORMS.items()}
        for line, text in enumerate((paper.title, *paper.notes)):
            sheet.write_string(line, 0, text, bold if line == 0 else None)
        head = len(paper.notes) + 2
        for place, text in enumerate(paper.heads):
            sheet.write_string(head, place, text, bold)
        for line, row in enumerate(paper.rows, start=head + 1):
            for place, figure in enumerate(row):
                if figure.value is None:
                    sheet.write_string(line, place, figure.text)
                else:
                    sheet.write_number(line, place, float(figure.value), shown[figure.kind])
        sheet.freeze_panes(head + 1, 1)
        sheet.set_column(0, 0, 24)
        sheet.set_column(1, len(paper.heads) - 1, 14)
    return out.getvalue()


def as_pdf(paper: Paper) -> bytes:
    """Pages of A4 across, heads again on each."""
    # Loaded where it is needed: a server that prints nothing all day need not hold it.
    from reportlab.lib.colors import HexColor
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer

    register()
    title = ParagraphStyle("title", fontName=LATIN, fontSize=16, leading=21)
    note = ParagraphStyle("note", fontName=LATIN, fontSize=8, leading=11, textColor=_GREY, wordWrap="CJK")
    name = ParagraphStyle("name", fontName=LATIN, fontSize=8, leading=10.5, wordWrap="CJK")
    number = ParagraphStyle("number", parent=name, alignment=2)
    head = ParagraphStyle("head", parent=number, textColor=_GREY)

    def cells(texts: Sequence[str], style: ParagraphStyle) -> list[Flowable]:
        return [Paragraph(marked(text), name if place == 0 else style) for place, text in enumerate(texts)]

    table = LongTable(
        [cells(paper.heads, head), *(cells([figure.text for figure in row], number) for row in paper.rows)],
        colWidths=_widths(len(paper.heads), 269 * mm),
        repeatRows=1,
    )
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, HexColor(_RULE)),
            ("LINEABOVE", (0, -1), (-1, -1), 0.8, HexColor(_GREY)),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    notes = [Paragraph(marked(text), note) for text in paper.notes]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=landscape(A4),
        leftMargin=14 * mm,
        rightMargin=14 * mm,
        topMargin=14 * mm,
        bottomMargin=14 * mm,
        title=paper.title,
        author="",
        lang="zh-CN" if paper.locale == "zh" else "en",
    )
    story = [Paragraph(marked(paper.title), title), *notes, Spacer(1, 4 * mm), table]
    document.build(story, onFirstPage=_numbered, onLaterPages=_numbered)
    return out.getvalue()


def _widths(columns: int, whole: float) -> list[float]:
    """The first column, of names, is twice as wide as one of figures."""
    one = whole / (columns + 1)
    return [2 * one, *[one] * (columns - 1)]


def _numbered(canvas: Any, _document: Any) -> None:
    from reportlab.lib.pagesizes import A4, landscape

    canvas.saveState()
    canvas.setFont(LATIN, 8)
    canvas.setFillColor(_GREY)
    canvas.drawRightString(landscape(A4)[0] - 40, 24, str(canvas.getPageNumber()))
    canvas.restoreState()
