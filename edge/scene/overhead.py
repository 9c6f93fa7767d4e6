"""A door seen straight from above: paving outside, a threshold, a mat and boards within, and people's shoulders.

Higher parts of a body lie a little further from the middle of the picture than its feet, as under a real lens; the
body's centre stays where the walker is, so that the truth needs no correction.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from edge.models import Anchor
from edge.scene.canvas import Image, ellipse, grain, limb, polygon, shadow, to_image
from edge.scene.cast import Walker
from edge.scene.looks import shaded
from edge.scene.spec import SceneSpec

_WIDTH_M: Final = 4.6


class Overhead:
    """Draws walkers from above."""

    def __init__(self, spec: SceneSpec) -> None:
        width, height = spec.size
        self._size = spec.size
        self._scale = width / _WIDTH_M
        self._middle = (width / 2, height / 2)
        self.background = _floor(spec, self._scale)

    def anchor(self, place: tuple[float, float], height_m: float, anchor: Anchor | None) -> tuple[float, float]:
        """Where a walker's body is in fractions of the frame; from above all its anchors coincide."""
        del height_m, anchor
        x, y = self._pixel(*place)
        return x / self._size[0], y / self._size[1]

    def draw(self, image: Image, walkers: Sequence[tuple[Walker, int]]) -> None:
        """Draw walkers (each with the index into its own track) over the background in `image`."""
        for walker, at in walkers:
            x, y = self._pixel(*walker.place[at])
            reach = 0.62 * self._scale
            shadow(image, x + 0.1 * self._scale, y + 0.14 * self._scale, reach, reach * 0.92, 0.42)
        for walker, at in sorted(walkers, key=lambda one: one[0].look.height_m):
            self._person(image, walker, at)

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return self._middle[0] + x * self._scale, self._middle[1] + y * self._scale

    def _person(self, image: Image, walker: Walker, at: int) -> None:
        look, s = walker.look, self._scale
        x, y = self._pixel(*walker.place[at])
        turned = float(walker.heading[at])
        swing = float(np.sin(walker.step[at]))
        ahead, side = (np.cos(turned), np.sin(turned)), (-np.sin(turned), np.cos(turned))

        def spot(forward: float, sideways: float, lean: float) -> tuple[float, float]:
            """A point of the body, `lean` further from the picture's middle than the shoulders."""
            return (
                x + (ahead[0] * forward + side[0] * sideways) * s + (x - self._middle[0]) * lean,
                y + (ahead[1] * forward + side[1] * sideways) * s + (y - self._middle[1]) * lean,
            )

        half = 0.235 * look.build
        for foot in (1, -1):
            fx, fy = spot(0.27 * swing * foot, 0.09 * foot, -0.06)
            ellipse(image, fx, fy, 0.135 * s, 0.055 * s, look.shoes, turned)
            kx, ky = spot(0.13 * swing * foot, 0.09 * foot, -0.03)
            ellipse(image, kx, ky, 0.12 * s, 0.085 * s, shaded(look.legs, 0.9), turned)
        if look.coat:
            cx, cy = spot(-0.04, 0, -0.02)
            ellipse(image, cx, cy, 0.19 * s, (half + 0.01) * s, shaded(look.top, 0.72), turned)
        for arm in (1, -1):
            shoulder, hand = spot(0, half * arm, 0), spot(-0.21 * swing * arm, (half + 0.035) * arm, -0.03)
            limb(image, shoulder, hand, 0.095 * s, shaded(look.top, 0.84))
            ellipse(image, *hand, 0.045 * s, 0.04 * s, look.skin, turned)
        if look.bag in {"shoulder", "shopping"}:
            bx, by = spot(-0.04 + 0.08 * swing, half + 0.12, -0.04)
            _box(image, bx, by, 0.15 * s, (0.055 if look.bag == "shoulder" else 0.08) * s, turned, look.bag_colour)
        ellipse(image, x, y, 0.135 * s, half * s, shaded(look.top, 0.82), turned)
        ellipse(image, *spot(0.012, 0, 0.006), 0.105 * s, half * 0.9 * s, look.top, turned)
        ellipse(image, *spot(0.02, -half * 0.45, 0.008), 0.05 * s, half * 0.34 * s, shaded(look.top, 1.12), turned)
        if look.bag == "backpack":
            bx, by = spot(-0.15, 0, 0)
            _box(image, bx, by, 0.08 * s, 0.15 * s, turned, look.bag_colour)
            _box(image, bx, by, 0.05 * s, 0.11 * s, turned, shaded(look.bag_colour, 1.25))
        hx, hy = spot(0.045, 0, 0.035)
        if look.long_hair:
            ellipse(image, *spot(-0.03, 0, 0.025), 0.105 * s, 0.1 * s, shaded(look.hair, 0.9), turned)
        ellipse(image, *spot(0.105, 0, 0.033), 0.045 * s, 0.05 * s, look.skin, turned)
        ellipse(image, hx, hy, 0.105 * s, 0.082 * s, look.hair, turned)
        gloss = tuple(min(255, part + 26) for part in look.hair)
        ellipse(image, hx - 0.02 * s, hy - 0.025 * s, 0.045 * s, 0.03 * s, (gloss[0], gloss[1], gloss[2]), turned)


