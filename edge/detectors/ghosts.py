"""Finds foreground that is no person: who was in the first picture and left, what was moved and stays.

A ghost does not move, but neither, nearly, does a person at a table: with a camera's trembling allowed for, one of six
changed in fewer than 0.4% of her pixels over whole seconds. So stillness alone does not tell them apart; where the
outline is does. A body that is there has it in the picture, one that has left in the *background*: the first is waited
for patiently, the second not.

Where something stands still is asked of a picture of half the size: a body more or less by a pixel is as still.
"""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np

from edge.detectors.pixels import (
    Image,
    Mask,
    above,
    at_least,
    box_of,
    doubled,
    edges,
    halved,
    narrowed,
    neighbourhood,
    not_between,
    widened,
)

Where = tuple[slice, slice]

_AROUND: Final = 2  # pixels around a shape that are looked at with it
_HALF: Final = 127  # grey levels from which a pixel of a mask made small is more inside than outside
_MOST: Final = 0.8  # share of a shape that must be still for it to be: here and there noise shows


@dataclass(frozen=True, slots=True)
class GhostParams:
    """When foreground is no person.

    Attributes:
        change: grey levels by which a pixel must differ from its neighbourhood as it was, to have changed.
        least_area: of a still shape, as a share of the picture's.
        left_ratio, left_s: an outline so many times as strong in the background as in the picture, for so long
            (seconds): someone was there and has left.
        doubtful_ratio, doubtful_s: the same for an outline that is about as strong in both.
        there_s: for one that is stronger in the picture: a thing stands there, for nobody stands like one so long.
        tracked_s: for what is followed as a person, unless it has clearly left, and for parts of something larger.
        whole: share of its foreground that a still shape must be, or it is a part: the trunk of someone who moves his
            arms is still too.
        free: share of its rim that must border on what is empty.
        most: share of where a track is expected that its box must fill, or it is a part of who is tracked.
    """

    change: float = 20.0
    least_area: float = 0.0008
    left_ratio: float = 1.5
    left_s: float = 0.4
    doubtful_ratio: float = 0.85
    doubtful_s: float = 3.0
    there_s: float = 30.0
    tracked_s: float = 60.0
    whole: float = 0.9
    free: float = 0.6
    most: float = 0.7


