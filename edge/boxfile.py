"""Detections from a file, for counting what another detector has already found.

The rows are MOT challenge detections (`frame,-1,x,y,w,h,score`, pixels). They come from other people's tools, so each
is checked and a bad one is refused by line number: a row quietly skipped is a person quietly not counted.
"""

import csv
import gzip
import io
import math
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge.models import Detections

#: About four days at 30 frames a second; a frame number above it is a mistake, and would be counted towards for hours.
_LAST_FRAME = 10_000_000
_FIELDS = ("frame", "id", "x", "y", "width", "height", "score")


class BoxFileError(Exception):
    """A file of detections that cannot be used; the text gives the line and what is wrong with it."""


def read_boxes(path: Path, size: tuple[int, int]) -> dict[int, Detections]:
    """Read a file of detections.

    Args:
        path: comma-separated rows, gzip-compressed if the name ends in `.gz`; further columns are ignored.
        size: the picture's width and height in pixels.

    Returns:
        Detections by frame number, in fractions of the frame; frames without any are absent.

    Raises:
        BoxFileError: the file cannot be read, has no rows, or a row is malformed.
    """
    by_frame: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    for number, row in _rows(path):
        if not row or not "".join(row).strip():
            continue
        try:
            frame, values = _parse(row)
        except ValueError as error:
            raise BoxFileError(f"{path}, line {number}: {error}") from error
        by_frame[frame].append(values)
    if not by_frame:
        raise BoxFileError(f"{path} holds no detections; rows are frame,-1,x,y,w,h,score in pixels")
    return {frame: _detections(rows, size) for frame, rows in sorted(by_frame.items())}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BoxFileError(f"There is no file {path}. Check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BoxFileError(f"{path} is not a whole gzip file: {error}.") from error
    except UnicodeDecodeError as error:
        raise BoxFileError(f"{path} is not text: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise BoxFileError(f"{path} can't be read: {error.strerror or error}.") from error
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BoxFileError(f"{path}, line {reader.line_num}: {error}") from error


def _parse(row: list[str]) -> tuple[int, tuple[float, ...]]:
    """Frame number and (x, y, w, h, score); ValueError says what is wrong."""
    if len(row) < len(_FIELDS):
        raise ValueError(f"{len(row)} values where 7 are due: frame,-1,x,y,w,h,score")
    numbers: list[float] = []
    for name, cell in zip(_FIELDS, row, strict=False):
        try:
            value = float(cell)
        except ValueError:
            raise ValueError(f"{name} is {cell.strip()!r}, which is not a number") from None
        if not math.isfinite(value):
            raise ValueError(f"{name} is {cell.strip()}, which is not a finite number")
        numbers.append(value)
    frame, _, _, _, width, height, score = numbers
    if frame != int(frame) or not 0 <= frame <= _LAST_FRAME:
        raise ValueError(f"frame is {row[0].strip()}; frames are whole numbers from 0 to {_LAST_FRAME}")
    if width <= 0 or height <= 0:
        raise ValueError(f"the box is {width:g} wide and {height:g} high; both must be above 0")
    if not 0 <= score <= 1:
        raise ValueError(f"score is {score:g}; scores go from 0 to 1")
    return int(frame), tuple(numbers[2:])


def _detections(rows: list[tuple[float, ...]], size: tuple[int, int]) -> Detections:
    values = np.asarray(rows, np.float64)
    corners = np.concatenate([values[:, :2], values[:, :2] + values[:, 2:4]], axis=1)
    fractions = np.clip(corners / np.asarray([*size, *size], np.float64), 0.0, 1.0)
    inside = (fractions[:, 2] > fractions[:, 0]) & (fractions[:, 3] > fractions[:, 1])
    return Detections(fractions[inside].astype(np.float32), values[inside, 4].astype(np.float32))
