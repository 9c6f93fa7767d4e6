"""Where a line should lie, from the ways people walked: there, where most pass and come clear of it on both sides.

A line is bad where people turn, stop, appear or vanish: each of these makes a count doubtful. So every line of a dense
set is laid over the ways, and is worth the people who pass it cleanly less those who come near it without. Of lines
that are worth the same, a door is where ways begin or end in the middle of the picture, as at a sill people come out
from behind, and where they draw together. Two traps. From two people any line looks perfect, so nothing is proposed
until enough have passed. And a slanted line is passed by those who come in and those who walk past alike, so passing
counts the less the more it is aslant.

Pure. Points and distances are in frame heights; what comes out is in fractions of the frame.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from edge.calibration.walks import Vector, Walk, in_fractions, thinned, typical_size
from edge.models import Line, Point

#: Angles and offsets at which lines are tried; the best few are then tried again more finely.
_ANGLES: Final = 12
_OFFSET: Final = 0.02
_FINALISTS: Final = 12
#: Body sizes by which someone has come clear of a line well enough; more is better, but ever less so.
_CLEAR: Final = 0.25
_ROOM: Final = 0.5
#: Whose passing is worth less than this passes too much aslant to be counted well.
_LEAST: Final = 0.1
#: What someone takes off for each time they turned round at the line beyond the first passing.
_AGAIN: Final = 0.25
#: What someone takes off who came to the line and neither passed nor kept off.
_DOUBT: Final = 0.7
#: What a way that begins or ends in the picture, beyond the line, adds: it is as if it came out of a door.
_DOOR: Final = 0.5
#: The least share of such ways, all on one side, that makes a door of it.
_DOOR_SHARE: Final = 0.4
#: Body sizes between two who pass that leave the line in two, and what each further one takes off.
_GAP: Final = {"overhead": 3.0, "oblique": 1.2}
_GAP_COST: Final = 0.25
#: What a line takes off for each body size that it is long, as a share: where people draw together is the door.
_LENGTH_COST: Final = 0.02
#: Half the room that a body takes along a line, in body sizes.
_HALF: Final = {"overhead": 0.6, "oblique": 0.25}
#: What a line is worth, as a share, that is neither level nor upright: people understand those best.
_SLANTED: Final = 0.98
#: A line that ends this near the picture's border (frame heights) is drawn up to it.
_SNAP: Final = 0.06


@dataclass(frozen=True, slots=True)
class LineProposal:
    """A line, and what speaks for it.

    Attributes:
        start, end: its ends, fractions of the frame.
        passed: people who passed it and came clear on both sides.
        doubtful: people who came to it and did not: they turned, stopped, appeared or vanished at it.
        door_share: share of those who passed that appeared or vanished in the picture, all on one side of it.
        first_seen: of those who passed, how many were first seen on the left and on the right of it, walking from
            start to end as the picture shows it.
        tries: how many ways there were in all.
    """

    start: Point
    end: Point
    passed: int
    doubtful: int
    door_share: float
    first_seen: tuple[int, int]
    tries: int


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one walk did at one infinite line.

    Attributes:
        along: where it passed the line, or came nearest to it.
        clean: how clearly it came away on both sides, above 0 and below 1; 0 where it did not pass.
        near: whether it came within the band.
        door: +1 or -1 where it appeared or vanished in the picture on that side, 0 where neither or both.
        first: the side it was first seen on.
    """

    along: float
    clean: float
    near: bool
    door: int
    first: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A part of an infinite line (angle, offset), from `low` to `high` along it, with its worth."""

    worth: float
    angle: float
    offset: float
    low: float
    high: float
    clean: tuple[_Pass, ...]
    doubtful: int


def propose_line(
    walks: Sequence[Walk], *, aspect: float, overhead: bool, inside: Point | None = None, least: int = 5
) -> LineProposal | None:
    """The line most people pass cleanly.

    Args:
        walks: ways of people, of one camera.
        aspect: the frame's width over its height.
        overhead: whether the camera looks straight down.
        inside: a point within the shop, fractions of the frame, where it is known: those who walk past a door are then
            told from those who walk through it, even where they are more.
        least: how many people must pass it.

    Returns:
        The line; None where no line was passed by as many as `least`.
    """
    ways = [_Thin(walk) for walk in walks]
    within = None if inside is None else np.asarray(inside, np.float64) * [aspect, 1.0]
    size = typical_size(walks)
    kind = "overhead" if overhead else "oblique"
    gap, half = _GAP[kind] * size, _HALF[kind] * size
    coarse = [math.pi * k / _ANGLES for k in range(_ANGLES)]
    reach = math.hypot(aspect, 1.0)
    offsets = np.arange(-reach, reach, _OFFSET)
    first = (
        c
        for angle in coarse
        for offset in offsets
        for c in _candidates(ways, angle, float(offset), gap, half, size, within)
    )
    finalists = heapq.nsmallest(_FINALISTS, first, key=_rank)  # of many people all of them would fill the memory
    second = [
        c
        for finalist in finalists
        for turn in (-math.pi / 36, 0.0, math.pi / 36)
        for shift in (-_OFFSET / 2, 0.0, _OFFSET / 2)
        for c in _candidates(ways, finalist.angle + turn, finalist.offset + shift, gap, half, size, within)
    ]
    best = min([*finalists, *second], key=_rank, default=None)
    if best is None or len(best.clean) < least:
        return None
    start, end = _ends(best, ways, aspect, half)
    sides = [each.first for each in best.clean]
    door = _door_side(best.clean)
    return LineProposal(
        in_fractions(start, aspect),
        in_fractions(end, aspect),
        passed=len(best.clean),
        doubtful=best.doubtful,
        door_share=sum(each.door == door for each in best.clean) / len(best.clean) if door else 0.0,
        first_seen=(sides.count(-1), sides.count(1)),
        tries=len(walks),
    )


def _rank(candidate: _Candidate) -> tuple[float, float, float, float]:
    """Best first; ties are settled by place, so that the same ways give the same line."""
    return (-round(candidate.worth, 6), candidate.angle, candidate.offset, candidate.low)


class _Thin:
    """A way with few points, and the body's band."""

    def __init__(self, walk: Walk) -> None:
        self.points = thinned(walk)
        self.size = walk.size
        self.band = min(0.03, max(0.015, 0.1 * walk.size))
        self.came, self.went = walk.came, walk.went

    def at(self, normal: Vector, along: Vector, offset: float, inside: Vector | None = None) -> _Pass | None:
        """What it did at the line of all points p with p · normal = offset; None where it kept off.

        Passing aslant counts less (the squared cosine against the normal), and so does passing without coming nearer
        to the inside, or farther from it, where that is known.
        """
        depth = self.points @ normal - offset
        clear = np.flatnonzero(np.abs(depth) > self.band)
        near = len(clear) < len(depth)
        sides = np.sign(depth[clear])
        turns = np.flatnonzero(np.diff(sides))
        place = self.points @ along
        if not len(turns):
            return _Pass(float(place[np.abs(depth).argmin()]), 0.0, True, 0, 0) if near else None
        best, where = 0.0, 0.0
        edges = [0, *(turns + 1), len(clear)]
        for number, turn in enumerate(turns):
            before = np.abs(depth[clear[edges[number] : edges[number + 1]]]).max()
            after = np.abs(depth[clear[edges[number + 1] : edges[number + 2]]]).max()
            room = float(min(before, after)) / self.size
            if room < _CLEAR:
                continue
            one, other = int(clear[turn]), int(clear[turn + 1])
            way = self._way(one, other)
            clean = (1 - math.exp(-room / _ROOM)) * float(way @ normal) ** 2
            if inside is not None:
                clean *= _towards(way, self.points[one], inside) ** 2
            if clean > best:
                share = depth[one] / (depth[one] - depth[other])
                best, where = clean, float(place[one] + share * (place[other] - place[one]))
        first, last = int(sides[0]), int(sides[-1])
        door = (first if self.came else 0) + (last if self.went else 0)
        best = 0.0 if best < _LEAST else max(0.05, best - _AGAIN * (len(turns) - 1))
        return _Pass(where, best, True, int(np.sign(door)), first)

    def _way(self, one: int, other: int) -> Vector:
        """The direction of walking about the step from one point to the other, of length 1."""
        before, after = one, other
        while before > 0 and math.dist(self.points[before], self.points[one]) < self.size / 2:
            before -= 1
        while after < len(self.points) - 1 and math.dist(self.points[after], self.points[other]) < self.size / 2:
            after += 1
        way = self.points[after] - self.points[before]
        return np.asarray(way / max(float(np.hypot(*way)), 1e-9), np.float64)


