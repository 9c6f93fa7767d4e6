"""Boxes in, tracks out: who in this frame is who was in the last one.

Overlap alone does not answer that: someone walking under an overhead camera crosses the picture in a dozen frames and
their boxes hardly overlap, while in a shop front seen obliquely two people overlap all the time. So overlap is mixed
with distance from where each person is expected, gated by how fast people can walk. Everything is timed in seconds, so
a camera that drops frames is followed like one that does not. A blob detector sees two people who touch as one box:
both are kept, each with its own size, for as long as the joined box lasts.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.assignment import assign
from edge.boxes import likeness, overlap, parts, share_inside, to_centres, touching
from edge.geometry import AT_BORDER, Box
from edge.kalman import BoxFilter, Centred
from edge.models import Boxes, Detections, Mounting, Sighting, Track, no_boxes
from edge.parting import way_together
from edge.trackerparams import TrackerParams

__all__ = ["Tracker", "TrackerParams"]

#: A pair that may not be matched; above every cost limit.
_NEVER = 1e3
#: Standard deviation of how fast a new body's box grows, in body sizes per second.
_GROWTH = 0.3


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
    earlier: deque[Sighting] = field(default_factory=deque)
    lately: deque[Sighting] = field(default_factory=deque)
    just_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """One frame's detections: boxes in frame heights, the body sizes they speak of, scores, boxes in fractions."""

    measured: list[Centred]
    sizes: list[float]
    scores: list[float]
    boxes: list[Box]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one body reads from one detection; `trust` above 1 says how much less it is to be trusted."""

    body: _Body
    row: int
    measured: Centred
    trust: float = 1.0


class Tracker:
    """Follows people from frame to frame. Deterministic: the same detections give the same tracks.

    Args:
        aspect: the frame's width over its height.
        mounting: picks default parameters.
        params: instead of the mounting's defaults.
    """

    def __init__(
        self,
        *,
        aspect: float = 16 / 9,
        mounting: Mounting = "oblique",
        params: TrackerParams | None = None,
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
        found = _Found(
            measured,
            [self._size(each) for each in measured],
            detections.scores.tolist(),
            [(x1, y1, x2, y2) for x1, y1, x2, y2 in detections.boxes.tolist()],
        )
        high, low = self._usable(found)

        for body in self._bodies:
            body.seen = False
            body.just_confirmed = False
        confirmed = [body for body in self._bodies if body.track_id]
        matches, free, high = self._assign(confirmed, found, high, time_s, limit=1.0)
        recent = [body for body in free if time_s - body.seen_at <= self._params.tentative_s]
        weak, _, low = self._assign(recent, found, low, time_s, limit=0.6)
        matches += weak
        self._take(self._apart(matches, free, found, time_s), found, time_s)

        tentative = [body for body in self._bodies if not body.track_id]
        young, unseen, high = self._assign(tentative, found, high, time_s, limit=1.0)
        faint, _, low = self._assign(unseen, found, low, time_s, limit=0.6)
        self._take(
            [_Reading(body, row, found.measured[row]) for body, row in (*young, *faint)],
            found,
            time_s,
        )
        self._begin((*high, *low), found, time_s)
        self._forget(time_s)
        return [self._track(body) for body in self._bodies]

    def predicted(self, time_s: float) -> Boxes:
        """Where confirmed tracks are expected at a time, in fractions of the frame; shape (n, 4).

        Args:
            time_s: seconds on the stream's clock, not before the last update.
        """
        if not self._bodies:
            return no_boxes()
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

    def _usable(self, found: _Found) -> tuple[list[int], list[int]]:
        """Rows of strong and of weak detections; boxes without area, or that end nowhere, are neither."""
        high, low = [], []
        for row, ((_, _, wide, tall), score) in enumerate(zip(found.measured, found.scores, strict=True)):
            if 0 < wide < math.inf and 0 < tall < math.inf:
                if score >= self._params.high_score:
                    high.append(row)
                elif score >= self._params.low_score:
                    low.append(row)
        return high, low

    def _assign(
        self,
        bodies: Sequence[_Body],
        found: _Found,
        rows: list[int],
        now: float,
        *,
        limit: float,
    ) -> tuple[list[tuple[_Body, int]], list[_Body], list[int]]:
        """Match bodies to detections optimally; returns matches, bodies left over, rows left over."""
        if not bodies or not rows:
            return [], list(bodies), rows
        columns = assign([self._costs(body, found, rows, now) for body in bodies], limit)
        matches = [(body, rows[c]) for body, c in zip(bodies, columns, strict=True) if c >= 0]
        free = [body for body, c in zip(bodies, columns, strict=True) if c < 0]
        taken = set(columns)
        return matches, free, [row for c, row in enumerate(rows) if c not in taken]

    def _costs(self, body: _Body, found: _Found, rows: list[int], now: float) -> list[float]:
        """Cost of pairing a body with each row: 0 (surely) to 1 (barely), `_NEVER` where no walker could have got."""
        params, state, (x, y) = self._params, body.filter.state, body.seen_centre
        own, three_spreads, gap = self._size(state), 3.0 * body.filter.spread, now - body.seen_at
        waited, reach = 0.1 * min(gap, 1.0), 0.5 + params.fastest * gap
        costs = []
        for row in rows:
            measured = found.measured[row]
            size = (own + found.sizes[row]) / 2
            off = math.hypot(state[0] - measured[0], state[1] - measured[1])
            gate = min(0.5 * size + three_spreads, params.farthest * size)
            if off > gate or math.hypot(x - measured[0], y - measured[1]) > reach * size:
                costs.append(_NEVER)
                continue
            alike = likeness(state, measured)
            if alike < 0.2:
                costs.append(_NEVER)
                continue
            costs.append(0.4 * (1 - overlap(state, measured)) + 0.45 * off / gate + 0.15 * (1 - alike) + waited)
        return costs

    def _apart(
        self,
        matches: Sequence[tuple[_Body, int]],
        free: Sequence[_Body],
        found: _Found,
        now: float,
    ) -> list["_Reading"]:
        """What each body reads from its detection; those who share one get their own part of it.

        Someone without a detection, expected within a box that is larger than the body it was matched to, has merged
        with that body: people who touch are one blob. Both keep their size, and the outermost of them lean against
        the box's sides.
        """
        params, measured = self._params, found.measured
        sharers: dict[int, list[_Body]] = {}
        taken = {id(body) for body, _ in matches}
        for body in free:
            if id(body) in taken or now - body.born_at < params.established_s:
                continue
            if now - (body.seen_at if body.merged_at is None else body.merged_at) > params.merge_s:
                continue
            for owner, row in matches:
                roomy = _area(measured[row]) > params.roomy * _area(owner.filter.state)
                if roomy and share_inside(body.filter.state, measured[row]) >= 0.6:
                    sharers.setdefault(row, []).append(body)
                    break
        crowded = touching(measured, 0.01)
        readings: list[_Reading] = []
        for body, row in matches:
            if row in sharers:
                together = [body, *sharers[row]]
                for each, part in zip(
                    together,
                    parts([each.filter.state for each in together], measured[row]),
                    strict=True,
                ):
                    each.merged_at = now if each.merged_at is None else each.merged_at
                    readings.append(_Reading(each, row, part, trust=2.5))
            else:
                body.merged_at = None
                readings.append(
                    _Reading(
                        body,
                        row,
                        measured[row],
                        params.crowd_trust if crowded[row] else 1.0,
                    )
                )
        return readings

    def _take(self, readings: Sequence["_Reading"], found: "_Found", now: float) -> None:
        """Give what was read to the bodies it belongs to."""
        for reading in readings:
            spread = self._params.jitter * self._size(reading.measured) * reading.trust
            reading.body.filter.correct(reading.measured, spread)
            self._saw(reading, found, now)

    def _saw(self, reading: "_Reading", found: "_Found", now: float) -> None:
        body, measured = reading.body, reading.measured
        body.seen, body.seen_at, body.score = True, now, found.scores[reading.row]
        body.seen_centre = measured[:2]
        body.raw = found.boxes[reading.row]
        body.lately.append(Sighting(now, body.raw))
        while now - body.lately[0].time_s > self._params.together_s:
            body.lately.popleft()
        if body.track_id:
            return
        body.hits += body.score >= self._params.high_score
        if body.hits >= self._params.confirm_hits and not self._fragment(measured):
            body.track_id, self._next_id = self._next_id, self._next_id + 1
            body.just_confirmed = True
            body.earlier.extendleft(reversed(self._together(body)))
        else:
            body.earlier.append(Sighting(now, self._shown(body)))
            # A fragment of a mannequin stays one for months.
            while now - body.earlier[0].time_s > self._params.remembered_s:
                body.earlier.popleft()

    def _together(self, body: _Body) -> tuple[Sighting, ...]:
        """The way that someone new came as one with somebody who is followed."""
        first = body.lately[0]
        if first.time_s > body.born_at:  # so long ago that it is forgotten
            return ()
        upright = not self._params.overhead
        others = (other for other in self._bodies if other.track_id and other is not body)
        return next(filter(None, (way_together(first, tuple(each.lately), upright=upright) for each in others)), ())

    def _fragment(self, measured: Centred) -> bool:
        """Whether a box lies within someone already followed: an arm, a bag, half a body; not another person."""
        return any(
            body.track_id and body.seen and share_inside(measured, body.filter.state) >= 0.7 for body in self._bodies
        )

    def _begin(self, rows: Sequence[int], found: _Found, now: float) -> None:
        """Start a tentative track for each detection nobody claimed.

        A weak one, too, which confirms nobody: whoever comes in is seen badly at first, often on the near side of the
        line, and once they are sure, where they came from is known.
        """
        for row in rows:
            measured = found.measured[row]
            if self._fragment(measured):
                continue
            size = self._size(measured)
            unknown = (self._params.walk * size, _GROWTH * size)
            body = _Body(BoxFilter(measured, self._params.jitter * size, unknown), now)
            self._bodies.append(body)
            self._saw(_Reading(body, row, measured), found, now)

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

    def _size(self, state: Centred) -> float:
        """Body size in frame heights of a box."""
        size = math.sqrt(max(_area(state), 0.0)) if self._params.overhead else state[3]
        return max(size, self._params.smallest)

    def _agility(self, body: _Body) -> tuple[float, float]:
        size = self._size(body.filter.state)
        return self._params.walk * size, 0.15 * size

    def _track(self, body: _Body) -> Track:
        earlier = tuple(body.earlier) if body.just_confirmed else ()
        if body.just_confirmed:
            body.earlier.clear()
        return Track(
            body.track_id,
            self._shown(body),
            body.score,
            bool(body.track_id),
            body.seen,
            earlier,
        )

    def _shown(self, body: _Body) -> Box:
        """The smoothed box; a side the picture cuts off stays on the picture's border, where it was seen."""
        box = self._box(body.filter.state)
        if not body.seen:
            return box
        x1, y1, x2, y2 = box
        rx1, ry1, rx2, ry2 = body.raw
        return (
            0.0 if rx1 <= AT_BORDER else x1,
            0.0 if ry1 <= AT_BORDER else y1,
            1.0 if rx2 >= 1 - AT_BORDER else x2,
            1.0 if ry2 >= 1 - AT_BORDER else y2,
        )

    def _box(self, state: Centred) -> Box:
        cx, cy, w, h = state
        cx, w = cx / self._aspect, max(w, 1e-4) / self._aspect
        h = max(h, 1e-4)
        x1, x2 = min(max(cx - w / 2, 0.0), 1.0), min(max(cx + w / 2, 0.0), 1.0)
        y1, y2 = min(max(cy - h / 2, 0.0), 1.0), min(max(cy + h / 2, 0.0), 1.0)
        return (x1, y1, x2, y2)


def _area(state: Centred) -> float:
    return state[2] * state[3]
