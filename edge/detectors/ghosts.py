"""Finds foreground that is no person: who was in the first picture and left, what was moved and stays.

A ghost does not move, but neither, nearly, does a person at a table: with a camera's trembling allowed for, one of six
changed in fewer than 0.4% of her pixels over whole seconds. So stillness alone does not tell them apart; where the
outline is does. A body that is there has it in the picture, one that has left in the *background*: the first is waited
for patiently, the second not.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.detectors.blobs import Blob
from edge.detectors.pixels import Image, Mask, above, edges, narrowed, neighbourhood, outside, widened


@dataclass(frozen=True, slots=True)
class GhostParams:
    """When foreground is no person.

    Attributes:
        change: grey levels by which a pixel must differ from its neighbourhood as it was, to have changed.
        still_share: share of a blob's pixels that may have changed since it was first seen still.
        left_ratio, left_s: an outline so many times as strong in the background as in the picture, for so long
            (seconds): someone was there and has left.
        doubtful_ratio, doubtful_s: the same for an outline that is about as strong in both.
        there_s: for one that is stronger in the picture: a thing stands there, for nobody stands like one so long.
    """

    change: float = 20.0
    still_share: float = 0.004
    left_ratio: float = 1.6
    left_s: float = 0.4
    doubtful_ratio: float = 0.85
    doubtful_s: float = 3.0
    there_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Still:
    """A blob that has not changed since a moment, and what its pixels may be without having changed."""

    blob: Blob
    since_s: float
    low: Image
    high: Image


class Ghosts:
    """Remembers what has not moved, from look to look."""

    def __init__(self, params: GhostParams | None = None) -> None:
        self._params = params or GhostParams()
        self.reset()

    def reset(self) -> None:
        """Forget everything: another picture size, or another scene."""
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
        still: list[_Still] = []
        release: Mask | None = None
        around: tuple[Image, Image] | None = None
        for blob in blobs:
            known = max(self._still, key=lambda s: s.blob.overlap(blob), default=None)
            if known is None or not self._unchanged(known, blob, image, mask):
                around = around or neighbourhood(image)
                still.append(_Still(blob, time_s, *around))
            elif time_s - known.since_s < self._patience(image, empty, mask, blob):
                still.append(known)
            else:
                release = np.zeros_like(mask) if release is None else release
                wide = blob.grown(4, mask.shape)
                release[wide] = cv2.bitwise_or(release[wide], widened(mask[wide], 2))
        self._still = still
        return release

    def _unchanged(self, known: _Still, blob: Blob, image: Image, mask: Mask) -> bool:
        if known.blob.overlap(blob) < 0.6:
            return False
        part = blob.part
        body = mask[part]
        changed = above(outside(image[part], known.low[part], known.high[part]), self._params.change)
        share = cv2.countNonZero(cv2.bitwise_and(changed, body)) / max(1, cv2.countNonZero(body))
        return share <= self._params.still_share

    def _patience(self, image: Image, empty: Image, mask: Mask, blob: Blob) -> float:
        """How long the blob must be still to be released (seconds), by where its outline is an edge."""
        wide = blob.grown(6, mask.shape)
        shape = mask[wide]
        band = cv2.subtract(widened(shape, 2), narrowed(shape, 2))
        now, then = cv2.mean(edges(image[wide]), band)[0], cv2.mean(edges(empty[wide]), band)[0]
        ratio = then / max(now, 0.1)
        if ratio > self._params.left_ratio:
            return self._params.left_s
        return self._params.doubtful_s if ratio > self._params.doubtful_ratio else self._params.there_s
