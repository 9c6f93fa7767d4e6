"""The empty scene, learnt while people are in it.

Ordinary background subtraction learns everywhere, so whoever stands still is absorbed within seconds and leaves a hole
that looks like a person when he walks on; both were counted. Here nothing is learnt under a person. That has a price:
what is once taken for a person stays one, so there are ways back, each for one cause: a change of light is corrected by
the median ratio, a switched light starts the model anew, and a ghost (a person who was in the first picture and left,
a chair that was moved) is released by `forget` once it is known for one.

Works on a picture made small by a whole factor (a fraction costs eight times as much).
"""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.pixels import (
    Image,
    Mask,
    above,
    box_of,
    brightest,
    darkest,
    difference,
    edges,
    exceeds,
    grey,
    widened,
)

Floats = NDArray[np.float32]

_OPEN: Final = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
_UNIT: Final = 200.0  # a ratio of 1, held in a byte
_GRID: Final = 6  # every so many pixels are enough for a median of the whole picture


@dataclass(frozen=True, slots=True)
class BackgroundParams:
    """How the empty scene is learnt.

    Attributes:
        learn_s: time constant with which slow changes are taken in (seconds).
        least_contrast: grey levels by which a pixel must differ, in the dark.
        contrast_share: what is added to it, as a share of the pixel's own brightness.
        noise_factor: a pixel must also differ by this many times its usual noise.
        shadow: darkest and lightest ratio to the background that a shadow may have.
        shadow_tint: how far the ratios of the three colours may lie apart in a shadow.
        relight_share: share of the picture that must change at once for the light to have been switched.
    """

    learn_s: float = 4.0
    least_contrast: float = 9.0
    contrast_share: float = 0.06
    noise_factor: float = 4.0
    shadow: tuple[float, float] = (0.5, 0.97)
    shadow_tint: float = 0.12
    relight_share: float = 0.6


class Background:
    """Tells foreground from the empty scene.

    Attributes:
        image: the empty scene as known now, BGR uint8, shape (h, w, 3).
    """

    def __init__(self, first: Image, params: BackgroundParams | None = None) -> None:
        self.params = params or BackgroundParams()
        self._start(first)

    def _start(self, image: Image) -> None:
        self._mean: Floats = image.astype(np.float32)
        self.image: Image = image.copy()
        self._noise: Floats = np.full(image.shape[:2], 1.0, np.float32)
        self._foreground: Mask = np.zeros(image.shape[:2], np.uint8)
        self._differ: Mask = np.zeros(image.shape[:2], np.uint8)
        self._threshold: Mask = self._make_threshold()
        self._wide_since: float | None = None

    def _make_threshold(self) -> Mask:
        p = self.params
        contrast = cv2.convertScaleAbs(brightest(self.image), alpha=p.contrast_share, beta=p.least_contrast)
        noise = cv2.convertScaleAbs(self._noise, alpha=p.noise_factor, beta=2.0)
        return np.asarray(cv2.max(contrast, noise), np.uint8)

    def foreground(self, image: Image, time_s: float) -> Mask:
        """What does not belong to the empty scene, shadows left out.

        Args:
            image: BGR uint8, of the size of the first.
            time_s: of the frame, on the stream's clock.

        Returns:
            255 where something is, else 0; shape (h, w).
        """
        self._follow_light(image)
        self._differ = difference(image, self.image)
        mask = exceeds(self._differ, self._threshold)
        share = cv2.countNonZero(mask) / mask.size
        if self._relit(share, time_s):
            self._start(image)
            return self._foreground
        if share > 0:
            self._remove_shadow(image, mask)
            mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _OPEN), np.uint8)
        self._foreground = mask
        return mask

    def _follow_light(self, image: Image) -> None:
        """Scale the model by the median ratio of what is not foreground: clouds, dimmers, a camera's own exposure."""
        now = image[::_GRID, ::_GRID].astype(np.float32)
        then = self.image[::_GRID, ::_GRID].astype(np.float32)
        usable = (then.min(axis=2) > 16) & (now.max(axis=2) < 250) & (self._foreground[::_GRID, ::_GRID] == 0)
        if np.count_nonzero(usable) < 40:
            return
        gain = np.median(now[usable] / then[usable], axis=0)
        if np.abs(gain - 1).max() < 0.01:
            return
        gain = np.clip(gain, 0.4, 2.5)
        self._mean *= gain.astype(np.float32)
        self.image = np.asarray(cv2.convertScaleAbs(self._mean), np.uint8)

    def _relit(self, share: float, time_s: float) -> bool:
        """Whether nearly everything has changed and stays changed: another light, not a crowd."""
        if share < self.params.relight_share:
            self._wide_since = None
            return False
        if self._wide_since is None:
            self._wide_since = time_s
        return time_s - self._wide_since >= 0.4

    def _remove_shadow(self, image: Image, mask: Mask) -> None:
        """Clear from the mask what is only darker than the background, evenly in all colours, and without new edges."""
        where = box_of(mask)
        part, empty = image[where], self.image[where]
        ratio = cast("Image", cv2.divide(part, empty, scale=_UNIT))
        least = darkest(ratio)
        dark, light = self.params.shadow
        solid = cv2.bitwise_not(cv2.inRange(least, np.array(_UNIT * dark), np.array(_UNIT * light)))
        tinted = above(cast("Mask", cv2.subtract(brightest(ratio), least)), _UNIT * self.params.shadow_tint)
        black = cv2.bitwise_not(above(grey(empty), 24.0))
        keep = cv2.bitwise_or(cv2.bitwise_or(solid, tinted), cv2.bitwise_or(black, _new_edges(part, empty)))
        mask[where] = cv2.bitwise_and(mask[where], keep)

    def learn(self, image: Image, keep: Mask, elapsed_s: float) -> None:
        """Take in what is empty.

        Args:
            image: the frame last given to `foreground`.
            keep: 255 where someone may be, though nothing was found there; changed by this call.
            elapsed_s: seconds since this was last called.
        """
        rate = float(1 - np.exp(-elapsed_s / self.params.learn_s))
        cv2.bitwise_or(keep, cv2.dilate(self._foreground, _OPEN, iterations=2), keep)
        empty = cv2.bitwise_not(keep)
        cv2.accumulateWeighted(image, self._mean, rate, empty)
        cv2.accumulateWeighted(self._differ, self._noise, rate, empty)
        self._refresh()

    def forget(self, image: Image, where: Mask) -> None:
        """Take the picture as it is for empty where the mask is not 0: a ghost is released."""
        cv2.copyTo(image.astype(np.float32), where, self._mean)
        self._foreground[where > 0] = 0
        self._refresh()

    def _refresh(self) -> None:
        self.image = np.asarray(cv2.convertScaleAbs(self._mean), np.uint8)
        self._threshold = self._make_threshold()


def _new_edges(part: Image, empty: Image) -> Mask:
    """255 near edges that the empty scene has not; a shadow's own border is soft and does not show."""
    return widened(above(cast("Mask", cv2.subtract(edges(part), edges(empty))), 30.0), 1)
