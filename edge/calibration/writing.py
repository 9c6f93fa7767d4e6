"""Writes a calibration into a box's configuration, and leaves everything else as somebody wrote it.

An `edge.toml` in a shop is full of comments: which door, which cable, whose phone number. So only the lines that carry
the keys in question are changed, in the section of the camera in question, and the outcome is believed only if it reads
as exactly what was wanted and otherwise as before. TOML can be written in more ways than are worth following: what is
written in another way is refused, and the fragment can be put in by hand.
"""

import copy
import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from edge.calibration.proposal import Calibration
from edge.calibration.sizes import SizeProposal
from edge.models import Line

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"(\s*)([A-Za-z0-9_-]+)\s*=")


class WriteError(ValueError):
    """The configuration can't be changed safely; the text says why and what to do."""


@dataclass(slots=True)
class _Block:
    """A section: its header's path, and all lines up to the next header."""

    path: str
    lines: list[str]


def fragment(calibration: Calibration) -> str:
    """The sections a camera needs, as one would write them by hand, with what they rest on in comments."""
    seen = ", as it seems" if calibration.watched.guessed else ""
    parts = [f'# In the [[camera]] itself: mounting = "{calibration.watched.mounting}"{seen}']
    if calibration.line is not None and calibration.evidence is not None:
        why = {
            "told": "",
            "seen": "   # most were first seen on the other side: check it",
            "guessed": "   # a guess: check it",
        }
        rows = [f"{key} = {value}" for key, value in _line_keys(calibration.line).items()]
        rows[-1] += why[calibration.inside_from]
        about = (
            f"  # {calibration.sureness}: {calibration.evidence.passed} people came clear of it, "
            f"{calibration.evidence.doubtful} did not"
        )
        parts.append("\n".join(["[[camera.line]]" + about, f'id = "{calibration.line.line_id}"', *rows]))
    if calibration.size is not None:
        size = calibration.size
        about = f"  # from {size.people} people, usually within {100 * size.spread:.0f}%"
        parts.append("\n".join(["[camera.size]" + about, *(f"{k} = {v}" for k, v in _size_keys(size).items())]))
    return "\n\n".join(parts) + "\n"


def _line_keys(line: Line) -> dict[str, str]:
    return {"start": _point(line.start), "end": _point(line.end), "inside": _point(line.inside)}


def _size_keys(size: SizeProposal) -> dict[str, str]:
    return {"adult": "[" + ", ".join(_point(pair) for pair in size.adult) + "]"}


def _point(pair: tuple[float, float]) -> str:
    return f"[{pair[0]:g}, {pair[1]:g}]"


def updated(text: str, camera_id: str, calibration: Calibration) -> str:
    """The text of an `edge.toml` with one camera's line and adult's size set.

    Args:
        text: as it is.
        camera_id: the `id` of its `[[camera]]`.
        calibration: its line's id says which line; one that is not there yet is added.

    Raises:
        WriteError: the camera is not there, or the text is written in a way that can't be changed safely.
    """
    before = _parse(text)
    cameras = before.get("camera")
    known = [each.get("id") for each in cameras if isinstance(each, dict)] if isinstance(cameras, list) else []
    if camera_id not in known:
        raise WriteError(f"there is no camera '{camera_id}' in it; there is: {', '.join(map(str, known)) or 'none'}")
    expected = _expected(before, known.index(camera_id), calibration)
    blocks = _blocks(text)
    begin, end = _camera(blocks, known.index(camera_id))
    if calibration.line is not None:
        end += _set_line(blocks, begin, end, calibration.line)
    if calibration.size is not None:
        _set_size(blocks, begin, end, calibration.size)
    edited = "\n".join(line for block in blocks for line in block.lines).rstrip("\n") + "\n"
    if _parse_or_none(edited) != expected:
        raise WriteError(
            f"the sections of camera '{camera_id}' are not written with one key on each line; put the fragment that is "
            "printed without --write in by hand"
        )
    return edited


