"""Reads what a person counted: a list noted while watching, a JSON file with frames, or nothing but totals.

Whoever counts by hand writes as comes easiest, in a spreadsheet or with a pencil first, so separators, a heading and
times as a player shows them are all taken. What is not understood is refused by its line: a row left out silently would
be booked as the counter's invention, and a bare number among times, taken for the frame it may not be, as two mistakes.
"""

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec

from edge.auditing.matching import Noted
from edge.models import Anchor, Direction, Line, Mounting, Point

_DIRECTIONS: Final[dict[str, Direction]] = {
    **dict.fromkeys(("in", "i", "entry", "enter", "进"), "in"),
    **dict.fromkeys(("out", "o", "exit", "leave", "出"), "out"),
}
_HEADINGS: Final = {"direction", "way", "方向"}
#: What a bare number is under such a heading; under another, or none, it is a frame where no row has a time.
_FRAMES: Final = {"frame", "frames", "frame number", "帧"}
_IN_SECONDS: Final = {"s", "sec", "second", "seconds", "time_s", "time (s)", "秒"}
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:\.\d+)?)")
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*s(?:ec)?")
_FRAME: Final = re.compile(r"(\d+)\s*f")
_BARE: Final = re.compile(r"\d+(?:\.\d+)?")
_TOTALS: Final = re.compile(r"(?:(?P<line>[^=:,;\s]+)\s*:\s*)?(?P<way>in|out)\s*=\s*(?P<count>\d+)", re.IGNORECASE)


class TruthError(Exception):
    """A hand count can't be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a person counted.

    Attributes:
        crossings: one by one; None where only totals are known.
        totals: by line and direction, where only they are known. The line is "" where none was named.
        lines: where they lie, if the file says so.
        mounting: how the camera hangs, if the file says so.
    """

    crossings: tuple[Noted, ...] | None
    totals: dict[tuple[str, Direction], int] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    mounting: Mounting | None = None

    @property
    def names(self) -> list[str]:
        """Lines it speaks of, in order, "" where none was named."""
        named = [line.line_id for line in self.lines]
        named += [each.line_id for each in self.crossings or ()] + [line for line, _ in self.totals]
        return list(dict.fromkeys(named))


def read_truth(given: str, *, video: str, fps: float, tolerance: int) -> Truth:
    """Read a hand count.

    Args:
        given: a file's path (`.json`, or rows of `frame or time, line, direction`), or totals such as `in=12,out=9` or
            `door:in=12,door:out=9`.
        video: whose count it is, to find it in a file of many.
        fps: frames a second, to turn times into frames.
        tolerance: frames by which a note may be off where the file doesn't say.

    Raises:
        TruthError: what is wrong, where, and what to do.
    """
    path = Path(given)
    # Totals of many lines are longer than a path may be.
    if not os.path.isfile(given):  # noqa: PTH113 - unlike Path.is_file, it answers for any text
        if "=" in given:
            return Truth(None, _totals(given, given))
        why = f"{given} is a directory" if os.path.isdir(given) else f"there is no file '{given}'"  # noqa: PTH112
        raise TruthError(f"{why}; name a hand count, or write totals such as in=12,out=9")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TruthError(f"{path} can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TruthError(
            f"{path} is not UTF-8 text, so it is no hand count; save a spreadsheet as CSV (UTF-8)"
        ) from error
    if path.suffix.lower() == ".json":
        return _json(path, text, video, tolerance)
    if _TOTALS.match(text.strip()):
        return Truth(None, _totals(text, str(path)))
    return Truth(tuple(_rows(path, text, fps, tolerance)))


def _totals(text: str, where: str) -> dict[tuple[str, Direction], int]:
    rest = re.sub(r"[\s,;]+", "", _TOTALS.sub("", text))
    if rest:
        raise TruthError(
            f"{where}: '{rest}' is not understood; write totals such as in=12,out=9 or door:in=12,door:out=9"
        )
    totals: dict[tuple[str, Direction], int] = {}
    for found in _TOTALS.finditer(text):
        key = (found["line"] or "", _DIRECTIONS[found["way"].lower()])
        if key in totals:
            raise TruthError(f"{where}: {found['way']} is given twice")
        totals[key] = int(found["count"])
    for line in {line for line, _ in totals}:
        for direction in _DIRECTIONS.values():
            totals.setdefault((line, direction), 0)
    return totals


def _rows(path: Path, text: str, fps: float, tolerance: int) -> list[Noted]:
    """Rows of time, line and direction; the line may be left out where there is one only."""
    first = text.lstrip().partition("\n")[0]
    separator = max(";\t,", key=first.count)
    found: list[Noted] = []
    clock = _Clock(path, fps)
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if not found and cells[-1].lower() in _HEADINGS:
            clock.heading = cells[0]
            continue
        where = f"{path}, line {number}"
        if len(cells) not in (2, 3):
            raise TruthError(f"{where}: has {len(cells)} values; a row is time, line, direction, or time, direction")
        direction = _DIRECTIONS.get(cells[-1].lower())
        if direction is None:
            raise TruthError(f"{where}: the direction is '{cells[-1]}'; it has to be in or out")
        line = cells[1] if len(cells) == 3 else ""
        found.append(Noted(line, direction, clock.frame(cells[0], number), tolerance))
    if not found:
        raise TruthError(
            f"{path} holds no crossing; write rows such as 1:23,door,in, or give totals such as in=0,out=0"
        )
    return found


