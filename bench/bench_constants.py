"""Whether the motion detector stands on a cliff: each of its constants a fifth less and a fifth more, on every clip.

Constants were chosen with these clips in view, so that all is found with the chosen value says little; that nothing
much happens around it says that another shop may be a little different. What is meant is the fields of the detector's
parameters, one after another, the rest as they are.

Run `python -m bench.bench_constants` from the repository's root; `--factor` takes one of the two, `--only` part of a
constant's name. Two runs give the same table.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from bench.bench_accuracy import Clip, Score, count, read_truth, score
from bench.footage import footage_folder
from edge.detectors.background import BackgroundParams
from edge.detectors.motion import MotionDetector, MotionParams
from edge.models import Mounting

FACTORS = (0.8, 1.2)


def constants(params: Any, part: str = "") -> Iterator[str]:
    """Names of all numbers in parameters, those of parts with the part's: `ghosts.left_s`, `background.shadow.0`."""
    for each in fields(params):
        value, name = getattr(params, each.name), f"{part}{each.name}"
        if is_dataclass(value):
            yield from constants(value, f"{name}.")
        elif isinstance(value, tuple):
            yield from (f"{name}.{place}" for place in range(len(value)))
        elif not isinstance(value, bool):
            yield name


def shaken(params: Any, name: str, factor: float) -> Any:
    """The parameters with the constant of that name so many times as large."""
    if isinstance(params, tuple):
        return tuple(value * factor if place == int(name) else value for place, value in enumerate(params))
    first, _, rest = name.partition(".")
    value = getattr(params, first)
    return replace(params, **{first: shaken(value, rest, factor) if rest else value * factor})


def default(mounting: Mounting) -> MotionParams:
    """What a camera of that mounting has."""
    return MotionParams(BackgroundParams.for_mounting(mounting))


def measure(clips: dict[str, Clip], videos: Path, name: str = "", factor: float = 1.0) -> Score:
    """All clips together, one constant changed."""
    whole = Score(0, 0, 0, 0)
    for clip_name, clip in clips.items():
        params = default(clip.mounting)
        if name:
            params = shaken(params, name, factor)
        crossings, _, _ = count(videos / clip_name, clip, MotionDetector(mounting=clip.mounting, params=params))
        whole += score(clip.lines, crossings)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; fail if a constant loses more points than allowed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--factor", type=float, action="append", help="instead of 0.8 and 1.2; may be given again")
    parser.add_argument("--only", default="", help="part of a constant's name")
    parser.add_argument("--most", type=float, help="exit with 1 if a constant loses more points than this")
    options: Any = parser.parse_args(arguments)
    footage = footage_folder()
    truth = read_truth(footage)
    if truth is None:
        return 2
    videos = footage / "video"
    plain = measure(truth.clips, videos)
    print(f"{'constant':<36}{'right':>6}{'invented':>9}{'wrong dir':>10}{'points':>8}")
    print(_row("as it is", plain, plain), flush=True)
    worst = 0.0
    for name in constants(default("oblique")):
        for factor in (options.factor or FACTORS) if options.only in name else ():
            one = measure(truth.clips, videos, name, factor)
            worst = min(worst, 100 * (one.accuracy - plain.accuracy))
            print(_row(f"{name} x {factor}", one, plain), flush=True)
    print(f"at worst {worst:+.1f} points")
    return 1 if options.most is not None and worst < -options.most else 0


def _row(name: str, one: Score, plain: Score) -> str:
    points = 100 * (one.accuracy - plain.accuracy)
    return f"{name:<36}{one.matched:>6}{one.invented:>9}{one.wrong:>10}{points:>+8.1f}"


if __name__ == "__main__":
    sys.exit(main())
