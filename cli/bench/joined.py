"""A made-up day's facts, as the server would join them: by quarter hour, then summed by hour and by day.

Held to the server by a test that computes the same days from the same roll-ups and receipts and finds nothing to
change. Amounts are whole numbers: money in cents, and so on, as `SCALES` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from cli.bench.binary import Ints
from cli.bench.trade import HOURS_OPEN, OPEN_QUARTERS, Day, Receipts, Shops

#: Weighted milliseconds of a quarter hour of one door, and how many of them the threshold asks for.
_DUE: Final = 900_000
_REQUIRED: Final = 810_000
#: Digits after the point of what is not a whole number.
SCALES: Final = {
    "gross_sales": 2,
    "sales_squares": 4,
    "units": 3,
    "units_squares": 6,
    "refunds": 2,
    "member_sales": 2,
    "member_squares": 4,
    "matched_sales": 2,
    "matched_squares": 4,
}


@dataclass(frozen=True, slots=True)
class Joined:
    """Facts and occupancy, by store and hour (or by store alone)."""

    facts: dict[str, Ints]
    now: Ints
    peak: Ints
    drift: Ints


def quarters(chain: Shops, day: Day) -> dict[str, Ints]:
    """Every fact that is not always zero, by store and quarter hour."""
    crossed, shape = day.crossed, day.watched.shape
    entries = crossed["adult", "in"] + crossed["child", "in"] + crossed["staff", "in"]
    exits = crossed["adult", "out"] + crossed["child", "out"] + crossed["staff", "out"]
    ones, seen = np.ones(shape, dtype=np.int64), day.watched.astype(np.int64)
    passed = day.passed["in"] + day.passed["out"]
    street = ones * chain.street[:, None]
    facts = {
        "open_quarters": ones,
        "entries": entries,
        "exits": exits,
        "staff_entries": crossed["staff", "in"],
        "child_entries": crossed["child", "in"],
        "groups": day.groups,
        "passers_by": passed,
        "all_in": entries,
        "all_out": exits,
        "camera_quarters": ones,
        "due_ms": ones * _DUE,
        "observed_ms": seen * _DUE,
        "required_ms": ones * _REQUIRED,
        "street_quarters": street,
        "capture_quarters": street * seen,
        "capture_entries": street * seen * entries,
        "capture_passers_by": street * seen * passed,
        **_sold(day.receipts, shape),
    }
    spoke = (facts["transactions"] + facts["refund_count"]).sum(axis=1, keepdims=True) > 0
    matched = seen * spoke
    return {
        **facts,
        "till_quarters": ones * spoke,
        "matched_quarters": matched,
        "matched_visitors": matched * (entries - crossed["staff", "in"]),
        "matched_groups": matched * day.groups,
        "matched_transactions": matched * facts["transactions"],
        "matched_sales": matched * facts["gross_sales"],
        "matched_squares": matched * facts["sales_squares"],
    }


def hours(facts: dict[str, Ints]) -> Joined:
    """The same by hour of the store's clock."""
    now, drift = _inside(facts)
    return Joined(
        facts={name: _by_hour(values).sum(axis=2) for name, values in facts.items()},
        now=now[:, 3::4],
        peak=_by_hour(now).max(axis=2),
        drift=drift[:, 3::4],
    )


def days(facts: dict[str, Ints]) -> Joined:
    """The same by day; whoever is still inside at its end was missed going out."""
    now, drift = _inside(facts)
    return Joined(
        facts={name: values.sum(axis=1) for name, values in facts.items()},
        now=now[:, -1],
        peak=now.max(axis=1),
        drift=drift[:, -1] + now[:, -1],
    )


def _by_hour(values: Ints) -> Ints:
    return values.reshape(values.shape[0], HOURS_OPEN, 4)


def _inside(facts: dict[str, Ints]) -> tuple[Ints, Ints]:
    """How many are inside at the end of each quarter hour, and how many were missed so far."""
    net = np.cumsum(facts["all_in"] - facts["all_out"], axis=1)
    lowest = np.minimum(np.minimum.accumulate(net, axis=1), 0)
    return net - lowest, -lowest


def _sold(receipts: Receipts, shape: tuple[int, int]) -> dict[str, Ints]:
    sale, member = ~receipts.refund, receipts.member
    cents, units = receipts.cents, receipts.units

    def total(amounts: Ints, of: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ints:
        # Sums of whole numbers far below 2**53: exact.
        sums = np.bincount(receipts.slot[of], weights=amounts[of], minlength=shape[0] * OPEN_QUARTERS)
        return np.rint(sums).astype(np.int64).reshape(shape)

    one: Callable[[], Ints] = lambda: np.ones_like(cents)  # noqa: E731
    return {
        "transactions": total(one(), sale),
        "gross_sales": total(cents, sale),
        "sales_squares": total(cents * cents, sale),
        "units": total(units * 1000, sale),
        "units_squares": total(units * units * 1_000_000, sale),
        "refund_count": total(one(), receipts.refund),
        "refunds": total(cents, receipts.refund),
        "member_transactions": total(one(), member),
        "member_sales": total(cents, member),
        "member_squares": total(cents * cents, member),
    }
