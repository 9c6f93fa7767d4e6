"""What a network sees held against what moves: a rack of coats looks like a person, but has never moved.

A network judges by looks, a background model by change, and they fail at different things. So the network's boxes stay
the detections, and motion bears witness: a box over a scene as it always was loses its score, a weak one in which half
of everything changed gains, and a box that reaches below what moves, to the foot of a rack behind a customer, is cut
off there, for feet decide which side of a line someone is on. People who stand still are foreground for as long as
they are followed. A light that is switched makes all foreground, and then motion bears witness to nothing.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.pixels import Mask
from edge.models import PERSON, Detections

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FusionParams:
    """How much motion's word weighs.

    Attributes:
        usual: the share of a box's area that is foreground at which motion speaks neither for nor against a person.
        for_most: the most by which motion multiplies the odds that a box is one.
        least: a score below this is none.
        cut: the most of a box's height that is cut off below, as a share.
        row: share of a row of a box that must be foreground for a body to reach down to it.
    """

    usual: float = 0.25
    for_most: float = 2.0
    least: float = 0.1
    cut: float = 0.12
    row: float = 0.1


def fuse(found: Detections, foreground: Mask, params: FusionParams) -> Detections:
    """The network's boxes, with scores and lower ends as motion bears them out; best first.

    The odds of a box are multiplied by the likelihood of its share of foreground: proportional to it, up to a limit.

    Args:
        found: by the network, in fractions of the frame.
        foreground: 255 or 0, shape (h, w), of the whole frame.
        params: how much motion's word weighs.
    """
    if not len(found):
        return found
    boxes = found.boxes.copy()
    likely = np.empty(len(boxes), np.float32)
    for number, box in enumerate(boxes.tolist()):
        part = _under(foreground, box)
        likely[number] = cv2.countNonZero(part) / part.size
        if found.classes[number] == PERSON:
            boxes[number, 3] -= _overhang(part, box, foreground.shape[0], params)
    odds = found.scores / np.maximum(1.0 - found.scores, 1e-4)
    odds = odds * np.minimum(likely / params.usual, params.for_most)
    scores = np.asarray(odds / (1.0 + odds), np.float32)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= params.least]
    return Detections(boxes[order], scores[order], found.classes[order])


def _under(foreground: Mask, box: list[float]) -> Mask:
    """The foreground under a box, at least a pixel of it."""
    height, width = foreground.shape
    left, top = min(int(box[0] * width), width - 1), min(int(box[1] * height), height - 1)
    right, bottom = max(math.ceil(box[2] * width), left + 1), max(math.ceil(box[3] * height), top + 1)
    return foreground[top:bottom, left:right]


def _overhang(part: Mask, box: list[float], height: int, params: FusionParams) -> float:
    """By how much of the frame's height a box reaches below what moves in it, up to the limit; 0 if nothing moves."""
    filled = cv2.reduce(part, 1, cv2.REDUCE_AVG)
    moving = np.flatnonzero(filled >= params.row * 255)
    if not len(moving):
        return 0.0
    lowest = (int(box[1] * height) + int(moving[-1]) + 1) / height
    # Less than a pixel of the mask is its own coarseness.
    over = box[3] - lowest if box[3] - lowest > 1 / height else 0.0
    return min(over, params.cut * (box[3] - box[1]))
