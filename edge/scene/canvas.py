"""Sub-pixel shapes, soft shadows, floor textures, light and noise: what both views draw with.

Everything per frame is a handful of OpenCV calls on small areas, because two boxes and their server share two cores
in the demo. Shapes are drawn with fixed-point coordinates: whole pixels would make slow walkers jerk, and jerks are
what a motion detector sees.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.scene.looks import Colour
from edge.scene.spec import SceneSpec

Image = NDArray[np.uint8]
_SHIFT: Final = 4
_ONE: Final = 1 << _SHIFT


def _fixed(value: float) -> int:
    return round(value * _ONE)


def ellipse(image: Image, x: float, y: float, a: float, b: float, colour: Colour, turned: float = 0.0) -> None:
    """A filled ellipse with half axes `a` and `b` in pixels, turned by radians."""
    cv2.ellipse(
        image,
        (_fixed(x), _fixed(y)),
        (_fixed(max(a, 0.3)), _fixed(max(b, 0.3))),
        float(np.degrees(turned)),
        0.0,
        360.0,
        colour,
        cv2.FILLED,
        cv2.LINE_AA,
        _SHIFT,
    )


def polygon(image: Image, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    """A filled convex polygon."""
    cv2.fillConvexPoly(image, np.round(np.array(points) * _ONE).astype(np.int32), colour, cv2.LINE_AA, _SHIFT)


def limb(image: Image, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
    """A thick line with round ends, as an arm or a leg is."""
    cv2.line(
        image,
        (_fixed(start[0]), _fixed(start[1])),
        (_fixed(end[0]), _fixed(end[1])),
        colour,
        max(1, round(width)),
        cv2.LINE_AA,
        _SHIFT,
    )


_BLOB: Final = np.exp(
    -(np.square(np.linspace(-1.7, 1.7, 64))[:, None] + np.square(np.linspace(-1.7, 1.7, 64))[None, :]) * 1.4
).astype(np.float32)


def shadow(image: Image, x: float, y: float, a: float, b: float, depth: float) -> None:
    """Darken softly around (x, y); `depth` is the share of light taken in the middle."""
    height, width = image.shape[:2]
    left, top = int(x - a), int(y - b)
    wide, high = max(2, int(2 * a)), max(2, int(2 * b))
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, width), min(top + high, height)
    if x0 >= x1 or y0 >= y1:
        return
    blob = cv2.resize(_BLOB, (wide, high), interpolation=cv2.INTER_LINEAR)
    gain = 1.0 - depth * blob[y0 - top : y1 - top, x0 - left : x1 - left]
    part = image[y0:y1, x0:x1]
    part[:] = (part * gain[:, :, None]).astype(np.uint8)


def grain(rng: np.random.Generator, size: tuple[int, int], scale: int, strength: float) -> NDArray[np.float32]:
    """Smooth noise around 0 with features about `scale` pixels wide, shape (height, width)."""
    width, height = size
    small = rng.normal(0, strength, (max(2, height // scale), max(2, width // scale))).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def to_image(values: NDArray[np.float32]) -> Image:
    """Clip to 0..255 and round."""
    image: Image = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return image


class Camera:
    """What lies between a scene and its picture: the light of the moment, blur and sensor noise."""

    def __init__(self, spec: SceneSpec) -> None:
        self._spec = spec
        rng = np.random.default_rng([spec.seed, 11])
        width, height = spec.size
        noise = rng.normal(0, 2.2, (height + 64, width + 64, 3))
        self._lighter: Image = np.clip(noise, 0, 255).astype(np.uint8)
        self._darker: Image = np.clip(-noise, 0, 255).astype(np.uint8)
        self._places = rng.integers(0, 64, (997, 2))
        self._phase = float(rng.uniform(0, 2 * np.pi))

    def gain(self, index: int) -> float:
        """The light's strength in frame `index` against the usual."""
        if self._spec.light == "steady":
            return 1.0
        time_s = index / self._spec.fps
        drift = 0.06 * np.sin(2 * np.pi * time_s / 170 + self._phase)
        # A lamp goes on and off: a step within a third of a second, every 75 seconds or so.
        cycle = (time_s + 40) % 150
        lamp = min(cycle / 0.35, 1.0) if cycle < 75 else max(0.0, 1 - (cycle - 75) / 0.35)
        return float(0.92 + drift + 0.13 * lamp)

    def expose(self, scene: Image, index: int) -> Image:
        """The picture of a scene as the sensor gives it."""
        picture = cv2.GaussianBlur(scene, (3, 3), 0.65)
        gain = self.gain(index)
        if gain != 1.0:
            picture = cv2.convertScaleAbs(picture, alpha=gain)
        x, y = self._places[index % len(self._places)]
        width, height = self._spec.size
        cv2.add(picture, self._lighter[y : y + height, x : x + width], picture)
        cv2.subtract(picture, self._darker[y : y + height, x : x + width], picture)
        return picture.astype(np.uint8, copy=False)
