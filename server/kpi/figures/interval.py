"""95% intervals for what is counted. Pure arithmetic; nothing here knows what the counts mean.

A conversion of 100% from three visitors is not the same news as from three thousand, and only an interval says so. The
trap is the textbook `p ± 1.96 sqrt(p(1 - p)/n)`, which has no width at 0% and 100% and leaves the range in between.
"""

from decimal import Decimal
from math import sqrt

#: The 97.5% point of the standard normal distribution.
Z = 1.959963984540054
_SIX = Decimal("0.000001")

Interval = tuple[Decimal, Decimal]


def share(part: int, whole: int) -> Interval:
    """Wilson's score interval for a share `part / whole` (Wilson 1927, JASA 22:209).

    The shares p that a normal test at 5% would not reject: the roots of (p̂ - p)² = z² p(1 - p)/n. It stays within 0
    and 1 and has a width even when nobody or everybody bought.

    Args:
        part: 0 to `whole`.
        whole: above 0.
    """
    n, p = float(whole), part / whole
    middle = p + Z * Z / (2 * n)
    spread = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return _rounded(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def rate(count: int, exposure: float) -> Interval:
    """Score interval for a rate `count / exposure`, where the count may exceed the exposure.

    The count is taken as Poisson with mean λ · exposure; the interval is the λ with (count - λn)² <= z² λn, whose
    ends are (count + z²/2 ± z sqrt(count + z²/4)) / n. The exposure is taken as known.

    Args:
        count: 0 or more.
        exposure: above 0.
    """
    middle = count + Z * Z / 2
    spread = Z * sqrt(count + Z * Z / 4)
    return _rounded(max(0.0, (middle - spread) / exposure), (middle + spread) / exposure)


def ratio_of_counts(count: int, base: int) -> Interval:
    """Interval for one count over another: Wilson's while it can be a share, the Poisson one above 100%.

    Transactions are not a part of the visitors: a couple may pay twice, and a missed entry leaves a sale without
    a visitor. Up to 100% the share is a good model (most visitors buy once or not at all) and the narrower one; beyond
    it a share has no meaning, the spread of the count is what is left, and Poisson's is the plain model for that.

    Args:
        count: 0 or more.
        base: above 0.
    """
    return share(count, base) if count <= base else rate(count, base)


def mean(total: Decimal, squares: Decimal, count: int) -> Interval | None:
    """Interval for the mean of `count` amounts from their sum and sum of squares: mean ± z s/sqrt(n).

    None for fewer than two amounts: one receipt says nothing about the spread of receipts.
    """
    if count < 2:
        return None
    average = float(total) / count
    variance = max(0.0, (float(squares) - count * average * average) / (count - 1))
    spread = Z * sqrt(variance / count)
    return _rounded(max(0.0, average - spread), average + spread)


def sum_over_count(total: Decimal, squares: Decimal, base: int) -> Interval:
    """Interval for a sum of amounts over a base count, where the number of amounts is itself left to chance.

    A sum of a Poisson number of independent amounts (compound Poisson) has variance λE[x²], estimated by the sum
    of their squares; so total/base ± z sqrt(squares)/base.

    Args:
        base: above 0.
    """
    spread = Z * sqrt(float(squares)) / base
    average = float(total) / base
    return _rounded(max(0.0, average - spread), average + spread)


def part_of_sum(part: Decimal, part_squares: Decimal, whole: Decimal, squares: Decimal) -> Interval:
    """Interval for the share that some of the amounts have in the sum of all.

    The ratio R = Σ m x / Σ x, m being 1 for a member's receipt, is estimated by the usual linearisation: its variance
    is Σ x²(m - R)² / (Σ x)², and that sum is (1 - R)² times the members' squares plus R² times the others'.

    Args:
        whole: above 0.
    """
    ratio = float(part / whole)
    residual = (1 - ratio) ** 2 * float(part_squares) + ratio**2 * float(squares - part_squares)
    spread = Z * sqrt(max(0.0, residual)) / float(whole)
    return _rounded(max(0.0, ratio - spread), min(1.0, ratio + spread))


def _rounded(low: float, high: float) -> Interval:
    return Decimal(low).quantize(_SIX), Decimal(high).quantize(_SIX)
