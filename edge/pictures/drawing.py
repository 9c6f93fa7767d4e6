"""Marks on a picture: lines with an arrow to the inside, zones, words that can be read on any ground.

A mark in one colour vanishes somewhere: yellow on a bright floor, blue in a dark bus. So every line is drawn twice,
broad and dark below, coloured above, and every word stands on its own paper. Sizes follow the picture's shorter side,
for a camera may be turned; words that don't fit are shortened, or the number behind them would be cut off. Words
are OpenCV's own (Latin letters only), so what is named otherwise is shown by its number.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models import Line, Point, Zone

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

#: Blue, green, red, as OpenCV has them.
LINE: Final[Colour] = (60, 200, 255)
INWARD: Final[Colour] = (90, 220, 90)
PAPER: Final[Colour] = (32, 32, 32)
INK: Final[Colour] = (245, 245, 245)
_EDGE: Final[Colour] = (20, 20, 20)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
ZONES: Final[dict[str, Colour]] = {"count": LINE, "staff": (220, 140, 200), "ignore": (150, 150, 150)}
#: Distinct hues that repeat, readable on light and dark ground and for eyes that don't tell red from green.
HUES: Final[tuple[Colour, ...]] = (
    (230, 159, 86),
    (115, 158, 0),
    (66, 228, 240),
    (250, 140, 60),
    (40, 110, 240),
    (167, 121, 204),
    (0, 159, 230),
)
#: A picture whose shorter side is less than this is enlarged by a whole factor to about it, or no word could be read.
_SIDE: Final = 600


def readable_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels to enlarge a picture of `size` to, so that words on it can be read."""
    factor = max(1, round(_SIDE / min(size)))
    return (size[0] * factor, size[1] * factor)


def enlarged(image: Image) -> Image:
    """A copy of a picture, of its readable size."""
    height, width = image.shape[:2]
    return np.array(cv2.resize(image, readable_size((width, height)), interpolation=cv2.INTER_LINEAR), np.uint8)


def pixel(point: Point, image: Image) -> tuple[int, int]:
    """A point in fractions of the frame, in whole pixels."""
    height, width = image.shape[:2]
    return (round(point[0] * (width - 1)), round(point[1] * (height - 1)))


def _side(image: Image) -> int:
    """Of a picture, the shorter one in pixels."""
    height, width = image.shape[:2]
    return int(min(height, width))


def thickness(image: Image) -> int:
    """Of lines, in pixels."""
    return max(2, round(_side(image) / 300))


