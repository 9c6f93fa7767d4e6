"""95% intervals for what an audit counts, on a box that has neither SciPy nor the server's code.

Twelve crossings found of twelve is no proof of 100%: the interval says that as few as 76% would often look the same.
The trap is the textbook p ± 1.96 sqrt(p(1 - p)/n), which has no width at 0% and 100%, where a good counter lives.
"""

import math
from typing import Final

#: Lower and upper end.
Interval = tuple[float, float]

#: The 97.5% point of the standard normal distribution.
_Z: Final = 1.959963984540054
_TAIL: Final = 0.025
_HALVINGS: Final = 80


def share(part: int, whole: int) -> Interval | None:
    """Wilson's score interval for the share `part / whole` (E. B. Wilson 1927, JASA 22:209-212).

    The shares p which a test at 5% would not reject: the roots of (part/whole - p)² = z² p(1 - p)/whole. Chosen over
    Clopper and Pearson's, which is never too narrow but much too wide for the few dozen crossings of a hand count
    (Brown, Cai and DasGupta 2001, Statistical Science 16:101-133). It takes crossings as independent: people who come
    in groups and are missed together make the true interval wider.

    Args:
        part: 0 to `whole`.
        whole: how many there were; None comes back for 0, of which nothing can be said.
    """
    if not whole:
        return None
    p, z2 = part / whole, _Z * _Z
    middle = p + z2 / (2 * whole)
    spread = _Z * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole))
    scale = 1 + z2 / whole
    low = 0.0 if part == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if part == whole else min(1.0, (middle + spread) / scale)
    return low, high


def events(count: int) -> Interval:
    """Garwood's exact interval for the mean of a Poisson count (F. Garwood 1936, Biometrika 28:437-442).

    Its ends are the means under which as many, or as few, would be seen in 2.5% of all cases. Events that have no
    whole to be a share of are taken so: crossings that were invented, differences between two totals.

    Args:
        count: 0 or more.
    """
    low = 0.0 if count == 0 else _mean_where(count - 1, 1 - _TAIL, count)
    return low, _mean_where(count, _TAIL, count)


def _mean_where(upto: int, probability: float, near: int) -> float:
    """The mean of a Poisson variable that is `upto` at most with this probability, by halving."""
    low, high = 0.0, 2.0 * near + 20.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(upto, middle) > probability else (low, middle)
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    """Probability that a Poisson variable is `count` at most."""
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1)] if mean > 0 else [0.0]
    return math.fsum(math.exp(each) for each in logs)
