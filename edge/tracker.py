"""Boxes in, tracks out: who in this frame is who was in the last one.

Overlap alone does not answer that: someone walking under an overhead camera crosses the picture in a dozen frames and
their boxes hardly overlap, while in a shop front seen obliquely two people overlap all the time. So overlap is mixed
with distance from where each person is expected, gated by how fast people can walk. Everything is timed in seconds, so
a camera that drops frames is followed like one that does not. A blob detector sees two people who touch as one box:
both are kept, each with its own size, for as long as the joined box lasts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import lap
import numpy as np
from numpy.typing import NDArray

from edge.boxes import overlaps, parts, share_inside, to_centres, touching
from edge.geometry import Box
from edge.kalman import BoxFilter, Vector
from edge.models import Boxes, Detections, Mounting, Sighting, Track, no_boxes

#: A pair that may not be matched; above every cost limit.
_NEVER = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerParams:
    """How people move and how sure we want to be. Sizes are body sizes: see `walk`.

    Attributes:
        walk: how much walking speeds differ, and change within a second, in body sizes per second (one standard
            deviation); a body is its box's height when seen obliquely and the square root of its box's area when
            seen from above.
        fastest: the fastest anyone is believed to move, in the same unit.
        farthest: the farthest from where they are expected that anyone is looked for, in body sizes.
        overhead: whether a body's size is taken from area rather than height.
        smallest: smallest body size used for gates, in frame heights, so that a fragment of a body does not close them.
        high_score: detections from here on may start and hold a track; weaker ones can only continue one.
        low_score: detections below this are ignored.
        confirm_hits: detections before a track is confirmed.
        tentative_s: how long an unconfirmed track may go unseen, seconds.
        lost_s: how long a confirmed track is kept while unseen, seconds.
        merge_s: how long a track may be carried inside a box shared with another, seconds.
        established_s: how long someone must have been followed to be carried so, seconds.
        roomy: a box this many times the area of the body it is matched to has room for another.
        crowd_trust: how many times less exact a box is that touches another: they hide each other, or were one blob.
        jitter: standard deviation of a detector's box, in body sizes.
    """

    walk: float = 0.5
    fastest: float = 2.5
    farthest: float = 2.0
    overhead: bool = False
    smallest: float = 0.08
    high_score: float = 0.5
    low_score: float = 0.1
    confirm_hits: int = 3
    tentative_s: float = 0.3
    lost_s: float = 1.3
    merge_s: float = 3.0
    established_s: float = 0.4
    roomy: float = 1.25
    crowd_trust: float = 2.0
    jitter: float = 0.03

    @classmethod
    def for_mounting(cls, mounting: Mounting) -> "TrackerParams":
        """The default for a camera overhead or oblique."""
        if mounting == "overhead":
            return cls(walk=2.0, fastest=7.0, overhead=True, smallest=0.15)
        return cls()


@dataclass(slots=True, eq=False)
class _Body:
    """Someone followed: the filter and what is remembered of them."""

    filter: BoxFilter
    born_at: float
    seen_at: float = 0.0
    seen_centre: tuple[float, float] = (0.0, 0.0)
    score: float = 0.0
    hits: int = 0
    track_id: int = 0
    seen: bool = True
    merged_at: float | None = None
    raw: Box = (0.0, 0.0, 0.0, 0.0)
    earlier: list[Sighting] = field(default_factory=list)
    just_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """One frame's detections: centres and sizes in frame heights, scores, boxes in fractions."""

    measured: Vector
    scores: Vector
    boxes: Boxes


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one body reads from one detection; `trust` above 1 says how much less it is to be trusted."""

    body: _Body
    row: int
    measured: Vector
    trust: float = 1.0


class Tracker:
    """Follows people from frame to frame. Deterministic: the same detections give the same tracks.

    Args:
        aspect: the frame's width over its height.
        mounting: picks default parameters.
        params: instead of the mounting's defaults.
    """

    def __init__(
        self, *, aspect: float = 16 / 9, mounting: Mounting = "oblique", params: TrackerParams | None = None
    ) -> None:
        self._aspect = aspect
        self._params = params or TrackerParams.for_mounting(mounting)
        self._bodies: list[_Body] = []
        self._next_id = 1
        self._now: float | None = None

    def update(self, detections: Detections, time_s: float) -> list[Track]:
        """Take in the detections of one frame.

        Args:
            detections: people found, in fractions of the frame.
            time_s: the frame's time in seconds on the stream's clock; not before the last one.

        Returns:
            Every track still followed, confirmed or not, seen in this frame or carried by prediction, oldest first.

        Raises:
            ValueError: time ran back.
        """
        self._move_to(time_s)
        measured = to_centres(detections.boxes, self._aspect)
        scores = np.asarray(detections.scores, np.float64)
        usable = (measured[:, 2] > 0) & (measured[:, 3] > 0)
        high = np.flatnonzero(usable & (scores >= self._params.high_score))
        low = np.flatnonzero(usable & (scores >= self._params.low_score) & (scores < self._params.high_score))

        for body in self._bodies:
            body.seen = False
            body.just_confirmed = False
        found = _Found(measured, scores, detections.boxes)
        confirmed = [body for body in self._bodies if body.track_id]
        matches, free, high = self._assign(confirmed, measured, high, time_s, limit=1.0)
        recent = [body for body in free if time_s - body.seen_at <= self._params.tentative_s]
        weak, _, _ = self._assign(recent, measured, low, time_s, limit=0.6)
        matches += weak
        self._take(self._apart(matches, free, measured, time_s), found, time_s)

        tentative = [body for body in self._bodies if not body.track_id]
        young, _, high = self._assign(tentative, measured, high, time_s, limit=1.0)
        self._take([_Reading(body, row, measured[row]) for body, row in young], found, time_s)
        self._begin(high, found, time_s)
        self._forget(time_s)
        return [self._track(body) for body in self._bodies]

    def predicted(self, time_s: float) -> Boxes:
        """Where confirmed tracks are expected at a time, in fractions of the frame; shape (n, 4).

        Args:
            time_s: seconds on the stream's clock, not before the last update.
        """
        ahead = 0.0 if self._now is None else max(0.0, time_s - self._now)
        boxes = [self._box(body.filter.ahead(ahead)) for body in self._bodies if body.track_id]
        return np.asarray(boxes, np.float32) if boxes else no_boxes()

    def _move_to(self, time_s: float) -> None:
        dt = 0.0 if self._now is None else time_s - self._now
        if dt < 0:
            raise ValueError(f"time ran back from {self._now:.3f} s to {time_s:.3f} s; a stream's clock never does")
        self._now = time_s
        # Before anything is matched: after a stall, whoever stands there now need not be who stood there then.
        self._bodies = [body for body in self._bodies if time_s - body.seen_at <= self._params.lost_s]
        for body in self._bodies:
            if body.seen_at < time_s - dt - 1e-9:
                body.filter.slow(math.exp(-dt))
            body.filter.predict(dt, self._agility(body))

    def _assign(
        self, bodies: Sequence[_Body], measured: Vector, rows: NDArray[np.intp], now: float, *, limit: float
    ) -> tuple[list[tuple[_Body, int]], list[_Body], NDArray[np.intp]]:
        """Match bodies to detections optimally; returns matches, bodies left over, rows left over."""
        if not bodies or not len(rows):
            return [], list(bodies), rows
        cost = self._costs(bodies, measured[rows], now)
        _, columns, _ = lap.lapjv(np.ascontiguousarray(cost), extend_cost=True, cost_limit=limit)
        matches = [(body, int(rows[c])) for body, c in zip(bodies, columns, strict=True) if c >= 0]
        free = [body for body, c in zip(bodies, columns, strict=True) if c < 0]
        taken = {c for c in columns if c >= 0}
        return matches, free, np.asarray([r for i, r in enumerate(rows) if i not in taken], np.intp)

    def _costs(self, bodies: Sequence[_Body], measured: Vector, now: float) -> Vector:
        """Cost of each pair, 0 (surely) to 1 (barely), `_NEVER` where no walker could have got there."""
        params = self._params
        states = np.stack([body.filter.state for body in bodies])
        spreads = np.asarray([body.filter.spread for body in bodies])
        spreads = (spreads[:, 0] + spreads[:, 1]) / 2
        last = np.asarray([body.seen_centre for body in bodies])
        gaps = np.asarray([now - body.seen_at for body in bodies])
        sizes = (self._sizes(states)[:, None] + self._sizes(measured)[None, :]) / 2
        x, y = measured[:, 0], measured[:, 1]
        off = np.hypot(states[:, :1] - x, states[:, 1:2] - y)
        moved = np.hypot(last[:, :1] - x, last[:, 1:] - y)
        gate = np.minimum(0.5 * sizes + 3.0 * spreads[:, None], params.farthest * sizes)
        reach = 0.5 * sizes + params.fastest * sizes * gaps[:, None]
        smaller = np.minimum(states[:, None, 2:], measured[None, :, 2:])
        larger = np.maximum(states[:, None, 2:], measured[None, :, 2:])
        shape = np.maximum(smaller / np.maximum(larger, 1e-6), 0.0)
        likeness = shape[..., 0] * shape[..., 1]
        overlap = overlaps(states, measured)
        cost = 0.4 * (1 - overlap) + 0.45 * off / gate + 0.15 * (1 - likeness)
        cost = cost + 0.1 * np.minimum(gaps, 1.0)[:, None]
        cost[(off > gate) | (moved > reach) | (likeness < 0.2)] = _NEVER
        return np.asarray(cost, np.float64)

    def _apart(
        self, matches: Sequence[tuple[_Body, int]], free: Sequence[_Body], measured: Vector, now: float
    ) -> list["_Reading"]:
        """What each body reads from its detection; those who share one get their own part of it.

        Someone without a detection, expected within a box that is larger than the body it was matched to, has merged
        with that body: people who touch are one blob. Both keep their size, and the outermost of them lean against
        the box's sides.
        """
        params = self._params
        sharers: dict[int, list[_Body]] = {}
        taken = {id(body) for body, _ in matches}
        for body in free:
            if id(body) in taken or now - body.born_at < params.established_s:
                continue
            if now - (body.seen_at if body.merged_at is None else body.merged_at) > params.merge_s:
                continue
            for owner, row in matches:
                roomy = measured[row, 2:].prod() > params.roomy * owner.filter.state[2:].prod()
                if roomy and share_inside(body.filter.state, measured[row]) >= 0.6:
                    sharers.setdefault(row, []).append(body)
                    break
        crowded = touching(measured, 0.01)
        readings: list[_Reading] = []
        for body, row in matches:
            if row in sharers:
                together = [body, *sharers[row]]
                for each, part in zip(
                    together, parts(np.stack([each.filter.state for each in together]), measured[row]), strict=True
                ):
                    each.merged_at = now if each.merged_at is None else each.merged_at
                    readings.append(_Reading(each, row, part, trust=2.5))
            else:
                body.merged_at = None
                readings.append(_Reading(body, row, measured[row], params.crowd_trust if crowded[row] else 1.0))
        return readings

    def _take(self, readings: Sequence["_Reading"], found: "_Found", now: float) -> None:
        """Give what was read to the bodies it belongs to."""
        for reading in readings:
            spread = self._jitter(reading.measured) * reading.trust
            reading.body.filter.correct(reading.measured, spread)
            self._saw(reading, found, now)

    def _saw(self, reading: "_Reading", found: "_Found", now: float) -> None:
        body, measured = reading.body, reading.measured
        body.seen, body.seen_at, body.score = True, now, float(found.scores[reading.row])
        body.seen_centre = (float(measured[0]), float(measured[1]))
        raw = found.boxes[reading.row]
        body.raw = (float(raw[0]), float(raw[1]), float(raw[2]), float(raw[3]))
        if body.track_id:
            return
        body.hits += 1
        if body.hits >= self._params.confirm_hits and not self._fragment(measured):
            body.track_id, self._next_id = self._next_id, self._next_id + 1
            body.just_confirmed = True
        else:
            body.earlier.append(Sighting(now, self._shown(body)))

    def _fragment(self, measured: Vector) -> bool:
        """Whether a box lies within someone already followed: an arm, a bag, half a body; not another person."""
        return any(
            body.track_id and body.seen and share_inside(measured, body.filter.state) >= 0.7 for body in self._bodies
        )

    def _begin(self, rows: NDArray[np.intp], found: "_Found", now: float) -> None:
        """Start a tentative track for each strong detection nobody claimed."""
        for row in rows:
            measured = found.measured[row]
            if self._fragment(measured):
                continue
            size = float(self._sizes(measured[None])[0])
            speed = self._params.walk * size
            unknown = np.asarray([speed, speed, 0.3 * size, 0.3 * size])
            body = _Body(BoxFilter(measured, self._jitter(measured), unknown), now)
            self._bodies.append(body)
            self._saw(_Reading(body, int(row), measured), found, now)

    def _forget(self, now: float) -> None:
        params = self._params

        def kept(body: _Body) -> bool:
            unseen = now - body.seen_at
            if not body.track_id:
                return unseen <= params.tentative_s
            if unseen > params.lost_s:
                return False
            x, y = body.filter.state[:2]
            return body.seen or (-0.1 <= x <= self._aspect + 0.1 and -0.1 <= y <= 1.1)

        self._bodies = [body for body in self._bodies if kept(body)]

    def _sizes(self, states: Vector) -> Vector:
        """Body sizes in frame heights of states of shape (n, 4)."""
        height = states[:, 3]
        size = np.sqrt(np.maximum(states[:, 2] * height, 0.0)) if self._params.overhead else height
        return np.asarray(np.maximum(size, self._params.smallest), np.float64)

    def _agility(self, body: _Body) -> Vector:
        size = float(self._sizes(body.filter.state[None])[0])
        walk = self._params.walk * size
        return np.asarray([walk, walk, 0.15 * size, 0.15 * size])

    def _jitter(self, measured: Vector) -> Vector:
        size = float(self._sizes(measured[None])[0])
        spread = self._params.jitter * size
        return np.asarray([spread, spread, 2 * spread, 2 * spread])

    def _track(self, body: _Body) -> Track:
        earlier = tuple(body.earlier) if body.just_confirmed else ()
        if body.just_confirmed:
            body.earlier = []
        return Track(body.track_id, self._shown(body), body.score, bool(body.track_id), body.seen, earlier)

    def _shown(self, body: _Body) -> Box:
        """The smoothed box; a side the picture cuts off stays on the picture's border, where it was seen."""
        box = self._box(body.filter.state)
        if not body.seen:
            return box
        x1, y1, x2, y2 = box
        rx1, ry1, rx2, ry2 = body.raw
        return (
            0.0 if rx1 <= _CUT else x1,
            0.0 if ry1 <= _CUT else y1,
            1.0 if rx2 >= 1 - _CUT else x2,
            1.0 if ry2 >= 1 - _CUT else y2,
        )

    def _box(self, state: Vector) -> Box:
        cx, cy, w, h = (float(value) for value in state)
        cx, w = cx / self._aspect, max(w, 1e-4) / self._aspect
        h = max(h, 1e-4)
        x1, x2 = min(max(cx - w / 2, 0.0), 1.0), min(max(cx + w / 2, 0.0), 1.0)
        y1, y2 = min(max(cy - h / 2, 0.0), 1.0), min(max(cy + h / 2, 0.0), 1.0)
        return (x1, y1, x2, y2)


#: A detection whose side is this near the border of the picture is taken as cut off there.
_CUT = 0.006
