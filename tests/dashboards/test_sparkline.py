"""Small lines in tables: gaps stay gaps."""

from decimal import Decimal

from dashboards.sparkline import HEIGHT, WIDTH, sparkline


def test_too_little_makes_no_line() -> None:
    assert sparkline([]) is None
    assert sparkline([None, 5, None]) is None


def test_a_missing_day_breaks_the_line() -> None:
    line = sparkline([1, 2, None, 3, 4])
    assert line is not None
    assert len(line.pieces) == 2


def test_a_lone_day_between_gaps_is_still_seen() -> None:
    line = sparkline([1, None, 3, None, 2])
    assert line is not None
    assert len(line.pieces) == 3


def test_every_point_lies_within_the_picture_and_the_highest_on_top() -> None:
    line = sparkline([Decimal(1), Decimal(9), Decimal(4)])
    assert line is not None
    points = [tuple(map(float, point.split(","))) for piece in line.pieces for point in piece.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert min(points, key=lambda point: point[1]) == points[1]
    assert line.last == points[-1]


def test_a_level_row_lies_in_the_middle() -> None:
    line = sparkline([7, 7, 7])
    assert line is not None
    assert line.last is not None
    assert line.last[1] == HEIGHT / 2
