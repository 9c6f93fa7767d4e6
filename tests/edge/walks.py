"""People walking by script: tracks for the counter without camera, detector or tracker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from edge.counter import Counter, CounterParams
from edge.geometry import Box
from edge.models import Crossing, Line, Mounting, Point, Sighting, Tagging, Track, Zone

FPS = 10.0

#: A doorway across the middle third of the picture; inside is above (smaller y).
DOOR = Line("door", (0.3, 0.5), (0.7, 0.5), (0.5, 0.1))
WIDE = Line("wide", (0.0, 0.5), (1.0, 0.5), (0.5, 0.1))


@dataclass(frozen=True)
class Walk:
    """One track: where its box's centre is, frame by frame.

    Attributes:
        track_id: as the tracker would give it.
        points: centre of the box per frame; None while the tracker carries it unseen.
        start: frame of the first point.
        size: of the box, in fractions of the frame.
        late: confirmed only at this point of the path; the sightings before come as `earlier`.
        sizes: of the box at each point, where it changes.
        silent: frames of the path in which the tracker reports nothing at all.
    """

    track_id: int
    points: Sequence[Point | None]
    start: int = 0
    size: Point = (0.06, 0.1)
    late: int = 0
    silent: frozenset[int] = field(default_factory=frozenset)
    sizes: Sequence[Point] = ()

    def box(self, point: Point, step: int = 0) -> Box:
        """The box around a point, cut at the picture's border as a detector's is."""
        (x, y), (w, h) = point, self.sizes[step] if step < len(self.sizes) else self.size
        x1, y1, x2, y2 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        return (max(x1, 0.0), max(y1, 0.0), min(x2, 1.0), min(y2, 1.0))

    def at(self, frame: int) -> Track | None:
        """The track as reported in a frame."""
        step = frame - self.start
        if not 0 <= step < len(self.points) or step in self.silent:
            return None
        point = self.points[step]
        known = [p for p in self.points[: step + 1] if p is not None]
        box = self.box(point if point is not None else known[-1], step)
        if step < self.late:
            return Track(0, box, 0.9, False, point is not None)
        earlier: tuple[Sighting, ...] = ()
        if self.late and step == self.late:
            earlier = tuple(
                Sighting((self.start + i) / FPS, self.box(p, i))
                for i, p in enumerate(self.points[:step])
                if p is not None
            )
        return Track(self.track_id, box, 0.9, True, point is not None, earlier)


def path(*corners: Point, step: float = 0.02) -> list[Point]:
    """Points along straight pieces between corners, about `step` apart."""
    points = [corners[0]]
    for (x1, y1), (x2, y2) in pairwise(corners):
        count = max(1, round(max(abs(x2 - x1), abs(y2 - y1)) / step))
        points += [(x1 + (x2 - x1) * i / count, y1 + (y2 - y1) * i / count) for i in range(1, count + 1)]
    return points


def count(
    walks: Iterable[Walk],
    lines: Sequence[Line],
    *,
    aspect: float = 1.0,
    mounting: Mounting = "overhead",
    params: CounterParams | None = None,
    after: int = 0,
    zones: Sequence[Zone] = (),
    tagging: Tagging | None = None,
    since: float = 0.0,
) -> list[Crossing]:
    """What the counter makes of some walks, `after` empty frames and the end of the stream, which began at `since`.

    Without `params` the band is 0.03 for every body, small as they are here.
    """
    params = params or CounterParams(least_band=0.03)
    walks = list(walks)
    counter = Counter(lines, mounting=mounting, aspect=aspect, params=params, zones=zones, tagging=tagging)
    found: list[Crossing] = []
    last = max(walk.start + len(walk.points) for walk in walks)
    for frame in range(last + after):
        tracks = [track for walk in walks if (track := walk.at(frame)) is not None]
        found += counter.update([shifted(track, since) for track in tracks], frame, since + frame / FPS)
    return found + counter.finish()


def shifted(track: Track, seconds: float) -> Track:
    """The same track on a stream that began later."""
    return replace(track, earlier=tuple(Sighting(past.time_s + seconds, past.box) for past in track.earlier))


def totals(crossings: Iterable[Crossing]) -> tuple[int, int]:
    """Crossings in and out."""
    found = list(crossings)
    return sum(c.direction == "in" for c in found), sum(c.direction == "out" for c in found)


def on_exit(line: Line) -> Line:
    """The same line, over which who turns round within the picture counts nothing."""
    return replace(line, settle="on_exit")
