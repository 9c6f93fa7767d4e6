"""What is known of someone beside where they walked: staff, child, with a cart.

A tag is a guess about a person, so each rests on many sightings, and where there are too few none is given: a child is
told by the median of its height, taken anew only after some steps, because a customer on a chair for ten minutes is not
a child. Nothing here knows a face. Tags are read when a crossing is given out and never taken back, and who was staff
once stays it for as long as they are followed: a rule of crossings within a time is fulfilled at one moment, and is not
to let them be a customer again after their break.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from edge.counting.zones import Region
from edge.geometry import AT_BORDER, Box
from edge.models import AdultSize, Mounting, StaffRule, Tag, Tagging, Zone

#: Sightings at different places before anything is said of someone's height.
_LEAST_HEIGHTS = 5
#: How far someone must have walked since their height was last taken, in heights of an adult there.
_STEP = 0.1
#: Of the newest sightings, how many must have shown a cart, of at least how many.
_CART_SHARE, _LEAST_CART = 0.5, 8
#: A cart no farther from someone than this, in widths of their body, may be theirs.
_CART_REACH = 0.5
#: Between two sightings farther apart in time nobody knows where they were (seconds).
_UNSEEN_S = 2.0


@dataclass(slots=True)
class Marks:
    """What is remembered of one person.

    Attributes:
        began_in: zones in which they were first seen.
        stayed: seconds in each zone of kind staff.
        heights: their height as shares of an adult's.
        measured_at: where their feet were when their height was last taken, in frame heights.
        carts: whether each of the newest sightings showed a cart with them.
        crossings: when they crossed each line.
        staff: whether a rule has held of them.
        last: their newest sighting: when, and the staff zones they stood in.
    """

    began_in: frozenset[str]
    stayed: dict[str, float] = field(default_factory=dict)
    heights: deque[float] = field(default_factory=lambda: deque(maxlen=99))
    measured_at: tuple[float, float] | None = None
    carts: deque[bool] = field(default_factory=lambda: deque(maxlen=25))
    crossings: dict[str, list[float]] = field(default_factory=dict)
    staff: bool = False
    last: tuple[float, tuple[str, ...]] | None = None


class Tagger:
    """Decides tags by a camera's zones and rules.

    Args:
        zones: all of the camera's.
        tagging: rules and heights.
        mounting: gives anchors; from straight above nobody's height is seen, so that no child is told there.
        aspect: the frame's width over its height.
    """

    def __init__(self, zones: Iterable[Zone], tagging: Tagging, mounting: Mounting, aspect: float) -> None:
        regions = [Region(zone, mounting) for zone in zones]
        self._staffed = [region for region in regions if region.zone.kind == "staff"]
        self._rules = tagging.rules
        asked = {rule.began_in for rule in tagging.rules}
        self._beginnings = [region for region in regions if region.zone.zone_id in asked]
        self._longest = max((rule.within_s for rule in tagging.rules if rule.crossings_at_least), default=0.0)
        size = tagging.size if mounting == "oblique" else None
        self._size = size if size is not None and size.child_below > 0 else None
        self._aspect = aspect

    def begin(self, box: Box) -> Marks:
        """Someone was first seen at a box (fractions of the frame)."""
        marks = Marks(frozenset(region.zone.zone_id for region in self._beginnings if region.holds(box)))
        self._judge(marks)
        return marks

    def saw(self, marks: Marks, time_s: float, box: Box) -> None:
        """Someone is at a box (fractions of the frame) now."""
        if not self._staffed:
            return
        here = tuple(region.zone.zone_id for region in self._staffed if region.holds(box))
        if marks.last is not None and time_s - marks.last[0] <= _UNSEEN_S:
            for zone_id in here:
                if zone_id in marks.last[1]:
                    marks.stayed[zone_id] = marks.stayed.get(zone_id, 0.0) + time_s - marks.last[0]
        marks.last = (time_s, here)

    def compare(self, people: Sequence[tuple[Marks, Box]], carts: Sequence[Box]) -> None:
        """Take heights and carts of everyone seen in one frame.

        Args:
            people: those seen, with their boxes in fractions of the frame.
            carts: boxes of carts.
        """
        if self._size is not None:
            boxes = [box for _, box in people]
            for marks, box in people:
                if _whole(box) and sum(_touch(box, other, 0.0) for other in boxes) == 1:
                    self._measure(marks, box, self._size)
        if carts or any(marks.carts for marks, _ in people):
            owners = {_owner(cart, people) for cart in carts}
            for number, (marks, _) in enumerate(people):
                marks.carts.append(number in owners)

    def crossed(self, marks: Marks, line_id: str, time_s: float) -> None:
        """Someone crossed a line at a time, in whichever direction."""
        if self._longest:
            times = marks.crossings.setdefault(line_id, [])
            times.append(time_s)
            marks.crossings[line_id] = [each for each in times if time_s - each <= self._longest]
            self._judge(marks)

    def tags(self, marks: Marks) -> tuple[Tag, ...]:
        """What is known of someone by now, in the order of the alphabet."""
        found: list[Tag] = []
        if len(marks.carts) >= _LEAST_CART and sum(marks.carts) >= _CART_SHARE * len(marks.carts):
            found.append("cart")
        if (
            self._size is not None
            and len(marks.heights) >= _LEAST_HEIGHTS
            and median(marks.heights) < self._size.child_below
        ):
            found.append("child")
        stays = any(marks.stayed.get(each.zone.zone_id, 0.0) >= each.zone.stay_s for each in self._staffed)
        if stays or marks.staff:
            found.append("staff")
        return tuple(found)

    def _judge(self, marks: Marks) -> None:
        marks.staff = marks.staff or any(_holds(rule, marks) for rule in self._rules)

    def _measure(self, marks: Marks, box: Box, size: AdultSize) -> None:
        adult = adult_height(size, box[3])
        x, y = (box[0] + box[2]) / 2 * self._aspect, box[3]
        if marks.measured_at is not None:
            dx, dy = x - marks.measured_at[0], y - marks.measured_at[1]
            if dx * dx + dy * dy < (_STEP * adult) ** 2:
                return
        marks.measured_at = (x, y)
        marks.heights.append((box[3] - box[1]) / adult)


def adult_height(size: AdultSize, feet: float) -> float:
    """Height of an adult's box whose feet are at `feet` (both fractions of the frame's height), never below 0.01."""
    depths = sorted(size.adult)
    below = next((i for i, (y, _) in enumerate(depths[1:], 1) if feet <= y), len(depths) - 1)
    (y1, h1), (y2, h2) = depths[below - 1], depths[below]
    return max(h1 + (feet - y1) / (y2 - y1) * (h2 - h1), 0.01)


def _holds(rule: StaffRule, marks: Marks) -> bool:
    if rule.began_in is not None and rule.began_in not in marks.began_in:
        return False
    if rule.crossings_at_least == 0:
        return True
    lines: Mapping[str, list[float]] = marks.crossings
    chosen = lines.values() if rule.line_id is None else [lines.get(rule.line_id, [])]
    return any(_most_within(times, rule.within_s) >= rule.crossings_at_least for times in chosen)


def _most_within(times: Sequence[float], within_s: float) -> int:
    """How many of the times, up to the newest, lie within `within_s` of it."""
    ordered = sorted(times)
    return sum(ordered[-1] - each <= within_s for each in ordered) if ordered else 0


def _whole(box: Box) -> bool:
    """Whether the picture cuts nothing off."""
    return box[0] > AT_BORDER and box[1] > AT_BORDER and box[2] < 1 - AT_BORDER and box[3] < 1 - AT_BORDER


def _touch(first: Box, second: Box, gap: float) -> bool:
    return (
        first[0] - gap <= second[2] and second[0] <= first[2] + gap and first[1] <= second[3] and second[1] <= first[3]
    )


def _owner(cart: Box, people: Sequence[tuple[Marks, Box]]) -> int | None:
    """Number of the one who pushes a cart: of those it touches or nearly touches, the one nearest to it."""
    middle, foot = (cart[0] + cart[2]) / 2, cart[3]
    best, owner = float("inf"), None
    for number, (_, box) in enumerate(people):
        if _touch(box, cart, _CART_REACH * (box[2] - box[0])):
            off = abs((box[0] + box[2]) / 2 - middle) + abs(box[3] - foot)
            if off < best:
                best, owner = off, number
    return owner
