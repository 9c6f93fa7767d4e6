"""Whole people out of fractions of them, quarter hour by quarter hour. Pure.

A rate gives 1.3 members of staff in a quarter hour, and an audit 1.03 true crossings for one. Rounding each quarter
hour by itself loses them all (0.4 is 0, thirty times a day); keeping fractions makes counts that are none. So what is
left over is carried on: at any time of the day the sum is the exact one, rounded. A quarter hour's share depends on
what came before it only, so that it never changes once it is over.
"""

from decimal import Decimal
from fractions import Fraction
from math import floor

_HALF = Fraction(1, 2)


class Carried:
    """Turns amounts into whole numbers whose running sum is the running sum of the amounts, rounded half up."""

    def __init__(self) -> None:
        # Whole for as long as all amounts are: a chain's day adds up millions of them, and fractions take their time.
        self._exact: Fraction | int = 0
        self._given = 0

    def add(self, amount: Fraction | Decimal | int, most: int | None = None) -> int:
        """The whole number that stands for the next amount.

        Args:
            amount: may be below zero; the answer never is.
            most: at most so many; what is beyond it is carried on.
        """
        self._exact += Fraction(amount) if isinstance(amount, Decimal) else amount
        rounded = self._exact if isinstance(self._exact, int) else floor(self._exact + _HALF)
        whole = max(0, rounded - self._given)
        if most is not None:
            whole = min(whole, max(0, most))
        self._given += whole
        return whole