def _expected(before: dict[str, Any], number: int, calibration: Calibration) -> dict[str, Any]:
    """What the changed text must read as."""
    after = copy.deepcopy(before)
    camera = after["camera"][number]
    if (line := calibration.line) is not None:
        wanted = tomllib.loads("\n".join(f"{key} = {value}" for key, value in _line_keys(line).items()))
        lines = camera.setdefault("line", [])
        old = next((each for each in lines if each.get("id") == line.line_id), None)
        if old is None:
            lines.append({"id": line.line_id, **wanted})
        else:
            old.pop("points", None)
            old.update(wanted)
    if (size := calibration.size) is not None:
        wanted = tomllib.loads("\n".join(f"{key} = {value}" for key, value in _size_keys(size).items()))
        camera.setdefault("size", {}).update(wanted)
    return after


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WriteError(f"it is not valid TOML: {error}") from error


def _parse_or_none(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _blocks(text: str) -> list[_Block]:
    blocks = [_Block("", [])]
    for line in text.splitlines():
        header = _HEADER.fullmatch(line)
        if header:
            blocks.append(_Block(header[1] + header[2], []))
        blocks[-1].lines.append(line)
    return blocks


def _camera(blocks: list[_Block], number: int) -> tuple[int, int]:
    """The blocks of a camera, from its header up to what is no longer its own."""
    heads = [place for place, block in enumerate(blocks) if block.path == "[[camera"]
    if number >= len(heads):
        raise WriteError("its cameras are not written as [[camera]] sections; write them so, or put the fragment in")
    begin = heads[number]
    end = begin + 1
    while end < len(blocks) and blocks[end].path.startswith(("[[camera.", "[camera.")):
        end += 1
    return begin, end


def _set_line(blocks: list[_Block], begin: int, end: int, line: Line) -> int:
    """Set a line's keys; returns how many blocks were added."""
    wanted = _line_keys(line)
    for block in blocks[begin:end]:
        if block.path == "[[camera.line" and _names(block, line.line_id):
            _set_keys(block, wanted, without=("points",))
            return 0
    indent = _indent(blocks, begin, end)
    rows = [f'{indent}id = "{line.line_id}"', *(f"{indent}{key} = {value}" for key, value in wanted.items())]
    _add(blocks, end, "[[camera.line", [f"{indent}[[camera.line]]", *rows])
    return 1


def _set_size(blocks: list[_Block], begin: int, end: int, size: SizeProposal) -> None:
    wanted = _size_keys(size)
    for block in blocks[begin:end]:
        if block.path == "[camera.size":
            _set_keys(block, wanted)
            return
    indent = _indent(blocks, begin, end)
    rows = [f"{indent}{key} = {value}" for key, value in wanted.items()]
    _add(blocks, end, "[camera.size", [f"{indent}[camera.size]", *rows])


def _add(blocks: list[_Block], place: int, path: str, lines: list[str]) -> None:
    """A new block, set off by one empty line on both sides; remarks that lead to the next section stay with it."""
    last = blocks[place - 1]
    tail: list[str] = []
    while last.lines and (not last.lines[-1].strip() or last.lines[-1].startswith("#")):
        tail.insert(0, last.lines.pop())
    while tail and not tail[0].strip():
        tail.pop(0)
    blocks.insert(place, _Block(path, ["", *lines, "", *tail]))


def _names(block: _Block, line_id: str) -> bool:
    section = _parse_or_none("\n".join(block.lines[1:]))
    return section is not None and section.get("id") == line_id


def _indent(blocks: list[_Block], begin: int, end: int) -> str:
    """As the camera's other sections are indented."""
    for block in blocks[begin + 1 : end]:
        header = block.lines[0]
        return header[: len(header) - len(header.lstrip())]
    return "  "


def _set_keys(block: _Block, wanted: dict[str, str], without: tuple[str, ...] = ()) -> None:
    """Change the lines with these keys, keeping their remarks; add those that are missing after the last key."""
    left = dict(wanted)
    result: list[str] = []
    last_key, indent = 0, ""
    for line in block.lines:
        found = _KEY.match(line)
        key = found[2] if found else None
        if found and key in left:
            remark = line[line.index("#") :] if "#" in line else ""
            line = f"{found[1]}{key} = {left.pop(key)}" + (f"  {remark}" if remark else "")
        elif key in without:
            continue
        result.append(line)
        if found:
            last_key, indent = len(result), found[1]
    result[last_key or 1 : last_key or 1] = [f"{indent}{key} = {value}" for key, value in left.items()]
    block.lines = result
