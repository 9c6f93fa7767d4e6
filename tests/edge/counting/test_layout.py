"""What people draw: every mistake is refused by name, with what to do about it."""

from dataclasses import replace

import pytest

from edge.counter import Counter
from edge.geometry import LineError
from edge.models import AdultSize, Line, StaffRule, Tagging, Zone

DOOR = Line("door", (0.3, 0.5), (0.7, 0.5), (0.5, 0.1))
WIDE = Line("wide", (0.0, 0.5), (1.0, 0.5), (0.5, 0.1))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (replace(DOOR, end=DOOR.start), ["'door'", "no length", "two different ends"]),
        (replace(DOOR, inside=(0.5, 0.5)), ["'door'", "lies on the line", "well within"]),
        (replace(DOOR, inside=(0.9, 0.5)), ["'door'", "lies on the line"]),
        (replace(DOOR, start=(320.0, 0.5)), ["'door'", "start has x = 320", "0 to 1"]),
        (replace(DOOR, end=(0.5, -0.1)), ["'door'", "end has y = -0.1"]),
        (replace(DOOR, inside=(0.5, float("nan"))), ["'door'", "inside has y = nan"]),
    ],
)
def test_bad_line_is_refused_by_name_with_what_to_do(line: Line, words: list[str]) -> None:
    with pytest.raises(LineError) as refused:
        Counter([WIDE, line], mounting="overhead", aspect=16 / 9)
    for word in words:
        assert word in str(refused.value)


SQUARE = Zone("till", ((0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.4)))


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        (replace(DOOR, bends=((0.3, 0.5),)), "points[1]", "repeats the point before it"),
        (replace(DOOR, bends=((0.9, 0.5),)), "points[1]", "fold back"),
        (replace(DOOR, bends=((0.6, 0.2), (0.3, 0.3))), "points[3]", "pieces 1 and 3 meet"),
        (replace(DOOR, bends=((0.5, 0.7), (0.6, 0.5), (0.4, 0.5))), "points[4]", "cross itself"),
        (replace(DOOR, bends=((1.5, 0.7),)), "points[1]", "x = 1.5"),
        (replace(DOOR, bends=((0.5, 0.7),), inside=(0.4, 0.6)), "inside", "on the line itself"),
        (replace(DOOR, end=DOOR.start, bends=((0.5, 0.5),)), "points", "three corners"),
    ],
)
def test_a_bent_line_that_cannot_be_meant_is_refused(line: Line, key: str, words: str) -> None:
    with pytest.raises(LineError, match="'door'") as refused:
        Counter([line], mounting="overhead", aspect=1.0)
    assert refused.value.key == key
    assert words in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("points", "key", "words"),
    [
        ((), "points", "0 corners"),
        (((0.2, 0.2), (0.4, 0.2)), "points", "three or more"),
        (((0.2, 0.2), (0.4, 0.2), (0.2, 0.2)), "points", "2 corners"),
        (((0.2, 0.2), (0.4, 0.4), (0.6, 0.6)), "points[2]", "fold back"),
        (((0.2, 0.2), (0.4, 0.2), (0.4, 0.2005)), "points[2]", "repeats"),
        (((0.2, 0.2), (0.22, 0.2), (0.22, 0.22)), "points", "enclose nothing"),
        (((0.2, 0.2), (0.4, 0.4), (0.4, 0.2), (0.2, 0.4)), "points[3]", "cross itself"),
        (((0.2, 0.2), (0.4, 0.2), (0.4, 240.0)), "points[2]", "outside the picture"),
    ],
)
def test_a_zone_that_cannot_be_meant_is_refused(points: tuple[tuple[float, float], ...], key: str, words: str) -> None:
    with pytest.raises(LineError, match="'till'") as refused:
        Counter([DOOR], mounting="overhead", aspect=1.0, zones=[replace(SQUARE, points=points)])
    assert refused.value.key == key
    assert words in str(refused.value)


@pytest.mark.parametrize("last", [(), ((0.2, 0.2),)])
def test_the_first_corner_of_a_zone_may_be_repeated(last: tuple[tuple[float, float], ...]) -> None:
    Counter([], mounting="overhead", aspect=1.0, zones=[replace(SQUARE, points=(*SQUARE.points, *last))])


@pytest.mark.parametrize("zones", [[replace(SQUARE, zone_id="door")], [SQUARE, SQUARE]])
def test_an_id_used_twice_is_refused(zones: list[Zone]) -> None:
    with pytest.raises(LineError, match="used twice"):
        Counter([DOOR], mounting="overhead", aspect=1.0, zones=zones)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (StaffRule(), "both left out"),
        (StaffRule(crossings_at_least=3, line_id="back"), "names 'back'"),
        (StaffRule(crossings_at_least=3, line_id="till"), "names 'till'"),
        (StaffRule(began_in="office"), "names 'office'"),
        (StaffRule(began_in="mirror"), "names 'mirror'"),
    ],
)
def test_a_rule_that_nobody_or_everybody_fulfils_is_refused(rule: StaffRule, words: str) -> None:
    zones = [replace(SQUARE, kind="staff"), replace(SQUARE, zone_id="mirror", kind="ignore")]
    with pytest.raises(LineError, match="tag rule 1") as refused:
        Counter([DOOR], mounting="overhead", aspect=1.0, zones=zones, tagging=Tagging((rule,)))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("adult", "words"),
    [
        (((0.5, 0.3),), "two depths"),
        (((0.5, 0.3), (0.5, 0.4)), "two heights at y = 0.5"),
        (((0.5, 0.3), (0.9, 0.0)), "a height of 0"),
    ],
)
def test_heights_that_do_not_say_how_they_change_are_refused(
    adult: tuple[tuple[float, float], ...], words: str
) -> None:
    with pytest.raises(LineError) as refused:
        Counter([DOOR], mounting="oblique", aspect=1.0, tagging=Tagging(size=AdultSize(adult)))
    assert words in str(refused.value)
