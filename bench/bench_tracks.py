"""How well tracker and counter do on given boxes, without any detector to blame or thank.

Boxes of a person detector on the CAMPUS Auditorium sequence (Xu et al., CVPR 2016) go through tracker and counter with
three lines; the same counter on the true tracks' path gives the truth. Errors are per direction, so that a crossing
missed and another invented do not cancel out in the sum.

Run `python -m bench.bench_tracks` from the repository's root.
"""

import argparse
import csv
import gzip
import sys
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.footage import footage_folder
from edge.counter import Counter
from edge.models import Crossing, Detections, Line, Track
from edge.tracker import Tracker

SIZE, FPS = (1920, 1080), 29.97
LINES = [Line(f"x={x}", (x, 0.0), (x, 1.0), (0.95, 0.5)) for x in (0.35, 0.5, 0.65)]
KEYS = [(line.line_id, direction) for line in LINES for direction in ("in", "out")]


def rows(path: Path) -> dict[int, list[list[float]]]:
    """Rows of a csv.gz by frame, as numbers."""
    by_frame: dict[int, list[list[float]]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.reader(file):
            by_frame[int(row[0])].append([float(cell) for cell in row[1:]])
    return by_frame


def _box(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x / SIZE[0], y / SIZE[1], (x + w) / SIZE[0], (y + h) / SIZE[1])


def true_crossings(path: Path) -> list[Crossing]:
    """Crossings of the true feet."""
    counter = Counter(LINES, mounting="oblique", aspect=SIZE[0] / SIZE[1])
    found: list[Crossing] = []
    by_frame = rows(path)
    for frame in range(max(by_frame) + 1):
        tracks = [Track(int(r[0]), _box(*r[1:5]), 1.0, True, True) for r in by_frame.get(frame, [])]
        found += counter.update(tracks, frame, frame / FPS)
    return found + counter.finish()


def counted_crossings(path: Path) -> list[Crossing]:
    """Crossings our tracker and counter find in the detector's boxes."""
    tracker = Tracker(aspect=SIZE[0] / SIZE[1], mounting="oblique")
    counter = Counter(LINES, mounting="oblique", aspect=SIZE[0] / SIZE[1])
    found: list[Crossing] = []
    by_frame = rows(path)
    for frame in range(max(by_frame) + 1):
        given = by_frame.get(frame, [])
        boxes = np.asarray([_box(*r[1:5]) for r in given], np.float32).reshape(-1, 4)
        scores = np.asarray([r[5] for r in given], np.float32)
        tracks = tracker.update(Detections(boxes, scores), frame / FPS)
        found += counter.update(tracks, frame, frame / FPS)
    return found + counter.finish()


def by_line(crossings: Iterable[Crossing]) -> Tally[tuple[str, str]]:
    """How many there are of each line and direction."""
    return Tally((crossing.line_id, crossing.direction) for crossing in crossings)


def sum_of_errors(truth: Tally[tuple[str, str]], counted: Tally[tuple[str, str]]) -> int:
    """Absolute differences, added up over lines and directions."""
    return sum(abs(truth[key] - counted[key]) for key in KEYS)


def main() -> int:
    """Print the errors of each line and direction; fail above the given limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--most", type=int, help="exit with 1 if the errors sum to more than this")
    arguments = parser.parse_args()
    tracks = footage_folder() / "tracks"
    if not tracks.is_dir():
        print(f"no footage at {tracks}; set DOORLINE_FOOTAGE", file=sys.stderr)
        return 2
    truth = by_line(true_crossings(tracks / "campus-ip2.gt.csv.gz"))
    counted = by_line(counted_crossings(tracks / "campus-ip2.det.csv.gz"))
    print("line      direction  true  counted  error")
    for key in KEYS:
        error = abs(truth[key] - counted[key])
        print(f"{key[0]:9} {key[1]:9} {truth[key]:5} {counted[key]:8} {error:6}")
    errors = sum_of_errors(truth, counted)
    print(f"sum of absolute errors {errors} over {sum(truth.values())} true crossings")
    return 1 if arguments.most is not None and errors > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
