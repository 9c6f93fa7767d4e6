"""One person at one border: on which side they were last clearly seen, and whether they have come through.

Jitter on a line is what ruins counts, so a band around the border must be left on the far side, seen more than once,
before anything counts. The step between two sightings is cut with the border as drawn, however long the step, so that
fast and diagonal walkers are not missed and whoever walks round an end is not counted. And a body must have come as a
whole: of someone who sits half hidden, one side of the box jumps by half its width, and its middle with it.
"""

from dataclasses import dataclass, field

from edge.counting.borders import Border
from edge.models import Point

#: To be at the very edge of the band must not be decided by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Cut:
    """A step through a border.

    Attributes:
        frame: number of the frame nearest to it.
        time_s: of that frame.
        at: where along the border, frame heights from its first end.
        way: +1 inward, -1 outward.
    """

    frame: int
    time_s: float
    at: float
    way: int


@dataclass(slots=True)
class Passage:
    """What one person has done so far at one border.

    Attributes:
        side: the side they were last clearly seen on, +1 inside, -1 outside, 0 neither yet.
        last: when their newest sighting was and where its anchor, in frame heights.
        through: steps inward less steps outward since they were last clear of the border.
        cuts: the newest of those steps each way, by way.
        beyond: sightings clear of the band on the other side since then.
        sides: depths of the body's left and right side when it was last clear of the border, frame heights.
    """

    side: int = 0
    last: tuple[float, Point] | None = None
    through: int = 0
    cuts: dict[int, tuple[float, float]] = field(default_factory=dict)
    beyond: int = 0
    sides: tuple[float, float] = (0.0, 0.0)
    _arrived: tuple[float, float] = (0.0, 0.0)

    def step(
        self, border: Border, time_s: float, point: Point, *, band: float, reach: tuple[float, float], advance: float
    ) -> None:
        """Take in where someone is now.

        Args:
            border: always the same.
            time_s: when, not before the last step.
            point: where their anchor is, frame heights.
            band: half-width of the band for this body, frame heights.
            reach: how much deeper the body's left and right side are than its anchor, frame heights; 0 where the line
                runs level.
            advance: how far both sides must have come for the body to be on the other side, frame heights.
        """
        depth = border.depth(point)
        point = border.beside(point, depth)
        if self.last is not None:
            since, before = self.last
            for hit in border.hits(before, point):
                self.through += hit.way
                self.cuts[hit.way] = (since + hit.fraction * (time_s - since), hit.at)
        self.last = (time_s, point)
        if abs(depth) <= band + _ROUNDING:
            return
        side = 1 if depth > 0 else -1
        left, right = depth + reach[0], depth + reach[1]
        if self.side in (0, side):
            self._clear(side)
            self.sides = (left, right)
        elif min(side * (left - self.sides[0]), side * (right - self.sides[1])) >= advance - _ROUNDING:
            self.beyond += 1
            self._arrived = (left, right)

    def ends_beyond(self, border: Border) -> bool:
        """Whether they were last seen on the far side, after they had been clear of the band there."""
        return self.beyond > 0 and self.last is not None and border.depth(self.last[1]) * -self.side > 0

    def settle(self) -> tuple[int, float, float] | None:
        """They are on the other side now: the way (+1 inward), moment and place of the crossing, if it was one.

        It was if the way there led through the border; round its end it leads through nothing.
        """
        way, through, cut = -self.side, self.through, self.cuts.get(-self.side)
        self._clear(way)
        self.sides = self._arrived
        return (way, *cut) if through == way and cut is not None else None

    def _clear(self, side: int) -> None:
        self.side, self.beyond, self.through = side, 0, 0
        if self.cuts:
            self.cuts.clear()
