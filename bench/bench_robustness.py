"""What is left of the accuracy when the picture gets worse: the same clips, darkened, flickering, turned and so on.

A counter tuned on clean recordings fails in the shop, on the evening someone dims the lights. So every clip with known
crossings is counted again under each change of a list, with the same configuration, and compared with the plain clips:
accuracy is the crossings found rightly, over the true ones and the invented ones together; `points` is what a row has
less (or more) of it than the plain row, in percentage points. Noise is drawn from a seed: two runs give the same table.

Run `python -m bench.bench_robustness` from the repository's root; `--rows` names rows, `--only` part of a clip's name.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.bench_accuracy import Clip, Score, TrueCrossing, TrueLine, read_truth, run, score
from bench.footage import footage_folder
from edge.cameras.view import rotated
from edge.models import Frame, Point

Image = NDArray[np.uint8]
Picture = Callable[[Image, float], Image]

_SEED: Final = 20
_NOISES: Final = 6  # fields of noise, laid over the picture at a random place: drawing one a frame would take hours


@dataclass(frozen=True, slots=True)
class Row:
    """One way in which the picture gets worse.

    Attributes:
        picture: makes it worse, given how far into the clip it is (0 to 1).
        line: what becomes of a line and its truth.
        every: of how many frames one is kept.
        size: what becomes of the picture's width and height.
    """

    picture: Picture = lambda image, _: image
    line: Callable[[TrueLine], TrueLine] = lambda line: line
    every: int = 1
    size: Callable[[tuple[int, int]], tuple[int, int]] = lambda size: size

    def clip(self, clip: Clip) -> Clip:
        """The clip's truth under this change."""
        lines = tuple(self.line(line) for line in clip.lines)
        return msgspec.structs.replace(clip, lines=lines, size=self.size(clip.size))

    def frames(self, frames: Iterable[Frame], total: int) -> Iterator[Frame]:
        """A clip's frames under this change; numbers and times stay."""
        for frame in frames:
            if frame.index % self.every == 0:
                image = self.picture(frame.image, frame.index / max(1, total))
                yield Frame(frame.index, frame.time_s, np.ascontiguousarray(image))


def _scaled(gain: float) -> Picture:
    return lambda image, _: _image(cv2.convertScaleAbs(image, alpha=gain))


def _switched(image: Image, at: float) -> Image:
    """A light goes out in the middle of the clip, within one frame, and on again after three quarters."""
    return _image(cv2.convertScaleAbs(image, alpha=0.55)) if 0.5 <= at < 0.75 else image


def _flickering() -> Picture:
    """A lamp on the mains: each frame is of another brightness, up and down by an eighth."""
    rng = np.random.default_rng(_SEED)
    return lambda image, _: _image(cv2.convertScaleAbs(image, alpha=float(rng.uniform(0.875, 1.125))))


def _grey(image: Image, _: float) -> Image:
    return _image(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))


def _infrared() -> Picture:
    """A camera at night: one channel, mostly what was red; its own lamp lights the middle, its sensor is noisy."""
    noise = _noisy(5.0, grey=True)

    def change(image: Image, at: float) -> Image:
        height, width = image.shape[:2]
        one = cv2.transform(image, np.array([[0.05, 0.2, 0.75]], np.float32))
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        lamp = 1.1 - 0.35 * (x[None, :] ** 2 + y[:, None] ** 2)
        lit = np.clip(one * lamp, 0, 255).astype(np.uint8)
        return noise(_image(cv2.cvtColor(lit, cv2.COLOR_GRAY2BGR)), at)

    return change


def _noisy(sigma: float, *, grey: bool = False) -> Picture:
    """A sensor's noise, of each pixel and colour by itself, or of each pixel."""
    rng = np.random.default_rng(_SEED)
    fields: list[NDArray[np.int16]] = []

    def change(image: Image, _: float) -> Image:
        height, width = image.shape[:2]
        if not fields or fields[0].shape[:2] != (height + 32, width + 32):
            shape = (height + 32, width + 32, 1 if grey else 3)
            fields[:] = [
                np.broadcast_to(rng.normal(0, sigma, shape).round().astype(np.int16), (*shape[:2], 3))
                for _ in range(_NOISES)
            ]
        y, x = rng.integers(0, 32, 2)
        noise = fields[rng.integers(_NOISES)][y : y + height, x : x + width]
        return _image(np.clip(image.astype(np.int16) + noise, 0, 255).astype(np.uint8))

    return change


def _jpeg(quality: int) -> Picture:
    def change(image: Image, _: float) -> Image:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return _image(cv2.imdecode(packed, cv2.IMREAD_COLOR))

    return change


def _mirrored(image: Image, _: float) -> Image:
    return _image(cv2.flip(image, 1))


def _moved(line: TrueLine, place: Callable[[Point], Point]) -> TrueLine:
    return msgspec.structs.replace(line, start=place(line.start), end=place(line.end), inside=place(line.inside))


def _line_mirrored(line: TrueLine) -> TrueLine:
    return _moved(line, lambda p: (1 - p[0], p[1]))


