"""Watches a recording or a camera for calibration: detector and tracker at work, ways and an empty picture kept.

How a camera hangs decides how it is looked at, and is what a calibration may have to find out. So where it was not
said, both ways of looking run side by side and the shape of the people decides in the end: reading a recording twice
would do as well, but a live camera shows everything once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.calibration.sizes import guess_mounting
from edge.calibration.walks import Walk, WalkCollector
from edge.counting.zones import Ignored
from edge.detectors import detector_for
from edge.models import PERSON, Anchor, Boxes, Detector, Frame, Mounting, Zone, no_boxes
from edge.pictures.privacy import veiled
from edge.settings import CameraSettings
from edge.tracker import Tracker

Image = NDArray[np.uint8]
#: Makes the detector for a mounting; a new one for each recording.
DetectWith = Callable[[Mounting], Detector]

_MOUNTINGS: Final[tuple[Mounting, ...]] = ("oblique", "overhead")


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen.

    Attributes:
        walks: of everyone who got somewhere.
        mounting: as given, or as the shapes of people say.
        guessed: whether it was not given.
        seconds: watched.
        backdrop: the scene without people, nobody recognisable, BGR uint8.
        aspect: of the picture, its width over its height.
    """

    walks: list[Walk]
    mounting: Mounting
    guessed: bool
    seconds: float
    backdrop: Image
    aspect: float


def as_counted(camera: CameraSettings) -> DetectWith:
    """Looks as the camera will when it counts, with all that is set of its detector, however it turns out to hang."""
    return lambda mounting: detector_for(msgspec.structs.replace(camera, mounting=mounting))


class Watcher:
    """Takes frames of one or more recordings of one camera.

    Args:
        mounting: None to find out.
        detect_with: makes the detector; a line proposed from what another would see is no line for this one.
        anchor: the point of a body whose way is followed; None takes the mounting's default.
        zones: the camera's; what lies in those of kind `ignore` is left out, as when it counts.

    Raises:
        DetectorError: the detector can't be made.
    """

    def __init__(
        self,
        *,
        mounting: Mounting | None,
        detect_with: DetectWith,
        anchor: Anchor | None = None,
        zones: Sequence[Zone] = (),
    ) -> None:
        self._given, self._anchor, self._zones = mounting, anchor, zones
        mountings = (mounting,) if mounting else _MOUNTINGS
        self._detect_with = detect_with
        self._eyes: dict[Mounting, _Eye] = {}
        self._walks: dict[Mounting, list[Walk]] = {each: [] for each in mountings}
        # Made at once, so that a missing model is told before the camera is opened.
        self._finders: dict[Mounting, Detector] = {each: detect_with(each) for each in mountings}
        self._recordings = 0
        self._seconds, self._began, self._now = 0.0, 0.0, 0.0
        self._backdrop = Backdrop()
        self._aspect = 0.0

    def begin(self, aspect: float) -> None:
        """A recording begins: nobody is followed over from the last.

        Args:
            aspect: of its picture; all recordings of one camera have the same.
        """
        self.end()
        self._aspect = aspect
        if self._recordings:
            self._finders = {each: self._detect_with(each) for each in self._finders}
        self._eyes = {
            mounting: _Eye(
                finder,
                Ignored(self._zones, mounting),
                Tracker(aspect=aspect, mounting=mounting),
                WalkCollector(aspect=aspect, mounting=mounting, anchor=self._anchor, recording=self._recordings),
            )
            for mounting, finder in self._finders.items()
        }
        self._recordings += 1
        self._began = self._now = -1.0

    def take(self, frame: Frame) -> None:
        """Look at one frame; the first one of a camera begins by itself."""
        if not self._eyes:
            self.begin(frame.aspect)
        if self._began < 0:
            self._began = frame.time_s
        self._now = frame.time_s
        boxes = [eye.look(frame) for eye in self._eyes.values()]
        self._backdrop.add(frame.image, np.concatenate(boxes))

    def end(self) -> None:
        """The recording is over."""
        for mounting, eye in self._eyes.items():
            self._walks[mounting] += eye.collector.walks()
        self._eyes = {}
        self._seconds += max(0.0, self._now - self._began)
        self._began = self._now = 0.0

    @property
    def people(self) -> int:
        """How many have been followed so far, under the view that sees more."""
        return max((len(eye.collector) + len(self._walks[mounting]) for mounting, eye in self._eyes.items()), default=0)

    def watched(self) -> Watched:
        """All that was seen; recordings are over with this.

        Raises:
            ValueError: no frame was taken.
        """
        self.end()
        if self._given is not None:
            mounting, guessed = self._given, False
        else:
            mounting, guessed = guess_mounting(self._walks["overhead"], self._aspect), True
        return Watched(self._walks[mounting], mounting, guessed, self._seconds, self._backdrop.picture(), self._aspect)


