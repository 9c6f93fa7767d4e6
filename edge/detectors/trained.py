"""A trained network put to work on a camera: whether to look, where to look, and what to believe.

The network knows pictures and nothing of time. What came before is used here, in three steps that can each be switched
off: the gate spares frames in which nothing changed, the focus enlarges the part in which something moves, and fusion
holds the network's boxes against what moves. All of it is the same for every runtime and for ultralytics.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.detectors.focus import WHOLE, Focus
from edge.detectors.fusion import FusionParams, fuse
from edge.detectors.gate import Gate
from edge.detectors.motion import MotionDetector, MotionParams
from edge.models import Boxes, Detections, Frame, Mounting


class Finder(Protocol):
    """Finds people in single pictures."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures it works on (pixels); others are brought to it."""
        ...

    def find(self, image: NDArray[np.uint8]) -> Detections:
        """Boxes in fractions of the picture, best first; it may be a part of a larger one (BGR, uint8)."""
        ...


class TrainedDetector:
    """A network on a camera's frames, in their order.

    Args:
        finder: the network.
        mounting: how the camera looks.
        gate: look only at frames that changed; otherwise at every one.
        fusion: look where something moves, and hold boxes against it; otherwise at the whole frame.

    Attributes:
        finder: as given.
        looks: how often the network has been run.
    """

    def __init__(self, finder: Finder, *, mounting: Mounting, gate: bool = True, fusion: bool = True) -> None:
        self.finder = finder
        self.looks = 0
        self._gate = Gate() if gate else None
        # The gate keeps pictures that rest from it; of those it lets pass, each must be seen as it is.
        self._motion = MotionDetector(mounting=mounting, params=MotionParams.watchful(mounting)) if fusion else None
        self._focus = Focus(finder.size)
        self._fusion = FusionParams()
        self._last = Detections()

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        """Find people.

        Args:
            frame: the picture.
            held: where confirmed tracks are expected, shape (n, 4): they are looked at and not learnt as empty.

        Returns:
            Boxes in fractions of the frame, best first; the last ones again while the picture does not change.
        """
        if self._gate is None or self._gate.opens(frame.image, frame.time_s, followed=len(held) > 0):
            self._last = self._look(frame, held)
        return self._last

    def _look(self, frame: Frame, held: Boxes) -> Detections:
        if self._motion is None:
            self.looks += 1
            return self.finder.find(frame.image)
        moving = self._motion.detect(frame, held).boxes
        height, width = frame.image.shape[:2]
        part = self._focus.choose(np.concatenate([moving, held]), self._motion.foreground, (width, height))
        if part is None:
            if self._gate is not None:
                return Detections()
            part = WHOLE
        self.looks += 1
        return fuse(_within(self.finder, frame.image, part), self._motion.foreground, self._fusion)


def _within(finder: Finder, image: NDArray[np.uint8], part: tuple[float, float, float, float]) -> Detections:
    """What is found in a part of a picture, in fractions of the whole."""
    height, width = image.shape[:2]
    left, top = int(part[0] * width), int(part[1] * height)
    right, bottom = round(part[2] * width), round(part[3] * height)
    found = finder.find(image[top:bottom, left:right])
    scale = np.array((right - left, bottom - top, right - left, bottom - top), np.float32)
    corner = np.array((left, top, left, top), np.float32)
    whole = np.array((width, height, width, height), np.float32)
    return Detections((found.boxes * scale + corner) / whole, found.scores, found.classes)
