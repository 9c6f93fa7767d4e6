"""From a foreground mask to boxes of people: what belongs together is joined, what is more than one is divided.

A coat the colour of the wall cuts a person in two, a pair in step makes one blob. Both are told by size, and the size
of a person depends on the place in the picture, so it is learnt from blobs that are surely one person (see `sizes`).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from edge.detectors.pixels import Mask
from edge.detectors.sizes import SizeModel
from edge.models import Mounting

_CLOSE: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 7))
_CLOSE_ROUND: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))


@dataclass(frozen=True, slots=True)
class BlobParams:
    """What may be a person.

    Attributes:
        least_area: of a fragment, as a share of the picture's.
        least_height: of a person, as a share of the picture's height.
        wide: a blob this many times as wide as a person is more than one.
    """

    least_area: float = 0.0004
    least_height: float = 0.06
    wide: float = 1.6


@dataclass(slots=True)
class Blob:
    """One connected shape, in pixels of the working picture.

    Attributes:
        area: of its foreground.
        score: how much it looks like one person, 0 to 1.
    """

    x: int
    y: int
    w: int
    h: int
    area: int
    score: float = 0.5

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of its box."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)

    def grown(self, by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of its box made larger on each side, within `shape` (h, w)."""
        return (
            slice(max(0, self.y - by), min(shape[0], self.y + self.h + by)),
            slice(max(0, self.x - by), min(shape[1], self.x + self.w + by)),
        )

    def overlap(self, other: "Blob") -> float:
        """Intersection over union of the boxes."""
        w = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        h = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.w * self.h + other.w * other.h - w * h)

    def joined(self, other: "Blob") -> "Blob":
        """The blob of both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right, bottom = max(self.x + self.w, other.x + other.w), max(self.y + self.h, other.y + other.h)
        return Blob(x, y, right - x, bottom - y, self.area + other.area)


class BlobReader:
    """Reads people out of masks, learning their size on the way."""

    def __init__(self, mounting: Mounting, params: BlobParams | None = None) -> None:
        self._mounting = mounting
        self._params = params or BlobParams()
        self._sizes = SizeModel(mounting)

    def read(self, mask: Mask) -> list[Blob]:
        """People in the mask (255 where something is, shape (h, w)), largest first."""
        height, width = mask.shape
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSE_ROUND if self._mounting == "overhead" else _CLOSE)
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        least = self._params.least_area * height * width
        pieces = []
        for contour in contours:
            area = int(cv2.contourArea(contour))
            if area >= least:
                x, y, w, h = cv2.boundingRect(contour)
                pieces.append(Blob(x, y, w, h, area))
        people = [b for b in self._join(pieces, mask.shape) if self._plausible(b, mask.shape)]
        self._sizes.learn(people, mask.shape)
        found = [part for blob in people for part in self._divide(blob, mask)]
        for blob in found:
            blob.score = self._sizes.likeness(blob, mask.shape)
        return sorted(found, key=lambda b: b.area, reverse=True)

    def _plausible(self, blob: Blob, shape: tuple[int, ...]) -> bool:
        height, width = shape
        if blob.h < self._params.least_height * height and blob.y > 1 and blob.y + blob.h < height - 1:
            return False
        if self._mounting == "overhead":
            return blob.area > 0.008 * height * width
        return blob.w < 3.0 * blob.h

    def _join(self, pieces: list[Blob], shape: tuple[int, ...]) -> list[Blob]:
        """Join pieces that together still make one person."""
        rest = sorted(pieces, key=lambda b: b.area, reverse=True)
        done: list[Blob] = []
        while rest:
            blob = rest.pop(0)
            again = True
            while again:
                again = False
                for other in rest:
                    if self._sizes.one_person(blob, other, shape):
                        blob = blob.joined(other)
                        rest.remove(other)
                        again = True
                        break
            done.append(blob)
        return done

    def _divide(self, blob: Blob, mask: Mask) -> list[Blob]:
        """The people in a blob: one, or as many as its width holds where its outline shows heads or gaps."""
        count = self._sizes.people_across(blob, self._params.wide)
        if count < 2:
            return [blob]
        columns = (mask[blob.part] > 0).sum(axis=0).astype(np.float32)
        cuts = [0, *_valleys(columns, count), blob.w]
        parts = []
        for left, right in pairwise(cuts):
            piece = mask[blob.y : blob.y + blob.h, blob.x + left : blob.x + right]
            rows = np.flatnonzero(piece.any(axis=1))
            if len(rows):
                top, bottom = int(rows[0]), int(rows[-1]) + 1
                parts.append(Blob(blob.x + left, blob.y + top, right - left, bottom - top, cv2.countNonZero(piece)))
        return parts


def _valleys(columns: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", count: int) -> list[int]:
    """Where to cut a profile into `count` parts: the thinnest place near each even cut."""
    width = len(columns)
    reach = width // (3 * count)
    smooth = np.convolve(columns, np.ones(5, np.float32) / 5, mode="same")
    cuts = []
    for k in range(1, count):
        middle = width * k // count
        low = max(1, middle - reach)
        window = smooth[low : middle + reach + 1]
        cuts.append(low + int(np.argmin(window)))
    return cuts
