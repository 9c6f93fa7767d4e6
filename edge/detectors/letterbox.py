"""A picture laid into a network's input, and boxes brought back out of it.

It is done for every frame, so it is done in place: the picture is scaled into a canvas kept from frame to frame, and
its colours are laid apart into a blob kept likewise; a new blob for each picture took many times as long. The trap:
what was grey around one picture must be grey again when one of another shape follows.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

_GREY: Final = 114  # what both families were trained with around a picture


@dataclass(frozen=True, slots=True)
class Placed:
    """How a picture lies in the input: its size there, and its upper left corner (pixels)."""

    columns: int
    rows: int
    left: int
    top: int

    def back(self, boxes: Floats) -> Floats:
        """Boxes in pixels of the input as fractions of the picture, cut off at its border; shape (n, 4)."""
        size = np.array((self.columns, self.rows, self.columns, self.rows), np.float32)
        corner = np.array((self.left, self.top, self.left, self.top), np.float32)
        return np.asarray(np.clip((boxes - corner) / size, 0.0, 1.0), np.float32)


class Letterbox:
    """Lays pictures into an input of one size.

    Args:
        width, height: of the input (pixels).
        centred: whether the picture lies in the middle, as YOLO's training had it, or at the upper left, as YOLOX's.
        plain: YOLOX takes BGR from 0 to 255; the others RGB from 0 to 1.
    """

    def __init__(self, width: int, height: int, *, centred: bool, plain: bool) -> None:
        self._width, self._height = width, height
        self._centred, self._plain = centred, plain
        self._unit = np.float32(1.0 if plain else 1 / 255)
        self._shape: tuple[int, int] = (0, 0)
        self._placed = Placed(0, 0, 0, 0)
        self._blob: Floats = np.zeros((1, 3, height, width), np.float32)
        self._scaled: Image = np.zeros((0, 0, 3), np.uint8)
        self._planes: list[Image] = []
        self._places: list[Floats] = []

    def lay(self, image: Image) -> tuple[Floats, Placed]:
        """The picture as a blob of shape (1, 3, height, width), and where it lies in it.

        Args:
            image: BGR, uint8, shape (h, w, 3), of any size; it may be a part of a larger picture.

        Returns:
            The blob is the same array each time: it holds this picture until the next is laid.
        """
        if image.shape[:2] != self._shape:
            self._arrange(image.shape[0], image.shape[1])
        placed = self._placed
        cv2.resize(image, (placed.columns, placed.rows), dst=self._scaled, interpolation=cv2.INTER_LINEAR)
        cv2.split(self._scaled, self._planes)
        for plane, place in zip(self._planes, self._places, strict=True):
            if self._plain:
                np.copyto(place, plane)  # takes little more than half as long as multiplying by one
            else:
                np.multiply(plane, self._unit, out=place)
        return self._blob, placed

    def _arrange(self, height: int, width: int) -> None:
        scale = min(self._width / width, self._height / height)
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        free = (self._width - columns, self._height - rows)
        left, top = (free[0] // 2, free[1] // 2) if self._centred else (0, 0)
        self._shape, self._placed = (height, width), Placed(columns, rows, left, top)
        self._blob.fill(_GREY * self._unit)
        self._scaled = np.empty((rows, columns, 3), np.uint8)
        self._planes = [np.empty((rows, columns), np.uint8) for _ in range(3)]
        places = [self._blob[0, channel, top : top + rows, left : left + columns] for channel in range(3)]
        self._places = places if self._plain else places[::-1]
