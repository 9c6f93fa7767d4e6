"""Whether a network need look at a frame at all: only if the picture changed since it last looked.

A network costs a hundred times what it costs to see that nothing happens, and in a shop nothing happens for most of the
day. The question is put to the picture the network saw last, not to the last frame: so someone who walks ever so
slowly adds up until they count, someone who stands still costs nothing and keeps the boxes they had, and nothing has to
be known about what an empty shop looks like. The trap is what never rests, a screen or leaves in the wind: each pixel
is measured against its own usual change, of which the median is kept, for people who pass do not move a median.
"""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np

from edge.detectors.pixels import Image, brightest

_WIDTH: Final = 160  # pixels: noise averages out, and a child at the far end is still a few of them
_COMPANY: Final = 2.5 / 9 * 255  # three of the nine pixels around it


@dataclass(frozen=True, slots=True)
class GateParams:
    """When a picture counts as changed.

    Attributes:
        least_change: grey levels by which a pixel must differ, in a well lit picture.
        noise_factor: a pixel must also differ by this many times its usual change from frame to frame.
        least_area: share of the picture that must differ.
        settle_s: seconds in which the usual change is learnt by one grey level.
        followed_s: seconds after which the network looks anyway while someone is followed.
        empty_s: the same while nobody is.
    """

    least_change: float = 8.0
    noise_factor: float = 5.0
    least_area: float = 0.0004
    settle_s: float = 1.0
    followed_s: float = 0.5
    empty_s: float = 10.0


class Gate:
    """Remembers the picture of the last look, made small."""

    def __init__(self, params: GateParams | None = None) -> None:
        self._params = params or GateParams()
        self._looked: Image | None = None
        self._looked_s = 0.0
        self._before: Image | None = None
        self._before_s = 0.0
        self._usual = np.zeros((0, 0), np.float32)

    def opens(self, image: Image, time_s: float, *, followed: bool) -> bool:
        """Whether the network should look at this frame; if so, it counts as looked at.

        Args:
            image: BGR, uint8, shape (h, w, 3); a change of its size opens the gate.
            time_s: of the frame, on the stream's clock.
            followed: whether someone is followed now, who must not be lost for standing still.
        """
        small = _small(image)
        if self._before is None or self._looked is None or small.shape != self._before.shape:
            self._usual = np.zeros(small.shape[:2], np.float32)
            changed = True
        else:
            self._learn(small, self._before, time_s - self._before_s)
            changed = self._differs(small, self._looked)
        self._before, self._before_s = small, time_s
        waited = time_s - self._looked_s
        if changed or waited >= (self._params.followed_s if followed else self._params.empty_s):
            self._looked, self._looked_s = small, time_s
            return True
        return False

    def _learn(self, small: Image, before: Image, elapsed_s: float) -> None:
        """Move each pixel's usual change towards what it did now, by a fixed step: that finds the median."""
        change = brightest(cast("Image", cv2.absdiff(small, before)))
        step = min(1.0, elapsed_s / self._params.settle_s)
        self._usual += np.where(change > self._usual, step, -step).astype(np.float32)
        np.maximum(self._usual, 0.0, out=self._usual)

    def _differs(self, small: Image, looked: Image) -> bool:
        change = brightest(cast("Image", cv2.absdiff(small, looked)))
        least = self._params.least_change * min(1.0, float(looked[::4, ::4].max()) / 200.0)
        limits = cv2.convertScaleAbs(self._usual, alpha=self._params.noise_factor, beta=max(2.0, least))
        # A pixel alone is noise; but a body that moves by a pixel changes only a line of them along its edge.
        near = cv2.blur(cv2.compare(change, limits, cv2.CMP_GT), (3, 3))
        changed = cv2.countNonZero(cv2.threshold(near, _COMPANY, 255, cv2.THRESH_BINARY)[1])
        return changed > max(3.0, self._params.least_area * near.size)


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = max(1, round(width / _WIDTH))
    rows, columns = height // factor, width // factor
    if factor == 1:
        return image.copy()
    cut = image[: rows * factor, : columns * factor]
    return cast("Image", cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA))
