"""Lines as the counter sees them: straight, bent, or closed round a zone, with an inside and an outside.

Directions come from geometry, the side on which the inside point lies, never from the order in which someone typed the
ends. The trap of bent lines is their corners: a step that passes through one exactly cuts two pieces, or none, when
each piece is asked by itself. Here a corner is on one side of a step or on the other, the same for both pieces that
meet in it, so a path past a corner is cut as often as it truly passes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.geometry import Segment, in_heights
from edge.models import Line, Point, Zone

#: A step through the very end of a line must not be decided by rounding (frame heights).
_ROUNDING = 1e-9
#: A point on the border itself is moved this far (frame heights) to its outside.
_ASIDE = 1e-7


@dataclass(frozen=True, slots=True)
class Hit:
    """A step through a border.

    Attributes:
        fraction: how far along the step, 0 at its start and 1 at its end.
        at: where along the border, frame heights from its first end.
        way: +1 inward, -1 outward.
    """

    fraction: float
    at: float
    way: int


class Border:
    """A line or the edge of a zone, in frame heights.

    Args:
        points: its points in order (frame heights), at least two, none twice in a row.
        inside: a point on the inner side (frame heights); None for a ring whose inside is what it encloses.
        closed: whether the last point is joined to the first. The first is not repeated.

    Attributes:
        pieces: its straight pieces, in order.
        length: of all pieces, frame heights.
        closed: whether it is a ring.
    """

    def __init__(self, points: Sequence[Point], inside: Point | None, *, closed: bool) -> None:
        corners = [*points, points[0]] if closed else list(points)
        self.closed = closed
        self.pieces = tuple(Segment.between(a, b, 1.0) for a, b in pairwise(corners))
        if (_doubled_area(points) if inside is None else self.depth(inside)) < 0:
            self.pieces = tuple(Segment.between(a, b, -1.0) for a, b in pairwise(corners))
        self._begins = [sum(piece.length for piece in self.pieces[:i]) for i in range(len(self.pieces))]
        self.length = sum(piece.length for piece in self.pieces)

    @classmethod
    def of(cls, line: Line, aspect: float) -> "Border":
        """A line's; it must have been checked (`edge.counting.layout`)."""
        points = [in_heights(point, aspect) for point in line.points]
        return cls(points[:-1] if line.closed else points, in_heights(line.inside, aspect), closed=line.closed)

    @classmethod
    def around(cls, zone: Zone, aspect: float) -> "Border":
        """A zone's; it must have been checked (`edge.counting.layout`)."""
        points = [in_heights(point, aspect) for point in zone.points]
        return cls(points[:-1] if points[0] == points[-1] else points, None, closed=True)

    def depth(self, point: Point) -> float:
        """Signed distance of a point (frame heights) from the border, positive inside.

        Beyond a line's ends it is taken from the end pieces prolonged, so that nobody changes sides unnoticed by
        walking round an end; the sign at a corner is that of the two pieces' mean direction (Baerentzen and Aanaes,
        "Signed distance computation using the angle weighted pseudonormal", 2005, in the plane).
        """
        if len(self.pieces) == 1:
            return self.pieces[0].depth(point)
        number, along = self._nearest(point)
        piece = self.pieces[number]
        if 0.0 < along < piece.length:
            return piece.depth(point)
        corner = piece.start if along <= 0.0 else piece.end
        other = number + (1 if along > 0.0 else -1)
        if not self.closed and not 0 <= other < len(self.pieces):
            return piece.depth(point)
        beside = self.pieces[other % len(self.pieces)]
        towards = (point[0] - corner[0]) * (piece.inward[0] + beside.inward[0]) + (point[1] - corner[1]) * (
            piece.inward[1] + beside.inward[1]
        )
        return math.copysign(math.dist(point, corner), towards)

    def distance(self, point: Point) -> float:
        """Distance in frame heights from a point to the border as drawn."""
        return min(piece.distance(point) for piece in self.pieces)

    def nearest(self, point: Point) -> Segment:
        """The piece nearest to a point (frame heights)."""
        return self.pieces[0] if len(self.pieces) == 1 else self.pieces[self._nearest(point)[0]]

    def beside(self, point: Point, depth: float) -> Point:
        """A point (frame heights) of known depth, off the border: one on it belongs to the outside."""
        if abs(depth) > _ROUNDING:
            return point
        if len(self.pieces) == 1:
            outward = self.pieces[0].inward
        else:
            number, along = self._nearest(point)
            piece = self.pieces[number]
            outward = piece.inward
            other = number + (1 if along > piece.length / 2 else -1)
            at_corner = not _ASIDE < along < piece.length - _ASIDE
            if at_corner and (self.closed or 0 <= other < len(self.pieces)):
                beside = self.pieces[other % len(self.pieces)].inward
                outward = (outward[0] + beside[0], outward[1] + beside[1])
        return (point[0] - _ASIDE * outward[0], point[1] - _ASIDE * outward[1])

    def hits(self, before: Point, after: Point) -> list[Hit]:
        """Where a step (frame heights) passes through the border as drawn, in order.

        Neither end of the step may lie on the border: see `beside`.
        """
        found = []
        sx, sy = after[0] - before[0], after[1] - before[1]
        last = len(self.pieces) - 1
        for number, piece in enumerate(self.pieces):
            first, second = piece.depth(before), piece.depth(after)
            if (first > 0) == (second > 0):
                continue
            fraction = first / (first - second)
            along = piece.along((before[0] + fraction * sx, before[1] + fraction * sy))
            rising = sx * piece.direction[1] - sy * piece.direction[0] > 0
            if not self.closed and number == 0:
                begun = along >= -_ROUNDING
            else:
                begun = _is_left(piece.start, before, sx, sy) != rising
            if not self.closed and number == last:
                ended = along > piece.length + _ROUNDING
            else:
                following = self.pieces[number + 1] if number < last else self.pieces[0]
                ended = _is_left(following.start, before, sx, sy) != rising
            if begun and not ended:
                found.append(Hit(fraction, self._begins[number] + along, 1 if second > 0 else -1))
        return found if len(found) < 2 else sorted(found, key=lambda hit: hit.fraction)

    def apart(self, first: float, second: float) -> float:
        """How far apart two places along the border are, by the shorter way round a ring."""
        off = abs(first - second)
        return min(off, self.length - off) if self.closed else off

    def _nearest(self, point: Point) -> tuple[int, float]:
        """Number of the nearest piece, and where along it (frame heights, within it) the nearest place is."""
        best, number, place = math.inf, 0, 0.0
        for i, piece in enumerate(self.pieces):
            along = min(max(piece.along(point), 0.0), piece.length)
            x, y = piece.at(along)
            off = (x - point[0]) ** 2 + (y - point[1]) ** 2
            if off < best:
                best, number, place = off, i, along
        return number, place


def _is_left(corner: Point, before: Point, sx: float, sy: float) -> bool:
    """Which side of a step's line a corner is on; on it counts as one of them, the same for both its pieces."""
    return sx * (corner[1] - before[1]) - sy * (corner[0] - before[0]) >= 0


def _doubled_area(points: Sequence[Point]) -> float:
    """Twice a polygon's area, positive if its inside is on the left of `Segment.between`'s pieces."""
    return sum(b[0] * a[1] - a[0] * b[1] for a, b in pairwise([*points, points[0]]))


def area(points: Sequence[Point]) -> float:
    """Area of a polygon given by its corners, in the square of their unit."""
    return abs(_doubled_area(points)) / 2