def _line_mirrored_other_side(line: TrueLine) -> TrueLine:
    """The line mirrored, but its other side named inside: what went in goes out."""
    line = _line_mirrored(line)
    (x1, y1), (x2, y2), (x, y) = line.start, line.end, line.inside
    along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)
    foot = (x1 + along * (x2 - x1), y1 + along * (y2 - y1))
    turned = tuple(
        TrueCrossing(crossing.frame, "out" if crossing.direction == "in" else "in", crossing.tolerance)
        for crossing in line.crossings
    )
    # As far beyond the line, unless that is outside the picture; just beyond it does as well.
    inside = (min(max(2 * foot[0] - x, 0.0), 1.0), min(max(2 * foot[1] - y, 0.0), 1.0))
    return msgspec.structs.replace(line, inside=inside, crossings=turned)


def _set_right(image: Image, _: float) -> Image:
    """A camera hung on its side, turned back by its setting `rotate` before it is looked at."""
    return rotated(_image(cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)), 270)


def _on_its_side(image: Image, _: float) -> Image:
    return _image(cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE))


def _image(array: Any) -> Image:
    return cast("Image", array)


def rows() -> dict[str, Row]:
    """The rows of the table by name, the plain one first; made anew each time, for noise remembers where it was."""
    return {
        "plain": Row(),
        "darkened x0.5": Row(_scaled(0.5)),
        "brightened x1.4": Row(_scaled(1.4)),
        "light switched": Row(_switched),
        "flicker +-12%": Row(_flickering()),
        "grey": Row(_grey),
        "infrared-like": Row(_infrared()),
        "noise sigma 8": Row(_noisy(8.0)),
        "JPEG 20": Row(_jpeg(20)),
        "half the frames": Row(every=2),
        "mirrored": Row(_mirrored, _line_mirrored),
        "mirrored, other side": Row(_mirrored, _line_mirrored_other_side),
        "on its side, set right": Row(_set_right),
    }


#: Straight from above there is no upright: such a camera must count on its side, too, without being turned back.
OVERHEAD_ON_ITS_SIDE: Final = Row(
    _on_its_side, lambda line: _moved(line, lambda p: (1 - p[1], p[0])), size=lambda size: (size[1], size[0])
)


def measure(
    row: Row, clips: dict[str, Clip], videos: Path, detector: str, model: Path | None
) -> tuple[Score, dict[str, Score]]:
    """Count all clips under one change; returns the whole and each."""
    each = {}
    for name, plain in clips.items():
        clip = row.clip(plain)
        crossings, _, _ = run(videos / name, clip, detector, model, partial(row.frames, total=plain.frames))
        each[name] = score(clip.lines, crossings)
    return sum(each.values(), Score(0, 0, 0, 0)), each


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; fail if a row lost more points than allowed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="motion", help="auto: each mounting's own, given the model")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default="", help="part of a clip's name")
    parser.add_argument("--rows", default="", help="parts of rows' names, with commas; the plain row is always run")
    parser.add_argument("--each", action="store_true", help="print the clips in which something went wrong")
    parser.add_argument("--most", type=float, help="exit with 1 if a row loses more points than this")
    options: Any = parser.parse_args(arguments)
    footage = footage_folder()
    truth = read_truth(footage)
    if truth is None:
        return 2
    clips = {name: clip for name, clip in truth.clips.items() if options.only in name}
    overhead = {name: clip for name, clip in clips.items() if clip.mounting == "overhead"}
    table = [(name, row, clips) for name, row in rows().items()]
    table.append(("overhead on its side", OVERHEAD_ON_ITS_SIDE, overhead))
    wanted = [part for part in options.rows.split(",") if part]
    print(f"{'row':<24}" + _columns(("true", "right", "missed", "invented", "wrong dir", "accuracy", "points")))
    plain: dict[str, Score] = {}
    worst = 0.0
    for name, row, part in table:
        if not part or (plain and wanted and not any(word in name for word in wanted)):
            continue
        whole, each = measure(row, part, footage / "video", options.detector, options.model)
        plain = plain or each
        before = sum((plain[clip] for clip in part), Score(0, 0, 0, 0))
        points = 100 * (whole.accuracy - before.accuracy)
        worst = min(worst, points)
        print(
            f"{name:<24}" + _columns((*_figures(whole), f"{100 * whole.accuracy:.1f}%", f"{points:+.1f}")), flush=True
        )
        if options.each:
            for clip, one in each.items():
                if one.matched != one.true or one.invented:
                    print(f"  {clip:<22.22}" + _columns(_figures(one)), flush=True)
    return 1 if options.most is not None and worst < -options.most else 0


def _figures(one: Score) -> tuple[int, ...]:
    return (one.true, one.matched, one.missed, one.invented, one.wrong)


def _columns(values: Sequence[object]) -> str:
    return "".join(f"{value!s:>{width}}" for value, width in zip(values, (5, 6, 7, 9, 10, 10, 8), strict=False))


if __name__ == "__main__":
    sys.exit(main())
