"""Draws what was counted onto the picture, so that a person can check a count by looking.

A total alone can be right by two errors that cancel; a picture with ids, paths, lines and running totals shows which
person was counted where. Text is OpenCV's own (Latin letters only), so a line named otherwise is shown by its place.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geometry import Segment, anchor_point, default_anchor
from edge.models import Crossing, Frame, Line, Mounting, Track
from edge.opencv import prepare_opencv
from edge.partfile import PartFile

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

_LINE: Colour = (60, 200, 255)
_INWARD: Colour = (90, 220, 90)
_PAPER: Colour = (32, 32, 32)
_INK: Colour = (245, 245, 245)
#: Distinct hues (BGR) that repeat; blue-green-red order.
_HUES: tuple[Colour, ...] = (
    (230, 159, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
    (0, 159, 230),
)
_PATH = 40
#: A picture lower than this is enlarged by a whole factor to about this height: words on it could not be read.
_HEIGHT = 600


class AnnotateError(Exception):
    """The annotated video cannot be written; the text says where and why."""


class Annotator:
    """Draws tracks, lines and running totals.

    Args:
        lines: the lines, in fractions of the frame.
        mounting: gives the anchor of lines that name none.
        size: of the frames, width and height in pixels.

    Attributes:
        size: of the pictures drawn, width and height in pixels.
    """

    def __init__(self, lines: Sequence[Line], mounting: Mounting, size: tuple[int, int]) -> None:
        factor = max(1, round(_HEIGHT / size[1]))
        self.size = (size[0] * factor, size[1] * factor)
        self._lines = list(lines)
        anchors = {line.anchor or default_anchor(mounting) for line in lines}
        self._anchor = anchors.pop() if len(anchors) == 1 else default_anchor(mounting)
        self._paths: dict[int, deque[tuple[float, float]]] = {}
        self._totals = {line.line_id: {"in": 0, "out": 0} for line in lines}
        self._flashes: dict[str, float] = {}

    def draw(self, frame: Frame, tracks: Sequence[Track], crossings: Sequence[Crossing]) -> Image:
        """The frame with everything drawn on a copy of it, of `size`.

        Args:
            frame: the picture.
            tracks: everyone followed; unconfirmed ones are drawn thin and grey.
            crossings: those that became certain with this frame.
        """
        image: Image = np.array(cv2.resize(frame.image, self.size, interpolation=cv2.INTER_LINEAR), np.uint8)
        for crossing in crossings:
            self._totals[crossing.line_id][crossing.direction] += 1
            self._flashes[crossing.line_id] = frame.time_s + 0.5
        for line in self._lines:
            self._draw_line(image, line, lit=frame.time_s <= self._flashes.get(line.line_id, -1.0))
        for track in tracks:
            self._draw_track(image, track)
        here = {track.track_id for track in tracks}
        self._paths = {key: path for key, path in self._paths.items() if key in here}
        self._draw_totals(image)
        return image

    def _draw_line(self, image: Image, line: Line, *, lit: bool) -> None:
        height, width = image.shape[:2]
        start, end = _pixels(line.start, image), _pixels(line.end, image)
        thickness = _thickness(image) + (2 if lit else 0)
        cv2.line(image, start, end, _INWARD if lit else _LINE, thickness, cv2.LINE_AA)
        segment = Segment.of(line, width / height)
        middle = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
        reach = 0.07 * height
        tip = (round(middle[0] + segment.inward[0] * reach), round(middle[1] + segment.inward[1] * reach))
        cv2.arrowedLine(image, middle, tip, _INWARD, thickness, cv2.LINE_AA, tipLength=0.4)
        beyond = (middle[0] + 1.6 * segment.inward[0] * reach, middle[1] + 1.6 * segment.inward[1] * reach)
        half = 0.025 * height  # of the label, so that it is centred there
        _label(image, "in", (round(beyond[0] - half), round(beyond[1] + half)), _PAPER, _INWARD)
        if len(self._lines) > 1:
            at = (round(0.9 * start[0] + 0.1 * end[0]), round(0.9 * start[1] + 0.1 * end[1]))
            _label(image, self._name(line), at, _PAPER, _LINE)

    def _draw_track(self, image: Image, track: Track) -> None:
        top_left = _pixels((track.box[0], track.box[1]), image)
        bottom_right = _pixels((track.box[2], track.box[3]), image)
        if not track.confirmed:
            cv2.rectangle(image, top_left, bottom_right, (150, 150, 150), 1)
            return
        colour = _HUES[track.track_id % len(_HUES)]
        path = self._paths.setdefault(track.track_id, deque(maxlen=_PATH))
        if track.seen:
            path.append(anchor_point(track.box, self._anchor))
        points = np.asarray([_pixels(point, image) for point in path], np.int32).reshape(-1, 1, 2)
        thickness = _thickness(image)
        cv2.polylines(image, [points], isClosed=False, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
        cv2.rectangle(image, top_left, bottom_right, colour, thickness if track.seen else 1)
        _label(image, str(track.track_id), top_left, colour, (0, 0, 0))

    def _draw_totals(self, image: Image) -> None:
        row = 0  # a label is as high as any other
        for number, line in enumerate(self._lines, 1):
            total = self._totals[line.line_id]
            text = f"{self._name(line)}   in {total['in']}   out {total['out']}"
            row = _label(image, text, (0, row * number), _PAPER, _INK)

    def _name(self, line: Line) -> str:
        return line.line_id if line.line_id.isascii() else f"line {self._lines.index(line) + 1}"


class VideoFile:
    """An mp4 file being written, as a context manager.

    Args:
        path: where to; its directory must exist. The file appears there when it is complete.
        fps: frames a second.
        size: width and height in pixels.

    Raises:
        AnnotateError: it is no kind of file that can be written.
        UnwritableError: nothing can be written there.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._path, self._frames = path, 0
        self._file = PartFile(path)
        prepare_opencv()
        self._writer = cv2.VideoWriter(str(self._file.writing), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        if not self._writer.isOpened():
            self._file.drop()
            raise AnnotateError(
                f"{path} can't be written as a video. Give a name ending in .mp4 in a directory you own."
            )

    def write(self, image: Image) -> None:
        """Add a picture of the size given at the start."""
        self._writer.write(image)
        self._frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is not None:
            self._file.drop()
        elif self._complete():
            self._file.keep()
        else:
            self._file.drop()
            raise AnnotateError(f"{self._path} can't be written completely; is the disk full?")

    def _complete(self) -> bool:
        """Whether all pictures are in the file: a full disk is not told to whoever writes."""
        capture = cv2.VideoCapture(str(self._file.writing), cv2.CAP_FFMPEG)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        return round(count) == self._frames


def _pixels(point: tuple[float, float], image: Image) -> tuple[int, int]:
    height, width = image.shape[:2]
    return (round(point[0] * (width - 1)), round(point[1] * (height - 1)))


def _thickness(image: Image) -> int:
    return max(2, round(float(image.shape[0]) / 300))


def _label(image: Image, text: str, at: tuple[int, int], paper: Colour, ink: Colour) -> int:
    """Text on a filled box whose lower left corner is `at`, moved into the picture; returns the box's height."""
    scale = max(0.5, image.shape[0] / 900)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    pad = round(6 * scale)
    wide, high = width + 2 * pad, int(height + below + 2 * pad)
    left = min(max(at[0], 0), max(image.shape[1] - wide, 0))
    foot = max(at[1], high)
    cv2.rectangle(image, (left, foot - high), (left + wide, foot), paper, cv2.FILLED)
    cv2.putText(image, text, (left + pad, foot - pad - below), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return high
