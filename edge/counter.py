"""Tracks in, crossings out: the heart. Pure: no camera, no clock, no I/O.

Counters fail in known ways, and each part in `edge.counting` answers one: jitter on the line counted many times, fast
and diagonal walkers missed (`passages`); a path past the corner of a bent line counted twice or not at all (`borders`);
people confirmed late or lost at the door, a body leaving through the picture's side whose cut-off centre wanders
(`walkers`); a family counted as several customers (`groups`); staff counted as visitors (`tags`).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from edge.counting.borders import Border
from edge.counting.groups import Groups
from edge.counting.layout import check_drawing
from edge.counting.params import CounterParams
from edge.counting.passages import Cut, Passage
from edge.counting.tags import Tagger
from edge.counting.walkers import Seen, Walker, lost_near
from edge.geometry import Box, anchor_point, default_anchor, in_heights
from edge.models import Anchor, Crossing, Direction, Line, Mounting, Settle, Tagging, Track, Zone

__all__ = ["Counter", "CounterParams"]

#: Frames within which the nearest to a moment is looked for; who stands on a line for longer crossed it before them.
_FRAMES_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class _Counted:
    """A line, or the edge of a zone, over which people are counted."""

    line_id: str
    border: Border
    anchor: Anchor
    settle: Settle
    groups: tuple[Groups, Groups]

    def group(self, person: int, cut: Cut, now: float) -> int:
        """The group a crossing belongs to, opening one if need be."""
        return self.groups[cut.way > 0].join(person, cut.time_s, cut.at, now)


@dataclass(slots=True)
class _Waiting:
    """A crossing that counts, until it is given out."""

    due: float
    walker: Walker
    crossing: Crossing


class Counter:
    """Counts people over lines and into zones.

    Args:
        lines: the lines, in fractions of the frame.
        mounting: gives the default anchor.
        aspect: the frame's width over its height.
        params: how sure a crossing must be.
        zones: those of kind `count` are counted like lines; those of kind `staff` tag people.
        tagging: rules and heights that tag people.

    Raises:
        LineError: a line, zone or rule that cannot be used.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        mounting: Mounting,
        aspect: float,
        params: CounterParams | None = None,
        zones: Sequence[Zone] = (),
        tagging: Tagging | None = None,
    ) -> None:
        tagging = tagging or Tagging()
        check_drawing(lines, zones, tagging.rules, tagging.size, aspect)
        self._params = params or CounterParams()
        usual = default_anchor(mounting)
        drawn = [(each.line_id, Border.of(each, aspect), each.anchor, each.settle) for each in lines]
        drawn += [
            (each.zone_id, Border.around(each, aspect), each.anchor, each.settle)
            for each in zones
            if each.kind == "count"
        ]
        self._counted = [
            _Counted(
                name, border, anchor or usual, settle, (Groups(border, self._params), Groups(border, self._params))
            )
            for name, border, anchor, settle in drawn
        ]
        self._borders = [counted.border for counted in self._counted]
        self._aspect = aspect
        self._tagger = Tagger(zones, tagging, mounting, aspect)
        self._wait_s = tagging.wait_s
        self._walkers: dict[int, Walker] = {}
        self._waiting: list[_Waiting] = []
        self._times: deque[float] = deque(maxlen=_FRAMES_KNOWN)
        self._frames: deque[int] = deque(maxlen=_FRAMES_KNOWN)

    def update(
        self, tracks: Sequence[Track], frame_index: int, time_s: float, carts: Sequence[Box] = ()
    ) -> list[Crossing]:
        """Take in the tracks of one frame.

        Args:
            tracks: as the tracker gives them, confirmed or not, seen or carried.
            frame_index: the frame's number.
            time_s: its time in seconds on the stream's clock, never before the last one.
            carts: boxes of carts found in this frame, fractions of the frame.

        Returns:
            The crossings that became certain with this frame, or have waited long enough for tags. Each is dated when
            the line was crossed, which is a little earlier.
        """
        self._times.append(time_s)
        self._frames.append(frame_index)
        here: list[Walker] = []
        present = {track.track_id for track in tracks if track.seen}
        for track in tracks:
            if not track.confirmed:
                continue
            walker = self._walkers.get(track.track_id)
            sightings = [Seen(past.time_s, past.box, track.score) for past in track.earlier]
            if track.seen:
                sightings.append(Seen(time_s, track.box, track.score))
            if walker is None:
                if not sightings:
                    continue
                walker = self._welcome(track.track_id, sightings[0], present)
            walker.reported_at = time_s
            for sighting in sightings:
                self._follow(walker, sighting)
            if track.seen:
                here.append(walker)
        self._tagger.compare([(walker.marks, walker.seen[-1].box) for walker in here], carts)
        ended = [key for key, w in self._walkers.items() if time_s - w.reported_at > self._params.gone_s]
        for key in ended:
            self._end(self._walkers.pop(key))
        return self._give_out(time_s)

    @property
    def undecided_since(self) -> float | None:
        """Time of the earliest step over a border of which is still open whether it counts, or which waits for tags.

        Seconds on the stream's clock; None where nothing is open. Someone may stand on a line for an hour, and with
        `settle = on_exit` it is open for as long as they stay in the picture.
        """
        moments = [waiting.crossing.time_s for waiting in self._waiting]
        for walker in self._walkers.values():
            moments += [cut.time_s for some in walker.unsettled.values() for cut, _ in some]
            moments += [moment for passage in walker.passages for moment, _ in passage.cuts.values()]
        return min(moments, default=None)

    def finish(self) -> list[Crossing]:
        """The stream is over: settle everyone by the evidence there is.

        Returns:
            The crossings that remained to be decided.
        """
        for walker in self._walkers.values():
            self._end(walker)
        self._walkers.clear()
        return self._give_out(float("inf"))

    def _welcome(self, track_id: int, first: Seen, present: Set[int]) -> Walker:
        """A new track: someone new, or someone lost near a line a moment ago; who is seen now (`present`) is not."""
        absent = ((known, walker) for known, walker in self._walkers.items() if known not in present)
        lost_id = lost_near(absent, first, self._borders, self._params, self._aspect)
        if lost_id is None:
            passages = [Passage() for _ in self._counted]
            walker = Walker(track_id, passages, deque(maxlen=8), first.time_s, self._tagger.begin(first.box))
        else:
            walker = self._walkers.pop(lost_id)
            walker.stitched = True
        self._walkers[track_id] = walker
        return walker

    def _follow(self, walker: Walker, seen: Seen) -> None:
        """Take one sighting into every border's passage."""
        walker.saw(seen, self._params)
        self._tagger.saw(walker.marks, seen.time_s, seen.box)
        band, (left, right) = self._band(seen.box), walker.across(self._params)
        middle = (seen.box[0] + seen.box[2]) / 2
        for number, counted in enumerate(self._counted):
            point = in_heights(anchor_point(seen.box, counted.anchor), self._aspect)
            piece = counted.border.nearest(point)
            if walker.cut_off(piece.mostly_horizontal, self._params):
                continue
            passage = walker.passages[number]
            aslant = self._aspect * piece.inward[0]
            passage.step(
                counted.border,
                seen.time_s,
                point,
                band=band,
                reach=((left - middle) * aslant, (right - middle) * aslant),
                advance=self._params.advance * (right - left) * abs(aslant),
            )
            if passage.beyond >= self._params.settle_hits:
                self._settle(walker, number, 1.0)

    def _band(self, box: Box) -> float:
        """Half-width of the band for a body: a larger body's box wavers more."""
        params = self._params
        return min(params.band, max(params.least_band, params.band_share * (box[3] - box[1])))

    def _settle(self, walker: Walker, number: int, confidence: float) -> None:
        """The person is now on the other side; if that is a crossing, it counts at once or when they are gone."""
        crossed = walker.passages[number].settle()
        if crossed is None:
            return
        way, moment, at = crossed
        counted = self._counted[number]
        cut = Cut(*self._frame_at(moment), at, way)
        sure = confidence * (0.8 if walker.stitched else 1.0) * (0.5 + 0.5 * walker.mean_score())
        self._tagger.crossed(walker.marks, counted.line_id, cut.time_s)
        if counted.settle == "immediate":
            self._count(walker, number, cut, sure, due=self._times[-1] + self._wait_s)
            return
        unsettled = walker.unsettled.setdefault(number, [])
        if unsettled and unsettled[-1][0].way != way:
            unsettled.pop()
        else:
            unsettled.append((cut, sure))

    def _end(self, walker: Walker) -> None:
        """A track is over: one sighting beyond the band, not taken back, has to do; what waited is given out."""
        for number, counted in enumerate(self._counted):
            if walker.passages[number].ends_beyond(counted.border):
                self._settle(walker, number, 0.6)
            for cut, sure in walker.unsettled.pop(number, ()):
                self._count(walker, number, cut, sure, due=self._times[-1])
        for waiting in self._waiting:
            if waiting.walker is walker:
                waiting.due = self._times[-1]

    def _count(self, walker: Walker, number: int, cut: Cut, confidence: float, *, due: float) -> None:
        counted = self._counted[number]
        direction: Direction = "in" if cut.way > 0 else "out"
        group = counted.group(walker.person, cut, self._times[-1])
        crossing = Crossing(
            counted.line_id, direction, walker.person, cut.frame, cut.time_s, round(confidence, 3), group
        )
        self._waiting.append(_Waiting(due, walker, crossing))

    def _give_out(self, now: float) -> list[Crossing]:
        """What has waited long enough, with the tags known by now, in the order in which it became certain."""
        if not self._waiting:
            return []
        given = [each for each in self._waiting if each.due <= now]
        self._waiting = [each for each in self._waiting if each.due > now]
        return [replace(each.crossing, tags=self._tagger.tags(each.walker.marks)) for each in given]

    def _frame_at(self, time_s: float) -> tuple[int, float]:
        """The frame nearest to a moment, as its number and time; one no longer known is reckoned by the rate."""
        first, last = self._times[0], self._times[-1]
        if time_s < first < last and len(self._times) == _FRAMES_KNOWN:
            rate = (self._frames[-1] - self._frames[0]) / (last - first)
            return max(0, self._frames[0] - round((first - time_s) * rate)), time_s
        place = bisect_left(self._times, time_s)
        near = [i for i in (place - 1, place) if 0 <= i < len(self._times)]
        best = min(near, key=lambda i: abs(self._times[i] - time_s))
        return self._frames[best], self._times[best]
