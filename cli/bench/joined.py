"""A made-up day's facts, as the server would join them: by quarter hour, then summed by hour and by day.

Held to the server by a test that computes the same days from the same roll-ups, receipts, rosters and audits and finds
nothing to change. Amounts are whole numbers: money in cents, and so on, as `SCALES` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from cli.bench.binary import Ints, Mask
from cli.bench.trade import HOURS_OPEN, OPEN_QUARTERS, SHIFTS, Day, Receipts, Shops
from server.ingest.gaps import LEAST_WEEKS
from server.kpi.corrections.in_force import Audit
from server.kpi.days.facts import DRIFT_ALLOWED, POWER_SHARE
from server.kpi.rounding import Carried

#: Weighted milliseconds of a quarter hour of one door, and how many of them the threshold asks for.
_DUE: Final = 900_000
_REQUIRED: Final = 810_000
_SECONDS: Final = 900
#: What audited doors were found to do: as many missed as invented, so that what was counted stands, with an error.
AUDIT: Final = Audit(counted=400, missed=6, invented=6)
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


def quarters(chain: Shops, day: Day, weeks_before: Sequence[Day] = ()) -> dict[str, Ints]:
    """Every fact that is not zero in the whole chain, by store and quarter hour.

    Args:
        weeks_before: the same weekday of the four weeks before, as far as there was any: what to expect while a camera
            was away.
    """
    crossed, shape = day.crossed, day.watched.shape
    staff = crossed["staff", "in"]
    entries = crossed["adult", "in"] + crossed["child", "in"] + staff
    exits = crossed["adult", "out"] + crossed["child", "out"] + crossed["staff", "out"]
    ones, seen = np.ones(shape, dtype=np.int64), day.watched.astype(np.int64)
    passed = day.passed["in"] + day.passed["out"]
    street, checks_in = ones * chain.street[:, None], ones * chain.checks_in[:, None]
    sold = _sold(day.receipts, shape)
    spoke = (sold["transactions"] + sold["refund_count"]).sum(axis=1, keepdims=True) > 0
    matched = seen * spoke
    visits = _counted(day.receipts, day.receipts.member, shape)
    worked = _SECONDS * chain.staff[:, None] * _on_shift()
    facts = {
        "open_quarters": ones,
        "entries": entries,
        "exits": exits,
        "counted_entries": entries,
        "counted_exits": exits,
        "entries_error": _error(chain, day),
        "staff_entries": staff,
        "child_entries": crossed["child", "in"],
        "groups": day.groups,
        "passers_by": passed,
        "all_in": entries,
        "all_out": exits,
        "camera_quarters": ones,
        "due_ms": ones * _DUE,
        "observed_ms": seen * _DUE,
        "required_ms": ones * _REQUIRED,
        "power_milli": ones * int(POWER_SHARE * 1000),
        "street_quarters": street,
        "capture_quarters": street * seen,
        "capture_entries": street * seen * entries,
        "capture_passers_by": street * seen * passed,
        "rostered_quarters": ones,
        "staff_seconds": worked,
        "star_visitors": seen * (entries - staff),
        "star_seconds": seen * worked,
        "checkin_quarters": checks_in,
        "member_visits": checks_in * visits,
        "member_buyers": checks_in * sold["member_transactions"],
        **sold,
        "till_quarters": ones * spoke,
        "matched_quarters": matched,
        "matched_visitors": matched * (entries - staff),
        "matched_groups": matched * day.groups,
        "matched_transactions": matched * sold["transactions"],
        "matched_sales": matched * sold["gross_sales"],
        "matched_squares": matched * sold["sales_squares"],
        "other_transactions": checks_in * matched * (sold["transactions"] - sold["member_transactions"]),
        "other_visitors": checks_in * matched * (entries - staff - visits),
        **_imputed(day, weeks_before),
    }
    return {**facts, **_stays(day, facts)}


def _on_shift() -> Ints:
    """How many shifts are on in each quarter hour since opening."""
    since = np.arange(OPEN_QUARTERS) / 4
    on: Ints = np.sum([(since >= begins) & (since < ends) for begins, ends in SHIFTS], axis=0, dtype=np.int64)
    return on


def _error(chain: Shops, day: Day) -> Ints:
    """What audits leave open of each line's entries, in thousandths of an entry."""
    open_of = [np.rint(1000 * day.crossed[name, "in"] * AUDIT.relative_error) for name in ("adult", "child", "staff")]
    whole: Ints = np.sum(open_of, axis=0).astype(np.int64)
    return whole * chain.audited[:, None]


