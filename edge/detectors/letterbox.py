"""A picture laid into a network's input, and boxes brought back out of it.

It is done for every frame, so it is done in place: the picture is scaled straight into a canvas kept from frame to
frame, and its colours into a blob kept likewise. The trap: what was grey around one picture must be grey again when one
of another shape follows.
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
        self._shape: tuple[int, int] = (0, 0)
        self._placed = Placed(0, 0, 0, 0)
        self._canvas: Image = np.full((height, width, 3), _GREY, np.uint8)
        self._inner: Image = self._canvas

    def lay(self, image: Image) -> tuple[Floats, Placed]:
        """The picture as a blob of shape (1, 3, height, width), and where it lies in it.

        Args:
            image: BGR, uint8, shape (h, w, 3), of any size; it may be a part of a larger picture.
        """
        if image.shape[:2] != self._shape:
            self._arrange(image.shape[0], image.shape[1])
        placed = self._placed
        cv2.resize(image, (placed.columns, placed.rows), dst=self._inner, interpolation=cv2.INTER_LINEAR)
        blob = cv2.dnn.blobFromImage(self._canvas, 1.0 if self._plain else 1 / 255.0, swapRB=not self._plain)
        return np.asarray(blob, np.float32), placed

    def _arrange(self, height: int, width: int) -> None:
        scale = min(self._width / width, self._height / height)
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        free = (self._width - columns, self._height - rows)
        left, top = (free[0] // 2, free[1] // 2) if self._centred else (0, 0)
        self._shape, self._placed = (height, width), Placed(columns, rows, left, top)
        self._canvas.fill(_GREY)
        self._inner = self._canvas[top : top + rows, left : left + columns]
