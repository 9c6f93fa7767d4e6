"""What a correction and a shift must be; refused by field, with what to do. Pure.

The trap is the value that is possible and absurd: a group factor of 0.4 makes more groups than people, and an audit of
twelve people multiplies a year by the luck of a quarter of an hour.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, get_args

from server.errors import InvalidInput
from server.kpi.corrections.in_force import LARGEST_ERROR, Audit, CorrectionKind, NewCorrection
from server.stores import checks

_LONGEST_REASON: Final = 500
_LONGEST_EXCLUDED: Final = timedelta(days=31)
#: Least and most a value may be.
_BOUNDS: Final = {"staff_rate": (Decimal(0), Decimal(60)), "group_factor": (Decimal(1), Decimal(20))}
#: What each kind is made of, besides reason and store.
_PARTS: Final[dict[str, frozenset[str]]] = {
    "staff_rate": frozenset({"day_from", "day_to", "value"}),
    "group_factor": frozenset({"day_from", "day_to", "value"}),
    "accuracy": frozenset({"day_from", "day_to", "line_id", "audit"}),
    "excluded": frozenset({"starts_at", "ends_at", "line_id"}),
}
_OPTIONAL: Final = frozenset({"day_to", "line_id"})


def check(new: NewCorrection) -> None:
    """A correction to be made.

    Raises:
        InvalidInput: naming the field.
    """
    checks.check_choice(new.kind, get_args(CorrectionKind), "kind")
    check_reason(new.reason)
    _check_parts(new)
    if new.store_id is None and new.kind not in _BOUNDS:
        raise InvalidInput(f"{new.kind} is of one store", field="store_id", remedy="name the store")
    if new.day_from is not None:
        checks.check_day(new.day_from, "day_from")
        if new.day_to is not None:
            checks.check_day(new.day_to, "day_to")
            if new.day_to < new.day_from:
                raise InvalidInput(f"day_to {new.day_to} lies before day_from", field="day_to", remedy="swap them")
    if new.value is not None:
        _check_value(new.kind, new.value)
    if new.audit is not None:
        _check_audit(new.audit)
    if new.starts_at is not None and new.ends_at is not None:
        _check_interval(new.starts_at, new.ends_at)


def check_reason(reason: str) -> None:
    """Why: it is what a reader of the number is told."""
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise InvalidInput(
            "the reason is empty or too long", field="reason", remedy=f"say why in at most {_LONGEST_REASON} letters"
        )


def check_shift(starts_at: datetime, ends_at: datetime, people: Decimal, bounds: tuple[datetime, datetime]) -> None:
    """A shift of a business day's roster."""
    checks.check_instant(starts_at, "starts_at")
    checks.check_instant(ends_at, "ends_at")
    if not bounds[0] <= starts_at < ends_at <= bounds[1]:
        raise InvalidInput(
            f"a shift from {starts_at.isoformat()} to {ends_at.isoformat()} does not lie in the business day",
            field="shifts",
            remedy=f"it runs from {bounds[0].isoformat()} to {bounds[1].isoformat()}; split a shift between two days",
        )
    if not 0 < people < 1000:
        raise InvalidInput(f"{people} people can't be", field="people", remedy="give more than 0 and fewer than 1000")


def _check_parts(new: NewCorrection) -> None:
    for name in ("day_from", "day_to", "value", "line_id", "audit", "starts_at", "ends_at"):
        is_given = getattr(new, name) is not None
        if is_given and name not in _PARTS[new.kind]:
            raise InvalidInput(f"{new.kind} has no {name}", field=name, remedy="leave it out")
        if not is_given and name in _PARTS[new.kind] - _OPTIONAL:
            raise InvalidInput(f"{new.kind} needs {name}", field=name, remedy="give it")


def _check_value(kind: str, value: Decimal) -> None:
    low, high = _BOUNDS[kind]
    if not value.is_finite() or not low <= value <= high:
        raise InvalidInput(f"{kind} {value} can't be", field="value", remedy=f"give a number from {low} to {high}")


def _check_audit(found: Audit) -> None:
    if found.counted < 1 or found.missed < 0 or not 0 <= found.invented <= found.counted:
        raise InvalidInput(
            f"an audit of {found.counted} counted, {found.missed} missed and {found.invented} invented can't be",
            field="counted",
            remedy="give how many were counted, how many of these never were, and how many more there were",
        )
    if found.relative_error > LARGEST_ERROR:
        raise InvalidInput(
            f"an audit of {found.counted} crossings leaves {found.relative_error:.0%} open",
            field="counted",
            remedy=f"count by hand for longer, until it is {LARGEST_ERROR:.0%} or less",
        )


def _check_interval(starts_at: datetime, ends_at: datetime) -> None:
    checks.check_instant(starts_at, "starts_at")
    checks.check_instant(ends_at, "ends_at")
    if not timedelta(0) < ends_at - starts_at <= _LONGEST_EXCLUDED:
        raise InvalidInput(
            f"from {starts_at.isoformat()} to {ends_at.isoformat()} is no interval to exclude",
            field="ends_at",
            remedy=f"give an end after the start, at most {_LONGEST_EXCLUDED.days} days later",
        )
