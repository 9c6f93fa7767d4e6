"""Which runtime to use for a model on this box: measured here, and only among those that give the same boxes.

Speed depends on the processor more than on the runtime, so a table from elsewhere is worth little; and the fastest is
of no use if its boxes are others, as when a runtime computes in half precision without a word. So each runtime is
first held against a reference on real or rendered pictures, and only then against the clock.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.decoding import overlaps
from edge.detectors.errors import DetectorError
from edge.detectors.irfile import SUFFIX
from edge.detectors.onnx import OnnxFinder
from edge.detectors.runtimes import AUTO, choose, fit_for, installed
from edge.models import Detections

Image = NDArray[np.uint8]
Find = Callable[[Image], Detections]

#: Boxes are the same when they overlap by so much (intersection over union) and their scores differ by no more.
OVERLAP: Final = 0.9
SCORE: Final = 0.03
#: A box so near to the least score may be on one side of it here and on the other there.
_DOUBTFUL: Final = 0.05
_HARDLY: Final = 0.9  # of the fastest's pictures a second: what is nearer is the measuring's own noise
_ROUNDS: Final = 3  # measured so many times, the best taken: others work on this box, too


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one finder's boxes compare with the reference's.

    Attributes:
        boxes: of the reference, that were to be found.
        missing: of them, without a like in the other.
        extra: boxes of the other without a like in the reference.
        worst_overlap: least overlap among pairs; 1 if there are none.
        worst_score: greatest difference of scores among pairs.
    """

    boxes: int
    missing: int
    extra: int
    worst_overlap: float
    worst_score: float

    @property
    def same(self) -> bool:
        """Whether the two can stand for each other; where there was no box to compare, nothing is shown."""
        return bool(self.boxes) and not self.missing and not self.extra and self.worst_score <= SCORE

    def __str__(self) -> str:
        """In a few words, for a table."""
        if not self.boxes:
            return "nobody in the pictures: nothing to compare"
        if self.missing or self.extra:
            return f"{self.missing} of {self.boxes} boxes missing, {self.extra} of its own"
        return f"{self.boxes} boxes, overlap {self.worst_overlap:.3f}, scores within {self.worst_score:.3f}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One runtime on this box.

    Attributes:
        threads: processor threads it may use.
        model: the file it ran.
        per_s: pictures a second, all in: laying in, network, boxes.
        agreement: with the reference; None where the runtime can't run the model, `fault` says why.
    """

    runtime: str
    threads: int
    model: Path
    per_s: float
    agreement: Agreement | None
    fault: str = ""


def compare(reference: Iterable[Detections], other: Iterable[Detections], least: float) -> Agreement:
    """Hold one finder's answers against another's for the same pictures, in the same order.

    Args:
        reference, other: as found.
        least: the least score asked for: boxes near it may be missing in either.
    """
    boxes = missing = extra = 0
    worst_overlap, worst_score = 1.0, 0.0
    for ours, theirs in zip(reference, other, strict=True):
        pairs, alone, new = _pairs(ours, theirs)
        sure = least + _DOUBTFUL
        boxes += len(ours)
        missing += int((ours.scores[alone] >= sure).sum())
        extra += int((theirs.scores[new] >= sure).sum())
        for row, column, overlap in pairs:
            worst_overlap = min(worst_overlap, overlap)
            worst_score = max(worst_score, abs(float(ours.scores[row]) - float(theirs.scores[column])))
    return Agreement(boxes, missing, extra, worst_overlap, worst_score)


def _pairs(ours: Detections, theirs: Detections) -> tuple[list[tuple[int, int, float]], list[int], list[int]]:
    """Boxes of one class that are the same, best overlaps first; those left over on either side."""
    rows, columns = set(range(len(ours))), set(range(len(theirs)))
    found: list[tuple[int, int, float]] = []
    if rows and columns:
        shared = overlaps(ours.boxes, theirs.boxes)
        shared[ours.classes[:, None] != theirs.classes[None, :]] = 0.0
        for place in np.argsort(-shared, axis=None, kind="stable"):
            row, column = divmod(int(place), len(theirs))
            if shared[row, column] < OVERLAP:
                break
            if row in rows and column in columns:
                rows.discard(row)
                columns.discard(column)
                found.append((row, column, float(shared[row, column])))
    return found, sorted(rows), sorted(columns)


def rate(find: Find, pictures: Sequence[Image], *, threads: int, at_least_s: float) -> float:
    """Pictures a second, the best of some rounds; none of them shorter than `at_least_s` together.

    With one thread it is the processor's time that is counted, so that what else runs on the box does not decide.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    find(pictures[0])
    best = 0.0
    for _ in range(_ROUNDS):
        began, done = clock(), 0
        while (passed := clock() - began) < at_least_s / _ROUNDS or not done:
            find(pictures[done % len(pictures)])
            done += 1
        best = max(best, done / passed)
    return best


def try_runtimes(
    models: Sequence[Path],
    pictures: Sequence[Image],
    *,
    threads: Sequence[int],
    confidence: float,
    reference: Sequence[Detections] | None = None,
    at_least_s: float = 1.5,
    runtimes: Sequence[str] | None = None,
) -> list[Measured]:
    """Measure every runtime of this machine on a model.

    Args:
        models: its .onnx file, the same in OpenVINO's form (.xml), or both; each runtime runs those it can.
        pictures: to find people in; they should show some, or agreement proves nothing.
        threads: numbers of processor threads to measure with.
        confidence: the least score of a box.
        reference: what is right, for each picture; the first runtime's own boxes when left out.
        at_least_s: seconds spent on measuring each.
        runtimes: the ones to try; all that are installed when left out.

    Returns:
        One row for each runtime, file and number of threads, in the order of `runtimes.NAMES`.

    Raises:
        DetectorError: the model can be run by none of them.
    """
    rows: list[Measured] = []
    names = installed() if runtimes is None else runtimes
    for name, model, count in product(names, models, threads):
        if name not in fit_for(model):
            continue
        with _opencv_threads(count):
            try:
                finder = OnnxFinder(model, runtime=name, threads=count, confidence=confidence)
                answers = [finder.find(picture) for picture in pictures]
            except DetectorError as error:
                rows.append(Measured(name, count, model, 0.0, None, str(error)))
                continue
            reference = answers if reference is None else reference
            agreement = compare(reference, answers, confidence)
            per_s = rate(finder.find, pictures, threads=count, at_least_s=at_least_s)
            rows.append(Measured(name, count, model, per_s, agreement))
    if not rows:
        choose(AUTO, models[0])  # which says what is missing
    if all(row.agreement is None for row in rows):
        raise DetectorError(rows[0].fault)
    return rows


@contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    """OpenCV's threads are the process's, not a network's; what is measured with one must not have two."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def best(rows: Iterable[Measured], threads: int) -> Measured | None:
    """The fastest row with that many threads whose boxes agree; None if none does.

    Where that runtime is hardly slower with a model in its own form, it is that: it takes less memory.
    """
    fit = [row for row in rows if row.threads == threads and row.agreement is not None and row.agreement.same]
    first = max(fit, key=lambda row: row.per_s, default=None)
    if first is None:
        return None
    own = (row for row in fit if row.model.suffix == SUFFIX and row.runtime == first.runtime)
    return next((row for row in own if row.per_s >= _HARDLY * first.per_s), first)
