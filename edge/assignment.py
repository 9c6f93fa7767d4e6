"""Who goes with which detection, all together at the least cost.

Taking the nearest for one after another goes wrong exactly where it matters: of two people side by side the first takes
the other's box. The optimum is found by the Jonker-Volgenant algorithm; where everyone has one choice and nobody's is
another's, as in most frames of most shops, there is nothing to find.
"""

from collections.abc import Sequence

import lap
import numpy as np


def assign(costs: Sequence[Sequence[float]], limit: float) -> list[int]:
    """The column of each row in the cheapest assignment, -1 for rows left over.

    Args:
        costs: of each pair, rows of equal length.
        limit: a pair that costs as much as this is not made.
    """
    if not costs or not costs[0]:
        return [-1] * len(costs)
    choices = [[column for column, cost in enumerate(row) if cost < limit] for row in costs]
    chosen = [column for choice in choices for column in choice]
    if len(set(chosen)) == len(chosen) and all(len(choice) < 2 for choice in choices):
        return [choice[0] if choice else -1 for choice in choices]
    if len(costs) == 1:
        return [min(choices[0], key=costs[0].__getitem__)]
    _, columns, _ = lap.lapjv(np.asarray(costs, np.float64), extend_cost=True, cost_limit=limit)
    return [int(column) for column in columns]
