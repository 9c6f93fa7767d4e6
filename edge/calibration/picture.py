"""The calibration on one picture: where people walked, the line, which side is inside, how large people are.

A list of coordinates convinces nobody on a ladder; a picture that shows the line across the door does, and shows a
wrong one at once. What each mark means stands below the picture, not on it, so that nothing of the scene is hidden.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge.calibration.proposal import Calibration
from edge.calibration.sizes import SizeProposal
from edge.calibration.walks import Walk
from edge.models import Mounting
from edge.pictures.drawing import INK, INWARD, LINE, PAPER, Colour, Image, draw_line, enlarged, pixel, stroke, thickness

_PASSED: Final[Colour] = (250, 190, 110)
_OTHER: Final[Colour] = (190, 190, 190)
_BEGIN: Final[Colour] = (120, 230, 120)
_END: Final[Colour] = (80, 80, 240)
_SIZE: Final[Colour] = (230, 120, 220)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
#: How much of the scene's light is left below the marks.
_SCENE: Final = 0.72
_DEPTHS: Final = 3


def draw(calibration: Calibration, title: str = "") -> Image:
    """The picture, BGR uint8: the scene with what was found, and a legend below.

    Args:
        calibration: what to show; without a line the ways alone.
        title: the first line below the picture; letters other than Latin ones are left out.
    """
    watched = calibration.watched
    image = (enlarged(watched.backdrop) * _SCENE).astype(np.uint8)
    passed = _passing(calibration)
    for walk in watched.walks:
        _draw_walk(image, walk, watched.aspect, _PASSED if walk in passed else _OTHER)
    for walk in watched.walks:
        _draw_ends(image, walk, watched.aspect)
    if calibration.size is not None:
        _draw_sizes(image, calibration.size, watched.mounting, watched.walks, watched.aspect)
    if calibration.line is not None:
        word = "inside" if calibration.inside_from == "told" else "inside?"
        draw_line(image, calibration.line, inward=word)
    return np.vstack([image, _legend(image.shape[1], _entries(calibration, title))])


def _passing(calibration: Calibration) -> list[Walk]:
    """Those whose way leads over the line."""
    line, aspect = calibration.line, calibration.watched.aspect
    if line is None:
        return []
    (x1, y1), (x2, y2) = line.start, line.end
    start, end = np.asarray([x1 * aspect, y1]), np.asarray([x2 * aspect, y2])
    way = end - start
    length = float(np.hypot(*way))

    def passes(walk: Walk) -> bool:
        away = walk.points - start
        depth = (way[0] * away[:, 1] - way[1] * away[:, 0]) / length
        along = (away @ way) / length**2
        near = (along >= -0.05) & (along <= 1.05)
        return bool((depth[near] > 0).any() and (depth[near] < 0).any())

    return [walk for walk in calibration.watched.walks if passes(walk)]


def _draw_walk(image: Image, walk: Walk, aspect: float, colour: Colour) -> None:
    points = [pixel((float(x) / aspect, float(y)), image) for x, y in walk.points]
    way = [np.asarray(points, np.int32).reshape(-1, 1, 2)]
    cv2.polylines(
        image, way, isClosed=False, color=colour, thickness=max(1, thickness(image) - 1), lineType=cv2.LINE_AA
    )


def _draw_ends(image: Image, walk: Walk, aspect: float) -> None:
    """Where someone was first seen, a dot, and last, a ring."""
    for (x, y), mark in ((walk.points[0], _begin), (walk.points[-1], _end)):
        mark(image, pixel((float(x) / aspect, float(y)), image))


def _begin(image: Image, at: tuple[int, int]) -> None:
    cv2.circle(image, at, thickness(image) + 3, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, at, thickness(image) + 2, _BEGIN, cv2.FILLED, cv2.LINE_AA)


def _end(image: Image, at: tuple[int, int]) -> None:
    cv2.circle(image, at, thickness(image) + 3, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.circle(image, at, thickness(image) + 3, _END, 2, cv2.LINE_AA)


def _draw_sizes(image: Image, size: SizeProposal, mounting: Mounting, walks: list[Walk], aspect: float) -> None:
    """An adult's outline at three depths, there where people walked."""
    height = image.shape[0]
    points = np.concatenate([walk.points for walk in walks])
    (low, _), (high, _) = size.adult
    beside = high - low < 0.5 * size.at(high)  # one behind the other they would hide each other
    for number in range(_DEPTHS):
        y = low + (high - low) * number / (_DEPTHS - 1)
        near = points[np.abs(points[:, 1] - y) < 0.08]
        x = float(np.median(near[:, 0] if len(near) else points[:, 0])) / aspect
        if beside and mounting == "oblique":
            x = min(max(x + (number - 1) * 0.35 * size.at(high) / aspect, 0.1), 0.9)
        foot, high_px = pixel((x, y), image), size.at(y) * height
        if mounting == "overhead":
            cv2.circle(image, foot, round(high_px / 2), (20, 20, 20), thickness(image) + 2, cv2.LINE_AA)
            cv2.circle(image, foot, round(high_px / 2), _SIZE, thickness(image), cv2.LINE_AA)
        else:
            _person(image, foot, high_px)