class Ghosts:
    """Remembers for how long each pixel has been as it is, from look to look."""

    def __init__(self, params: GhostParams | None = None) -> None:
        self._params = params or GhostParams()
        self.reset()

    def reset(self) -> None:
        """Forget everything: another picture size, or another scene."""
        self._before: tuple[Image, Image] | None = None
        self._quiet_s = np.zeros((0, 0), np.float32)

    def find(self, image: Image, empty: Image, mask: Mask, held: Mask, elapsed_s: float) -> Mask | None:
        """Which foreground to release.

        Args:
            image: the picture, BGR uint8, shape (h, w, 3).
            empty: the background, the same.
            mask: the foreground, shape (h, w).
            held: 255 where a track is expected, the same shape.
            elapsed_s: seconds since the last look; some tenths are best.

        Returns:
            255 where the picture is to be taken for empty, shape (h, w); None if nowhere.
        """
        size = mask.shape
        image, mask, held = halved(image), above(halved(mask), _HALF), above(halved(held), _HALF)
        if self._before is None:
            self._before, self._quiet_s = self._unchanged(image), np.zeros(mask.shape, np.float32)
            return None
        self._quiet_s += np.float32(elapsed_s)
        self._compare(image, self._before)
        still = cast("Mask", cv2.bitwise_and(at_least(self._quiet_s, self._params.left_s), mask))
        if not cv2.countNonZero(still):
            return None
        release = np.zeros_like(mask)
        empty = halved(empty)
        outlines, _ = cv2.findContours(still, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            if cv2.contourArea(outline) >= self._params.least_area * mask.size:
                x, y, w, h = cv2.boundingRect(outline)
                left, top = max(0, x - _AROUND), max(0, y - _AROUND)
                part = (slice(top, y + h + _AROUND), slice(left, x + w + _AROUND))
                here = np.zeros_like(still[part])
                cv2.drawContours(here, [outline], -1, 255, cv2.FILLED, offset=(-left, -top))
                here = cast("Mask", cv2.bitwise_and(here, still[part]))
                self._judge(part, here, image, empty, mask, held, release)
        return doubled(release, size) if cv2.countNonZero(release) else None

    def _unchanged(self, image: Image) -> tuple[Image, Image]:
        """The darkest and the brightest colours a pixel may have later, not to have changed."""
        low, high = neighbourhood(image)
        by = np.full_like(image, round(self._params.change))
        return cast("Image", cv2.subtract(low, by)), cast("Image", cv2.add(high, by))

    def _compare(self, image: Image, before: tuple[Image, Image]) -> None:
        """Find what has changed: it is not quiet, and is what later pictures are compared with."""
        beyond = not_between(image, *before)
        if not cv2.countNonZero(beyond):
            return
        where = box_of(beyond, margin=2)
        changed = widened(beyond[where], 1)
        for kept, now in zip(before, self._unchanged(image[where]), strict=True):
            # Elsewhere what it is compared with stays, so that slow changes add up.
            kept[where] = cv2.copyTo(now, changed, kept[where])
        self._quiet_s[where] *= changed == 0

    def _judge(
        self, part: Where, here: Mask, image: Image, empty: Image, mask: Mask, held: Mask, release: Mask
    ) -> None:
        """Add one still shape, which lies in `part`, to what is released, if it was still for as long as it needs."""
        body = _without_holes(mask[part])
        p = self._params
        # Only where the foreground itself ends is there an outline; where still meets moving is none.
        around = widened(here, 1)
        rim = cast("Mask", cv2.bitwise_and(around, cv2.subtract(widened(body, 1), narrowed(body, 1))))
        whole_rim = cv2.subtract(around, narrowed(here, 1))
        if cv2.countNonZero(rim) < p.free * cv2.countNonZero(cast("Mask", whole_rim)):
            return
        now, then = cv2.mean(edges(image[part]), rim)[0], cv2.mean(edges(empty[part]), rim)[0]
        ratio = then / max(now, 0.1)
        if not self._quiet(part, here, self._patience(ratio, whole=True, tracked=False)):
            return  # too soon, whatever else it is; the rest of the questions are costly
        whole = cv2.countNonZero(here) >= p.whole * _area_touching(here, body)
        tracked = cv2.countNonZero(cv2.bitwise_and(here, held[part])) > 0.5 * cv2.countNonZero(here)
        # A shirt like the wall parts a body in two, and each part is a whole shape; not so what somebody has left.
        if tracked:
            seed = np.zeros_like(held)
            seed[part] = here
            _, _, w, h = cv2.boundingRect(here)
            whole = whole and w * h >= p.most * _area_touching(seed, held)
        if self._quiet(part, here, self._patience(ratio, whole=whole, tracked=tracked)):
            release[part] = cv2.bitwise_or(release[part], around)

    def _quiet(self, part: Where, shape: Mask, seconds: float) -> bool:
        """Whether most of a shape, which lies in `part`, has been as it is for so long."""
        long = cv2.bitwise_and(at_least(self._quiet_s[part], seconds), shape)
        return cv2.countNonZero(long) >= _MOST * cv2.countNonZero(shape)

    def _patience(self, ratio: float, *, whole: bool, tracked: bool) -> float:
        """How long a shape must be still (seconds), by how much clearer its outline is in the background."""
        p = self._params
        if ratio > p.left_ratio:
            return p.left_s if whole else p.tracked_s if tracked else p.doubtful_s
        if tracked or not whole:
            return p.tracked_s
        return p.doubtful_s if ratio > p.doubtful_ratio else p.there_s


def _without_holes(mask: Mask) -> Mask:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, 255, cv2.FILLED)
    return filled


def _area_touching(seed: Mask, body: Mask) -> int:
    """How many pixels the parts of the body have that the seed lies in."""
    count, labels = cv2.connectedComponents(body, connectivity=8)
    touched = np.zeros(count, np.bool_)
    touched[labels[seed > 0]] = True
    touched[0] = False
    return int(np.count_nonzero(touched[labels]))
