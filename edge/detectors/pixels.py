"""The few picture operations the motion detector is made of, typed, each in the form that was measured to be fast.

On one core numpy's `.max(axis=2)` took 8.9 ms where `cv2.max` of split planes took 0.5; shrinking by a fraction took
1.3 ms, by a factor of two 0.16. Keep such choices here, where a well-meant simplification can be measured.
"""

from functools import cache
from typing import Any, Final, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

#: BGR, uint8, shape (h, w, 3).
Image = NDArray[np.uint8]
#: 255 or 0 (or grey levels), uint8, shape (h, w).
Mask = NDArray[np.uint8]

Colour = TypeVar("Colour", np.uint8, np.float32)

#: Width that large pictures are made small to (pixels).
WORKING_WIDTH: Final = 256

_PAIR: Final = np.ones((2, 2), np.uint8)


def shrink(image: Image) -> Image:
    """The picture at the width that is worked on, where it is at least twice as wide; any other stays as it is.

    Halved first, and then by what is left, which mixes neighbours: by a whole odd factor OpenCV takes three times as
    long, and picking every third pixel keeps all of the sensor's noise.
    """
    height, width = image.shape[:2]
    if width < 2 * WORKING_WIDTH:
        return image
    rows = round(WORKING_WIDTH * height / width)
    while image.shape[1] >= 3 * WORKING_WIDTH:
        image = halved(image)
    return _bytes(cv2.resize(image, (WORKING_WIDTH, rows), interpolation=cv2.INTER_LINEAR))


def halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half as wide and high, each pixel the mean of four."""
    height, width = image.shape[:2]
    return _bytes(cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA))


def doubled(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """What was halved, at its former shape (h, w)."""
    return _bytes(cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST))


def neighbourhood(image: Image) -> tuple[Image, Image]:
    """Darkest and brightest value of each colour within a pixel."""
    return _bytes(cv2.erode(image, _square(1))), _bytes(cv2.dilate(image, _square(1)))


def brightest(image: Image) -> Mask:
    """Largest of the three colours, pixel by pixel."""
    blue, green, red = cv2.split(image)
    return _bytes(cv2.max(cv2.max(blue, green), red))


def darkest(image: Image) -> Mask:
    """Smallest of the three colours, pixel by pixel."""
    blue, green, red = cv2.split(image)
    return _bytes(cv2.min(cv2.min(blue, green), red))


def outside(image: Image, low: Image, high: Image) -> Mask:
    """By how much the colour that lies farthest outside `low` to `high` does; 0 where none does."""
    return brightest(_bytes(cv2.max(cv2.subtract(image, high), cv2.subtract(low, image))))


def picked(image: NDArray[Colour], places: NDArray[np.intp]) -> NDArray[Colour]:
    """Colours at flat indices, shape (n, 3): several times as fast as picking by a mask."""
    return image.reshape(-1, 3).take(places, axis=0)


def above(values: Mask, level: float) -> Mask:
    """255 where the value is greater than the level."""
    return _bytes(cv2.threshold(values, level, 255, cv2.THRESH_BINARY)[1])


def at_least(values: NDArray[np.float32], level: float) -> Mask:
    """255 where the value is the level or greater."""
    return _bytes(cv2.compare(values, cast("Any", level), cv2.CMP_GE))  # a plain number, which the stubs do not know


def not_between(image: Image, low: Image, high: Image) -> Mask:
    """255 where any colour is below `low` or above `high` of the same pixel: as `outside`, but not by how much."""
    return _bytes(cv2.bitwise_not(cv2.inRange(image, low, high)))


def sampled(image: NDArray[np.uint8], every: int) -> NDArray[np.uint8]:
    """The picture at points that far apart, evenly spread, so that a mirrored picture gives the mirrored samples."""
    height, width = image.shape[:2]
    size = (max(1, round(width / every)), max(1, round(height / every)))
    return _bytes(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def grey(image: Image) -> Mask:
    """Brightness as the eye weighs the colours."""
    return _bytes(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def widened(mask: Mask, by: int) -> Mask:
    """The mask grown by so many pixels on each side."""
    return _bytes(cv2.dilate(mask, _square(by)))


def narrowed(mask: Mask, by: int) -> Mask:
    """The mask made less by so many pixels on each side."""
    return _bytes(cv2.erode(mask, _square(by)))


def without_specks(mask: Mask) -> Mask:
    """The mask without what is less than two pixels wide or high.

    OpenCV's own opening moves what it keeps by a pixel, if the square's side is even.
    """
    small = cv2.erode(mask, _PAIR, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return _bytes(cv2.dilate(small, _PAIR, anchor=(0, 0)))


def edges(image: Image) -> Mask:
    """How much brightness changes within a pixel's 3x3 neighbourhood."""
    return edges_of(grey(image))


def edges_of(brightness: Mask) -> Mask:
    """How much it changes within a pixel's 3x3 neighbourhood."""
    return _bytes(cv2.morphologyEx(brightness, cv2.MORPH_GRADIENT, _square(1)))


def box_of(mask: Mask, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the box around what is not 0, `margin` larger on each side within the mask."""
    x, y, w, h = cv2.boundingRect(mask)
    return slice(max(0, y - margin), y + h + margin), slice(max(0, x - margin), x + w + margin)


@cache
def _square(by: int) -> Mask:
    """The square that reaches `by` pixels from its middle."""
    return np.ones((2 * by + 1, 2 * by + 1), np.uint8)


def _bytes(array: Any) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", array)  # no copy and no check: OpenCV's stubs do not say what comes back