class _Clock:
    """Turns what stands in a list's first column into frames, and refuses a list whose numbers may mean two things.

    Args:
        path: of the list, for messages.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.heading = ""
        self._path, self._fps = path, fps
        self._bare: tuple[int, str] | None = None
        self._timed: tuple[int, str] | None = None

    def frame(self, text: str, row: int) -> int:
        """A frame's number: itself (`83`, `83f`), or by a time such as `83.5s`, `1:23.5` or `0:01:23`.

        Raises:
            TruthError: it is no moment, or a bare number beside times.
        """
        where, heading = f"{self._path}, line {row}", self.heading.lower()
        if named := _FRAME.fullmatch(text):
            return int(named[1])
        if _BARE.fullmatch(text) and heading in _IN_SECONDS:
            return round(float(text) * self._fps)
        if text.isdecimal():
            if heading and heading not in _FRAMES:
                raise TruthError(f"{where}: '{text}' under '{self.heading}' may be a frame or seconds; {_either(text)}")
            self._bare = self._bare or (row, text)
            self._only_one_kind()
            return int(text)
        if clock := _CLOCK.fullmatch(text):
            seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
        elif plain := _SECONDS.fullmatch(text):
            seconds = float(plain[1])
        else:
            raise TruthError(f"{where}: '{text}' is no moment; write a frame's number, or a time such as 1:23 or 83.5s")
        self._timed = self._timed or (row, text)
        self._only_one_kind()
        return round(seconds * self._fps)

    def _only_one_kind(self) -> None:
        if self._bare is not None and self._timed is not None:
            (row, bare), (other, time) = self._bare, self._timed
            raise TruthError(
                f"{self._path}, line {row}: '{bare}' is a bare number, but line {other} has a time ({time}): it may be "
                f"a frame or seconds; {_either(bare)}"
            )


def _either(number: str) -> str:
    return f"write {number}f for the frame, or {number}s for seconds"


class _Crossing(msgspec.Struct, frozen=True):
    frame: Annotated[int, msgspec.Meta(ge=0)]
    direction: Direction
    tolerance: int | None = None
    line: str = ""


class _Line(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to", "ins": "in"}):
    name: str
    start: Point | None = None
    end: Point | None = None
    inside: Point | None = None
    anchor: Anchor | None = None
    crossings: tuple[_Crossing, ...] | None = None
    ins: int | None = None
    out: int | None = None


class _Clip(msgspec.Struct, frozen=True):
    lines: tuple[_Line, ...] = ()
    crossings: tuple[_Crossing, ...] | None = None
    mounting: Mounting | None = None


class _File(msgspec.Struct, frozen=True):
    clips: dict[str, _Clip] | None = None


def _json(path: Path, text: str, video: str, tolerance: int) -> Truth:
    """A file of many clips (`clips`, by file name), or of one (`lines`); or what `doorline count --json` wrote."""
    try:
        many = msgspec.json.decode(text, type=_File).clips
        clip = msgspec.json.decode(text, type=_Clip) if many is None else None
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise TruthError(f"{path}: {error}") from error
    if many is not None:
        clip = many.get(Path(video).name)
        if clip is None:
            raise TruthError(
                f"{path} knows nothing of {Path(video).name}; it has {', '.join(sorted(many)) or 'nothing'}"
            )
    assert clip is not None  # noqa: S101 - for the type checker
    lines = tuple(
        Line(each.name, each.start, each.end, each.inside, anchor=each.anchor)
        for each in clip.lines
        if each.start is not None and each.end is not None and each.inside is not None
    )
    listed: Sequence[tuple[str, Sequence[_Crossing]]] = [
        (each.name, each.crossings) for each in clip.lines if each.crossings is not None
    ]
    if clip.crossings is not None:
        listed = [(each.line, (each,)) for each in clip.crossings]
    elif not listed:
        totals: dict[tuple[str, Direction], int] = {}
        for each in clip.lines:
            if each.ins is not None and each.out is not None:
                totals |= {(each.name, "in"): each.ins, (each.name, "out"): each.out}
        if not totals:
            raise TruthError(f"{path} has neither crossings nor totals (`in` and `out`) of a line")
        return Truth(None, totals, lines, clip.mounting)
    crossings = [
        Noted(name, each.direction, each.frame, tolerance if each.tolerance is None else each.tolerance)
        for name, some in listed
        for each in some
    ]
    return Truth(tuple(crossings), {}, lines, clip.mounting)
