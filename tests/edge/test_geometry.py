"""Sides, distances and meetings of lines, measured in frame heights."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.counting.borders import Border
from edge.counting.layout import check_line
from edge.geometry import LineError, anchor_point, default_anchor, in_heights
from edge.models import Anchor, Line, Point

LINE = Line("sill", (0.25, 0.5), (0.75, 0.5), (0.5, 0.2))

fraction = st.floats(0, 1)
point = st.tuples(fraction, fraction)


def test_distances_are_frame_heights_on_both_axes() -> None:
    across = Border.of(LINE, 2.0)
    upright = Border.of(Line("jamb", (0.5, 0.25), (0.5, 0.75), (0.9, 0.5)), 2.0)
    assert across.length == pytest.approx(1.0)
    assert upright.length == pytest.approx(0.5)
    assert across.depth(in_heights((0.5, 0.4), 2.0)) == pytest.approx(0.1)
    assert upright.depth(in_heights((0.6, 0.5), 2.0)) == pytest.approx(0.2)


@pytest.mark.parametrize("line", [LINE, replace(LINE, start=LINE.end, end=LINE.start)])
def test_inside_is_positive_whichever_end_comes_first(line: Line) -> None:
    segment = Border.of(line, 1.5)
    assert segment.depth(in_heights(line.inside, 1.5)) > 0
    assert segment.depth(in_heights((0.5, 0.8), 1.5)) < 0


def test_a_hit_says_where_on_the_step_and_where_on_the_line() -> None:
    (hit,) = Border.of(LINE, 1.0).hits((0.375, 0.6), (0.375, 0.2))
    assert hit.fraction == pytest.approx(0.25)
    assert hit.at == pytest.approx(0.125)
    assert hit.way == 1


def test_a_step_beyond_an_end_hits_nothing() -> None:
    assert Border.of(LINE, 1.0).hits((0.9, 0.6), (0.9, 0.4)) == []


def test_distance_counts_the_ends() -> None:
    segment = Border.of(LINE, 1.0)
    assert segment.distance((0.5, 0.6)) == pytest.approx(0.1)
    assert segment.distance((0.85, 0.5)) == pytest.approx(0.1)
    assert segment.distance((0.78, 0.46)) == pytest.approx(math.hypot(0.03, 0.04))


@pytest.mark.parametrize(("anchor", "due"), [("feet", (0.3, 0.8)), ("centre", (0.3, 0.5)), ("head", (0.3, 0.2))])
def test_anchor_points(anchor: Anchor, due: Point) -> None:
    assert anchor_point((0.2, 0.2, 0.4, 0.8), anchor) == pytest.approx(due)


def test_anchor_follows_the_mounting() -> None:
    assert default_anchor("overhead") == "centre"
    assert default_anchor("oblique") == "feet"


@pytest.mark.parametrize("edge", [(0.0, 0.0), (1.0, 1.0)])
def test_borders_of_the_picture_are_allowed(edge: Point) -> None:
    check_line(replace(LINE, start=edge), 1.0)


@pytest.mark.parametrize("bad", [-0.001, 1.001, math.inf, math.nan, 640.0])
def test_coordinates_outside_the_picture_are_refused(bad: float) -> None:
    with pytest.raises(LineError, match=r"'sill'.*fractions of the frame from 0 to 1"):
        check_line(replace(LINE, end=(bad, 0.5)), 1.0)


def usable(line: Line, aspect: float) -> bool:
    try:
        check_line(line, aspect)
    except LineError:
        return False
    return True


@given(point, point, point, point, point, st.floats(0.5, 2.5))
def test_a_step_hits_the_line_where_it_lies_between_the_ends(
    start: Point, end: Point, inside: Point, before: Point, after: Point, aspect: float
) -> None:
    line = Line("any", start, end, inside)
    assume(usable(line, aspect))
    border = Border.of(line, aspect)
    a, b = in_heights(before, aspect), in_heights(after, aspect)
    assume(min(abs(border.depth(a)), abs(border.depth(b))) > 1e-6)
    hits = border.hits(a, b)
    assert not hits or (border.depth(a) > 0) != (border.depth(b) > 0)
    for hit, back in zip(hits, border.hits(b, a), strict=True):
        assert 0 <= hit.fraction <= 1
        assert -1e-6 <= hit.at <= border.length + 1e-6
        assert hit.at == pytest.approx(back.at, abs=1e-6)
        assert hit.way == -back.way
