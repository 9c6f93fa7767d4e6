"""A door seen obliquely, from a camera above the tills that looks towards the street.

People come out of the light of the street through the opening, small, and grow as they walk towards the camera; the
wall hides whoever is outside and not in the opening. Points are projected through a pinhole, so sizes, steps and the
true feet all come from one place.
"""

from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np

from edge.models import Anchor
from edge.scene.canvas import Image, ellipse, grain, limb, polygon, shadow, to_image
from edge.scene.cast import Walker
from edge.scene.looks import Colour, shaded
from edge.scene.spec import SceneSpec

_CAMERA_M: Final = 3.1
_LINE_M: Final = 6.4  # from below the camera to the door line, along the floor
_WALL_Y: Final = -0.75  # the wall with the opening, just outside the line
_OPENING_M: Final = (1.75, 2.35)  # half its width, and its height
_PITCH: Final = float(np.arctan2(_CAMERA_M, _LINE_M))  # the line lies at half height

Pixel = tuple[float, float]
#: Metres ahead of a body, to its left and above the floor, to a pixel.
_Spot = Callable[[float, float, float], Pixel]


class Oblique:
    """Draws walkers as seen from across the shop."""

    def __init__(self, spec: SceneSpec) -> None:
        self._size = spec.size
        width, height = spec.size
        self._focal = 0.8 * width
        self._middle = (width / 2, height / 2)
        self._cos, self._sin = float(np.cos(_PITCH)), float(np.sin(_PITCH))
        self.background, self._wall = self._room(spec)

    def anchor(self, place: tuple[float, float], height_m: float, anchor: Anchor | None) -> tuple[float, float]:
        """Feet, middle or head of a walker in fractions of the frame; feet where none is named."""
        share = {"feet": 0.0, "centre": 0.5, "head": 1.0}[anchor or "feet"]
        x, y = self.project(place[0], place[1], share * height_m)
        return x / self._size[0], y / self._size[1]

    def project(self, x: float, y: float, z: float) -> Pixel:
        """Pixel of a point `x` to the right, `y` inward from the line, `z` above the floor (metres)."""
        ahead, down = _LINE_M - y, _CAMERA_M - z
        depth = max(ahead * self._cos + down * self._sin, 0.2)
        across = self._focal / depth
        return self._middle[0] + across * x, self._middle[1] + across * (down * self._cos - ahead * self._sin)

    def _scale(self, y: float) -> float:
        """Pixels a metre at breast height over the floor at `y`."""
        return self._focal / max((_LINE_M - y) * self._cos + (_CAMERA_M - 1.0) * self._sin, 0.2)

    def draw(self, image: Image, walkers: Sequence[tuple[Walker, int]]) -> None:
        """Draw walkers (each with the index into its own track), those far away first."""
        ordered = sorted(walkers, key=lambda one: float(one[0].place[one[1], 1]))
        outside = [one for one in ordered if one[0].place[one[1], 1] < _WALL_Y]
        for walker, at in outside:
            self._person(image, walker, at)
        if outside:
            cv2.copyTo(self.background, self._wall, image)
        for walker, at in ordered[len(outside) :]:
            x, y = self.project(float(walker.place[at, 0]), float(walker.place[at, 1]), 0)
            wide = 0.5 * self._scale(float(walker.place[at, 1]))
            shadow(image, x, y, wide, wide * 0.42, 0.45)
        for walker, at in ordered[len(outside) :]:
            self._person(image, walker, at)

    def _person(self, image: Image, walker: Walker, at: int) -> None:
        """Legs, bag behind, body, arms, head: from what is farther to what is nearer."""
        look = walker.look
        x, y = float(walker.place[at, 0]), float(walker.place[at, 1])
        s = self._scale(y)
        if _LINE_M - y < 0.3:
            return
        turned = float(walker.heading[at])
        sideways, inward = float(np.cos(turned)), float(np.sin(turned))
        swing, lift = float(np.sin(walker.step[at])), abs(float(np.cos(walker.step[at])))
        tall = look.height_m
        bob = 0.018 * lift

        def spot(forward: float, side: float, up: float) -> Pixel:
            """A point of the body: metres ahead of it, to its left, and above the floor."""
            return self.project(x + sideways * forward - inward * side, y + inward * forward + sideways * side, up)

        hip, shoulder = 0.5 * tall + bob, 0.81 * tall + bob
        broad = look.build
        for leg in (1, -1) if inward * swing < 0 else (-1, 1):
            stride = 0.3 * swing * leg
            raised = max(0.0, -swing * leg) * 0.05
            top, knee = spot(0, 0.085 * leg, hip), spot(stride * 0.62 + 0.03, 0.09 * leg, 0.27 * tall)
            foot = spot(stride, 0.08 * leg, 0.05 + raised)
            limb(image, top, knee, 0.16 * broad * s, shaded(look.legs, 0.94 if leg > 0 else 0.8))
            limb(image, knee, foot, 0.125 * broad * s, shaded(look.legs, 0.9 if leg > 0 else 0.76))
            toe = spot(stride + 0.1, 0.08 * leg, 0.03 + raised)
            limb(image, foot, toe, 0.085 * s, look.shoes)
        if look.bag == "backpack" and inward > 0:
            self._pack(image, spot(-0.16, 0, 0.68 * tall), s, look.bag_colour)
        for arm in (1, -1):
            self._arm(image, spot, arm, swing, shoulder, s, look.top, look.skin)
        self._torso(image, spot, broad, (0.28 if look.coat else 0.47) * tall, shoulder, look.top)
        if look.bag == "backpack" and inward <= 0:
            self._pack(image, spot(-0.16, 0, 0.68 * tall), s, look.bag_colour)
        elif look.bag in {"shoulder", "shopping"}:
            low = 0.42 * tall if look.bag == "shoulder" else 0.25 * tall
            bx, by = spot(0.03 * swing, 0.3, low)
            w, h = (0.1 * s, 0.1 * s) if look.bag == "shoulder" else (0.13 * s, 0.16 * s)
            limb(
                image, spot(0, 0.24, shoulder if look.bag == "shoulder" else 0.42 * tall), (bx, by - h), 1, (50, 50, 54)
            )
            polygon(image, [(bx - w, by - h), (bx + w, by - h), (bx + w * 0.94, by + h), (bx - w * 0.94, by + h)],
                    look.bag_colour)  # fmt: skip
        hx, hy = spot(0.03, 0, 0.925 * tall + bob)
        facing = inward > 0.15
        if look.long_hair:
            low = 0.03 if facing else 0.09
            ellipse(image, hx, hy + low * s, 0.122 * s, (0.145 if facing else 0.19) * s, shaded(look.hair, 0.9))
        limb(image, spot(0.01, 0, shoulder - 0.02), (hx, hy + 0.05 * s), 0.1 * s, shaded(look.skin, 0.85))
        ellipse(image, hx, hy, 0.098 * s, 0.125 * s, look.skin if facing else look.hair)
        # Seen from above, hair covers the crown; seen from behind, all of the head.
        ellipse(image, hx - sideways * 0.02 * s, hy - 0.052 * s, 0.104 * s, 0.088 * s, look.hair)

    def _torso(self, image: Image, spot: _Spot, broad: float, low: float, shoulder: float, colour: Colour) -> None:
        half_top, half_low = 0.205 * broad, 0.165 * broad
        left, right = spot(0, half_top, shoulder - 0.03), spot(0, -half_top, shoulder - 0.03)
        low_left, low_right = spot(0, half_low, low), spot(0, -half_low, low)
        # Seen from the side the body is narrower, but never a blade.
        least = 0.11 * abs(low_left[1] - left[1]) / 0.34
        middle_top, middle_low = (left[0] + right[0]) / 2, (low_left[0] + low_right[0]) / 2
        wide_top = max(abs(left[0] - right[0]) / 2, least)
        wide_low = max(abs(low_left[0] - low_right[0]) / 2, least * 0.95)
        top, bottom = (left[1] + right[1]) / 2, (low_left[1] + low_right[1]) / 2
        polygon(
            image,
            [
                (middle_top - wide_top * 0.8, top - 0.1 * wide_top),
                (middle_top + wide_top * 0.8, top - 0.1 * wide_top),
                (middle_top + wide_top, top + 0.35 * wide_top),
                (middle_low + wide_low, bottom),
                (middle_low - wide_low, bottom),
                (middle_top - wide_top, top + 0.35 * wide_top),
            ],
            colour,
        )
        polygon(
            image,
            [
                (middle_top + wide_top * 0.25, top + 0.2 * wide_top),
                (middle_top + wide_top * 0.98, top + 0.4 * wide_top),
                (middle_low + wide_low * 0.98, bottom),
                (middle_low + wide_low * 0.4, bottom),
            ],
            shaded(colour, 0.86),
        )

    @staticmethod
    def _arm(
        image: Image, spot: _Spot, arm: int, swing: float, shoulder: float, s: float, top: Colour, skin: Colour
    ) -> None:
        reach = -0.2 * swing * arm
        joint, elbow = spot(0, 0.225 * arm, shoulder - 0.05), spot(reach * 0.4, 0.26 * arm, shoulder - 0.3)
        hand = spot(reach, 0.25 * arm, shoulder - 0.53)
        limb(image, joint, elbow, 0.1 * s, shaded(top, 0.82))
        limb(image, elbow, hand, 0.085 * s, shaded(top, 0.78))
        ellipse(image, *hand, 0.045 * s, 0.055 * s, skin)

    @staticmethod
    def _pack(image: Image, middle: Pixel, s: float, colour: Colour) -> None:
        ellipse(image, *middle, 0.16 * s, 0.22 * s, colour)
        ellipse(image, middle[0], middle[1] + 0.06 * s, 0.11 * s, 0.1 * s, shaded(colour, 1.2))

    def _room(self, spec: SceneSpec) -> tuple[Image, Image]:
        """The empty shop, and the mask of the wall that hides people outside."""
        width, height = spec.size
        rng = np.random.default_rng([spec.seed, 5])
        image = self._floor(spec, rng)
        half, tall = _OPENING_M
        corners = [self.project(x, _WALL_Y, z) for x, z in ((-half, 0), (-half, tall), (half, tall), (half, 0))]
        opening = np.array(corners, np.float32)
        sill = int(self.project(0, _WALL_Y, 0)[1])
        wall = np.full((height, width), 255, np.uint8)
        wall[sill:] = 0
        cv2.fillConvexPoly(wall, np.round(opening).astype(np.int32), 0)
        plaster = 178 + grain(rng, (width, height), 30, 4.0) + grain(rng, (width, height), 2, 1.2)
        lamp = np.linspace(0.78, 1.06, max(sill, 1), dtype=np.float32)
        painted = np.stack([plaster * 0.94, plaster * 0.98, plaster], axis=2).astype(np.float32)
        painted[: len(lamp)] *= lamp[:, None, None]
        image[wall > 0] = to_image(painted)[wall > 0]
        frame = np.round(opening * 16).astype(np.int32)
        cv2.polylines(image, [frame], False, (92, 94, 96), max(2, width // 110), cv2.LINE_AA, 4)
        cv2.line(image, (0, sill), (round(corners[0][0]), sill), (96, 104, 112), 2, cv2.LINE_AA)
        cv2.line(image, (round(corners[3][0]), sill), (width, sill), (96, 104, 112), 2, cv2.LINE_AA)
        sign = [self.project(x, _WALL_Y, z) for x, z in ((-0.9, 2.5), (-0.9, 2.8), (0.9, 2.8), (0.9, 2.5))]
        polygon(image, sign, (70, 118, 60))
        self._furnish(image, rng)
        return image, wall

    def _floor(self, spec: SceneSpec, rng: np.random.Generator) -> Image:
        """Tiles inside, a mat, and the bright paving beyond the door, by casting each pixel onto the floor."""
        width, height = spec.size
        rows = (np.arange(height, dtype=np.float32)[:, None] - self._middle[1]) / self._focal
        columns = (np.arange(width, dtype=np.float32)[None, :] - self._middle[0]) / self._focal
        down = np.maximum(self._sin + rows * self._cos, 1e-3)
        reach = _CAMERA_M / down
        y = _LINE_M - reach * (self._cos - rows * self._sin)
        x = columns * reach
        inside = y > _WALL_Y
        tile = np.where(inside, 0.6, 0.9)
        number = (np.floor(x / tile) * 31 + np.floor(y / tile) * 17).astype(int) % 64
        softness = np.clip(reach / 14, 0, 1)
        joint = ((np.abs(x % tile) < 0.012 * reach / 3) | (np.abs(y % tile) < 0.03 * reach / 3)) * (1 - softness)
        shade = rng.normal(0, 4, 64)[number] - 20 * joint + grain(rng, (width, height), 3, 1.6)
        gloss = 14 * np.exp(-np.square(x / 1.5)) * np.clip((y + 1) / 3, 0, 1)
        base = np.where(inside, 150 + gloss, 196)
        mat = inside & (np.abs(x) < 1.5) & (y > -0.5) & (y < 0.75)
        base = np.where(mat, 84 + 6 * np.sin(y * 60), base)
        picture = np.stack([(base + shade) * tone for tone in (0.93, 0.97, 1.0)], axis=2).astype(np.float32)
        far = np.broadcast_to(y < -7, (height, width))
        picture[far] = (214, 206, 198)
        vignette = 1.03 - 0.45 * columns**2 - 0.25 * np.square(rows)
        return to_image(picture * vignette[:, :, None])

    def _furnish(self, image: Image, rng: np.random.Generator) -> None:
        """Rails with clothes to both sides of the way in, drawn far to near."""
        for y in (0.2, 1.1, 2.0):
            for side in (-1, 1):
                x = side * 3.15
                foot, top = self.project(x, y, 0), self.project(x, y, 1.35)
                end_foot, end_top = self.project(x, y + 0.8, 0), self.project(x, y + 0.8, 1.35)
                shadow(image, (foot[0] + end_foot[0]) / 2, (foot[1] + end_foot[1]) / 2, 40, 20, 0.3)
                for at in np.linspace(0, 0.75, 9):
                    hanger = [self.project(x, y + at, up) for up in (1.3, 0.45)]
                    ahead = [self.project(x, y + at + 0.08, up) for up in (0.45, 1.3)]
                    tone = int(rng.integers(60, 170)) + rng.integers(-28, 29, 3)
                    polygon(image, [*hanger, *ahead], (int(tone[0]), int(tone[1]), int(tone[2])))
                for low, high in ((foot, top), (end_foot, end_top), (top, end_top)):
                    limb(image, low, high, 1.6, (150, 152, 154))
