"""A picture in a few numbers, from which it can be told whether anybody could be seen in it.

Every way of being blind has a living picture that looks like it, and the numbers are chosen for those. An empty shop at
a low bit rate repeats one picture exactly, from key frame to key frame, so a repetition is no freeze; but noise makes
each key frame differ from all before, while a frozen picture that goes through an encoder again and again soon gives
the same few for ever. Under the clock that most cameras write into their picture no two are the same, so the picture is
compared in parts: a frozen one has a few, always the same, that change. And a covered lens with its gain turned up is a
storm of noise, sharper than many scenes, until some pictures are averaged. Cheap on purpose: all is done on about five
thousand single pixels.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

_GAUGE_WIDTH: Final = 96
#: Pictures remembered: a minute and a half at five a second, more than lies between two key frames.
_REMEMBERED: Final = 450
#: Share of the newest picture in the running mean: noise sinks to a quarter, and a cover shows after three seconds.
_NEW_SHARE: Final = 0.12
#: The picture is compared in so many rows and columns of parts.
_ROWS, _COLUMNS = 9, 16
#: As many parts may change while the rest repeats itself: a clock and what the encoder does around it. Of a living
#: camera's, however few bits it sends, half are new with each key frame.
_CLOCK_PARTS: Final = 12
#: Over so many pictures (twelve seconds at five a second), or it might be someone who walks far away.
_CLOCK_PICTURES: Final = 60
#: A mean change beyond this (grey levels) is another scene, and the mean begins anew.
_CUT: Final = 24.0
_DETAIL_EVERY: Final = 5
_SHARP: Final = 0.99
_COARSE: Final = (12, 8)
_SQUARE: Final = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class FrameStats:
    """What is measured of a picture.

    Attributes:
        brightness: mean, in grey levels of 255.
        detail: its sharpest edges, in grey levels (99th percentile of steps within 3x3 pixels of the running mean of
            the last pictures, made small and soft). A plain floor has a few somewhere, a covered lens none.
        seen_before: whether just this picture was shown within the last minute and a half, a clock in it left aside.
    """

    brightness: float
    detail: float
    seen_before: bool


class Gauge:
    """Measures one stream's pictures, best about five a second; keeps a small running mean and what was shown.

    A picture that is frozen under a clock is recognised once its encoder has found its rest, which takes a minute or
    three; where bits are so few that the clock alone uses them up, it never does.
    """

    def __init__(self, *, loops: bool = False) -> None:
        """Nothing was shown yet.

        Args:
            loops: a recording that is played again and again does show what it showed before; only a picture that
                repeats the one before it is then a repetition.
        """
        self._remembered = 1 if loops else _REMEMBERED
        self._mean: NDArray[np.float32] | None = None
        self._count = 0
        self._detail = 0.0
        #: A number for each part of the last pictures, and which of them were new; both are rings.
        self._parts = np.zeros((self._remembered, _ROWS * _COLUMNS), np.uint32)
        self._changed = np.ones((_CLOCK_PICTURES, _ROWS * _COLUMNS), np.bool_)
        self._shown = 0

    def measure(self, image: NDArray[np.uint8]) -> FrameStats:
        """Statistics of a picture, BGR uint8, shape (height, width, 3).

        Single pixels are picked rather than averaged, or noise, by which a living picture is known from a repeated one,
        would be averaged away.
        """
        width = min(_GAUGE_WIDTH, image.shape[1])
        height = max(1, image.shape[0] * width // image.shape[1])
        picked = cast("NDArray[np.uint8]", cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST))
        grey = cast("NDArray[np.uint8]", cv2.cvtColor(picked, cv2.COLOR_BGR2GRAY))
        self._average(grey)
        return FrameStats(float(cv2.mean(grey)[0]), self._detail, self._seen(_parts(picked)))

    def _average(self, grey: NDArray[np.uint8]) -> None:
        looks = self._count % _DETAIL_EVERY == 0
        if self._mean is None or self._mean.shape != grey.shape or (looks and _differ(grey, self._mean)):
            self._mean, self._count, looks = grey.astype(np.float32), 0, True
        else:
            cv2.accumulateWeighted(grey, self._mean, _NEW_SHARE)
        if looks:
            self._detail = _detail(self._mean)
        self._count += 1

    def _seen(self, parts: NDArray[np.uint32]) -> bool:
        known = self._parts[: min(self._shown, self._remembered)]
        new = ~(known == parts).any(axis=0)
        self._parts[self._shown % self._remembered] = parts
        self._changed[self._shown % _CLOCK_PICTURES] = new
        self._shown += 1
        return not new.any() or int(self._changed.any(axis=0).sum()) <= _CLOCK_PARTS


def _parts(picked: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """A number for each part of a picture (uint8, any shape of three axes): the same for the same pixels alone."""
    height, width = picked.shape[:2]
    rows = np.linspace(0, height, _ROWS + 1).astype(int)[:-1]
    columns = np.linspace(0, width, _COLUMNS + 1).astype(int)[:-1]
    weighed = (picked * _weights(picked.shape)).reshape(height, -1)
    # Whole rows first, and the colours with the columns: a sum over three values costs as much as all the rest.
    by_row = np.add.reduceat(weighed, rows, axis=0, dtype=np.uint32)
    return np.add.reduceat(by_row, columns * picked.shape[2], axis=1, dtype=np.uint32).ravel()


@lru_cache(maxsize=8)
def _weights(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """A factor for each pixel's colour: odd, so that no change of one is lost, and always the same ones."""
    return np.random.default_rng(1).integers(0, 2**31, shape, np.uint32) * np.uint32(2) + np.uint32(1)


def _differ(grey: NDArray[np.uint8], mean: NDArray[np.float32]) -> bool:
    """Whether the picture is of another scene than the mean, noise left aside."""
    few = cv2.resize(grey, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.norm(few, cv2.resize(mean, _COARSE, interpolation=cv2.INTER_AREA), cv2.NORM_L1) > _CUT * few.size


def _detail(mean: NDArray[np.float32]) -> float:
    soft = cv2.blur(mean, (5, 5))
    # A night camera's own light on whatever covers it makes a bright spot, which has slopes but no edges.
    edges = cv2.subtract(soft, cv2.blur(soft, (21, 21)))
    steps = cv2.morphologyEx(edges, cv2.MORPH_GRADIENT, _SQUARE)
    # Sorting out one value costs a fifteenth of `numpy.percentile`, which was most of what the gauge cost.
    values = np.asarray(steps).ravel()
    place = int(_SHARP * (values.size - 1))
    return float(np.partition(values, place)[place])
