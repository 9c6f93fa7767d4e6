"""From a network's answer to boxes: one reader for each family of detectors.

Of a few thousand cells a handful holds someone, so scores are looked at first and only what is above the threshold is
worked on: decoding every cell took longer than laying in the picture. The trap is that a wrong reader does not fail: it
gives boxes, and they are wrong; so a family is told from the answer's shape and, where shapes are alike, its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: `yolox`: raw cells; `decoded`: cells in pixels with an objectness (v5, v7, YOLOX exported with its decoder); `yolo`:
#: one column a cell (v8, v9, 11, 12); `end2end`: boxes already sorted out (v10, 26, exports with NMS).
Family = Literal["yolox", "decoded", "yolo", "end2end"]

_STRIDES: Final = (8, 16, 32)
#: Pixels of the coarsest grid's cell: a network's pictures have sides that are multiples of it.
CELL: Final = _STRIDES[-1]
#: The least score of a box, unless another is asked for. Low on purpose: a tracker can hold someone half hidden by a
#: weak one.
LEAST_SCORE: Final = 0.15
#: Of two boxes that overlap by more (intersection over union) the weaker is left out.
MOST_OVERLAP: Final = 0.6
_ANCHORS: Final = (1, 3)  # boxes a cell: YOLOX's one, v5's three
#: More boxes than this are no shop; sorting out all of a broken model's would stop the camera.
_MOST: Final = 300


@dataclass(frozen=True, slots=True)
class Raw:
    """Boxes in pixels of the network's input (n, 4), their scores (n,) and our class numbers (n,)."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.uint8]


class Decoder(Protocol):
    """Reads one family's answers."""

    def __call__(self, answer: Floats, confidence: float) -> Raw:
        """Boxes of at least that score.

        Args:
            answer: the network's first answer without its first axis.
            confidence: 0 to 1.
        """
        ...


def family_of(answer: Floats, width: int, height: int) -> Family | None:
    """Which family answers so to an empty picture; None if none that is known.

    Args:
        answer: the whole first answer.
        width, height: of the network's input.
    """
    if answer.ndim != 3 or answer.shape[0] != 1:
        return None
    cells, (rows, columns) = count_cells(width, height), answer.shape[1:]
    if rows in {cells * anchors for anchors in _ANCHORS} and columns > 5:
        # Raw centres are offsets within a cell; read as pixels they would all lie in the upper left corner.
        raw = rows == cells and float(np.abs(answer[0, :, :2]).max()) < max(_STRIDES)
        return "yolox" if raw else "decoded"
    if columns == cells and rows > 4:
        return "yolo"
    return "end2end" if columns == 6 else None


def class_count(family: Family, shape: tuple[int, ...]) -> int | None:
    """How many classes an answer of that shape tells apart; None where it doesn't show."""
    if family == "end2end":
        return None
    return shape[1] - 4 if family == "yolo" else shape[2] - 5


def make_decoder(family: Family, width: int, height: int, wanted: Mapping[int, int]) -> Decoder:
    """The reader of a family's answers.

    Args:
        family: as `family_of` says.
        width, height: of the network's input.
        wanted: the model's class numbers that are looked for, to ours.
    """
    columns = np.array(list(wanted), np.intp)
    ours = np.array(list(wanted.values()), np.uint8)
    if family == "end2end":
        return _EndToEnd(columns, ours)
    if family == "yolo":
        return _Columns(columns, ours)
    return _Cells(columns, ours, *(_grid(width, height) if family == "yolox" else (None, None)))


