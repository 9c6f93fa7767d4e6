"""What passes between the parts of a box: frames, detections, tracks and crossings.

The parts know these types and not each other, so that a detector can be changed without the counter noticing. All
coordinates are fractions of the frame (x to the right, y downward, 0 to 1), so that a changed resolution moves
nothing; times are seconds on the stream's own clock, which starts at 0 and never runs back.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Direction = Literal["in", "out"]
Anchor = Literal["feet", "centre", "head"]
Mounting = Literal["overhead", "oblique"]
Settle = Literal["immediate", "on_exit"]
LineKind = Literal["door", "street", "interior"]
ZoneKind = Literal["count", "staff", "ignore"]
Tag = Literal["staff", "child", "cart"]
#: What finds people; `auto` is one of the others, chosen by mounting and model.
DetectorName = Literal["auto", "motion", "onnx", "yolo"]
Point = tuple[float, float]
#: What a detection can be of. Only a person is ever counted; what people push or carry says something about them.
ObjectClass = Literal["person", "cart", "bag"]
#: Number of each class, as `Detections.classes` has it.
PERSON, CART, BAG = 0, 1, 2
#: Names of the classes, by number.
CLASS_NAMES: tuple[ObjectClass, ...] = ("person", "cart", "bag")
#: Boxes as rows of x1, y1, x2, y2 in fractions of the frame; shape (n, 4), float32.
Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        index: its number in the stream, from 0; a live stream that drops frames skips numbers.
        time_s: seconds since the stream began.
        image: BGR, uint8, shape (height, width, 3).
    """

    index: int
    time_s: float
    image: NDArray[np.uint8]

    @property
    def aspect(self) -> float:
        """Width over height, which turns fractions of the frame into comparable distances."""
        height, width = self.image.shape[:2]
        return float(width / height)


def no_boxes() -> Boxes:
    """An empty set of boxes, shape (0, 4)."""
    return np.empty((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one frame: people, and what they push or carry where a detector knows it.

    Attributes:
        boxes: shape (n, 4), fractions of the frame.
        scores: shape (n,), float32, 0 to 1.
        classes: shape (n,), uint8, numbers of `CLASS_NAMES`; people all of them when left out.
    """

    boxes: Boxes = field(default_factory=no_boxes)
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    classes: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def __post_init__(self) -> None:
        """Fill in the class of detectors that know only people."""
        if len(self.classes) != len(self.boxes):
            if len(self.classes):
                raise ValueError(f"{len(self.boxes)} boxes with {len(self.classes)} classes")
            object.__setattr__(self, "classes", np.full(len(self.boxes), PERSON, np.uint8))

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, wanted: int) -> "Detections":
        """Those of one class, in the same order."""
        mine = self.classes == wanted
        return self if mine.all() else Detections(self.boxes[mine], self.scores[mine], self.classes[mine])


class Detector(Protocol):
    """A frame in; boxes, scores and classes out."""

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        """Find people, and what they push or carry.

        Args:
            frame: the picture.
            held: where confirmed tracks are expected now, shape (n, 4). A detector that learns a background must not
                learn it there, or a person who stands still is absorbed and leaves a ghost. Others may ignore it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where someone was seen at an earlier moment.

    Attributes:
        time_s: seconds on the stream's clock.
        box: (x1, y1, x2, y2), smoothed.
    """

    time_s: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Track:
    """One person followed through frames, as of the newest of them.

    Attributes:
        track_id: from 1, given when the track is confirmed and never used again; 0 before.
        box: (x1, y1, x2, y2), smoothed.
        score: of the newest detection, 0 to 1.
        confirmed: seen often enough to count.
        seen: whether this frame had a detection for it; False while it is carried by prediction only.
        earlier: sightings of before the track was confirmed, oldest first; handed over once, in the update that
            confirms it, so that someone confirmed late near a line has their whole path counted.
    """

    track_id: int
    box: tuple[float, float, float, float]
    score: float
    confirmed: bool
    seen: bool
    earlier: tuple[Sighting, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line: straight or bent, and the side that is inside.

    Attributes:
        line_id: as the server knows it, or any name for an offline count.
        start, end: the line's ends.
        inside: any point on the inner side.
        anchor: the point of a body that crosses; None takes the mounting's default.
        settle: `immediate` counts each crossing; `on_exit` cancels an in and an out of the same track.
        bends: where the line bends between its ends, in order from the start.
    """

    line_id: str
    start: Point
    end: Point
    inside: Point
    kind: LineKind = "door"
    anchor: Anchor | None = None
    settle: Settle = "immediate"
    bends: tuple[Point, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """All its points, from the start to the end."""
        return (self.start, *self.bends, self.end)

    @property
    def closed(self) -> bool:
        """Whether it ends where it began, as a zone's border does."""
        return bool(self.bends) and self.start == self.end


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the floor, or of the picture.

    Attributes:
        zone_id: as the server knows it where it counts, otherwise any name.
        points: the corners of a polygon, in order round it; the last need not repeat the first.
        kind: `count` counts who comes in and goes out under the zone's id; `staff` tags who stays `stay_s` in it;
            `ignore` leaves out what is found there: a screen, a mirror, the street.
        anchor: the point of a body that must lie in it; None takes the mounting's default.
        settle: of a zone that counts, as a line's.
        stay_s: seconds in a staff zone, taken together, that make someone staff.
    """

    zone_id: str
    points: tuple[Point, ...]
    kind: ZoneKind = "count"
    anchor: Anchor | None = None
    settle: Settle = "immediate"
    stay_s: float = 30.0


@dataclass(frozen=True, slots=True)
class StaffRule:
    """What makes someone staff, beside staying in a staff zone; everything that is given must hold.

    Attributes:
        crossings_at_least: so many crossings of one line within `within_s`; 0 asks for none.
        within_s: seconds.
        line_id: the line that is meant; None takes any one.
        began_in: id of a zone in which they were first seen: a staff door, the floor behind a counter.
    """

    crossings_at_least: int = 0
    within_s: float = 600.0
    line_id: str | None = None
    began_in: str | None = None


@dataclass(frozen=True, slots=True)
class AdultSize:
    """How high an adult stands in the picture.

    Attributes:
        adult: two or more (y of the feet, height of the box), fractions of the frame; linear in between and beyond.
        child_below: who is less than this share of an adult's height is a child.
    """

    adult: tuple[tuple[float, float], ...]
    child_below: float = 0.72


@dataclass(frozen=True, slots=True)
class Tagging:
    """How people are told apart.

    Attributes:
        rules: what makes someone staff; any one will do.
        size: heights of adults; None tags no children.
        wait_s: seconds that a crossing waits for tags its person may still earn, before it is given out.
    """

    rules: tuple[StaffRule, ...] = ()
    size: AdultSize | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person over one line.

    Attributes:
        frame: index of the frame in which the line was crossed.
        time_s: of that frame on the stream's clock.
        group: track id of whoever opened the buying group; equal to `track_id` when this crossing opens one.
        tags: what was known of the person when the crossing was given out, in the order of the alphabet.
    """

    line_id: str
    direction: Direction
    track_id: int
    frame: int
    time_s: float
    confidence: float
    group: int
    tags: tuple[Tag, ...] = ()