class _Eye:
    """One way of looking: a detector, what it finds in vain, a tracker and the ways they give."""

    def __init__(self, detector: Detector, ignored: Ignored, tracker: Tracker, collector: WalkCollector) -> None:
        self.collector = collector
        self._detector, self._ignored, self._tracker = detector, ignored, tracker

    def look(self, frame: Frame) -> Boxes:
        """Follow people into this frame; returns where they are, shape (n, 4)."""
        found = self._ignored.without(self._detector.detect(frame, self._tracker.predicted(frame.time_s)))
        tracks = self._tracker.update(found.only(PERSON), frame.time_s)
        self.collector.add(frame, tracks)
        boxes = [track.box for track in tracks]
        return np.asarray(boxes, np.float32) if boxes else no_boxes()


class Backdrop:
    """The scene without those who walk through it: the median of pictures spread over all the time there was.

    How long that will be is not known beforehand: when there are too many pictures, every second one goes and they are
    taken half as often from then on.
    """

    _MOST: Final = 32
    _WIDTH: Final = 960
    #: Who is at one place in more of the pictures than this share would stay in the median.
    _STILL: Final = 0.25

    def __init__(self) -> None:
        self._pictures: list[tuple[Image, Boxes]] = []
        self._every, self._count = 1, 0

    def add(self, image: Image, people: Boxes) -> None:
        """Take a picture in, BGR uint8, and where people were in it, fractions of the frame, shape (n, 4)."""
        self._count += 1
        if (self._count - 1) % self._every:
            return
        scale = min(1.0, self._WIDTH / image.shape[1])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image.copy()
        if self._pictures and self._pictures[0][0].shape != small.shape:
            return
        self._pictures.append((np.asarray(small, np.uint8), people.copy()))
        if len(self._pictures) > self._MOST:
            self._pictures = self._pictures[::2]
            self._every *= 2

    def picture(self) -> Image:
        """The scene, with whoever stayed in it made unrecognisable.

        Raises:
            ValueError: there was no picture.
        """
        if not self._pictures:
            raise ValueError("no picture was taken in")
        stack = np.stack([picture for picture, _ in self._pictures])
        median = np.median(stack, axis=0).astype(np.uint8)
        return veiled(median, self._still())

    def _still(self) -> Boxes:
        """Where people were for much of the time, as boxes."""
        map_ = np.zeros((90, 160), np.float32)
        for _, people in self._pictures:
            here = np.zeros_like(map_)
            for x1, y1, x2, y2 in np.clip(people, 0, 1):
                here[int(y1 * 90) : int(np.ceil(y2 * 90)), int(x1 * 160) : int(np.ceil(x2 * 160))] = 1
            map_ += here
        much = np.asarray(map_ >= self._STILL * len(self._pictures), np.uint8) * 255
        contours, _ = cv2.findContours(much, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        boxes = [(x / 160, y / 90, (x + w) / 160, (y + h) / 90) for x, y, w, h in map(cv2.boundingRect, contours)]
        return np.asarray(boxes, np.float32) if boxes else no_boxes()
