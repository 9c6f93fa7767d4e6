"""Pictures that may be shown: nobody in them can be recognised.

Calibration and check save pictures of a shop, and those are sent around. Blurring what a detector found is not enough,
for whoever it missed stays sharp. So the whole picture is made a little coarse first, until a face at any distance has
no features left, and what was found is made so coarse that only a shape remains.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models import Boxes

Image = NDArray[np.uint8]

#: Side of a block, as a share of the picture's height: everywhere, and where a person was found.
_EVERYWHERE: Final = 1 / 108
_PEOPLE: Final = 1 / 24
#: What is made coarse around a person, as a share of the box.
_MARGIN: Final = 0.1


def veiled(image: Image, people: Boxes) -> Image:
    """A copy of a picture in which nobody can be recognised.

    Args:
        image: BGR, uint8, shape (height, width, 3).
        people: where people were found, shape (n, 4), fractions of the frame.
    """
    height, width = image.shape[:2]
    result = coarse(image, _EVERYWHERE)
    blocks = coarse(image, _PEOPLE)
    for x1, y1, x2, y2 in np.asarray(people, np.float64).reshape(-1, 4):
        wide, high = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        left, right = np.clip([(x1 - wide) * width, (x2 + wide) * width], 0, width).astype(int)
        top, bottom = np.clip([(y1 - high) * height, (y2 + high) * height], 0, height).astype(int)
        result[top:bottom, left:right] = blocks[top:bottom, left:right]
    return result


def coarse(image: Image, share: float) -> Image:
    """A picture in blocks of `share` of its height, each of the mean colour of what was there."""
    height, width = image.shape[:2]
    block = max(2.0, share * height)
    small = cv2.resize(
        image, (max(1, round(width / block)), max(1, round(height / block))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
