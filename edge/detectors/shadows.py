"""Tells a shadow on the empty scene from something that stands before it.

A shadow is the background's own colour with less light, and it has no edges but its soft border. Where the background
is so bright that the camera's values end, a colour is not known: half of white 255 may well be the shadow of what would
be 300. There only what the shadow could not be is evidence; held against it in full, each shadow on an overexposed wall
was a person.
"""

from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.pixels import Image, Mask, above, darkest, edges_of, grey, picked, widened

Floats = NDArray[np.float32]
Where = tuple[slice, slice]

_NEW_EDGE: Final = 30.0  # grey levels by which an edge is one that the empty scene has not
_ENDS: Final = 250  # from here on a channel's value may stand for any brighter one
_MARGIN: Final = 0.1  # by which brightness to the eye may be off what is reckoned from all colours
_TINT: Final = 4.0  # grey levels that a colour may be off by itself


class Shadows:
    """The test, made ready for one state of the empty scene.

    Args:
        empty: the empty scene, BGR uint8, shape (h, w, 3).
        bright: its brightest colour, pixel by pixel, shape (h, w).
        exposure: what levels in grey values are multiplied with.
        brightness: darkest and lightest share of the background's brightness that a shadow may have.
        tint: how far its colour may be from the background's, as a share of the brightness.
    """

    def __init__(
        self, empty: Image, bright: Mask, exposure: float, brightness: tuple[float, float], tint: float
    ) -> None:
        self._grey = grey(empty)
        self._edges = edges_of(self._grey)
        self._exposure, self._brightness, self._tint = exposure, brightness, tint
        self._new_edge = _NEW_EDGE * exposure
        self._empty = empty
        self._darkest = cv2.convertScaleAbs(self._grey, alpha=brightness[0] - _MARGIN)
        self._lightest = cv2.convertScaleAbs(self._grey, alpha=brightness[1] + _MARGIN, beta=_TINT * exposure)
        # Where some channels end and others do not; of white nothing is known but that it is no colour.
        self._ended = above(bright, _ENDS - 1.0)
        if cv2.countNonZero(self._ended):
            self._ended = cast("Mask", cv2.subtract(self._ended, above(darkest(empty), _ENDS - 1.0)))
        self._some_ended = cv2.countNonZero(self._ended) > 0

    def none_at(self, image: Image, mask: Mask, where: Where) -> Mask:
        """Where something else than a shadow is.

        Args:
            image: the picture, of the size of the empty scene.
            mask: what is in question, shape (h, w).
            where: rows and columns that are looked at.

        Returns:
            255 where the mask is and the picture is neither the background's colour with less light nor smooth, else 0.

        Brightness is the share of the background's colour that a pixel has, tint its distance from that colour's line
        through black. Source: Horprasert, Harwood, Davis, A statistical approach for real-time robust background
        subtraction and shadow detection, 1999.
        """
        part = mask[where]
        now = grey(image[where])
        new = cv2.subtract(edges_of(now), self._edges[where])
        keep = cast("Mask", cv2.bitwise_and(part, widened(above(cast("Mask", new), self._new_edge), 1)))
        # Only what is in question is worked on, and is neither much lighter nor much darker than any shadow.
        likely = cv2.inRange(now, self._darkest[where], self._lightest[where])
        likely = cv2.subtract(cv2.bitwise_and(part, likely), keep)
        places = np.flatnonzero(cv2.threshold(likely, 0, 1, cv2.THRESH_BINARY)[1].view(np.bool_))
        keep = cast("Mask", cv2.subtract(part, likely))
        if not len(places):
            return keep
        seen, colours = picked(image[where], places).astype(np.float32), picked(self._empty[where], places)
        empty = colours.astype(np.float32)
        square = np.maximum(_sums(empty * empty), 1.0)
        along = _sums(seen * empty)
        share = along / square
        off = _sums(seen * seen) - along * share
        if self._some_ended:
            ended = np.flatnonzero(self._ended[where].ravel().take(places))
            share[ended], off[ended] = _apart_from_ended(seen.take(ended, axis=0), empty.take(ended, axis=0))
        dark, light = self._brightness
        allowed = (_TINT * self._exposure + self._tint * np.sqrt(square)) ** 2
        shadow = (share > dark) & (share < light) & (off < allowed)
        keep.reshape(-1)[places] = ~shadow * np.uint8(255)
        return keep


def _apart_from_ended(seen: Floats, empty: Floats) -> tuple[Floats, Floats]:
    """Brightness and squared distance in colour, both from channels that do not end, where there is one.

    In those that do no shadow goes below what is left of the brightest value that is known, but may lie above it.
    """
    ended = empty >= _ENDS
    known: Floats = empty * ~ended
    share = np.asarray(_sums(seen * known) / np.maximum(_sums(known * known), 1.0), np.float32)
    off: Floats = seen - share[:, None] * empty
    np.minimum(off, 0, out=off, where=ended)
    return share, _sums(off * off)


def _sums(colours: Floats) -> Floats:
    """Sum of the three colours of each pixel, shape (n, 3) to (n,); numpy's own sum takes seven times as long."""
    return colours @ np.ones(3, np.float32)
