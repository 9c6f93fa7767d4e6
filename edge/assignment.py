"""Who goes with which detection, all together at the least cost.

Taking the nearest for one after another goes wrong exactly where it matters: of two people side by side the first takes
the other's box. The optimum is found by the Jonker-Volgenant algorithm; a single row or column needs none, and most
frames of most shops have no more.
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
    if len(costs) == 1:
        best = min(range(len(costs[0])), key=costs[0].__getitem__)
        return [best if costs[0][best] < limit else -1]
    if len(costs[0]) == 1:
        best = min(range(len(costs)), key=lambda row: costs[row][0])
        return [0 if row == best and costs[row][0] < limit else -1 for row in range(len(costs))]
    _, columns, _ = lap.lapjv(np.asarray(costs, np.float64), extend_cost=True, cost_limit=limit)
    return [int(column) for column in columns]
