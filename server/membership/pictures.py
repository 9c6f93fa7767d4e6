"""A card as a picture: the number, and the number as a QR code that any scanner types like a keyboard. Pure.

The code holds the ten digits and nothing else. An address in it would tell every camera it passes where the member's
page is, and a desk's scanner would type the address into the field for the number.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import segno

#: ISO/IEC 7810 ID-1, in millimetres.
WIDTH: Final = 85.6
HEIGHT: Final = 53.98
_RADIUS: Final = 3.18
_QR: Final = 30.0
_INSET: Final = 7.0


@dataclass(frozen=True, slots=True)
class QrCode:
    """Dark modules, row by row, and the side in modules; without the quiet zone of four around them."""

    side: int
    path: str


def qr_of(card_no: str) -> QrCode:
    """The number as a QR code with a quarter of it to spare (level Q), as a path for SVG: one subpath a run."""
    matrix = segno.make_qr(card_no, error="q", boost_error=False).matrix
    runs: list[str] = []
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                runs.append(f"M{x} {y}h{end - x}v1H{x}z")
            x = end + 1
    return QrCode(len(matrix), "".join(runs))


def qr_svg(card_no: str) -> bytes:
    """The QR code alone, with its quiet zone, as an SVG file of no fixed size."""
    code = qr_of(card_no)
    whole = code.side + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {whole} {whole}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M-4-4h{whole}v{whole}h-{whole}z"/><path d="{code.path}"/></svg>'
    ).encode()


def qr_png(card_no: str, scale: int = 10) -> bytes:
    """The QR code as a PNG, `scale` pixels a module."""
    out = BytesIO()
    segno.make_qr(card_no, error="q", boost_error=False).save(out, kind="png", scale=scale, border=4)
    return out.getvalue()


def card_svg(card_no: str, chain: str) -> bytes:
    """A card in its true size, for a printer: the chain's name, the number in groups, the code.

    Args:
        chain: what stands above the number; whose card it is stands nowhere, for cards are lost.
    """
    code = qr_of(card_no)
    scale = _QR / (code.side + 8)
    left, top = WIDTH - _QR - _INSET, (HEIGHT - _QR) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}mm" height="{HEIGHT}mm"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="{_RADIUS}" fill="#fff" stroke="#bbb" stroke-width=".2"/>'
        '<g font-family="Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif">'
        f'<text x="{_INSET}" y="15" font-size="5">{_escaped(chain)}</text>'
        f'<text x="{_INSET}" y="45" font-size="5.4" letter-spacing=".4">{grouped(card_no)}</text></g>'
        f'<g transform="translate({left:g} {top:g}) scale({scale:g}) translate(4 4)" shape-rendering="crispEdges">'
        f'<path d="{code.path}"/></g></svg>'
    ).encode()


def grouped(card_no: str) -> str:
    """The number as a person reads it out: 1234 567 890."""
    return f"{card_no[:4]} {card_no[4:7]} {card_no[7:]}".strip()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
