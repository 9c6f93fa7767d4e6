"""Lines, sides and distances, in one unit.

Coordinates arrive as fractions of the frame, and a fraction of the width is not the same length as a fraction of the
height: on a 16:9 picture a band of 3% would be nearly twice as wide beside a vertical line as above a horizontal one.
So everything that is measured is first turned into *frame heights* (x times the aspect, y as it is), and directions
come from the geometry of the inside point, never from the order in which someone typed a line's ends.
"""

import math
from dataclasses import dataclass

from edge.models import Anchor, Line, Mounting, Point

Box = tuple[float, float, float, float]

#: A line shorter than this (frame heights) cannot be crossed by a body in any meaningful sense.
_SHORTEST = 0.005
#: An inside point nearer the line than this (frame heights) does not say which side it means.
_NEAREST_INSIDE = 0.005


class LineError(ValueError):
    """A counting line that cannot be used; the text names the line and says what to do."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where a step cut a line.

    Attributes:
        fraction: how far along the step, 0 at its start and 1 at its end.
        along: how far along the line, 0 at its start and 1 at its end; outside 0..1 the step passed beyond an end.
    """

    fraction: float
    along: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A line's segment in frame heights, with the side that is inside.

    Attributes:
        start: its first end, in frame heights.
        direction: unit vector from start to end.
        inward: unit vector at right angles to the line, pointing inside.
        length: in frame heights.
    """

    start: Point
    direction: Point
    inward: Point
    length: float

    @classmethod
    def of(cls, line: Line, aspect: float) -> "Segment":
        """Check a line and measure it.

        Args:
            line: ends and inside point in fractions of the frame.
            aspect: the frame's width over its height.

        Raises:
            LineError: the line has no length, its inside point lies on it, or a coordinate is outside 0..1.
        """
        check_line(line, aspect)
        start, end = in_heights(line.start, aspect), in_heights(line.end, aspect)
        length = math.dist(start, end)
        direction = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        normal = (-direction[1], direction[0])
        inside = in_heights(line.inside, aspect)
        side = (inside[0] - start[0]) * normal[0] + (inside[1] - start[1]) * normal[1]
        inward = normal if side > 0 else (-normal[0], -normal[1])
        return cls(start, direction, inward, length)

    @property
    def mostly_horizontal(self) -> bool:
        """Whether it runs more across the picture than up and down."""
        return abs(self.direction[0]) >= abs(self.direction[1])

    def depth(self, point: Point) -> float:
        """Signed distance of a point (frame heights) from the infinite line, positive inside."""
        return (point[0] - self.start[0]) * self.inward[0] + (point[1] - self.start[1]) * self.inward[1]

    def along(self, point: Point) -> float:
        """Where a point (frame heights) lies along the line: 0 at the start, 1 at the end."""
        dx, dy = point[0] - self.start[0], point[1] - self.start[1]
        return (dx * self.direction[0] + dy * self.direction[1]) / self.length

    def distance(self, point: Point) -> float:
        """Distance in frame heights from a point to the segment itself, ends included."""
        beyond = self.along(point)
        past_end = max(0.0, -beyond, beyond - 1.0) * self.length
        return math.hypot(self.depth(point), past_end)

    def meeting(self, before: Point, after: Point) -> Meeting | None:
        """Where the step from one point to the next (frame heights) passes the infinite line, if it does.

        A point exactly on the line belongs to the outside, so a walk that touches the line and goes on is cut once
        and never twice.
        """
        first, second = self.depth(before), self.depth(after)
        if (first > 0) == (second > 0):
            return None
        fraction = first / (first - second)
        at = (before[0] + fraction * (after[0] - before[0]), before[1] + fraction * (after[1] - before[1]))
        return Meeting(fraction, self.along(at))


def check_line(line: Line, aspect: float) -> None:
    """Refuse a line that could not count.

    Args:
        line: ends and inside point in fractions of the frame.
        aspect: the frame's width over its height.

    Raises:
        LineError: with the line's name, what is wrong and what to do.
    """
    for what, point in (("start", line.start), ("end", line.end), ("inside point", line.inside)):
        for axis, value in zip("xy", point, strict=True):
            if not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise LineError(
                    f"line '{line.line_id}': the {what}'s {axis} is {value:g}, outside the picture; "
                    "coordinates are fractions of the frame from 0 to 1 (divide pixels by its width or height)"
                )
    start, end = in_heights(line.start, aspect), in_heights(line.end, aspect)
    length = math.dist(start, end)
    if length < _SHORTEST:
        raise LineError(
            f"line '{line.line_id}' has no length: both ends are at {_text(line.start)}; "
            "give two different ends, one at each side of the doorway"
        )
    inside = in_heights(line.inside, aspect)
    cross = (end[0] - start[0]) * (inside[1] - start[1]) - (end[1] - start[1]) * (inside[0] - start[0])
    if abs(cross) / length < _NEAREST_INSIDE:
        raise LineError(
            f"line '{line.line_id}': the inside point {_text(line.inside)} lies on the line, so it does not say which "
            "side is inside; give a point well within the shop"
        )


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


def _text(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"