class _Cells:
    """One row a cell: centre, size, objectness, classes. Source: Ge et al., YOLOX, 2021, and its demo's reader."""

    def __init__(
        self, columns: NDArray[np.intp], ours: NDArray[np.uint8], cells: Floats | None, strides: Floats | None
    ) -> None:
        self._columns, self._ours = columns + 5, ours
        self._cells, self._strides = cells, strides

    def __call__(self, answer: Floats, confidence: float) -> Raw:
        rows = np.flatnonzero(answer[:, 4] >= confidence)  # a score is objectness times less than 1
        some = answer[rows]
        each = some[:, self._columns] * some[:, 4:5]
        best = each.argmax(axis=1)
        scores = each[np.arange(len(rows)), best]
        strong = scores >= confidence
        rows, some, best, scores = rows[strong], some[strong], best[strong], scores[strong]
        if self._cells is None or self._strides is None:
            centre, half = some[:, :2], some[:, 2:4] / 2
        else:
            strides = self._strides[rows]
            centre = (some[:, :2] + self._cells[rows]) * strides
            half = np.exp(np.minimum(some[:, 2:4], 10.0)) * strides / 2
        return _raw(np.concatenate([centre - half, centre + half], axis=1), scores, self._ours[best])


class _Columns:
    """One column a cell: centre and size in pixels, then the classes' scores."""

    def __init__(self, columns: NDArray[np.intp], ours: NDArray[np.uint8]) -> None:
        self._rows, self._ours = columns + 4, ours

    def __call__(self, answer: Floats, confidence: float) -> Raw:
        each = answer[self._rows]
        top = each[0] if len(each) == 1 else each.max(axis=0)
        places = np.flatnonzero(top >= confidence)
        best = each[:, places].argmax(axis=0)
        centre, half = answer[:2, places].T, answer[2:4, places].T / 2
        return _raw(np.concatenate([centre - half, centre + half], axis=1), top[places], self._ours[best])


class _EndToEnd:
    """One row a box: x1, y1, x2, y2, score, class; the network has sorted them out itself."""

    def __init__(self, columns: NDArray[np.intp], ours: NDArray[np.uint8]) -> None:
        self._columns, self._ours = columns, ours

    def __call__(self, answer: Floats, confidence: float) -> Raw:
        strong = answer[answer[:, 4] >= confidence]
        same = np.round(strong[:, 5:6]) == self._columns
        mine = same.any(axis=1)
        return _raw(strong[mine, :4], strong[mine, 4], self._ours[same[mine].argmax(axis=1)])


def _raw(boxes: Floats, scores: Floats, classes: NDArray[np.uint8]) -> Raw:
    return Raw(np.asarray(boxes, np.float32), np.asarray(scores, np.float32), classes)


def strongest(found: Raw, overlap: float) -> NDArray[np.intp]:
    """Which boxes to keep, best first, so that no two of one class overlap by more than `overlap`.

    Non-maximum suppression; overlap is intersection over union, 0 to 1.
    """
    order = np.argsort(-found.scores, kind="stable")[:_MOST]
    if len(order) < 2:
        return order
    boxes, classes = found.boxes[order], found.classes[order]
    rivals = (overlaps(boxes, boxes) > overlap) & (classes[:, None] == classes[None, :])
    kept: list[int] = []
    gone = np.zeros(len(order), bool)
    for place in range(len(order)):
        if not gone[place]:
            kept.append(place)
            gone |= rivals[place]
    return order[kept]


def overlaps(ours: Floats, theirs: Floats) -> Floats:
    """Intersection over union of each of our boxes with each of theirs; shape (n, 4) and (m, 4) to (n, m)."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    sides = np.maximum(np.minimum(ours[:, None, 2:], theirs[None, :, 2:]) - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (ours, theirs)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9), np.float32)


def count_cells(width: int, height: int) -> int:
    """Cells of the three grids that lie over an input of that size."""
    return sum((height // stride) * (width // stride) for stride in _STRIDES)


def _grid(width: int, height: int) -> tuple[Floats, Floats]:
    """Column and row of each cell, shape (cells, 2), and its stride, shape (cells, 1)."""
    places, strides = [], []
    for stride in _STRIDES:
        rows, columns = height // stride, width // stride
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        places.append(grid)
        strides.append(np.full((len(grid), 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)
