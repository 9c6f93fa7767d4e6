"""Intervals widened by an audit: the formula at its ends, and how often it holds the truth."""

import random
from dataclasses import replace
from decimal import Decimal
from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.kpi.corrections.in_force import Audit
from server.kpi.figures.interval import Z, ratio_of_counts
from server.kpi.figures.widening import audited, error_of_entries, mean_of_stays, widened
from server.kpi.models import Facts

SIX = 2e-6
HALF = Decimal("0.5")


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


def audited_doors(*doors: tuple[int, float]) -> Facts:
    """Entries by door, each audited by a count of its own that leaves so much open of it."""
    errors = tuple((number, round(1000 * entries * error)) for number, (entries, error) in enumerate(doors, 1))
    return Facts(
        entries=sum(entries for entries, _ in doors),
        entries_error=sum(error for _, error in errors),
        audit_errors=errors,
    )


def test_errors_of_several_audits_are_put_together_in_quadrature() -> None:
    """300 entries at 4% and 400 at 4%: 12 and 16 people; 20 together, and not 28."""
    assert error_of_entries(audited_doors((300, 0.04), (400, 0.04))) == pytest.approx(20)
    assert error_of_entries(audited_doors((400, 0.04))) == pytest.approx(16)
    # A door that nobody audited adds entries and no error: 20 of 1,700.
    low, high = audited(replace(audited_doors((300, 0.04), (400, 0.04)), entries=1700), 0.5, (HALF, HALF))
    assert float(high) == pytest.approx(0.5 / (1 - Z * 20 / 1700), abs=SIX)
    assert float(low) == pytest.approx(0.5 / (1 + Z * 20 / 1700), abs=SIX)


def test_days_under_one_audit_err_together_and_stores_do_not() -> None:
    one = audited_doors((300, 0.04))
    other = replace(one, audit_errors=((9, 12_000),))
    assert error_of_entries(Facts.total([one, one])) == pytest.approx(24)
    assert error_of_entries(Facts.total([one, other])) == pytest.approx(sqrt(2) * 12)
    assert error_of_entries(Facts.total([one, other, one])) == pytest.approx(sqrt(24**2 + 12**2))


def test_an_error_of_no_known_audit_is_a_source_of_its_own() -> None:
    assert error_of_entries(Facts(entries=300, entries_error=12_000)) == pytest.approx(12)


def test_with_several_doors_it_holds_the_truth_as_often_as_it_says() -> None:
    """Four doors, each audited by a hand count of its own luck; each trial audits, counts and sells anew.

    Put together linearly, the interval holds the truth nearly always: it says less than is known.
    """
    dice = random.Random(11)
    doors = ((900, 0.06), (700, 0.05), (500, 0.08), (400, 0.07))
    visitors, conversion, trials = sum(true for true, _ in doors), 0.3, 3000
    held = linear = 0
    for _ in range(trials):
        # What is counted and corrected at each door is off by the luck of its audit.
        facts = audited_doors(*((round(true / dice.gauss(1, error)), error) for true, error in doors))
        mean = conversion * visitors
        sales = round(dice.gauss(mean, sqrt(mean * (1 - conversion))))
        sampling = ratio_of_counts(sales, facts.entries)
        low, high = audited(facts, sales / facts.entries, sampling)
        held += float(low) <= conversion <= float(high)
        low, high = audited(replace(facts, audit_errors=((1, facts.entries_error),)), sales / facts.entries, sampling)
        linear += float(low) <= conversion <= float(high)
    assert 0.935 <= held / trials <= 0.975
    assert linear / trials >= 0.985


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
