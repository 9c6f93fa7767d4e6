"""The empty scene, learnt while people are in it.

Ordinary background subtraction learns everywhere, so whoever stands still is absorbed within seconds and leaves a hole
that looks like a person when he walks on; both were counted. Here nothing is learnt under a person. That has a price:
what is once taken for a person stays one, so there are ways back, each for one cause: a change of light is corrected by
the median ratio, a switched light starts the model anew, and a ghost (a person who was in the first picture and left,
a chair that was moved) is released by `forget` once it is known for one.

Works on a picture made small: large people are told as well, and a third of the pixels cost a third.
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
    neighbourhood,
    outside,
    picked,
    sampled,
    widened,
    without_specks,
)
from edge.detectors.shadows import Shadows, Where
from edge.models import Mounting

Floats = NDArray[np.float32]

_OPEN: Final = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
_TORSO: Final = 0.35  # of the picture's height: how far above legs a body may go on
_LEGS: Final = 0.04  # of the picture's height: what stands at least so tall carries a body
_BESIDE: Final = 3  # pixels: how near to what differs clearly it is enough to differ a little
_LEAST_EXPOSURE: Final = 0.4
_GRID: Final = 8  # every so many pixels are enough for a median of the whole picture
_LEAST_GAIN: Final = 0.01  # by which the light must change to be followed
#: For each value, the least that is brighter by as much, and the greatest that is darker.
_VALUES: Final = np.arange(256, dtype=np.float32)
_BRIGHTER: Final = np.ceil(_VALUES * (1 + _LEAST_GAIN)).clip(0, 255).astype(np.uint8)
_DARKER: Final = np.floor(_VALUES * (1 - _LEAST_GAIN)).astype(np.uint8)
_DARKEST: Final = np.zeros(3)  # as OpenCV wants a colour's bounds
_NOT_WHITE: Final = np.full(3, 249.0)


@dataclass(frozen=True, slots=True)
class BackgroundParams:
    """How the empty scene is learnt.

    Attributes:
        learn_s: time constant with which slow changes are taken in (seconds).
        least_contrast: grey levels by which a pixel must differ, in the dark.
        contrast_share: what is added to it, as a share of the pixel's own brightness.
        noise_factor: a pixel must also differ by this many times its usual noise.
        faint: share of that contrast which is enough close to a pixel that has all of it.
        shadow: darkest and lightest share of the background's brightness that a shadow may have.
        shadow_tint: how far its colour may be from the background's, as a share of the brightness.
        clear: grey levels by which a pixel must differ to be as clear as can be.
        upright: whether bodies stand upright in the picture, so that what is above legs is no shadow.
        white: brightness of the brightest tenth of a well lit picture; in a darker one all that is in grey levels is
            taken for as much less.
        relight_share: share of the picture that must change at once for the light to have been switched.
    """

    learn_s: float = 4.0
    least_contrast: float = 9.0
    contrast_share: float = 0.06
    noise_factor: float = 4.0
    faint: float = 0.6
    shadow: tuple[float, float] = (0.5, 1.0)
    shadow_tint: float = 0.09
    clear: float = 64.0
    upright: bool = True
    white: float = 200.0
    relight_share: float = 0.6

    @classmethod
    def for_mounting(cls, mounting: Mounting) -> "BackgroundParams":
        """The default. From above a body takes most of the light from the floor around it, and stands in all ways."""
        return cls(shadow=(0.2, 1.0), clear=160.0, white=140.0, upright=False) if mounting == "overhead" else cls()


class Background:
    """Tells foreground from the empty scene.

    Attributes:
        image: the empty scene as known now, BGR uint8, shape (h, w, 3).
        exposure: its brightness, where 1 is well lit; thresholds in grey levels go with it.
    """

    def __init__(self, first: Image, params: BackgroundParams | None = None) -> None:
        self.params = params or BackgroundParams()
        self._start(first)

    def _start(self, image: Image) -> None:
        self._mean: Floats = image.astype(np.float32)
        self._noise: Floats = np.full(image.shape[:2], 1.0, np.float32)
        self._foreground: Mask = np.zeros(image.shape[:2], np.uint8)
        self._where: Where = (slice(0, 0), slice(0, 0))  # a box it lies in
        self._differ: Mask = self._foreground  # by how many grey levels the last picture differs from what is known
        self._wide_since: float | None = None
        self._shadows: Shadows | None = None
        self._refresh()

    def _make_threshold(self) -> Mask:
        p = self.params
        bright = self._bright = brightest(self.image)
        # A camera that gives half the brightness gives half the contrast: what is in grey levels goes by its white.
        white = _nth(sampled(bright, _GRID).ravel(), 0.9)
        self.exposure = min(max(white / p.white, _LEAST_EXPOSURE), 1.0)
        contrast = cv2.convertScaleAbs(bright, alpha=p.contrast_share, beta=p.least_contrast * self.exposure)
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
        mask, where = self._beyond_noise(image)
        share = cv2.countNonZero(mask[where]) / mask.size
        if self._relit(share, time_s):
            self._start(image)
            return self._foreground
        if share > 0:
            self._remove_shadow(image, mask, _within(where, box_of(mask[where])))
            mask[where] = without_specks(mask[where])
        self._foreground, self._where = mask, where
        return mask

    def _beyond_noise(self, image: Image) -> tuple[Mask, Where]:
        """Pixels that differ clearly, and those that differ a little beside them: a dark trouser leg on a dark sill.

        Returns a box, too, which they lie in, with nothing on its rim.
        """
        self._differ = outside(image, self._low, self._high)
        clear = cast("Mask", cv2.compare(self._differ, self._clear, cv2.CMP_GT))
        where = box_of(clear, margin=_BESIDE + 1)
        if where[0].stop <= _BESIDE + 1:  # nothing at all
            return clear, (slice(0, 0), slice(0, 0))
        faint = cv2.compare(self._differ[where], self._faint[where], cv2.CMP_GT)
        clear[where] = cv2.bitwise_and(faint, widened(clear[where], _BESIDE))
        return clear, where

    def _follow_light(self, image: Image) -> None:
        """Scale the model by the median ratio of what is not foreground: clouds, dimmers, a camera's own exposure."""
        now = sampled(image, _GRID)
        usable = cv2.inRange(now, _DARKEST, _NOT_WHITE)
        someone = above(sampled(self._foreground, _GRID), 0)
        usable = cast("Mask", cv2.subtract(cv2.bitwise_and(usable, self._lit), someone))
        count = cv2.countNonZero(usable)
        if count < 40 or self._as_bright(now, usable, count):
            return
        places = np.flatnonzero(usable > 0)
        known = picked(self._samples, places).astype(np.float32)
        gain = _medians(picked(now, places).astype(np.float32) / known)
        if np.abs(gain - 1).max() < _LEAST_GAIN:
            return
        gain = np.clip(gain, 0.4, 2.5)
        self._mean *= gain.astype(np.float32)
        self._refresh()

    def _as_bright(self, now: Image, usable: Mask, count: int) -> bool:
        """Whether fewer than half the samples are that much brighter or darker: no median is, and none is worked out.

        Nearly always so, and counting takes a fifth of the time of dividing and sorting.
        """
        most = 255 * (0.5 - 1 / count)
        brighter = cv2.mean(cv2.compare(now, self._brighter, cv2.CMP_GE), usable)
        darker = cv2.mean(cv2.compare(now, self._darker, cv2.CMP_LE), usable)
        return max(brighter) < most and max(darker) < most

    def _relit(self, share: float, time_s: float) -> bool:
        """Whether nearly everything has changed and stays changed: another light, not a crowd."""
        if share < self.params.relight_share:
            self._wide_since = None
            return False
        if self._wide_since is None:
            self._wide_since = time_s
        return time_s - self._wide_since >= 0.4

    def _remove_shadow(self, image: Image, mask: Mask, where: Where) -> None:
        """Clear from the mask, which has something only in a box, what is only a shadow."""
        if self._shadows is None:  # made when first asked for since the background changed
            p = self.params
            self._shadows = Shadows(self.image, self._bright, self.exposure, p.shadow, p.shadow_tint)
        solid = self._shadows.none_at(image, mask, where)
        body = without_specks(solid)
        if not self.params.upright:
            mask[where] = body
            return
        # A grey shirt before a white wall looks like a shadow; but shadows lie at the feet, and it has legs below.
        legs, torso = max(3, round(_LEGS * len(image))), max(3, round(_TORSO * len(image)))
        upright = cv2.erode(body, np.ones((legs, 1), np.uint8))
        carried = cv2.dilate(upright, np.ones((torso, 1), np.uint8), anchor=(0, 0))
        mask[where] = cv2.bitwise_or(body, cv2.bitwise_and(mask[where], carried))

    def strength(self) -> Mask:
        """How clearly each pixel of the last foreground differs, to a limit; 0 where there is none; shape (h, w)."""
        strength = np.zeros_like(self._foreground)
        where = self._where
        if where[0].stop > where[0].start:
            limited = cv2.threshold(self._differ[where], self.params.clear * self.exposure, 255, cv2.THRESH_TRUNC)[1]
            strength[where] = cv2.bitwise_and(limited, self._foreground[where])
        return strength

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
        self._differ = outside(image, self._low, self._high)

    def _refresh(self) -> None:
        """Work out what follows from the learnt mean and noise."""
        self.image = np.asarray(cv2.convertScaleAbs(self._mean), np.uint8)
        # A camera that trembles by a pixel, and video's own shimmer, move edges: near one, either side's value will do.
        self._low, self._high = neighbourhood(self.image)
        self._clear = self._make_threshold()
        self._faint = cast("Mask", cv2.convertScaleAbs(self._clear, alpha=self.params.faint))
        self._shadows = None
        samples = sampled(self.image, _GRID)
        self._lit = above(darkest(samples), 16)
        self._samples = samples
        self._brighter = cast("Image", cv2.LUT(samples, _BRIGHTER))
        self._darker = cast("Image", cv2.LUT(samples, _DARKER))


def _within(box: Where, part: Where) -> Where:
    """A part of a box, whose rows and columns are counted from the box's first, in those of the whole picture."""
    (rows, columns), (some_rows, some_columns) = box, part
    return (
        slice(rows.start + some_rows.start, min(rows.start + some_rows.stop, rows.stop)),
        slice(columns.start + some_columns.start, min(columns.start + some_columns.stop, columns.stop)),
    )


def _nth(values: Mask, share: float) -> float:
    """The value that this share of others is below; numpy's own percentile takes twenty times as long."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])


def _medians(values: Floats) -> Floats:
    """Median of each column of (n, 3); by rows, and once sorted only as far as is needed, in half numpy's time."""
    rows = np.ascontiguousarray(values.T)
    low, high = (len(values) - 1) // 2, len(values) // 2
    rows.partition((low, high), axis=1)
    return cast("Floats", (rows[:, low] + rows[:, high]) / 2)
