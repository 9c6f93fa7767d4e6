"""Whether what was drawn on a camera's picture can count: allowed is not yet sensible.

A line along the picture's edge, a door as narrow as a hand, people ten pixels high: each is valid, starts, and counts
wrongly for years. These checks know how large people are, from the configuration where it says so, and what a counter
needs: room on both sides of a line to come clear of it.

Pure. Distances are in frame heights.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from edge.counting.zones import Region
from edge.findings import Finding
from edge.geometry import in_heights
from edge.models import Line, Point
from edge.settings import CameraSettings

#: A body must be seen well beyond a line to have crossed it.
_ROOM: Final = 0.06
#: A doorway is as wide as this share of an adult's height at least (0.7 m of 1.7).
_DOORWAY: Final = 0.4
_SHORT: Final = 0.08
#: Lower than this (pixels) a body is not told from noise.
_LEAST_PIXELS: Final = 24
_NEAR_LINE: Final = 0.03
#: A zone may touch a line's end, as a window beside a door does; more of it in one is a mistake.
_COVERED: Final = 0.2
_STEPS: Final = 40


def drawing(camera: CameraSettings, size: tuple[int, int]) -> Iterator[Finding]:
    """What is unwise in a camera's lines and sizes; what is wrong outright is found by `edge.counting.layout`.

    Args:
        camera: as it is set.
        size: of its picture, width and height in pixels.
    """
    aspect = size[0] / size[1]
    for line in camera.line:
        yield from _line(camera, line.line(), aspect, size[1])
        yield from _ignored(camera, line.line())
    if camera.size is not None:
        yield from _size(camera)
    if not camera.counts:
        yield Finding(
            "wrong",
            f"camera {camera.id}: nothing is counted: it has no line and no zone of kind count",
            f"Propose a line: doorline calibrate --write EDGE.TOML --camera {camera.id} --name LINE; or set one from "
            "the centre: doorline device config set",
        )


def _line(camera: CameraSettings, line: Line, aspect: float, height: int) -> Iterator[Finding]:
    name = f"camera {camera.id}, line {line.line_id}"
    points = [in_heights(point, aspect) for point in line.points]
    length = sum(math.dist(a, b) for a, b in pairwise(points))
    middle = line.points[len(line.points) // 2] if line.bends else _between(line.start, line.end)
    adult = _adult_at(camera, middle[1])
    shortest = _DOORWAY * adult if adult is not None and camera.mounting == "oblique" else _SHORT
    if length < shortest:
        yield Finding(
            "warning",
            f"{name}: is {length:.2f} of the picture's height long, narrower than a door there would be",
            "Draw it across the whole doorway; people who pass beside its ends are not counted",
        )
    if adult is not None and adult * height < _LEAST_PIXELS:
        yield Finding(
            "warning",
            f"{name}: people are about {adult * height:.0f} pixels {_measure(camera)} there, too small to follow",
            "Bring the camera nearer, zoom in, raise decode_height, or take the camera's larger stream",
        )
    for side, room in _room(line, aspect).items():
        if room < _ROOM:
            yield Finding(
                "warning",
                f"{name}: has only {room:.2f} of the picture's height of room {side}",
                "People must be seen on both sides of it: move it towards the picture's middle",
            )
    inside = in_heights(line.inside, aspect)
    away = min(_distance(a, b, inside) for a, b in pairwise(points))
    if away < _NEAR_LINE:
        yield Finding(
            "warning",
            f"{name}: its inside point lies {away:.3f} from it, nearly on the line",
            "Give a point well within the shop, so that nobody doubts which side is meant",
        )
    yield from _anchor(camera, line, name)


def _ignored(camera: CameraSettings, line: Line) -> Iterator[Finding]:
    """A line in a zone that leaves people out counts nobody, without a word, for as long as it hangs there."""
    steps = [(i + 0.5) / _STEPS for i in range(_STEPS)]
    floor = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in pairwise(line.points) for t in steps]
    for zone in camera.zone:
        if zone.kind == "ignore":
            region = Region(zone.zone(), camera.mounting)
            share = sum(map(region.contains, floor)) / len(floor)
            if share >= _COVERED:
                yield Finding(
                    "warning",
                    f"camera {camera.id}, line {line.line_id}: {share:.0%} of it lies in zone {zone.id} of kind "
                    "ignore, where nobody is followed",
                    "Draw the zone clear of the line, with room for people on both sides of it",
                )


def _anchor(camera: CameraSettings, line: Line, name: str) -> Iterator[Finding]:
    if camera.mounting == "overhead" and line.anchor in ("feet", "head"):
        yield Finding(
            "warning",
            f"{name}: counts by the {line.anchor}, which a camera straight above does not see apart",
            'Leave anchor out, or set anchor = "centre"',
        )
    if camera.mounting == "oblique" and line.anchor == "head":
        yield Finding(
            "warning",
            f"{name}: counts by the head, which is far from the floor: where it crosses depends on how tall one is",
            "Leave anchor out unless feet are hidden at the line; then draw the line where heads cross",
        )


def _size(camera: CameraSettings) -> Iterator[Finding]:
    assert camera.size is not None  # noqa: S101 - for the type checker
    name = f"camera {camera.id}, size"
    adult = sorted(camera.size.adult)
    heights = [height for _, height in adult]
    if camera.mounting == "oblique" and any(after < before for before, after in pairwise(heights)):
        yield Finding(
            "warning",
            f"{name}: adults get smaller towards the lower edge, which is nearer to the camera",
            "Measure again: doorline calibrate; or swap the two pairs of size.adult",
        )
    if camera.mounting == "overhead" and max(heights) > 0.8:
        yield Finding(
            "warning",
            f"{name}: an adult fills {max(heights):.0%} of the picture's height; the camera hangs too low for a door",
            "Hang it higher, or use a wider lens",
        )


def _measure(camera: CameraSettings) -> str:
    return "across" if camera.mounting == "overhead" else "high"


def _adult_at(camera: CameraSettings, y: float) -> float | None:
    """An adult's size at a depth, from the two nearest measures; None where none was taken."""
    if camera.size is None or len(camera.size.adult) < 2:
        return None
    adult = sorted(camera.size.adult)
    near = sorted(sorted(adult, key=lambda pair: abs(pair[0] - y))[:2])
    (y1, h1), (y2, h2) = near
    return max(0.0, h1 + (y - y1) * (h2 - h1) / (y2 - y1)) if y2 > y1 else h1


