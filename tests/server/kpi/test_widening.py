"""Intervals widened by an audit: the formula at its ends, and how often it holds the truth."""

import random
from decimal import Decimal
from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import Audit
from server.kpi.figures.interval import Z, ratio_of_counts
from server.kpi.figures.widening import mean_of_stays, widened

SIX = 2e-6


def test_without_an_error_it_is_the_sampling_s_own() -> None:
    sampling = ratio_of_counts(30, 100)
    assert widened(0.3, sampling, 0.0) == sampling


def test_without_sampling_it_is_the_audit_s_own() -> None:
    low, high = widened(0.5, (Decimal("0.5"), Decimal("0.5")), 0.05)
    assert float(low) == pytest.approx(0.5 / (1 + Z * 0.05), abs=SIX)
    assert float(high) == pytest.approx(0.5 / (1 - Z * 0.05), abs=SIX)


@given(st.integers(0, 3000), st.integers(1, 2000), st.floats(0, 0.2))
def test_it_holds_the_value_and_the_sampling_s_interval(count: int, base: int, error: float) -> None:
    sampling = ratio_of_counts(count, base)
    low, high = widened(count / base, sampling, error)
    assert 0 <= float(low) <= float(sampling[0]) + SIX
    assert float(high) >= float(sampling[1]) - SIX


@given(st.integers(1, 3000), st.integers(1, 2000), st.floats(0.001, 0.1))
def test_a_better_audit_makes_it_narrower(count: int, base: int, error: float) -> None:
    assume(count / base < 50)
    worse, better = (widened(count / base, ratio_of_counts(count, base), each) for each in (2 * error, error))
    assert worse[0] <= better[0]
    assert better[1] <= worse[1]


@pytest.mark.parametrize(
    ("conversion", "visitors", "true_error"), [(0.2, 500, 0.03), (0.6, 2000, 0.05), (1.3, 400, 0.04)]
)
def test_it_holds_the_truth_as_often_as_it_says(conversion: float, visitors: int, true_error: float) -> None:
    """Also where more buy than come, and where sampling alone would hold it far less often."""
    dice = random.Random(7)
    trials = 3000
    wide = plain = 0
    for _ in range(trials):
        # The counter's corrected count is off by what the audit leaves open; sales are drawn for those who truly came.
        counted = round(visitors / dice.gauss(1, true_error))
        mean = conversion * visitors
        spread = sqrt(mean * (1 - conversion)) if conversion < 1 else sqrt(mean)
        sales = max(0, round(dice.gauss(mean, spread)))
        sampling = ratio_of_counts(sales, counted)
        low, high = widened(sales / counted, sampling, true_error)
        wide += float(low) <= conversion <= float(high)
        plain += float(sampling[0]) <= conversion <= float(sampling[1])
    assert 0.93 <= wide / trials <= 0.985
    assert plain < wide


def test_an_audit_without_a_mistake_does_not_prove_that_there_are_none() -> None:
    assert Audit(200, 0, 0).factor == 1
    assert Audit(200, 0, 0).error == pytest.approx(sqrt(2) / 200)
    assert Audit(200, 9, 5).factor == Decimal("1.02")
    assert Audit(200, 9, 5).error == pytest.approx(4 / 200)
    assert Audit(10, 0, 10).relative_error == float("inf")


def test_a_mean_of_stays() -> None:
    assert mean_of_stays(30, 3) is None
    low, high = mean_of_stays(30, 400) or (Decimal(0), Decimal(0))
    assert float(low) == pytest.approx(30 / (1 + Z / 20), abs=SIX)
    assert float(high) == pytest.approx(30 / (1 - Z / 20), abs=SIX)
