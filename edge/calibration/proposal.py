"""A calibration's result: line, inside, size, and how sure each is, in words a person can act on.

A proposal that hides how little it rests on is worse than none: it is believed. So each part says how many people it
rests on, and the line is tried on the very ways it was drawn from, by the counter that will use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from edge.auditing.intervals import Interval, share
from edge.calibration.lines import LineProposal, as_line, inside_of, propose_line
from edge.calibration.sizes import SizeProposal, propose_size
from edge.calibration.walks import Walk
from edge.calibration.watching import Watched
from edge.counter import Counter
from edge.geometry import in_heights
from edge.models import Anchor, Direction, Line, Mounting, Point, Track

Sureness = Literal["well founded", "fair", "weak"]
InsideFrom = Literal["told", "seen", "guessed"]

#: From how many people on a line is fair, or well founded, and how many of them may be doubtful.
_FAIR: Final = (10, 0.25)
_WELL: Final = (25, 0.1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is proposed for a camera.

    Attributes:
        watched: what it rests on.
        line: the line with its inside, None where too few people passed any.
        evidence: what speaks for the line.
        inside_from: whether its inside was told, seen (most were first seen outside) or merely guessed.
        counts: what the line counts on the ways seen, by direction.
        size: an adult's size, None where too few people were seen whole.
    """

    watched: Watched
    line: Line | None
    evidence: LineProposal | None
    inside_from: InsideFrom
    counts: dict[Direction, int]
    size: SizeProposal | None

    @property
    def sureness(self) -> Sureness:
        """How well the line is founded."""
        if self.evidence is None:
            return "weak"
        passed, doubtful = self.evidence.passed, self.evidence.doubtful
        for word, (least, most) in (("well founded", _WELL), ("fair", _FAIR)):
            if passed >= least and doubtful <= most * (passed + doubtful):
                return "well founded" if word == "well founded" else "fair"
        return "weak"

    @property
    def clean(self) -> Interval | None:
        """95% interval of the share of people coming to the line who pass it cleanly (Wilson)."""
        if self.evidence is None:
            return None
        return share(self.evidence.passed, self.evidence.passed + self.evidence.doubtful)


def calibrate(
    watched: Watched,
    *,
    inside: Point | None = None,
    anchor: Anchor | None = None,
    line_id: str = "line",
    least: int = 5,
) -> Calibration:
    """Propose a line and a size from what was seen.

    Args:
        watched: ways of people, and the scene.
        inside: a point within the shop, fractions of the frame; None to guess.
        anchor: the point of a body that was followed, None for the mounting's default.
        line_id: what the line is to be called.
        least: how many people a proposal must rest on.
    """
    aspect, mounting = watched.aspect, watched.mounting
    evidence = propose_line(watched.walks, aspect=aspect, overhead=mounting == "overhead", inside=inside, least=least)
    size = propose_size(watched.walks, mounting=mounting, aspect=aspect, least=least)
    if evidence is None:
        return Calibration(watched, None, None, "guessed", {}, size)
    where, known = inside_of(evidence, aspect=aspect)
    line = replace(as_line(evidence, inside or where, line_id), anchor=anchor)
    inside_from: InsideFrom = "told" if inside else "seen" if known else "guessed"
    return Calibration(watched, line, evidence, inside_from, count(line, watched.walks, mounting, aspect), size)


def count(line: Line, walks: Sequence[Walk], mounting: Mounting, aspect: float) -> dict[Direction, int]:
    """What a line counts on ways, by direction."""
    found: dict[Direction, int] = {"in": 0, "out": 0}
    for recording in sorted({walk.recording for walk in walks}):
        counter = Counter([line], mounting=mounting, aspect=aspect)
        moments: dict[float, list[Track]] = {}
        for walk in walks:
            if walk.recording == recording:
                for time_s, (x1, y1, x2, y2) in zip(walk.times, walk.boxes, strict=True):
                    box = (float(x1), float(y1), float(x2), float(y2))
                    moments.setdefault(float(time_s), []).append(Track(walk.track_id, box, 1.0, True, True))
        crossings = [
            crossing
            for index, time_s in enumerate(sorted(moments))
            for crossing in counter.update(moments[time_s], index, time_s)
        ]
        for crossing in [*crossings, *counter.finish()]:
            found[crossing.direction] += 1
    return found


def off_line(line: Line, point: Point, aspect: float) -> float:
    """Distance in frame heights of a point (fractions of the frame) from the infinite line through a line's ends."""
    start, end, at = (np.asarray(in_heights(each, aspect)) for each in (line.start, line.end, point))
    way, away = end - start, at - start
    return float(abs(way[0] * away[1] - way[1] * away[0]) / max(float(np.hypot(*way)), 1e-9))
