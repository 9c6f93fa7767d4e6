"""Cuts the moments out of a recording at which a count was wrong, drawn over, so that a person can look.

A list of frame numbers sends a person into a player to search; most never do. Each clip begins a little before the
moment and ends a little after, with everyone followed, the line, the totals, and a word on what is to be seen.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.auditing.matching import Mistake
from edge.cameras.sources import VideoSource
from edge.models import Crossing, Frame, Line, Mounting, Track, Zone
from edge.pictures.annotate import Annotator, VideoFile, clock
from edge.pictures.drawing import PAPER, Image, label, label_size

_BEFORE_S: Final = 2.0
_AFTER_S: Final = 2.0
_RED: Final = (90, 90, 255)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the pipeline made of one frame."""

    tracks: Sequence[Track]
    crossings: Sequence[Crossing]


def cut_out(
    source: VideoSource,
    seen: dict[int, Seen],
    mistakes: Sequence[Mistake],
    folder: Path,
    *,
    lines: Sequence[Line],
    zones: Sequence[Zone] = (),
    mounting: Mounting,
) -> list[Path]:
    """Write a clip for each mistake.

    Args:
        source: the recording, from its beginning.
        seen: what was made of it, by frame.
        mistakes: in any order.
        folder: where the clips go; made if it is not there.
        lines, zones, mounting: as they were counted.

    Returns:
        The clips' files, in the order of the mistakes.

    Raises:
        AnnotateError, UnwritableError, OSError: a clip can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before, after = round(_BEFORE_S * source.fps), round(_AFTER_S * source.fps)
    annotator = Annotator(lines, mounting, source.size, zones)
    paths = [folder / _name(number, mistake, source.fps) for number, mistake in enumerate(mistakes, 1)]
    open_now: dict[int, tuple[ExitStack, VideoFile]] = {}
    with ExitStack() as everything:
        for frame in source:
            here = seen.get(frame.index, Seen((), ()))
            image = annotator.draw(frame, here.tracks, here.crossings)
            for number, mistake in enumerate(mistakes):
                if not mistake.frame - before <= frame.index <= mistake.frame + after:
                    if number in open_now:
                        open_now.pop(number)[0].close()
                    continue
                if number not in open_now:
                    stack = everything.enter_context(ExitStack())
                    open_now[number] = (
                        stack,
                        stack.enter_context(VideoFile(paths[number], source.fps, annotator.size)),
                    )
                open_now[number][1].write(_told(image, mistake, frame))
    return [path for path in paths if path.exists()]


def _told(image: Image, mistake: Mistake, frame: Frame) -> Image:
    """The picture with a word at its foot on what is to be seen; it turns red at the moment itself."""
    told = image.copy()
    text = f"{mistake.kind}: {mistake.direction} over {_ascii(mistake.line_id)} at frame {mistake.frame}"
    now = abs(frame.index - mistake.frame) <= 2
    wide, _ = label_size(told, text)
    at = ((told.shape[1] - wide) // 2, told.shape[0])
    label(told, text, at, _RED if now else PAPER, (0, 0, 0) if now else _RED)
    return told


def _name(number: int, mistake: Mistake, fps: float) -> str:
    """A file's name that sorts as the mistakes do and says what is in it."""
    moment = clock(mistake.frame / fps).replace(":", "m").replace(".", "s")
    what = f"{mistake.kind.replace(' ', '-')}-{_ascii(mistake.line_id)}-{mistake.direction}"
    return f"{number:03d}-{moment}-frame{mistake.frame}-{what}.mp4"


def _ascii(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text) or "line"
