"""Two who came as one: when a box parts into two people, both have walked the way that it came.

People who walk close together are one shape to a detector of movement, and one box to a network that sees the one in
front. Often they part only behind the line, and whoever is first seen there was never counted. A box that falls into
two, side by side, about as wide and as tall as each other and together as large as it, was both of them all the time.
An arm, a bag or a shadow that comes loose from a body is smaller than what is left of it.
"""

from collections.abc import Sequence
from typing import Final

from edge.geometry import Box
from edge.models import Sighting

#: How long before the newcomer was first seen the two were one box for the last time, at most (seconds).
_SOON_S: Final = 0.6
#: Share of the larger that the smaller of two has at least: of the box and of what it falls into; of the two's widths.
_ALIKE: Final = 0.75
_AS_WIDE: Final = 0.55
#: Share of the joint length that either of the two takes at most, and of the smaller that the other may cover.
_PART: Final = 0.72
_COVERED: Final = 0.35
#: Share of their height by which the two may begin or end at different places.
_LEVEL: Final = 0.15


def way_together(newcomer: Sighting, other: Sequence[Sighting], *, upright: bool) -> tuple[Sighting, ...]:
    """Where a newcomer was while they were one box with somebody who is followed.

    Args:
        newcomer: when and where they were first seen by themselves.
        other: the sightings of the other of late, oldest first, before that moment and from it on.
        upright: whether people stand upright in the picture. Then two lie beside each other from left to right; seen
            from above, across the way they walked. What falls in two the other way may be one body's halves.

    Returns:
        Their own part of each box that the two had in common, oldest first; none if they were not one. Boxes are in
        fractions of the frame, times in seconds on the stream's clock.
    """
    before = [each for each in other if each.time_s < newcomer.time_s]
    beside = next((each.box for each in other if each.time_s >= newcomer.time_s), None)
    if beside is None or not before:
        return ()
    axis = 0 if upright else _across(before[0].box, before[-1].box)
    if not _side_by_side(newcomer.box, beside, axis):
        return ()
    both = _around(newcomer.box, beside)
    length, tall = _length(both, axis), _length(both, 1 - axis)
    last = next((i for i in range(len(before) - 1, -1, -1) if _alike(_length(before[i].box, axis), length)), None)
    if last is None or newcomer.time_s - before[last].time_s > _SOON_S:
        return ()
    if not _alike(_length(before[last].box, 1 - axis), tall):
        return ()
    share, at_first = _length(newcomer.box, axis) / length, newcomer.box[axis] < beside[axis]
    shared: list[Sighting] = []
    for each in reversed(before[: last + 1]):
        if not _alike(_length(each.box, axis), length):
            break
        shared.append(Sighting(each.time_s, _part(each.box, axis, share, at_first)))
    return tuple(reversed(shared))


def _across(begin: Box, end: Box) -> int:
    """The axis across which somebody walked."""
    moved = [abs(end[axis] + end[axis + 2] - begin[axis] - begin[axis + 2]) for axis in (0, 1)]
    return 0 if moved[0] < moved[1] else 1


def _side_by_side(one: Box, other: Box, axis: int) -> bool:
    """Whether two boxes lie beside each other along an axis and look like two people."""
    covered = min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
    smaller, larger = sorted((_length(one, axis), _length(other, axis)))
    if covered >= _COVERED * smaller or not _level(one, other, 1 - axis):
        return False
    return smaller >= _AS_WIDE * larger and larger <= _PART * _length(_around(one, other), axis)


def _level(one: Box, other: Box, axis: int) -> bool:
    """Whether both begin and end at about the same place along an axis."""
    most = _LEVEL * max(_length(one, axis), _length(other, axis))
    return abs(one[axis] - other[axis]) <= most and abs(one[axis + 2] - other[axis + 2]) <= most


def _alike(one: float, other: float) -> bool:
    return min(one, other) >= _ALIKE * max(one, other)


def _length(box: Box, axis: int) -> float:
    return box[axis + 2] - box[axis]


def _around(one: Box, other: Box) -> Box:
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


def _part(box: Box, axis: int, share: float, at_first: bool) -> Box:
    """The first or the last share of a box along an axis."""
    sides = list(box)
    if at_first:
        sides[axis + 2] = box[axis] + share * _length(box, axis)
    else:
        sides[axis] = box[axis + 2] - share * _length(box, axis)
    return (sides[0], sides[1], sides[2], sides[3])
