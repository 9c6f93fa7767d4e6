"""A calibration in the words of a box's configuration: as sections to put in by hand, or set in an `edge.toml`.

What is printed and what is set come from the same numbers, so that whoever puts the sections in by hand gets what
`--write` would have given. How a file with somebody's remarks is changed without losing any is `edge.tomledit`'s.
"""

from edge.calibration.proposal import Calibration
from edge.calibration.sizes import SizeProposal
from edge.models import Line, Point
from edge.tomledit import Change, LayoutError, Value, edit, rows


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
        about = (
            f"  # {calibration.sureness}: {calibration.evidence.passed} people came clear of it, "
            f"{calibration.evidence.doubtful} did not"
        )
        written = rows({"id": calibration.line.line_id, **_line_keys(calibration.line)})
        written[-1] += why[calibration.inside_from]
        parts.append("\n".join(["[[camera.line]]" + about, *written]))
    if calibration.size is not None:
        size = calibration.size
        about = f"  # from {size.people} people, usually within {100 * size.spread:.0f}%"
        parts.append("\n".join(["[camera.size]" + about, *rows(_size_keys(size))]))
    return "\n\n".join(parts) + "\n"


def updated(text: str, camera_id: str, calibration: Calibration) -> str:
    """The text of an `edge.toml` with one camera's line and adult's size set.

    Args:
        text: as it is.
        camera_id: the `id` of its `[[camera]]`.
        calibration: its line's id says which line; one that is not there yet is added.

    Raises:
        EditError: the camera is not there, or the text is written in a way that can't be changed safely.
    """
    camera = ("camera", camera_id)
    changes = []
    if (line := calibration.line) is not None:
        changes.append(Change((camera, ("line", line.line_id)), _line_keys(line), without=("points", "anchor")))
    if calibration.size is not None:
        changes.append(Change((camera, "size"), _size_keys(calibration.size)))
    try:
        return edit(text, *changes)
    except LayoutError as error:
        raise LayoutError(f"{error}; put the fragment that is printed without --write in by hand") from error


def _line_keys(line: Line) -> dict[str, Value]:
    """What was proposed, with the anchor it was proposed for where that is not the mounting's own."""
    keys: dict[str, Value] = {"start": _point(line.start), "end": _point(line.end), "inside": _point(line.inside)}
    return keys if line.anchor is None else {**keys, "anchor": line.anchor}


def _size_keys(size: SizeProposal) -> dict[str, Value]:
    return {"adult": [_point(pair) for pair in size.adult]}


def _point(point: Point) -> tuple[float, float]:
    """With as many digits as a person would care to read."""
    x, y = point
    return float(f"{x:g}"), float(f"{y:g}")
