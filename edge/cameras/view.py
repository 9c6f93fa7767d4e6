"""Which pictures of a camera are looked at, and in what shape: how often, which way up, how large.

The trap in taking fewer pictures is bursts: "at least so long after the last" turns 25 a second into 8.3 when 10 were
asked for, and after every gap two pictures come at once. Here the wanted moments lie on a grid of the stream's own time
and the picture nearest to each is taken. Shapes are as bad: a grey or a 16-bit camera must not reach a detector that
expects three colours of one byte each.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

#: BGR, uint8, shape (height, width, 3).
Image = NDArray[np.uint8]
#: Degrees clockwise.
Rotation = Literal[0, 90, 180, 270]

_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True, slots=True)
class View:
    """How a camera is looked at.

    Attributes:
        target_fps: pictures a second at most, evenly chosen; 0 takes all.
        rotate: degrees clockwise by which the camera's picture is turned.
        decode_height: pictures are made smaller by the whole factor that leaves them at least so high, as the camera
            sends them (pixels); 0 leaves them.
    """

    target_fps: float = 0.0
    rotate: Rotation = 0
    decode_height: int = 0

    def size(self, sent: tuple[int, int]) -> tuple[int, int]:
        """Width and height of what `shaped` makes of pictures of width and height `sent`."""
        factor = self.factor(sent[1])
        width, height = sent[0] // factor, sent[1] // factor
        return (height, width) if self.rotate in (90, 270) else (width, height)

    def factor(self, height: int) -> int:
        """By what a picture so many pixels high is made smaller; 1 leaves it."""
        return max(1, height // self.decode_height) if self.decode_height else 1


def shaped(picture: "cv2.typing.MatLike | None", view: View) -> Image:
    """A decoder's picture as the parts behind it expect it.

    Args:
        picture: grey or colour, 8 or 16 bits, shape (height, width) or (height, width, channels).
        view: what is wanted of it.

    Returns:
        BGR, uint8, shape (height, width, 3); the decoder's own array where nothing had to be done.
    """
    array = cast("NDArray[Any]", picture)
    factor = view.factor(array.shape[0])
    if factor > 1:  # before anything else, for all that follows costs by the pixel
        rows, columns = array.shape[0] // factor, array.shape[1] // factor
        cut = array[: rows * factor, : columns * factor]
        array = cast("NDArray[Any]", cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA))
    return rotated(_colour(array), view.rotate)


def rotated(image: Image, degrees: Rotation) -> Image:
    """A picture turned clockwise; itself when `degrees` is 0."""
    return image if degrees == 0 else cast("Image", cv2.rotate(image, _TURNS[degrees]))


def _colour(array: NDArray[Any]) -> Image:
    if array.dtype == np.uint16:
        # The upper byte: stretching each picture to its own range would make the light flicker.
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 2 or array.shape[2] == 1:
        return cast("Image", cv2.cvtColor(array, cv2.COLOR_GRAY2BGR))
    if array.shape[2] == 4:
        return cast("Image", cv2.cvtColor(array, cv2.COLOR_BGRA2BGR))
    return cast("Image", np.asarray(array, np.uint8))


class Cadence:
    """Chooses pictures evenly by the stream's time.

    Args:
        target_fps: pictures a second at most; 0 takes all.
        fps: what the stream sends, as far as is known; a picture up to half its interval early is near enough, or
            a camera that trembles by a millisecond would lose every other one.
    """

    def __init__(self, target_fps: float, fps: float) -> None:
        self._pause = 1.0 / target_fps if target_fps else 0.0
        self._early = min(0.5 / fps, 0.5 * self._pause)
        self._due: float | None = None

    def takes(self, time_s: float) -> bool:
        """Whether to take the picture of this moment; moments come in order.

        Args:
            time_s: seconds on the stream's clock.
        """
        if not self._pause:
            return True
        if self._due is None:
            self._due = time_s
        late = time_s + self._early - self._due
        if late < -1e-9:
            return False
        self._due += self._pause * (math.floor(late / self._pause + 1e-9) + 1)
        return True
