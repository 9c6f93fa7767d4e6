"""Arithmetic of boxes, for the tracker.

Everything here is in frame heights and by centre and size, because the tracker's filters are: mixing that with the
corners in fractions that detectors give is the classic way to measure a distance wrong by the picture's aspect.
"""

from collections.abc import Sequence

from edge.kalman import Centred
from edge.models import Boxes


def to_centres(boxes: Boxes, aspect: float) -> list[Centred]:
    """Boxes in fractions (n, 4) as centre x, centre y, width, height in frame heights."""
    return [
        ((x1 * aspect + x2 * aspect) / 2, (y1 + y2) / 2, x2 * aspect - x1 * aspect, y2 - y1)
        for x1, y1, x2, y2 in boxes.tolist()
    ]


def shared(first: Centred, second: Centred) -> float:
    """Area that two boxes have in common."""
    ax, ay, aw, ah = first
    bx, by, bw, bh = second
    wide = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    if wide <= 0:
        return 0.0
    high = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    return wide * high if high > 0 else 0.0


def overlap(first: Centred, second: Centred) -> float:
    """Intersection over union of two boxes."""
    both = shared(first, second)
    return both / max(first[2] * first[3] + second[2] * second[3] - both, 1e-9)


def share_inside(inner: Centred, outer: Centred) -> float:
    """The share of one box that lies within another."""
    return shared(inner, outer) / max(inner[2] * inner[3], 1e-9)


def likeness(first: Centred, second: Centred) -> float:
    """How alike two boxes' sides are: the product of smaller over larger width and height, 0 to 1."""
    wide = min(first[2], second[2]) / max(first[2], second[2], 1e-6)
    high = min(first[3], second[3]) / max(first[3], second[3], 1e-6)
    return max(wide, 0.0) * max(high, 0.0)


def touching(boxes: Sequence[Centred], gap: float) -> list[bool]:
    """Which of the boxes overlap another or come as near as `gap`."""
    found = [False] * len(boxes)
    for i, (ax, ay, aw, ah) in enumerate(boxes):
        for j in range(i + 1, len(boxes)):
            bx, by, bw, bh = boxes[j]
            if abs(ax - bx) <= (aw + bw) / 2 + gap and abs(ay - by) <= (ah + bh) / 2 + gap:
                found[i] = found[j] = True
    return found


def parts(states: Sequence[Centred], whole: Centred) -> list[Centred]:
    """Where in a shared box each body is: its own size, its expected place, the outermost at the sides."""
    places: list[list[float]] = []
    sizes: list[list[float]] = []
    for axis in (0, 1):
        low, high = whole[axis] - whole[axis + 2] / 2, whole[axis] + whole[axis + 2] / 2
        size = [min(state[axis + 2], whole[axis + 2]) for state in states]
        begin = [min(max(state[axis] - each / 2, low), high - each) for state, each in zip(states, size, strict=True)]
        first = min(range(len(begin)), key=lambda i: begin[i])
        begin[first] = low
        last = max(range(len(begin)), key=lambda i: begin[i] + size[i])
        begin[last] = high - size[last]
        places.append([a + each / 2 for a, each in zip(begin, size, strict=True)])
        sizes.append(size)
    return list(zip(places[0], places[1], sizes[0], sizes[1], strict=True))
