"""Crossings of a day by quarter hour: as the cameras counted them, and as corrected. Pure.

Corrections are applied here and nowhere else: excluded quarter hours first, then each line's audited factor, within
opening hours. The people inside are told from what was counted, corrections or not: a delivery that comes in goes out
again, and a factor would let the two directions drift apart.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Final

from server.kpi.corrections.in_force import InForce
from server.kpi.rounding import Carried

_STAFF: Final = "staff"


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """Crossings of a line in one quarter hour, by direction and class."""

    store_id: str
    day: date
    quarter: datetime
    kind: str
    direction: str
    crossing_class: str
    crossings: int
    groups: int
    line_id: str = ""


@dataclass(slots=True)
class Crossed:
    """One quarter hour.

    Attributes:
        all_in: at the doors, as counted; `staff_in` of them tagged as staff. `all_out`, `staff_out` likewise.
        excluded: entries as counted that are to be left out; `is_excluded`: whether any line's were to be.
        entries: as corrected, as all that follow; staff and children among them.
        groups: buying groups, staff aside.
        errors: by audit (number of its correction), standard error of the entries it corrects, in thousandths of one.
        believed: entries as counted, less the excluded; `believed_staff` tagged ones among them.
    """

    all_in: int = 0
    all_out: int = 0
    staff_in: int = 0
    staff_out: int = 0
    excluded: int = 0
    is_excluded: bool = False
    believed: int = 0
    believed_staff: int = 0
    entries: int = 0
    exits: int = 0
    staff_entries: int = 0
    child_entries: int = 0
    groups: int = 0
    passers_by: int = 0
    errors: Counter[int] = field(default_factory=Counter)


def crossed(
    rows: Iterable[TrafficRow], corrections: InForce, opened: Sequence[datetime]
) -> defaultdict[datetime, Crossed]:
    """What crossed in each quarter hour; the corrected part is of the open ones only.

    Args:
        opened: UTC starts of the quarter hours in which the store is open.
    """
    found: defaultdict[datetime, Crossed] = defaultdict(Crossed)
    is_open = set(opened)
    carried: defaultdict[tuple[str, ...], Carried] = defaultdict(Carried)
    factors = _Factors(corrections)
    for row in sorted(rows, key=lambda row: (row.quarter, row.line_id, row.direction, row.crossing_class)):
        into = found[row.quarter]
        if row.kind == "door":
            _add_counted(into, row)
        if row.quarter not in is_open:
            continue
        if corrections.excluded and corrections.excludes_line(row.line_id, row.quarter):
            if row.kind == "door" and row.direction == "in":
                into.excluded += row.crossings
        elif row.kind == "street":
            into.passers_by += row.crossings
        elif row.kind == "door":
            _add_corrected(into, row, factors[row.line_id], carried)
    for quarter in opened if corrections.excluded else ():
        # Nothing crossed in an excluded quarter hour is excluded nonetheless.
        if any(each.holds(quarter) for each in corrections.excluded):
            found[quarter].is_excluded = True
    return found


def _add_counted(into: Crossed, row: TrafficRow) -> None:
    staff = row.crossings if row.crossing_class == _STAFF else 0
    if row.direction == "in":
        into.all_in += row.crossings
        into.staff_in += staff
    else:
        into.all_out += row.crossings
        into.staff_out += staff


class _Factors(dict[str, tuple[Fraction, float, int] | None]):
    """By line, the factor of its audit, what it leaves open and its number; worked out once for all of a day's rows."""

    def __init__(self, corrections: InForce) -> None:
        super().__init__()
        self._corrections = corrections

    def __missing__(self, line_id: str) -> tuple[Fraction, float, int] | None:
        audit = self._corrections.audit(line_id)
        self[line_id] = None if audit is None else (Fraction(audit.factor), audit.relative_error, audit.number)
        return self[line_id]


def _add_corrected(
    into: Crossed,
    row: TrafficRow,
    factor: tuple[Fraction, float, int] | None,
    carried: Mapping[tuple[str, ...], Carried],
) -> None:
    crossings, groups = row.crossings, row.groups
    if factor is not None:
        key = (row.line_id, row.direction, row.crossing_class)
        crossings = carried[key].add(row.crossings * factor[0])
        groups = carried[(*key, "groups")].add(row.groups * factor[0])
    if row.direction == "out":
        into.exits += crossings
        return
    into.entries += crossings
    into.believed += row.crossings
    if factor is not None:
        into.errors[factor[2]] += round(1000 * crossings * factor[1])
    if row.crossing_class == _STAFF:
        into.staff_entries += crossings
        into.believed_staff += row.crossings
    else:
        into.groups += groups
    if row.crossing_class == "child":
        into.child_entries += crossings
