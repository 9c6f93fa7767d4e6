"""What the counting is worth: every clip with known crossings, one default configuration per mounting.

Run `python -m bench.bench_accuracy` from the repository's root. Footage is looked for in ../shared/data, or where
DOORLINE_FOOTAGE says. A crossing found is *true* if one of the truth's has its line and direction and lies within the
truth's tolerance (each used once, see `edge.auditing`); one in the other direction near a missed one is *wrong*; the
rest is *invented*. Speed is decoding and counting, all in, on this machine.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.footage import footage_folder
from edge.auditing.matching import match
from edge.camera import open_source
from edge.detectors import make_detector
from edge.models import Anchor, Crossing, Detector, Direction, Frame, Line, Mounting, Point
from edge.pipeline import make_pipeline


class TrueCrossing(msgspec.Struct, frozen=True):
    frame: int
    direction: Direction
    tolerance: int


class TrueLine(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    name: str
    start: Point
    end: Point
    inside: Point
    anchor: Anchor
    crossings: tuple[TrueCrossing, ...]

    def line(self) -> Line:
        return Line(self.name, self.start, self.end, self.inside, anchor=self.anchor)


class Clip(msgspec.Struct, frozen=True):
    size: tuple[int, int]
    mounting: Mounting
    lines: tuple[TrueLine, ...]
    frames: int = 0


class Truth(msgspec.Struct, frozen=True):
    clips: dict[str, Clip]


@dataclass(frozen=True, slots=True)
class Score:
    """How one line's crossings compare with the truth."""

    true: int
    found: int
    matched: int
    wrong: int

    @property
    def missed(self) -> int:
        return self.true - self.matched - self.wrong

    @property
    def invented(self) -> int:
        return self.found - self.matched - self.wrong

    @property
    def accuracy(self) -> float:
        """What was right, as a share of what there was and what there was not; who counts twice does not gain by it."""
        return self.matched / max(1, self.true + self.invented)

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.true + other.true, self.found + other.found, self.matched + other.matched, self.wrong + other.wrong
        )


def compare(truth: Sequence[TrueCrossing], found: Sequence[Crossing]) -> Score:
    """Match what was found to the truth, each crossing once."""
    matching = match(truth, found)
    return Score(len(truth), len(found), len(matching.right), len(matching.wrong))


def _as_they_are(frames: Iterable[Frame]) -> Iterable[Frame]:
    return frames


def run(
    path: Path,
    clip: Clip,
    detector: str,
    model: Path | None,
    change: Callable[[Iterable[Frame]], Iterable[Frame]] = _as_they_are,
) -> tuple[list[Crossing], int, float]:
    """Count one clip, its frames changed on the way; returns crossings, frames and seconds taken."""
    return count(path, clip, make_detector(detector, mounting=clip.mounting, model=model), change)


def count(
    path: Path,
    clip: Clip,
    detector: Detector,
    change: Callable[[Iterable[Frame]], Iterable[Frame]] = _as_they_are,
) -> tuple[list[Crossing], int, float]:
    """Count one clip with a detector that is made for its mounting; returns as `run` does."""
    lines = [line.line() for line in clip.lines]
    width, height = clip.size
    began = time.perf_counter()
    pipeline = make_pipeline(detector, lines, mounting=clip.mounting, aspect=width / height)
    crossings: list[Crossing] = []
    frames = 0
    with open_source(str(path)) as source:
        for frame in change(source):
            crossings += pipeline.step(frame).crossings
            frames += 1
    crossings += pipeline.finish()
    return crossings, frames, time.perf_counter() - began


def read_truth(footage: Path) -> Truth | None:
    """What is known of the clips in a folder; None, and a word on what to do, where there are none."""
    if not (footage / "truth.json").exists():
        print(f"No footage at {footage}: set DOORLINE_FOOTAGE to the folder with truth.json.", file=sys.stderr)
        return None
    return msgspec.json.decode((footage / "truth.json").read_bytes(), type=Truth)


def score(truth: Sequence[TrueLine], crossings: Sequence[Crossing]) -> Score:
    """One clip's crossings against the truth of all its lines."""
    return sum(
        (compare(line.crossings, [c for c in crossings if c.line_id == line.name]) for line in truth),
        Score(0, 0, 0, 0),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default="", help="part of a clip's name")
    parser.add_argument("--each", action="store_true", help="print every crossing found")
    options: Any = parser.parse_args(arguments)
    footage = footage_folder()
    truth = read_truth(footage)
    if truth is None:
        return 2
    heads = ("true", "found", "right", "missed", "invented", "wrong dir", "frames/s")
    print(f"{'clip':<34}{'line':<8}" + _columns(heads))
    totals = [0] * 6
    for name, clip in truth.clips.items():
        if options.only not in name:
            continue
        crossings, frames, seconds = run(footage / "video" / name, clip, options.detector, options.model)
        for line in clip.lines:
            found = sorted((c for c in crossings if c.line_id == line.name), key=lambda c: c.frame)
            s = compare(line.crossings, found)
            row = (s.true, s.found, s.matched, s.missed, s.invented, s.wrong)
            totals = [a + b for a, b in zip(totals, row, strict=True)]
            print(f"{name:<34}{line.name:<8}" + _columns((*row, round(frames / seconds))))
            if options.each:
                print(
                    json.dumps(
                        {
                            "true": [(t.frame, t.direction) for t in line.crossings],
                            "found": [(c.frame, c.direction, c.track_id) for c in found],
                        }
                    )
                )
    print(f"{'all':<42}" + _columns(totals))
    return 0


def _columns(values: Sequence[object]) -> str:
    return "".join(f"{value!s:>{width}}" for value, width in zip(values, (5, 6, 6, 7, 9, 10, 9), strict=False))


if __name__ == "__main__":
    raise SystemExit(main())
