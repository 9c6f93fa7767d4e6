"""How people are dressed: colours and shapes drawn by chance from what is worn, so that no two frames look stamped.

Nobody is drawn from life; there is no face to speak of. Colours are BGR, as OpenCV has them.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

Colour = tuple[int, int, int]
Bag = Literal["none", "backpack", "shoulder", "shopping"]


@dataclass(frozen=True, slots=True)
class Look:
    """What one person looks like.

    Attributes:
        height_m: from the floor to the crown.
        build: breadth of the body against the average.
        coat: whether the top reaches to the knee.
        long_hair: whether it falls over the shoulders.
    """

    height_m: float
    build: float
    top: Colour
    legs: Colour
    shoes: Colour
    hair: Colour
    skin: Colour
    bag: Bag
    bag_colour: Colour
    coat: bool
    long_hair: bool

    def with_shopping(self, rng: np.random.Generator) -> "Look":
        """The same person on the way out; some carry a bag of the shop's now."""
        if self.bag == "none" and rng.random() < 0.45:
            return replace(self, bag="shopping", bag_colour=_SHOP_BAG)
        return self


_SHOP_BAG: Final[Colour] = (60, 130, 214)
_TOPS: Final[tuple[Colour, ...]] = (
    (44, 40, 38), (58, 52, 50), (110, 70, 44), (128, 90, 52), (60, 60, 140), (52, 46, 168), (222, 220, 216),
    (200, 196, 190), (98, 132, 88), (70, 96, 66), (86, 110, 150), (120, 150, 186), (150, 120, 170), (48, 140, 190),
    (170, 150, 70), (96, 96, 100),
)  # fmt: skip
_LEGS: Final[tuple[Colour, ...]] = (
    (34, 32, 32), (46, 42, 42), (96, 66, 44), (110, 82, 58), (80, 84, 90), (120, 140, 156), (60, 70, 80),
)  # fmt: skip
_SHOES: Final[tuple[Colour, ...]] = ((28, 28, 30), (210, 210, 212), (44, 60, 92), (60, 60, 64))
_HAIR: Final[tuple[Colour, ...]] = ((22, 20, 20), (28, 26, 28), (34, 40, 54), (44, 60, 86), (150, 150, 150))
_SKIN: Final[tuple[Colour, ...]] = ((150, 178, 218), (136, 164, 204), (118, 148, 192))
_BAGS: Final[tuple[Colour, ...]] = ((40, 40, 44), (60, 80, 130), (90, 70, 60), (70, 110, 80), (60, 60, 150))


def random_look(rng: np.random.Generator) -> Look:
    """Someone, dressed."""
    bag: Bag = "none"
    chance = rng.random()
    if chance < 0.18:
        bag = "backpack"
    elif chance < 0.46:
        bag = "shoulder"
    return Look(
        height_m=float(np.clip(rng.normal(1.67, 0.07), 1.5, 1.86)),
        build=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.18)),
        top=_tinted(_TOPS, rng),
        legs=_tinted(_LEGS, rng),
        shoes=_tinted(_SHOES, rng),
        hair=_tinted(_HAIR, rng, (0.4, 0.3, 0.15, 0.08, 0.07)),
        skin=_tinted(_SKIN, rng),
        bag=bag,
        bag_colour=_tinted(_BAGS, rng),
        coat=bool(rng.random() < 0.28),
        long_hair=bool(rng.random() < 0.4),
    )


def _tinted(colours: tuple[Colour, ...], rng: np.random.Generator, shares: tuple[float, ...] | None = None) -> Colour:
    base = colours[int(rng.choice(len(colours), p=shares))]
    shift = rng.integers(-10, 11, 3)
    blue, green, red = (int(np.clip(part + by, 8, 245)) for part, by in zip(base, shift, strict=True))
    return blue, green, red


def shaded(colour: Colour, gain: float) -> Colour:
    """The colour, darker (gain below 1) or lighter."""
    blue, green, red = (min(255, int(part * gain)) for part in colour)
    return blue, green, red
