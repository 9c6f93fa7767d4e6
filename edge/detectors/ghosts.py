"""Finds foreground that is no person: who was in the first picture and left, what was moved and stays.

A ghost does not move, but neither, nearly, does a person at a table: measured over 3 seconds, some frames of a standing
person still change in more than 1.4% of his pixels, of a ghost in fewer than 0.3%. One kind is known sooner: where the
*background* has a body's outline and the picture has not, the body has left, and there is no need to wait.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.detectors.blobs import Blob
from edge.detectors.pixels import Image, Mask, above, difference, edges, narrowed, widened


@dataclass(frozen=True, slots=True)
class GhostParams:
    """When foreground is no person.

    Attributes:
        still_share: share of a blob's pixels that may change between two looks.
        still_s: how long it must have been so (seconds).
        left_s: the same for a blob whose outline is in the background only.
        left_ratio: how much stronger its outline must be there than in the picture.
        change: grey levels by which a pixel changes, over the noise of the camera.
    """

    still_share: float = 0.003
    still_s: float = 3.0
    left_s: float = 0.4
    left_ratio: float = 1.6
    change: float = 14.0


@dataclass(slots=True)
class _Still:
    blob: Blob
    since_s: float


class Ghosts:
    """Remembers what has not moved, from look to look."""

    def __init__(self, params: GhostParams | None = None) -> None:
        self._params = params or GhostParams()
        self.reset()

    def reset(self) -> None:
        """Forget everything: another picture size, or another scene."""
        self._before: Image | None = None
        self._still: list[_Still] = []

    def find(self, image: Image, empty: Image, mask: Mask, blobs: list[Blob], time_s: float) -> Mask | None:
        """Which foreground to release.

        Args:
            image: the picture, BGR uint8, shape (h, w, 3).
            empty: the background, the same.
            mask: the foreground, shape (h, w).
            blobs: what was made of it.
            time_s: of the frame; calls should be some tenths of a second apart.

        Returns:
            255 where the picture is to be taken for empty, shape (h, w); None if nowhere.
        """
        before, self._before = self._before, image.copy()
        if before is None or not blobs:
            self._still = []
            return None
        moved = cv2.bitwise_and(above(difference(image, before), self._params.change), mask)
        still: list[_Still] = []
        release: Mask | None = None
        for blob in blobs:
            part = blob.part
            solid = cv2.countNonZero(mask[part])
            if solid == 0 or cv2.countNonZero(moved[part]) > self._params.still_share * solid:
                continue
            since = min((s.since_s for s in self._still if s.blob.overlap(blob) > 0.6), default=time_s)
            quiet = time_s - since
            if quiet >= self._params.still_s or (
                quiet >= self._params.left_s and self._has_left(image, empty, mask, blob)
            ):
                release = np.zeros_like(mask) if release is None else release
                wide = blob.grown(4, mask.shape)
                release[wide] = cv2.bitwise_or(release[wide], widened(mask[wide], 2))
            else:
                still.append(_Still(blob, since))
        self._still = still
        return release

    def _has_left(self, image: Image, empty: Image, mask: Mask, blob: Blob) -> bool:
        """Whether the blob's outline is an edge of the background and none of the picture."""
        wide = blob.grown(6, mask.shape)
        shape = mask[wide]
        band = cv2.subtract(widened(shape, 2), narrowed(shape, 2))
        now, then = edges(image[wide]), edges(empty[wide])
        return float(cv2.mean(then, band)[0]) > self._params.left_ratio * float(cv2.mean(now, band)[0])
