"""Two who were one box before they parted: whose way is known, and what comes loose without being anybody."""

from collections.abc import Sequence

import pytest

from edge.counter import Counter
from edge.geometry import Box
from edge.models import Crossing, Line, Mounting, Sighting
from edge.parting import way_together
from edge.tracker import Tracker
from tests.edge.test_tracker import Person, around, detections, seconds, walker

#: Seconds at which the two are one box for the last time.
PARTED = 2.0


def sightings(boxes: Sequence[Box], begin: float = 0.0) -> list[Sighting]:
    return [Sighting(begin + i / 10, box) for i, box in enumerate(boxes)]


def test_each_has_his_own_part_of_the_way_they_came_together() -> None:
    other = sightings([(0.4, 0.1 + 0.02 * i, 0.6, 0.5 + 0.02 * i) for i in range(5)]) + sightings(
        [(0.4, 0.2, 0.5, 0.6)], 0.5
    )
    way = way_together(Sighting(0.5, (0.5, 0.2, 0.6, 0.6)), other, upright=True)
    assert [each.time_s for each in way] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert [each.box for each in way] == [pytest.approx((0.5, 0.1 + 0.02 * i, 0.6, 0.5 + 0.02 * i)) for i in range(5)]


@pytest.mark.parametrize(
    ("newcomer", "left", "why"),
    [
        ((0.53, 0.2, 0.6, 0.35), (0.4, 0.2, 0.52, 0.6), "an arm is not as tall as its body"),
        ((0.55, 0.2, 0.6, 0.6), (0.4, 0.2, 0.54, 0.6), "a streak of shadow is not as wide"),
        ((0.5, 0.2, 0.6, 0.6), (0.4, 0.2, 0.58, 0.6), "who stays as wide as before was alone"),
        ((0.8, 0.2, 0.9, 0.6), (0.4, 0.2, 0.6, 0.6), "who is elsewhere was not with them"),
    ],
)
def test_what_comes_loose_is_nobody(newcomer: Box, left: Box, why: str) -> None:
    other = sightings([(0.4, 0.2, 0.6, 0.6)] * 5) + sightings([left], 0.5)
    assert way_together(Sighting(0.5, newcomer), other, upright=True) == (), why


def test_who_were_one_long_ago_are_not_held_for_one() -> None:
    other = sightings([(0.4, 0.2, 0.6, 0.6)] * 5) + sightings([(0.4, 0.2, 0.5, 0.6)] * 10, 0.5)
    assert way_together(Sighting(1.4, (0.5, 0.2, 0.6, 0.6)), other, upright=True) == ()


def counted(people: Sequence[Person], mounting: Mounting) -> list[Crossing]:
    """Crossings of a line at half the height by people who are one box until they part."""
    tracker = Tracker(aspect=1.0, mounting=mounting)
    line = Line("line", (0.0, 0.5), (1.0, 0.5), (0.5, 1.0), anchor="centre")
    counter = Counter([line], mounting=mounting, aspect=1.0)
    crossings: list[Crossing] = []
    for index, t in enumerate(seconds(4)):
        boxes = [box for person in people if (box := person(t)) is not None]
        if t <= PARTED:
            boxes = [(boxes[0][0], boxes[0][1], boxes[-1][2], boxes[-1][3])]
        crossings += counter.update(tracker.update(detections(boxes), t), index, t)
    return crossings + counter.finish()


@pytest.mark.parametrize("mounting", ["oblique", "overhead"])
def test_both_are_counted_who_part_behind_the_line(mounting: Mounting) -> None:
    pair = [walker((x, 0.25), (0.0, 0.15), 0.1, 0.25) for x in (0.45, 0.56)]
    found = counted(pair, mounting)
    assert [crossing.direction for crossing in found] == ["in", "in"]
    assert [crossing.time_s for crossing in found] == pytest.approx([1.7, 1.7], abs=0.2)


def test_a_bag_put_down_behind_the_line_is_not_counted() -> None:
    person = walker((0.45, 0.25), (0.0, 0.15), 0.1, 0.25)
    assert (
        len(counted([person, lambda t: around(0.54, 0.25 + 0.15 * min(t, PARTED) + 0.07, 0.06, 0.1)], "oblique")) == 1
    )


@pytest.mark.parametrize("mounting", ["oblique", "overhead"])
def test_the_halves_of_one_body_are_not_two_people(mounting: Mounting) -> None:
    """A belt the colour of the floor cuts someone in two who walks down the picture."""
    halves = [walker((0.5, y), (0.0, 0.15), 0.1, 0.14) for y in (0.2, 0.35)]
    assert len(counted(halves, mounting)) == 1