def _stays(day: Day, facts: dict[str, Ints]) -> dict[str, Ints]:
    """The area under the number of visitors inside, on days whose number can be believed."""
    now, missed = _inside(facts["all_in"], facts["all_out"])
    staff, _ = _inside(day.crossed["staff", "in"], day.crossed["staff", "out"])
    drift = missed[:, -1] + now[:, -1]
    is_steady = drift <= np.maximum(DRIFT_ALLOWED, facts["all_in"].sum(axis=1) // 10)
    is_watched = facts["observed_ms"].sum(axis=1) >= facts["required_ms"].sum(axis=1)
    believed = (is_steady & is_watched).astype(np.int64)[:, None]

    def area(inside: Ints) -> Ints:
        before = np.concatenate([np.zeros_like(inside[:, :1]), inside[:, :-1]], axis=1)
        return (before + inside) * _SECONDS // 2

    return {
        "dwell_quarters": believed * facts["open_quarters"],
        "dwell_visitors": believed * (facts["entries"] - facts["staff_entries"]),
        "dwell_seconds": believed * np.maximum(0, area(now) - area(staff)),
    }


def _imputed(day: Day, weeks_before: Sequence[Day]) -> dict[str, Ints]:
    """What other weeks make us expect where the camera was away; few stores, so one by one."""
    found = {
        name: np.zeros(day.watched.shape, dtype=np.int64)
        for name in ("imputed_quarters", "imputed_entries", "imputed_visitors", "imputed_seconds")
    }
    for store in np.flatnonzero(~day.watched.all(axis=1)):
        entries, visitors = Carried(), Carried()
        for place in np.flatnonzero(~day.watched[store]):
            told = [week for week in weeks_before if week.watched[store, place]]
            if len(told) < LEAST_WEEKS:
                continue
            came = {
                name: sum(int(week.crossed[name, "in"][store, place]) for week in told)
                for name in ("adult", "child", "staff")
            }
            most = entries.add(Fraction(sum(came.values()), len(told)))
            found["imputed_entries"][store, place] = most
            found["imputed_visitors"][store, place] = visitors.add(
                Fraction(came["adult"] + came["child"], len(told)), most=most
            )
            found["imputed_quarters"][store, place] = 1
            found["imputed_seconds"][store, place] = _SECONDS
    return found


def hours(facts: dict[str, Ints]) -> Joined:
    """The same by hour of the store's clock."""
    now, drift = _inside(facts["all_in"], facts["all_out"])
    return Joined(
        facts={name: _by_hour(values).sum(axis=2) for name, values in facts.items()},
        now=now[:, 3::4],
        peak=_by_hour(now).max(axis=2),
        drift=drift[:, 3::4],
    )


def days(facts: dict[str, Ints]) -> Joined:
    """The same by day; whoever is still inside at its end was missed going out."""
    now, drift = _inside(facts["all_in"], facts["all_out"])
    return Joined(
        facts={name: values.sum(axis=1) for name, values in facts.items()},
        now=now[:, -1],
        peak=now.max(axis=1),
        drift=drift[:, -1] + now[:, -1],
    )


def _by_hour(values: Ints) -> Ints:
    return values.reshape(values.shape[0], HOURS_OPEN, 4)


def _inside(came: Ints, left: Ints) -> tuple[Ints, Ints]:
    """How many are inside at the end of each quarter hour, and how many were missed so far."""
    net = np.cumsum(came - left, axis=1)
    lowest = np.minimum(np.minimum.accumulate(net, axis=1), 0)
    return net - lowest, -lowest


def _sold(receipts: Receipts, shape: tuple[int, int]) -> dict[str, Ints]:
    sale = receipts.sale
    member = receipts.member & sale
    cents, units = receipts.cents, receipts.units
    total: Callable[[Ints, Mask], Ints] = lambda amounts, of: _total(receipts, amounts, of, shape)  # noqa: E731
    return {
        "transactions": _counted(receipts, sale, shape),
        "gross_sales": total(cents, sale),
        "sales_squares": total(cents * cents, sale),
        "units": total(units * 1000, sale),
        "units_squares": total(units * units * 1_000_000, sale),
        "refund_count": _counted(receipts, receipts.refund, shape),
        "refunds": total(cents, receipts.refund),
        "member_transactions": _counted(receipts, member, shape),
        "member_sales": total(cents, member),
        "member_squares": total(cents * cents, member),
    }


def _counted(receipts: Receipts, of: Mask, shape: tuple[int, int]) -> Ints:
    return _total(receipts, np.ones_like(receipts.cents), of, shape)


def _total(receipts: Receipts, amounts: Ints, of: Mask, shape: tuple[int, int]) -> Ints:
    # Sums of whole numbers far below 2**53: exact.
    sums = np.bincount(receipts.slot[of], weights=amounts[of], minlength=shape[0] * OPEN_QUARTERS)
    return np.rint(sums).astype(np.int64).reshape(shape)
