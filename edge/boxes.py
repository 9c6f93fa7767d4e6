"""Arithmetic of many boxes at once, for the tracker.

Everything here is in frame heights and by centre and size, because the tracker's filters are: mixing that with the
corners in fractions that detectors give is the classic way to measure a distance wrong by the picture's aspect.
"""

import numpy as np
from numpy.typing import NDArray

from edge.kalman import Vector
from edge.models import Boxes


def to_centres(boxes: Boxes, aspect: float) -> Vector:
    """Boxes in fractions (n, 4) as centre x, centre y, width, height in frame heights (n, 4)."""
    b = np.asarray(boxes, np.float64).reshape(-1, 4) * np.asarray([aspect, 1.0, aspect, 1.0])
    return np.stack([(b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]], axis=1)


def overlaps(first: Vector, second: Vector) -> Vector:
    """Intersection over union of centre-size boxes (n, 4) and (m, 4); shape (n, m)."""
    a, b = first[:, None, :], second[None, :, :]
    low = np.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = np.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    sides = np.maximum(high - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def touching(boxes: Vector, gap: float) -> NDArray[np.bool_]:
    """Which of the centre-size boxes (n, 4) overlap another or come as near as `gap`; shape (n,)."""
    if len(boxes) < 2:
        return np.zeros(len(boxes), np.bool_)
    apart = np.abs(boxes[:, None, :2] - boxes[None, :, :2])
    reach = (boxes[:, None, 2:] + boxes[None, :, 2:]) / 2 + gap
    near = np.asarray((apart <= reach).all(axis=2), np.bool_)
    return np.asarray(near.sum(axis=1) > 1, np.bool_)  # everyone touches themselves


def share_inside(inner: Vector, outer: Vector) -> float:
    """The share of one centre-size box (4,) that lies within another."""
    low = np.maximum(inner[:2] - inner[2:] / 2, outer[:2] - outer[2:] / 2)
    high = np.minimum(inner[:2] + inner[2:] / 2, outer[:2] + outer[2:] / 2)
    return float(np.clip(high - low, 0.0, None).prod() / max(float(inner[2:].prod()), 1e-9))


def parts(states: Vector, whole: Vector) -> list[Vector]:
    """Where in a shared box (4,) each body is: its own size, its expected place, the outermost at the sides."""
    low, high = whole[:2] - whole[2:] / 2, whole[:2] + whole[2:] / 2
    sizes = np.minimum(states[:, 2:], whole[2:])
    begin = np.clip(states[:, :2] - sizes / 2, low, high - sizes)
    for axis in (0, 1):
        begin[np.argmin(begin[:, axis]), axis] = low[axis]
        last = np.argmax(begin[:, axis] + sizes[:, axis])
        begin[last, axis] = high[axis] - sizes[last, axis]
    return list(np.concatenate([begin + sizes / 2, sizes], axis=1))