def _towards(way: Vector, at: Vector, inside: Vector) -> float:
    """How straight a direction leads to the inside, or away from it: the cosine of the angle, without its sign."""
    straight = inside - at
    return abs(float(way @ straight)) / max(float(np.hypot(*straight)), 1e-9)


def _candidates(
    ways: Sequence[_Thin],
    angle: float,
    offset: float,
    gap: float,
    half: float,
    size: float,
    inside: Vector | None,
) -> Iterator[_Candidate]:
    """The parts of an infinite line that people pass, each with its worth."""
    along = np.asarray([math.cos(angle), math.sin(angle)])
    normal = np.asarray([-along[1], along[0]])
    seen = [each for way in ways if (each := way.at(normal, along, offset, inside)) is not None]
    clean = sorted((each for each in seen if each.clean > 0), key=lambda each: each.along)
    if not clean:
        return
    unclear = [each.along for each in seen if each.clean == 0]
    cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(clean)) if b.along - a.along > gap), len(clean)]
    for begin, finish in ((a, b) for i, a in enumerate(cuts) for b in cuts[i + 1 :]):
        part = tuple(clean[begin:finish])
        low, high = part[0].along - half, part[-1].along + half
        doubtful = sum(low <= place <= high for place in unclear)
        empty = sum(max(0.0, b.along - a.along - gap) for a, b in pairwise(part)) / size
        door = _door_side(part)
        support = sum(each.clean * (1.0 + (_DOOR if door and each.door == door else 0.0)) for each in part)
        worth = (support - _DOUBT * doubtful - _GAP_COST * empty) * (1 - min(0.4, _LENGTH_COST * (high - low) / size))
        if abs(math.sin(2 * angle)) > 0.01:
            worth *= _SLANTED
        yield _Candidate(worth, angle, offset, part[0].along, part[-1].along, part, doubtful)


