"""Compares what was counted with what a person saw: which crossing is which, and how good that makes the counter.

Totals alone flatter: a miss and an invention cancel, and two swapped directions look perfect. So crossings are paired
one by one in time, and every miss, invention and wrong direction has its frame. The trap in pairing is greed: the
nearest pair first may leave a later one without a partner that another choice would have given, and calls it a miss and
an invention; so as many as possible are paired, and of those ways the one with the least distance is taken.

Pure: no video, no file, no clock. Truth is read by `edge.auditing.truth`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import lap
import numpy as np

from edge.auditing.intervals import Interval, events, share
from edge.models import Direction

Kind = Literal["missed", "invented", "wrong direction"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("in", "out")


class Seen(Protocol):
    """A crossing as the counter gives it."""

    @property
    def frame(self) -> int:
        """Its frame's number, from 0."""

    @property
    def direction(self) -> Direction:
        """In or out."""


class Due(Seen, Protocol):
    """A crossing as a person noted it."""

    @property
    def tolerance(self) -> int:
        """Frames by which the person, or the line's exact place, may be off."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A crossing that a person saw, of which the frame is known as nearly as `tolerance` (frames)."""

    line_id: str
    direction: Direction
    frame: int
    tolerance: int


@dataclass(frozen=True, slots=True)
class Matching:
    """Who is who, as places in the two lists that were matched.

    Attributes:
        right: pairs (true, found) of one direction.
        wrong: pairs (true, found) of opposite directions.
        missed: true crossings without a partner.
        invented: found crossings without a partner.
    """

    right: tuple[tuple[int, int], ...]
    wrong: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    invented: tuple[int, ...]


def match(true: Sequence[Due], found: Sequence[Seen]) -> Matching:
    """Pair the crossings of one line: as many as can be within their tolerance, then as near in time as can be.

    Those of the same direction are paired first; what is left of both is paired across directions.
    """
    everyone, all_found = list(range(len(true))), list(range(len(found)))
    right = _pairs(true, found, everyone, all_found, same=True)
    rest_true = [t for t in everyone if t not in {pair[0] for pair in right}]
    rest_found = [f for f in all_found if f not in {pair[1] for pair in right}]
    wrong = _pairs(true, found, rest_true, rest_found, same=False)
    return Matching(
        tuple(right),
        tuple(wrong),
        tuple(t for t in rest_true if t not in {pair[0] for pair in wrong}),
        tuple(f for f in rest_found if f not in {pair[1] for pair in wrong}),
    )


