"""Tracks in, crossings out: the heart. Pure: no camera, no clock, no I/O.

Counters fail in known ways, and each rule here answers one: jitter on the line counted many times (a band around the
line must be left on the far side, seen twice there); fast and diagonal walkers missed (the step between two sightings
is cut with the line's segment, however long the step); people confirmed late or lost at the door (the path before
confirmation is used, a track lost near the line is stitched to the one found there); a body leaving through the
picture's side, whose cut-off centre wanders (no evidence while cut off); directions that swap (geometry decides).
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.geometry import Box, Segment, anchor_point, default_anchor, in_heights
from edge.models import Crossing, Direction, Line, Mounting, Point, Track

#: Sightings over which a body that touches the border must keep its extent.
_STEADY = 4
#: A step through the very end of a line, or to the very edge of its band, must not be decided by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterParams:
    """How sure a crossing must be. Distances are in frame heights, times in seconds.

    Attributes:
        band: half-width of the hysteresis band around a line, at most.
        band_share: half-width of the band as a share of the body's height: a small body far off wavers less, and has
            less room to come clear of a line.
        least_band: half-width of the band, at least.
        settle_hits: sightings beyond the band on the far side before a crossing counts at once.
        border: a box's side this near the picture's border (fraction of the frame) touches it.
        whole_width: share of its fullest width that a body touching a side border must show, and have shown for the
            last sightings, to be evidence; below it the border cuts it off and its middle moves by itself.
        whole_height: the same for heights at the upper and lower border; less, for a body without its legs still has
            its middle where it was.
        gone_s: a track not reported for this long has ended.
        stitch_s: how long after a track was lost near a line another may take up its path.
        stitch_reach: how far from where it was lost, or expected, the other may begin.
        stitch_near: how near a line a track must have been lost to be taken up.
        group_s: longest time between one of a group and the next over the line.
        group_span_s: longest time between the first of a group and the last.
        group_distance: farthest apart, along the line, that one of a group follows another.
    """

    band: float = 0.03
    band_share: float = 0.1
    least_band: float = 0.015
    settle_hits: int = 2
    border: float = 0.008
    whole_width: float = 0.85
    whole_height: float = 0.6
    gone_s: float = 1.5
    stitch_s: float = 1.5
    stitch_reach: float = 0.15
    stitch_near: float = 0.10
    group_s: float = 1.5
    group_span_s: float = 4.5
    group_distance: float = 0.35


@dataclass(frozen=True, slots=True)
class _Seen:
    """One sighting of one person."""

    time_s: float
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class _Cut:
    """A step through the line: when, where along it (frame heights from its start), and which way (+1 inward)."""

    time_s: float
    at: float
    way: int


@dataclass(slots=True)
class _Passage:
    """What one person has done so far at one line.

    Attributes:
        side: the side they were last clearly seen on, +1 inside, -1 outside, 0 neither yet.
        last: their newest sighting's anchor, in frame heights, and its time.
        cuts: steps through the segment since they were last clear of the line.
        beyond: sightings clear of the band on the other side since then.
        counted: crossings not yet given out (settle on exit).
    """

    side: int = 0
    last: tuple[float, Point] | None = None
    cuts: list[_Cut] = field(default_factory=list)
    beyond: int = 0
    counted: list[tuple[_Cut, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Walker:
    """One person, under however many track ids the tracker gave them."""

    person: int
    passages: list[_Passage]
    seen: deque[_Seen]
    reported_at: float
    fullest: Point = (0.0, 0.0)
    stitched: bool = False


@dataclass(slots=True)
class _Group:
    """People over one line together: who opened it, when it began, and where and when its newest crossed."""

    opener: int
    began: float
    ended: float
    at: float


class Counter:
    """Counts people over lines.

    Args:
        lines: the lines, in fractions of the frame.
        mounting: gives the default anchor.
        aspect: the frame's width over its height.
        params: how sure a crossing must be.

    Raises:
        LineError: a line that cannot be used.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        mounting: Mounting,
        aspect: float,
        params: CounterParams | None = None,
    ) -> None:
        self._params = params or CounterParams()
        self._lines = [replace(line, anchor=line.anchor or default_anchor(mounting)) for line in lines]
        self._segments = [Segment.of(line, aspect) for line in lines]
        self._aspect = aspect
        self._walkers: dict[int, _Walker] = {}
        self._times: deque[float] = deque(maxlen=4096)
        self._frames: deque[int] = deque(maxlen=4096)
        self._groups: dict[tuple[int, int], list[_Group]] = {}

    def update(self, tracks: Sequence[Track], frame_index: int, time_s: float) -> list[Crossing]:
        """Take in the tracks of one frame.

        Args:
            tracks: as the tracker gives them, confirmed or not, seen or carried.
            frame_index: the frame's number.
            time_s: its time in seconds on the stream's clock, never before the last one.

        Returns:
            The crossings that became certain with this frame. Each is dated when the line was crossed, which is a
            little earlier.
        """
        self._times.append(time_s)
        self._frames.append(frame_index)
        found: list[Crossing] = []
        for track in tracks:
            if not track.confirmed:
                continue
            walker = self._walkers.get(track.track_id)
            sightings = [_Seen(past.time_s, past.box, track.score) for past in track.earlier]
            if track.seen:
                sightings.append(_Seen(time_s, track.box, track.score))
            if walker is None:
                if not sightings:
                    continue
                walker = self._welcome(track.track_id, sightings[0])
            walker.reported_at = time_s
            for sighting in sightings:
                found += self._follow(walker, sighting)
        ended = [key for key, w in self._walkers.items() if time_s - w.reported_at > self._params.gone_s]
        for key in ended:
            found += self._end(self._walkers.pop(key))
        return found

    def finish(self) -> list[Crossing]:
        """The stream is over: settle everyone by the evidence there is.

        Returns:
            The crossings that remained to be decided.
        """
        found = [crossing for walker in self._walkers.values() for crossing in self._end(walker)]
        self._walkers.clear()
        return found

    def _welcome(self, track_id: int, first: _Seen) -> _Walker:
        """A new track: someone new, or someone lost near a line a moment ago."""
        lost_id = self._lost_near(first)
        if lost_id is None:
            walker = _Walker(track_id, [_Passage() for _ in self._lines], deque(maxlen=8), first.time_s)
        else:
            walker = self._walkers.pop(lost_id)
            walker.stitched = True
        self._walkers[track_id] = walker
        return walker

    def _lost_near(self, first: _Seen) -> int | None:
        params, best, best_id = self._params, self._params.stitch_reach, None
        begin = self._centre(first.box)
        for track_id, walker in self._walkers.items():
            last = walker.seen[-1]
            gap = first.time_s - last.time_s
            if not 0 < gap <= params.stitch_s or not _alike(last.box, first.box):
                continue
            if not any(
                passage.last is not None and segment.distance(passage.last[1]) <= params.stitch_near
                for segment, passage in zip(self._segments, walker.passages, strict=True)
            ):
                continue
            here, speed = self._centre(last.box), self._velocity(walker)
            ahead = (here[0] + speed[0] * gap, here[1] + speed[1] * gap)
            off = min(math.dist(begin, here), math.dist(begin, ahead))
            if off < best:
                best, best_id = off, track_id
        return best_id

    def _follow(self, walker: _Walker, seen: _Seen) -> list[Crossing]:
        """Take one sighting into every line's passage."""
        walker.seen.append(seen)
        width, height = seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]
        walker.fullest = (max(walker.fullest[0], width), max(walker.fullest[1], height))
        found: list[Crossing] = []
        for number, (line, segment) in enumerate(zip(self._lines, self._segments, strict=True)):
            if self._cut_off(segment, walker):
                continue
            passage = walker.passages[number]
            self._step(passage, segment, seen.time_s, self._anchor(line, seen.box), self._band(seen.box))
            if passage.beyond >= self._params.settle_hits:
                found += self._settle(walker, number, 1.0)
        return found

    def _step(self, passage: _Passage, segment: Segment, time_s: float, point: Point, band: float) -> None:
        depth, before = segment.depth(point), passage.last
        if before is not None:
            meeting = segment.meeting(before[1], point)
            if meeting is not None and -_ROUNDING <= meeting.along <= 1.0 + _ROUNDING:
                moment = before[0] + meeting.fraction * (time_s - before[0])
                way = 1 if depth > 0 else -1
                passage.cuts.append(_Cut(moment, meeting.along * segment.length, way))
        passage.last = (time_s, point)
        if abs(depth) <= band + _ROUNDING:
            return
        side = 1 if depth > 0 else -1
        if passage.side in (0, side):
            passage.side, passage.beyond = side, 0
            passage.cuts.clear()
        else:
            passage.beyond += 1

    def _band(self, box: Box) -> float:
        """Half-width of the band for a body: a larger body's box wavers more."""
        params = self._params
        return min(params.band, max(params.least_band, params.band_share * (box[3] - box[1])))

    def _settle(self, walker: _Walker, number: int, confidence: float) -> list[Crossing]:
        """The person is now on the other side; that is a crossing if the way there led through the segment."""
        passage, line = walker.passages[number], self._lines[number]
        way, cuts = -passage.side, passage.cuts
        through = sum(cut.way for cut in cuts)
        passage.side, passage.beyond, passage.cuts = way, 0, []
        if through != way:
            return []
        cut = next(cut for cut in reversed(cuts) if cut.way == way)
        sure = confidence * (0.8 if walker.stitched else 1.0) * (0.5 + 0.5 * _mean_score(walker))
        if line.settle == "immediate":
            return [self._crossing(walker, number, cut, sure)]
        if passage.counted and passage.counted[-1][0].way != way:
            passage.counted.pop()
        else:
            passage.counted.append((cut, sure))
        return []

    def _end(self, walker: _Walker) -> list[Crossing]:
        """A track is over: one sighting beyond the band, not taken back, has to do; what waited is given out."""
        found: list[Crossing] = []
        for number, passage in enumerate(walker.passages):
            if passage.beyond and passage.last is not None:
                depth = self._segments[number].depth(passage.last[1])
                if depth * -passage.side > 0:
                    found += self._settle(walker, number, 0.6)
            found += [self._crossing(walker, number, cut, sure) for cut, sure in passage.counted]
        return found

    def _crossing(self, walker: _Walker, number: int, cut: _Cut, confidence: float) -> Crossing:
        frame, time_s = self._moment(cut.time_s)
        direction: Direction = "in" if cut.way > 0 else "out"
        group = self._group(walker.person, number, cut)
        return Crossing(
            self._lines[number].line_id, direction, walker.person, frame, time_s, round(confidence, 3), group
        )

    def _moment(self, time_s: float) -> tuple[int, float]:
        """The frame nearest to a moment, as its number and time."""
        place = bisect_left(self._times, time_s)
        near = [i for i in (place - 1, place) if 0 <= i < len(self._times)]
        best = min(near, key=lambda i: abs(self._times[i] - time_s))
        return self._frames[best], self._times[best]

    def _group(self, person: int, number: int, cut: _Cut) -> int:
        """The group this crossing belongs to, opening one if need be."""
        params = self._params
        groups = self._groups.setdefault((number, cut.way), [])
        newest = self._times[-1]
        groups[:] = [g for g in groups if newest - g.ended <= 60.0]
        for group in reversed(groups):
            near_in_time = group.began - params.group_s <= cut.time_s <= group.ended + params.group_s
            if (
                near_in_time
                and abs(cut.time_s - group.began) <= params.group_span_s
                and abs(cut.at - group.at) <= params.group_distance
                and group.opener != person
            ):
                group.ended, group.at = max(group.ended, cut.time_s), cut.at
                return group.opener
        groups.append(_Group(person, cut.time_s, cut.time_s, cut.at))
        return person

    def _cut_off(self, segment: Segment, walker: _Walker) -> bool:
        """Whether the picture cuts this body off so that its anchor says nothing about crossing this line.

        What matters are the borders that someone walking along the line comes to. A body may touch one all the way
        (a narrow passage seen from above); it is cut off only if it shows less than it did or will.
        """
        axis = 0 if segment.mostly_horizontal else 1
        box = walker.seen[-1].box
        if box[axis] > self._params.border and box[axis + 2] < 1 - self._params.border:
            return False
        extents = [seen.box[axis + 2] - seen.box[axis] for seen in list(walker.seen)[-_STEADY:]]
        share = self._params.whole_height if axis else self._params.whole_width
        least = share * max(walker.fullest[axis], *extents)
        return len(extents) < _STEADY or min(extents) < least

    def _anchor(self, line: Line, box: Box) -> Point:
        return in_heights(anchor_point(box, line.anchor or "centre"), self._aspect)

    def _centre(self, box: Box) -> Point:
        return in_heights(anchor_point(box, "centre"), self._aspect)

    def _velocity(self, walker: _Walker) -> Point:
        """Mean velocity over the last sightings, frame heights per second."""
        first, last = walker.seen[0], walker.seen[-1]
        span = last.time_s - first.time_s
        if span <= 0:
            return (0.0, 0.0)
        a, b = self._centre(first.box), self._centre(last.box)
        return ((b[0] - a[0]) / span, (b[1] - a[1]) / span)


def _alike(first: Box, second: Box) -> bool:
    """Whether two boxes could be the same body: neither side more than twice the other's."""
    return all(
        0.4 <= max(a, 1e-6) / max(b, 1e-6) <= 2.5
        for a, b in (
            (first[2] - first[0], second[2] - second[0]),
            (first[3] - first[1], second[3] - second[1]),
        )
    )


def _mean_score(walker: _Walker) -> float:
    return sum(seen.score for seen in walker.seen) / len(walker.seen)
