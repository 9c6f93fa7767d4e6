"""Intervals against known values, and against what they promise."""

import random
from decimal import Decimal
from math import sqrt

import pytest

from server.kpi.figures.interval import Interval, mean, part_of_sum, rate, ratio_of_counts, share, sum_over_count


def close(found: Interval | None, low: float, high: float, within: float) -> None:
    assert found is not None
    assert float(found[0]) == pytest.approx(low, abs=within)
    assert float(found[1]) == pytest.approx(high, abs=within)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        # From Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(part: int, whole: int, low: float, high: float) -> None:
    close(share(part, whole), low, high, 5e-5)


def test_everybody_and_nobody_have_a_width() -> None:
    assert share(0, 10)[0] == 0
    assert share(0, 10)[1] > Decimal("0.2")
    assert share(10, 10)[1] == 1
    assert share(10, 10)[0] < Decimal("0.8")


def test_the_rate_solves_its_own_equation() -> None:
    """Each end λ has (count - λn)² = z² λn."""
    for count, exposure in ((150, 100), (3, 2), (1, 7)):
        for end in rate(count, exposure):
            expected = float(end) * exposure
            assert (count - expected) ** 2 == pytest.approx(1.959964**2 * expected, rel=1e-3)


def test_above_a_hundred_percent_the_interval_goes_on() -> None:
    low, high = ratio_of_counts(120, 100)
    assert low < Decimal("1.2") < high
    assert ratio_of_counts(100, 100) == share(100, 100)
    assert ratio_of_counts(0, 5) == share(0, 5)


def test_the_mean_of_receipts() -> None:
    # 10, 20, 30: mean 20, s = 10, half width 1.96 * 10 / sqrt(3) = 11.316
    close(mean(Decimal(60), Decimal(1400), 3), 20 - 11.316, 20 + 11.316, 1e-3)
    assert mean(Decimal(60), Decimal(3600), 1) is None
    # All alike: no spread, whatever rounding says.
    close(mean(Decimal("30.30"), Decimal("306.03"), 3), 10.1, 10.1, 1e-6)


def test_sales_over_visitors() -> None:
    # 10, 20, 30 from 40 visitors: 1.50 ± 1.96 * sqrt(1400) / 40 = ± 1.8334, and sales are not below zero
    close(sum_over_count(Decimal(60), Decimal(1400), 40), 0.0, 1.5 + 1.8334, 1e-3)


def test_a_share_of_sales() -> None:
    # Members 30 and 10 of 30, 10, 20, 40: R = 0.4; Σx²(m - R)² = 0.36 * 1000 + 0.16 * 2000 = 680; / 100
    half = 1.959964 * sqrt(680) / 100
    close(part_of_sum(Decimal(40), Decimal(1000), Decimal(100), Decimal(3000)), max(0, 0.4 - half), 0.4 + half, 1e-5)


@pytest.mark.parametrize(("visitors", "buying"), [(40, 0.15), (300, 0.25), (1000, 0.02)])
def test_the_interval_holds_the_truth_about_95_times_in_100(visitors: int, buying: float) -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(1000):
        bought = sum(chance.random() < buying for _ in range(visitors))
        low, high = ratio_of_counts(bought, visitors)
        held += float(low) <= buying <= float(high)
    # Three standard errors of a count of 1,000 at 95% are 21; Wilson's own coverage wavers by some percent.
    assert 920 <= held <= 990


def test_above_a_hundred_percent_too() -> None:
    """Visitors 80, and 1.4 transactions for each on average, as a Poisson count."""
    chance = random.Random(11)
    held = 0
    for _ in range(1000):
        transactions, waited = 0, chance.expovariate(1)
        while waited < 80 * 1.4:
            transactions, waited = transactions + 1, waited + chance.expovariate(1)
        low, high = ratio_of_counts(transactions, 80)
        held += float(low) <= 1.4 <= float(high)
    assert 925 <= held <= 975
