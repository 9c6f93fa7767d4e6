"""The cheapest assignment, against trying them all."""

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.assignment import assign

LIMIT = 1.0
cost = st.one_of(st.floats(0.0, 0.99), st.just(1000.0))
tables = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(st.lists(cost, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def total(costs: list[list[float]], columns: list[int]) -> float:
    """What an assignment costs; whoever is left over costs as much as the dearest pair that may be made."""
    return sum(LIMIT if column < 0 else row[column] for row, column in zip(costs, columns, strict=True))


def cheapest(costs: list[list[float]]) -> float:
    rows, columns = len(costs), len(costs[0])
    best = LIMIT * rows
    for size in range(1, min(rows, columns) + 1):
        for chosen in combinations(range(rows), size):
            for order in permutations(range(columns), size):
                pairs = sum(costs[row][column] for row, column in zip(chosen, order, strict=True))
                best = min(best, pairs + LIMIT * (rows - size))
    return best


@given(tables)
def test_it_is_the_cheapest_there_is(costs: list[list[float]]) -> None:
    columns = assign(costs, LIMIT)
    taken = [column for column in columns if column >= 0]
    assert len(taken) == len(set(taken))
    assert all(row[column] < LIMIT for row, column in zip(costs, columns, strict=True) if column >= 0)
    assert total(costs, columns) == pytest.approx(cheapest(costs), abs=1e-9)


def test_the_nearest_is_left_to_whom_it_serves_better() -> None:
    assert assign([[0.1, 0.2], [0.15, 0.9]], LIMIT) == [1, 0]


def test_nobody_and_nothing_are_no_trouble() -> None:
    assert assign([], LIMIT) == []
    assert assign([[], []], LIMIT) == [-1, -1]
