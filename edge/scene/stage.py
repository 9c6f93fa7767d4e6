"""A scene that can be played: pictures on one side, the exact truth of the same people on the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from edge.models import Direction, Line, Point
from edge.scene.canvas import Camera, Image
from edge.scene.cast import Cast, Walker
from edge.scene.oblique import Oblique
from edge.scene.overhead import Overhead
from edge.scene.spec import SceneError, SceneSpec

#: How far ahead of a frame its people must be known: a party may wait so long at the door, and some more.
_AHEAD_S = 30.0


@dataclass(frozen=True, slots=True)
class TrueCrossing:
    """One person's anchor passing over a line, between the frame before `frame` and `frame`."""

    frame: int
    direction: Direction
    person: int


@dataclass(frozen=True, slots=True)
class Appearance:
    """One person being there: from frame `first` up to, not including, frame `end`."""

    person: int
    party: int
    first: int
    end: int


class Scene:
    """A rendered scene. Playing it twice gives the same pictures twice."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.spec.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.spec.size

    @property
    def frame_count(self) -> int | None:
        """How many frames it has; None when it is endless."""
        return self.spec.frame_count

    @cached_property
    def _view(self) -> Overhead | Oblique:
        return Overhead(self.spec) if self.spec.mounting == "overhead" else Oblique(self.spec)

    def __iter__(self) -> Iterator[Image]:
        return self.play()

    def play(self) -> Iterator[Image]:
        """Pictures from the beginning: BGR, uint8, shape (height, width, 3), each a new array."""
        view, camera = self._view, Camera(self.spec)
        for index, walkers in enumerate(_frames(self.spec)):
            image = view.background.copy()
            view.draw(image, [(walker, index - walker.first) for walker in walkers])
            yield camera.expose(image, index)

    def people(self, frames: int | None = None) -> list[Appearance]:
        """Everyone who appears within the first `frames` (all of a scene that ends)."""
        return [Appearance(walker.person, walker.party, walker.first, walker.end) for walker in self._walkers(frames)]

    def truth(self, line: Line, frames: int | None = None) -> list[TrueCrossing]:
        """Every time someone's anchor passes over `line` within the first `frames`, in order.

        The anchor is the line's, or the mounting's own: the body's middle from above, the feet obliquely.

        Raises:
            SceneError: when `frames` is not given for an endless scene.
        """
        limit = self._limit(frames)
        found: list[TrueCrossing] = []
        for walker in self._walkers(frames):
            spots = [
                self._view.anchor((float(x), float(y)), walker.look.height_m, line.anchor) for x, y in walker.place
            ]
            for index in range(1, len(spots)):
                frame = walker.first + index
                if 0 < frame < limit and _cut(spots[index - 1], spots[index], line.start, line.end):
                    inward = _same_side(spots[index], line.inside, line.start, line.end)
                    found.append(TrueCrossing(frame, "in" if inward else "out", walker.person))
        return sorted(found, key=lambda crossing: (crossing.frame, crossing.person))

    def _limit(self, frames: int | None) -> int:
        limit = self.frame_count if frames is None else frames
        if limit is None:
            raise SceneError("an endless scene has no end to count to: say how many frames")
        return limit

    def _walkers(self, frames: int | None) -> list[Walker]:
        limit = self._limit(frames)
        cast = Cast(self.spec)
        return [walker for walker in cast.until(limit / self.fps + _AHEAD_S) if walker.first < limit]


def open_scene(source: str) -> Scene:
    """The scene that `source`, such as `scene:overhead?seed=1&rate=12`, asks for.

    Raises:
        SceneError: an unknown scene or option, or a value out of range.
    """
    from edge.scene.spec import parse

    return Scene(parse(source))


def _frames(spec: SceneSpec) -> Iterator[list[Walker]]:
    """Who is there, frame by frame."""
    cast = Cast(spec)
    waiting: list[Walker] = []
    index = 0
    while spec.frame_count is None or index < spec.frame_count:
        if index % max(1, round(spec.fps)) == 0:
            waiting.extend(cast.until(index / spec.fps + _AHEAD_S))
            waiting = [walker for walker in waiting if walker.end > index]
        yield [walker for walker in waiting if walker.first <= index < walker.end]
        index += 1


def _side(point: Point, start: Point, end: Point) -> float:
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _same_side(one: Point, other: Point, start: Point, end: Point) -> bool:
    return (_side(one, start, end) >= 0) == (_side(other, start, end) >= 0)


def _cut(before: Point, after: Point, start: Point, end: Point) -> bool:
    """Whether the step from `before` to `after` passes over the segment from `start` to `end`."""
    if _same_side(before, after, start, end):
        return False
    return (_side(start, before, after) >= 0) != (_side(end, before, after) >= 0)