def gap(image: Image, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
    """A thin line where nobody was seen in between."""
    cv2.line(image, start, end, colour, 1, cv2.LINE_AA)


def stroke(
    image: Image, points: Sequence[tuple[int, int]], colour: Colour, thick: int, *, closed: bool = False
) -> None:
    """A line through pixels, with a dark edge."""
    way = [np.asarray(points, np.int32).reshape(-1, 1, 2)]
    cv2.polylines(image, way, closed, _EDGE, thick + 2, cv2.LINE_AA)
    cv2.polylines(image, way, closed, colour, thick, cv2.LINE_AA)


def arrow(image: Image, start: tuple[int, int], end: tuple[int, int], colour: Colour, thick: int) -> None:
    """An arrow with a dark edge."""
    cv2.arrowedLine(image, start, end, _EDGE, thick + 2, cv2.LINE_AA, tipLength=0.4)
    cv2.arrowedLine(image, start, end, colour, thick, cv2.LINE_AA, tipLength=0.4)


def draw_line(image: Image, line: Line, *, name: str = "", inward: str = "in", lit: bool = False) -> None:
    """A counting line with an arrow to its inside.

    Args:
        image: drawn upon.
        line: straight or bent, in fractions of the frame.
        name: shown at its start; empty for none.
        inward: the word at the arrow's tip.
        lit: whether someone has just crossed it.
    """
    thick = thickness(image) + (2 if lit else 0)
    points = [pixel(point, image) for point in line.points]
    stroke(image, points, INWARD if lit else LINE, thick)
    middle, normal = _middle(points, pixel(line.inside, image))
    reach = 0.07 * _side(image)
    tip = (round(middle[0] + normal[0] * reach), round(middle[1] + normal[1] * reach))
    arrow(image, (round(middle[0]), round(middle[1])), tip, INWARD, thick)
    wide, high = label_size(image, inward)
    beyond = 1.15 * reach + abs(normal[0]) * wide / 2 + abs(normal[1]) * high / 2
    centre = (middle[0] + normal[0] * beyond, middle[1] + normal[1] * beyond)
    label(image, inward, (round(centre[0] - wide / 2), round(centre[1] + high / 2)), PAPER, INWARD)
    if name:
        (x1, y1), (x2, y2) = points[0], points[1]
        label(
            image, fitting(image, name), (round(0.9 * x1 + 0.1 * x2), round(0.9 * y1 + 0.1 * y2) - thick), PAPER, LINE
        )


def draw_zone(image: Image, zone: Zone, *, name: str = "", lit: bool = False) -> None:
    """A zone's border and name; what is ignored is hatched, for nobody is looked for there.

    Args:
        image: drawn upon.
        zone: its corners in fractions of the frame.
        name: shown at its upper corner; empty for none.
        lit: whether someone has just come in or gone out.
    """
    colour = INWARD if lit else ZONES[zone.kind]
    points = [pixel(point, image) for point in zone.points]
    if zone.kind == "ignore":
        _hatch(image, points, colour)
    stroke(image, points, colour, thickness(image) + (2 if lit else 0), closed=True)
    if name:
        left, top = min(points, key=lambda point: (point[1], point[0]))
        label(image, fitting(image, name), (left, top), PAPER, colour)


def _hatch(image: Image, points: Sequence[tuple[int, int]], colour: Colour) -> None:
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.asarray(points, np.int32)], 255)
    lines = np.zeros_like(mask)
    step = max(8, height // 40)
    for x in range(-height, width, step):
        cv2.line(lines, (x, height), (x + height, 0), 255, 1, cv2.LINE_AA)
    inside = cv2.bitwise_and(mask, lines) > 0
    image[inside] = (0.5 * image[inside] + 0.5 * np.asarray(colour)).astype(np.uint8)


def _middle(
    points: Sequence[tuple[int, int]], inside: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The point half way along a bent line, and the direction from there to its inside, of length 1."""
    pieces = list(pairwise(points))
    nearest = min(pieces, key=lambda piece: _distance(piece, inside))
    side = 1.0 if _cross(nearest, inside) >= 0 else -1.0
    left = sum(math.dist(a, b) for a, b in pieces) / 2
    for a, b in pieces:
        length = math.dist(a, b)
        if left <= length and length > 0:
            share = left / length
            way = ((b[0] - a[0]) / length, (b[1] - a[1]) / length)
            middle = (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
            return middle, (-way[1] * side, way[0] * side)
        left -= length
    return (float(points[0][0]), float(points[0][1])), (0.0, 1.0)


def _cross(piece: tuple[tuple[int, int], tuple[int, int]], point: tuple[int, int]) -> float:
    (x1, y1), (x2, y2) = piece
    return (x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)


def _distance(piece: tuple[tuple[int, int], tuple[int, int]], point: tuple[int, int]) -> float:
    (x1, y1), (x2, y2) = piece
    squared = (x2 - x1) ** 2 + (y2 - y1) ** 2
    share = 0.0 if squared == 0 else ((point[0] - x1) * (x2 - x1) + (point[1] - y1) * (y2 - y1)) / squared
    share = min(1.0, max(0.0, share))
    return math.dist(point, (x1 + share * (x2 - x1), y1 + share * (y2 - y1)))


def _scale(image: Image) -> float:
    return max(0.5, _side(image) / 900)


def _weight(image: Image) -> int:
    """Of the strokes of letters: large ones are drawn bold, and are wider by it."""
    return 2 if _scale(image) >= 1.0 else 1


def label_size(image: Image, text: str) -> tuple[int, int]:
    """Width and height in pixels of a label with this text."""
    scale = _scale(image)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, _weight(image))
    pad = round(6 * scale)
    return width + 2 * pad, height + below + 2 * pad


def fitting(image: Image, name: str, after: str = "") -> str:
    """A name with what comes `after` it, the name shortened as far as a label with both needs to fit the picture."""
    for length in range(len(name) - 1, 0, -1):
        if label_size(image, name + after)[0] <= image.shape[1]:
            break
        name = name[:length].rstrip(". ") + ".."
    return name + after


def ink_on(paper: Colour) -> Colour:
    """Black or white, whichever can be read on a colour (by its luminance, ITU-R BT.601)."""
    blue, green, red = paper
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else INK


def label(image: Image, text: str, at: tuple[int, int], paper: Colour, ink: Colour) -> int:
    """Text on a filled box whose lower left corner is `at`, moved into the picture; returns the box's height."""
    scale = _scale(image)
    _, below = cv2.getTextSize(text, _FONT, scale, _weight(image))
    pad = round(6 * scale)
    wide, high = label_size(image, text)
    left = min(max(at[0], 0), max(image.shape[1] - wide, 0))
    foot = min(max(at[1], high), image.shape[0])
    cv2.rectangle(image, (left, foot - high), (left + wide, foot), paper, cv2.FILLED)
    cv2.putText(image, text, (left + pad, foot - pad - below), _FONT, scale, ink, _weight(image), cv2.LINE_AA)
    return high


def shown(name: str, number: int, what: str = "line") -> str:
    """A name that can be drawn: itself, or its number where it has letters OpenCV does not draw."""
    return name if name.isascii() else f"{what} {number}"