def _room(line: Line, aspect: float) -> dict[str, float]:
    """How far the picture goes on behind a straight line's middle, inside and outside; nothing of a bent one."""
    if line.bends:
        return {}
    start, end = in_heights(line.start, aspect), in_heights(line.end, aspect)
    length = math.dist(start, end)
    way = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    inside = in_heights(line.inside, aspect)
    normal = (-way[1], way[0])
    if (inside[0] - start[0]) * normal[0] + (inside[1] - start[1]) * normal[1] < 0:
        normal = (way[1], -way[0])
    middle = _between(start, end)
    return {
        "inside": _to_border(middle, normal, aspect),
        "outside": _to_border(middle, (-normal[0], -normal[1]), aspect),
    }


def _to_border(point: Point, way: Point, aspect: float) -> float:
    """How far it is from a point to the picture's border in a direction of length 1."""
    far = math.inf
    for place, step, limit in ((point[0], way[0], aspect), (point[1], way[1], 1.0)):
        if step > 1e-9:
            far = min(far, (limit - place) / step)
        elif step < -1e-9:
            far = min(far, -place / step)
    return max(0.0, far)


def _between(a: Point, b: Point) -> Point:
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)


def _distance(a: Point, b: Point, point: Point) -> float:
    """Distance of a point from the infinite line through two others."""
    length = math.dist(a, b)
    if length == 0:
        return math.dist(a, point)
    return abs((b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])) / length


def load(needs: dict[str, float], processors: int) -> Iterator[Finding]:
    """Whether a box can keep up with all its cameras together.

    Args:
        needs: processors each camera keeps busy, by its id.
        processors: how many there are.
    """
    if not needs:
        return
    total = sum(needs.values())
    text = f"processor: all cameras together keep {total:.2f} of {processors} busy"
    if total <= 0.6 * processors:
        yield Finding("ok", text)
        return
    most = max(needs, key=needs.__getitem__)
    remedy = (
        f"Camera {most} takes most ({needs[most]:.2f}): lower its target_fps, set decode_height, or choose the "
        "camera's smaller stream"
    )
    yield Finding("warning" if total <= 0.9 * processors else "wrong", f"{text}: {_word(total, processors)}", remedy)


def _word(total: float, processors: int) -> str:
    return "it can't keep up, frames will be left out" if total > 0.9 * processors else "little is left"
