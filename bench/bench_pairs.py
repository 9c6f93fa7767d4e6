"""Two people for one: real clips in which everyone has a companion, beside them or behind, overlapping or not.

Motion finds shapes, and two people who touch make one shape; recordings that show this with a hand count are few. So
they are made from recordings of people alone: the same people at the same moment some pixels to the side, or as they
were some moments before, pasted over the picture where they differ from the empty scene and somebody is known to be:
what differs elsewhere is another light, and walls pasted over people make ghosts of them. Everyone's crossings then
are there twice, the companion's where and when his path says.

Run `python -m bench.bench_pairs` from the repository's root. `right` counts a crossing found at its time and direction;
a line that the companion's path meets at another place (to the side of a slanted or short line) is left out.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.bench_accuracy import Clip, Score, TrueCrossing, TrueLine, read_truth, run, score
from bench.footage import footage_folder
from edge.camera import open_source
from edge.detectors.motion import MotionDetector, filled
from edge.detectors.pixels import above, box_of, brightest
from edge.models import Frame
from edge.pipeline import make_pipeline

Image = NDArray[np.uint8]
_SAMPLES: Final = 41
_DIFFERS: Final = 22
_MARGIN: Final = 16  # pixels around people that are looked at with them: more than a blur and a closing reach
_AROUND: Final = 5  # pixels of motion's small picture: what it sees is widened by two on each side


@dataclass(frozen=True, slots=True)
class Company:
    """Where everyone's companion is.

    Attributes:
        clip, line: of whom.
        aside: pixels to the right of them.
        behind: frames later.
    """

    clip: str
    line: str
    aside: int = 0
    behind: int = 0

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.clip[:16]} {self.line} {self.aside} px aside, {self.behind} frames behind"


#: A person of `one-by-one` is about 170 pixels wide, one of the shop front 22, one of the corridor 45, one from above
#: 120: each pair overlaps by half and by less, or follows at arm's length. Companions are on the side where people
#: leave the picture: whoever is cut off by its border would be half a body in the middle of it on the other.
COMPANY: Final = (
    Company("one-by-one.mp4", "table", aside=80),
    Company("one-by-one.mp4", "table", aside=110),
    Company("one-by-one.mp4", "table", aside=170),
    Company("one-by-one.mp4", "right", behind=8),
    Company("one-by-one.mp4", "table", behind=10),
    Company("OneLeaveShopReenter1front.mpg", "door", aside=18),
    Company("OneLeaveShopReenter1front.mpg", "door", aside=30),
    Company("OneLeaveShopReenter1front.mpg", "door", behind=14),
    Company("TwoLeaveShop2cor.mpg", "door", behind=20),
    Company("overhead-bus.avi", "middle", aside=140),
    Company("overhead-bus.avi", "middle", behind=12),
)


@cache
def empty_scene(path: str) -> Image:
    """The scene without people: the median over the whole clip, in which nobody stays for half of it."""
    kept: list[Image] = []
    with open_source(path) as source:
        every = max(1, (source.frame_count or 800) // _SAMPLES)
        kept.extend(frame.image.copy() for frame in source if frame.index % every == 0)
    return np.asarray(np.median(np.stack(kept), axis=0), np.uint8)


@cache
def people(path: str, clip: Clip) -> list[Image]:
    """For each frame of a clip as it is, 255 where motion sees somebody whom it follows; shape (h, w), made small."""
    kept: list[Image] = []
    detector = MotionDetector(mounting=clip.mounting)
    width, height = clip.size
    lines = [line.line() for line in clip.lines]
    pipeline = make_pipeline(detector, lines, mounting=clip.mounting, aspect=width / height)
    with open_source(path) as source:
        for frame in source:
            boxes = [t.box for t in pipeline.step(frame).tracks if t.confirmed]
            shapes = cv2.dilate(detector.foreground, np.ones((_AROUND, _AROUND), np.uint8))
            _, labels = cv2.connectedComponents(shapes)
            theirs = np.zeros(labels.max() + 1, np.uint8)
            theirs[labels[filled(np.array(boxes).reshape(-1, 4), shapes.shape) > 0]] = 1
            kept.append(theirs[labels] * shapes)
    return kept


def with_company(frames: Iterable[Frame], empty: Image, somebody: Iterable[Image], company: Company) -> Iterator[Frame]:
    """Each frame with everyone's companion in front of them.

    Args:
        frames: of a clip as it is.
        empty: its scene without people.
        somebody: 255 where people are in each frame, of any size.
        company: where the companions are.
    """
    past: deque[tuple[Image, Image]] = deque(maxlen=company.behind + 1)
    for frame, small in zip(frames, somebody, strict=True):
        size = (frame.image.shape[1], frame.image.shape[0])
        seen = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        past.append((frame.image.copy(), seen))
        if len(past) <= company.behind:
            yield frame
            continue
        yield Frame(frame.index, frame.time_s, pasted(frame.image, empty, *past[0], company.aside))


def pasted(image: Image, empty: Image, other: Image, where: Image, aside: int) -> Image:
    """A picture with what of another lies in a mask and differs from the empty scene, some pixels to the right."""
    rows, columns = part = box_of(where, margin=_MARGIN)
    if columns.stop <= _MARGIN:  # nobody
        return image
    apart = brightest(np.asarray(cv2.absdiff(other[part], empty[part]), np.uint8))
    differs = above(np.asarray(cv2.medianBlur(apart, 5), np.uint8), _DIFFERS)
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    mask = np.asarray(cv2.bitwise_and(closed, where[part]), np.uint8)
    left = columns.start + aside
    width = min(mask.shape[1], image.shape[1] - left)
    if width <= 0:
        return image
    image = image.copy()
    there = np.ascontiguousarray(image[rows, left : left + width])
    image[rows, left : left + width] = cv2.copyTo(
        np.ascontiguousarray(other[part][:, :width]), np.ascontiguousarray(mask[:, :width]), there
    )
    return image


def truth_of(line: TrueLine, company: Company) -> TrueLine:
    """Everyone's crossings and their companions'."""
    twice = [
        *line.crossings,
        *(TrueCrossing(c.frame + company.behind, c.direction, c.tolerance) for c in line.crossings),
    ]
    return msgspec.structs.replace(line, crossings=tuple(sorted(twice, key=lambda c: c.frame)))


def measure(clip: Clip, company: Company) -> Score:
    """Count one clip with company."""
    path = footage_folder() / "video" / company.clip
    empty = empty_scene(str(path))
    lines = tuple(truth_of(line, company) for line in clip.lines if line.name == company.line)
    crossings, _, _ = run(
        path,
        msgspec.structs.replace(clip, lines=lines),
        "motion",
        None,
        lambda frames: with_company(frames, empty, people(str(path), clip), company),
    )
    return score(lines, crossings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a row's name")
    options: Any = parser.parse_args(arguments)
    truth = read_truth(footage_folder())
    if truth is None:
        return 2
    print(f"{'pair':<58}{'true':>6}{'right':>6}{'missed':>7}{'invented':>9}{'wrong dir':>10}")
    whole = Score(0, 0, 0, 0)
    for company in COMPANY:
        if options.only in company.name:
            one = measure(truth.clips[company.clip], company)
            whole += one
            print(f"{company.name:<58}{_figures(one)}", flush=True)
    print(f"{'all':<58}{_figures(whole)}")
    return 0


def _figures(one: Score) -> str:
    return f"{one.true:>6}{one.matched:>6}{one.missed:>7}{one.invented:>9}{one.wrong:>10}"


if __name__ == "__main__":
    sys.exit(main())
