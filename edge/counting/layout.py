"""What people drew on a picture, checked before anything is counted: lines, zones, rules about them, adults' heights.

A line with its ends swapped or a zone whose corners were clicked in the wrong order still counts something, and nobody
notices for weeks. So what cannot be meant is refused, by name, with what to do. One set of checks serves the command
line, `edge.toml` and the counter, so that none of them accepts what another refuses.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from edge.counting.borders import Border, area
from edge.geometry import LineError, in_heights
from edge.models import AdultSize, Line, Point, StaffRule, Zone

#: A line shorter than this (frame heights) is a slip of the hand, not a door.
SHORTEST: Final = 0.01
#: Two points of a bent line or a zone nearer than this (frame heights) are one, clicked twice.
SAME_POINT: Final = 0.002
#: A zone smaller than this (square frame heights) has no room for anybody's feet.
SMALLEST: Final = 0.0005
#: An inside point nearer the line than this (frame heights) does not say which side it means.
NEAREST_INSIDE: Final = 0.005
#: Pieces that meet at a sharper angle than this (radians) lie upon each other.
_SHARPEST: Final = math.radians(3.0)


def check_line(line: Line, aspect: float) -> None:
    """Refuse a line that could not count.

    Args:
        line: its points and inside in fractions of the frame.
        aspect: the frame's width over its height.

    Raises:
        LineError: naming the line, what is wrong and what to do.
    """
    name = f"line '{line.line_id}'"
    bent = bool(line.bends)
    keys = [f"points[{i}]" for i in range(len(line.points))] if bent else ["start", "end"]
    for key, point in (*zip(keys, line.points, strict=True), ("inside", line.inside)):
        _check_point(name, key, point)
    points = [in_heights(point, aspect) for point in line.points]
    length = sum(math.dist(a, b) for a, b in pairwise(points))
    if length < SHORTEST:
        raise LineError(
            name,
            keys[-1],
            f"leaves it no length: {_text(line.start)} to {_text(line.end)} is {length:.3f} of the frame's height",
            f"a line must be at least {SHORTEST} long; give two different ends, one at each side of the doorway",
        )
    if bent:
        _check_corners(name, points[:-1] if line.closed else points, closed=line.closed)
    if abs(Border.of(line, aspect).depth(in_heights(line.inside, aspect))) < NEAREST_INSIDE:
        raise LineError(
            name,
            "inside",
            f"{_text(line.inside)} lies on the line itself, so it does not say which side is inside",
            "give a point well within the shop",
        )


def check_zone(zone: Zone, aspect: float) -> None:
    """Refuse a zone that could not be meant.

    Args:
        zone: its corners in fractions of the frame.
        aspect: the frame's width over its height.

    Raises:
        LineError: naming the zone, what is wrong and what to do.
    """
    name = f"zone '{zone.zone_id}'"
    for number, point in enumerate(zone.points):
        _check_point(name, f"points[{number}]", point)
    points = [in_heights(point, aspect) for point in zone.points]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    if len(points) < 3:
        raise LineError(
            name,
            "points",
            f"has {len(points)} corner{'' if len(points) == 1 else 's'}",
            "a zone needs three or more; [[camera.line]] takes two",
        )
    _check_corners(name, points, closed=True)
    if area(points) < SMALLEST:
        raise LineError(
            name,
            "points",
            f"enclose nothing (an area of {area(points):.5f} square frame heights)",
            "draw the zone round the floor it stands for",
        )


def check_drawing(
    lines: Sequence[Line], zones: Sequence[Zone], rules: Sequence[StaffRule], size: AdultSize | None, aspect: float
) -> None:
    """Refuse what could not count, and what does not fit together.

    Raises:
        LineError: naming what is wrong and what to do.
    """
    for line in lines:
        check_line(line, aspect)
    for zone in zones:
        check_zone(zone, aspect)
    seen: set[str] = set()
    for kind, name in (*(("line", line.line_id) for line in lines), *(("zone", zone.zone_id) for zone in zones)):
        if name in seen:
            raise LineError(f"{kind} '{name}'", "id", "is used twice", "give every line and zone its own")
        seen.add(name)
    for number, rule in enumerate(rules, 1):
        check_rule(rule, lines, zones, number)
    if size is not None:
        check_size(size)


def check_size(size: AdultSize) -> None:
    """Refuse heights that say nothing about how they change with depth.

    Raises:
        LineError: what is wrong and what to do.
    """
    name = "adults' heights"
    depths = sorted(size.adult)
    if len(depths) < 2:
        raise LineError(name, "adult", f"has {len(depths)} of the two depths it needs", "give [[y, height], ...]")
    for (y, height), (below, _) in pairwise([*depths, (math.inf, 0.0)]):
        if height < 0.02:
            raise LineError(name, "adult", f"has a height of {height:g} at y = {y:g}", "give heights of whole adults")
        if below - y < 0.02:
            raise LineError(name, "adult", f"has two heights at y = {y:g}", "measure adults at different depths")


def check_rule(rule: StaffRule, lines: Sequence[Line], zones: Sequence[Zone], number: int = 1) -> None:
    """Refuse a rule that everybody would fulfil, or nobody.

    Args:
        rule: the rule.
        lines, zones: of its camera.
        number: which of the camera's rules it is, from 1.

    Raises:
        LineError: naming the rule, what is wrong and what to do.
    """
    name = f"tag rule {number}"
    counted = {line.line_id for line in lines} | {zone.zone_id for zone in zones if zone.kind == "count"}
    if rule.crossings_at_least == 0 and rule.began_in is None:
        raise LineError(name, "crossings_at_least", "and began_in are both left out", "give one of them, or both")
    if rule.line_id is not None and rule.line_id not in counted:
        raise LineError(name, "line", f"names '{rule.line_id}', which is no line here", "give the id of a line")
    if rule.began_in is not None and rule.began_in not in {zone.zone_id for zone in zones if zone.kind != "ignore"}:
        raise LineError(
            name,
            "began_in",
            f"names '{rule.began_in}', which is no zone here in which people are seen",
            "give the id of a zone of kind staff or count",
        )


def _check_point(name: str, key: str, point: Point) -> None:
    for axis, value in zip("xy", point, strict=True):
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise LineError(
                name,
                key,
                f"has {axis} = {value:g}, outside the picture",
                "coordinates are fractions of the frame from 0 to 1 (divide pixels by its width or height)",
            )


def _check_corners(name: str, points: Sequence[Point], *, closed: bool) -> None:
    """Refuse corners that repeat, fold back or make the border cross itself; `points` repeats no first corner."""
    if closed and len(points) < 3:
        raise LineError(name, "points", "close after two", "a closed line needs three corners or more")
    ends = [*points, points[0]] if closed else list(points)
    pieces = list(pairwise(ends))
    for number, (a, b) in enumerate(pieces, 1):
        if math.dist(a, b) < SAME_POINT:
            raise LineError(name, f"points[{number % len(points)}]", "repeats the point before it", "leave it out")
    for i, piece in enumerate(pieces):
        following = pieces[(i + 1) % len(pieces)] if closed or i + 1 < len(pieces) else None
        if following is not None and _folds_back(piece, following):
            raise LineError(
                name, f"points[{(i + 1) % len(points)}]", "makes the line fold back upon itself", "leave it out"
            )
        for j in range(i + 2, len(pieces)):
            if closed and i == 0 and j == len(pieces) - 1:
                continue
            if _touch(piece, pieces[j]):
                raise LineError(
                    name,
                    f"points[{(j + 1) % len(points)}]",
                    f"makes it cross itself: its pieces {i + 1} and {j + 1} meet",
                    "give the points in the order in which you would walk along it",
                )


def _folds_back(piece: tuple[Point, Point], following: tuple[Point, Point]) -> bool:
    (a, b), (_, c) = piece, following
    back, on = math.atan2(a[1] - b[1], a[0] - b[0]), math.atan2(c[1] - b[1], c[0] - b[0])
    angle = abs(back - on)
    return min(angle, 2 * math.pi - angle) < _SHARPEST


def _touch(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two pieces have a point in common."""
    (a, b), (c, d) = first, second
    sides = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    on = ((sides[0], a, b, c), (sides[1], a, b, d), (sides[2], c, d, a), (sides[3], c, d, b))
    return any(side == 0 and _within(start, end, point) for side, start, end, point in on)


def _turn(a: Point, b: Point, c: Point) -> int:
    """Which way one turns at `b` going from `a` by `b` to `c`: 1, -1, or 0 on one line."""
    turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return 0 if abs(turn) < 1e-12 else 1 if turn > 0 else -1


def _within(a: Point, b: Point, point: Point) -> bool:
    """Whether a point on the infinite line through `a` and `b` lies between them."""
    return min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(a[1], b[1])


def _text(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"
