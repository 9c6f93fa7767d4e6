"""How well tracker and counter do on given boxes, without any detector to blame or thank.

The same boxes go through our tracker and counter and through those of supervision and ultralytics, where they are
installed, with lines at three places; the counter on the true tracks gives the truth. Errors are per direction, so that
a crossing missed and another invented the other way do not cancel out in the sum.

Run `python -m bench.bench_tracks` from the repository's root. `--perturb` also shakes each of our constants by a fifth.
"""

import argparse
import sys
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from bench.footage import footage_folder
from bench.rivals import RIVALS, MissingError, version
from bench.sequences import Sequence, campus, pets
from edge.counter import Counter, CounterParams
from edge.models import Crossing, Line
from edge.tracker import Tracker, TrackerParams

LINES = [Line(f"x={x}", (x, 0.0), (x, 1.0), (0.95, 0.5)) for x in (0.35, 0.5, 0.65)]
KEYS = [(line.line_id, direction) for line in LINES for direction in ("in", "out")]
#: Faults put into true boxes: one draw says little, so several are counted and added up.
SEEDS = (1, 2, 3)

Totals = Tally[tuple[str, str]]


def true_crossings(sequence: Sequence) -> list[Crossing]:
    """Crossings of the true feet."""
    counter = Counter(LINES, mounting="oblique", aspect=sequence.aspect)
    found: list[Crossing] = []
    for frame, tracks in enumerate(sequence.true):
        found += counter.update(tracks, frame, frame / sequence.fps)
    return found + counter.finish()


def counted_crossings(
    sequence: Sequence, tracker_params: TrackerParams | None = None, counter_params: CounterParams | None = None
) -> list[Crossing]:
    """Crossings our tracker and counter find in the detector's boxes."""
    tracker = Tracker(aspect=sequence.aspect, mounting="oblique", params=tracker_params)
    counter = Counter(LINES, mounting="oblique", aspect=sequence.aspect, params=counter_params)
    found: list[Crossing] = []
    for frame, detections in enumerate(sequence.found):
        time_s = frame / sequence.fps
        found += counter.update(tracker.update(detections, time_s), frame, time_s)
    return found + counter.finish()


def by_line(crossings: Iterable[Crossing]) -> Totals:
    """How many there are of each line and direction."""
    return Tally((crossing.line_id, crossing.direction) for crossing in crossings)


def sum_of_errors(truth: Totals, counted: Totals) -> int:
    """Absolute differences, added up over lines and directions."""
    return sum(abs(truth[key] - counted[key]) for key in KEYS)


def _row(name: str, truth: list[Totals], counted: list[Totals]) -> str:
    cells = []
    for line in LINES:
        for way in ("in", "out"):
            key = (line.line_id, way)
            cells.append(f"{sum(t[key] for t in truth)}/{sum(c[key] for c in counted)}")
    errors = sum(sum_of_errors(t, c) for t, c in zip(truth, counted, strict=True))
    total = sum(t.total() for t in truth)
    return f"  {name:48}{''.join(f'{cell:>9}' for cell in cells)}{errors:>8} of {total} = {errors / total:.1%}"


def _shaken() -> Iterator[tuple[str, TrackerParams, CounterParams]]:
    """Our constants, each in turn a fifth less and a fifth more."""
    usual, sure = TrackerParams.for_mounting("oblique"), CounterParams()
    for factor in (0.8, 1.2):
        for name, value in _numbers(usual):
            changed: Any = {name: _times(value, factor)}
            yield f"{name} x {factor}", replace(usual, **changed), sure
        for name, value in _numbers(sure):
            changed = {name: _times(value, factor)}
            yield f"{name} x {factor}", usual, replace(sure, **changed)


def _numbers(params: TrackerParams | CounterParams) -> list[tuple[str, float]]:
    """Constants that bear on who is counted; those of groups don't."""
    named = [(each.name, getattr(params, each.name)) for each in fields(params)]
    return [(name, value) for name, value in named if not isinstance(value, bool) and not name.startswith("group")]


def _times(value: float, factor: float) -> float:
    """A fifth of a small whole number is at least one."""
    if isinstance(value, int):
        return max(1, value - 1 if factor < 1 else value + 1)
    return value * factor


def _perturb(sequences: list[Sequence], truth: list[Totals]) -> None:
    total = sum(t.total() for t in truth)
    worst, best = ("", -1), ("", total)
    for name, tracker_params, counter_params in _shaken():
        errors = sum(
            sum_of_errors(t, by_line(counted_crossings(sequence, tracker_params, counter_params)))
            for sequence, t in zip(sequences, truth, strict=True)
        )
        worst = (name, errors) if errors > worst[1] else worst
        best = (name, errors) if errors < best[1] else best
        print(f"    {name:24} {errors / total:6.1%}", flush=True)
    print(
        f"  a fifth more or less of any constant: {best[1] / total:.1%} ({best[0]}) to {worst[1] / total:.1%}", end=""
    )
    print(f" ({worst[0]})")


def main() -> int:
    """Print the table; fail above the given limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--most", type=float, help="exit with 1 if our errors on any row exceed this share")
    parser.add_argument("--perturb", action="store_true", help="also with each constant a fifth less and more (slow)")
    arguments = parser.parse_args()
    folder = footage_folder() / "tracks"
    if not folder.is_dir():
        print(f"no footage at {folder}; set DOORLINE_FOOTAGE", file=sys.stderr)
        return 2
    heads = "".join(f"{f'{line.line_id} {way}':>9}" for line in LINES for way in ("in", "out"))
    print(f"true/counted{'':39}{heads}  sum of errors")
    failed = False
    for title, sequences in (
        ("campus-ip2, YOLOv8n's boxes", [campus(folder)]),
        (f"pets-s2l1, true boxes with faults, {len(SEEDS)} draws", [pets(folder, seed) for seed in SEEDS]),
    ):
        print(title)
        truth = [by_line(true_crossings(sequence)) for sequence in sequences]
        ours = [by_line(counted_crossings(sequence)) for sequence in sequences]
        print(_row("doorline", truth, ours))
        errors = sum(sum_of_errors(t, c) for t, c in zip(truth, ours, strict=True))
        failed |= arguments.most is not None and errors > arguments.most * sum(t.total() for t in truth)
        for name, (package, rival) in RIVALS.items():
            try:
                theirs = [rival(each.found, each.size, each.fps, LINES) for each in sequences]
            except MissingError as error:
                print(f"  {name:48} {error}")
                continue
            print(_row(f"{name} {version(package)}", truth, theirs))
        if arguments.perturb:
            _perturb(sequences, truth)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
