"""How large a person is at each depth of the picture, and from that how the camera hangs.

Obliquely seen, a body's height grows with the row its feet stand in, nearly along a straight line. That line is drawn
by medians throughout, for among the boxes are children, shadows, trolleys and two people in one box, and least squares
would follow each of them. The trap is to trust many boxes of few people: someone who stands for a minute would settle
it alone, so each person counts once at each depth.

Pure. Heights and rows are in fractions of the frame's height.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.calibration.walks import Vector, Walk
from edge.models import Mounting

#: Depth of the bands in which each person counts once.
_BAND: Final = 0.04
#: Two people are compared only where they stand this far apart in depth, or their difference says nothing.
_APART: Final = 0.08
#: The ways must cover this much of the picture's height to say how size changes with depth.
_DEPTH: Final = 0.12
_MOST: Final = 1500
#: An upright body is at least so many times as high as wide; from above few are.
_UPRIGHT: Final = 1.4
#: From fewer people than this nothing is made of their shape: reflections and people half hidden look like anything.
_FEW: Final = 5
#: Boxes of people, upright ones, that are too slim or too wide are parts of a body, or more than one.
_SHAPES: Final = (1.2, 5.0)


@dataclass(frozen=True, slots=True)
class SizeProposal:
    """An adult's size at two depths.

    Attributes:
        adult: two of (y of the anchor, height of the body), or from above its diameter.
        people: how many it rests on.
        spread: typical deviation of a person from it, as a share of the size.
        by_depth: whether enough depth was seen to say how size changes with it; else it is the same everywhere.
    """

    adult: tuple[tuple[float, float], tuple[float, float]]
    people: int
    spread: float
    by_depth: bool

    def at(self, y: float) -> float:
        """Size expected at a depth."""
        (y1, s1), (y2, s2) = self.adult
        return s1 + (y - y1) * (s2 - s1) / (y2 - y1)


def propose_size(walks: Sequence[Walk], *, mounting: Mounting, aspect: float, least: int = 5) -> SizeProposal | None:
    """An adult's size by depth.

    Args:
        walks: ways of people, of one camera.
        mounting: overhead takes one diameter for all of the picture.
        aspect: the frame's width over its height.
        least: how many people must have been seen whole and alone.

    Returns:
        The size (Theil and Sen's line: the median of all slopes, then of all offsets); None where too few were seen.
    """
    seen = [_seen(walk, mounting, aspect) for walk in walks]
    people = sum(len(rows) > 0 for rows in seen)
    if people < least:
        return None
    samples = np.concatenate([rows for rows in seen if len(rows)])
    samples = samples[:: max(1, len(samples) // _MOST)]
    y, size = samples[:, 0], samples[:, 1]
    near, far = (float(each) for each in np.percentile(y, (5, 95)))
    slope = _slope(y, size) if mounting == "oblique" and far - near >= _DEPTH else None
    by_depth = slope is not None and slope > 0
    slope = slope if slope is not None and by_depth else 0.0
    offset = float(np.median(size - slope * y))
    if far - near < 0.1:
        near, far = max(0.0, near - 0.05), min(1.0, far + 0.05)
    if slope * near + offset < 0.02:  # a line through few people may end below the floor
        slope, offset, by_depth = 0.0, float(np.median(size)), False
    expected = slope * y + offset
    spread = float(np.median(np.abs(size - expected) / expected)) * 1.4826
    pair = ((near, slope * near + offset), (far, slope * far + offset))
    adult = tuple((round(row, 3), round(min(each, 1.0), 3)) for row, each in pair)
    return SizeProposal((adult[0], adult[1]), people, round(spread, 3), by_depth)


def _seen(walk: Walk, mounting: Mounting, aspect: float) -> Vector:
    """One person's size, once for each depth they were seen at whole and alone: rows of y and size."""
    good = walk.whole & walk.alone
    if mounting == "oblique":
        shape = upright(walk, aspect)
        good &= (shape >= _SHAPES[0]) & (shape <= _SHAPES[1])
    y, sizes = walk.points[good, 1], walk.sizes[good]
    bands = np.floor(y / _BAND)
    rows = [(float(np.median(y[bands == b])), float(np.median(sizes[bands == b]))) for b in np.unique(bands)]
    return np.asarray(rows, np.float64).reshape(-1, 2)


def _slope(y: Vector, size: Vector) -> float | None:
    """The median of the slopes between all pairs far enough apart in depth; None where there are none."""
    rise, run = size[:, None] - size[None, :], y[:, None] - y[None, :]
    far = run >= _APART
    return float(np.median(rise[far] / run[far])) if far.any() else None


def upright(walk: Walk, aspect: float) -> Vector:
    """How many times as high as wide each of a walk's boxes is, shape (n,)."""
    wide = (walk.boxes[:, 2] - walk.boxes[:, 0]) * aspect
    return np.asarray((walk.boxes[:, 3] - walk.boxes[:, 1]) / np.maximum(wide, 1e-6), np.float64)


def guess_mounting(seen_as_overhead: Sequence[Walk], aspect: float) -> Mounting:
    """How the camera hangs, by the shape of people.

    Seen obliquely people are upright, two to three times as high as wide, whichever way they walk; from above they are
    about as long as wide. Both can be told only by looking as one does from above: looking for upright people finds
    them there, too, by cutting the shapes it sees into upright parts.

    Args:
        seen_as_overhead: ways found by looking as one does from above.
        aspect: the frame's width over its height.

    Returns:
        The mounting; oblique where few were seen so, as small people far away are.
    """
    shapes = [float(np.median(upright(walk, aspect)[walk.whole])) for walk in seen_as_overhead if walk.whole.any()]
    return "overhead" if len(shapes) >= _FEW and float(np.median(shapes)) < _UPRIGHT else "oblique"
