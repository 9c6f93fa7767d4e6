"""Where in a frame a network looks: at the part in which something moves, drawn as large as its input allows.

A network sees a person who is thirty pixels tall badly and the same person at sixty well, and its input has a fixed
size: so the shop's ceiling is left out and the doorway is enlarged. But only so far as the picture has something to
show: a small picture, compressed, enlarged three times is nothing but blocks, in which no network sees anyone. The trap
is a part that follows every movement: boxes tremble when the picture they are found in does, so the part stays as it is
until someone leaves it or it is far too large.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge.detectors.pixels import Mask
from edge.models import Boxes

#: x1, y1, x2, y2 in fractions of the frame.
Part = tuple[float, float, float, float]
WHOLE: Final[Part] = (0.0, 0.0, 1.0, 1.0)

_CELL: Final = 8  # pixels of the mask: specks of foreground within one are no one
_EPSILON: Final = 1e-6


@dataclass(frozen=True, slots=True)
class FocusParams:
    """How close to look. Lengths are in frame heights.

    Attributes:
        margin: room left around what moves, at least; half of it has to remain, or the part is chosen anew.
        roomy: room left around what moves, as a share of its height: a network knows a body by what is around it, too,
            and someone who comes in by the picture's edge is soon twice as tall.
        smallest: the least height of a part, however many pixels it has.
        enlarged: the most pixels of the network's input that one of the picture may become, along a side.
        patience: a part is chosen anew when it is this many times as large as it need be.
        filled: share of a cell of the mask that must be foreground for the cell to count.
    """

    margin: float = 0.1
    roomy: float = 0.5
    smallest: float = 0.5
    enlarged: float = 2.0
    patience: float = 2.0
    filled: float = 0.25


class Focus:
    """Chooses the part of the frame to look at.

    Args:
        size: width and height of the network's input (pixels): a part of that shape wastes none of it.
        params: None takes the defaults.
    """

    def __init__(self, size: tuple[int, int], params: FocusParams | None = None) -> None:
        self._size = size
        self._shape = size[0] / size[1]
        self._params = params or FocusParams()
        self._part: Part | None = None
        self._picture = (0, 0)
        self._smallest = 1.0

    def choose(self, boxes: Boxes, foreground: Mask, picture: tuple[int, int]) -> Part | None:
        """The part of this frame to look at; None when there is nothing to look for.

        Args:
            boxes: of what moves and where people are expected, shape (n, 4), fractions of the frame.
            foreground: what moves, 255 or 0, shape (h, w): looked at only when there are no boxes, for it also has
                what is too small for a person, a clock that is shown in the picture.
            picture: the frame's width and height (pixels).
        """
        if picture != self._picture:
            self._picture, self._part = picture, None  # chosen in another picture: it has the wrong shape in this one
            self._smallest = max(self._params.smallest, self._size[1] / (self._params.enlarged * picture[1]))
        aspect = picture[0] / picture[1]
        wanted = _around(boxes) if len(boxes) else _active(foreground, self._params.filled)
        if wanted is None:
            return None
        margin = max(self._params.margin, self._params.roomy * (wanted[3] - wanted[1]))
        if self._part is None or not self._still_good(self._part, wanted, aspect, margin):
            self._part = self._fit(wanted, aspect, margin)
        return self._part

    def _still_good(self, part: Part, wanted: Part, aspect: float, margin: float) -> bool:
        down = self._params.margin / 2
        right = down / aspect
        return (
            (part[0] <= _EPSILON or wanted[0] - right >= part[0])
            and (part[1] <= _EPSILON or wanted[1] - down >= part[1])
            and (part[2] >= 1 - _EPSILON or wanted[2] + right <= part[2])
            and (part[3] >= 1 - _EPSILON or wanted[3] + down <= part[3])
            and _area(part) < self._params.patience * _area(self._fit(wanted, aspect, margin))
        )

    def _fit(self, wanted: Part, aspect: float, margin: float) -> Part:
        """The least part of the input's shape around what is wanted, within the frame."""
        width = (wanted[2] - wanted[0]) * aspect + 2 * margin
        height = max(wanted[3] - wanted[1] + 2 * margin, self._smallest)
        width, height = max(width, height * self._shape), max(height, width / self._shape)
        width, height = min(width / aspect, 1.0), min(height, 1.0)
        left = min(max((wanted[0] + wanted[2] - width) / 2, 0.0), 1 - width)
        top = min(max((wanted[1] + wanted[3] - height) / 2, 0.0), 1 - height)
        return left, top, left + width, top + height


def _active(foreground: Mask, filled: float) -> Part | None:
    """The box around the cells in which something moves, in fractions; None if nothing does."""
    height, width = foreground.shape
    rows, columns = max(1, round(height / _CELL)), max(1, round(width / _CELL))
    cells = cv2.resize(foreground, (columns, rows), interpolation=cv2.INTER_AREA)
    x, y, w, h = cv2.boundingRect(cv2.compare(cells, np.full((1, 1), filled * 255), cv2.CMP_GE))
    return (x / columns, y / rows, (x + w) / columns, (y + h) / rows) if w else None


def _around(boxes: Boxes) -> Part:
    left, top = np.clip(boxes[:, :2].min(axis=0), 0.0, 1.0).tolist()
    right, bottom = np.clip(boxes[:, 2:].max(axis=0), 0.0, 1.0).tolist()
    return left, top, right, bottom


def _area(part: Part) -> float:
    return (part[2] - part[0]) * (part[3] - part[1])