def _pairs(
    true: Sequence[Due], found: Sequence[Seen], rows: list[int], columns: list[int], *, same: bool
) -> list[tuple[int, int]]:
    if not rows or not columns:
        return []
    apart = np.abs(
        np.asarray([true[t].frame for t in rows], np.float64)[:, None]
        - np.asarray([found[f].frame for f in columns], np.float64)[None, :]
    )
    tolerance = np.asarray([true[t].tolerance for t in rows], np.float64)[:, None]
    alike = np.asarray([[(true[t].direction == found[f].direction) is same for f in columns] for t in rows])
    # Leaving a pair apart costs 1; all distances together cost less, so that no pair is given up for nearness.
    cost = apart / max(float(tolerance.max()), 1.0) / (2.0 * len(rows) + 2.0)
    cost[~alike | (apart > tolerance)] = 2.0
    _, partners, _ = lap.lapjv(np.ascontiguousarray(cost), extend_cost=True, cost_limit=1.0)
    return [(rows[i], columns[int(c)]) for i, c in enumerate(partners) if c >= 0]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing the counter got wrong.

    Attributes:
        direction: the true one; of an invention the one that was counted.
        frame: of the true crossing; of an invention that of the counted one.
    """

    kind: Kind
    line_id: str
    direction: Direction
    frame: int


@dataclass(frozen=True, slots=True)
class Score:
    """How the crossings of one line and direction, or of several together, were counted.

    Attributes:
        true: crossings there were.
        right: of these, counted with the right direction.
        wrong: of these, counted the other way.
        invented: counted without there being any.
    """

    true: int
    right: int
    wrong: int
    invented: int

    @property
    def missed(self) -> int:
        """Crossings nobody counted."""
        return self.true - self.right - self.wrong

    @property
    def found(self) -> float | None:
        """Share of the true crossings that were counted rightly; None where there were none."""
        return self.right / self.true if self.true else None

    @property
    def found_interval(self) -> Interval | None:
        """95% interval of `found` (Wilson)."""
        return share(self.right, self.true)

    @property
    def accuracy(self) -> float | None:
        """What was right, as a share of what there was and what was invented; None where there was neither."""
        due = self.true + self.invented
        return self.right / due if due else None

    @property
    def accuracy_interval(self) -> Interval | None:
        """95% interval of `accuracy`: Wilson's, as each crossing, true or invented, is either right or not."""
        return share(self.right, self.true + self.invented)

    @property
    def invented_interval(self) -> Interval | None:
        """95% interval of inventions per true crossing, inventions being taken as Poisson; None without true ones."""
        if not self.true:
            return None
        low, high = events(self.invented)
        return low / self.true, high / self.true

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.true + other.true,
            self.right + other.right,
            self.wrong + other.wrong,
            self.invented + other.invented,
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """A count compared crossing by crossing.

    Attributes:
        scores: by line and direction.
        mistakes: in the order of their frames.
    """

    scores: dict[tuple[str, Direction], Score]
    mistakes: tuple[Mistake, ...]

    @property
    def pooled(self) -> Score:
        """All lines and directions together."""
        return sum(self.scores.values(), Score(0, 0, 0, 0))


class Counted(Seen, Protocol):
    """A counted crossing that knows its line."""

    @property
    def line_id(self) -> str:
        """The line's name."""


def audit(true: Iterable[Noted], found: Iterable[Counted], lines: Sequence[str]) -> Audit:
    """Compare crossings one by one.

    Args:
        true: what a person noted.
        found: what was counted.
        lines: names of the lines that were watched by both; crossings of others are left out.
    """
    noted, counted = list(true), list(found)
    scores: dict[tuple[str, Direction], Score] = {}
    mistakes: list[Mistake] = []
    for line in lines:
        here = [each for each in noted if each.line_id == line]
        seen = [each for each in counted if each.line_id == line]
        matching = match(here, seen)
        for direction in DIRECTIONS:
            scores[line, direction] = Score(
                true=sum(each.direction == direction for each in here),
                right=sum(here[t].direction == direction for t, _ in matching.right),
                wrong=sum(here[t].direction == direction for t, _ in matching.wrong),
                invented=sum(seen[f].direction == direction for f in matching.invented),
            )
        mistakes += [Mistake("missed", line, here[t].direction, here[t].frame) for t in matching.missed]
        mistakes += [Mistake("wrong direction", line, here[t].direction, here[t].frame) for t, _ in matching.wrong]
        mistakes += [Mistake("invented", line, seen[f].direction, seen[f].frame) for f in matching.invented]
    return Audit(scores, tuple(sorted(mistakes, key=lambda each: (each.frame, each.line_id, each.direction))))


@dataclass(frozen=True, slots=True)
class TotalScore:
    """Two totals beside each other, of which nothing is known but their difference.

    A miss and an invention cancel in a total, so the difference is the least number of errors there can have been, and
    the accuracy made of it the best there can be. The interval takes the errors that show as Poisson, all of one kind;
    what cancelled is not in it.
    """

    true: int
    counted: int

    @property
    def accuracy(self) -> float | None:
        """1 - |counted - true| / true, at least 0; None where nobody crossed."""
        return max(0.0, 1 - abs(self.counted - self.true) / self.true) if self.true else None

    @property
    def accuracy_interval(self) -> Interval | None:
        """95% interval: the difference taken as a Poisson number of errors (Garwood's interval of their mean)."""
        if not self.true:
            return None
        low, high = events(abs(self.counted - self.true))
        return max(0.0, 1 - high / self.true), max(0.0, 1 - low / self.true)
