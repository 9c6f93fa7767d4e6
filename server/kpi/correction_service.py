"""Corrections made and withdrawn, and the rosters and settings that days are computed with.

Each changes numbers already answered. So the days concerned are marked in the transaction that keeps it, the audit
trail names who did it and why, and nothing is ever changed in place: the versions of `store_day` say what was answered
before, and the corrections that stood at a moment say why.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.ingest.gaps import WEEKS
from server.kpi.corrections import correction_checks, correction_repository
from server.kpi.corrections.in_force import Correction, NewCorrection, quarters_around
from server.kpi.days import repository
from server.storage import dirty
from server.storage.moment import remembered
from server.storage.pool import Connection, Database
from server.stores import checks
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.service import StoresService

_MOST_LISTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Shift:
    """People on the floor from one instant to another (aware); a fraction of one is somebody shared."""

    starts_at: datetime
    ends_at: datetime
    people: Decimal
    note: str = ""


class CorrectionsService:
    """What people say of a day beyond what its sensors said."""

    def __init__(self, db: Database, stores: StoresService, clock: Clock = utc_now) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock

    # -- corrections

    def make(self, scope: Scope, new: NewCorrection) -> Correction:
        """Make a correction; days of its validity that were computed are computed anew.

        An excluded interval is widened to the quarter hours it lies in, as the answer shows.

        Raises:
            Forbidden: unless admin or HQ asks; an interval of their own store region and manager may exclude, too.
            NotFound: no such store, or no such line in it.
            InvalidInput: naming the field.
        """
        _require_maker(scope, new.kind)
        correction_checks.check(new)
        if new.store_id is None:
            scope.require_whole_chain()
        else:
            self._stores.store(scope, new.store_id)
            self._check_line(scope, new)
        if new.starts_at is not None and new.ends_at is not None:
            starts_at, ends_at = quarters_around(new.starts_at, new.ends_at)
            new = replace(new, starts_at=starts_at, ends_at=ends_at)
        now = self._clock()
        with self._db.transaction() as conn:
            correction_id = correction_repository.insert(conn, new, scope.actor, now)
            made = _found(correction_repository.correction(conn, scope, correction_id), correction_id)
            self._mark(conn, scope, made)
            _record(conn, scope, now, "correction.make", made, made.reason)
        return made

    def withdraw(self, scope: Scope, correction_id: int, reason: str) -> Correction:
        """End a correction: it no longer holds for any day, and days it held for are computed anew.

        Raises:
            Forbidden: as `make`.
            NotFound: there is none of that number.
            Conflict: it was withdrawn before.
            InvalidInput: no reason is given.
        """
        correction_checks.check_reason(reason)
        now = self._clock()
        with self._db.transaction() as conn:
            stands = _found(correction_repository.correction(conn, scope, correction_id, lock=True), correction_id)
            _require_maker(scope, stands.kind)
            if stands.store_id is None:
                scope.require_whole_chain()
            if stands.withdrawn_at is not None:
                raise Conflict(
                    f"correction {correction_id} was withdrawn by {stands.withdrawn_by} already",
                    field="correction_id",
                    remedy="make a new one instead",
                )
            correction_repository.withdraw(conn, scope, correction_id, scope.actor, now, reason.strip())
            self._mark(conn, scope, stands)
            _record(conn, scope, now, "correction.withdraw", stands, reason.strip())
            return _found(correction_repository.correction(conn, scope, correction_id), correction_id)

    def corrections(
        self, scope: Scope, store_id: str | None = None, *, at: datetime | None = None, withdrawn: bool = False
    ) -> list[Correction]:
        """Corrections of a store with the chain's own, or of all stores of the scope; the latest made first.

        Args:
            at: those that stood at a moment (aware), in place of those that stand now.
            withdrawn: also those that were withdrawn; not with `at`.
        """
        scope.require_role("admin", "hq", "region", "manager")
        if store_id is not None:
            scope.require(store_id)
        if at is not None:
            checks.check_instant(at, "at")
        found = remembered((CorrectionsService, self._db, scope, store_id), lambda: self._history(scope, store_id))
        if at is not None:
            return [each for each in found if each.stood_at(at)]
        return [each for each in found if withdrawn or each.withdrawn_at is None]

    def _history(self, scope: Scope, store_id: str | None) -> list[Correction]:
        with self._db.read() as conn:
            return correction_repository.history(conn, scope, store_id, _MOST_LISTED)

    # -- rosters

    def set_roster(self, scope: Scope, store_id: str, day: date, shifts: Sequence[Shift]) -> None:
        """Put a business day's whole roster in place of the one it had; no shift means that nobody works.

        Raises:
            Forbidden: unless admin, HQ, or region or manager of the store asks.
            NotFound: no such store.
            InvalidInput: a shift without people, without timezone, or not within the business day.
        """
        self.set_rosters(scope, {(store_id, day): shifts})

    def set_rosters(self, scope: Scope, rosters: Mapping[tuple[str, date], Sequence[Shift]]) -> None:
        """The same for several store-days, all of them or none."""
        scope.require_role("admin", "hq", "region", "manager")
        days: dict[str, list[date]] = {}
        for store_id, day in sorted(rosters):
            days.setdefault(store_id, []).append(day)
        calendars = {store_id: self._stores.calendar(scope, store_id) for store_id in days}
        for (store_id, day), shifts in rosters.items():
            checks.check_day(day, "day")
            for shift in shifts:
                self.check_shift(day, shift, calendars[store_id])
        now = self._clock()
        with self._db.transaction() as conn:
            for (store_id, day), shifts in sorted(rosters.items(), key=lambda item: item[0]):
                rows = [(each.starts_at, each.ends_at, each.people, each.note.strip()) for each in shifts]
                correction_repository.put_roster_day(conn, scope, store_id, day, scope.actor, now)
                correction_repository.insert_shifts(conn, store_id, day, rows)
            for store_id, own in days.items():
                self._mark_days(conn, scope, store_id, own, "roster", calendars[store_id])
                said: dict[str, object] = {"from": str(own[0]), "to": str(own[-1]), "days": len(own)}
                audit.record(conn, now, scope.actor, "roster.set", subject=store_id, store_id=store_id, detail=said)

    @staticmethod
    def check_shift(day: date, shift: Shift, calendar: StoreCalendar) -> None:
        """What a shift of a business day must be.

        Raises:
            InvalidInput: naming the field.
        """
        correction_checks.check_shift(shift.starts_at, shift.ends_at, shift.people, calendar.bounds(day))

    def spread(
        self, scope: Scope, store_id: str, day: date, hours: Decimal, calendar: StoreCalendar | None = None
    ) -> list[Shift]:
        """A day's staff hours without times as shifts: evenly over its opening hours.

        Args:
            calendar: the store's, where it is at hand.

        Raises:
            InvalidInput: hours below zero, or the store is closed that day.
        """
        spans = (calendar or self._stores.calendar(scope, store_id)).open_spans(day)
        if hours < 0 or (hours and not spans):
            raise InvalidInput(
                f"{hours} staff hours on {day} can't be spread over its opening hours",
                field="hours",
                remedy="give hours from 0 on, of a day on which the store is open",
            )
        if not hours:
            return []
        open_seconds = sum(int((closes - opens).total_seconds()) for opens, closes in spans)
        people = (hours * 3600 / open_seconds).quantize(Decimal("0.000001"))
        return [Shift(opens, closes, people) for opens, closes in spans]

    def roster(self, scope: Scope, store_id: str, day: date) -> list[Shift] | None:
        """A business day's roster; None where nobody entered one."""
        return self.rosters(scope, store_id, [day])[day]

    def rosters(self, scope: Scope, store_id: str, days: Sequence[date]) -> dict[date, list[Shift] | None]:
        """The same of several days of a store.

        Raises:
            Forbidden: when the store isn't the caller's.
        """
        scope.require(store_id)
        found: dict[date, list[Shift] | None] = dict.fromkeys(days)
        with self._db.read() as conn:
            rows = correction_repository.rosters(conn, scope, store_id, days)
        for row in rows:
            shifts = found[row.day] = found[row.day] or []
            if row.starts_at is not None and row.ends_at is not None and row.people is not None:
                shifts.append(Shift(row.starts_at, row.ends_at, row.people, row.note))
        return found

    # -- inside

    def _check_line(self, scope: Scope, new: NewCorrection) -> None:
        if new.line_id is None or new.store_id is None:
            return
        kinds = {line.line_id: line.kind for line in self._stores.lines(scope, new.store_id)}
        if new.line_id not in kinds:
            raise NotFound(
                f"store {new.store_id!r} has no line {new.line_id!r}", field="line_id", remedy="see its counting lines"
            )
        if new.kind == "accuracy" and kinds[new.line_id] != "door":
            raise InvalidInput(
                f"line {new.line_id!r} is of kind {kinds[new.line_id]!r}; an audit corrects doors",
                field="line_id",
                remedy="name a line of kind 'door'",
            )

    def _mark(self, conn: Connection, scope: Scope, correction: Correction) -> None:
        wanted = None if correction.store_id is None else [correction.store_id]
        if correction.starts_at is not None and correction.ends_at is not None and correction.store_id is not None:
            calendar = self._stores.calendar(scope, correction.store_id)
            day, last = calendar.day_of(correction.starts_at), calendar.day_of(correction.ends_at)
            days = {day + number * ONE_DAY for number in range((last - day).days + 1)}
            # What was expected of the same weekday in the weeks after rests on these days, too.
            days |= {each + timedelta(weeks=week) for each in days for week in WEEKS}
            self._mark_days(conn, scope, correction.store_id, days, "correction", calendar)
            return
        first, until = correction.day_from, correction.day_to
        if first is None:
            return
        calendars = (
            self._stores.calendars(scope)
            if correction.store_id is None
            else {correction.store_id: self._stores.calendar(scope, correction.store_id)}
        )
        dirty.mark_all(
            conn,
            (
                (store_id, calendars[store_id].bounds(day)[0])
                for store_id, day in repository.computed_days(conn, scope, wanted, first)
                if until is None or day <= until
            ),
            "correction",
        )

    @staticmethod
    def _mark_days(
        conn: Connection, scope: Scope, store_id: str, days: Iterable[date], reason: str, calendar: StoreCalendar
    ) -> None:
        wanted = set(days)
        if not wanted:
            return
        computed = {day for _, day in repository.computed_days(conn, scope, [store_id], min(wanted))}
        dirty.mark(conn, store_id, (calendar.bounds(day)[0] for day in sorted(wanted & computed)), reason)


def _require_maker(scope: Scope, kind: str) -> None:
    if kind == "excluded":
        scope.require_role("admin", "hq", "region", "manager")
    else:
        scope.require_role("admin", "hq")


def _found(correction: Correction | None, correction_id: int) -> Correction:
    if correction is None:
        raise NotFound(f"there is no correction {correction_id}", field="correction_id", remedy="see the list")
    return correction


def _record(conn: Connection, scope: Scope, at: datetime, action: str, correction: Correction, reason: str) -> None:
    said = {
        "kind": correction.kind,
        "reason": reason,
        "value": correction.value,
        "line": correction.line_id,
        "from": correction.day_from or correction.starts_at,
        "to": correction.day_to or correction.ends_at,
    }
    audit.record(
        conn,
        at,
        scope.actor,
        action,
        subject=str(correction.correction_id),
        store_id=correction.store_id,
        detail={key: str(value) for key, value in said.items() if value is not None},
    )
