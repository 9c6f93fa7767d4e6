"""Intervals widened by what an audit of the door leaves open. Pure arithmetic.

Sampling is one reason to doubt a conversion: other people might have come. The counter is another: it misses some and
invents some, and the audit that says how many is itself a sample. More days shrink the first and leave the second as it
is, so an interval from sampling alone grows ever surer of a number that may be 3% off.
"""

from decimal import Decimal
from math import hypot, sqrt
from typing import Final

from server.kpi.figures.interval import Interval, Z
from server.kpi.models import Facts

_SIX: Final = Decimal("0.000001")
#: z times the relative error stays below 1, as audits with a larger error than 0.2 are refused; this is a guard.
_MOST: Final = 0.98


def widened(value: float, sampling: Interval, error: float) -> Interval:
    """The 95% interval of an amount over a count whose audited accuracy has a standard error.

    The true ratio is R / A: R, the ratio over the count as corrected, has the sampling interval (l, u) around its
    estimate r; A, the true count over the corrected one, is 1 with standard error e, known from the audit and
    independent of who came. By the method of variance estimates recovery for ratios (MOVER-R; Donner and Zou 2012,
    Stat. Methods Med. Res. 21:347; Newcombe 2016, ibid. 25:1774) a limit L of R / A lies where R - L A has its own
    limit at zero, with the variances of R and A read off their own limits *on the side that matters*: for the lower
    one (r - l)² and (z e)² L², so

        (r - L)² = (r - l)² + (z e)² L²

    which is a quadratic in L. With k = 1 - (z e)²

        L = (r - sqrt(r² - l (2r - l) k)) / k        U = (r + sqrt(r² - u (2r - u) k)) / k

    Without an error (k = 1) they are l and u; without sampling (l = u = r) they are r / (1 + z e) and r / (1 - z e).
    Nothing in it asks r to be below 1, so it holds where transactions exceed visitors just as well. Sides keep their
    own lengths, so an interval that leans (Wilson's, Poisson's) goes on leaning.

    Args:
        value: the estimate r, 0 or more.
        sampling: (l, u), l <= r <= u.
        error: relative standard error e, 0 where no audit says more.
    """
    spread = min(Z * error, _MOST)
    if spread <= 0:
        return sampling
    low, high = float(sampling[0]), float(sampling[1])
    k = 1 - spread * spread
    below = max(0.0, value * value - low * (2 * value - low) * k)
    above = max(0.0, value * value - high * (2 * value - high) * k)
    return (
        Decimal(max(0.0, (value - sqrt(below)) / k)).quantize(_SIX),
        Decimal((value + sqrt(above)) / k).quantize(_SIX),
    )


def audited(facts: Facts, value: float, sampling: Interval) -> Interval:
    """The interval of an amount over visitors, widened by what the audits of their doors leave open.

    The error is the same for whichever of a store's quarter hours a ratio is over, so its share of all entries stands
    for any part of them.
    """
    if not facts.entries or not facts.entries_error:
        return sampling
    return widened(value, sampling, error_of_entries(facts) / facts.entries)


def error_of_entries(facts: Facts) -> float:
    """The standard error of `entries` that audits leave open, all together, in entries.

    Entries are N = Σ f_a c_a + rest, where c_a was counted by the doors and on the days that audit a corrects, f_a is
    its factor, and the rest is corrected by none. An audit's factor is one draw, whatever it is applied to: over two
    doors, or over two days, its errors are the same in sign and share, and add up: x_a = Σ f_a c_a e_a, e_a being its
    relative standard error (`Audit.relative_error`). Factors of two audits come of two counts of different people, by
    hand; each errs by the luck of whom it saw, and these are independent. So

        Var N = Σ_a x_a²        sd(N) / N = sqrt(Σ_a (w_a e_a)²),  w_a = f_a c_a / N

    a quadrature of relative errors, each weighted by its share of the entries. With one audit it is x itself; with m
    alike it is x / sqrt(m) of the sum, which errs by as much as all of them erring to one side at once.

    A part of `entries_error` of which no audit is known (days computed by an earlier version) is taken as one more
    source of error: an upper bound for that part.
    """
    named = [error for _, error in facts.audit_errors]
    return hypot(*named, max(0, facts.entries_error - sum(named))) / 1000


def mean_of_stays(value: float, people: int) -> Interval | None:
    """The 95% interval of a mean length of stay, known from the sum of stays and the number of people alone.

    The spread of single stays is not seen where only crossings are, so it is taken to be as large as their mean, as for
    exponential stays (a shop's are spread a little less). The score interval is then the W with (w - W)² <= z² W² / n:
    w / (1 + z / sqrt(n)) to w / (1 - z / sqrt(n)).

    Returns:
        None for fewer than four people: with no more, no mean is too long to be refuted.
    """
    if people <= Z * Z:
        return None
    share = Z / sqrt(people)
    return Decimal(value / (1 + share)).quantize(_SIX), Decimal(value / (1 - share)).quantize(_SIX)
