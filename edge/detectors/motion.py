"""People as what moves before a known empty scene: the default detector, for it needs no weights and little power.

It sees straight from above, where trained detectors see next to nothing, and runs at hundreds of frames a second on
one core. What it cannot do is tell a person from another moving thing, so shapes and sizes that no person has at that
place of the picture are left out, fragments of one person are joined, and a blob too wide for one is divided.

A picture that rests is not looked at each time: what was found in it last is given again.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge.detectors.background import Background, BackgroundParams
from edge.detectors.blobs import BlobParams, BlobReader
from edge.detectors.ghosts import GhostParams, Ghosts
from edge.detectors.pixels import Mask, shrink
from edge.detectors.shapes import Blob
from edge.detectors.stillness import Stillness
from edge.models import Boxes, Detections, Frame, Mounting


@dataclass(frozen=True, slots=True)
class MotionParams:
    """All that can be set, by its part; the defaults are meant to fit."""

    background: BackgroundParams
    blobs: BlobParams = field(default_factory=BlobParams)
    ghosts: GhostParams = field(default_factory=GhostParams)
    #: Seconds between two times the scene is learnt and ghosts are looked for; each time the picture is looked at.
    learn_every_s: float = 0.3
    #: Seconds for which a picture must have been as it is to rest; infinity: every picture is looked at.
    still_s: float = 0.15

    @classmethod
    def watchful(cls, mounting: Mounting) -> "MotionParams":
        """A mounting's defaults, but every picture is looked at."""
        return cls(BackgroundParams.for_mounting(mounting), still_s=math.inf)


class MotionDetector:
    """Finds people by movement.

    Args:
        mounting: from above people are seen as compact shapes of any direction, obliquely as upright ones.
        params: None takes the defaults.

    Attributes:
        foreground: what did not belong to the empty scene in the last frame that was looked at, 255 or 0, shape (h, w)
            of the picture made small.
        looks: at how many frames it has looked.
    """

    def __init__(self, *, mounting: Mounting, params: MotionParams | None = None) -> None:
        self._params = params or MotionParams(BackgroundParams.for_mounting(mounting))
        self._reader = BlobReader(mounting, self._params.blobs)
        self._ghosts = Ghosts(self._params.ghosts)
        self._background: Background | None = None
        self._shape: tuple[int, ...] = ()
        self._learnt_s = 0.0
        self._stillness = Stillness()
        self._last = Detections()
        self.looks = 0
        self.foreground: Mask = np.zeros((1, 1), np.uint8)

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        """Find people; the first frame finds none, for it is taken as the empty scene.

        Args:
            frame: BGR uint8; a change of its size begins anew.
            held: where tracks are expected, shape (n, 4), fractions of the frame: the scene is not learnt there.
        """
        if not self._rests(frame):
            self.looks += 1
            self._stillness.looked()
            self._last = self._look(frame, held)
        return self._last

    def _rests(self, frame: Frame) -> bool:
        """Whether a frame would show what the last one did, and nothing is to be learnt from it."""
        if self._background is None or math.isinf(self._params.still_s):
            return False
        lasts = self._stillness.lasts(frame.image, frame.time_s, self._background.exposure)
        return lasts >= self._params.still_s and frame.time_s - self._learnt_s < self._params.learn_every_s

    def _look(self, frame: Frame, held: Boxes) -> Detections:
        small = shrink(frame.image)
        if self._background is None or small.shape != self._shape:
            self._background = Background(small, self._params.background)
            self._shape, self._learnt_s = small.shape, frame.time_s
            self._ghosts.reset()
            self.foreground = np.zeros(small.shape[:2], np.uint8)
            return Detections()
        mask = self.foreground = self._background.foreground(small, frame.time_s)
        blobs = self._reader.read(mask, self._background.strength()) if cv2.countNonZero(mask) else []
        elapsed = frame.time_s - self._learnt_s
        if elapsed >= self._params.learn_every_s:
            self._learnt_s = frame.time_s
            kept = filled(held, mask.shape)
            released = self._ghosts.find(small, self._background.image, mask, kept, elapsed)
            if released is not None:
                self._background.forget(small, released)
            self._background.learn(small, kept, elapsed)
        return _detections(blobs, mask.shape)


def filled(boxes: Boxes, shape: tuple[int, ...]) -> Mask:
    """A mask of `shape` (h, w), 255 in the boxes."""
    height, width = shape
    mask = np.zeros((height, width), np.uint8)
    for x1, y1, x2, y2 in np.clip(boxes, 0, 1):
        mask[int(y1 * height) : int(np.ceil(y2 * height)), int(x1 * width) : int(np.ceil(x2 * width))] = 255
    return mask


def _detections(blobs: list[Blob], shape: tuple[int, ...]) -> Detections:
    if not blobs:
        return Detections()
    height, width = shape
    boxes = np.array(
        [(b.x / width, b.y / height, (b.x + b.w) / width, (b.y + b.h) / height) for b in blobs], np.float32
    )
    return Detections(boxes, np.array([b.score for b in blobs], np.float32))