def _box(
    image: Image, x: float, y: float, along: float, across: float, turned: float, colour: tuple[int, int, int]
) -> None:
    cos, sin = float(np.cos(turned)), float(np.sin(turned))
    corners = ((along, across), (along, -across), (-along, -across), (-along, across))
    polygon(image, [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners], colour)


def _floor(spec: SceneSpec, scale: float) -> Image:
    """Paving, threshold, mat and boards, with the light of the street falling in."""
    width, height = spec.size
    rng = np.random.default_rng([spec.seed, 3])
    sill = height / 2
    floor = np.empty((height, width, 3), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    # Outside: slabs in half bond, each a little different.
    slab = 0.6 * scale
    row_no = np.floor((rows - sill) / slab).astype(int)
    column_no = np.floor((columns + (row_no % 2) * slab / 2) / slab).astype(int)
    tint = rng.normal(0, 5, (64, 64))[row_no % 64, column_no % 64]
    joints = (np.abs((rows - sill) % slab) < 1.3) | (np.abs((columns + (row_no % 2) * slab / 2) % slab) < 1.3)
    paving = 148 + tint - 26 * joints
    # Inside: boards along the way in.
    board = 0.19 * scale
    board_no = np.floor(columns / board).astype(int) + 0 * row_no
    ends = np.abs((rows + board_no * 1.37 * scale) % (1.6 * scale)) < 1.0
    fibre = grain(rng, (width, height), 2, 3.0)
    boards = 122 + rng.normal(0, 7, 64)[board_no % 64] - 22 * ((columns % board) < 1.1) - 18 * ends + fibre
    outside = rows < sill
    for channel, (stone, wood) in enumerate(((0.99, 0.68), (0.985, 0.9), (0.97, 1.14))):
        floor[:, :, channel] = np.where(outside, paving * stone, boards * wood)
    floor += grain(rng, (width, height), 24, 3.5)[:, :, None]
    left, right = 0.5 * width - 1.55 * scale, 0.5 * width + 1.55 * scale
    # Mat: ribbed rubber just inside.
    mat = (rows > sill + 0.16 * scale) & (rows < sill + 1.02 * scale) & (columns > left + 0.2 * scale)
    mat = mat & (columns < right - 0.2 * scale)
    ribs = 66 + 7 * np.sin(rows * 2 * np.pi / max(3.0, 0.05 * scale)) + 0 * columns
    floor[mat] = (ribs[mat, None] * np.array([1.02, 1.0, 0.98], np.float32)) + fibre[mat, None]
    # Threshold and the track of the sliding doors.
    floor[np.broadcast_to(np.abs(rows - sill) < 0.075 * scale, (height, width))] = (158, 160, 162)
    floor[np.broadcast_to(np.abs(rows - sill) < 0.018 * scale, (height, width))] = (84, 86, 88)
    street = np.clip(1 - (rows - sill) / (1.7 * scale), 0, 1) * (rows >= sill) + (rows < sill)
    floor *= 0.86 + 0.2 * street[:, :, None]
    across = (columns - width / 2) / width
    floor *= (1.04 - 0.5 * across**2 - 0.12 * ((rows - height / 2) / height) ** 2)[:, :, None]
    image = to_image(floor)
    # Walls to both sides, and the open glass leaves before them.
    for edge, sign in ((left, -1), (right, 1)):
        wall = (0 if sign < 0 else edge, sill - 0.13 * scale, edge if sign < 0 else width, sill + 0.13 * scale)
        x0, y0, x1, y1 = (round(value) for value in wall)
        shadow(image, (x0 + x1) / 2, sill + 0.2 * scale, (x1 - x0) * 0.9, 0.4 * scale, 0.35)
        cv2.rectangle(image, (x0, y0), (x1, y1), (196, 200, 202), cv2.FILLED, cv2.LINE_AA)
        cv2.rectangle(image, (x0, y0), (x1, y1), (128, 132, 136), 1, cv2.LINE_AA)
        limb(
            image,
            (edge, sill - 0.1 * scale),
            (edge + sign * 0.9 * scale, sill - 0.1 * scale),
            0.05 * scale,
            (186, 178, 150),
        )
    return image
