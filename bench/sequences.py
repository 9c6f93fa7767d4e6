"""Sequences of boxes with true tracks: what trackers and counters are compared on, without any detector's picture.

CAMPUS has the boxes a real detector gave (YOLOv8n) and true tracks (Xu et al., CVPR 2016). PETS 2009 S2L1 has true
tracks only, so a detector's faults are put into them: boxes left out, wavering, and people who are mostly hidden not
found. The faults are drawn from a seed, so that every run and every rival sees the same.
"""

import csv
import gzip
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.geometry import Box
from edge.models import Detections, Track

#: Boxes left out at random.
_LEFT_OUT = 0.10
#: Standard deviation of each side of a box, as a share of its width or height.
_WAVER = 0.03
#: Who is covered by more than this by somebody nearer is not found.
_HIDDEN = 0.60


@dataclass(frozen=True, slots=True)
class Sequence:
    """A recorded sequence.

    Attributes:
        name: as tables have it.
        size: width and height in pixels.
        fps: frames a second.
        found: detections of each frame.
        true: true people of each frame, as tracks.
    """

    name: str
    size: tuple[int, int]
    fps: float
    found: list[Detections]
    true: list[list[Track]]

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.size[0] / self.size[1]


def campus(folder: Path) -> Sequence:
    """CAMPUS Auditorium, camera IP2, with a real detector's boxes.

    Args:
        folder: of the sequences.
    """
    size = (1920, 1080)
    true = _rows(folder / "campus-ip2.gt.csv.gz")
    found = _rows(folder / "campus-ip2.det.csv.gz")
    frames = range(max(*true, *found) + 1)
    return Sequence(
        "campus-ip2",
        size,
        29.97,
        [_detections([_box(row[1:5], size) for row in found[i]], [row[5] for row in found[i]]) for i in frames],
        [[Track(int(row[0]), _box(row[1:5], size), 1.0, True, True) for row in true[i]] for i in frames],
    )


def pets(folder: Path, seed: int | None) -> Sequence:
    """PETS 2009 S2L1, with the true boxes as a detector with faults would find them.

    Args:
        folder: of the sequences.
        seed: of the faults; None for perfect boxes.
    """
    size = (768, 576)
    rows = np.loadtxt(folder / "pets-s2l1.gt.txt", delimiter=",")
    true: list[list[Track]] = []
    for frame in range(1, int(rows[:, 0].max()) + 1):
        here = rows[rows[:, 0] == frame].tolist()
        true.append([Track(int(row[1]), _box(row[2:6], size), 1.0, True, True) for row in here])
    if seed is None:
        found = [_detections([track.box for track in people], [1.0] * len(people)) for people in true]
        return Sequence("pets-s2l1, true boxes", size, 10.0, found, true)
    random = np.random.default_rng(seed)
    found = [_with_faults([track.box for track in people], random) for people in true]
    return Sequence(f"pets-s2l1, faults {seed}", size, 10.0, found, true)


def _with_faults(boxes: list[Box], random: np.random.Generator) -> Detections:
    kept, scores = [], []
    for box in boxes:
        covered = max((_covered(box, other) for other in boxes if other is not box and other[3] > box[3]), default=0.0)
        left_out = random.random() < _LEFT_OUT
        wide, high = box[2] - box[0], box[3] - box[1]
        x1, y1, x2, y2 = (np.asarray(box) + random.normal(0, _WAVER, 4) * [wide, high, wide, high]).clip(0, 1).tolist()
        score = float(np.clip(0.85 - 0.6 * covered + random.normal(0, 0.08), 0.1, 1.0))
        if not left_out and covered <= _HIDDEN and x2 > x1 and y2 > y1:
            kept.append((x1, y1, x2, y2))
            scores.append(score)
    return _detections(kept, scores)


def _covered(box: Box, other: Box) -> float:
    """The share of a box that another covers."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return max(wide, 0.0) * max(high, 0.0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _rows(path: Path) -> dict[int, list[list[float]]]:
    """Rows of a csv.gz by frame, as numbers."""
    by_frame: dict[int, list[list[float]]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.reader(file):
            by_frame[int(row[0])].append([float(cell) for cell in row[1:]])
    return by_frame


def _box(values: list[float], size: tuple[int, int]) -> Box:
    x, y, w, h = values
    return (x / size[0], y / size[1], (x + w) / size[0], (y + h) / size[1])


def _detections(boxes: list[Box], scores: list[float]) -> Detections:
    return Detections(np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32))
