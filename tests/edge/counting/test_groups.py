"""Who crossed together: buying groups, which the server divides receipts by."""

from edge.counter import CounterParams
from edge.models import Line
from tests.edge.walks import Walk, count, path

DOOR = Line("door", (0.3, 0.5), (0.7, 0.5), (0.5, 0.1))
WIDE = Line("wide", (0.0, 0.5), (1.0, 0.5), (0.5, 0.1))
BELOW, ABOVE = (0.5, 0.7), (0.5, 0.3)


def test_people_crossing_together_share_the_openers_id() -> None:
    walks = [Walk(i, path((x, 0.7), (x, 0.3)), start=i) for i, x in ((1, 0.4), (2, 0.5), (3, 0.6))]
    assert {c.group for c in count(walks, [DOOR])} == {1}


def test_those_who_follow_later_open_their_own() -> None:
    walks = [Walk(1, path(BELOW, ABOVE)), Walk(2, path(BELOW, ABOVE), start=30)]
    assert [c.group for c in count(walks, [DOOR])] == [1, 2]


def test_opposite_ways_are_never_a_group() -> None:
    walks = [Walk(1, path((0.45, 0.7), (0.45, 0.3))), Walk(2, path((0.55, 0.3), (0.55, 0.7)))]
    assert sorted(c.group for c in count(walks, [DOOR])) == [1, 2]


def test_far_apart_on_the_line_is_no_group() -> None:
    walks = [Walk(1, path((0.1, 0.7), (0.1, 0.3))), Walk(2, path((0.9, 0.7), (0.9, 0.3)))]
    assert sorted(c.group for c in count(walks, [WIDE])) == [1, 2]


def test_time_and_distance_are_settings() -> None:
    walks = [Walk(1, path((0.1, 0.7), (0.1, 0.3))), Walk(2, path((0.9, 0.7), (0.9, 0.3)), start=30)]
    loose = CounterParams(group_s=4.0, group_distance=1.0)
    assert [c.group for c in count(walks, [WIDE], params=loose)] == [1, 1]


def test_a_queue_does_not_become_one_endless_group() -> None:
    walks = [Walk(i, path(BELOW, ABOVE), start=12 * i) for i in range(1, 11)]
    groups = [c.group for c in count(walks, [DOOR])]
    assert max(groups.count(g) for g in groups) <= 4


def test_coming_back_opens_a_new_group() -> None:
    walks = [Walk(1, path((0.5, 0.58), (0.5, 0.42), (0.5, 0.58), (0.5, 0.42)))]
    assert {c.group for c in count(walks, [DOOR])} == {1}
