"""People as the counter knows them, under however many numbers the tracker gave them.

A tracker loses people where they hide each other, and doors are where they do. So someone lost near a line is kept for
a moment, and whoever appears there, of about the same size, goes on with their path instead of beginning a new one.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.counting.borders import Border
from edge.counting.params import CounterParams
from edge.counting.passages import Cut, Passage
from edge.counting.tags import Marks
from edge.geometry import Box, anchor_point, in_heights
from edge.models import Point

#: Sightings over which a body that touches the border must keep its extent.
_STEADY = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One sighting of one person: when (seconds), the box in fractions of the frame, and the detection's score."""

    time_s: float
    box: Box
    score: float


@dataclass(slots=True)
class Walker:
    """One person.

    Attributes:
        person: the first number the tracker gave them.
        passages: what they did so far at each border.
        seen: their newest sightings, oldest first.
        reported_at: when the tracker last spoke of them.
        marks: what is known of them.
        fullest: width and height of their box where nothing cuts it off, as far as is known: the greatest of late.
        stitched: whether their path was put together from several tracks.
        unsettled: crossings, with how sure they are, that wait for the end of the path, by the border's number.
    """

    person: int
    passages: list[Passage]
    seen: deque[Seen]
    reported_at: float
    marks: Marks
    fullest: Point = (0.0, 0.0)
    stitched: bool = False
    unsettled: dict[int, list[tuple[Cut, float]]] = field(default_factory=dict)

    def saw(self, seen: Seen, params: CounterParams) -> None:
        """Add a sighting.

        What was greatest once is not theirs for ever: two people were one box for a moment, and who walks away from
        the camera becomes small. So it is forgotten while they are seen whole. Where the picture cuts them off nothing
        follows from their other side: a box that grows or shrinks there is as often one that joins or falls apart.
        """
        now = (seen.box[2] - seen.box[0], seen.box[3] - seen.box[1])
        if not self.seen:
            self.seen.append(seen)
            self.fullest = now
            return
        last = self.seen[-1]
        self.seen.append(seen)
        kept = math.exp(-max(0.0, seen.time_s - last.time_s) / params.forget_s)
        fullest = list(self.fullest)
        for axis in (0, 1):
            if not _touches(seen.box, axis, params.border):
                fullest[axis] = kept * fullest[axis] + (1 - kept) * now[axis]
        self.fullest = (max(fullest[0], now[0]), max(fullest[1], now[1]))

    def cut_off(self, horizontal: bool, params: CounterParams) -> bool:
        """Whether the picture cuts this body off so that its anchor says nothing about crossing a line.

        What matters are the borders that someone walking along the line comes to. A body may touch one all the way
        (a narrow passage seen from above); it is cut off only if it shows less than it did or will.

        Args:
            horizontal: whether the line runs more across the picture than up and down.
            params: what touches a border, and how much must show.
        """
        axis = 0 if horizontal else 1
        if not _touches(self.seen[-1].box, axis, params.border):
            return False
        if len(self.seen) < _STEADY:
            return True
        extents = [self.seen[i].box[axis + 2] - self.seen[i].box[axis] for i in range(-_STEADY, 0)]
        share = params.whole_height if axis else params.whole_width
        return min(extents) < share * max(self.fullest[axis], *extents)

    def across(self, params: CounterParams) -> Point:
        """Left and right side of the body, fractions of the frame's width.

        One that the picture cuts off on one side goes on beyond it, as wide as it was: else whoever leaves by the side
        would seem to have stopped there with half of them.
        """
        left, _, right, _ = self.seen[-1].box
        if left <= params.border:
            return min(left, right - self.fullest[0]), right
        return left, max(right, left + self.fullest[0]) if right >= 1 - params.border else right

    def mean_score(self) -> float:
        """Of the newest sightings."""
        return sum(seen.score for seen in self.seen) / len(self.seen)

    def velocity(self, aspect: float) -> Point:
        """Mean velocity over the newest sightings, frame heights per second."""
        first, last = self.seen[0], self.seen[-1]
        span = last.time_s - first.time_s
        if span <= 0:
            return (0.0, 0.0)
        a, b = centre(first.box, aspect), centre(last.box, aspect)
        return ((b[0] - a[0]) / span, (b[1] - a[1]) / span)


def lost_near(
    walkers: Iterable[tuple[int, Walker]], first: Seen, borders: list[Border], params: CounterParams, aspect: float
) -> int | None:
    """Number of the one, lost near a border a moment ago, who has turned up again at a sighting; None if nobody has."""
    best, best_id = params.stitch_reach, None
    begin = centre(first.box, aspect)
    for track_id, walker in walkers:
        last = walker.seen[-1]
        gap = first.time_s - last.time_s
        if not 0 < gap <= params.stitch_s or not _alike(last.box, first.box):
            continue
        if not any(
            passage.last is not None and border.distance(passage.last[1]) <= params.stitch_near
            for border, passage in zip(borders, walker.passages, strict=True)
        ):
            continue
        here, speed = centre(last.box, aspect), walker.velocity(aspect)
        ahead = (here[0] + speed[0] * gap, here[1] + speed[1] * gap)
        off = min(math.dist(begin, here), math.dist(begin, ahead))
        if off < best:
            best, best_id = off, track_id
    return best_id


def centre(box: Box, aspect: float) -> Point:
    """Middle of a box, in frame heights."""
    return in_heights(anchor_point(box, "centre"), aspect)


def _touches(box: Box, axis: int, border: float) -> bool:
    """Whether a box comes to the picture's left or right (axis 0), or upper or lower (axis 1) border."""
    return box[axis] <= border or box[axis + 2] >= 1 - border


def _alike(first: Box, second: Box) -> bool:
    """Whether two boxes could be the same body: neither side more than two and a half times the other's."""
    return all(
        0.4 <= max(a, 1e-6) / max(b, 1e-6) <= 2.5
        for a, b in (
            (first[2] - first[0], second[2] - second[0]),
            (first[3] - first[1], second[3] - second[1]),
        )
    )
