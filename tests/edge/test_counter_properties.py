"""What the counter holds to whatever the path: mirrored, reversed, split and shaken ways give the counts they must."""

from dataclasses import replace

from hypothesis import assume, example, given
from hypothesis import strategies as st

from edge.counter import Counter, CounterParams
from edge.counting.borders import Border
from edge.counting.zones import Region
from edge.geometry import LineError
from edge.models import Line, Point, Zone
from tests.edge.walks import DOOR, WIDE, Walk, count, on_exit, path, totals

coordinate = st.floats(0.06, 0.94)
points = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=7)
steps = st.sampled_from([0.005, 0.02, 0.07, 0.2])
lines = st.tuples(coordinate, coordinate, coordinate, coordinate, coordinate, coordinate)


def line_from(values: tuple[float, float, float, float, float, float]) -> Line:
    x1, y1, x2, y2, x, y = values
    return Line("any", (x1, y1), (x2, y2), (x, y))


def usable(line: Line) -> bool:
    try:
        Counter([line], mounting="overhead", aspect=1.0)
    except LineError:
        return False
    return True


any_line = lines.map(line_from).filter(usable)


@given(points, steps, any_line)
# A path through the very end of the line: cut in the one picture and missed in the other, by rounding alone.
@example([(0.06, 0.8125), (0.06, 0.375)], 0.005, Line("any", (0.5, 0.25), (0.06, 0.5), (0.5, 0.5)))
def test_mirrored_picture_gives_the_same_count(corners: list[Point], step: float, line: Line) -> None:
    def mirror(point: Point) -> Point:
        return (1 - point[0], point[1])

    seen = path(*corners, step=step)
    mirrored = replace(line, start=mirror(line.start), end=mirror(line.end), inside=mirror(line.inside))
    assert totals(count([Walk(1, seen)], [line])) == totals(count([Walk(1, [mirror(p) for p in seen])], [mirrored]))


@given(points, steps, any_line)
def test_the_other_inside_swaps_in_and_out(corners: list[Point], step: float, line: Line) -> None:
    def across(point: Point) -> Point:
        (x1, y1), (x2, y2) = line.start, line.end
        along = ((point[0] - x1) * (x2 - x1) + (point[1] - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)
        return (2 * (x1 + along * (x2 - x1)) - point[0], 2 * (y1 + along * (y2 - y1)) - point[1])

    other = replace(line, inside=across(line.inside))
    assume(usable(other))
    walk = Walk(1, path(*corners, step=step))
    entered, left = totals(count([walk], [line]))
    assert totals(count([walk], [other])) == (left, entered)


@given(points, steps, any_line)
def test_a_path_and_its_reverse_cancel(corners: list[Point], step: float, line: Line) -> None:
    segment = Border.of(line, 1.0)
    assume(all(abs(segment.depth(end)) > 0.04 for end in (corners[0], corners[-1])))
    # Each place is seen twice: who is seen once beyond a line's end, and returns through the line, was never there.
    seen = [point for point in path(*corners, step=step) for _ in range(2)]
    entered, left = totals(count([Walk(1, seen)], [line]))
    back_in, back_out = totals(count([Walk(1, seen[::-1])], [line]))
    assert entered - left == back_out - back_in


@given(st.lists(st.floats(-0.029, 0.029), min_size=2, max_size=60), st.sampled_from([DOOR, on_exit(DOOR)]))
def test_jitter_inside_the_band_never_counts(offsets: list[float], line: Line) -> None:
    assert count([Walk(1, [(0.5, 0.5 + offset) for offset in offsets])], [line]) == []


@given(points, steps)
def test_in_and_out_of_one_person_differ_by_at_most_one_over_a_full_line(corners: list[Point], step: float) -> None:
    entered, left = totals(count([Walk(1, path(*corners, step=step))], [WIDE]))
    assert abs(entered - left) <= 1


@given(points, st.integers(1, 200))
def test_splitting_a_confirmed_track_away_from_the_line_changes_nothing(corners: list[Point], where: int) -> None:
    seen = path(*corners, step=0.02)
    cut = where % len(seen)
    assume(cut and min(abs(seen[cut - 1][1] - 0.5), abs(seen[cut][1] - 0.5)) > 0.12)
    split = [Walk(1, seen[:cut]), Walk(2, seen[cut:], start=cut)]
    assert totals(count(split, [DOOR])) == totals(count([Walk(1, seen)], [DOOR]))


@given(points, steps, st.integers(0, 30))
def test_late_confirmation_changes_no_count(corners: list[Point], step: float, late: int) -> None:
    seen = path(*corners, step=step)
    late = min(late, len(seen) - 1)
    assert totals(count([Walk(1, seen, late=late)], [DOOR])) == totals(count([Walk(1, seen)], [DOOR]))


@given(points, steps, any_line, st.floats(0.1, 0.9))
def test_a_point_more_on_a_straight_line_changes_nothing(
    corners: list[Point], step: float, line: Line, where: float
) -> None:
    (x1, y1), (x2, y2) = line.start, line.end
    bent = replace(line, bends=((x1 + where * (x2 - x1), y1 + where * (y2 - y1)),))
    assume(usable(bent))
    seen = path(*corners, step=step)
    assert totals(count([Walk(1, seen)], [bent])) == totals(count([Walk(1, seen)], [line]))


#: Coordinates on a coarse grid, so that paths run through corners and along pieces all the time.
grid = st.integers(1, 15).map(lambda n: n / 16)
grid_points = st.lists(st.tuples(grid, grid), min_size=2, max_size=8)
FINE = CounterParams(band=0.004, least_band=0.004, advance=0.0, whole_width=0.0, whole_height=0.0)


@given(grid_points, st.sampled_from([1 / 16, 1 / 32, 0.2]), st.tuples(grid, grid), st.tuples(grid, grid))
def test_who_walks_into_a_zone_by_whatever_way_is_in_it(
    corners: list[Point], step: float, one: Point, other: Point
) -> None:
    """Exits taken from entries are where one ends less where one began: however often a corner is met."""
    (x1, y1), (x2, y2) = one, other
    assume(abs(x1 - x2) > 0.1 and abs(y1 - y2) > 0.1)
    notch = ((x1 + x2) / 2, (y1 + y2) / 2)
    zone = Zone("bay", (one, (x2, y1), other, notch, (x1, y2)))
    region = Region(zone, "overhead")
    ends = [(corners[0][0] + 1 / 64, corners[0][1] + 3 / 256), (corners[-1][0] - 1 / 64, corners[-1][1] + 3 / 256)]
    border = Border.around(zone, 1.0)
    assume(all(abs(border.depth(end)) > 0.005 for end in ends))
    seen = [ends[0], *path(*corners, step=step), ends[1], ends[1]]
    entered, left = totals(count([Walk(1, seen, size=(0.004, 0.004))], [], zones=[zone], params=FINE))
    assert entered - left == region.contains(ends[1]) - region.contains(ends[0])


@given(points, steps, any_line, st.floats(0, 1e6))
def test_a_stream_that_began_earlier_counts_the_same(
    corners: list[Point], step: float, line: Line, since: float
) -> None:
    walks = [Walk(1, path(*corners, step=step), late=2)]
    now, later = count(walks, [line]), count(walks, [line], since=since)
    assert [(c.frame, c.direction, c.group) for c in later] == [(c.frame, c.direction, c.group) for c in now]
