"""Which store-days of some stores a report does not simply read from their rows, and what becomes of each of them.

Marks name hours (UTC) and rows say when they were computed; here they become days of each store's own clock. The trap
is a day that lies in both periods of a report, or just behind the one that a running day is compared with: it is told
once whole, once cut, or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from server.access.models import Scope
from server.kpi.answers import grouping, state_repository
from server.kpi.answers.assembling import Asking, Part
from server.kpi.answers.freshness import Chosen, Late, Unit, choose
from server.kpi.answers.state_repository import Mark
from server.kpi.answers.telling import is_kept_beside
from server.kpi.days.compute import StoreDay
from server.storage.pool import Connection
from server.stores.calendar import StoreCalendar


def chosen_of(asking: Asking, part: Part, clocks: Mapping[str, StoreCalendar]) -> Chosen:
    """What is computed of a part, and what is read."""
    if asking.at is not None or grouping.is_by_quarter(asking.by):
        return Chosen()
    keeps_beside = part.other is not None and is_kept_beside(part.other, asking.by, asking.wish)
    units = _units(part)
    late, as_of = _late(part, units, clocks)
    chosen = choose(units, late, asking.allowance, asking.now, keeps_beside=keeps_beside)
    chosen.as_of |= as_of
    return chosen


def with_marked_days(parts: Sequence[Part], clocks: Mapping[str, StoreCalendar]) -> list[Part]:
    """Parts with their days that are marked.

    While boxes send, every store's today is marked, and most reports are of other days: what tells so is the
    timezone, and the whole calendars of a chain are ten times as many rows.
    """
    known: dict[tuple[StoreCalendar, datetime], list[date]] = {}

    def days_of(mark: Mark) -> list[date]:
        key = (clocks[mark.store_id], mark.hour)
        if key not in known:
            known[key] = key[0].days_of_hour(mark.hour)
        return known[key]

    def marked(part: Part) -> dict[StoreDay, bool]:
        found: dict[StoreDay, bool] = {}
        for mark in part.marks:
            for day in days_of(mark):
                if _is_shown(part, day):
                    found[(mark.store_id, day)] = mark.said or found.get((mark.store_id, day), False)
        return found

    return [replace(part, marked=marked(part)) for part in parts]


def _is_shown(part: Part, day: date) -> bool:
    return any(days.first <= day <= days.last for days in (part.days, part.other) if days is not None)


def _units(part: Part) -> list[Unit]:
    """The running store-days of a part, each with the day that it is compared with."""
    units = []
    for store_id, today in part.todays.items():
        pair, beside = (store_id, today), None
        if pair in part.left_out or not _is_shown(part, today):
            continue
        if part.other is not None and part.other.shift > 0:
            if not part.days.first <= today <= part.days.last:
                continue
            before = (store_id, today - timedelta(days=part.other.shift))
            beside = before if before[1] <= part.other.last and before not in part.left_out else None
        said = part.marked.get(pair, False) or (beside is not None and part.marked.get(beside, False))
        units.append(Unit(pair, beside, part.running.get(pair), pair in part.marked, said))
    return units


def _late(
    part: Part, units: Sequence[Unit], clocks: Mapping[str, StoreCalendar]
) -> tuple[list[Late], dict[StoreDay, datetime]]:
    """Days of the past whose rows are not what would be computed now; and when others were, that may still change."""
    running = {unit.store_day for unit in units}
    cut_from = {unit.beside[0]: unit.beside[1] for unit in units if unit.beside is not None}
    found: list[Late] = []
    as_of: dict[StoreDay, datetime] = {}
    for pair in sorted((part.marked.keys() | part.running.keys()) - running - part.left_out):
        store_id, day = pair
        in_days = part.days.first <= day <= part.days.last
        if not in_days and store_id in cut_from and day >= cut_from[store_id]:
            continue  # cut, or later than what is compared
        row, marked = part.running.get(pair), pair in part.marked
        is_over = row is not None and row.computed_at >= clocks[store_id].bounds(day)[1]
        if marked or not is_over:
            found.append(Late(pair, marked, part.marked.get(pair, False), row))
        elif row is not None:
            as_of[pair] = row.computed_at
    return found, as_of


def leave_out_beside_nothing(conn: Connection, scope: Scope, part: Part, chosen: Chosen) -> None:
    """Leave out of both periods a day of which nothing has been computed yet in one of them.

    A day of the past without a row would stand as nothing beside a whole day, and read as a fall.
    """
    if part.other is None or not chosen.unread:
        return
    periods, shift = (part.days, part.other), timedelta(days=part.other.shift)
    beside: list[tuple[StoreDay, StoreDay, int]] = []
    for store_id, day in sorted(chosen.unread):
        for place, (own, back) in enumerate(((part.other, shift), (part.days, -shift))):
            other = periods[place]
            if own.first <= day <= own.last and other.first <= day + back <= other.last:
                beside.append(((store_id, day), (store_id, day + back), place))
    kept = state_repository.kept(conn, scope, {pair for each in beside for pair in each[:2]})
    running = {unit.store_day for unit in (*chosen.computed, *chosen.kept, *chosen.unknown)}
    for pair, known, place in beside:
        if pair not in kept and known not in running | part.left_out:
            chosen.apart[place].add(known)
            chosen.pending += int(known in kept or known in chosen.late)


def computed_stores(chosen: Chosen) -> set[str]:
    """Those with a day that is computed on the spot."""
    return {unit.store_day[0] for unit in chosen.computed} | {store_id for store_id, _ in chosen.late}
