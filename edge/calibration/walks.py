"""The ways of people through the picture, gathered from their tracks.

A calibration rests on ways that are whole: someone who was there when the recording began did not come out of a wall,
and a body that the picture cuts off has its feet nowhere. So each way keeps what was cut off and what merely began or
ended with the recording, and whoever reads the ways need not guess.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.boxes import to_centres, touching
from edge.geometry import Box, anchor_point, default_anchor
from edge.models import Anchor, Frame, Mounting, Point, Track

Vector = NDArray[np.float64]

#: A box's side this near the picture's border (fraction of the frame) is cut off, or may be.
_BORDER: Final = 0.012
#: A way of less than this is somebody standing about, or nobody: seconds, and body sizes from its first place.
_SHORTEST_S: Final = 0.6
_SHORTEST_WAY: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One person's way.

    Attributes:
        recording: number of the recording it was seen in, from 0.
        times: seconds on the recording's clock, shape (n,).
        points: of the anchor, frame heights, shape (n, 2).
        boxes: x1, y1, x2, y2 in fractions of the frame, shape (n, 4).
        sizes: of the body in frame heights, shape (n,): seen obliquely the box's height, from above the root of its
            area.
        alone: whether no other box touched this one, shape (n,).
        whole: whether the picture cut nothing off, shape (n,).
        came: first seen away from the picture's border, after the recording had begun: out of a door, so to speak.
        went: last seen away from the border, before the recording ended.
    """

    track_id: int
    recording: int
    times: Vector
    points: Vector
    boxes: Vector
    sizes: Vector
    alone: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    came: bool
    went: bool

    @property
    def size(self) -> float:
        """The body's usual size, frame heights."""
        return float(np.median(self.sizes))


@dataclass(slots=True)
class _Way:
    """A way still being walked."""

    times: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    alone: list[bool] = field(default_factory=list)


class WalkCollector:
    """Gathers ways from the tracks of each frame.

    Args:
        aspect: the frame's width over its height.
        mounting: gives the anchor where none is named, and how a body is measured.
        anchor: the point of a body whose way is followed.
        recording: number of the recording the tracks are of.
    """

    def __init__(self, *, aspect: float, mounting: Mounting, anchor: Anchor | None = None, recording: int = 0) -> None:
        self._aspect, self._mounting, self._recording = aspect, mounting, recording
        self._anchor = anchor or default_anchor(mounting)
        self._ways: dict[int, _Way] = {}
        self._began: float | None = None
        self._ended = 0.0

    def add(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Take in one frame's tracks; only those confirmed and seen in it leave a trace."""
        if self._began is None:
            self._began = frame.time_s
        self._ended = frame.time_s
        seen = [track for track in tracks if track.confirmed and track.seen]
        boxes = np.asarray([track.box for track in seen], np.float32).reshape(-1, 4)
        crowded = touching(to_centres(boxes, self._aspect), 0.01)
        for track, near in zip(seen, crowded, strict=True):
            way = self._ways.setdefault(track.track_id, _Way())
            for past in track.earlier:
                way.times.append(past.time_s)
                way.boxes.append(past.box)
                way.alone.append(False)
            way.times.append(frame.time_s)
            way.boxes.append(track.box)
            way.alone.append(not near)

    def __len__(self) -> int:
        return len(self._ways)

    def walks(self) -> list[Walk]:
        """All ways that lead somewhere, in the order of their tracks."""
        walks = (self._walk(track_id, way) for track_id, way in sorted(self._ways.items()))
        return [walk for walk in walks if walk is not None]

    def _walk(self, track_id: int, way: _Way) -> Walk | None:
        if way.times[-1] - way.times[0] < _SHORTEST_S:
            return None
        boxes = np.asarray(way.boxes, np.float64)
        points = np.asarray([anchor_point(box, self._anchor) for box in way.boxes]) * [self._aspect, 1.0]
        wide, high = (boxes[:, 2] - boxes[:, 0]) * self._aspect, boxes[:, 3] - boxes[:, 1]
        sizes = np.sqrt(wide * high) if self._mounting == "overhead" else high
        if float(np.hypot(*(points - points[0]).T).max()) < _SHORTEST_WAY * float(np.median(sizes)):
            return None
        whole = np.asarray((boxes > _BORDER).all(axis=1) & (boxes < 1 - _BORDER).all(axis=1), np.bool_)
        began = self._began or 0.0
        return Walk(
            track_id,
            self._recording,
            np.asarray(way.times, np.float64),
            points,
            boxes,
            sizes,
            np.asarray(way.alone, np.bool_),
            whole,
            came=bool(whole[0] and not self._near_border(boxes[0]) and way.times[0] > began + 1.0),
            went=bool(whole[-1] and not self._near_border(boxes[-1]) and way.times[-1] < self._ended - 1.0),
        )

    def _near_border(self, box: Vector) -> bool:
        """Whether a body could have been out of the picture a step ago: within half its own width of the border."""
        width = (box[2] - box[0]) / 2
        return bool(box[0] < width or box[2] > 1 - width or box[1] < _BORDER or box[3] > 1 - 2 * _BORDER)


def thinned(walk: Walk, step: float = 0.1) -> Vector:
    """A way's points with those left out that lie nearer to the last kept than `step` body sizes; shape (m, 2)."""
    least = step * walk.size
    kept = [walk.points[0]]
    for point in walk.points[1:]:
        if math.dist(point, kept[-1]) >= least:
            kept.append(point)
    kept.append(walk.points[-1])
    return np.asarray(kept, np.float64)


def typical_size(walks: Iterable[Walk]) -> float:
    """The median of the bodies' sizes, frame heights; 0.2 where nobody was seen."""
    sizes = [walk.size for walk in walks]
    return float(np.median(sizes)) if sizes else 0.2


def in_fractions(point: Vector, aspect: float) -> Point:
    """A point given in frame heights, in fractions of the frame."""
    return (float(point[0]) / aspect, float(point[1]))
