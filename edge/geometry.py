"""Points, sides and distances, in one unit.

Coordinates arrive as fractions of the frame, and a fraction of the width is not the same length as a fraction of the
height: on a 16:9 picture a band of 3% would be nearly twice as wide beside a vertical line as above a horizontal one.
So everything that is measured is first turned into *frame heights* (x times the aspect, y as it is).
"""

import math
from dataclasses import dataclass

from edge.models import Anchor, Mounting, Point

Box = tuple[float, float, float, float]

#: A box's side this near the picture's border (fraction of the frame) is cut off by it.
AT_BORDER = 0.008


class LineError(ValueError):
    """A line or zone that cannot be used, or a rule about one; the text names it and says what to do.

    Attributes:
        key: which part of it is wrong, as `edge.toml` names it: `start`, `inside`, `points[2]`.
        reason: what is wrong with that part.
        remedy: what to do.
    """

    def __init__(self, name: str, key: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {key} {reason}; {remedy}")
        self.key = key
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight piece of a line, in frame heights.

    Attributes:
        start: its first end.
        direction: unit vector from its first end to its last.
        inward: unit vector at right angles to it, pointing inside.
        length: in frame heights.
    """

    start: Point
    direction: Point
    inward: Point
    length: float

    @classmethod
    def between(cls, start: Point, end: Point, side: float) -> "Segment":
        """A piece from one point to another (frame heights), inside on its left if `side` is positive, else right.

        Left is to the left of someone who walks from start to end in a picture whose y points down.
        """
        length = math.dist(start, end)
        direction = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        left = (direction[1], -direction[0])
        return cls(start, direction, left if side > 0 else (-left[0], -left[1]), length)

    @property
    def mostly_horizontal(self) -> bool:
        """Whether it runs more across the picture than up and down."""
        return abs(self.direction[0]) >= abs(self.direction[1])

    @property
    def end(self) -> Point:
        """Its last end."""
        return self.at(self.length)

    def at(self, along: float) -> Point:
        """The point so many frame heights from its first end."""
        return (self.start[0] + along * self.direction[0], self.start[1] + along * self.direction[1])

    def depth(self, point: Point) -> float:
        """Signed distance of a point (frame heights) from the infinite line, positive inside."""
        return (point[0] - self.start[0]) * self.inward[0] + (point[1] - self.start[1]) * self.inward[1]

    def along(self, point: Point) -> float:
        """How far along the line a point (frame heights) lies: 0 at its first end, `length` at its last."""
        dx, dy = point[0] - self.start[0], point[1] - self.start[1]
        return dx * self.direction[0] + dy * self.direction[1]

    def distance(self, point: Point) -> float:
        """Distance in frame heights from a point to the piece itself, ends included."""
        along = self.along(point)
        past_end = max(0.0, -along, along - self.length)
        return math.hypot(self.depth(point), past_end)


def in_heights(point: Point, aspect: float) -> Point:
    """A point given in fractions of the frame, in frame heights."""
    return (point[0] * aspect, point[1])


def default_anchor(mounting: Mounting) -> Anchor:
    """The point of a body that crosses: the feet seen obliquely, the middle seen from above."""
    return "centre" if mounting == "overhead" else "feet"


def anchor_point(box: Box, anchor: Anchor) -> Point:
    """The point of a box (x1, y1, x2, y2) that stands for the person, in the box's own units."""
    x1, y1, x2, y2 = box
    middle = (x1 + x2) / 2
    if anchor == "feet":
        return (middle, y2)
    if anchor == "head":
        return (middle, y1)
    return (middle, (y1 + y2) / 2)
