"""People seen straight from above who touch: where to cut the one shape they make.

There are no heads to count from above. What tells is size: two people are twice as large as one and nearly twice as
long one way. Either alone misleads: a long shape may be an outstretched arm, a large one a bag and a shadow.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from edge.detectors.pixels import Mask
from edge.detectors.shapes import Blob
from edge.detectors.sizes import Body

#: Bodies that a blob must have the area of to be more than one, and the length of, one way.
_LARGE: Final = 1.45
_LONG: Final = 1.45
#: Bodies that it may be long the other way: whoever leans over a rail, all limbs and shadow, is long both ways.
_DEEP: Final = 1.25
#: Share of a body's length that a part has at least, and of a body's area.
_SHORTEST: Final = 0.55
_SMALLEST: Final = 0.4
#: How much wider a cut may be for each body's length that it is nearer to where equal parts would meet.
_EQUAL: Final = 0.5
_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Crowd:
    """Where to cut a blob.

    Attributes:
        cuts: in shares of its length, ascending.
        across: whether it is its width that is cut, not its height.
    """

    cuts: list[float]
    across: bool


def crowd(blob: Blob, mask: Mask, body: Body) -> Crowd | None:
    """Where several people part.

    Args:
        blob: in the mask.
        mask: 255 where something is, shape (h, w).
        body: one person.

    Returns:
        None if it is one.
    """
    across = blob.w * body.h >= blob.h * body.w
    length, one = (blob.w, body.w) if across else (blob.h, body.h)
    depth, deep = (blob.h, body.h) if across else (blob.w, body.w)
    if length < _LONG * one or depth > _DEEP * deep:
        return None
    part = mask[blob.part]
    profile = np.count_nonzero(part, axis=0 if across else 1).astype(np.float64)
    area = float(profile.sum())
    # Whoever comes in by the border is seen in part; how many there are is seen the other way all the same.
    seen = min(1.0, depth / deep) if _cut_off(blob, mask.shape, across) else 1.0
    if area < _LARGE * body.area * seen:
        return None
    count = min(_MOST, max(2, round(length / one)), max(2, round(area / (body.area * seen))))
    smooth = cv2.blur(profile.reshape(1, -1), (max(1, round(0.1 * one)), 1)).ravel()
    places = np.arange(length)
    cuts: list[int] = []
    for nth in range(1, count):
        apart = np.abs(places - nth * length / count) / one
        cost = smooth / smooth.max() + _EQUAL * apart
        cost[places < (cuts[-1] if cuts else 0) + _SHORTEST * one] = np.inf
        cost[places > length - (count - nth) * _SHORTEST * one] = np.inf
        if np.isfinite(cost).any():
            cuts.append(int(np.argmin(cost)))
    if any(profile[begin:end].sum() < _SMALLEST * body.area * seen for begin, end in pairwise([0, *cuts, length])):
        return None
    return Crowd([cut / length for cut in cuts], across) if cuts else None


def parted(blob: Blob, mask: Mask, found: Crowd) -> list[Blob]:
    """The parts of a blob, each as large as what is in it."""
    parts = []
    length = blob.w if found.across else blob.h
    for begin, end in pairwise([0, *(round(cut * length) for cut in found.cuts), length]):
        if found.across:
            piece = Blob(blob.x + begin, blob.y, end - begin, blob.h, 0)
        else:
            piece = Blob(blob.x, blob.y + begin, blob.w, end - begin, 0)
        x, y, w, h = cv2.boundingRect(mask[piece.part])
        if w and h:
            area = cv2.countNonZero(mask[piece.part])
            parts.append(Blob(piece.x + x, piece.y + y, w, h, area))
    return parts


def _cut_off(blob: Blob, shape: tuple[int, ...], across: bool) -> bool:
    """Whether the border cuts it off the other way than it is long."""
    if across:
        return blob.y <= 1 or blob.y + blob.h >= shape[0] - 1
    return blob.x <= 1 or blob.x + blob.w >= shape[1] - 1