def _person(image: Image, foot: tuple[int, int], high: float) -> None:
    """A standing figure's outline: head and body, feet at `foot`, `high` pixels in all."""
    x, y = foot
    head = high / 15
    top, shoulder = y - high, y - high * 0.83
    centre = (x, round(top + head))
    cv2.circle(image, centre, max(2, round(head)), (20, 20, 20), thickness(image) + 2, cv2.LINE_AA)
    cv2.circle(image, centre, max(2, round(head)), _SIZE, thickness(image), cv2.LINE_AA)
    wide, slim = high * 0.13, high * 0.07
    body = [(x - wide, shoulder), (x + wide, shoulder), (x + slim, y), (x - slim, y)]
    stroke(image, [(round(px), round(py)) for px, py in body], _SIZE, thickness(image), closed=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the legend: what draws its symbol into a cell (given its centre and half its size), and the words."""

    symbol: Callable[[Image, int, int, int], None] | None
    text: str


def _entries(calibration: Calibration, title: str) -> list[_Entry]:
    watched, size = calibration.watched, calibration.size
    seems = ", as it seems" if watched.guessed else ""
    head = title.encode("ascii", "ignore").decode()
    rows = [
        _Entry(
            None,
            f"{head}    {len(watched.walks)} people in {watched.seconds:.0f} s    {watched.mounting}{seems}".strip(),
        )
    ]
    if calibration.line is not None and calibration.evidence is not None:
        evidence, counts = calibration.evidence, calibration.counts
        rows.append(
            _Entry(
                lambda image, x, y, r: stroke(image, [(x - r, y), (x + r, y)], LINE, 3),
                f"line ({SURENESS_WORDS[calibration.sureness]}): {evidence.passed} came clear of it on both sides, "
                f"{evidence.doubtful} did not; counts {counts['in']} in, {counts['out']} out here",
            )
        )
        check = "" if calibration.inside_from == "told" else "; check it"
        rows.append(_Entry(_inward, f"the inside: {INSIDE_WORDS[calibration.inside_from]}{check}"))
        rows.append(_Entry(_way(_PASSED), "ways of people over the line"))
    rows.append(_Entry(_way(_OTHER), "other ways"))
    rows.append(_Entry(lambda image, x, y, _: _begin(image, (x, y)), "first seen"))
    rows.append(_Entry(lambda image, x, y, _: _end(image, (x, y)), "last seen"))
    if size is not None:
        what = "an adult from above" if watched.mounting == "overhead" else "an adult, standing there"
        rows.append(
            _Entry(
                _adult_from_above if watched.mounting == "overhead" else _adult,
                f"{what}: from {size.people} people, usually within {100 * size.spread:.0f}%"
                + (
                    ""
                    if size.by_depth or watched.mounting == "overhead"
                    else "; too little depth seen: same everywhere"
                ),
            )
        )
    return rows


#: How well a line is founded, in words.
SURENESS_WORDS: Final = {"well founded": "well founded", "fair": "fair", "weak": "weak, let it watch longer"}
#: How sure the inside is, in words.
INSIDE_WORDS: Final = {
    "told": "as you said",
    "seen": "most were first seen on the other side",
    "guessed": "a guess only",
}


def _inward(image: Image, x: int, y: int, r: int) -> None:
    cv2.arrowedLine(image, (x, y + r), (x, y - r), INWARD, 3, cv2.LINE_AA, tipLength=0.5)


def _adult(image: Image, x: int, y: int, r: int) -> None:
    cv2.rectangle(image, (x - r // 3, y - r), (x + r // 3, y + r), _SIZE, 2)


def _adult_from_above(image: Image, x: int, y: int, r: int) -> None:
    cv2.circle(image, (x, y), r, _SIZE, 2, cv2.LINE_AA)


def _way(colour: Colour) -> Callable[[Image, int, int, int], None]:
    def symbol(image: Image, x: int, y: int, r: int) -> None:
        curve = [(x - r + step, round(y + r / 2 * math.sin(step / r * 2))) for step in range(0, 2 * r, 2)]
        cv2.polylines(image, [np.asarray(curve, np.int32)], False, colour, 2, cv2.LINE_AA)

    return symbol


def _legend(width: int, entries: list[_Entry]) -> Image:
    """Rows of symbol and words on dark paper, as wide as the picture; words too long for it are broken."""
    scale = 0.55 if width < 1000 else 0.7
    row, cell = round(44 * scale), round(70 * scale)
    lines: list[tuple[_Entry | None, str]] = []
    for entry in entries:
        left = 12 if entry.symbol is None else cell
        for number, part in enumerate(_broken(entry.text, width - left - 8, scale)):
            lines.append((entry if number == 0 else None, part))
    panel: Image = np.full((row * len(lines) + 12, width, 3), PAPER, np.uint8)
    left = 12
    for number, (heading, text) in enumerate(lines):
        middle = 6 + row * number + row // 2
        if heading is not None:
            left = 12 if heading.symbol is None else cell
            if heading.symbol is not None:
                heading.symbol(panel, cell // 2, middle, round(row * 0.36))
        cv2.putText(panel, text, (left, middle + round(8 * scale)), _FONT, scale, INK, 1, cv2.LINE_AA)
    return panel


def _broken(text: str, width: int, scale: float) -> list[str]:
    """Words in lines no wider than `width` pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cv2.getTextSize(longer, _FONT, scale, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
