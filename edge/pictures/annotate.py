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

from edge.geometry import anchor_point, default_anchor
from edge.models import Crossing, Frame, Line, Mounting, Point, Track, Zone
from edge.opencv import prepare_opencv
from edge.partfile import PartFile
from edge.pictures.drawing import (
    HUES,
    INK,
    PAPER,
    Colour,
    Image,
    draw_line,
    draw_zone,
    enlarged,
    fitting,
    gap,
    ink_on,
    label,
    label_size,
    pixel,
    readable_size,
    shown,
    stroke,
    thickness,
)

_PATH = 40
#: Where someone was not seen for longer than this (seconds), their path is drawn thin: it is a guess there.
_UNSEEN_S = 0.5


class AnnotateError(Exception):
    """The annotated video cannot be written; the text says where and why."""


class Annotator:
    """Draws tracks, lines, zones and running totals.

    Args:
        lines: the lines, in fractions of the frame.
        mounting: gives the anchor of lines that name none.
        size: of the frames, width and height in pixels.
        zones: parts of the picture; those that count have totals like a line.

    Attributes:
        size: of the pictures drawn, width and height in pixels.
    """

    def __init__(
        self, lines: Sequence[Line], mounting: Mounting, size: tuple[int, int], zones: Sequence[Zone] = ()
    ) -> None:
        self.size = readable_size(size)
        self._lines, self._zones = list(lines), list(zones)
        anchors = {line.anchor or default_anchor(mounting) for line in lines}
        self._anchor = anchors.pop() if len(anchors) == 1 else default_anchor(mounting)
        self._paths: dict[int, deque[tuple[float, Point]]] = {}
        counted = [line.line_id for line in lines] + [zone.zone_id for zone in zones if zone.kind == "count"]
        self._names = {name: shown(name, number) for number, name in enumerate(counted, 1)}
        self._totals = {name: {"in": 0, "out": 0} for name in counted}
        self._flashes: dict[str, float] = {}

    def draw(self, frame: Frame, tracks: Sequence[Track], crossings: Sequence[Crossing]) -> Image:
        """The frame with everything drawn on a copy of it, of `size`.

        Args:
            frame: the picture.
            tracks: everyone followed; unconfirmed ones are drawn thin and grey.
            crossings: those that became certain with this frame.
        """
        image = enlarged(frame.image)
        for crossing in crossings:
            self._totals[crossing.line_id][crossing.direction] += 1
            self._flashes[crossing.line_id] = frame.time_s + 0.5
        for number, zone in enumerate(self._zones, 1):
            lit = self._lit(zone.zone_id, frame)
            draw_zone(image, zone, name=shown(zone.zone_id, number, "zone"), lit=lit)
        for line in self._lines:
            name = self._names[line.line_id] if len(self._names) > 1 else ""
            draw_line(image, line, name=name, lit=self._lit(line.line_id, frame))
        for track in tracks:
            self._draw_track(image, track, frame.time_s)
        for track in tracks:  # over everyone's boxes: a neighbour's side through a number makes it another
            if track.confirmed:
                colour = HUES[track.track_id % len(HUES)]
                label(image, str(track.track_id), pixel(track.box[:2], image), colour, ink_on(colour))
        here = {track.track_id for track in tracks}
        self._paths = {key: path for key, path in self._paths.items() if key in here}
        first = self._draw_totals(image)
        moment = f"frame {frame.index}   {clock(frame.time_s)}"
        wide = label_size(image, moment)[0]
        beside = first + wide <= image.shape[1]
        label(image, moment, (image.shape[1] - wide, 0 if beside else image.shape[0]), PAPER, INK)
        return image

    def _lit(self, name: str, frame: Frame) -> bool:
        """Whether someone has just crossed there."""
        return frame.time_s <= self._flashes.get(name, -1.0)

    def _draw_track(self, image: Image, track: Track, now: float) -> None:
        top_left = pixel((track.box[0], track.box[1]), image)
        bottom_right = pixel((track.box[2], track.box[3]), image)
        if not track.confirmed:
            cv2.rectangle(image, top_left, bottom_right, (150, 150, 150), 1)
            return
        colour = HUES[track.track_id % len(HUES)]
        path = self._paths.setdefault(track.track_id, deque(maxlen=_PATH))
        if track.seen:
            path.append((now, anchor_point(track.box, self._anchor)))
        thick = thickness(image)
        _draw_path(image, path, colour, thick)
        if path:
            cv2.circle(image, pixel(path[-1][1], image), thick + 2, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.rectangle(image, top_left, bottom_right, colour, thick if track.seen else 1)

    def _draw_totals(self, image: Image) -> int:
        """Draw them; returns the width of the first row."""
        row = 0  # a label is as high as any other
        first = 0
        for number, (name, total) in enumerate(self._totals.items(), 1):
            text = fitting(image, self._names[name], f"   in {total['in']}   out {total['out']}")
            row = label(image, text, (0, row * number), PAPER, INK)
            first = first or label_size(image, text)[0]
        return first


def _draw_path(image: Image, path: Sequence[tuple[float, Point]], colour: Colour, thick: int) -> None:
    """Where someone was seen, piece by piece."""
    piece: list[tuple[int, int]] = []
    before = 0.0
    for moment, point in path:
        at = pixel(point, image)
        if piece and moment - before > _UNSEEN_S:
            gap(image, piece[-1], at, colour)
            stroke(image, piece, colour, thick)
            piece = []
        piece.append(at)
        before = moment
    if len(piece) > 1:
        stroke(image, piece, colour, thick)


def clock(time_s: float) -> str:
    """Seconds as a player shows them, with tenths: 1:02.5, or 1:00:02.5 from an hour on."""
    tenths = round(time_s * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


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