def _door_side(passes: Sequence[_Pass]) -> int:
    """The side on which enough of them appeared or vanished in the picture; 0 where on neither."""
    for side in (-1, 1):
        if sum(each.door == side for each in passes) >= max(2.0, _DOOR_SHARE * len(passes)):
            return side
    return 0


def _ends(best: _Candidate, ways: Sequence[_Thin], aspect: float, half: float) -> tuple[Vector, Vector]:
    """The line's ends: a little beyond the outermost who passed, as others will pass beyond those few.

    Of n places drawn evenly from a stretch, the outermost fall short of its ends by the n-th part of their span on
    average, so it is that much longer on both sides, and half a body at least. It stops half way to whoever passed
    the same infinite line elsewhere, and at the picture's border.
    """
    along = np.asarray([math.cos(best.angle), math.sin(best.angle)])
    normal = np.asarray([-along[1], along[0]])
    more = max(half, (best.high - best.low) / max(1, len(best.clean) - 1))
    low, high = best.low - more, best.high + more
    chosen = {each.along for each in best.clean}
    for way in ways:
        other = way.at(normal, along, best.offset)
        if other is None or other.along in chosen:
            continue
        if other.along < best.low:
            low = max(low, (other.along + best.low) / 2)
        elif other.along > best.high:
            high = min(high, (other.along + best.high) / 2)
    foot = normal * best.offset
    least, most = _within(foot, along, aspect)
    low = least if low < least + _SNAP else low
    high = most if high > most - _SNAP else high
    return foot + low * along, foot + high * along


def _within(foot: Vector, along: Vector, aspect: float) -> tuple[float, float]:
    """From where to where along a line the picture reaches."""
    low, high = -math.inf, math.inf
    for axis, limit in ((0, aspect), (1, 1.0)):
        if abs(along[axis]) > 1e-9:
            ends = sorted(((0.0 - foot[axis]) / along[axis], (limit - foot[axis]) / along[axis]))
            low, high = max(low, ends[0]), min(high, ends[1])
    return low, high


def inside_of(proposal: LineProposal, *, aspect: float) -> tuple[Point, bool]:
    """A point on the side taken for the inside, and whether anything speaks for it.

    Ways cannot say what is shop and what is street. In the long run as many go in as come out, but a recording that
    begins with a quiet shop sees more people first on the outside; so that is taken, and must be looked at. Where both
    are even, the inside is taken to be where the camera is: at the lower edge of the picture.
    """
    left, right = proposal.first_seen
    (x1, y1), (x2, y2) = proposal.start, proposal.end
    start, end = np.asarray([x1 * aspect, y1]), np.asarray([x2 * aspect, y2])
    way = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
    normal = np.asarray([-way[1], way[0]])
    known = abs(left - right) >= max(2, 0.2 * (left + right))
    side = (1.0 if left > right else -1.0) if known else (1.0 if normal[1] > 0 else -1.0)
    return point_beside(proposal, side=side, aspect=aspect), known


def point_beside(proposal: LineProposal, *, side: float, aspect: float) -> Point:
    """A point well off the line's middle on one side (+1 or -1) and within the picture, fractions of the frame."""
    start = np.asarray(proposal.start) * [aspect, 1.0]
    end = np.asarray(proposal.end) * [aspect, 1.0]
    way = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
    normal = np.asarray([-way[1], way[0]]) * side
    middle = (start + end) / 2
    _, room = _within(middle, normal, aspect)
    x, y = in_fractions(middle + normal * min(0.2, max(0.03, 0.8 * room)), aspect)
    return (round(min(max(x, 0.0), 1.0), 3), round(min(max(y, 0.0), 1.0), 3))


def as_line(proposal: LineProposal, inside: Point, line_id: str = "line") -> Line:
    """As the counter takes it, its ends rounded as they are written."""
    return Line(line_id, _rounded(proposal.start), _rounded(proposal.end), inside)


def _rounded(point: Point) -> Point:
    return (round(min(max(point[0], 0.0), 1.0), 3), round(min(max(point[1], 0.0), 1.0), 3))
