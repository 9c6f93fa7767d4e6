"""How large a person is at each place in the picture, learnt from people seen alone.

Obliquely seen, a person's height grows with the row his feet stand in; that is fitted by a straight line through the
medians of bands of rows. Straight from above everyone is about as large everywhere. Until enough has been seen, only
proportions are used, which need no learning.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.detectors.shapes import Blob
from edge.models import Mounting

_BANDS: Final = 8
_ENOUGH: Final = 25
_ENOUGH_IN_BAND: Final = 8
_ENOUGH_OVERHEAD: Final = 10
_REMEMBERED: Final = 300
#: From above: the share of all foreground that was in blobs no larger than one person, and how near to that in area a
#: blob must come to be one. Fragments are many and pairs large: by area, neither moves this much.
_SINGLE: Final = 0.5
_NEAR: Final = (0.6, 1.5)
_WIDTH_SHARE: Final = 0.42  # a walking adult's width over height, seen obliquely


@dataclass(frozen=True, slots=True)
class Body:
    """One person seen straight from above, in pixels of the working picture."""

    area: float
    w: float
    h: float


class SizeModel:
    """Expected height and width of one person (pixels of the working picture)."""

    def __init__(self, mounting: Mounting) -> None:
        self._mounting = mounting
        self._heights: list[deque[float]] = [deque(maxlen=120) for _ in range(_BANDS)]
        self._shares: deque[float] = deque(maxlen=_REMEMBERED)
        self._longer: deque[float] = deque(maxlen=_REMEMBERED)
        self._areas: deque[float] = deque(maxlen=_REMEMBERED)
        self._seen: deque[tuple[int, int, int]] = deque(maxlen=_REMEMBERED)
        self._body: tuple[int, Body] | None = None
        self._medians: dict[int, tuple[int, float]] = {}
        self._line: tuple[float, float] | None = None
        self._samples = 0
        self._rows = 1

    def learn(self, blobs: list[Blob], shape: tuple[int, ...]) -> None:
        """Take in what is surely one whole person: alone in its columns, away from the borders, well proportioned."""
        height, width = shape
        self._rows = height
        for blob in blobs:
            inside = blob.x > 2 and blob.y > 2 and blob.x + blob.w < width - 2 and blob.y + blob.h < height - 2
            if not inside:
                continue
            if self._mounting == "overhead":
                self._longer.append(max(blob.w, blob.h))
                self._areas.append(blob.area)
                self._seen.append((blob.area, blob.w, blob.h))
                self._samples += 1
            elif 1.6 <= blob.h / blob.w <= 4.5 and blob.area > 0.35 * blob.w * blob.h:
                band = min(_BANDS - 1, (blob.y + blob.h) * _BANDS // height)
                self._heights[band].append(blob.h)
                self._shares.append(blob.w / blob.h)
                self._samples += 1
                if self._samples % 10 == 0:
                    self._fit(height)

    def _fit(self, height: int) -> None:
        rows, heights, weights = [], [], []
        for band, seen in enumerate(self._heights):
            if len(seen) >= _ENOUGH_IN_BAND:
                rows.append((band + 0.5) * height / _BANDS)
                heights.append(float(np.median(seen)))
                weights.append(float(len(seen)) ** 0.5)
        if len(rows) >= 2:
            slope, offset = np.polyfit(rows, heights, 1, w=weights)
            self._line = (max(0.0, float(slope)), float(offset)) if slope > 0 else (0.0, float(np.median(heights)))
        elif rows:
            self._line = (0.0, heights[0])

    @property
    def learnt(self) -> bool:
        """Whether enough people were seen alone."""
        if self._mounting == "overhead":
            return self._samples >= _ENOUGH_OVERHEAD
        return self._samples >= _ENOUGH and self._line is not None

    def height_at(self, bottom: float) -> float | None:
        """Height of a person whose feet are in this row; None while it is not known."""
        if not self.learnt or self._line is None:
            return None
        slope, offset = self._line
        return max(8.0, slope * bottom + offset)

    def feet_below(self, top: float) -> float | None:
        """The row in which someone stands whose head ends in this one; None unless people were seen alone there."""
        if not self.learnt or self._line is None or self._line[0] >= 0.9:
            return None
        slope, offset = self._line
        feet = (top + offset) / (1 - slope)
        if feet <= top:  # so far up that the line has left the picture
            return None
        band = min(_BANDS - 1, int(feet * _BANDS / self._rows))
        return feet if len(self._heights[band]) >= _ENOUGH_IN_BAND else None

    def one_person(self, one: Blob, other: Blob, shape: tuple[int, ...]) -> bool:
        """Whether two pieces together make no more than one person."""
        both = one.joined(other)
        gap_x = max(one.x, other.x) - min(one.x + one.w, other.x + other.w)
        gap_y = max(one.y, other.y) - min(one.y + one.h, other.y + other.h)
        if self._mounting == "overhead":
            limit = self._limit_overhead(shape)
            return max(gap_x, gap_y) < 0.05 * shape[0] and max(both.w, both.h) <= limit
        if -gap_x < 0.5 * min(one.w, other.w):
            return False
        expected = self.height_at(both.y + both.h)
        if expected is None:
            return gap_y < 0.08 * shape[0] and both.h < 3.2 * both.w
        return gap_y < 0.3 * expected and both.h <= 1.2 * expected

    def _limit_overhead(self, shape: tuple[int, ...]) -> float:
        if not self.learnt:
            return 0.5 * shape[0]
        return 1.25 * self._median(self._longer)

    def body(self) -> Body | None:
        """One person seen from above; None while it is not known."""
        if not self.learnt:
            return None
        if self._body is None or self._samples >= self._body[0] + max(1, self._samples // 20):
            seen = np.array(sorted(self._seen), np.float64)
            share = seen[:, 0].cumsum() / seen[:, 0].sum()
            area = float(seen[int(share.searchsorted(_SINGLE)), 0])
            near = seen[(seen[:, 0] >= _NEAR[0] * area) & (seen[:, 0] <= _NEAR[1] * area)]
            area, w, h = np.median(near, axis=0).tolist()
            self._body = (self._samples, Body(area, w, h))
        return self._body[1]

    def _median(self, values: deque[float]) -> float:
        """The median; asked for with each blob, worked out now and then, for it hardly changes."""
        known = self._medians.get(id(values))
        if known is None or self._samples >= known[0] + max(1, self._samples // 20):
            known = self._medians[id(values)] = (self._samples, float(np.median(values)))
        return known[1]

    def expected(self, blob: Blob, rows: int) -> tuple[float, float, bool]:
        """Width and height of one person seen obliquely who is where the blob is, and whether that was learnt.

        Whose feet are below the picture's lower border is as large as his head's place says.
        """
        bottom: float = blob.y + blob.h
        if bottom >= rows - 2 and self.learnt and self._line is not None and self._line[0] < 0.9:
            slope, offset = self._line
            bottom = min(max(bottom, (blob.y + offset) / (1 - slope)), 2.0 * rows)
        height = self.height_at(bottom)
        if height is None:
            return _WIDTH_SHARE * blob.h, float(blob.h), False
        return self._median(self._shares) * height, height, True

    def likeness(self, blob: Blob, shape: tuple[int, ...]) -> float:
        """A score from 0.3 to 1: how near the blob comes to the expected size, and how solid it is."""
        solid = min(1.0, blob.area / (0.5 * blob.w * blob.h))
        if self._mounting == "overhead":
            usual = self._median(self._areas) if self.learnt else 0.06 * shape[0] * shape[1]
            return 0.2 + 0.6 * min(1.0, max(0.0, (blob.area / usual - 0.1) / 0.4)) + 0.2 * solid
        expected = self.height_at(blob.y + blob.h)
        if expected is None:
            return 0.5 + 0.4 * solid
        cut_off = blob.y + blob.h >= shape[0] - 2 or blob.y <= 2
        near = 1.0 if cut_off else min(blob.h / expected, expected / blob.h)
        return 0.2 + 0.6 * min(1.0, max(0.0, (near - 0.3) / 0.4)) + 0.2 * solid
